//! The control channel to the launcher: frames of [`abi::boot::channel`] over a virtio
//! console (virtio 1.2, 5.3), port 0, without the multiport feature.
//!
//! Received bytes wait in a buffer per stream, as large as the credit the host was given.
//! Frames to send are copied into buffers of the transmit queue; a stream that has no credit,
//! or a full queue, takes no bytes, and [`Channel::process`] tells when it does again.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;

use abi::boot::VERSION;
use abi::boot::channel::{HEADER_LEN, Header, Kind, MAX_PAYLOAD, Stream};
use bitflags::bitflags;
use syscalls::machine::News;
use virtio_drivers::queue::VirtQueue;
use virtio_drivers::transport::{InterruptStatus, Transport as _};

use super::virtio::{Memory, Transport};
use crate::time;

const QUEUE_LEN: usize = 16;
const RECEIVE: u16 = 0;
const TRANSMIT: u16 = 1;
const RECEIVE_BUFFER_LEN: usize = 4096;
const RECEIVE_BUFFERS: usize = 8;
/// Bytes the host may send ahead of what the application reads, per stream.
const WINDOW: usize = 64 * 1024;

bitflags! {
    /// The features the driver accepts.
    #[derive(Clone, Copy, Debug)]
    struct Features: u64 {
        /// The device keeps to virtio 1.0 or later.
        const VERSION_1 = 1 << 32;
    }
}

/// The control channel.
pub(crate) struct Channel {
    transport: Transport,
    receive: VirtQueue<Memory, QUEUE_LEN>,
    transmit: VirtQueue<Memory, QUEUE_LEN>,
    /// Buffers the device may write to, by token.
    receiving: [Option<Box<[u8]>>; QUEUE_LEN],
    /// Frames the device may read, by token.
    sending: [Option<Vec<u8>>; QUEUE_LEN],
    /// Buffers for frames that are not in use.
    spare: Vec<Vec<u8>>,
    incoming: Incoming,
    streams: [StreamState; Stream::ALL.len()],
}

/// The frame that is arriving.
#[derive(Default)]
struct Incoming {
    header: Vec<u8>,
    payload: Vec<u8>,
}

#[derive(Default)]
struct StreamState {
    /// What arrived and was not yet received.
    arrived: VecDeque<u8>,
    /// What the application took and the host does not know of yet.
    taken: usize,
    /// Bytes the host may still send.
    granted: usize,
    /// Bytes we may still send.
    credit: usize,
    /// A sender was turned away: it wants to hear when there is room.
    blocked: bool,
    closed_here: bool,
}

/// The host does not keep to the protocol.
#[derive(Debug)]
pub(crate) struct Violation(pub &'static str);

impl Channel {
    /// Takes the virtio console behind `transport` and says hello to the launcher.
    ///
    /// # Errors
    /// Those of the device's queues.
    pub(crate) fn new(mut transport: Transport) -> virtio_drivers::Result<Self> {
        transport.begin_init(Features::VERSION_1);
        let receive = VirtQueue::new(&mut transport, RECEIVE, false, false)?;
        let mut transmit = VirtQueue::new(&mut transport, TRANSMIT, false, false)?;
        transmit.set_dev_notify(true);
        transport.finish_init();
        let mut channel = Self {
            transport,
            receive,
            transmit,
            receiving: [const { None }; QUEUE_LEN],
            sending: [const { None }; QUEUE_LEN],
            spare: Vec::new(),
            incoming: Incoming::default(),
            streams: Default::default(),
        };
        for _ in 0..RECEIVE_BUFFERS {
            channel.offer(alloc::vec![0; RECEIVE_BUFFER_LEN].into_boxed_slice())?;
        }
        channel.transport.notify(RECEIVE);
        channel.send_frame(Kind::Hello, Stream::Stdin, &VERSION.to_le_bytes());
        for stream in [Stream::Stdin, Stream::Terminal] {
            channel.grant(stream, WINDOW);
        }
        Ok(channel)
    }

    /// Acknowledges the device's interrupt; returns whether there was one.
    pub(crate) fn acknowledge(&mut self) -> bool {
        self.transport.ack_interrupt().intersects(InterruptStatus::all())
    }

    /// Looks at what the device did, and returns the next news, if any.
    ///
    /// # Errors
    /// [`Violation`] when the host does not keep to the protocol; the channel is of no use
    /// any more.
    pub(crate) fn process(&mut self, news: &mut VecDeque<News>) -> Result<(), Violation> {
        self.reclaim();
        let mut offered = false;
        while let Some(token) = self.receive.peek_used() {
            let Some(mut buffer) = self.receiving[usize::from(token)].take() else {
                return Err(Violation("it used a buffer it was not given"));
            };
            // SAFETY: this is the buffer that was added with this token.
            let len = unsafe { self.receive.pop_used(token, &[], &mut [&mut buffer]) };
            let len = len.map_err(|_| Violation("its queue is broken"))? as usize;
            self.take_bytes(&buffer[..len.min(RECEIVE_BUFFER_LEN)], news)?;
            self.offer(buffer).map_err(|_| Violation("its queue is broken"))?;
            offered = true;
        }
        if offered && self.receive.should_notify() {
            self.transport.notify(RECEIVE);
        }
        self.tell_writable(news);
        Ok(())
    }

    /// Gives the device a buffer to write to.
    fn offer(&mut self, mut buffer: Box<[u8]>) -> virtio_drivers::Result<()> {
        // SAFETY: the buffer stays in `receiving` until the device has used it.
        let token = unsafe { self.receive.add(&[], &mut [&mut buffer])? };
        self.receiving[usize::from(token)] = Some(buffer);
        Ok(())
    }

    /// Takes back the frames that the device has sent.
    fn reclaim(&mut self) {
        while let Some(token) = self.transmit.peek_used() {
            let Some(mut frame) = self.sending[usize::from(token)].take() else { return };
            // SAFETY: this is the buffer that was added with this token.
            if unsafe { self.transmit.pop_used(token, &[&frame], &mut []) }.is_err() {
                return;
            }
            frame.clear();
            self.spare.push(frame);
        }
    }

    fn tell_writable(&mut self, news: &mut VecDeque<News>) {
        if self.transmit.available_desc() == 0 {
            return;
        }
        for stream in Stream::ALL {
            let state = &mut self.streams[stream as usize];
            if state.blocked && state.credit > 0 {
                state.blocked = false;
                news.push_back(News::Writable(stream));
            }
        }
    }

    /// Assembles frames from received bytes.
    fn take_bytes(&mut self, mut bytes: &[u8], news: &mut VecDeque<News>) -> Result<(), Violation> {
        loop {
            let missing = HEADER_LEN - self.incoming.header.len();
            bytes = move_bytes(bytes, &mut self.incoming.header, missing);
            let Ok(raw) = <[u8; HEADER_LEN]>::try_from(self.incoming.header.as_slice()) else {
                return Ok(());
            };
            let header = Header::from_bytes(raw).map_err(|_| Violation("a frame has no header"))?;
            let missing = header.len - self.incoming.payload.len();
            bytes = move_bytes(bytes, &mut self.incoming.payload, missing);
            if self.incoming.payload.len() < header.len {
                return Ok(());
            }
            let payload = core::mem::take(&mut self.incoming.payload);
            self.take_frame(header, &payload, news)?;
            self.incoming.payload = payload;
            self.incoming.payload.clear();
            self.incoming.header.clear();
        }
    }

    fn take_frame(
        &mut self,
        header: Header,
        payload: &[u8],
        news: &mut VecDeque<News>,
    ) -> Result<(), Violation> {
        let stream = header.stream;
        let state = &mut self.streams[stream as usize];
        match header.kind {
            Kind::Hello if payload == VERSION.to_le_bytes() => {}
            Kind::Hello => return Err(Violation("it is of another version")),
            Kind::Data => {
                state.granted = state
                    .granted
                    .checked_sub(payload.len())
                    .ok_or(Violation("it sent more than it was allowed to"))?;
                state.arrived.extend(payload);
                news.push_back(News::Readable(stream));
            }
            Kind::Credit => {
                let more = u32::from_le_bytes(fixed(payload)?) as usize;
                state.credit = state.credit.saturating_add(more);
            }
            Kind::Close => news.push_back(News::Closed(stream)),
            Kind::WindowSize => {
                let [r0, r1, c0, c1] = fixed(payload)?;
                let (rows, columns) = (u16::from_le_bytes([r0, r1]), u16::from_le_bytes([c0, c1]));
                news.push_back(News::WindowSize { rows, columns });
            }
            Kind::Signal => {
                let [signal] = fixed(payload)?;
                news.push_back(News::Signal(signal));
                // The launcher takes any frame as the answer.
                self.send_frame(Kind::Credit, Stream::Stdin, &0_u32.to_le_bytes());
            }
            Kind::WallTime => {
                time::learn_wall_clock_again(u64::from_le_bytes(fixed(payload)?));
                news.push_back(News::WallClock);
            }
            Kind::Log | Kind::Trace | Kind::Exit | Kind::Entered => {
                return Err(Violation("it sent a frame that only the guest sends"));
            }
        }
        Ok(())
    }

    /// Allows the host `more` bytes of a stream.
    fn grant(&mut self, stream: Stream, more: usize) {
        self.streams[stream as usize].granted += more;
        let payload = u32::try_from(more).unwrap_or(u32::MAX).to_le_bytes();
        self.send_frame(Kind::Credit, stream, &payload);
    }

    /// Takes bytes that have arrived.
    pub(crate) fn receive(&mut self, stream: Stream, to: &mut [u8]) -> usize {
        let state = &mut self.streams[stream as usize];
        let len = to.len().min(state.arrived.len());
        for (slot, byte) in to.iter_mut().zip(state.arrived.drain(..len)) {
            *slot = byte;
        }
        state.taken += len;
        if state.taken >= WINDOW / 2 {
            let taken = core::mem::take(&mut state.taken);
            self.grant(stream, taken);
        }
        len
    }

    /// Whether bytes have arrived.
    pub(crate) fn can_receive(&self, stream: Stream) -> bool {
        !self.streams[stream as usize].arrived.is_empty()
    }

    /// Sends bytes as far as the host's credit and the queue allow.
    pub(crate) fn send(&mut self, stream: Stream, bytes: &[u8]) -> usize {
        self.reclaim();
        let mut sent = 0;
        while sent < bytes.len() && self.can_send(stream) {
            let state = &mut self.streams[stream as usize];
            let len = (bytes.len() - sent).min(MAX_PAYLOAD).min(state.credit);
            state.credit -= len;
            self.send_frame(Kind::Data, stream, &bytes[sent..sent + len]);
            sent += len;
        }
        if sent < bytes.len() {
            self.streams[stream as usize].blocked = true;
        }
        sent
    }

    /// Whether a byte could be sent.
    pub(crate) fn can_send(&mut self, stream: Stream) -> bool {
        // Two places stay free for frames that must not wait long.
        let room = self.transmit.available_desc() > 2 && !self.streams[stream as usize].closed_here;
        let can = room && self.streams[stream as usize].credit > 0;
        self.streams[stream as usize].blocked |= !can;
        can
    }

    /// Closes this side of a stream.
    pub(crate) fn close(&mut self, stream: Stream) {
        if !core::mem::replace(&mut self.streams[stream as usize].closed_here, true) {
            self.send_frame(Kind::Close, stream, &[]);
        }
    }

    /// Sends a frame, waiting for a place in the queue where there is none.
    pub(crate) fn send_frame(&mut self, kind: Kind, stream: Stream, payload: &[u8]) {
        while self.transmit.available_desc() == 0 {
            self.reclaim();
            core::hint::spin_loop();
        }
        let mut frame = self.spare.pop().unwrap_or_default();
        frame.extend_from_slice(&Header { kind, stream, len: payload.len() }.to_bytes());
        frame.extend_from_slice(payload);
        // SAFETY: the frame stays in `sending` until the device has used it.
        if let Ok(token) = unsafe { self.transmit.add(&[&frame], &mut []) } {
            self.sending[usize::from(token)] = Some(frame);
        }
        if self.transmit.should_notify() {
            self.transport.notify(TRANSMIT);
        }
    }

    /// Waits until all frames are with the host, but not for ever.
    pub(crate) fn flush(&mut self) {
        const PATIENCE_NS: u64 = 10_000_000_000;
        let give_up = time::now_ns() + PATIENCE_NS;
        while self.transmit.available_desc() < QUEUE_LEN && time::now_ns() < give_up {
            self.reclaim();
            core::hint::spin_loop();
        }
    }
}

/// Moves up to `len` bytes to `to` and returns the rest.
fn move_bytes<'a>(bytes: &'a [u8], to: &mut Vec<u8>, len: usize) -> &'a [u8] {
    let (moved, rest) = bytes.split_at(len.min(bytes.len()));
    to.extend_from_slice(moved);
    rest
}

fn fixed<const N: usize>(payload: &[u8]) -> Result<[u8; N], Violation> {
    payload.try_into().map_err(|_| Violation("a frame has the wrong length"))
}

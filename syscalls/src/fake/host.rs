//! The host's side of the machine: streams, window size, signals.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use crate::machine::{News, Stream};

/// Something the host does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostEvent {
    /// Sends bytes to the guest.
    Feed(Stream, Vec<u8>),
    /// Closes its side of a stream: end of file, or broken pipe.
    Close(Stream),
    /// Allows that many more bytes from the guest.
    Credit(Stream, usize),
    /// The terminal has a new size: rows, columns.
    WindowSize(u16, u16),
    /// Sends a signal to the program.
    Signal(u8),
}

/// One stream as the host sees it.
#[derive(Default)]
pub(super) struct StreamState {
    inbound: VecDeque<u8>,
    outbound: Vec<u8>,
    /// How many more bytes the guest may send; `None` for any number.
    credit: Option<usize>,
    closed_by_guest: bool,
}

/// All streams.
#[derive(Default)]
pub(super) struct Host {
    streams: [StreamState; Stream::ALL.len()],
}

impl Host {
    pub(super) fn stream(&mut self, stream: Stream) -> &mut StreamState {
        &mut self.streams[stream as usize]
    }

    /// Does what the host does; returns what the guest is told.
    pub(super) fn apply(&mut self, event: HostEvent) -> News {
        match event {
            HostEvent::Feed(stream, bytes) => {
                self.stream(stream).inbound.extend(bytes);
                News::Readable(stream)
            }
            HostEvent::Close(stream) => News::Closed(stream),
            HostEvent::Credit(stream, bytes) => {
                let credit = &mut self.stream(stream).credit;
                *credit = Some(credit.unwrap_or(0).saturating_add(bytes));
                News::Writable(stream)
            }
            HostEvent::WindowSize(rows, columns) => News::WindowSize { rows, columns },
            HostEvent::Signal(signal) => News::Signal(signal),
        }
    }
}

impl StreamState {
    pub(super) fn receive(&mut self, to: &mut [u8]) -> usize {
        let len = to.len().min(self.inbound.len());
        for (to, byte) in to.iter_mut().zip(self.inbound.drain(..len)) {
            *to = byte;
        }
        len
    }

    pub(super) fn can_receive(&self) -> bool {
        !self.inbound.is_empty()
    }

    pub(super) fn send(&mut self, bytes: &[u8]) -> usize {
        let len = bytes.len().min(self.credit.unwrap_or(usize::MAX));
        self.outbound.extend_from_slice(&bytes[..len]);
        self.credit = self.credit.map(|credit| credit - len);
        len
    }

    pub(super) fn can_send(&self) -> bool {
        self.credit != Some(0)
    }

    pub(super) fn close(&mut self) {
        self.closed_by_guest = true;
    }

    pub(super) fn set_credit(&mut self, credit: Option<usize>) {
        self.credit = credit;
    }

    pub(super) fn is_closed_by_guest(&self) -> bool {
        self.closed_by_guest
    }

    pub(super) fn take_output(&mut self) -> Vec<u8> {
        core::mem::take(&mut self.outbound)
    }
}

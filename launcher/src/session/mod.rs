//! The host's side of the control channel ([`abi::boot::channel`]) as a pure state machine.
//!
//! A [`Session`] is fed the bytes that came from the guest and answers with [`Event`]s; what
//! the host wants to say collects as bytes to send. It does no input or output itself, so
//! tests and fuzzers reach every state without a virtual machine; [`crate::host`] connects
//! it to the world.
//!
//! The guest is not trusted: whatever it sends is either an event or a [`ProtocolError`],
//! and what it can make the host store is bounded by the credit it was granted.

mod decoder;
mod error;

pub use error::ProtocolError;

use abi::boot::VERSION;
use abi::boot::channel::{ExitStatus, Header, Kind, LogLevel, MAX_PAYLOAD, Stream};
use decoder::Decoder;

/// Bytes of one stream that the guest may have on their way to the host's file: how far the
/// program may be ahead of a slow reader.
pub const WINDOW: usize = 256 * 1024;

/// Credit is returned in portions of at least this many bytes, since each costs the guest an
/// interrupt. The guest cannot starve: whatever is neither granted nor on its way is less
/// than this.
const GRANT: usize = WINDOW / 4;

/// Which of the program's descriptors 0, 1 and 2 are the terminal.
pub type Terminals = [bool; 3];

/// What the guest said.
#[derive(Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// The guest is there, and speaks this version of the contract.
    Hello,
    /// The program's first instruction is the next one.
    Entered,
    /// Bytes of an output stream. They count against the guest's credit until
    /// [`Session::consumed`] says that they are written.
    Data(Stream, &'a [u8]),
    /// The guest wants more of an input stream: see [`Session::credit`].
    Credit(Stream),
    /// The guest closed a stream: an output stream ended, or nobody reads an input stream.
    Closed(Stream),
    /// The kernel's own words. The text is not to be trusted.
    Log(LogLevel, &'a [u8]),
    /// A system call, as the tracer prints it. The text is not to be trusted.
    Trace(&'a [u8]),
    /// The run is over.
    Exit(ExitStatus),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The guest has not said hello.
    Greeting,
    Running,
    /// The guest sent its last frame.
    Ended,
}

/// One direction of a stream, from the guest to the host.
#[derive(Debug, Default)]
struct Inbound {
    /// The guest may send.
    open: bool,
    /// Bytes that the guest may still send.
    granted: usize,
    /// Bytes that can be granted again.
    returned: usize,
}

/// One direction of a stream, from the host to the guest.
#[derive(Debug, Default)]
struct Outbound {
    /// The host may send.
    open: bool,
    /// Bytes that the host may still send.
    credit: usize,
}

/// The state of the control channel.
#[derive(Debug)]
pub struct Session {
    decoder: Decoder,
    phase: Phase,
    inbound: [Inbound; 4],
    outbound: [Outbound; 4],
    output: Vec<u8>,
}

impl Session {
    /// A session for a program whose descriptors are the terminal where `terminals` says so.
    #[must_use]
    pub fn new(terminals: Terminals) -> Self {
        let mut session = Self {
            decoder: Decoder::default(),
            phase: Phase::Greeting,
            inbound: Default::default(),
            outbound: Default::default(),
            output: Vec::new(),
        };
        session.frame(Kind::Hello, Stream::Stdin, &VERSION.to_le_bytes());
        let terminal = terminals.contains(&true);
        session.outbound[Stream::Stdin as usize].open = !terminals[0];
        session.outbound[Stream::Terminal as usize].open = terminal;
        let inputs = [
            (Stream::Stdout, !terminals[1]),
            (Stream::Stderr, !terminals[2]),
            (Stream::Terminal, terminal),
        ];
        for (stream, open) in inputs {
            session.inbound[stream as usize] = Inbound { open, granted: 0, returned: WINDOW };
            session.grant(stream);
        }
        session
    }

    /// Takes bytes of the guest from the front of `input` up to the next event. `None`: all
    /// of `input` is taken.
    ///
    /// # Errors
    /// The guest broke the contract. The session cannot go on.
    pub fn next(&mut self, input: &mut &[u8]) -> Result<Option<Event<'_>>, ProtocolError> {
        match self.decoder.next(input)? {
            Some(header) => self.interpret(header).map(Some),
            None => Ok(None),
        }
    }

    /// Whether the guest said hello and has not ended.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.phase == Phase::Running
    }

    /// Bytes that the guest wants of a stream to it; 0 once it is closed.
    #[must_use]
    pub fn credit(&self, stream: Stream) -> usize {
        let outbound = &self.outbound[stream as usize];
        if outbound.open { outbound.credit } else { 0 }
    }

    /// Sends as much of `bytes` as the guest has granted credit for; the number of bytes
    /// sent.
    pub fn send(&mut self, stream: Stream, bytes: &[u8]) -> usize {
        let len = bytes.len().min(self.credit(stream));
        for chunk in bytes[..len].chunks(MAX_PAYLOAD) {
            self.frame(Kind::Data, stream, chunk);
        }
        self.outbound[stream as usize].credit -= len;
        len
    }

    /// Closes a stream: end of file of an input stream, broken pipe of an output stream, and
    /// a hang-up of the terminal. Says so once.
    pub fn close(&mut self, stream: Stream) {
        let (inbound, outbound) =
            (&mut self.inbound[stream as usize], &mut self.outbound[stream as usize]);
        let was_open = inbound.open || outbound.open;
        outbound.open = false;
        // What the guest has sent meanwhile is within its credit: it is dropped on arrival.
        inbound.open = false;
        if was_open {
            self.frame(Kind::Close, stream, &[]);
        }
    }

    /// `len` bytes of an output stream have left the host's memory.
    pub fn consumed(&mut self, stream: Stream, len: usize) {
        self.inbound[stream as usize].returned += len;
        self.grant(stream);
    }

    /// Tells the guest the time of day, in nanoseconds since 1970 UTC.
    pub fn wall_time(&mut self, since_epoch_ns: u64) {
        self.frame(Kind::WallTime, Stream::Stdin, &since_epoch_ns.to_le_bytes());
    }

    /// Tells the guest the size of the terminal.
    pub fn window_size(&mut self, rows: u16, columns: u16) {
        let ([r0, r1], [c0, c1]) = (rows.to_le_bytes(), columns.to_le_bytes());
        self.frame(Kind::WindowSize, Stream::Stdin, &[r0, r1, c0, c1]);
    }

    /// Sends a signal to the program.
    pub fn signal(&mut self, number: u8) {
        self.frame(Kind::Signal, Stream::Stdin, &[number]);
    }

    /// The bytes to send to the guest, which are then forgotten here.
    pub fn take_output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.output)
    }

    fn frame(&mut self, kind: Kind, stream: Stream, payload: &[u8]) {
        debug_assert!(payload.len() <= MAX_PAYLOAD);
        self.output.extend_from_slice(&Header { kind, stream, len: payload.len() }.to_bytes());
        self.output.extend_from_slice(payload);
    }

    fn grant(&mut self, stream: Stream) {
        let inbound = &mut self.inbound[stream as usize];
        if inbound.open && inbound.returned >= GRANT {
            let portion = std::mem::take(&mut inbound.returned);
            inbound.granted += portion;
            // At most WINDOW, which fits.
            self.frame(Kind::Credit, stream, &(portion as u32).to_le_bytes());
        }
    }

    fn interpret(&mut self, header: Header) -> Result<Event<'_>, ProtocolError> {
        let Header { kind, stream, .. } = header;
        match (self.phase, kind) {
            (Phase::Greeting, Kind::Hello) => return self.greet(),
            (Phase::Greeting, _) => return Err(ProtocolError::NoGreeting(kind)),
            (Phase::Ended, _) => return Err(ProtocolError::AfterExit(kind)),
            (Phase::Running, _) => {}
        }
        match kind {
            Kind::Data => self.data(stream),
            Kind::Credit => self.granted_credit(stream),
            Kind::Close => self.closed(stream),
            Kind::Log => match self.decoder.payload().split_first() {
                Some((&level, text)) => LogLevel::from_byte(level)
                    .map(|level| Event::Log(level, text))
                    .ok_or(ProtocolError::Payload(kind)),
                None => Err(ProtocolError::Payload(kind)),
            },
            Kind::Trace => Ok(Event::Trace(self.decoder.payload())),
            Kind::Entered => Ok(Event::Entered),
            Kind::Exit => {
                let status = ExitStatus::from_bytes(self.decoder.payload())
                    .ok_or(ProtocolError::Payload(kind))?;
                self.phase = Phase::Ended;
                Ok(Event::Exit(status))
            }
            Kind::Hello | Kind::WindowSize | Kind::Signal | Kind::WallTime => {
                Err(ProtocolError::NotForHost(kind))
            }
        }
    }

    fn greet(&mut self) -> Result<Event<'_>, ProtocolError> {
        let version = self.decoder.payload().try_into().map(u16::from_le_bytes);
        match version.map_err(|_| ProtocolError::Payload(Kind::Hello))? {
            VERSION => {
                self.phase = Phase::Running;
                Ok(Event::Hello)
            }
            other => Err(ProtocolError::Version(other)),
        }
    }

    fn data(&mut self, stream: Stream) -> Result<Event<'_>, ProtocolError> {
        let len = self.decoder.payload().len();
        let inbound = &mut self.inbound[stream as usize];
        if len > inbound.granted {
            return Err(ProtocolError::NoCredit { stream, excess: len - inbound.granted });
        }
        inbound.granted -= len;
        // After a broken pipe the rest of the credit may still be used, for nothing.
        let len = if inbound.open { len } else { 0 };
        Ok(Event::Data(stream, &self.decoder.payload()[..len]))
    }

    fn granted_credit(&mut self, stream: Stream) -> Result<Event<'_>, ProtocolError> {
        let bytes = self.decoder.payload().try_into();
        let more =
            bytes.map(u32::from_le_bytes).map_err(|_| ProtocolError::Payload(Kind::Credit))?;
        if !matches!(stream, Stream::Stdin | Stream::Terminal) {
            return Err(ProtocolError::Direction(Kind::Credit, stream));
        }
        let credit = &mut self.outbound[stream as usize].credit;
        *credit = credit.saturating_add(more as usize);
        Ok(Event::Credit(stream))
    }

    fn closed(&mut self, stream: Stream) -> Result<Event<'_>, ProtocolError> {
        if !self.decoder.payload().is_empty() {
            return Err(ProtocolError::Payload(Kind::Close));
        }
        self.outbound[stream as usize].open = false;
        // A stream that the guest ended has no credit: data after it breaks the contract.
        self.inbound[stream as usize] = Inbound::default();
        Ok(Event::Closed(stream))
    }
}

#[cfg(test)]
mod tests;

//! The control channel: frames in both directions over one virtio console port.
//!
//! A frame is a header of [`HEADER_LEN`] bytes followed by a payload of at most
//! [`MAX_PAYLOAD`] bytes; all numbers are little-endian:
//!
//! | offset | size | field |
//! |---|---|---|
//! | 0 | 1 | kind ([`Kind`]) |
//! | 1 | 1 | stream ([`Stream`]), 0 where the kind has none |
//! | 2 | 2 | zero |
//! | 4 | 4 | length of the payload |
//!
//! Each side begins with [`Kind::Hello`]. Bytes of a stream are sent only against credit
//! that the receiver granted with [`Kind::Credit`]; a stream begins with none. So a full
//! stream never holds up the others. [`Kind::Close`] from the sender of a stream is its end
//! of file; from the receiver it is a broken pipe: nobody reads it any more. The guest's
//! last frame is [`Kind::Exit`].

/// Length of a frame's header, in bytes.
pub const HEADER_LEN: usize = 8;

/// Largest payload of a frame, in bytes.
pub const MAX_PAYLOAD: usize = 16 * 1024;

/// What a frame says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Kind {
    /// First frame of each side. Payload: [`super::VERSION`] as `u16`.
    Hello = 1,
    /// Bytes of a stream.
    Data = 2,
    /// The receiver of a stream allows that many more bytes. Payload: `u32`.
    Credit = 3,
    /// End of file (from the sender) or broken pipe (from the receiver) of a stream; for
    /// [`Stream::Terminal`] both at once, a hang-up. Needs no credit. The host notices the end
    /// of its standard input only when the guest has granted credit for more.
    Close = 4,
    /// Host to guest: the terminal's size changed. Payload: rows, columns as `u16` each.
    WindowSize = 5,
    /// Host to guest: a signal for the program. Payload: its number as `u8`. The guest answers
    /// with a frame, of whatever kind; where it has nothing to say, with a [`Self::Credit`] of 0
    /// bytes. A guest that does not answer within seconds counts as dead, and is ended.
    Signal = 6,
    /// Host to guest: the time of day. Payload: nanoseconds since 1970 UTC as `u64`. Sent
    /// after `Hello`, and again after the host slept.
    WallTime = 7,
    /// Guest to host: a message of the kernel. Payload: level as `u8` ([`LogLevel`]), then
    /// text, UTF-8, no line feed at the end. The text may quote the application: escape it.
    Log = 8,
    /// Guest to host: one system call as the tracer prints it, without line feed.
    Trace = 9,
    /// Guest to host, last: how the run ended. Payload: [`ExitStatus::to_bytes`].
    Exit = 10,
    /// Guest to host: the program is in memory, and its first instruction is the next one.
    Entered = 11,
}

impl Kind {
    /// The kind with number `byte`.
    #[must_use]
    pub const fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            1 => Self::Hello,
            2 => Self::Data,
            3 => Self::Credit,
            4 => Self::Close,
            5 => Self::WindowSize,
            6 => Self::Signal,
            7 => Self::WallTime,
            8 => Self::Log,
            9 => Self::Trace,
            10 => Self::Exit,
            11 => Self::Entered,
            _ => return None,
        })
    }
}

/// A byte stream between the application and the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Stream {
    /// Host to guest: descriptor 0 where it is not the terminal.
    Stdin = 0,
    /// Guest to host: descriptor 1 where it is not the terminal.
    Stdout = 1,
    /// Guest to host: descriptor 2 where it is not the terminal.
    Stderr = 2,
    /// Both ways: the terminal, whose line discipline is in the guest (the host's own is in
    /// raw mode).
    Terminal = 3,
}

impl Stream {
    /// All streams, in the order of their numbers.
    pub const ALL: [Self; 4] = [Self::Stdin, Self::Stdout, Self::Stderr, Self::Terminal];

    /// The stream with number `byte`.
    #[must_use]
    pub const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            0 => Some(Self::Stdin),
            1 => Some(Self::Stdout),
            2 => Some(Self::Stderr),
            3 => Some(Self::Terminal),
            _ => None,
        }
    }
}

/// Level of a [`Kind::Log`] frame, as in the `log` crate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum LogLevel {
    /// Birgus is wrong.
    Error = 1,
    /// The application asked for something that is missing.
    Warn = 2,
    /// A milestone.
    Info = 3,
    /// A change of state.
    Debug = 4,
    /// The finest detail.
    Trace = 5,
}

impl LogLevel {
    /// The level with number `byte`.
    #[must_use]
    pub const fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            1 => Self::Error,
            2 => Self::Warn,
            3 => Self::Info,
            4 => Self::Debug,
            5 => Self::Trace,
            _ => return None,
        })
    }
}

/// The header of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// What the frame says.
    pub kind: Kind,
    /// Of which stream.
    pub stream: Stream,
    /// Length of the payload in bytes, at most [`MAX_PAYLOAD`].
    pub len: usize,
}

/// Why eight bytes are not the header of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadHeader {
    /// No such kind.
    Kind(u8),
    /// No such stream.
    Stream(u8),
    /// The reserved bytes are not zero.
    Reserved,
    /// The payload is longer than [`MAX_PAYLOAD`].
    Length(u32),
}

impl Header {
    /// The header as it is sent.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; HEADER_LEN] {
        let len = (self.len as u32).to_le_bytes();
        [self.kind as u8, self.stream as u8, 0, 0, len[0], len[1], len[2], len[3]]
    }

    /// Reads a header.
    ///
    /// # Errors
    /// [`BadHeader`] says which field is out of range.
    pub const fn from_bytes(bytes: [u8; HEADER_LEN]) -> Result<Self, BadHeader> {
        let Some(kind) = Kind::from_byte(bytes[0]) else {
            return Err(BadHeader::Kind(bytes[0]));
        };
        let Some(stream) = Stream::from_byte(bytes[1]) else {
            return Err(BadHeader::Stream(bytes[1]));
        };
        if bytes[2] != 0 || bytes[3] != 0 {
            return Err(BadHeader::Reserved);
        }
        let len = u32::from_le_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]);
        if len as usize > MAX_PAYLOAD {
            return Err(BadHeader::Length(len));
        }
        Ok(Self { kind, stream, len: len as usize })
    }
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitStatus {
    /// The program called exit_group(2) with this status, of which a parent on Linux would
    /// see the low 8 bits.
    Exited(i32),
    /// A signal ended the program.
    Killed(u8),
    /// The program could not be started; the payload is the errno, and a `Log` frame has
    /// said why.
    NotStarted(u16),
    /// The kernel failed; a `Log` frame has said how.
    KernelFailure,
}

impl ExitStatus {
    /// Length of the payload of [`Kind::Exit`], in bytes.
    pub const LEN: usize = 5;

    /// The payload of [`Kind::Exit`].
    #[must_use]
    pub const fn to_bytes(self) -> [u8; Self::LEN] {
        let (tag, value) = match self {
            Self::Exited(code) => (0, code),
            Self::Killed(signal) => (1, signal as i32),
            Self::NotStarted(errno) => (2, errno as i32),
            Self::KernelFailure => (3, 0),
        };
        let value = value.to_le_bytes();
        [tag, value[0], value[1], value[2], value[3]]
    }

    /// Reads the payload of [`Kind::Exit`]; `None` when it is not one.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let bytes: [u8; Self::LEN] = bytes.try_into().ok()?;
        let value = i32::from_le_bytes([bytes[1], bytes[2], bytes[3], bytes[4]]);
        match bytes[0] {
            0 => Some(Self::Exited(value)),
            1 => u8::try_from(value)
                .ok()
                .filter(|signal| (1..=64).contains(signal))
                .map(Self::Killed),
            2 => u16::try_from(value).ok().map(Self::NotStarted),
            3 => Some(Self::KernelFailure),
            _ => None,
        }
    }

    /// The status a shell would show: the low 8 bits, 128 + signal, 127 for a program that
    /// does not exist, 126 for one that cannot be executed, 125 when Birgus failed.
    #[must_use]
    pub const fn shell_status(self) -> u8 {
        match self {
            Self::Exited(code) => (code & 0xff) as u8,
            Self::Killed(signal) => 128 + signal,
            Self::NotStarted(errno) if errno == crate::Errno::ENOENT.number() => 127,
            Self::NotStarted(_) => 126,
            Self::KernelFailure => 125,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_survive_the_way() {
        for kind in 1..=10 {
            let kind = Kind::from_byte(kind).unwrap();
            let header = Header { kind, stream: Stream::Terminal, len: MAX_PAYLOAD };
            assert_eq!(Header::from_bytes(header.to_bytes()), Ok(header));
        }
    }

    #[test]
    fn bad_headers_name_the_field() {
        assert_eq!(Header::from_bytes([0; 8]), Err(BadHeader::Kind(0)));
        assert_eq!(Header::from_bytes([2, 9, 0, 0, 0, 0, 0, 0]), Err(BadHeader::Stream(9)));
        assert_eq!(Header::from_bytes([2, 0, 1, 0, 0, 0, 0, 0]), Err(BadHeader::Reserved));
        let long = Header::from_bytes([2, 0, 0, 0, 0, 0, 0, 1]);
        assert_eq!(long, Err(BadHeader::Length(0x0100_0000)));
    }

    #[test]
    fn exit_statuses_survive_the_way_and_show_as_in_a_shell() {
        let cases = [
            (ExitStatus::Exited(-1), 255),
            (ExitStatus::Exited(256), 0),
            (ExitStatus::Killed(11), 139),
            (ExitStatus::NotStarted(2), 127),
            (ExitStatus::NotStarted(8), 126),
            (ExitStatus::KernelFailure, 125),
        ];
        for (status, shown) in cases {
            assert_eq!(ExitStatus::from_bytes(&status.to_bytes()), Some(status));
            assert_eq!(status.shell_status(), shown);
        }
        assert_eq!(ExitStatus::from_bytes(&[1, 0, 0, 0, 0]), None);
        assert_eq!(ExitStatus::from_bytes(&[9, 0, 0, 0, 0]), None);
        assert_eq!(ExitStatus::from_bytes(&[]), None);
    }
}

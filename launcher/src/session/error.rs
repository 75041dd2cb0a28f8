//! How a guest can break the contract.

use abi::boot::VERSION;
use abi::boot::channel::{BadHeader, Kind, Stream};
use std::fmt;

/// The guest sent something that the contract does not allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProtocolError {
    /// Eight bytes that are not a header.
    Header(BadHeader),
    /// The kernel speaks another version of the contract.
    Version(u16),
    /// The first frame is not a greeting.
    NoGreeting(Kind),
    /// The payload of a frame of this kind has a wrong length or an impossible value.
    Payload(Kind),
    /// A frame that only the host sends, or a second greeting.
    NotForHost(Kind),
    /// A frame of this kind makes no sense for the stream.
    Direction(Kind, Stream),
    /// More bytes than were granted; also after the guest closed the stream, or for a stream
    /// that is not there.
    NoCredit {
        /// The stream.
        stream: Stream,
        /// Bytes too many.
        excess: usize,
    },
    /// A frame after the last one.
    AfterExit(Kind),
}

impl From<BadHeader> for ProtocolError {
    fn from(header: BadHeader) -> Self {
        Self::Header(header)
    }
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header(BadHeader::Kind(kind)) => write!(f, "frame of unknown kind {kind}"),
            Self::Header(BadHeader::Stream(stream)) => {
                write!(f, "frame of unknown stream {stream}")
            }
            Self::Header(BadHeader::Reserved) => f.write_str("frame with reserved bytes set"),
            Self::Header(BadHeader::Length(len)) => write!(f, "frame of {len} bytes"),
            Self::Version(version) => write!(
                f,
                "the kernel speaks version {version} of the boot contract, this birgus {VERSION}"
            ),
            Self::NoGreeting(kind) => write!(f, "{kind:?} frame before the greeting"),
            Self::Payload(kind) => write!(f, "malformed {kind:?} frame"),
            Self::NotForHost(kind) => write!(f, "{kind:?} frame that only the host may send"),
            Self::Direction(kind, stream) => write!(f, "{kind:?} frame for {stream:?}"),
            Self::NoCredit { stream, excess } => {
                write!(f, "{excess} bytes of {stream:?} beyond the granted credit")
            }
            Self::AfterExit(kind) => write!(f, "{kind:?} frame after the last one"),
        }
    }
}

impl std::error::Error for ProtocolError {}

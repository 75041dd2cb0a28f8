//! Sockets: socket(7).
//!
//! - [`Socket`]: what a family offers; its calls are those of section 2
//! - [`SocketFile`]: a socket that descriptors refer to
//! - [`Options`]: the options that all families have
//! - [`Sockets`]: what there is of sockets once per machine
//! - [`unix`]: the family of unix(7)
//! - [`inet`]: those of ip(7) and ipv6(7), on the stack [`ip`]
//! - [`netlink`]: that of netlink(7)

mod file;
mod inet;
pub(crate) mod ip;
pub(crate) mod netlink;
mod options;
mod registry;
mod requests;
pub(crate) mod unix;

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};

use abi::Errno;
use abi::net::{MessageFlags, Ucred, family};

use crate::context::Context;
use crate::error::{Because, Result};
use crate::fs::{OpenFile, PollEvents};
use crate::io::{Sink, Source};
use crate::wait::WaitQueue;

use inet::Version;

pub(crate) use file::{open, send};
pub(crate) use inet::socket_address;
pub(crate) use options::{Options, Timeout, Value, unknown as unknown_option};
pub(crate) use registry::{Registered, Registry};

/// What a socket transfers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Bytes, over a connection: `SOCK_STREAM`.
    Stream,
    /// Messages, each on its own: `SOCK_DGRAM`.
    Datagram,
    /// Messages, over a connection: `SOCK_SEQPACKET`.
    SeqPacket,
    /// Packets of a lower layer: `SOCK_RAW`.
    Raw,
}

impl Kind {
    /// Its number: `SO_TYPE`.
    pub(crate) const fn number(self) -> u32 {
        match self {
            Self::Stream => abi::net::kind::STREAM,
            Self::Datagram => abi::net::kind::DATAGRAM,
            Self::SeqPacket => abi::net::kind::SEQPACKET,
            Self::Raw => abi::net::kind::RAW,
        }
    }
}

/// Which directions shutdown(2) ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Directions {
    /// Nothing is received any more.
    pub receive: bool,
    /// Nothing is sent any more.
    pub send: bool,
}

/// A control message of a level other than `SOL_SOCKET`: cmsg(3).
pub struct Control {
    /// The level.
    pub level: u32,
    /// What it is.
    pub kind: u32,
    /// What it says.
    pub data: Vec<u8>,
}

/// What is sent beside the bytes, and how.
#[derive(Default)]
pub struct Outgoing {
    /// To whom; `None` for the peer.
    pub address: Option<Vec<u8>>,
    /// How; `DONTWAIT` also for a descriptor that does not wait.
    pub flags: MessageFlags,
    /// Open files for the receiver.
    pub files: Vec<Arc<OpenFile>>,
    /// Who sends, where the sender says so. It may.
    pub credentials: Option<Ucred>,
    /// Control messages of other levels.
    pub controls: Vec<Control>,
}

/// What was received beside the bytes.
#[derive(Default)]
pub struct Incoming {
    /// How many bytes the call returns.
    pub len: usize,
    /// From whom; `None` where that means nothing.
    pub address: Option<Vec<u8>>,
    /// What recvmsg(2) says of the message.
    pub flags: MessageFlags,
    /// Open files of the sender.
    pub files: Vec<Arc<OpenFile>>,
    /// Who sent it, where the receiver wants to know.
    pub credentials: Option<Ucred>,
    /// Control messages of other levels.
    pub controls: Vec<Control>,
}

/// What /proc/net shows of a socket.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// How far it is: a number of [`abi::net::state`].
    pub state: u8,
    /// The address of the peer, where it has one, also before it answers.
    pub peer: Option<Vec<u8>>,
    /// How many bytes were sent and have not arrived.
    pub sending: usize,
    /// How many bytes, or connections, wait to be received.
    pub receiving: usize,
}

/// Reads the value of an option from the application, as much of it as any option has.
pub(crate) type ReadValue<'a> = dyn Fn() -> Result<Vec<u8>> + 'a;

/// A socket. Addresses are as the application gives and gets them, with their family first.
/// Defaults are those of a socket that cannot do the thing.
pub trait Socket: Send + Sync {
    /// Its family.
    fn family(&self) -> u16;

    /// What it transfers.
    fn kind(&self) -> Kind;

    /// The options that all families have.
    fn options(&self) -> &Options;

    /// Its protocol: `SO_PROTOCOL`.
    fn protocol(&self) -> u32 {
        0
    }

    /// The value of an option of another level than `SOL_SOCKET`.
    fn option(&self, level: u32, number: u32) -> Result<i32> {
        let _ = (level, number);
        Err(Errno::EOPNOTSUPP.because("the socket has no options of that level"))
    }

    /// The value of such an option that is no number; `None` where there is no such one.
    fn long_option(&self, level: u32, number: u32) -> Option<Vec<u8>> {
        let _ = (level, number);
        None
    }

    /// Sets an option of another level than `SOL_SOCKET`.
    fn set_option(&self, cx: &Context<'_>, level: u32, number: u32, value: i32) -> Result<()> {
        let _ = (cx, value);
        self.option(level, number).map(drop)
    }

    /// Sets such an option whose value is no number, which `value` reads; `None` where there
    /// is no such one.
    fn set_long_option(
        &self,
        level: u32,
        number: u32,
        value: &ReadValue<'_>,
    ) -> Option<Result<()>> {
        let _ = (level, number, value);
        None
    }

    /// Called when [`Socket::options`] have changed.
    fn options_changed(&self) {}

    /// Gives it an address: bind(2).
    fn bind(&self, cx: &Context<'_>, address: &[u8]) -> Result<()>;

    /// Lets it wait for connections: listen(2).
    fn listen(&self, cx: &Context<'_>, backlog: u32) -> Result<()> {
        let _ = (cx, backlog);
        Err(not_supported())
    }

    /// Takes the next connection, or waits for one unless `flags` has `DONTWAIT`: accept(2).
    fn accept(&self, cx: &Context<'_>, flags: MessageFlags) -> Result<Arc<dyn Socket>> {
        let _ = (cx, flags);
        Err(not_supported())
    }

    /// Connects it: connect(2).
    fn connect(&self, cx: &Context<'_>, address: &[u8], flags: MessageFlags) -> Result<()>;

    /// Ends directions: shutdown(2).
    fn shutdown(&self, cx: &Context<'_>, directions: Directions) -> Result<()>;

    /// Its address: getsockname(2).
    fn name(&self) -> Vec<u8>;

    /// The address of its peer: getpeername(2).
    fn peer_name(&self) -> Result<Vec<u8>>;

    /// Sends: sendmsg(2). Does not raise `SIGPIPE`.
    fn send(&self, cx: &Context<'_>, from: &mut dyn Source, how: Outgoing) -> Result<usize>;

    /// Whether `EPIPE` of [`Socket::send`] comes with `SIGPIPE`.
    fn raises_pipe_signal(&self) -> bool {
        self.kind() == Kind::Stream
    }

    /// Called when close(2) takes the last descriptor: waits for what was sent to arrive, where
    /// `SO_LINGER` asks for that.
    fn linger(&self, cx: &Context<'_>) {
        let _ = cx;
    }

    /// Receives: recvmsg(2).
    fn receive(&self, cx: &Context<'_>, to: &mut dyn Sink, flags: MessageFlags)
    -> Result<Incoming>;

    /// What /proc/net shows of it.
    fn status(&self) -> Status;

    /// Takes the error that has come: `SO_ERROR`.
    fn take_error(&self) -> Option<Errno> {
        None
    }

    /// Whether it listens: `SO_ACCEPTCONN`.
    fn is_listening(&self) -> bool {
        false
    }

    /// Who is at the other end: `SO_PEERCRED`.
    fn peer_credentials(&self) -> Ucred {
        Ucred::NOBODY
    }

    /// How many bytes can be received at once: `FIONREAD`.
    fn receivable_bytes(&self) -> Result<usize>;

    /// How many bytes were sent and not received yet: `SIOCOUTQ`.
    fn unreceived_bytes(&self) -> Result<usize>;

    /// What is true of it now.
    fn poll(&self) -> PollEvents;

    /// Woken when [`Socket::poll`] may have changed.
    fn wait_queue(&self) -> &WaitQueue;

    /// The socket of unix(7) that it is.
    fn unix(&self) -> Option<&unix::UnixSocket> {
        None
    }
}

fn not_supported() -> crate::error::Error {
    Errno::EOPNOTSUPP.because("the socket does not do that")
}

/// What there is of sockets once per machine.
#[derive(Default)]
pub(crate) struct Sockets {
    /// How many inodes there have been.
    numbers: AtomicU64,
    /// The sockets that are open.
    pub(crate) open: Arc<Registry>,
    /// The addresses of unix(7).
    pub(crate) unix_names: Arc<unix::Names>,
    /// Open files in messages.
    pub(crate) in_flight: Arc<unix::InFlight>,
    /// The numbers of sockets of netlink(7).
    pub(crate) netlink_ports: Arc<netlink::Ports>,
}

impl Sockets {
    /// A number for a socket's inode.
    fn next_number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed) + 1
    }
}

/// Makes a socket: socket(2).
///
/// # Errors
/// `EAFNOSUPPORT`, `EINVAL`, `ESOCKTNOSUPPORT`, `EPROTONOSUPPORT`.
pub(crate) fn create(
    cx: &Context<'_>,
    domain: i32,
    kind: u32,
    protocol: i32,
) -> Result<Arc<dyn Socket>> {
    if (0..family::MAX).contains(&domain) && kind >= abi::net::kind::MAX {
        return Err(Errno::EINVAL.because("there is no such type of socket"));
    }
    let version = match u16::try_from(domain) {
        Ok(family::INET) => Version::V4,
        Ok(family::INET6) => Version::V6,
        Ok(family::NETLINK) => return netlink::create(cx, kind, protocol),
        _ => {
            let kind = check(domain, kind, protocol)?;
            let socket: Arc<dyn Socket> = unix::UnixSocket::new(cx, kind);
            return Ok(socket);
        }
    };
    inet::create(cx, version, kind, protocol)
}

/// Makes two sockets that are connected with each other: socketpair(2).
///
/// # Errors
/// As [`create`]; `EOPNOTSUPP` for a family that cannot.
pub(crate) fn create_pair(
    cx: &Context<'_>,
    domain: i32,
    kind: u32,
    protocol: i32,
) -> Result<[Arc<dyn Socket>; 2]> {
    if matches!(u16::try_from(domain), Ok(family::INET | family::INET6 | family::NETLINK)) {
        // What cannot even be made is refused as socket(2) refuses it.
        return create(cx, domain, kind, protocol).and(Err(not_supported()));
    }
    let kind = check(domain, kind, protocol)?;
    Ok(unix::UnixSocket::pair(cx, kind).map(|socket| socket as Arc<dyn Socket>))
}

fn check(domain: i32, kind: u32, protocol: i32) -> Result<Kind> {
    let unsupported = Errno::EAFNOSUPPORT.because("there is no such family");
    if !(0..family::MAX).contains(&domain) {
        return Err(unsupported);
    }
    if kind >= abi::net::kind::MAX {
        return Err(Errno::EINVAL.because("there is no such type of socket"));
    }
    if domain != i32::from(family::UNIX) {
        return Err(unsupported);
    }
    if protocol != 0 && protocol != i32::from(family::UNIX) {
        return Err(Errno::EPROTONOSUPPORT.because("the family has one protocol"));
    }
    match kind {
        abi::net::kind::STREAM => Ok(Kind::Stream),
        abi::net::kind::DATAGRAM | abi::net::kind::RAW => Ok(Kind::Datagram),
        abi::net::kind::SEQPACKET => Ok(Kind::SeqPacket),
        _ => Err(Errno::ESOCKTNOSUPPORT.because("the family has no such type of socket")),
    }
}

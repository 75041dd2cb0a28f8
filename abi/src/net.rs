//! Sockets: socket(2), socket(7), unix(7), and the structures of sendmsg(2) and recvmsg(2).

pub mod interface;
pub mod netlink;

use bitflags::bitflags;
use linux_raw_sys::net as raw;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

pub use interface::InterfaceFlags;

/// Address families: the first argument of socket(2).
pub mod family {
    /// None: disconnects a datagram socket.
    pub const UNSPEC: u16 = 0;
    /// unix(7).
    pub const UNIX: u16 = 1;
    /// ip(7).
    pub const INET: u16 = 2;
    /// ipv6(7).
    pub const INET6: u16 = 10;
    /// netlink(7).
    pub const NETLINK: u16 = 16;
    /// One more than the highest family of Linux.
    pub const MAX: i32 = 46;
}

/// Types of sockets: the second argument of socket(2).
pub mod kind {
    /// A stream of bytes.
    pub const STREAM: u32 = 1;
    /// Messages, each on its own.
    pub const DATAGRAM: u32 = 2;
    /// Packets of a lower layer; in the family of unix(7) the same as [`DATAGRAM`].
    pub const RAW: u32 = 3;
    /// Messages in order, over a connection.
    pub const SEQPACKET: u32 = 5;
    /// One more than the highest type.
    pub const MAX: u32 = 11;
    /// The bits that are the type; the others are [`super::SocketFlags`].
    pub const MASK: u32 = 0xf;
}

bitflags! {
    /// Flags of socket(2), socketpair(2) and accept4(2).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct SocketFlags: u32 {
        /// Calls do not wait.
        const NONBLOCK = linux_raw_sys::general::O_NONBLOCK;
        /// The descriptor closes on execve(2).
        const CLOEXEC = linux_raw_sys::general::O_CLOEXEC;
    }
}

bitflags! {
    /// Flags of send(2) and recv(2), and those that recvmsg(2) gives.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct MessageFlags: u32 {
        /// Out-of-band data.
        const OOB = raw::MSG_OOB;
        /// Leave what is received.
        const PEEK = raw::MSG_PEEK;
        /// Not over a gateway.
        const DONTROUTE = raw::MSG_DONTROUTE;
        /// Control data was cut.
        const CTRUNC = raw::MSG_CTRUNC;
        /// The message was cut; as an argument: give its whole length.
        const TRUNC = raw::MSG_TRUNC;
        /// Do not wait.
        const DONTWAIT = raw::MSG_DONTWAIT;
        /// The end of a record.
        const EOR = raw::MSG_EOR;
        /// Wait for all.
        const WAITALL = raw::MSG_WAITALL;
        /// The neighbour is known.
        const CONFIRM = raw::MSG_CONFIRM;
        /// Receive errors.
        const ERRQUEUE = raw::MSG_ERRQUEUE;
        /// No `SIGPIPE`.
        const NOSIGNAL = raw::MSG_NOSIGNAL;
        /// More follows.
        const MORE = raw::MSG_MORE;
        /// recvmmsg(2): wait for the first message only.
        const WAITFORONE = 0x10000;
        /// Received descriptors close on execve(2).
        const CMSG_CLOEXEC = raw::MSG_CMSG_CLOEXEC;
    }
}

/// Levels of options and control messages.
pub mod level {
    /// The socket itself.
    pub const SOCKET: u32 = super::raw::SOL_SOCKET;
    /// ip(7).
    pub const IP: u32 = 0;
    /// tcp(7).
    pub const TCP: u32 = 6;
    /// ipv6(7).
    pub const IPV6: u32 = 41;
    /// netlink(7).
    pub const NETLINK: u32 = 270;
}

/// States of sockets, as /proc/net and `TCP_INFO` show them: `TCP_*`, and `SS_*` of unix(7).
#[allow(missing_docs)]
pub mod state {
    pub const ESTABLISHED: u8 = 1;
    pub const SYN_SENT: u8 = 2;
    pub const SYN_RECEIVED: u8 = 3;
    pub const FIN_WAIT_1: u8 = 4;
    pub const FIN_WAIT_2: u8 = 5;
    pub const TIME_WAIT: u8 = 6;
    pub const CLOSED: u8 = 7;
    pub const CLOSE_WAIT: u8 = 8;
    pub const LAST_ACK: u8 = 9;
    pub const LISTEN: u8 = 10;
    pub const CLOSING: u8 = 11;
    pub const UNIX_UNCONNECTED: u8 = 1;
    pub const UNIX_CONNECTED: u8 = 3;
}

/// Protocols: the third argument of socket(2).
pub mod protocol {
    /// icmp(7).
    pub const ICMP: i32 = 1;
    /// tcp(7).
    pub const TCP: i32 = 6;
    /// udp(7).
    pub const UDP: i32 = 17;
    /// ICMP of IPv6.
    pub const ICMPV6: i32 = 58;
}

/// Options at the level [`level::IP`]: `linux/in.h`.
#[allow(missing_docs)]
pub mod ip_option {
    pub const TOS: u32 = 1;
    pub const TTL: u32 = 2;
    pub const HDRINCL: u32 = 3;
    pub const RECVOPTS: u32 = 6;
    pub const RETOPTS: u32 = 7;
    pub const PKTINFO: u32 = 8;
    pub const MTU_DISCOVER: u32 = 10;
    pub const RECVERR: u32 = 11;
    pub const RECVTTL: u32 = 12;
    pub const RECVTOS: u32 = 13;
    pub const FREEBIND: u32 = 15;
    pub const BIND_ADDRESS_NO_PORT: u32 = 24;
    pub const MULTICAST_IF: u32 = 32;
    pub const MULTICAST_TTL: u32 = 33;
    pub const MULTICAST_LOOP: u32 = 34;
    pub const ADD_MEMBERSHIP: u32 = 35;
    pub const DROP_MEMBERSHIP: u32 = 36;
    /// Of [`level::IPV6`](super::level::IPV6) as well, as the one below.
    pub const MCAST_JOIN_GROUP: u32 = 42;
    pub const MCAST_LEAVE_GROUP: u32 = 45;
    pub const MULTICAST_ALL: u32 = 49;
}

/// Options at the level [`level::IPV6`]: `linux/in6.h`.
#[allow(missing_docs)]
pub mod ipv6_option {
    pub const UNICAST_HOPS: u32 = 16;
    pub const MULTICAST_IF: u32 = 17;
    pub const MULTICAST_HOPS: u32 = 18;
    pub const MULTICAST_LOOP: u32 = 19;
    pub const ADD_MEMBERSHIP: u32 = 20;
    pub const DROP_MEMBERSHIP: u32 = 21;
    pub const MTU_DISCOVER: u32 = 23;
    pub const RECVERR: u32 = 25;
    pub const V6ONLY: u32 = 26;
    pub const MULTICAST_ALL: u32 = 29;
    pub const RECVPKTINFO: u32 = 49;
    pub const PKTINFO: u32 = 50;
    pub const RECVHOPLIMIT: u32 = 51;
    pub const HOPLIMIT: u32 = 52;
    pub const RECVTCLASS: u32 = 66;
    pub const TCLASS: u32 = 67;
}

/// Options at the level [`level::TCP`]: `linux/tcp.h`.
#[allow(missing_docs)]
pub mod tcp_option {
    pub const NODELAY: u32 = 1;
    pub const MAXSEG: u32 = 2;
    pub const CORK: u32 = 3;
    pub const KEEPIDLE: u32 = 4;
    pub const KEEPINTVL: u32 = 5;
    pub const KEEPCNT: u32 = 6;
    pub const SYNCNT: u32 = 7;
    pub const LINGER2: u32 = 8;
    pub const DEFER_ACCEPT: u32 = 9;
    pub const WINDOW_CLAMP: u32 = 10;
    pub const INFO: u32 = 11;
    /// Length of `struct tcp_info` of Linux 6.12, in bytes.
    pub const INFO_LEN: usize = 248;
    pub const QUICKACK: u32 = 12;
    pub const CONGESTION: u32 = 13;
    pub const USER_TIMEOUT: u32 = 18;
    pub const NOTSENT_LOWAT: u32 = 25;
}

/// Options at the level [`level::SOCKET`]: socket(7).
pub mod option {
    pub use linux_raw_sys::net::{
        SO_ACCEPTCONN, SO_BINDTODEVICE, SO_BROADCAST, SO_DOMAIN, SO_DONTROUTE, SO_ERROR,
        SO_KEEPALIVE, SO_LINGER, SO_MARK, SO_NO_CHECK, SO_OOBINLINE, SO_PASSCRED, SO_PEERCRED,
        SO_PRIORITY, SO_PROTOCOL, SO_RCVBUF, SO_RCVBUFFORCE, SO_RCVLOWAT, SO_RCVTIMEO_NEW,
        SO_RCVTIMEO_OLD, SO_REUSEADDR, SO_REUSEPORT, SO_SNDBUF, SO_SNDBUFFORCE, SO_SNDLOWAT,
        SO_SNDTIMEO_NEW, SO_SNDTIMEO_OLD, SO_TYPE,
    };
}

/// Control messages at the level [`level::SOCKET`]: unix(7).
pub mod control {
    /// Descriptors.
    pub const RIGHTS: u32 = super::raw::SCM_RIGHTS;
    /// Who sends.
    pub const CREDENTIALS: u32 = super::raw::SCM_CREDENTIALS;
    /// Most descriptors in one message (`SCM_MAX_FD`).
    pub const MAX_RIGHTS: usize = 253;
}

/// Requests of ioctl(2) on sockets.
pub mod request {
    /// How many bytes are sent and not yet received (`SIOCOUTQ`).
    pub const OUTQ: u32 = 0x5411;
    /// Whether urgent data comes next (`SIOCATMARK`).
    pub const AT_MARK: u32 = 0x8905;
}

/// Longest address, in bytes: `struct sockaddr_storage`.
pub const ADDRESS_MAX: usize = 128;

/// Length of `struct sockaddr_un`, in bytes.
pub const UNIX_ADDRESS_MAX: usize = 110;

/// `struct sockaddr_in`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Sockaddr4 {
    /// [`family::INET`].
    pub family: u16,
    /// The port, big-endian.
    pub port: [u8; 2],
    /// The address.
    pub address: [u8; 4],
    /// Nothing.
    pub zero: [u8; 8],
}

const _: () = assert!(size_of::<Sockaddr4>() == 16);

/// `struct sockaddr_in6`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Sockaddr6 {
    /// [`family::INET6`].
    pub family: u16,
    /// The port, big-endian.
    pub port: [u8; 2],
    /// The flow.
    pub flow: u32,
    /// The address.
    pub address: [u8; 16],
    /// The interface of an address that is only good there.
    pub scope: u32,
}

const _: () = assert!(size_of::<Sockaddr6>() == 28);

/// Longest queue of connections that listen(2) takes (/proc/sys/net/core/somaxconn).
pub const SOMAXCONN: u32 = 4096;

/// `struct msghdr`.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct MessageHeader {
    /// Where the address is.
    pub name: u64,
    /// Length of that, in bytes.
    pub name_len: u32,
    /// Zero.
    pub padding: u32,
    /// Where the vector of buffers is.
    pub vector: u64,
    /// How many buffers.
    pub vector_len: u64,
    /// Where the control messages are.
    pub control: u64,
    /// Length of them all, in bytes.
    pub control_len: u64,
    /// [`MessageFlags`] of what was received.
    pub flags: u32,
    /// Zero.
    pub padding2: u32,
}

const _: () = assert!(size_of::<MessageHeader>() == 56);

/// `struct mmsghdr`.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct CountedMessage {
    /// The message.
    pub header: MessageHeader,
    /// How many bytes of it were transferred.
    pub len: u32,
    /// Zero.
    pub padding: u32,
}

const _: () = assert!(size_of::<CountedMessage>() == 64);

/// `struct cmsghdr`: the head of a control message.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct ControlHeader {
    /// Length of the message with this head, in bytes.
    pub len: u64,
    /// Whose message it is: [`level`].
    pub level: u32,
    /// What it is: [`control`].
    pub kind: u32,
}

const _: () = assert!(size_of::<ControlHeader>() == 16);

/// `struct ucred`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Ucred {
    /// Number of the process; 0 for none.
    pub process: u32,
    /// Its user.
    pub user: u32,
    /// Its group.
    pub group: u32,
}

const _: () = assert!(size_of::<Ucred>() == 12);

impl Ucred {
    /// Nobody.
    pub const NOBODY: Self = Self { process: 0, user: u32::MAX, group: u32::MAX };
}

/// `struct in_pktinfo`: where a message arrived, or from where it goes.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct PacketInfo4 {
    /// The number of the interface.
    pub interface: u32,
    /// The address of this machine.
    pub local: [u8; 4],
    /// The address it went to.
    pub destination: [u8; 4],
}

const _: () = assert!(size_of::<PacketInfo4>() == 12);

/// `struct in6_pktinfo`: where a message arrived, or from where it goes.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct PacketInfo6 {
    /// The address.
    pub address: [u8; 16],
    /// The number of the interface.
    pub interface: u32,
}

const _: () = assert!(size_of::<PacketInfo6>() == 20);

/// `struct linger`.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Linger {
    /// Whether close(2) waits.
    pub is_on: u32,
    /// For how many seconds.
    pub seconds: u32,
}

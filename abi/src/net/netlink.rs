//! Netlink: netlink(7) and rtnetlink(7), as far as routes, addresses and interfaces are read.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Protocols of the family: the third argument of socket(2).
pub mod protocol {
    /// Interfaces, addresses and routes: rtnetlink(7).
    pub const ROUTE: i32 = 0;
    /// One more than the highest protocol of Linux.
    pub const MAX: i32 = 32;
}

/// Options at the level [`super::level::NETLINK`].
#[allow(missing_docs)]
pub mod option {
    pub const ADD_MEMBERSHIP: u32 = 1;
    pub const DROP_MEMBERSHIP: u32 = 2;
    pub const PKTINFO: u32 = 3;
    pub const BROADCAST_ERROR: u32 = 4;
    pub const NO_ENOBUFS: u32 = 5;
    pub const CAP_ACK: u32 = 10;
    pub const EXT_ACK: u32 = 11;
    pub const GET_STRICT_CHK: u32 = 12;
}

/// Most multicast groups of [`protocol::ROUTE`] (`RTNLGRP_MAX`).
pub const GROUPS: u32 = 36;

/// Types of messages.
#[allow(missing_docs)]
pub mod kind {
    pub const ERROR: u16 = 2;
    pub const DONE: u16 = 3;
    /// Smaller types are netlink's own.
    pub const FIRST: u16 = 16;
    pub const NEW_LINK: u16 = 16;
    pub const GET_LINK: u16 = 18;
    pub const SET_LINK: u16 = 19;
    pub const NEW_ADDRESS: u16 = 20;
    pub const GET_ADDRESS: u16 = 22;
    pub const NEW_ROUTE: u16 = 24;
    pub const GET_ROUTE: u16 = 26;
    pub const GET_NEIGHBOUR: u16 = 30;
    pub const NEW_RULE: u16 = 32;
    pub const GET_RULE: u16 = 34;
    /// The last one of Linux (`RTM_MAX`).
    pub const LAST: u16 = 123;
    /// The bits that tell what is to be done (`RTNL_KIND_*`), and their value for reading.
    pub const ACTION: u16 = 3;
    pub const ACTION_GET: u16 = 2;
}

/// Flags of messages.
#[allow(missing_docs)]
pub mod flag {
    pub const REQUEST: u16 = 1;
    pub const MULTI: u16 = 2;
    pub const ACK: u16 = 4;
    /// `NLM_F_ROOT | NLM_F_MATCH`: all of them.
    pub const DUMP: u16 = 0x300;
    /// In an acknowledgement: the request is not repeated in it.
    pub const CAPPED: u16 = 0x100;
    /// In an acknowledgement: attributes follow.
    pub const ACK_TLVS: u16 = 0x200;
}

/// Attributes of an extended acknowledgement: `NLMSGERR_ATTR_*`.
pub mod ack {
    /// What is wrong, in words.
    pub const MESSAGE: u16 = 1;
}

/// Attributes of a link: `IFLA_*`.
#[allow(missing_docs)]
pub mod link {
    pub const ADDRESS: u16 = 1;
    pub const BROADCAST: u16 = 2;
    pub const IFNAME: u16 = 3;
    pub const MTU: u16 = 4;
    pub const QDISC: u16 = 6;
    pub const STATS: u16 = 7;
    pub const TXQLEN: u16 = 13;
    pub const OPERSTATE: u16 = 16;
    pub const LINKMODE: u16 = 17;
    pub const STATS64: u16 = 23;
    pub const GROUP: u16 = 27;
    pub const PROMISCUITY: u16 = 30;
    pub const NUM_TX_QUEUES: u16 = 31;
    pub const NUM_RX_QUEUES: u16 = 32;
    pub const CARRIER: u16 = 33;
    pub const CARRIER_CHANGES: u16 = 35;
    pub const ALT_IFNAME: u16 = 53;
    pub const MIN_MTU: u16 = 50;
    pub const MAX_MTU: u16 = 51;
    /// Values of [`OPERSTATE`].
    pub const OPERSTATE_UNKNOWN: u8 = 0;
    pub const OPERSTATE_UP: u8 = 6;
}

/// Attributes of an address: `IFA_*`.
#[allow(missing_docs)]
pub mod address {
    pub const ADDRESS: u16 = 1;
    pub const LOCAL: u16 = 2;
    pub const LABEL: u16 = 3;
    pub const BROADCAST: u16 = 4;
    pub const CACHEINFO: u16 = 6;
    pub const FLAGS: u16 = 8;
    /// Flag: it does not expire.
    pub const PERMANENT: u8 = 0x80;
}

/// Attributes of a route: `RTA_*`.
#[allow(missing_docs)]
pub mod route {
    pub const DST: u16 = 1;
    pub const OIF: u16 = 4;
    pub const GATEWAY: u16 = 5;
    pub const PRIORITY: u16 = 6;
    pub const PREFSRC: u16 = 7;
    pub const TABLE: u16 = 15;
    /// Tables: `RT_TABLE_*`.
    pub const TABLE_DEFAULT: u8 = 253;
    pub const TABLE_MAIN: u8 = 254;
    pub const TABLE_LOCAL: u8 = 255;
    /// Who made it: `RTPROT_*`.
    pub const BY_KERNEL: u8 = 2;
    pub const BY_BOOT: u8 = 3;
    pub const BY_ROUTER: u8 = 9;
    /// What it leads to: `RTN_*`.
    pub const UNICAST: u8 = 1;
    pub const LOCAL: u8 = 2;
    pub const BROADCAST: u8 = 3;
    pub const MULTICAST: u8 = 5;
    /// Flag: the answer to a question for one destination (`RTM_F_CLONED`).
    pub const CLONED: u32 = 0x200;
}

/// Attributes of a rule: `FRA_*`.
#[allow(missing_docs)]
pub mod rule {
    pub const PRIORITY: u16 = 6;
    pub const SUPPRESS_PREFIXLEN: u16 = 14;
    pub const TABLE: u16 = 15;
    pub const PROTOCOL: u16 = 21;
    /// What it does: looks into a table (`FR_ACT_TO_TBL`).
    pub const TO_TABLE: u8 = 1;
}

/// How far an address or a route reaches: `RT_SCOPE_*`.
#[allow(missing_docs)]
pub mod scope {
    pub const UNIVERSE: u8 = 0;
    pub const LINK: u8 = 253;
    pub const HOST: u8 = 254;
}

/// Types of devices: `ARPHRD_*`.
#[allow(missing_docs)]
pub mod hardware {
    pub const ETHER: u16 = 1;
    pub const LOOPBACK: u16 = 772;
}

/// Messages and their attributes begin at multiples of this, in bytes.
pub const ALIGNMENT: usize = 4;

/// `struct sockaddr_nl`.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Sockaddr {
    /// [`super::family::NETLINK`].
    pub family: u16,
    /// Zero.
    pub padding: u16,
    /// The number of the socket; 0 for the kernel.
    pub port: u32,
    /// Multicast groups, a bit for each.
    pub groups: u32,
}

const _: () = assert!(size_of::<Sockaddr>() == 12);

/// `struct nlmsghdr`: the head of a message.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Header {
    /// Length of the message with this head, in bytes.
    pub len: u32,
    /// [`kind`]
    pub kind: u16,
    /// [`flag`]
    pub flags: u16,
    /// What the one who asks calls it.
    pub sequence: u32,
    /// Whose answer it is.
    pub port: u32,
}

const _: () = assert!(size_of::<Header>() == 16);

/// `struct nlattr`: the head of an attribute.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Attribute {
    /// Length of the attribute with this head, in bytes.
    pub len: u16,
    /// What it is; the two highest bits are flags.
    pub kind: u16,
}

impl Attribute {
    /// The bits of [`Attribute::kind`] that are the type.
    pub const KIND: u16 = 0x3fff;
}

const _: () = assert!(size_of::<Attribute>() == 4);

/// `struct ifinfomsg`.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct LinkMessage {
    /// Nothing.
    pub family: u8,
    /// Zero.
    pub padding: u8,
    /// [`hardware`]
    pub kind: u16,
    /// Number of the interface.
    pub index: i32,
    /// [`super::InterfaceFlags`]
    pub flags: u32,
    /// Which flags are meant.
    pub change: u32,
}

const _: () = assert!(size_of::<LinkMessage>() == 16);

/// `struct ifaddrmsg`.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct AddressMessage {
    /// The family of the address.
    pub family: u8,
    /// How many bits of it are the network's.
    pub prefix_len: u8,
    /// Flags.
    pub flags: u8,
    /// [`scope`]
    pub scope: u8,
    /// Number of the interface.
    pub index: u32,
}

const _: () = assert!(size_of::<AddressMessage>() == 8);

/// `struct ifa_cacheinfo`: times in seconds; [`u32::MAX`] for ever.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct AddressTimes {
    /// How long it is preferred.
    pub preferred: u32,
    /// How long it is good.
    pub valid: u32,
    /// When it was made, in hundredths of a second since boot.
    pub created: u32,
    /// When it was changed, likewise.
    pub updated: u32,
}

/// `struct rtmsg`; also `struct fib_rule_hdr`, whose last byte before the flags is the action.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct RouteMessage {
    /// The family of its addresses.
    pub family: u8,
    /// How many bits of the destination count.
    pub destination_len: u8,
    /// How many bits of the source count.
    pub source_len: u8,
    /// Type of service.
    pub service: u8,
    /// The table, where its number is small.
    pub table: u8,
    /// Who made it.
    pub protocol: u8,
    /// [`scope`]
    pub scope: u8,
    /// What it leads to.
    pub kind: u8,
    /// Flags.
    pub flags: u32,
}

const _: () = assert!(size_of::<RouteMessage>() == 12);

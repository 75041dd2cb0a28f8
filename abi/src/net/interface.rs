//! Requests of ioctl(2) about interfaces: netdevice(7).

use bitflags::bitflags;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Longest name of an interface with its NUL, in bytes.
pub const NAME_LEN: usize = 16;

/// The requests: `SIOC*`.
#[allow(missing_docs)]
pub mod request {
    pub const GET_NAME: u32 = 0x8910;
    pub const GET_CONFIGURATION: u32 = 0x8912;
    pub const GET_FLAGS: u32 = 0x8913;
    pub const SET_FLAGS: u32 = 0x8914;
    pub const GET_ADDRESS: u32 = 0x8915;
    pub const GET_DESTINATION: u32 = 0x8917;
    pub const GET_BROADCAST: u32 = 0x8919;
    pub const GET_NETMASK: u32 = 0x891b;
    pub const GET_METRIC: u32 = 0x891d;
    pub const GET_MTU: u32 = 0x8921;
    pub const GET_HARDWARE: u32 = 0x8927;
    pub const GET_INDEX: u32 = 0x8933;
    pub const GET_QUEUE_LEN: u32 = 0x8942;
    pub const GET_MAP: u32 = 0x8970;
    pub const SET_ADDRESS: u32 = 0x8916;
    /// Requests that change interfaces, addresses, routes or neighbours.
    pub const SETTINGS: &[u32] = &[
        0x890b,
        0x890c,
        0x8911,
        SET_ADDRESS,
        0x8918,
        0x891a,
        0x891c,
        0x891e,
        0x8922,
        0x8923,
        0x8924,
        0x8931,
        0x8932,
        0x8936,
        0x8937,
        0x8943,
        0x8953,
        0x8955,
        0x8971,
    ];
}

bitflags! {
    /// What an interface is and does: `IFF_*`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct InterfaceFlags: u32 {
        /// It is switched on.
        const UP = 1;
        /// It has an address for all.
        const BROADCAST = 2;
        /// It is the loopback.
        const LOOPBACK = 8;
        /// It works.
        const RUNNING = 0x40;
        /// It takes multicasts.
        const MULTICAST = 0x1000;
        /// The link below it works.
        const LOWER_UP = 0x1_0000;
    }
}

/// `struct ifreq`: a name, and a value whose form depends on the request.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct InterfaceRequest {
    /// The name, up to its NUL.
    pub name: [u8; NAME_LEN],
    /// The value.
    pub value: [u8; 24],
}

const _: () = assert!(size_of::<InterfaceRequest>() == 40);

/// `struct ifconf`.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct InterfaceList {
    /// How many bytes there is room for; how many there are.
    pub len: i32,
    /// Zero.
    pub padding: u32,
    /// Where they go; 0 to be told only how many there are.
    pub to: u64,
}

const _: () = assert!(size_of::<InterfaceList>() == 16);

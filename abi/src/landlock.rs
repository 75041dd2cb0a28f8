//! Restricting oneself: landlock(7), and `linux/landlock.h`.

use bitflags::bitflags;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// The version of the interface described here: file system rights up to ioctl(2) of devices,
/// ports of TCP, and scopes.
pub const VERSION: u32 = 6;

/// `LANDLOCK_CREATE_RULESET_VERSION`: asks for [`VERSION`].
pub const CREATE_RULESET_VERSION: u32 = 1;

/// Most rulesets that a thread can have on top of each other.
pub const MAX_LAYERS: usize = 16;

/// Kinds of rules (`enum landlock_rule_type`).
pub mod rule {
    /// [`PathBeneath`](super::PathBeneath): about a file, or a directory and all below it.
    pub const PATH_BENEATH: u32 = 1;
    /// [`NetPort`](super::NetPort): about a port.
    pub const NET_PORT: u32 = 2;
}

bitflags! {
    /// What is done with files: `LANDLOCK_ACCESS_FS_*`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct AccessFs: u64 {
        /// Execute a file.
        const EXECUTE = 1 << 0;
        /// Open a file for writing.
        const WRITE_FILE = 1 << 1;
        /// Open a file for reading.
        const READ_FILE = 1 << 2;
        /// Open a directory.
        const READ_DIR = 1 << 3;
        /// Remove or rename a directory.
        const REMOVE_DIR = 1 << 4;
        /// Remove or rename another file.
        const REMOVE_FILE = 1 << 5;
        /// Make, rename or link a character device.
        const MAKE_CHAR = 1 << 6;
        /// Make or rename a directory.
        const MAKE_DIR = 1 << 7;
        /// Make, rename or link a regular file.
        const MAKE_REG = 1 << 8;
        /// Make, rename or link a socket.
        const MAKE_SOCK = 1 << 9;
        /// Make, rename or link a FIFO.
        const MAKE_FIFO = 1 << 10;
        /// Make, rename or link a block device.
        const MAKE_BLOCK = 1 << 11;
        /// Make, rename or link a symbolic link.
        const MAKE_SYM = 1 << 12;
        /// Link or rename to another directory.
        const REFER = 1 << 13;
        /// Truncate a file.
        const TRUNCATE = 1 << 14;
        /// Make requests of ioctl(2) of a device.
        const IOCTL_DEV = 1 << 15;
    }
}

impl AccessFs {
    /// What can be done with something that is no directory.
    pub const OF_FILES: Self = Self::EXECUTE
        .union(Self::WRITE_FILE)
        .union(Self::READ_FILE)
        .union(Self::TRUNCATE)
        .union(Self::IOCTL_DEV);
}

bitflags! {
    /// What is done with the network: `LANDLOCK_ACCESS_NET_*`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct AccessNet: u64 {
        /// Bind a TCP socket to a port.
        const BIND_TCP = 1 << 0;
        /// Connect a TCP socket to a port.
        const CONNECT_TCP = 1 << 1;
    }
}

bitflags! {
    /// What does not leave a domain: `LANDLOCK_SCOPE_*`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Scope: u64 {
        /// Connections to sockets of unix(7) with abstract names.
        const ABSTRACT_UNIX_SOCKET = 1 << 0;
        /// Signals.
        const SIGNAL = 1 << 1;
    }
}

/// What a ruleset is about: `struct landlock_ruleset_attr`.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct RulesetAttr {
    /// [`AccessFs`] that only rules allow.
    pub handled_access_fs: u64,
    /// [`AccessNet`] that only rules allow.
    pub handled_access_net: u64,
    /// [`Scope`].
    pub scoped: u64,
}

impl RulesetAttr {
    /// Length of the first version of the structure, in bytes.
    pub const FIRST_LEN: usize = 8;
}

const _: () = assert!(size_of::<RulesetAttr>() == 24);

/// What is allowed below a place: `struct landlock_path_beneath_attr`, which is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct PathBeneath {
    /// [`AccessFs`], the lower half first.
    pub allowed_access: [u32; 2],
    /// A descriptor of the place.
    pub parent_fd: i32,
}

const _: () = assert!(size_of::<PathBeneath>() == 12);

impl PathBeneath {
    /// [`AccessFs`].
    #[must_use]
    pub const fn access(&self) -> u64 {
        self.allowed_access[0] as u64 | (self.allowed_access[1] as u64) << 32
    }
}

/// What is allowed with a port: `struct landlock_net_port_attr`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct NetPort {
    /// [`AccessNet`].
    pub allowed_access: u64,
    /// The port; 0 is that of bind(2) to any free port.
    pub port: u64,
}

const _: () = assert!(size_of::<NetPort>() == 16);

//! Keys that the kernel keeps: keyrings(7), keyctl(2), and `linux/keyctl.h`.

use bitflags::bitflags;

bitflags! {
    /// What somebody may do with a key. The permissions of a key have four of these, in the
    /// bytes of a word from the highest: for who possesses it, its user, its group and others.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct KeyAccess: u32 {
        /// See its type, description and owners.
        const VIEW = 0x01;
        /// Read its payload or, of a keyring, its links.
        const READ = 0x02;
        /// Change its payload or its links.
        const WRITE = 0x04;
        /// Find it, and what is in it.
        const SEARCH = 0x08;
        /// Link it to a keyring.
        const LINK = 0x10;
        /// Change its owners, permissions and expiry.
        const SET_ATTRIBUTES = 0x20;
    }
}

/// Keyrings that have no number but are the caller's own (`KEY_SPEC_*`).
pub mod special {
    /// That of the thread.
    pub const THREAD: i32 = -1;
    /// That of the process.
    pub const PROCESS: i32 = -2;
    /// That of the session.
    pub const SESSION: i32 = -3;
    /// That of the user.
    pub const USER: i32 = -4;
    /// That of the user's sessions that have none of their own.
    pub const USER_SESSION: i32 = -5;
    /// That of the group, which Linux has never had.
    pub const GROUP: i32 = -6;
    /// The key that gives authority to make another one.
    pub const AUTHORITY: i32 = -7;
    /// The destination keyring of who asked for that.
    pub const REQUESTOR: i32 = -8;
}

/// Where keys go that were asked for without a place (`KEY_REQKEY_DEFL_*`).
pub mod destination {
    /// What the caller has: the same as before.
    pub const NO_CHANGE: i32 = -1;
    /// The first of thread, process and session that the caller has.
    pub const DEFAULT: i32 = 0;
    /// The keyring of the thread.
    pub const THREAD: i32 = 1;
    /// The keyring of the process.
    pub const PROCESS: i32 = 2;
    /// The keyring of the session.
    pub const SESSION: i32 = 3;
    /// The keyring of the user.
    pub const USER: i32 = 4;
    /// The keyring of the user's sessions.
    pub const USER_SESSION: i32 = 5;
    /// The keyring that who asked before was given.
    pub const REQUESTOR: i32 = 7;
}

/// Operations of keyctl(2) (`KEYCTL_*`).
pub mod operation {
    /// Number of a keyring.
    pub const GET_KEYRING_ID: i32 = 0;
    /// Another keyring of the session.
    pub const JOIN_SESSION_KEYRING: i32 = 1;
    /// Another payload.
    pub const UPDATE: i32 = 2;
    /// Make unusable.
    pub const REVOKE: i32 = 3;
    /// Other owners.
    pub const CHOWN: i32 = 4;
    /// Other permissions.
    pub const SETPERM: i32 = 5;
    /// Type, owners, permissions and description as text.
    pub const DESCRIBE: i32 = 6;
    /// Remove all links.
    pub const CLEAR: i32 = 7;
    /// Add a link.
    pub const LINK: i32 = 8;
    /// Remove a link.
    pub const UNLINK: i32 = 9;
    /// Find a key.
    pub const SEARCH: i32 = 10;
    /// Read the payload.
    pub const READ: i32 = 11;
    /// Give a key that was asked for its payload.
    pub const INSTANTIATE: i32 = 12;
    /// Say that there is no key that was asked for.
    pub const NEGATE: i32 = 13;
    /// Where keys go that are asked for.
    pub const SET_REQKEY_KEYRING: i32 = 14;
    /// When a key expires.
    pub const SET_TIMEOUT: i32 = 15;
    /// Act for who asked for a key.
    pub const ASSUME_AUTHORITY: i32 = 16;
    /// The label of a security module.
    pub const GET_SECURITY: i32 = 17;
    /// Give the parent the keyring of the session.
    pub const SESSION_TO_PARENT: i32 = 18;
    /// Say why there is no key that was asked for.
    pub const REJECT: i32 = 19;
    /// As [`INSTANTIATE`], from several pieces.
    pub const INSTANTIATE_IOV: i32 = 20;
    /// Remove everywhere.
    pub const INVALIDATE: i32 = 21;
    /// Add a link in one keyring and remove it in another.
    pub const MOVE: i32 = 30;
    /// What of keyctl(2) there is.
    pub const CAPABILITIES: i32 = 31;
}

/// The first byte of `KEYCTL_CAPABILITIES` (`KEYCTL_CAPS0_*`).
pub mod capability {
    /// The operation itself.
    pub const CAPABILITIES: u8 = 0x01;
    /// Keys of type `big_key`.
    pub const BIG_KEY: u8 = 0x10;
    /// `KEYCTL_INVALIDATE`.
    pub const INVALIDATE: u8 = 0x20;
    /// `KEYCTL_MOVE`.
    pub const MOVE: u8 = 0x80;
}

/// `KEYCTL_MOVE` replaces nothing (`KEYCTL_MOVE_EXCL`).
pub const MOVE_EXCLUSIVE: u32 = 1;

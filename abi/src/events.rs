//! Waiting for many files at once, and files that stand for events: epoll(7), eventfd(2),
//! inotify(7).

use bitflags::bitflags;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

bitflags! {
    /// The flags of `struct epoll_event` beside the events of poll(2).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct EpollFlags: u32 {
        /// Of several instances that watch a file, only some are woken.
        const EXCLUSIVE = 1 << 28;
        /// The system does not suspend while the event is handled.
        const WAKEUP = 1 << 29;
        /// The file is not watched any more after one event.
        const ONESHOT = 1 << 30;
        /// Edge triggered: only changes are events.
        const ET = 1 << 31;
    }
}

/// Operations of epoll_ctl(2).
pub mod epoll_ctl {
    /// Watch a file.
    pub const ADD: i32 = 1;
    /// Do not watch it any more.
    pub const DEL: i32 = 2;
    /// Watch it for other events.
    pub const MOD: i32 = 3;
}

/// `struct epoll_event`, which is packed on x86-64.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C, packed)]
pub struct EpollEvent {
    /// Events of poll(2) and [`EpollFlags`].
    pub events: u32,
    /// What the application gave with the file.
    pub data: u64,
}

const _: () = assert!(size_of::<EpollEvent>() == 12);

/// Flag of epoll_create1(2): the value of `O_CLOEXEC`.
pub const EPOLL_CLOEXEC: u32 = linux_raw_sys::general::O_CLOEXEC;

bitflags! {
    /// Flags of eventfd2(2).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct EventFlags: u32 {
        /// A read takes 1 from the counter rather than all.
        const SEMAPHORE = 1;
        /// Reads and writes do not wait.
        const NONBLOCK = linux_raw_sys::general::O_NONBLOCK;
        /// The descriptor closes on execve(2).
        const CLOEXEC = linux_raw_sys::general::O_CLOEXEC;
    }
}

bitflags! {
    /// What `F_NOTIFY` of fcntl(2) tells of the entries of a directory.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct DirectoryEvents: u32 {
        /// One was read.
        const ACCESS = linux_raw_sys::general::DN_ACCESS;
        /// One was written or truncated.
        const MODIFY = linux_raw_sys::general::DN_MODIFY;
        /// There is a new one.
        const CREATE = linux_raw_sys::general::DN_CREATE;
        /// One has gone.
        const DELETE = linux_raw_sys::general::DN_DELETE;
        /// One was renamed within the directory.
        const RENAME = linux_raw_sys::general::DN_RENAME;
        /// Metadata of one was changed.
        const ATTRIB = linux_raw_sys::general::DN_ATTRIB;
        /// The first event is not the last.
        const MULTISHOT = linux_raw_sys::general::DN_MULTISHOT;
    }
}

bitflags! {
    /// Events of inotify(7), and what inotify_add_watch(2) can say beside them.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct InotifyMask: u32 {
        /// The file was read.
        const ACCESS = 0x1;
        /// The file was written.
        const MODIFY = 0x2;
        /// Metadata was changed.
        const ATTRIB = 0x4;
        /// A file that was open for writing was closed.
        const CLOSE_WRITE = 0x8;
        /// A file that was not open for writing was closed.
        const CLOSE_NOWRITE = 0x10;
        /// The file was opened.
        const OPEN = 0x20;
        /// An entry moved away.
        const MOVED_FROM = 0x40;
        /// An entry moved here.
        const MOVED_TO = 0x80;
        /// An entry was made.
        const CREATE = 0x100;
        /// An entry was removed.
        const DELETE = 0x200;
        /// The watched file was removed.
        const DELETE_SELF = 0x400;
        /// The watched file was moved.
        const MOVE_SELF = 0x800;
        /// What the watched file was on was unmounted.
        const UNMOUNT = 0x2000;
        /// There were too many events.
        const Q_OVERFLOW = 0x4000;
        /// The watch has ended.
        const IGNORED = 0x8000;
        /// Only if it is a directory.
        const ONLYDIR = 0x0100_0000;
        /// A symbolic link itself.
        const DONT_FOLLOW = 0x0200_0000;
        /// No events of entries that were removed.
        const EXCL_UNLINK = 0x0400_0000;
        /// Only if it is not watched yet.
        const MASK_CREATE = 0x1000_0000;
        /// Beside what it is watched for.
        const MASK_ADD = 0x2000_0000;
        /// It is a directory.
        const ISDIR = 0x4000_0000;
        /// One event only.
        const ONESHOT = 0x8000_0000;
    }
}

impl InotifyMask {
    /// What can be watched for.
    pub const ALL_EVENTS: Self = Self::from_bits_retain(0xfff);
}

/// `struct inotify_event`, which its name follows.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct InotifyEvent {
    /// Number of the watch.
    pub watch: i32,
    /// [`InotifyMask`].
    pub mask: u32,
    /// What ties the two events of a move together.
    pub cookie: u32,
    /// Length of the name with the NULs after it, in bytes.
    pub len: u32,
}

const _: () = assert!(size_of::<InotifyEvent>() == 16);

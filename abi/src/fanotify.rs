//! Notification and interception of file events: fanotify(7), and `linux/fanotify.h`.

use bitflags::bitflags;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

bitflags! {
    /// Events, and what a mark can say beside them: `FAN_*` of fanotify_mark(2).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct FanotifyMask: u64 {
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
        /// The marked file was removed.
        const DELETE_SELF = 0x400;
        /// The marked file was moved.
        const MOVE_SELF = 0x800;
        /// The file was opened to be executed.
        const OPEN_EXEC = 0x1000;
        /// There were too many events.
        const Q_OVERFLOW = 0x4000;
        /// The file system has an error.
        const FS_ERROR = 0x8000;
        /// May the file be opened?
        const OPEN_PERM = 0x1_0000;
        /// May the file be read?
        const ACCESS_PERM = 0x2_0000;
        /// May the file be opened to be executed?
        const OPEN_EXEC_PERM = 0x4_0000;
        /// Also for what is in the marked directory.
        const EVENT_ON_CHILD = 0x800_0000;
        /// An entry was renamed: both names.
        const RENAME = 0x1000_0000;
        /// Also for directories; in an event: it is one.
        const ONDIR = 0x4000_0000;
    }
}

impl FanotifyMask {
    /// Questions that must be answered.
    pub const PERMISSIONS: Self =
        Self::OPEN_PERM.union(Self::ACCESS_PERM).union(Self::OPEN_EXEC_PERM);

    /// What says of events when they matter.
    pub const CONDITIONS: Self = Self::EVENT_ON_CHILD.union(Self::ONDIR);

    /// Events of entries of directories.
    pub const ENTRIES: Self = Self::MOVED_FROM
        .union(Self::MOVED_TO)
        .union(Self::CREATE)
        .union(Self::DELETE)
        .union(Self::RENAME);

    /// Events that only groups hear of that identify files by handles.
    pub const INODE_EVENTS: Self =
        Self::ENTRIES.union(Self::ATTRIB).union(Self::MOVE_SELF).union(Self::DELETE_SELF);

    /// What can be marked for.
    pub const MARKABLE: Self = Self::INODE_EVENTS
        .union(Self::ACCESS)
        .union(Self::MODIFY)
        .union(Self::CLOSE_WRITE)
        .union(Self::CLOSE_NOWRITE)
        .union(Self::OPEN)
        .union(Self::OPEN_EXEC)
        .union(Self::FS_ERROR)
        .union(Self::PERMISSIONS)
        .union(Self::CONDITIONS);
}

bitflags! {
    /// What a group is: `FAN_*` of fanotify_init(2).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct FanotifyInit: u32 {
        /// The descriptor closes on execve(2).
        const CLOEXEC = 0x1;
        /// Reads do not wait.
        const NONBLOCK = 0x2;
        /// Asked when the content is there.
        const CLASS_CONTENT = 0x4;
        /// Asked before the content is there.
        const CLASS_PRE_CONTENT = 0x8;
        /// As many events as there are.
        const UNLIMITED_QUEUE = 0x10;
        /// As many marks as are made.
        const UNLIMITED_MARKS = 0x20;
        /// Answers are written to the audit log, which there is not.
        const ENABLE_AUDIT = 0x40;
        /// Events have a descriptor of the process.
        const REPORT_PIDFD = 0x80;
        /// Events have the number of the thread.
        const REPORT_TID = 0x100;
        /// Events have a handle of the file.
        const REPORT_FID = 0x200;
        /// Events have a handle of the directory.
        const REPORT_DIR_FID = 0x400;
        /// Events have a name in the directory.
        const REPORT_NAME = 0x800;
        /// Events of entries have a handle of the file, too.
        const REPORT_TARGET_FID = 0x1000;
        /// In place of descriptors there may be errors.
        const REPORT_FD_ERROR = 0x2000;
    }
}

impl FanotifyInit {
    /// The two bits that say what it is asked for.
    pub const CLASS: Self = Self::CLASS_CONTENT.union(Self::CLASS_PRE_CONTENT);

    /// What makes events have handles in place of descriptors.
    pub const IDENTIFY: Self = Self::REPORT_FID
        .union(Self::REPORT_DIR_FID)
        .union(Self::REPORT_NAME)
        .union(Self::REPORT_TARGET_FID);

    /// What needs `CAP_SYS_ADMIN`.
    pub const PRIVILEGED: Self = Self::CLASS
        .union(Self::UNLIMITED_QUEUE)
        .union(Self::UNLIMITED_MARKS)
        .union(Self::ENABLE_AUDIT)
        .union(Self::REPORT_TID)
        .union(Self::REPORT_PIDFD)
        .union(Self::REPORT_FD_ERROR);
}

bitflags! {
    /// What fanotify_mark(2) does: `FAN_MARK_*`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct FanotifyMarkFlags: u32 {
        /// Add to a mark, or make it.
        const ADD = 0x1;
        /// Remove from a mark.
        const REMOVE = 0x2;
        /// A symbolic link itself.
        const DONT_FOLLOW = 0x4;
        /// Only if it is a directory.
        const ONLYDIR = 0x8;
        /// The mount.
        const MOUNT = 0x10;
        /// What not to hear of, as long ago.
        const IGNORED_MASK = 0x20;
        /// What is not heard of stays so when the file is changed.
        const IGNORED_SURV_MODIFY = 0x40;
        /// Remove all marks of a kind.
        const FLUSH = 0x80;
        /// The file system.
        const FILESYSTEM = 0x100;
        /// The mark does not keep the file in memory.
        const EVICTABLE = 0x200;
        /// What not to hear of.
        const IGNORE = 0x400;
    }
}

/// Version of [`EventMetadata`] (`FANOTIFY_METADATA_VERSION`).
pub const METADATA_VERSION: u8 = 3;

/// In place of a descriptor, where there is none (`FAN_NOFD`).
pub const NO_FD: i32 = -1;

/// Answers to questions (`FAN_ALLOW`, `FAN_DENY`), and what can be said beside them.
pub mod answer {
    /// It may.
    pub const ALLOW: u32 = 1;
    /// It may not.
    pub const DENY: u32 = 2;
    /// Write it to the audit log.
    pub const AUDIT: u32 = 0x10;
}

/// Kinds of records after [`EventMetadata`] (`FAN_EVENT_INFO_TYPE_*`).
pub mod record {
    /// A handle of the file.
    pub const FID: u8 = 1;
    /// A handle of a directory, and a name in it.
    pub const DFID_NAME: u8 = 2;
    /// A handle of a directory.
    pub const DFID: u8 = 3;
    /// A descriptor of the process.
    pub const PIDFD: u8 = 4;
    /// The directory and name before a rename.
    pub const OLD_DFID_NAME: u8 = 10;
    /// The directory and name after a rename.
    pub const NEW_DFID_NAME: u8 = 12;
}

/// `struct fanotify_event_metadata`.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct EventMetadata {
    /// Length with the records that follow, in bytes.
    pub event_len: u32,
    /// [`METADATA_VERSION`].
    pub version: u8,
    /// 0.
    pub reserved: u8,
    /// Length of this structure, in bytes.
    pub metadata_len: u16,
    /// [`FanotifyMask`].
    pub mask: u64,
    /// A descriptor of the file.
    pub fd: i32,
    /// The process that did it.
    pub pid: i32,
}

const _: () = assert!(size_of::<EventMetadata>() == 24);

/// `struct fanotify_response`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Response {
    /// The descriptor of the event.
    pub fd: i32,
    /// [`answer`].
    pub response: u32,
}

/// `struct fanotify_event_info_header`, with which records begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct RecordHeader {
    /// [`record`].
    pub kind: u8,
    /// 0.
    pub pad: u8,
    /// Length of the record, in bytes.
    pub len: u16,
}

//! Rings of requests and results: io_uring(7), and `linux/io_uring.h`.

use bitflags::bitflags;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Most entries that a ring of requests can have.
pub const MAX_ENTRIES: u32 = 32_768;

/// Most buffers that can be registered, and most files.
pub const MAX_REGISTERED: u32 = 1 << 14;

/// Offsets for mmap(2).
pub mod offset {
    /// The ring of requests, behind which is that of results.
    pub const SQ_RING: u64 = 0;
    /// The same memory.
    pub const CQ_RING: u64 = 0x800_0000;
    /// The requests themselves.
    pub const SQES: u64 = 0x1000_0000;
    /// What of an offset says which of them it is.
    pub const MASK: u64 = 0xf800_0000;
}

bitflags! {
    /// Flags of io_uring_setup(2): `IORING_SETUP_*`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct SetupFlags: u32 {
        /// Devices are polled for results.
        const IOPOLL = 1 << 0;
        /// A thread of the kernel looks for requests.
        const SQPOLL = 1 << 1;
        /// That thread has a processor of its own.
        const SQ_AFF = 1 << 2;
        /// The number of results is given.
        const CQSIZE = 1 << 3;
        /// Numbers that are too large are cut.
        const CLAMP = 1 << 4;
        /// The workers of another ring are shared.
        const ATTACH_WQ = 1 << 5;
        /// The ring begins disabled.
        const R_DISABLED = 1 << 6;
        /// A request that fails does not end the submission.
        const SUBMIT_ALL = 1 << 7;
        /// The application need not be interrupted when a request can go on.
        const COOP_TASKRUN = 1 << 8;
        /// The application is told when one can.
        const TASKRUN_FLAG = 1 << 9;
        /// Requests have 128 bytes.
        const SQE128 = 1 << 10;
        /// Results have 32 bytes.
        const CQE32 = 1 << 11;
        /// Only one thread submits.
        const SINGLE_ISSUER = 1 << 12;
        /// Requests go on only when that thread waits for results.
        const DEFER_TASKRUN = 1 << 13;
        /// The application brings the memory of the rings.
        const NO_MMAP = 1 << 14;
        /// The ring has no descriptor but a registered one.
        const REGISTERED_FD_ONLY = 1 << 15;
        /// Requests are taken in order, without an array of their indices.
        const NO_SQARRAY = 1 << 16;
    }

    /// What a ring can do: `IORING_FEAT_*`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Features: u32 {
        /// Both rings are one mapping.
        const SINGLE_MMAP = 1 << 0;
        /// No result is lost.
        const NODROP = 1 << 1;
        /// What a request points to is not needed after its submission.
        const SUBMIT_STABLE = 1 << 2;
        /// The offset -1 is the position of the file.
        const RW_CUR_POS = 1 << 3;
        /// Requests have the credentials of who submits them.
        const CUR_PERSONALITY = 1 << 4;
        /// Files that are not ready are waited for without a thread.
        const FAST_POLL = 1 << 5;
        /// Events of poll(2) have 32 bits.
        const POLL_32BITS = 1 << 6;
        /// io_uring_enter(2) takes a timeout.
        const EXT_ARG = 1 << 8;
        /// Whatever works is a thread of the application.
        const NATIVE_WORKERS = 1 << 9;
        /// Requests can say that only their failure is a result.
        const CQE_SKIP = 1 << 11;
        /// The file of a linked request is looked up when that begins.
        const LINKED_FILE = 1 << 12;
    }

    /// Flags of io_uring_enter(2): `IORING_ENTER_*`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct EnterFlags: u32 {
        /// Waits for results.
        const GETEVENTS = 1 << 0;
        /// Wakes the thread that looks for requests.
        const SQ_WAKEUP = 1 << 1;
        /// Waits for room for requests.
        const SQ_WAIT = 1 << 2;
        /// The argument is a [`super::GetEvents`].
        const EXT_ARG = 1 << 3;
    }

    /// Flags of a request: `IOSQE_*`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct RequestFlags: u8 {
        /// The file is a registered one.
        const FIXED_FILE = 1 << 0;
        /// It begins after all before it have ended, and those after it begin after it.
        const IO_DRAIN = 1 << 1;
        /// The next one begins when it has succeeded.
        const IO_LINK = 1 << 2;
        /// The next one begins when it has ended.
        const IO_HARDLINK = 1 << 3;
        /// It is not done while it is submitted.
        const ASYNC = 1 << 4;
        /// Its buffer is chosen when it needs one.
        const BUFFER_SELECT = 1 << 5;
        /// Its success is no result.
        const CQE_SKIP_SUCCESS = 1 << 6;
    }

    /// Flags of a timeout: `IORING_TIMEOUT_*`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct TimeoutFlags: u32 {
        /// The time is a moment.
        const ABS = 1 << 0;
        /// The time of a timeout is changed.
        const UPDATE = 1 << 1;
        /// The clock counts from the boot, suspension included.
        const BOOTTIME = 1 << 2;
        /// The clock is that of the day.
        const REALTIME = 1 << 3;
        /// The time of a linked timeout is changed.
        const LINK_TIMEOUT_UPDATE = 1 << 4;
        /// That the time has come is a success.
        const ETIME_SUCCESS = 1 << 5;
    }

    /// What requests are cancelled: `IORING_ASYNC_CANCEL_*`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct CancelFlags: u32 {
        /// All that match.
        const ALL = 1 << 0;
        /// Those of a file.
        const FD = 1 << 1;
        /// Any.
        const ANY = 1 << 2;
        /// The file is a registered one.
        const FD_FIXED = 1 << 3;
        /// Those with this user data, which is the case without any flag, too.
        const USERDATA = 1 << 4;
        /// Those with this operation.
        const OP = 1 << 5;
    }
}

/// Operations: `IORING_OP_*`.
#[allow(missing_docs)]
pub mod operation {
    pub const NOP: u8 = 0;
    pub const READV: u8 = 1;
    pub const WRITEV: u8 = 2;
    pub const FSYNC: u8 = 3;
    pub const READ_FIXED: u8 = 4;
    pub const WRITE_FIXED: u8 = 5;
    pub const POLL_ADD: u8 = 6;
    pub const POLL_REMOVE: u8 = 7;
    pub const SYNC_FILE_RANGE: u8 = 8;
    pub const SENDMSG: u8 = 9;
    pub const RECVMSG: u8 = 10;
    pub const TIMEOUT: u8 = 11;
    pub const TIMEOUT_REMOVE: u8 = 12;
    pub const ACCEPT: u8 = 13;
    pub const ASYNC_CANCEL: u8 = 14;
    pub const LINK_TIMEOUT: u8 = 15;
    pub const CONNECT: u8 = 16;
    pub const FALLOCATE: u8 = 17;
    pub const OPENAT: u8 = 18;
    pub const CLOSE: u8 = 19;
    pub const STATX: u8 = 21;
    pub const READ: u8 = 22;
    pub const WRITE: u8 = 23;
    pub const FADVISE: u8 = 24;
    pub const MADVISE: u8 = 25;
    pub const SEND: u8 = 26;
    pub const RECV: u8 = 27;
    pub const OPENAT2: u8 = 28;
    pub const EPOLL_CTL: u8 = 29;
    pub const SHUTDOWN: u8 = 34;
    pub const RENAMEAT: u8 = 35;
    pub const UNLINKAT: u8 = 36;
    pub const MKDIRAT: u8 = 37;
    pub const SYMLINKAT: u8 = 38;
    pub const LINKAT: u8 = 39;
    pub const SOCKET: u8 = 45;
}

/// Requests of io_uring_register(2): `IORING_REGISTER_*`.
#[allow(missing_docs)]
pub mod register {
    pub const BUFFERS: u32 = 0;
    pub const UNREGISTER_BUFFERS: u32 = 1;
    pub const FILES: u32 = 2;
    pub const UNREGISTER_FILES: u32 = 3;
    pub const EVENTFD: u32 = 4;
    pub const UNREGISTER_EVENTFD: u32 = 5;
    pub const FILES_UPDATE: u32 = 6;
    pub const EVENTFD_ASYNC: u32 = 7;
    pub const PROBE: u32 = 8;
    pub const ENABLE_RINGS: u32 = 12;
}

/// Flag of `FSYNC`: only what is needed to read the data again.
pub const FSYNC_DATASYNC: u32 = 1;

/// Flag of `POLL_ADD`, in its length: goes on after an event.
pub const POLL_ADD_MULTI: u32 = 1;

/// Flag of `ACCEPT`, in its priority: goes on after a connection.
pub const ACCEPT_MULTISHOT: u16 = 1;

/// Flag of a result: the request goes on.
pub const CQE_F_MORE: u32 = 2;

/// Flag of the ring of requests: results wait that do not fit into theirs.
pub const SQ_CQ_OVERFLOW: u32 = 2;

/// Flag of the ring of results: the registered eventfd(2) is left alone.
pub const CQ_EVENTFD_DISABLED: u32 = 1;

/// Flag of a [`ProbeOperation`]: it is offered.
pub const OP_SUPPORTED: u16 = 1;

/// The index in an update of registered files that leaves one alone.
pub const FILES_SKIP: i32 = -2;

/// `struct io_sqring_offsets`: where in the memory of the rings is what.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[allow(missing_docs)]
pub struct SubmissionOffsets {
    pub head: u32,
    pub tail: u32,
    pub ring_mask: u32,
    pub ring_entries: u32,
    pub flags: u32,
    pub dropped: u32,
    pub array: u32,
    pub reserved: u32,
    pub user_address: u64,
}

/// `struct io_cqring_offsets`.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[allow(missing_docs)]
pub struct CompletionOffsets {
    pub head: u32,
    pub tail: u32,
    pub ring_mask: u32,
    pub ring_entries: u32,
    pub overflow: u32,
    pub cqes: u32,
    pub flags: u32,
    pub reserved: u32,
    pub user_address: u64,
}

/// `struct io_uring_params`.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Params {
    /// Requests that fit.
    pub sq_entries: u32,
    /// Results that fit.
    pub cq_entries: u32,
    /// [`SetupFlags`].
    pub flags: u32,
    /// The processor for [`SetupFlags::SQ_AFF`].
    pub sq_thread_cpu: u32,
    /// How long that thread looks without finding, in milliseconds.
    pub sq_thread_idle: u32,
    /// [`Features`].
    pub features: u32,
    /// The ring for [`SetupFlags::ATTACH_WQ`].
    pub wq_fd: u32,
    /// Zero.
    pub reserved: [u32; 3],
    /// Where the ring of requests is what.
    pub sq: SubmissionOffsets,
    /// Where the ring of results is what.
    pub cq: CompletionOffsets,
}

const _: () = assert!(size_of::<Params>() == 120);

/// `struct io_uring_sqe`: a request.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Submission {
    /// What is to be done: [`operation`].
    pub opcode: u8,
    /// [`RequestFlags`].
    pub flags: u8,
    /// Priority, or flags of the operation.
    pub priority: u16,
    /// The file.
    pub fd: i32,
    /// Offset, or a second address.
    pub offset: u64,
    /// Address.
    pub address: u64,
    /// Length in bytes, or a number of buffers.
    pub len: u32,
    /// Flags of the operation.
    pub operation_flags: u32,
    /// Comes back with the result.
    pub user_data: u64,
    /// The registered buffer.
    pub buffer_index: u16,
    /// The registered credentials; 0 for those of the caller.
    pub personality: u16,
    /// The registered file that is made, or another file.
    pub file_index: u32,
    /// A third address.
    pub address3: u64,
    /// Zero.
    pub padding: u64,
}

const _: () = assert!(size_of::<Submission>() == 64);

/// `struct io_uring_cqe`: a result.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Completion {
    /// What came with the request.
    pub user_data: u64,
    /// What it returned, or an errno negated.
    pub result: i32,
    /// [`CQE_F_MORE`].
    pub flags: u32,
}

const _: () = assert!(size_of::<Completion>() == 16);

/// `struct io_uring_getevents_arg`.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct GetEvents {
    /// Address of a signal mask, or 0.
    pub mask: u64,
    /// Its size in bytes.
    pub mask_size: u32,
    /// After how many microseconds fewer results will do.
    pub least_wait_us: u32,
    /// Address of a timeout, or 0.
    pub timeout: u64,
}

const _: () = assert!(size_of::<GetEvents>() == 24);

/// `struct io_uring_files_update`.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct FilesUpdate {
    /// The first that is replaced.
    pub offset: u32,
    /// Zero.
    pub reserved: u32,
    /// Address of descriptors.
    pub fds: u64,
}

const _: () = assert!(size_of::<FilesUpdate>() == 16);

/// `struct io_uring_probe`, after which the operations follow.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Probe {
    /// The last operation that is known.
    pub last_operation: u8,
    /// How many follow.
    pub operations: u8,
    /// Zero.
    pub reserved: [u16; 7],
}

const _: () = assert!(size_of::<Probe>() == 16);

/// `struct io_uring_probe_op`.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ProbeOperation {
    /// Its number.
    pub operation: u8,
    /// Zero.
    pub reserved: u8,
    /// [`OP_SUPPORTED`].
    pub flags: u16,
    /// Zero.
    pub reserved2: u32,
}

const _: () = assert!(size_of::<ProbeOperation>() == 8);

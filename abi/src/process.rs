//! Processes and the system: clone(2), getrlimit(2), capabilities(7), prctl(2), wait(2),
//! sysinfo(2), uname(2).

use bitflags::bitflags;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

bitflags! {
    /// What a new process or thread shares with its parent, and how it starts: `CLONE_*` of
    /// `linux/sched.h`. The low 8 bits of the flags of clone(2) are a signal instead.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct CloneFlags: u64 {
        /// In a new time namespace (clone3 and unshare only).
        const NEWTIME = 0x80;
        /// The memory is the parent's.
        const VM = 0x100;
        /// Root, working directory and umask are the parent's.
        const FS = 0x200;
        /// The descriptors are the parent's.
        const FILES = 0x400;
        /// The signal actions are the parent's.
        const SIGHAND = 0x800;
        /// A descriptor of the child is stored.
        const PIDFD = 0x1000;
        /// A tracer of the parent traces the child.
        const PTRACE = 0x2000;
        /// The parent waits until the child no longer needs its memory.
        const VFORK = 0x4000;
        /// The child's parent is the caller's.
        const PARENT = 0x8000;
        /// A thread of the same process.
        const THREAD = 0x1_0000;
        /// In a new mount namespace.
        const NEWNS = 0x2_0000;
        /// The undo values of semaphores are the parent's.
        const SYSVSEM = 0x4_0000;
        /// The thread pointer is set.
        const SETTLS = 0x8_0000;
        /// The child's number is stored in the parent's memory.
        const PARENT_SETTID = 0x10_0000;
        /// A word of the child's memory is cleared when it ends.
        const CHILD_CLEARTID = 0x20_0000;
        /// Ignored.
        const DETACHED = 0x40_0000;
        /// No tracer can force `PTRACE`.
        const UNTRACED = 0x80_0000;
        /// The child's number is stored in the child's memory.
        const CHILD_SETTID = 0x100_0000;
        /// In a new control group namespace.
        const NEWCGROUP = 0x200_0000;
        /// In a new namespace of host names.
        const NEWUTS = 0x400_0000;
        /// In a new namespace of System V objects.
        const NEWIPC = 0x800_0000;
        /// In a new user namespace.
        const NEWUSER = 0x1000_0000;
        /// In a new namespace of process numbers.
        const NEWPID = 0x2000_0000;
        /// In a new network namespace.
        const NEWNET = 0x4000_0000;
        /// The I/O context is the parent's.
        const IO = 0x8000_0000;
        /// Handlers of signals are reset (clone3 only).
        const CLEAR_SIGHAND = 0x1_0000_0000;
        /// In the control group of a descriptor (clone3 only).
        const INTO_CGROUP = 0x2_0000_0000;
        const _ = !0;
    }
}

impl CloneFlags {
    /// Those that ask for a new namespace.
    pub const NAMESPACES: Self = Self::NEWTIME
        .union(Self::NEWNS)
        .union(Self::NEWCGROUP)
        .union(Self::NEWUTS)
        .union(Self::NEWIPC)
        .union(Self::NEWUSER)
        .union(Self::NEWPID)
        .union(Self::NEWNET);
}

/// `struct clone_args`: clone3(2).
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct CloneArgs {
    /// [`CloneFlags`].
    pub flags: u64,
    /// Where to store a descriptor of the child.
    pub pidfd: u64,
    /// Where to store the child's number in its own memory.
    pub child_tid: u64,
    /// Where to store the child's number in the parent's memory.
    pub parent_tid: u64,
    /// The signal for the parent when the child ends; 0 for none.
    pub exit_signal: u64,
    /// Lowest address of the child's stack; 0 to go on with the parent's.
    pub stack: u64,
    /// Length of the stack in bytes.
    pub stack_size: u64,
    /// The thread pointer.
    pub tls: u64,
    /// Numbers that the child shall have.
    pub set_tid: u64,
    /// How many there are.
    pub set_tid_size: u64,
    /// Descriptor of a control group.
    pub cgroup: u64,
}

const _: () = assert!(size_of::<CloneArgs>() == 88);

/// Length of the first version of [`CloneArgs`], in bytes.
pub const CLONE_ARGS_SIZE_VER0: usize = 64;

bitflags! {
    /// What the superuser's number does not mean: capabilities(7), "The securebits flags".
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct SecureBits: u32 {
        /// Programs get no capabilities from it.
        const NOROOT = 0x1;
        /// `NOROOT` stays.
        const NOROOT_LOCKED = 0x2;
        /// Changes of user IDs leave capabilities alone.
        const NO_SETUID_FIXUP = 0x4;
        /// `NO_SETUID_FIXUP` stays.
        const NO_SETUID_FIXUP_LOCKED = 0x8;
        /// Capabilities stay when no user ID is the superuser's any more.
        const KEEP_CAPS = 0x10;
        /// `KEEP_CAPS` stays.
        const KEEP_CAPS_LOCKED = 0x20;
        /// No ambient capabilities are raised.
        const NO_CAP_AMBIENT_RAISE = 0x40;
        /// `NO_CAP_AMBIENT_RAISE` stays.
        const NO_CAP_AMBIENT_RAISE_LOCKED = 0x80;
    }
}

impl SecureBits {
    /// Those that keep another one, the next lower, as it is.
    pub const LOCKS: Self = Self::NOROOT_LOCKED
        .union(Self::NO_SETUID_FIXUP_LOCKED)
        .union(Self::KEEP_CAPS_LOCKED)
        .union(Self::NO_CAP_AMBIENT_RAISE_LOCKED);
}

bitflags! {
    /// Options of wait4(2) and waitid(2).
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct WaitOptions: u32 {
        /// Return at once when there is nothing to tell.
        const NOHANG = 1;
        /// Children that have stopped.
        const STOPPED = 2;
        /// Children that have ended.
        const EXITED = 4;
        /// Children that have been continued.
        const CONTINUED = 8;
        /// Leave the child as it is.
        const NOWAIT = 0x0100_0000;
        /// Not the children of other threads.
        const NOTHREAD = 0x2000_0000;
        /// All children, whatever signal they send.
        const ALL = 0x4000_0000;
        /// Only children that do not send `SIGCHLD`.
        const CLONE = 0x8000_0000;
        const _ = !0;
    }
}

/// `RLIM_INFINITY`: no limit.
pub const RLIM_INFINITY: u64 = u64::MAX;

/// A resource that can be limited: getrlimit(2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Resource {
    /// Processor time, in seconds.
    Cpu = 0,
    /// Size of a written file, in bytes.
    FileSize = 1,
    /// Size of the data segment, in bytes.
    Data = 2,
    /// Size of the stack, in bytes.
    Stack = 3,
    /// Size of a core file, in bytes.
    Core = 4,
    /// Resident pages, in bytes; not enforced by Linux either.
    ResidentSet = 5,
    /// Number of processes.
    Processes = 6,
    /// One more than the highest descriptor.
    OpenFiles = 7,
    /// Locked memory, in bytes.
    LockedMemory = 8,
    /// Size of the address space, in bytes.
    AddressSpace = 9,
    /// Number of file locks; not enforced by Linux either.
    Locks = 10,
    /// Number of queued signals.
    PendingSignals = 11,
    /// Bytes in POSIX message queues.
    MessageQueues = 12,
    /// Ceiling of the nice value: 20 less it.
    Nice = 13,
    /// Ceiling of the real-time priority.
    RealTimePriority = 14,
    /// Real-time computing without a blocking call, in microseconds.
    RealTimeRun = 15,
}

impl Resource {
    /// All resources, in the order of their numbers.
    pub const ALL: [Self; 16] = [
        Self::Cpu,
        Self::FileSize,
        Self::Data,
        Self::Stack,
        Self::Core,
        Self::ResidentSet,
        Self::Processes,
        Self::OpenFiles,
        Self::LockedMemory,
        Self::AddressSpace,
        Self::Locks,
        Self::PendingSignals,
        Self::MessageQueues,
        Self::Nice,
        Self::RealTimePriority,
        Self::RealTimeRun,
    ];

    /// The symbolic name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cpu => "RLIMIT_CPU",
            Self::FileSize => "RLIMIT_FSIZE",
            Self::Data => "RLIMIT_DATA",
            Self::Stack => "RLIMIT_STACK",
            Self::Core => "RLIMIT_CORE",
            Self::ResidentSet => "RLIMIT_RSS",
            Self::Processes => "RLIMIT_NPROC",
            Self::OpenFiles => "RLIMIT_NOFILE",
            Self::LockedMemory => "RLIMIT_MEMLOCK",
            Self::AddressSpace => "RLIMIT_AS",
            Self::Locks => "RLIMIT_LOCKS",
            Self::PendingSignals => "RLIMIT_SIGPENDING",
            Self::MessageQueues => "RLIMIT_MSGQUEUE",
            Self::Nice => "RLIMIT_NICE",
            Self::RealTimePriority => "RLIMIT_RTPRIO",
            Self::RealTimeRun => "RLIMIT_RTTIME",
        }
    }
}

/// `struct rlimit64`, which is `struct rlimit` too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Rlimit {
    /// The limit that holds; [`RLIM_INFINITY`] for none.
    pub current: u64,
    /// How far the limit may be raised.
    pub maximum: u64,
}

/// Length of a thread's name, with its NUL: `PR_SET_NAME`.
pub const TASK_COMM_LEN: usize = 16;

/// Length of each field of [`Utsname`], with its NUL.
pub const UTSNAME_LEN: usize = 65;

/// `struct new_utsname`: uname(2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Utsname {
    /// Name of the system.
    pub sysname: [u8; UTSNAME_LEN],
    /// Host name.
    pub nodename: [u8; UTSNAME_LEN],
    /// Release.
    pub release: [u8; UTSNAME_LEN],
    /// Version.
    pub version: [u8; UTSNAME_LEN],
    /// Hardware.
    pub machine: [u8; UTSNAME_LEN],
    /// NIS domain name.
    pub domainname: [u8; UTSNAME_LEN],
}

/// `struct sysinfo`: sysinfo(2).
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Sysinfo {
    /// Seconds since boot.
    pub uptime: i64,
    /// Load averages over 1, 5 and 15 minutes, times 65,536.
    pub loads: [u64; 3],
    /// Memory, in units of `mem_unit` bytes.
    pub totalram: u64,
    /// Free memory.
    pub freeram: u64,
    /// Shared memory.
    pub sharedram: u64,
    /// Memory of buffers.
    pub bufferram: u64,
    /// Swap space.
    pub totalswap: u64,
    /// Free swap space.
    pub freeswap: u64,
    /// Number of threads.
    pub procs: u16,
    /// Zero.
    pub padding: [u16; 3],
    /// High memory; none on x86-64.
    pub totalhigh: u64,
    /// Free high memory.
    pub freehigh: u64,
    /// Bytes of a unit of memory.
    pub mem_unit: u32,
    /// Zero.
    pub end: u32,
}

const _: () = assert!(size_of::<Sysinfo>() == 112);

/// `struct rusage`: getrusage(2).
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Rusage {
    /// Time in the application.
    pub user: crate::time::Timeval,
    /// Time in the kernel.
    pub system: crate::time::Timeval,
    /// Most resident memory, in KiB.
    pub max_resident: i64,
    /// Not used by Linux.
    pub unused_sizes: [i64; 3],
    /// Page faults without input.
    pub minor_faults: i64,
    /// Page faults with input.
    pub major_faults: i64,
    /// Not used by Linux.
    pub swaps: i64,
    /// Blocks of input.
    pub blocks_in: i64,
    /// Blocks of output.
    pub blocks_out: i64,
    /// Not used by Linux.
    pub unused_counts: [i64; 3],
    /// Waits.
    pub voluntary_switches: i64,
    /// Preemptions.
    pub involuntary_switches: i64,
}

const _: () = assert!(size_of::<Rusage>() == 144);

/// Flag of a scheduling policy that new threads and processes do not have it: sched(7).
pub const SCHED_RESET_ON_FORK: i32 = 0x4000_0000;

/// `struct sched_attr`: sched_setattr(2).
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct SchedAttr {
    /// Length of the structure, in bytes.
    pub size: u32,
    /// The policy.
    pub policy: u32,
    /// `SCHED_FLAG_*`.
    pub flags: u64,
    /// The nice value.
    pub nice: i32,
    /// The priority of a real-time policy.
    pub priority: u32,
    /// Of `SCHED_DEADLINE`, in nanoseconds.
    pub runtime_ns: u64,
    /// Of `SCHED_DEADLINE`, in nanoseconds.
    pub deadline_ns: u64,
    /// Of `SCHED_DEADLINE`, in nanoseconds.
    pub period_ns: u64,
    /// Least utilisation that is assumed.
    pub utilisation_min: u32,
    /// Most utilisation that is assumed.
    pub utilisation_max: u32,
}

const _: () = assert!(size_of::<SchedAttr>() == 56);

/// Length of the first version of [`SchedAttr`], in bytes.
pub const SCHED_ATTR_SIZE_VER0: usize = 48;

/// Highest capability that the kernel knows: `CAP_CHECKPOINT_RESTORE`.
pub const CAP_LAST: u8 = 40;

/// personality(2): the parts of programs are not put at random places.
pub const ADDR_NO_RANDOMIZE: u32 = 0x0004_0000;
/// personality(2): select(2) and its kin leave their timeout alone.
pub const STICKY_TIMEOUTS: u32 = 0x0400_0000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resources_are_numbered_as_in_the_kernel_headers() {
        use linux_raw_sys::general;
        assert_eq!(Resource::OpenFiles as u32, general::RLIMIT_NOFILE);
        assert_eq!(Resource::RealTimeRun as u32, general::RLIMIT_RTTIME);
        for (number, resource) in Resource::ALL.into_iter().enumerate() {
            assert_eq!(resource as usize, number);
        }
    }
}

/// Requests of ioctl(2) to descriptors of processes: `linux/pidfd.h`.
pub mod pidfd {
    /// What is known of the process (`PIDFD_GET_INFO`), but for the size of the structure.
    pub const GET_INFO: u32 = 0xc000_ff0b;
    /// Where the size of the structure is in a request.
    pub const SIZE_SHIFT: u32 = 16;
    /// Greatest size of a structure, in bytes.
    pub const SIZE_MAX: usize = 0x3fff;
    /// Size of the first version of the structure, in bytes (`PIDFD_INFO_SIZE_VER0`).
    pub const INFO_SIZE_VER0: usize = 64;
    /// The bits of a request that are the size.
    pub const SIZE_OF_REQUEST: u32 = (SIZE_MAX as u32) << SIZE_SHIFT;
    /// The numbers are there.
    pub const INFO_PID: u64 = 1;
    /// The users and groups are there.
    pub const INFO_CREDS: u64 = 2;
    /// The exit status is there.
    pub const INFO_EXIT: u64 = 8;
}

/// What is known of a process: `struct pidfd_info`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct PidfdInfo {
    /// What is wanted, and what is there: [`pidfd`].
    pub mask: u64,
    /// Its control group.
    pub cgroup: u64,
    /// Its number.
    pub pid: u32,
    /// The number of its process.
    pub tgid: u32,
    /// The number of its parent.
    pub ppid: u32,
    /// Real user.
    pub ruid: u32,
    /// Real group.
    pub rgid: u32,
    /// Effective user.
    pub euid: u32,
    /// Effective group.
    pub egid: u32,
    /// Saved user.
    pub suid: u32,
    /// Saved group.
    pub sgid: u32,
    /// User towards file systems.
    pub fsuid: u32,
    /// Group towards file systems.
    pub fsgid: u32,
    /// How it ended, as wait(2) says it.
    pub exit_code: i32,
    /// How it dumped core.
    pub coredump_mask: u32,
    /// 0.
    pub spare: u32,
}

const _: () = assert!(size_of::<PidfdInfo>() == 72);

//! Tracing of threads: ptrace(2), `linux/ptrace.h`, `asm/ptrace.h`, `sys/user.h`.

use bitflags::bitflags;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Requests of ptrace(2).
#[allow(missing_docs)]
pub mod request {
    pub const TRACEME: u64 = 0;
    pub const PEEKTEXT: u64 = 1;
    pub const PEEKDATA: u64 = 2;
    pub const PEEKUSER: u64 = 3;
    pub const POKETEXT: u64 = 4;
    pub const POKEDATA: u64 = 5;
    pub const POKEUSER: u64 = 6;
    pub const CONT: u64 = 7;
    pub const KILL: u64 = 8;
    pub const SINGLESTEP: u64 = 9;
    pub const GETREGS: u64 = 12;
    pub const SETREGS: u64 = 13;
    pub const GETFPREGS: u64 = 14;
    pub const SETFPREGS: u64 = 15;
    pub const ATTACH: u64 = 16;
    pub const DETACH: u64 = 17;
    pub const SYSCALL: u64 = 24;
    pub const ARCH_PRCTL: u64 = 30;
    pub const SYSEMU: u64 = 31;
    pub const SYSEMU_SINGLESTEP: u64 = 32;
    pub const OLDSETOPTIONS: u64 = 21;
    pub const SETOPTIONS: u64 = 0x4200;
    pub const GETEVENTMSG: u64 = 0x4201;
    pub const GETSIGINFO: u64 = 0x4202;
    pub const SETSIGINFO: u64 = 0x4203;
    pub const GETREGSET: u64 = 0x4204;
    pub const SETREGSET: u64 = 0x4205;
    pub const SEIZE: u64 = 0x4206;
    pub const INTERRUPT: u64 = 0x4207;
    pub const LISTEN: u64 = 0x4208;
    pub const PEEKSIGINFO: u64 = 0x4209;
    pub const GETSIGMASK: u64 = 0x420a;
    pub const SETSIGMASK: u64 = 0x420b;
    pub const GET_SYSCALL_INFO: u64 = 0x420e;
    pub const GET_RSEQ_CONFIGURATION: u64 = 0x420f;
}

bitflags! {
    /// What `PTRACE_SETOPTIONS` sets.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct TraceOptions: u64 {
        /// Stops at system calls have bit 7 of the signal.
        const SYSGOOD = 1;
        /// Stop at fork(2), and trace the child.
        const FORK = 1 << 1;
        /// Stop at vfork(2), and trace the child.
        const VFORK = 1 << 2;
        /// Stop at clone(2), and trace the child.
        const CLONE = 1 << 3;
        /// Stop at execve(2).
        const EXEC = 1 << 4;
        /// Stop when a child of vfork(2) has given the memory back.
        const VFORK_DONE = 1 << 5;
        /// Stop at the end.
        const EXIT = 1 << 6;
        /// Stop where a filter of seccomp(2) says so.
        const SECCOMP = 1 << 7;
        /// `SIGKILL` when the tracer ends.
        const EXITKILL = 1 << 20;
        /// Filters of seccomp(2) do not hold.
        const SUSPEND_SECCOMP = 1 << 21;
    }
}

/// Events, in the third byte of the status of a stop.
#[allow(missing_docs)]
pub mod event {
    pub const FORK: u32 = 1;
    pub const VFORK: u32 = 2;
    pub const CLONE: u32 = 3;
    pub const EXEC: u32 = 4;
    pub const VFORK_DONE: u32 = 5;
    pub const EXIT: u32 = 6;
    pub const STOP: u32 = 128;
}

/// Message of a stop at the entry of a system call (`PTRACE_EVENTMSG_SYSCALL_ENTRY`).
pub const MESSAGE_CALL_ENTRY: u64 = 1;
/// Message of a stop at the exit of a system call (`PTRACE_EVENTMSG_SYSCALL_EXIT`).
pub const MESSAGE_CALL_EXIT: u64 = 2;

/// Length of `struct user`, in bytes.
pub const USER_LEN: u64 = 928;
/// Where the debug registers are in `struct user`, in bytes.
pub const USER_DEBUG_REGISTERS: u64 = 848;

/// `AUDIT_ARCH_X86_64`.
pub const AUDIT_ARCH: u32 = 0xc000_003e;

/// `struct ptrace_peeksiginfo_args`.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct PeekSigInfo {
    /// The first signal of the queue to be copied.
    pub offset: u64,
    /// [`PEEK_SHARED`] or 0.
    pub flags: u32,
    /// How many to copy.
    pub count: i32,
}

/// The queue of the process (`PTRACE_PEEKSIGINFO_SHARED`).
pub const PEEK_SHARED: u32 = 1;

/// `struct ptrace_syscall_info`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
pub struct SyscallInfo {
    /// [`SyscallInfo::NONE`], [`SyscallInfo::ENTRY`] or [`SyscallInfo::EXIT`].
    pub operation: u8,
    /// Zero.
    pub reserved: u8,
    /// Zero.
    pub flags: u16,
    /// [`AUDIT_ARCH`].
    pub architecture: u32,
    /// The instruction pointer.
    pub instruction_pointer: u64,
    /// The stack pointer.
    pub stack_pointer: u64,
    /// At the entry, number and arguments; at the exit, result and whether it is an error.
    pub data: [u64; 8],
}

#[allow(missing_docs)]
impl SyscallInfo {
    pub const NONE: u8 = 0;
    pub const ENTRY: u8 = 1;
    pub const EXIT: u8 = 2;
    /// How many bytes there are to tell outside of a system call.
    pub const NONE_LEN: usize = 24;
    /// How many bytes there are to tell at an entry.
    pub const ENTRY_LEN: usize = 80;
    /// How many bytes there are to tell at an exit.
    pub const EXIT_LEN: usize = 33;
}

/// `struct ptrace_rseq_configuration`.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
pub struct RseqConfiguration {
    /// Where the structure is; 0 where there is none.
    pub address: u64,
    /// How long it is, in bytes.
    pub size: u32,
    /// The signature before the abort handlers.
    pub signature: u32,
    /// Zero.
    pub flags: u32,
    /// Zero.
    pub padding: u32,
}

const _: () = assert!(size_of::<SyscallInfo>() == 88 && size_of::<PeekSigInfo>() == 16);

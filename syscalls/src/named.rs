//! Numbers with names: commands, clocks, resources, as handlers get them and as the tracer
//! shows them. A number without a name stays what it is, so that the handler can refuse it.

use core::fmt::{self, Write};

use crate::args::Argument;
use crate::context::Context;
use crate::error::Result;

/// Defines a type of numbers, some of which have a name: a line per type.
macro_rules! named_numbers {
    ($($(#[$doc:meta])* $type:ident($repr:ty) { $($name:ident = $value:expr,)* })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) struct $type(pub(crate) $repr);

        impl Argument for $type {
            fn from_register(raw: u64) -> Result<Self> {
                Ok(Self(raw as $repr))
            }

            fn show(raw: u64, _: &Context<'_>, out: &mut dyn Write) -> fmt::Result {
                const NAMES: &[($repr, &str)] = &[$(($value, stringify!($name)),)*];
                let number = raw as $repr;
                match NAMES.iter().find(|(value, _)| *value == number) {
                    Some((_, name)) => out.write_str(name),
                    None => write!(out, "{number:#x}"),
                }
            }
        }
    )*};
}

named_numbers! {
    /// A command of shmctl(2).
    SharedMemoryCommand(i32) {
        IPC_RMID = abi::ipc::IPC_RMID,
        IPC_SET = abi::ipc::IPC_SET,
        IPC_STAT = abi::ipc::IPC_STAT,
        IPC_INFO = abi::ipc::IPC_INFO,
        SHM_LOCK = abi::ipc::SHM_LOCK,
        SHM_UNLOCK = abi::ipc::SHM_UNLOCK,
        SHM_STAT = abi::ipc::SHM_STAT,
        SHM_INFO = abi::ipc::SHM_INFO,
        SHM_STAT_ANY = abi::ipc::SHM_STAT_ANY,
    }

    /// A command of semctl(2).
    SemaphoreCommand(i32) {
        IPC_RMID = abi::ipc::IPC_RMID,
        IPC_SET = abi::ipc::IPC_SET,
        IPC_STAT = abi::ipc::IPC_STAT,
        IPC_INFO = abi::ipc::IPC_INFO,
        GETPID = abi::ipc::semaphore::GETPID,
        GETVAL = abi::ipc::semaphore::GETVAL,
        GETALL = abi::ipc::semaphore::GETALL,
        GETNCNT = abi::ipc::semaphore::GETNCNT,
        GETZCNT = abi::ipc::semaphore::GETZCNT,
        SETVAL = abi::ipc::semaphore::SETVAL,
        SETALL = abi::ipc::semaphore::SETALL,
        SEM_STAT = abi::ipc::semaphore::SEM_STAT,
        SEM_INFO = abi::ipc::semaphore::SEM_INFO,
        SEM_STAT_ANY = abi::ipc::semaphore::SEM_STAT_ANY,
    }

    /// A command of msgctl(2).
    MessageCommand(i32) {
        IPC_RMID = abi::ipc::IPC_RMID,
        IPC_SET = abi::ipc::IPC_SET,
        IPC_STAT = abi::ipc::IPC_STAT,
        IPC_INFO = abi::ipc::IPC_INFO,
        MSG_STAT = abi::ipc::message::MSG_STAT,
        MSG_INFO = abi::ipc::message::MSG_INFO,
        MSG_STAT_ANY = abi::ipc::message::MSG_STAT_ANY,
    }

    /// A clock: clock_gettime(2).
    ClockNumber(i32) {
        CLOCK_REALTIME = 0,
        CLOCK_MONOTONIC = 1,
        CLOCK_PROCESS_CPUTIME_ID = 2,
        CLOCK_THREAD_CPUTIME_ID = 3,
        CLOCK_MONOTONIC_RAW = 4,
        CLOCK_REALTIME_COARSE = 5,
        CLOCK_MONOTONIC_COARSE = 6,
        CLOCK_BOOTTIME = 7,
        CLOCK_REALTIME_ALARM = 8,
        CLOCK_BOOTTIME_ALARM = 9,
        CLOCK_TAI = 11,
    }

    /// An interval timer: setitimer(2).
    TimerNumber(i32) {
        ITIMER_REAL = 0,
        ITIMER_VIRTUAL = 1,
        ITIMER_PROF = 2,
    }

    /// Which children waitid(2) waits for.
    ChildKind(i32) {
        P_ALL = 0,
        P_PID = 1,
        P_PGID = 2,
        P_PIDFD = 3,
    }

    /// What epoll_ctl(2) does.
    EpollOperation(i32) {
        EPOLL_CTL_ADD = abi::events::epoll_ctl::ADD,
        EPOLL_CTL_DEL = abi::events::epoll_ctl::DEL,
        EPOLL_CTL_MOD = abi::events::epoll_ctl::MOD,
    }

    /// How rt_sigprocmask(2) changes the mask.
    MaskChange(i32) {
        SIG_BLOCK = 0,
        SIG_UNBLOCK = 1,
        SIG_SETMASK = 2,
    }

    /// A resource: getrlimit(2).
    ResourceNumber(u32) {
        RLIMIT_CPU = 0,
        RLIMIT_FSIZE = 1,
        RLIMIT_DATA = 2,
        RLIMIT_STACK = 3,
        RLIMIT_CORE = 4,
        RLIMIT_RSS = 5,
        RLIMIT_NPROC = 6,
        RLIMIT_NOFILE = 7,
        RLIMIT_MEMLOCK = 8,
        RLIMIT_AS = 9,
        RLIMIT_LOCKS = 10,
        RLIMIT_SIGPENDING = 11,
        RLIMIT_MSGQUEUE = 12,
        RLIMIT_NICE = 13,
        RLIMIT_RTPRIO = 14,
        RLIMIT_RTTIME = 15,
    }

    /// An operation of arch_prctl(2).
    ArchOperation(i32) {
        ARCH_SET_GS = 0x1001,
        ARCH_SET_FS = 0x1002,
        ARCH_GET_FS = 0x1003,
        ARCH_GET_GS = 0x1004,
    }

    /// A request of ptrace(2).
    TraceRequest(u64) {
        PTRACE_TRACEME = abi::ptrace::request::TRACEME,
        PTRACE_PEEKTEXT = abi::ptrace::request::PEEKTEXT,
        PTRACE_PEEKDATA = abi::ptrace::request::PEEKDATA,
        PTRACE_PEEKUSER = abi::ptrace::request::PEEKUSER,
        PTRACE_POKETEXT = abi::ptrace::request::POKETEXT,
        PTRACE_POKEDATA = abi::ptrace::request::POKEDATA,
        PTRACE_POKEUSER = abi::ptrace::request::POKEUSER,
        PTRACE_CONT = abi::ptrace::request::CONT,
        PTRACE_KILL = abi::ptrace::request::KILL,
        PTRACE_SINGLESTEP = abi::ptrace::request::SINGLESTEP,
        PTRACE_GETREGS = abi::ptrace::request::GETREGS,
        PTRACE_SETREGS = abi::ptrace::request::SETREGS,
        PTRACE_GETFPREGS = abi::ptrace::request::GETFPREGS,
        PTRACE_SETFPREGS = abi::ptrace::request::SETFPREGS,
        PTRACE_ATTACH = abi::ptrace::request::ATTACH,
        PTRACE_DETACH = abi::ptrace::request::DETACH,
        PTRACE_SYSCALL = abi::ptrace::request::SYSCALL,
        PTRACE_ARCH_PRCTL = abi::ptrace::request::ARCH_PRCTL,
        PTRACE_SYSEMU = abi::ptrace::request::SYSEMU,
        PTRACE_SYSEMU_SINGLESTEP = abi::ptrace::request::SYSEMU_SINGLESTEP,
        PTRACE_OLDSETOPTIONS = abi::ptrace::request::OLDSETOPTIONS,
        PTRACE_SETOPTIONS = abi::ptrace::request::SETOPTIONS,
        PTRACE_GETEVENTMSG = abi::ptrace::request::GETEVENTMSG,
        PTRACE_GETSIGINFO = abi::ptrace::request::GETSIGINFO,
        PTRACE_SETSIGINFO = abi::ptrace::request::SETSIGINFO,
        PTRACE_GETREGSET = abi::ptrace::request::GETREGSET,
        PTRACE_SETREGSET = abi::ptrace::request::SETREGSET,
        PTRACE_SEIZE = abi::ptrace::request::SEIZE,
        PTRACE_INTERRUPT = abi::ptrace::request::INTERRUPT,
        PTRACE_LISTEN = abi::ptrace::request::LISTEN,
        PTRACE_PEEKSIGINFO = abi::ptrace::request::PEEKSIGINFO,
        PTRACE_GETSIGMASK = abi::ptrace::request::GETSIGMASK,
        PTRACE_SETSIGMASK = abi::ptrace::request::SETSIGMASK,
        PTRACE_GET_SYSCALL_INFO = abi::ptrace::request::GET_SYSCALL_INFO,
        PTRACE_GET_RSEQ_CONFIGURATION = abi::ptrace::request::GET_RSEQ_CONFIGURATION,
    }

    /// An operation of prctl(2): `linux/prctl.h`.
    ProcessOperation(i32) {
        PR_SET_PDEATHSIG = 1,
        PR_GET_PDEATHSIG = 2,
        PR_GET_DUMPABLE = 3,
        PR_SET_DUMPABLE = 4,
        PR_GET_KEEPCAPS = 7,
        PR_SET_KEEPCAPS = 8,
        PR_SET_NAME = 15,
        PR_GET_NAME = 16,
        PR_GET_SECCOMP = 21,
        PR_SET_SECCOMP = 22,
        PR_CAPBSET_READ = 23,
        PR_CAPBSET_DROP = 24,
        PR_GET_SECUREBITS = 27,
        PR_SET_TIMERSLACK = 29,
        PR_GET_TIMERSLACK = 30,
        PR_SET_CHILD_SUBREAPER = 36,
        PR_GET_CHILD_SUBREAPER = 37,
        PR_SET_NO_NEW_PRIVS = 38,
        PR_GET_NO_NEW_PRIVS = 39,
        PR_GET_TID_ADDRESS = 40,
        PR_CAP_AMBIENT = 47,
        PR_SET_VMA = 0x5356_4d41,
    }

    /// A command of futex(2), with its flags.
    FutexOperation(i32) {
        FUTEX_WAIT = 0,
        FUTEX_WAKE = 1,
        FUTEX_REQUEUE = 3,
        FUTEX_CMP_REQUEUE = 4,
        FUTEX_WAKE_OP = 5,
        FUTEX_LOCK_PI = 6,
        FUTEX_UNLOCK_PI = 7,
        FUTEX_TRYLOCK_PI = 8,
        FUTEX_WAIT_BITSET = 9,
        FUTEX_WAKE_BITSET = 10,
        FUTEX_WAIT_REQUEUE_PI = 11,
        FUTEX_CMP_REQUEUE_PI = 12,
        FUTEX_LOCK_PI2 = 13,
        FUTEX_WAIT_PRIVATE = 128,
        FUTEX_WAKE_PRIVATE = 129,
        FUTEX_REQUEUE_PRIVATE = 131,
        FUTEX_CMP_REQUEUE_PRIVATE = 132,
        FUTEX_WAKE_OP_PRIVATE = 133,
        FUTEX_LOCK_PI_PRIVATE = 134,
        FUTEX_UNLOCK_PI_PRIVATE = 135,
        FUTEX_TRYLOCK_PI_PRIVATE = 136,
        FUTEX_WAIT_BITSET_PRIVATE = 137,
        FUTEX_WAKE_BITSET_PRIVATE = 138,
        FUTEX_WAIT_REQUEUE_PI_PRIVATE = 139,
        FUTEX_CMP_REQUEUE_PI_PRIVATE = 140,
        FUTEX_LOCK_PI2_PRIVATE = 141,
        FUTEX_WAIT_BITSET_REALTIME = 265,
        FUTEX_WAIT_BITSET_REALTIME_PRIVATE = 393,
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::String;

    use super::*;
    use crate::fake::kit;

    #[test]
    fn names_are_shown_where_there_are_any() {
        let kit = kit::process();
        let shown = |raw| {
            let mut out = String::new();
            ClockNumber::show(raw, &kit.context(), &mut out).unwrap();
            out
        };
        assert_eq!(shown(1), "CLOCK_MONOTONIC");
        // The upper half of the register does not count.
        assert_eq!(shown(1 << 32), "CLOCK_REALTIME");
        assert_eq!(shown(99), "0x63");
    }

    #[test]
    fn resources_are_named_as_the_abi_names_them() {
        let kit = kit::process();
        for resource in abi::process::Resource::ALL {
            let mut out = String::new();
            ResourceNumber::show(resource as u64, &kit.context(), &mut out).unwrap();
            assert_eq!(out, resource.name());
        }
    }
}

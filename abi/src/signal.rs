//! Signals: signal(7), sigaction(2), `asm/signal.h`, `asm/sigcontext.h`, `asm/ucontext.h`,
//! `asm-generic/siginfo.h`.

use core::num::NonZeroU8;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// A signal: a number from 1 to 64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Signal(NonZeroU8);

/// Number of signals.
pub const SIGNAL_COUNT: usize = 64;

/// The first real-time signal, as the kernel counts (libraries keep a few for themselves).
pub const SIGRTMIN: u8 = 32;

/// Defines the standard signals: associated constants and names.
macro_rules! signals {
    ($($name:ident = $number:literal, $meaning:literal;)*) => {
        impl Signal {
            $(#[doc = concat!($meaning, ".")]
            pub const $name: Self = match NonZeroU8::new($number) {
                Some(number) => Self(number),
                None => panic!("a signal has a number"),
            };)*

            /// The symbolic name (`SIGTERM`) and what it means, for the standard signals.
            const fn description(self) -> Option<(&'static str, &'static str)> {
                match self.0.get() {
                    $($number => Some((stringify!($name), $meaning)),)*
                    _ => None,
                }
            }
        }
    };
}

signals! {
    SIGHUP = 1, "Hangup";
    SIGINT = 2, "Interrupt";
    SIGQUIT = 3, "Quit";
    SIGILL = 4, "Illegal instruction";
    SIGTRAP = 5, "Trace/breakpoint trap";
    SIGABRT = 6, "Aborted";
    SIGBUS = 7, "Bus error";
    SIGFPE = 8, "Floating point exception";
    SIGKILL = 9, "Killed";
    SIGUSR1 = 10, "User defined signal 1";
    SIGSEGV = 11, "Segmentation fault";
    SIGUSR2 = 12, "User defined signal 2";
    SIGPIPE = 13, "Broken pipe";
    SIGALRM = 14, "Alarm clock";
    SIGTERM = 15, "Terminated";
    SIGSTKFLT = 16, "Stack fault";
    SIGCHLD = 17, "Child exited";
    SIGCONT = 18, "Continued";
    SIGSTOP = 19, "Stopped (signal)";
    SIGTSTP = 20, "Stopped";
    SIGTTIN = 21, "Stopped (tty input)";
    SIGTTOU = 22, "Stopped (tty output)";
    SIGURG = 23, "Urgent I/O condition";
    SIGXCPU = 24, "CPU time limit exceeded";
    SIGXFSZ = 25, "File size limit exceeded";
    SIGVTALRM = 26, "Virtual timer expired";
    SIGPROF = 27, "Profiling timer expired";
    SIGWINCH = 28, "Window changed";
    SIGIO = 29, "I/O possible";
    SIGPWR = 30, "Power failure";
    SIGSYS = 31, "Bad system call";
}

impl Signal {
    /// The signal with this number, or `None` where there is none.
    #[must_use]
    pub const fn new(number: u8) -> Option<Self> {
        if number as usize > SIGNAL_COUNT {
            return None;
        }
        match NonZeroU8::new(number) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }

    /// Its number, 1 to 64.
    #[must_use]
    pub const fn number(self) -> u8 {
        self.0.get()
    }

    /// Its index in a table of all signals, from 0.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0.get() as usize - 1
    }

    /// Whether it is one of the real-time signals, each of which is queued.
    #[must_use]
    pub const fn is_real_time(self) -> bool {
        self.0.get() >= SIGRTMIN
    }

    /// The symbolic name (`SIGTERM`), or `SIGRT` for every real-time signal.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self.description() {
            Some((name, _)) => name,
            None => "SIGRT",
        }
    }

    /// What strsignal(3) says of it.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self.description() {
            Some((_, meaning)) => meaning,
            None => "Real-time signal",
        }
    }
}

/// `SIG_DFL`: the handler that stands for the default action.
pub const SIG_DFL: u64 = 0;
/// `SIG_IGN`: the handler that stands for ignoring.
pub const SIG_IGN: u64 = 1;

/// `struct sigaction` of the kernel's interface.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct SigAction {
    /// Address of the handler, or [`SIG_DFL`] or [`SIG_IGN`].
    pub handler: u64,
    /// [`sa`] flags.
    pub flags: u64,
    /// Where the handler returns to.
    pub restorer: u64,
    /// What is blocked while the handler runs.
    pub mask: u64,
}

/// Flags of [`SigAction`].
pub mod sa {
    /// No `SIGCHLD` when children stop.
    pub const NOCLDSTOP: u64 = 1;
    /// Children leave no zombies.
    pub const NOCLDWAIT: u64 = 2;
    /// The handler takes three arguments.
    pub const SIGINFO: u64 = 4;
    /// Asks which flags are known.
    pub const UNSUPPORTED: u64 = 0x400;
    /// Address tag bits are kept in `si_addr`.
    pub const EXPOSE_TAGBITS: u64 = 0x800;
    /// `restorer` is set.
    pub const RESTORER: u64 = 0x0400_0000;
    /// The handler runs on the alternate stack.
    pub const ONSTACK: u64 = 0x0800_0000;
    /// System calls are restarted after the handler.
    pub const RESTART: u64 = 0x1000_0000;
    /// The signal itself is not blocked while the handler runs.
    pub const NODEFER: u64 = 0x4000_0000;
    /// The handler runs once.
    pub const RESETHAND: u64 = 0x8000_0000;
    /// All flags that the kernel knows.
    pub const KNOWN: u64 = NOCLDSTOP
        | NOCLDWAIT
        | SIGINFO
        | EXPOSE_TAGBITS
        | RESTORER
        | ONSTACK
        | RESTART
        | NODEFER
        | RESETHAND;
}

/// `stack_t`: an alternate signal stack, sigaltstack(2).
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct StackT {
    /// Lowest address.
    pub sp: u64,
    /// `SS_ONSTACK`, [`SS_DISABLE`], [`SS_AUTODISARM`].
    pub flags: u32,
    /// Zero.
    pub padding: u32,
    /// Length in bytes.
    pub size: u64,
}

/// The thread runs on its alternate stack.
pub const SS_ONSTACK: u32 = 1;
/// There is no alternate stack.
pub const SS_DISABLE: u32 = 2;
/// The alternate stack is taken back while a handler runs on it.
pub const SS_AUTODISARM: u32 = 1 << 31;
/// The least an alternate stack may have, in bytes.
pub const MINSIGSTKSZ: u64 = 2048;

/// `siginfo_t`: 128 bytes, of which the part after the first three words depends on the code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct SigInfo {
    /// Number of the signal.
    pub signo: i32,
    /// An error number, mostly 0.
    pub errno: i32,
    /// Where the signal comes from: [`si`].
    pub code: i32,
    /// Zero.
    pub padding: u32,
    /// What the code says it is.
    pub fields: [u64; 14],
}

const _: () = assert!(size_of::<SigInfo>() == 128);

/// `struct sigevent`: how to tell of an event, sigevent(3type).
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct SigEvent {
    /// What the signal carries.
    pub value: u64,
    /// Number of the signal.
    pub signo: i32,
    /// How to tell: [`sigev`].
    pub notify: i32,
    /// Number of the thread, with [`sigev::THREAD_ID`].
    pub thread: i32,
    /// Not used.
    pub padding: [u32; 11],
}

const _: () = assert!(size_of::<SigEvent>() == 64);

/// Values of `sigev_notify`.
pub mod sigev {
    /// By a signal to the process.
    pub const SIGNAL: i32 = 0;
    /// Not at all.
    pub const NONE: i32 = 1;
    /// By a new thread; the kernel takes it for [`SIGNAL`].
    pub const THREAD: i32 = 2;
    /// With [`SIGNAL`]: to one thread.
    pub const THREAD_ID: i32 = 4;
}

/// `struct signalfd_siginfo`: what a read of signalfd(2) tells of a signal.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct SignalRecord {
    /// Number of the signal.
    pub signal: u32,
    /// An error number, mostly 0.
    pub error: i32,
    /// Where the signal comes from: [`si`].
    pub code: i32,
    /// The process that sent it.
    pub process: u32,
    /// The user who sent it.
    pub user: u32,
    /// The descriptor that is ready.
    pub descriptor: i32,
    /// The timer that expired.
    pub timer: u32,
    /// The events of the descriptor.
    pub band: u32,
    /// How often the timer expired beside this once.
    pub overrun: u32,
    /// Number of the trap.
    pub trap: u32,
    /// Status of the child.
    pub status: i32,
    /// The value that was sent, as a number.
    pub int: i32,
    /// The value that was sent.
    pub pointer: u64,
    /// Time that the child computed, in clock ticks.
    pub user_time: u64,
    /// Time that the kernel computed for the child, in clock ticks.
    pub system_time: u64,
    /// The address of the fault.
    pub address: u64,
    /// The lowest bits of that which count.
    pub address_bits: u16,
    /// Zero.
    pub padding: [u8; 6],
    /// Zero.
    pub padding2: [u64; 5],
}

const _: () = assert!(size_of::<SignalRecord>() == 128);

/// Values of `si_code`.
pub mod si {
    /// Sent by kill(2).
    pub const USER: i32 = 0;
    /// Sent by the kernel.
    pub const KERNEL: i32 = 0x80;
    /// Sent by sigqueue(3).
    pub const QUEUE: i32 = -1;
    /// A message came to a queue of POSIX.
    pub const MESGQ: i32 = -3;
    /// A POSIX timer expired.
    pub const TIMER: i32 = -2;
    /// Sent by tkill(2) or tgkill(2).
    pub const TKILL: i32 = -6;
    /// `SIGIO` and its like: there is something to be read.
    pub const POLL_IN: i32 = 1;
    /// `SIGIO` and its like: there is room to write.
    pub const POLL_OUT: i32 = 2;
    /// `SIGIO` and its like: there is a message; a directory has changed.
    pub const POLL_MSG: i32 = 3;
    /// `SIGIO` and its like: an error.
    pub const POLL_ERR: i32 = 4;
    /// `SIGIO` and its like: the other side hung up.
    pub const POLL_HUP: i32 = 6;
    /// `SIGILL`: illegal operand.
    pub const ILL_ILLOPN: i32 = 2;
    /// `SIGFPE`: integer division by zero.
    pub const FPE_INTDIV: i32 = 1;
    /// `SIGFPE`: division by zero.
    pub const FPE_FLTDIV: i32 = 3;
    /// `SIGFPE`: overflow.
    pub const FPE_FLTOVF: i32 = 4;
    /// `SIGFPE`: underflow.
    pub const FPE_FLTUND: i32 = 5;
    /// `SIGFPE`: inexact result.
    pub const FPE_FLTRES: i32 = 6;
    /// `SIGFPE`: invalid operation.
    pub const FPE_FLTINV: i32 = 7;
    /// `SIGSEGV`: nothing is mapped there.
    pub const SEGV_MAPERR: i32 = 1;
    /// `SIGSEGV`: what is mapped there does not allow the access.
    pub const SEGV_ACCERR: i32 = 2;
    /// `SIGBUS`: wrong alignment.
    pub const BUS_ADRALN: i32 = 1;
    /// `SIGBUS`: no such place in the mapped file.
    pub const BUS_ADRERR: i32 = 2;
    /// `SIGBUS`: the memory is damaged there.
    pub const BUS_MCEERR_AR: i32 = 4;
    /// `SIGTRAP`: breakpoint.
    pub const TRAP_BRKPT: i32 = 1;
    /// `SIGTRAP`: single step or watchpoint.
    pub const TRAP_TRACE: i32 = 2;
    /// `SIGTRAP`: hardware breakpoint or watchpoint.
    pub const TRAP_HWBKPT: i32 = 4;
    /// The child has ended by itself.
    pub const CLD_EXITED: i32 = 1;
    /// A signal has ended the child.
    pub const CLD_KILLED: i32 = 2;
    /// A signal has ended the child, and left a core dump.
    pub const CLD_DUMPED: i32 = 3;
    /// The traced child has stopped.
    pub const CLD_TRAPPED: i32 = 4;
    /// The child has stopped.
    pub const CLD_STOPPED: i32 = 5;
    /// The child goes on.
    pub const CLD_CONTINUED: i32 = 6;
}

/// `struct sigcontext` of x86-64: the registers in a signal frame.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
#[allow(missing_docs)]
pub struct SigContext {
    pub r8: u64,
    pub r9: u64,
    pub r10: u64,
    pub r11: u64,
    pub r12: u64,
    pub r13: u64,
    pub r14: u64,
    pub r15: u64,
    pub rdi: u64,
    pub rsi: u64,
    pub rbp: u64,
    pub rbx: u64,
    pub rdx: u64,
    pub rax: u64,
    pub rcx: u64,
    pub rsp: u64,
    pub rip: u64,
    pub rflags: u64,
    pub cs: u16,
    pub gs: u16,
    pub fs: u16,
    pub ss: u16,
    pub err: u64,
    pub trapno: u64,
    pub oldmask: u64,
    pub cr2: u64,
    /// Address of the extended state, 64-byte aligned; 0 when there is none.
    pub fpstate: u64,
    pub reserved: [u64; 8],
}

const _: () = assert!(size_of::<SigContext>() == 256);

/// `struct ucontext` of x86-64.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct UContext {
    /// [`uc`] flags.
    pub flags: u64,
    /// Always 0.
    pub link: u64,
    /// The alternate stack at the time of the signal.
    pub stack: StackT,
    /// The registers.
    pub registers: SigContext,
    /// What was blocked.
    pub mask: u64,
}

const _: () = assert!(size_of::<UContext>() == 304);

/// `struct rt_sigframe` of x86-64: what lies at the stack pointer when a handler starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct RtSigFrame {
    /// Where the handler returns to: the restorer, which calls rt_sigreturn(2).
    pub return_address: u64,
    /// Third argument of the handler.
    pub context: UContext,
    /// Second argument of the handler.
    pub info: SigInfo,
}

const _: () = assert!(size_of::<RtSigFrame>() == 440);

/// Flags of [`UContext`].
pub mod uc {
    /// The extended state is in the format of `XSAVE`, between two magic numbers.
    pub const FP_XSTATE: u64 = 1;
    /// The segment `ss` is saved.
    pub const SIGCONTEXT_SS: u64 = 2;
    /// The segment `ss` is restored as it is.
    pub const STRICT_RESTORE_SS: u64 = 4;
}

/// Code segment of applications, as in a signal frame (`__USER_CS`).
pub const USER_CS: u16 = 0x33;
/// Stack segment of applications, as in a signal frame (`__USER_DS`).
pub const USER_DS: u16 = 0x2b;

/// First magic number of an extended state in a frame.
pub const FP_XSTATE_MAGIC1: u32 = 0x4650_5853;
/// Second magic number, right after the extended state.
pub const FP_XSTATE_MAGIC2: u32 = 0x4650_5845;
/// Offset in the extended state of the bytes that software may use, where
/// [`FpxSwBytes`] lies.
pub const FPX_SW_BYTES_OFFSET: usize = 464;
/// Length of the part that `FXSAVE` knows, in bytes.
pub const FXSAVE_LEN: usize = 512;

/// `struct _fpx_sw_bytes`: describes the extended state of a frame.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct FpxSwBytes {
    /// [`FP_XSTATE_MAGIC1`].
    pub magic1: u32,
    /// Length of all, with the second magic number, in bytes.
    pub extended_size: u32,
    /// Components, as in XCR0.
    pub xfeatures: u64,
    /// Length of the state, in bytes.
    pub xstate_size: u32,
    /// Zero.
    pub padding: [u32; 7],
}

const _: () = assert!(size_of::<FpxSwBytes>() == 48);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_are_those_of_the_kernel_headers() {
        use linux_raw_sys::general;
        assert_eq!(u32::from(Signal::SIGSYS.number()), general::SIGSYS);
        assert_eq!(u32::from(Signal::SIGSTKFLT.number()), general::SIGSTKFLT);
        assert_eq!(Signal::new(11).map(Signal::name), Some("SIGSEGV"));
        assert_eq!(Signal::new(64).map(Signal::name), Some("SIGRT"));
        assert_eq!(Signal::new(0), None);
        assert_eq!(Signal::new(65), None);
    }

    #[test]
    fn flags_are_those_of_the_kernel_headers() {
        use linux_raw_sys::general;
        assert_eq!(sa::RESTORER, u64::from(general::SA_RESTORER));
        assert_eq!(sa::RESETHAND, u64::from(general::SA_RESETHAND));
        assert_eq!(sa::NODEFER, u64::from(general::SA_NODEFER));
        assert_eq!(sa::ONSTACK, u64::from(general::SA_ONSTACK));
        assert_eq!(sa::RESTART, u64::from(general::SA_RESTART));
    }
}

//! How a system call goes on that a signal interrupted: signal(7), "Interruption of system
//! calls and library functions by signal handlers".

use alloc::boxed::Box;

use abi::Errno;
use abi::signal::{SigAction, sa};

use crate::context::Context;
use crate::error::{Because, Error, Outcome, Result};
use crate::machine::Registers;

/// Length of the `syscall` instruction, in bytes.
const SYSCALL_LEN: u64 = 2;

/// What restart_syscall(2) calls.
pub(crate) type RestartBlock = Box<dyn FnOnce(&Context<'_>) -> Result<Outcome> + Send>;

/// How an interrupted system call goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Restart {
    /// `ERESTARTSYS`: again, unless a handler without `SA_RESTART` runs.
    System,
    /// `ERESTARTNOINTR`: again, after any handler.
    Always,
    /// `ERESTARTNOHAND`: again, unless a handler runs.
    NoHandler,
    /// `ERESTART_RESTARTBLOCK`: by restart_syscall(2), unless a handler runs.
    Block,
}

impl Restart {
    /// What the kernel-internal error numbers ask for.
    pub(super) const fn of(errno: Errno) -> Option<Self> {
        match errno {
            Errno::ERESTARTSYS => Some(Self::System),
            Errno::ERESTARTNOINTR => Some(Self::Always),
            Errno::ERESTARTNOHAND => Some(Self::NoHandler),
            Errno::ERESTART_RESTARTBLOCK => Some(Self::Block),
            _ => None,
        }
    }

    /// What a result in `rax` asks for.
    pub(super) fn of_result(rax: u64) -> Option<Self> {
        let number = u16::try_from(rax.wrapping_neg()).ok()?;
        Errno::from_number(number).and_then(Self::of)
    }

    /// Prepares the registers for the handler with this action: they are what the
    /// application goes on with after it.
    pub(super) fn before_handler(self, action: &SigAction, registers: &mut Registers) {
        let restarts = match self {
            Self::Always => true,
            Self::System => action.flags & sa::RESTART != 0,
            Self::NoHandler | Self::Block => false,
        };
        if restarts {
            again(registers, registers.orig_rax);
        } else {
            registers.rax = Errno::EINTR.as_return_value();
        }
    }

    /// Prepares the registers when no handler runs.
    pub(super) fn without_handler(self, registers: &mut Registers) {
        let number = match self {
            Self::System | Self::Always | Self::NoHandler => registers.orig_rax,
            Self::Block => u64::from(abi::number::number("restart_syscall")),
        };
        again(registers, number);
    }
}

/// Lets the application execute its `syscall` instruction once more.
fn again(registers: &mut Registers, number: u64) {
    registers.rax = number;
    registers.rip = registers.rip.wrapping_sub(SYSCALL_LEN);
}

impl Context<'_> {
    /// The error of a call that a signal interrupted and that goes on as `rest` when no
    /// handler runs: for waits of a relative time, of which only what remains is waited.
    #[must_use]
    pub fn restart_with(
        &self,
        rest: impl FnOnce(&Context<'_>) -> Result<Outcome> + Send + 'static,
    ) -> Error {
        self.thread.set_restart_block(Box::new(rest));
        Errno::ERESTART_RESTARTBLOCK.because("interrupted by a signal")
    }
}

//! The alternate signal stack: sigaltstack(2).

use abi::Errno;
use abi::signal::{MINSIGSTKSZ, SS_AUTODISARM, SS_DISABLE, SS_ONSTACK, StackT};

use crate::error::{Because, Result};

/// The alternate signal stack of a thread; none when its size is 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct AlternateStack {
    address: u64,
    size: u64,
    auto_disarm: bool,
}

impl AlternateStack {
    /// Whether the stack pointer lies in it. One that is taken back during handlers never
    /// counts, so that a handler may switch away from it.
    pub(super) fn is_in_use(&self, rsp: u64) -> bool {
        !self.auto_disarm && self.contains(rsp)
    }

    /// Whether the address lies in it, or right above.
    pub(super) fn contains(&self, rsp: u64) -> bool {
        rsp > self.address && rsp - self.address <= self.size
    }

    /// Its upper end, or `None` when there is none.
    pub(super) fn top(&self) -> Option<u64> {
        (self.size != 0).then(|| self.address.wrapping_add(self.size))
    }

    /// What sigaltstack(2) tells, when the stack pointer is `rsp`.
    pub(crate) fn describe(&self, rsp: u64) -> StackT {
        let state = match (self.size, self.is_in_use(rsp)) {
            (0, _) => SS_DISABLE,
            (_, true) => SS_ONSTACK,
            (_, false) => 0,
        };
        let disarm = if self.auto_disarm { SS_AUTODISARM } else { 0 };
        StackT { sp: self.address, flags: state | disarm, padding: 0, size: self.size }
    }

    /// Takes it back before a handler that runs on it, if it was set up so.
    pub(super) fn disarm(&mut self) {
        if self.auto_disarm {
            *self = Self::default();
        }
    }

    /// Replaces it, as sigaltstack(2) is told, when the stack pointer is `rsp`.
    ///
    /// # Errors
    /// `EPERM` while it is in use, `EINVAL` for unknown flags, `ENOMEM` when it is too small.
    pub(crate) fn set(&mut self, new: StackT, rsp: u64) -> Result<()> {
        if self.is_in_use(rsp) {
            return Err(Errno::EPERM.because("the alternate stack is in use"));
        }
        let auto_disarm = new.flags & SS_AUTODISARM != 0;
        *self = match new.flags & !SS_AUTODISARM {
            SS_DISABLE => Self { address: 0, size: 0, auto_disarm },
            0 | SS_ONSTACK if new.size < MINSIGSTKSZ => {
                return Err(Errno::ENOMEM.because("the alternate stack is too small"));
            }
            0 | SS_ONSTACK => Self { address: new.sp, size: new.size, auto_disarm },
            _ => return Err(Errno::EINVAL.because("unknown flags")),
        };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STACK: StackT = StackT { sp: 0x1000, flags: 0, padding: 0, size: 0x4000 };

    #[test]
    fn a_stack_in_use_cannot_be_changed() {
        let mut stack = AlternateStack::default();
        stack.set(STACK, 0).unwrap();
        assert_eq!(stack.describe(0x2000).flags, SS_ONSTACK);
        assert_eq!(stack.set(STACK, 0x2000).unwrap_err().errno, Errno::EPERM);
        assert_eq!(stack.describe(0x9000).flags, 0);
    }

    #[test]
    fn small_stacks_and_unknown_flags_are_refused() {
        let mut stack = AlternateStack::default();
        let small = StackT { size: 2047, ..STACK };
        assert_eq!(stack.set(small, 0).unwrap_err().errno, Errno::ENOMEM);
        let strange = StackT { flags: 4, ..STACK };
        assert_eq!(stack.set(strange, 0).unwrap_err().errno, Errno::EINVAL);
        assert_eq!(stack.describe(0).flags, SS_DISABLE);
    }

    #[test]
    fn an_auto_disarmed_stack_is_never_in_use() {
        let mut stack = AlternateStack::default();
        stack.set(StackT { flags: SS_AUTODISARM, ..STACK }, 0).unwrap();
        assert_eq!(stack.describe(0x2000).flags, SS_AUTODISARM);
        stack.disarm();
        assert_eq!(stack.top(), None);
    }
}

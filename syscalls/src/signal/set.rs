//! Sets of signals.

use abi::signal::Signal;

/// A set of signals; signal `n` is bit `n - 1`, as in the kernel's `sigset_t`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SignalSet(u64);

impl SignalSet {
    /// No signal.
    pub const EMPTY: Self = Self(0);
    /// Those that cannot be blocked, ignored or handled.
    pub const UNBLOCKABLE: Self = Self::of(&[Signal::SIGKILL, Signal::SIGSTOP]);
    /// Those whose default action is to stop the process.
    pub const STOPS: Self =
        Self::of(&[Signal::SIGSTOP, Signal::SIGTSTP, Signal::SIGTTIN, Signal::SIGTTOU]);
    /// Those that the program itself causes, delivered first.
    pub const SYNCHRONOUS: Self = Self::of(&[
        Signal::SIGSEGV,
        Signal::SIGBUS,
        Signal::SIGILL,
        Signal::SIGTRAP,
        Signal::SIGFPE,
        Signal::SIGSYS,
    ]);

    /// The set with these bits.
    #[must_use]
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// Its bits.
    #[must_use]
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// The set of these signals.
    #[must_use]
    pub const fn of(signals: &[Signal]) -> Self {
        let mut bits = 0;
        let mut at = 0;
        while at < signals.len() {
            bits |= 1 << signals[at].index();
            at += 1;
        }
        Self(bits)
    }

    /// A mask that an application asks for: without those that cannot be blocked.
    #[must_use]
    pub const fn blockable(bits: u64) -> Self {
        Self(bits & !Self::UNBLOCKABLE.0)
    }

    /// Whether there is no signal in it.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether `signal` is in it.
    #[must_use]
    pub const fn contains(self, signal: Signal) -> bool {
        self.0 & (1 << signal.index()) != 0
    }

    /// Adds a signal.
    pub const fn insert(&mut self, signal: Signal) {
        self.0 |= 1 << signal.index();
    }

    /// Removes a signal.
    pub const fn remove(&mut self, signal: Signal) {
        self.0 &= !(1 << signal.index());
    }

    /// What is in one of the sets.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What is in both sets.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// What is in this set and not in `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// The signal with the lowest number.
    #[must_use]
    pub const fn lowest(self) -> Option<Signal> {
        // 65 when there is none, which is no signal.
        Signal::new(self.0.trailing_zeros() as u8 + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_of_a_set_is_found() {
        assert_eq!(SignalSet::EMPTY.lowest(), None);
        assert_eq!(SignalSet::from_bits(1 << 63).lowest(), Signal::new(64));
        assert_eq!(SignalSet::SYNCHRONOUS.lowest(), Some(Signal::SIGILL));
    }

    #[test]
    fn kill_and_stop_cannot_be_blocked() {
        let all = SignalSet::blockable(u64::MAX);
        assert!(!all.contains(Signal::SIGKILL) && !all.contains(Signal::SIGSTOP));
        assert!(all.contains(Signal::SIGSEGV));
    }
}

//! Signals that have been sent and not yet delivered.

use alloc::collections::VecDeque;

use abi::signal::{SigInfo, Signal, si};

use super::{SignalSet, info};

/// Signals that wait for delivery: at most one of each standard signal, and every real-time
/// signal that was queued.
#[derive(Default)]
pub(crate) struct Pending {
    set: SignalSet,
    queue: VecDeque<SigInfo>,
}

/// The queue of real-time signals is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct QueueFull;

impl Pending {
    /// Which signals wait.
    pub(crate) fn set(&self) -> SignalSet {
        self.set
    }

    /// Adds a signal, unless it is a standard one that waits already; returns whether it did.
    /// Standard signals of the kernel and of kill(2) have room even where `limit` is reached;
    /// others that kill(2) or sigqueue(3) sends lose their information then, as on Linux.
    ///
    /// # Errors
    /// [`QueueFull`] when a real-time signal with information would be more than `limit`, or
    /// memory is out.
    pub(crate) fn push(
        &mut self,
        signal: Signal,
        info: SigInfo,
        limit: u64,
    ) -> Result<bool, QueueFull> {
        if !signal.is_real_time() && self.set.contains(signal) {
            return Ok(false);
        }
        let has_room = !signal.is_real_time() && info.code >= 0;
        if !has_room && self.queue.len() as u64 >= limit {
            if signal.is_real_time() && info.code != si::USER {
                return Err(QueueFull);
            }
            self.set.insert(signal);
            return Ok(true);
        }
        if self.queue.try_reserve(1).is_err() {
            return Err(QueueFull);
        }
        self.set.insert(signal);
        self.queue.push_back(info);
        Ok(true)
    }

    /// Adds a signal that must not get lost, at worst without its information.
    pub(crate) fn force(&mut self, signal: Signal, info: SigInfo) {
        if self.push(signal, info, u64::MAX).is_err() {
            self.set.insert(signal);
        }
    }

    /// Takes the oldest instance of `signal`.
    pub(crate) fn take(&mut self, signal: Signal) -> Option<SigInfo> {
        if !self.set.contains(signal) {
            return None;
        }
        let is_it = |info: &SigInfo| info::signal(info) == Some(signal);
        let at = self.queue.iter().position(is_it);
        let found = at.and_then(|at| self.queue.remove(at));
        if !self.queue.iter().any(is_it) {
            self.set.remove(signal);
        }
        Some(found.unwrap_or_else(|| info::user(signal, si::USER, 0, 0)))
    }

    /// Shows the queue, from the `from`th signal on, until `each` has had enough.
    pub(crate) fn peek(&self, from: u64, mut each: impl FnMut(&SigInfo) -> bool) {
        let from = usize::try_from(from).unwrap_or(usize::MAX);
        for info in self.queue.iter().skip(from) {
            if !each(info) {
                return;
            }
        }
    }

    /// Drops all instances of the signals in `set`.
    pub(crate) fn discard(&mut self, set: SignalSet) {
        if !self.set.and(set).is_empty() {
            self.set = self.set.without(set);
            self.queue.retain(|info| info::signal(info).is_some_and(|one| !set.contains(one)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn real_time(value: u64) -> (Signal, SigInfo) {
        let signal = Signal::new(40).unwrap();
        let mut info = info::user(signal, abi::signal::si::QUEUE, 2, 0);
        info.fields[1] = value;
        (signal, info)
    }

    #[test]
    fn a_standard_signal_waits_once() {
        let mut pending = Pending::default();
        for _ in 0..3 {
            pending.push(Signal::SIGUSR1, info::kernel(Signal::SIGUSR1), 100).unwrap();
        }
        assert!(pending.take(Signal::SIGUSR1).is_some());
        assert!(pending.take(Signal::SIGUSR1).is_none());
    }

    #[test]
    fn real_time_signals_are_queued_in_order_up_to_the_limit() {
        let mut pending = Pending::default();
        for value in 0..2 {
            let (signal, info) = real_time(value);
            assert_eq!(pending.push(signal, info, 2), Ok(true));
        }
        let (signal, info) = real_time(2);
        assert_eq!(pending.push(signal, info, 2), Err(QueueFull));
        assert_eq!(pending.take(signal).map(|info| info.fields[1]), Some(0));
        assert!(pending.set().contains(signal));
        assert_eq!(pending.take(signal).map(|info| info.fields[1]), Some(1));
        assert!(pending.set().is_empty());
    }

    #[test]
    fn what_cannot_be_queued_loses_its_information_or_is_refused() {
        let mut pending = Pending::default();
        let (real_time, queued) = real_time(7);
        assert_eq!(pending.push(real_time, queued, 0), Err(QueueFull));
        let sent = info::user(real_time, si::USER, 2, 0);
        assert_eq!(pending.push(real_time, sent, 0), Ok(true));
        assert_eq!(pending.take(real_time).map(|info| info.fields[0]), Some(0));
        let standard = info::user(Signal::SIGUSR1, si::USER, 2, 0);
        assert_eq!(pending.push(Signal::SIGUSR1, standard, 0), Ok(true));
        assert_eq!(pending.take(Signal::SIGUSR1).map(|info| info.fields[0]), Some(2));
        assert!(pending.set().is_empty());
    }

    #[test]
    fn discarded_signals_are_gone() {
        let mut pending = Pending::default();
        pending.force(Signal::SIGTSTP, info::kernel(Signal::SIGTSTP));
        pending.force(Signal::SIGHUP, info::kernel(Signal::SIGHUP));
        pending.discard(SignalSet::STOPS);
        assert!(pending.take(Signal::SIGTSTP).is_none());
        assert!(pending.take(Signal::SIGHUP).is_some());
    }
}

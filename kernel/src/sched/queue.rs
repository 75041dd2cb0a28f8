//! Who runs next.
//!
//! The thread runs next that has had the least of the processor. Time that a thread waits is
//! not saved up: who wakes is at most [`CREDIT_NS`] ahead of who runs, so that threads that
//! wait often answer soon, and threads that compute lose no more than that by it.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::Arc;

use super::{Thread, ask_to_attend};
use crate::time;

/// How long a thread runs while others wait.
const SLICE_NS: u64 = 10_000_000;

/// By how much a thread that wakes is ahead of who runs.
const CREDIT_NS: u64 = 5_000_000;

/// By how much another thread must have had less for the current one to make room before its
/// slice ends.
const HEADWAY_NS: u64 = 1_000_000;

/// Threads that can run and threads that wait for a moment to come.
pub(super) struct RunQueue {
    /// In the order in which they run, without the current one.
    runnable: VecDeque<Arc<Thread>>,
    /// Parked threads with a deadline, by deadline and address.
    sleepers: BTreeMap<(u64, usize), Arc<Thread>>,
    /// When the current thread has to make room for others.
    slice_end: Option<u64>,
    /// What the latest thread to run had had of the processor; never less than before.
    level_ns: u64,
    /// A thread that ended, until its stack is left.
    pub(super) ended: Option<Arc<Thread>>,
}

impl RunQueue {
    pub(super) const fn new() -> Self {
        Self {
            runnable: VecDeque::new(),
            sleepers: BTreeMap::new(),
            slice_end: None,
            level_ns: 0,
            ended: None,
        }
    }

    /// Adds a thread whose wait is over.
    pub(super) fn wake(&mut self, thread: Arc<Thread>) {
        thread.advance_turn(self.level_ns.saturating_sub(CREDIT_NS), 0);
        self.add(thread);
    }

    /// Adds a thread that has not run yet.
    pub(super) fn start(&mut self, thread: Arc<Thread>) {
        thread.advance_turn(self.level_ns, 0);
        self.add(thread);
    }

    /// Adds the current thread, which makes room for others.
    pub(super) fn put_back(&mut self, thread: Arc<Thread>, now_ns: u64) {
        let turn_ns = thread.turn_ns(now_ns);
        let at = self.runnable.partition_point(|other| other.turn_ns(now_ns) <= turn_ns);
        self.runnable.insert(at, thread);
    }

    /// Adds the current thread behind all others.
    pub(super) fn put_last(&mut self, thread: Arc<Thread>, now_ns: u64) {
        if let Some(last) = self.runnable.back() {
            thread.advance_turn(last.turn_ns(now_ns), now_ns);
        }
        self.put_back(thread, now_ns);
    }

    /// Lets a thread wait until `deadline_ns`; the key takes it back.
    pub(super) fn put_to_sleep(&mut self, key: (u64, usize), thread: Arc<Thread>) {
        self.sleepers.insert(key, thread);
    }

    /// Takes a thread back that waited for a moment, if it is still there.
    pub(super) fn forget_sleeper(&mut self, key: (u64, usize)) {
        self.sleepers.remove(&key);
    }

    /// Makes the threads runnable whose deadline has come.
    pub(super) fn wake_sleepers(&mut self, now_ns: u64) {
        while let Some(entry) = self.sleepers.first_entry() {
            if entry.key().0 > now_ns {
                break;
            }
            let thread = entry.remove();
            if thread.wake() {
                self.wake(thread);
            }
        }
    }

    /// Whether any thread could run in place of the current one.
    pub(super) fn has_others(&self) -> bool {
        !self.runnable.is_empty()
    }

    /// Whether the current thread has to make room; its slice begins when others come.
    pub(super) fn is_due(&mut self, current: &Thread, now_ns: u64) -> bool {
        let Some(next) = self.runnable.front() else {
            self.slice_end = None;
            return false;
        };
        next.is_service()
            || now_ns >= *self.slice_end.get_or_insert(now_ns + SLICE_NS)
            || next.turn_ns(now_ns) + HEADWAY_NS < current.turn_ns(now_ns)
    }

    /// Takes the thread that runs next, if there is one, and sets the timer for it.
    pub(super) fn take_next(&mut self, now_ns: u64) -> Option<Arc<Thread>> {
        let next = self.runnable.pop_front();
        if let Some(next) = &next {
            self.level_ns = self.level_ns.max(next.turn_ns(now_ns));
            next.clock.start(now_ns);
        }
        self.slice_end = self.has_others().then(|| now_ns + SLICE_NS);
        self.arm_timer(next.as_deref(), now_ns);
        next
    }

    /// Sets the timer for the next event, while `running` has the processor.
    pub(super) fn arm_timer(&self, running: Option<&Thread>, now_ns: u64) {
        let sleeper = self.sleepers.first_key_value().map(|(key, _)| key.0);
        let cpu_deadline = running.and_then(|thread| thread.clock.deadline_at(now_ns));
        time::set_timer(sleeper.into_iter().chain(self.slice_end).chain(cpu_deadline).min());
    }

    fn add(&mut self, thread: Arc<Thread>) {
        // The clock of a thread that does not run stands still.
        self.put_back(thread, 0);
        ask_to_attend();
    }
}

//! For how long a thread has had the processor, and when its time is up.

use core::sync::atomic::{AtomicU64, Ordering};

use syscalls::machine::CpuTime;

/// The clock of one thread; times are nanoseconds. Only the scheduler's processor changes it.
pub(super) struct CpuClock {
    /// CPU time before the thread got the processor last.
    ran_ns: AtomicU64,
    /// Monotonic time at which it got the processor; [`NEVER`] while it does not have it.
    since_ns: AtomicU64,
    /// What of the CPU time is estimated to be the kernel's.
    system_ns: AtomicU64,
    /// What of it was told to be the application's: later, it cannot be less.
    told_user_ns: AtomicU64,
    /// The CPU time at which the personality wants to know; [`NEVER`] for none.
    deadline_ns: AtomicU64,
}

const NEVER: u64 = u64::MAX;

impl CpuClock {
    /// The clock of a thread that has not run.
    pub(super) const fn new() -> Self {
        Self {
            ran_ns: AtomicU64::new(0),
            since_ns: AtomicU64::new(NEVER),
            system_ns: AtomicU64::new(0),
            told_user_ns: AtomicU64::new(0),
            deadline_ns: AtomicU64::new(NEVER),
        }
    }

    /// The thread gets the processor.
    pub(super) fn start(&self, now_ns: u64) {
        self.since_ns.store(now_ns, Ordering::Relaxed);
    }

    /// The thread gives the processor away.
    pub(super) fn stop(&self, now_ns: u64) {
        let total_ns = self.total_ns(now_ns);
        self.ran_ns.store(total_ns, Ordering::Relaxed);
        self.since_ns.store(NEVER, Ordering::Relaxed);
    }

    /// CPU time so far.
    pub(super) fn total_ns(&self, now_ns: u64) -> u64 {
        let since_ns = self.since_ns.load(Ordering::Relaxed);
        // `NEVER` is later than any time.
        self.ran_ns.load(Ordering::Relaxed) + now_ns.saturating_sub(since_ns)
    }

    /// CPU time so far, and how it divides.
    pub(super) fn read(&self, now_ns: u64) -> CpuTime {
        let total_ns = self.total_ns(now_ns);
        let system_ns = self.system_ns.load(Ordering::Relaxed);
        self.told_user_ns.store(total_ns - system_ns, Ordering::Relaxed);
        CpuTime { total_ns, system_ns }
    }

    /// Counts `ns` as time of the kernel.
    pub(super) fn add_system(&self, ns: u64, now_ns: u64) {
        let room = self.total_ns(now_ns) - self.told_user_ns.load(Ordering::Relaxed);
        let system_ns = self.system_ns.load(Ordering::Relaxed).saturating_add(ns).min(room);
        self.system_ns.store(system_ns, Ordering::Relaxed);
    }

    /// Sets the CPU time at which the personality wants to know.
    pub(super) fn set_deadline(&self, deadline_ns: Option<u64>) {
        self.deadline_ns.store(deadline_ns.unwrap_or(NEVER), Ordering::Relaxed);
    }

    /// The monotonic time at which that is, if the thread keeps the processor.
    pub(super) fn deadline_at(&self, now_ns: u64) -> Option<u64> {
        let deadline_ns = self.deadline_ns.load(Ordering::Relaxed);
        let rest_ns = deadline_ns.saturating_sub(self.total_ns(now_ns));
        (deadline_ns != NEVER).then(|| now_ns.saturating_add(rest_ns))
    }

    /// Whether that time has come; says so once.
    pub(super) fn take_deadline(&self, now_ns: u64) -> bool {
        let is_reached = self.deadline_at(now_ns).is_some_and(|at| at <= now_ns);
        if is_reached {
            self.set_deadline(None);
        }
        is_reached
    }
}

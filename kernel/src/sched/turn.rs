//! How much of the processor a thread counts as having had: who had least is next.

use core::sync::atomic::{AtomicU64, Ordering};

use syscalls::machine::USUAL_WEIGHT;

/// The place of one thread among those that take turns; times are nanoseconds. Only the
/// scheduler's processor changes it.
pub(super) struct Turn {
    /// For how much each nanosecond of the processor counts, in parts of [`ONE`].
    rate: AtomicU64,
    /// What is counted beyond that, which may be negative: time that the thread waited and
    /// does not get back, and what makes a new rate count from then on.
    offset_ns: AtomicU64,
}

/// The rate at which a nanosecond counts as one.
const ONE: u64 = 1 << 20;

impl Turn {
    /// That of a thread with the usual weight, which has not run.
    pub(super) const fn new() -> Self {
        Self { rate: AtomicU64::new(ONE), offset_ns: AtomicU64::new(0) }
    }

    /// What a thread counts as having had that has had `total_ns` of the processor.
    pub(super) fn at(&self, total_ns: u64) -> u64 {
        let counted_ns = match self.rate.load(Ordering::Relaxed) {
            ONE => total_ns,
            rate => (u128::from(total_ns) * u128::from(rate) / u128::from(ONE)) as u64,
        };
        counted_ns.wrapping_add(self.offset_ns.load(Ordering::Relaxed))
    }

    /// Lets it count as having had at least `least_ns`.
    pub(super) fn advance(&self, least_ns: u64, total_ns: u64) {
        self.shift(least_ns.saturating_sub(self.at(total_ns)));
    }

    /// Lets the processor's time count by this weight from now on.
    pub(super) fn set_weight(&self, weight: u32, total_ns: u64) {
        let before_ns = self.at(total_ns);
        let rate = ONE * u64::from(USUAL_WEIGHT) / u64::from(weight.max(1));
        self.rate.store(rate, Ordering::Relaxed);
        self.shift(before_ns.wrapping_sub(self.at(total_ns)));
    }

    fn shift(&self, by_ns: u64) {
        self.offset_ns.fetch_add(by_ns, Ordering::Relaxed);
    }
}

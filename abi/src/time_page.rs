//! The time page: where applications read the time without a system call.
//!
//! The kernel writes it, and the functions of the vDSO read it, which finds it in the page
//! right before its own image. This file is compiled into both sides (the vDSO is built by
//! itself, without this crate), so it must not use anything else of the crate.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};

/// How the processor's time stamp counter relates to time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timebase {
    /// A value of the counter.
    pub ticks: u64,
    /// Monotonic time at that value, in nanoseconds.
    pub ns: u64,
    /// Nanoseconds per tick, times 2^32; 0 as long as the counter cannot be used.
    pub scale: u64,
    /// Nanoseconds since 1970 UTC at monotonic time 0, modulo 2^64.
    pub wall_offset_ns: u64,
}

impl Timebase {
    /// Monotonic time in nanoseconds when the counter is at `ticks`.
    #[inline]
    #[must_use]
    pub const fn monotonic_ns(&self, ticks: u64) -> u64 {
        let elapsed = ticks.saturating_sub(self.ticks);
        self.ns.wrapping_add(((elapsed as u128 * self.scale as u128) >> 32) as u64)
    }
}

/// A moment, as the time page tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Nanoseconds since boot.
    pub monotonic_ns: u64,
    /// What makes nanoseconds since 1970 UTC of them, modulo 2^64.
    pub wall_offset_ns: u64,
}

/// The content of the time page, from its first byte on; zeros are a page that tells no time.
///
/// The sequence word is odd while the rest changes, and different afterwards.
#[derive(Debug, Default)]
#[repr(C)]
pub struct TimePage {
    sequence: AtomicU32,
    /// How many processors there are; 0 where that is not told.
    processors: AtomicU32,
    ticks: AtomicU64,
    ns: AtomicU64,
    scale: AtomicU64,
    wall_offset_ns: AtomicU64,
}

const _: () = assert!(size_of::<TimePage>() == 40);

impl TimePage {
    /// Publishes `base`. Only one writer at a time.
    pub fn publish(&self, base: &Timebase) {
        let sequence = self.sequence.load(Ordering::Relaxed);
        self.sequence.store(sequence.wrapping_add(1), Ordering::Relaxed);
        fence(Ordering::Release);
        self.ticks.store(base.ticks, Ordering::Relaxed);
        self.ns.store(base.ns, Ordering::Relaxed);
        self.scale.store(base.scale, Ordering::Relaxed);
        self.wall_offset_ns.store(base.wall_offset_ns, Ordering::Relaxed);
        self.sequence.store(sequence.wrapping_add(2), Ordering::Release);
    }

    /// Publishes how many processors there are.
    pub fn publish_processors(&self, count: u32) {
        self.processors.store(count, Ordering::Relaxed);
    }

    /// How many processors there are; 0 where that is not told.
    #[inline]
    #[must_use]
    pub fn processors(&self) -> u32 {
        self.processors.load(Ordering::Relaxed)
    }

    /// What time it is by the counter, which `read_ticks` reads; `None` where the counter
    /// cannot be used.
    #[inline]
    pub fn now(&self, read_ticks: impl Fn() -> u64) -> Option<Moment> {
        loop {
            let sequence = self.sequence.load(Ordering::Acquire);
            let base = Timebase {
                ticks: self.ticks.load(Ordering::Relaxed),
                ns: self.ns.load(Ordering::Relaxed),
                scale: self.scale.load(Ordering::Relaxed),
                wall_offset_ns: self.wall_offset_ns.load(Ordering::Relaxed),
            };
            let ticks = read_ticks();
            fence(Ordering::Acquire);
            if sequence & 1 != 0 || self.sequence.load(Ordering::Relaxed) != sequence {
                core::hint::spin_loop();
                continue;
            }
            if base.scale == 0 {
                return None;
            }
            let (monotonic_ns, wall_offset_ns) = (base.monotonic_ns(ticks), base.wall_offset_ns);
            return Some(Moment { monotonic_ns, wall_offset_ns });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_goes_on_from_the_base_at_the_speed_of_the_scale() {
        let base = Timebase { ticks: 100, ns: 7, scale: 1 << 31, wall_offset_ns: 0 };
        assert_eq!(base.monotonic_ns(100), 7);
        assert_eq!(base.monotonic_ns(103), 8);
        assert_eq!(base.monotonic_ns(99), 7);
        // A century at 4 GHz.
        let ticks = 100 + 4_000_000_000 * 86400 * 36525;
        let century = Timebase { scale: 1 << 30, ..base };
        assert_eq!(century.monotonic_ns(ticks), 7 + 1_000_000_000 * 86400 * 36525);
    }

    #[test]
    fn a_page_of_zeros_tells_no_time() {
        assert_eq!(TimePage::default().now(|| 5), None);
    }

    #[test]
    fn what_changes_while_it_is_read_is_read_again() {
        let page = TimePage::default();
        let base = |ns| Timebase { ticks: 0, ns, scale: 1 << 32, wall_offset_ns: ns };
        page.publish(&base(1000));
        let reads = core::cell::Cell::new(0);
        let moment = page.now(|| {
            reads.set(reads.get() + 1);
            if reads.get() < 3 {
                page.publish(&base(1000 + reads.get()));
            }
            10
        });
        assert_eq!(moment, Some(Moment { monotonic_ns: 1012, wall_offset_ns: 1002 }));
        assert_eq!(reads.get(), 3);
    }
}

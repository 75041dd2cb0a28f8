//! What processes have used: getrusage(2).

use core::sync::atomic::{AtomicU64, Ordering};

use abi::PAGE_SIZE;
use abi::process::Rusage;
use abi::time::Timeval;

use crate::machine::CpuTime;

use super::Thread;

/// What a process, or its children together, have used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    /// CPU time.
    pub(crate) cpu: CpuTime,
    /// Most pages that were resident in one process.
    pub(crate) peak_pages: u64,
    /// How often something happened.
    pub(crate) counts: Counts,
}

/// How often something happened to threads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// The application touched a page that was not mapped so.
    pub(crate) faults: u64,
    /// A thread waited for something.
    pub(crate) waits: u64,
}

impl Counts {
    fn with(self, other: Self) -> Self {
        Self {
            faults: self.faults.saturating_add(other.faults),
            waits: self.waits.saturating_add(other.waits),
        }
    }
}

/// [`Counts`] that grow.
#[derive(Default)]
pub(super) struct Counters {
    faults: AtomicU64,
    waits: AtomicU64,
}

impl Counters {
    pub(super) fn now(&self) -> Counts {
        Counts {
            faults: self.faults.load(Ordering::Relaxed),
            waits: self.waits.load(Ordering::Relaxed),
        }
    }
}

impl Thread {
    /// How often something happened to the thread.
    #[must_use]
    pub(crate) fn counts(&self) -> Counts {
        self.counters.now()
    }

    /// It has touched a page that was not mapped so, and goes on.
    pub(crate) fn count_fault(&self) {
        for counters in [&self.counters, &self.process().counters] {
            counters.faults.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// It waits.
    pub(super) fn count_wait(&self) {
        for counters in [&self.counters, &self.process().counters] {
            counters.waits.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Usage {
    /// Both together.
    #[must_use]
    pub(crate) fn with(self, other: Self) -> Self {
        Self {
            cpu: self.cpu.with(other.cpu),
            peak_pages: self.peak_pages.max(other.peak_pages),
            counts: self.counts.with(other.counts),
        }
    }

    /// As getrusage(2) tells it.
    #[must_use]
    pub(crate) fn describe(self) -> Rusage {
        const PAGE_KIB: u64 = PAGE_SIZE as u64 / 1024;
        Rusage {
            user: Timeval::from_ns(self.cpu.user_ns()),
            system: Timeval::from_ns(self.cpu.system_ns),
            max_resident: self.peak_pages.saturating_mul(PAGE_KIB).cast_signed(),
            minor_faults: self.counts.faults.cast_signed(),
            voluntary_switches: self.counts.waits.cast_signed(),
            ..Rusage::default()
        }
    }
}

//! What processes have used: getrusage(2).

use abi::PAGE_SIZE;
use abi::process::Rusage;
use abi::time::Timeval;

use crate::machine::CpuTime;

/// What a process, or its children together, have used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    /// CPU time.
    pub(crate) cpu: CpuTime,
    /// Most pages that were resident in one process.
    pub(crate) peak_pages: u64,
}

impl Usage {
    /// Both together.
    #[must_use]
    pub(crate) fn with(self, other: Self) -> Self {
        Self { cpu: self.cpu.with(other.cpu), peak_pages: self.peak_pages.max(other.peak_pages) }
    }

    /// As getrusage(2) tells it.
    #[must_use]
    pub(crate) fn describe(self) -> Rusage {
        const PAGE_KIB: u64 = PAGE_SIZE as u64 / 1024;
        Rusage {
            user: Timeval::from_ns(self.cpu.user_ns()),
            system: Timeval::from_ns(self.cpu.system_ns),
            max_resident: self.peak_pages.saturating_mul(PAGE_KIB).cast_signed(),
            ..Rusage::default()
        }
    }
}

//! Limits of resources: getrlimit(2).

use core::ops::RangeInclusive;

use abi::Errno;
use abi::process::{RLIM_INFINITY, Resource, Rlimit};
use spin::Mutex;

use crate::error::{Because, Result};

use super::credentials::{Capability, Credentials};

/// No process can have more descriptors than this, whatever its privileges (`fs.nr_open`).
pub const MAX_OPEN_FILES: u64 = 1 << 20;

/// What /proc/sys/fs/nr_open can be set to.
pub(crate) const MAX_OPEN_FILES_RANGE: RangeInclusive<u64> = 64..=MAX_OPEN_FILES;

/// The limits of a process.
pub struct Limits {
    limits: Mutex<[Rlimit; Resource::ALL.len()]>,
}

impl Limits {
    /// The limits Linux gives its first process on a machine of 256 MiB.
    #[must_use]
    pub fn initial() -> Self {
        let limits = Self { limits: Mutex::new(Resource::ALL.map(initial)) };
        limits.fit(1 << 16);
        limits
    }

    /// Adapts the limits of processes and queued signals to a memory of `total_pages`.
    pub(crate) fn fit(&self, total_pages: u64) {
        // As in Linux's fork_init: an eighth of memory may be kernel stacks of 16 KiB, half
        // of which one user may have.
        let threads = (total_pages / 32).clamp(20, 0x003f_ffff) / 2;
        let mut limits = self.limits.lock();
        for resource in [Resource::Processes, Resource::PendingSignals] {
            limits[resource as usize] = Rlimit { current: threads, maximum: threads };
        }
    }

    /// The limit that holds now; [`RLIM_INFINITY`] for none.
    #[must_use]
    pub fn current(&self, resource: Resource) -> u64 {
        self.get(resource).current
    }

    /// The limit that holds and the one up to which it may be raised.
    #[must_use]
    pub fn get(&self, resource: Resource) -> Rlimit {
        self.limits.lock()[resource as usize]
    }

    /// Changes a limit and returns the old one.
    ///
    /// # Errors
    /// `EINVAL` when the current limit exceeds the maximum; `EPERM` when the maximum is
    /// raised without `CAP_SYS_RESOURCE`, or that of descriptors beyond
    /// [`MAX_OPEN_FILES`].
    pub fn set(&self, resource: Resource, new: Rlimit, who: &Credentials) -> Result<Rlimit> {
        if new.current > new.maximum {
            return Err(Errno::EINVAL.because("the soft limit exceeds the hard limit"));
        }
        if resource == Resource::OpenFiles && new.maximum > MAX_OPEN_FILES {
            return Err(Errno::EPERM.because("more descriptors than any process can have"));
        }
        let mut limits = self.limits.lock();
        let limit = &mut limits[resource as usize];
        if new.maximum > limit.maximum && !who.has(Capability::SysResource) {
            return Err(Errno::EPERM.because("raising a hard limit needs CAP_SYS_RESOURCE"));
        }
        Ok(core::mem::replace(limit, new))
    }
}

impl Limits {
    /// Raises the limit that holds, up to the maximum, without asking anybody.
    pub(crate) fn raise_current(&self, resource: Resource, current: u64) {
        let limit = &mut self.limits.lock()[resource as usize];
        limit.current = current.min(limit.maximum);
    }
}

impl Clone for Limits {
    fn clone(&self) -> Self {
        Self { limits: Mutex::new(*self.limits.lock()) }
    }
}

/// The values of `INIT_RLIMITS` in Linux's `asm-generic/resource.h`.
const fn initial(resource: Resource) -> Rlimit {
    let (current, maximum) = match resource {
        Resource::Stack => (8 << 20, RLIM_INFINITY),
        Resource::Core => (0, RLIM_INFINITY),
        Resource::OpenFiles => (1024, 4096),
        Resource::LockedMemory => (8 << 20, 8 << 20),
        Resource::MessageQueues => (819_200, 819_200),
        Resource::Nice | Resource::RealTimePriority => (0, 0),
        Resource::Cpu
        | Resource::FileSize
        | Resource::Data
        | Resource::ResidentSet
        | Resource::AddressSpace
        | Resource::Locks
        | Resource::Processes
        | Resource::PendingSignals
        | Resource::RealTimeRun => (RLIM_INFINITY, RLIM_INFINITY),
    };
    Rlimit { current, maximum }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::credentials::Ids;

    fn limit(current: u64, maximum: u64) -> Rlimit {
        Rlimit { current, maximum }
    }

    #[test]
    fn a_soft_limit_above_the_hard_one_is_einval() {
        let limits = Limits::initial();
        let error = limits.set(Resource::Core, limit(2, 1), &Credentials::root()).unwrap_err();
        assert_eq!(error.errno, Errno::EINVAL);
    }

    #[test]
    fn only_the_privileged_raise_a_hard_limit() {
        let limits = Limits::initial();
        let mut who = Credentials::root();
        let files = Resource::OpenFiles;
        assert_eq!(limits.set(files, limit(10, 8192), &who), Ok(limit(1024, 4096)));
        who.set_users(Ids::all(1000));
        assert_eq!(limits.set(files, limit(10, 8193), &who).unwrap_err().errno, Errno::EPERM);
        assert!(limits.set(files, limit(10, 20), &who).is_ok());
        assert_eq!(limits.current(files), 10);
    }

    #[test]
    fn nobody_has_more_descriptors_than_the_table_can_hold() {
        let limits = Limits::initial();
        let new = limit(10, RLIM_INFINITY);
        let error = limits.set(Resource::OpenFiles, new, &Credentials::root()).unwrap_err();
        assert_eq!(error.errno, Errno::EPERM);
    }
}

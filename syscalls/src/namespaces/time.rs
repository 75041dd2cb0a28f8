//! Clocks that have their own zero: time_namespaces(7).

use core::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use abi::Errno;
use abi::namespaces::first;
use abi::time::{NS_PER_SECOND, clock};

use crate::context::Context;
use crate::error::{Because, Result};
use crate::process::Process;

use super::{Common, Kind, UserNamespace};

/// How far the clocks of a namespace are ahead of the machine's, in nanoseconds.
#[derive(Default)]
pub(crate) struct Offsets {
    /// `CLOCK_MONOTONIC` and its kin.
    pub(crate) monotonic_ns: AtomicI64,
    /// `CLOCK_BOOTTIME` and its kin.
    pub(crate) boot_ns: AtomicI64,
}

impl Offsets {
    fn set(&self, from: &Self) {
        self.monotonic_ns.store(from.monotonic_ns.load(Ordering::Relaxed), Ordering::Relaxed);
        self.boot_ns.store(from.boot_ns.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    /// The same, for a child.
    pub(crate) fn copy(&self) -> Self {
        let copy = Self::default();
        copy.set(self);
        copy
    }

    /// The one that counts for a clock.
    pub(crate) fn of_clock(&self, number: i32) -> i64 {
        match number {
            clock::MONOTONIC | clock::MONOTONIC_RAW | clock::MONOTONIC_COARSE => {
                self.monotonic_ns.load(Ordering::Relaxed)
            }
            clock::BOOTTIME | clock::BOOTTIME_ALARM => self.boot_ns.load(Ordering::Relaxed),
            _ => 0,
        }
    }

    /// Whether both are 0.
    pub(crate) fn are_none(&self) -> bool {
        self.monotonic_ns.load(Ordering::Relaxed) == 0 && self.boot_ns.load(Ordering::Relaxed) == 0
    }
}

/// A time namespace.
pub(crate) struct TimeNamespace {
    pub(crate) common: Common,
    offsets: Offsets,
    /// Whether somebody has been in it: then the offsets stay.
    is_frozen: AtomicBool,
}

impl TimeNamespace {
    pub(super) fn first() -> Self {
        let (offsets, is_frozen) = (Offsets::default(), AtomicBool::new(true));
        Self { common: Common::first(first::TIME), offsets, is_frozen }
    }

    /// One whose clocks are at first those of `parent`.
    pub(super) fn within(cx: &Context<'_>, parent: &Self, owner: &UserNamespace) -> Result<Self> {
        let common = Common::new(cx, Kind::Time, owner)?;
        let offsets = Offsets::default();
        offsets.set(&parent.offsets);
        Ok(Self { common, offsets, is_frozen: AtomicBool::new(false) })
    }

    /// The offsets.
    pub(crate) fn offsets(&self) -> &Offsets {
        &self.offsets
    }

    /// Sets offsets: /proc/PID/timens_offsets.
    ///
    /// # Errors
    /// `EACCES` once somebody has been in it; `ERANGE` for what leads before boot or to the
    /// end of time.
    pub(crate) fn set_offsets(&self, cx: &Context<'_>, new: &[(i32, i64, u32)]) -> Result<()> {
        /// As on Linux, clocks have a reserve of half of all time.
        const LATEST_NS: i128 = i64::MAX as i128 / 2;
        let now_ns = i128::from(cx.system.machine.monotonic_ns());
        let in_ns = |seconds: i64, fraction: u32| -> Result<i64> {
            let ns = i128::from(seconds) * i128::from(NS_PER_SECOND) + i128::from(fraction);
            if now_ns + ns < 0 || now_ns + ns > LATEST_NS {
                return Err(Errno::ERANGE.because("the clock would be out of range"));
            }
            i64::try_from(ns).map_err(|_| Errno::ERANGE.because("the offset is out of range"))
        };
        for &(_, seconds, fraction) in new {
            in_ns(seconds, fraction)?;
        }
        if self.is_frozen.load(Ordering::Relaxed) {
            return Err(Errno::EACCES.because("somebody has been in the namespace"));
        }
        for &(number, seconds, fraction) in new {
            let ns = in_ns(seconds, fraction)?;
            let is_boot = number == clock::BOOTTIME;
            let to = if is_boot { &self.offsets.boot_ns } else { &self.offsets.monotonic_ns };
            to.store(ns, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Lets the clocks of `process` be those of this namespace from now on; its memory has to
    /// follow ([`AddressSpace::hide_time`](crate::mm::AddressSpace::hide_time)).
    pub(crate) fn enter(&self, process: &Process) {
        self.is_frozen.store(true, Ordering::Relaxed);
        process.clock_offsets.set(&self.offsets);
    }
}

impl Context<'_> {
    /// How far a clock of the caller is ahead of the machine's, in nanoseconds.
    pub(crate) fn clock_offset_ns(&self, clock: i32) -> i64 {
        self.process.clock_offsets.of_clock(clock)
    }

    /// A moment of a clock of the caller as the machine's clock shows it; 0 stays 0, and what
    /// would be before boot has just come.
    pub(crate) fn to_machine_ns(&self, clock: i32, moment_ns: u64) -> u64 {
        let offset_ns = self.clock_offset_ns(clock);
        if moment_ns == 0 || offset_ns == 0 {
            return moment_ns;
        }
        moment_ns.saturating_add_signed(offset_ns.saturating_neg()).max(1)
    }
}

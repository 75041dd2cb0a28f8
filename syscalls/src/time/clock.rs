//! Clocks: what clock_gettime(2) can ask.

use abi::Errno;
use abi::time::clock;

use crate::context::Context;
use crate::error::{Because, Result};

/// A clock that this kernel has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Clock {
    /// Time of day, in UTC.
    Realtime,
    /// Time since boot.
    Monotonic,
    /// Time that the calling process has computed.
    ProcessCpu,
    /// Time that the calling thread has computed.
    ThreadCpu,
}

impl Clock {
    /// The clock with this number. The machine never sleeps and never adjusts its clock, so
    /// that several numbers mean the same; TAI is taken to be UTC, as on a Linux that was not
    /// told the difference.
    ///
    /// # Errors
    /// `EINVAL` when there is none.
    pub(crate) fn from_number(number: i32, cx: &Context<'_>) -> Result<Self> {
        Ok(match number {
            clock::REALTIME | clock::REALTIME_COARSE | clock::REALTIME_ALARM | clock::TAI => {
                Self::Realtime
            }
            clock::MONOTONIC
            | clock::MONOTONIC_RAW
            | clock::MONOTONIC_COARSE
            | clock::BOOTTIME
            | clock::BOOTTIME_ALARM => Self::Monotonic,
            clock::PROCESS_CPUTIME_ID => Self::ProcessCpu,
            clock::THREAD_CPUTIME_ID => Self::ThreadCpu,
            ..0 => Self::of_number_of_a_process(number, cx)?,
            _ => return Err(Errno::EINVAL.because("no such clock")),
        })
    }

    /// Negative numbers name the CPU time of a process or thread (clock_getcpuclockid(3)):
    /// its number, inverted and times 8, with 4 for a thread, and the kind of time below.
    fn of_number_of_a_process(number: i32, cx: &Context<'_>) -> Result<Self> {
        let is_thread = number & 4 != 0;
        let id = !(number >> 3) as u32;
        let kind_is_known = number & 3 < 3;
        match (kind_is_known, is_thread) {
            (true, false) if id == 0 || id == cx.process.id() => Ok(Self::ProcessCpu),
            (true, true) if id == 0 || id == cx.thread.id() => Ok(Self::ThreadCpu),
            _ => Err(Errno::EINVAL.because("no such clock")),
        }
    }

    /// What time it is, in nanoseconds.
    pub(crate) fn now_ns(self, cx: &Context<'_>) -> u64 {
        match self {
            Self::Realtime => cx.system.machine.wall_clock_ns(),
            Self::Monotonic => cx.system.machine.monotonic_ns(),
            Self::ProcessCpu => cx.process.cpu_time_ns(),
            Self::ThreadCpu => cx.thread.cpu_time_ns(),
        }
    }
}

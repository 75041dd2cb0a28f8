//! Clocks: what clock_gettime(2) can ask.

use alloc::sync::Arc;

use abi::Errno;
use abi::time::clock;

use crate::context::Context;
use crate::error::{Because, Result};
use crate::process::Process;

use super::cpu::{CpuClock, Part, Whose};
use super::timer::TimerClock;
use super::timers::Base;

/// A clock that this kernel has.
#[derive(Clone)]
pub(crate) enum Clock {
    /// Time of day, in UTC.
    Realtime,
    /// Time since boot, and how far the caller's clock is ahead of the machine's, in
    /// nanoseconds.
    Monotonic(i64),
    /// CPU time of a process or one of its threads.
    Cpu(Arc<Process>, CpuClock),
}

impl Clock {
    /// The clock with this number. The machine never sleeps and never adjusts its clock, so
    /// that several numbers mean the same; TAI is taken to be UTC, as on a Linux that was not
    /// told the difference.
    ///
    /// # Errors
    /// `EINVAL` when there is none.
    pub(crate) fn from_number(number: i32, cx: &Context<'_>) -> Result<Self> {
        let own = |whose| Self::Cpu(cx.process.clone(), CpuClock { whose, part: Part::All });
        Ok(match number {
            clock::REALTIME | clock::REALTIME_COARSE | clock::REALTIME_ALARM | clock::TAI => {
                Self::Realtime
            }
            clock::MONOTONIC
            | clock::MONOTONIC_RAW
            | clock::MONOTONIC_COARSE
            | clock::BOOTTIME
            | clock::BOOTTIME_ALARM => Self::Monotonic(cx.clock_offset_ns(number)),
            clock::PROCESS_CPUTIME_ID => own(Whose::Process),
            clock::THREAD_CPUTIME_ID => own(Whose::Thread(cx.thread.id())),
            ..0 => Self::of_number_of_a_process(number, cx)?,
            _ => return Err(Errno::EINVAL.because("no such clock")),
        })
    }

    /// The clock with this number, on which a timer is to wait.
    ///
    /// # Errors
    /// `EINVAL` when there is none; `EOPNOTSUPP` when it only tells the time.
    pub(crate) fn for_timer(number: i32, cx: &Context<'_>) -> Result<Self> {
        let clock = Self::from_number(number, cx)?;
        let only_tells = [clock::MONOTONIC_RAW, clock::MONOTONIC_COARSE, clock::REALTIME_COARSE];
        if only_tells.contains(&number) {
            return Err(Errno::EOPNOTSUPP.because("nothing can wait on this clock"));
        }
        Ok(clock)
    }

    /// Negative numbers name the CPU time of a process or thread (clock_getcpuclockid(3)):
    /// its number, inverted and times 8, with 4 for a thread, and the kind of time below.
    fn of_number_of_a_process(number: i32, cx: &Context<'_>) -> Result<Self> {
        /// All CPU time as ticks count it, the application's, and all as it is measured.
        const PARTS: [Part; 3] = [Part::All, Part::User, Part::All];
        let no_clock = || Errno::EINVAL.because("no such clock");
        let (is_thread, id) = (number & 4 != 0, !(number >> 3) as u32);
        let id = if id == 0 { 0 } else { cx.outside_id(id).ok_or_else(no_clock)? };
        let part = *PARTS.get((number & 3) as usize).ok_or_else(no_clock)?;
        if is_thread {
            let id = if id == 0 { cx.thread.id() } else { id };
            let is_own = cx.process.threads().iter().any(|thread| thread.id() == id);
            let clock = CpuClock { whose: Whose::Thread(id), part };
            return is_own.then(|| Self::Cpu(cx.process.clone(), clock)).ok_or_else(no_clock);
        }
        let process = match id {
            0 => Some(cx.process.clone()),
            id if id == cx.process.id() => Some(cx.process.clone()),
            id => cx.system.processes.get(id),
        };
        let clock = CpuClock { whose: Whose::Process, part };
        process.map(|process| Self::Cpu(process, clock)).ok_or_else(no_clock)
    }

    /// What time it is, in nanoseconds.
    pub(crate) fn now_ns(&self, cx: &Context<'_>) -> u64 {
        match self {
            Self::Realtime => cx.system.machine.wall_clock_ns(),
            Self::Monotonic(offset_ns) => {
                cx.system.machine.monotonic_ns().saturating_add_signed(*offset_ns)
            }
            Self::Cpu(process, clock) => process.cpu_clock_ns(*clock).unwrap_or(0),
        }
    }

    /// A moment of this clock as the machine's clock shows it.
    pub(crate) fn to_machine_ns(&self, moment_ns: u64) -> u64 {
        match self {
            Self::Monotonic(offset_ns) => {
                // A moment before boot has come.
                moment_ns.saturating_add_signed(offset_ns.saturating_neg()).max(1)
            }
            Self::Realtime | Self::Cpu(..) => moment_ns,
        }
    }

    /// What a timer waits on for a moment of this clock.
    pub(crate) fn to_wait_on(&self) -> TimerClock {
        match self {
            Self::Realtime => TimerClock::Moment(Base::Wall),
            Self::Monotonic(_) => TimerClock::MONOTONIC,
            Self::Cpu(process, clock) => TimerClock::Cpu(Arc::downgrade(process), *clock),
        }
    }
}

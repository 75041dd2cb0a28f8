//! Timers with numbers, and timers with descriptors: timer_create(2), timerfd_create(2).

use alloc::sync::Arc;

use abi::Errno;
use abi::fs::OpenFlags;
use abi::signal::{SigEvent, Signal, sigev};
use abi::time::{Itimerspec, TIMER_ABSTIME, Timespec, clock, timerfd};

use crate::context::Context;
use crate::error::{Because, Result};
use crate::events::TimerFile;
use crate::fs::{Fd, OnExec, OpenFile};
use crate::named::ClockNumber;
use crate::process::{Capability, Thread};
use crate::time::{Clock, Interval, Notify, Timer, TimerClock};
use crate::user::UserPtr;

use super::open;
use super::time::invalid_time;

/// timer_create(2): makes a timer that sends signals.
///
/// # Differences from Linux
/// `RLIMIT_SIGPENDING` counts the timers of each process by itself.
pub(crate) fn timer_create(
    cx: &Context<'_>,
    number: ClockNumber,
    event: UserPtr<SigEvent>,
    id_to: UserPtr<i32>,
) -> Result<()> {
    let clock = Clock::for_timer(number.0, cx)?;
    check_wake_alarm(cx, number)?;
    let event = event.non_null().map(|event| event.read(cx)).transpose()?;
    let notify = match &event {
        None => Notify::Process(Signal::SIGALRM),
        Some(event) => notify(cx, event)?,
    };
    let (clock, value) = (clock.to_wait_on(), event.map(|event| event.value));
    let clock = (number.0, clock);
    let id = cx.process.posix_timers.add(cx.system, cx.process, clock, notify, value)?;
    id_to.write(cx, &id).inspect_err(|_| {
        // Nobody learned its number.
        let _ = cx.process.posix_timers.remove(id);
    })
}

/// Whom a timer with this event tells.
fn notify(cx: &Context<'_>, event: &SigEvent) -> Result<Notify> {
    const TO_THREAD: i32 = sigev::SIGNAL | sigev::THREAD_ID;
    let signal = || {
        let number = u8::try_from(event.signo).ok();
        number.and_then(Signal::new).ok_or_else(|| Errno::EINVAL.because("no such signal"))
    };
    match event.notify {
        sigev::NONE => Ok(Notify::Nobody),
        sigev::SIGNAL | sigev::THREAD => signal().map(Notify::Process),
        TO_THREAD => {
            let threads = cx.process.threads();
            let wanted = cx.known_id(event.thread).ok();
            let is_it = |thread: &&Arc<Thread>| Some(thread.id()) == wanted;
            let thread = threads.iter().find(is_it);
            let thread = thread.ok_or_else(|| Errno::EINVAL.because("not a thread of the process"));
            Ok(Notify::Thread(Arc::downgrade(thread?), signal()?))
        }
        _ => Err(Errno::EINVAL.because("unknown way to tell of an event")),
    }
}

fn check_wake_alarm(cx: &Context<'_>, number: ClockNumber) -> Result<()> {
    let wakes = matches!(number.0, clock::REALTIME_ALARM | clock::BOOTTIME_ALARM);
    if wakes && !cx.credentials().has(Capability::WakeAlarm) {
        return Err(Errno::EPERM.because("waking a suspended system needs CAP_WAKE_ALARM"));
    }
    Ok(())
}

/// timer_settime(2): arms or disarms a timer.
///
/// # Differences from Linux
/// None.
pub(crate) fn timer_settime(
    cx: &Context<'_>,
    id: i32,
    flags: i32,
    new: UserPtr<Itimerspec>,
    old: UserPtr<Itimerspec>,
) -> Result<()> {
    let new = new.non_null().ok_or_else(|| Errno::EINVAL.because("there is no new value"))?;
    let new = read_interval(cx, new)?;
    let timer = cx.process.posix_timers.get(id)?;
    let is_moment = flags & TIMER_ABSTIME != 0;
    let new = if is_moment { to_machine(cx, timer.clock_number(), new) } else { new };
    let stood = timer.set(|one| set(one, timer.clock(), new, is_moment));
    old.non_null().map_or(Ok(()), |old| old.write(cx, &to_itimerspec(stood)))
}

fn read_interval(cx: &Context<'_>, from: UserPtr<Itimerspec>) -> Result<Interval> {
    let new = from.read(cx)?;
    Ok(Interval {
        value_ns: new.value.to_ns().ok_or_else(invalid_time)?,
        interval_ns: new.interval.to_ns().ok_or_else(invalid_time)?,
    })
}

/// A timer of a clock of the caller on the machine's clock.
fn to_machine(cx: &Context<'_>, clock: i32, new: Interval) -> Interval {
    Interval { value_ns: cx.to_machine_ns(clock, new.value_ns), ..new }
}

fn set(timer: &Timer, clock: &TimerClock, new: Interval, is_moment: bool) -> Interval {
    if is_moment && new.value_ns != 0 {
        timer.set_to(clock.clone(), new.value_ns, new.interval_ns)
    } else {
        timer.set(clock.for_duration(), new)
    }
}

fn to_itimerspec(interval: Interval) -> Itimerspec {
    Itimerspec {
        interval: Timespec::from_ns(interval.interval_ns),
        value: Timespec::from_ns(interval.value_ns),
    }
}

/// timer_gettime(2): how a timer stands.
///
/// # Differences from Linux
/// None.
pub(crate) fn timer_gettime(cx: &Context<'_>, id: i32, to: UserPtr<Itimerspec>) -> Result<()> {
    let stands = cx.process.posix_timers.get(id)?.stands();
    to.write(cx, &to_itimerspec(stands))
}

/// timer_getoverrun(2): for how many more expirations the latest signal stands.
///
/// # Differences from Linux
/// None.
pub(crate) fn timer_getoverrun(cx: &Context<'_>, id: i32) -> Result<i32> {
    Ok(cx.process.posix_timers.get(id)?.overrun())
}

/// timer_delete(2): removes a timer.
///
/// # Differences from Linux
/// None.
pub(crate) fn timer_delete(cx: &Context<'_>, id: i32) -> Result<()> {
    cx.process.posix_timers.remove(id)
}

/// timerfd_create(2): makes a timer with a descriptor.
///
/// # Differences from Linux
/// None.
pub(crate) fn timerfd_create(cx: &Context<'_>, number: ClockNumber, flags: u32) -> Result<i32> {
    const CLOCKS: [i32; 5] = [
        clock::REALTIME,
        clock::MONOTONIC,
        clock::BOOTTIME,
        clock::REALTIME_ALARM,
        clock::BOOTTIME_ALARM,
    ];
    if flags & !(timerfd::NONBLOCK | timerfd::CLOEXEC) != 0 {
        return Err(Errno::EINVAL.because("unknown flags"));
    }
    if !CLOCKS.contains(&number.0) {
        return Err(Errno::EINVAL.because("no descriptor can have a timer of this clock"));
    }
    check_wake_alarm(cx, number)?;
    let status = OpenFlags::from_bits_truncate(flags);
    let file = TimerFile::new(cx.system, number.0);
    let opened = OpenFile::new(file, OpenFlags::RDWR | status.intersection(OpenFlags::NONBLOCK));
    open::add(cx, Arc::new(opened), 0, OnExec::of(status))
}

fn timer_file(cx: &Context<'_>, fd: Fd) -> Result<Arc<OpenFile>> {
    let open = cx.files().get(fd)?;
    match open.file.timer() {
        Some(_) => Ok(open),
        None => Err(Errno::EINVAL.because("not the descriptor of a timer")),
    }
}

/// timerfd_settime(2): arms or disarms a timer with a descriptor.
///
/// # Differences from Linux
/// None.
pub(crate) fn timerfd_settime(
    cx: &Context<'_>,
    fd: Fd,
    flags: u32,
    new: UserPtr<Itimerspec>,
    old: UserPtr<Itimerspec>,
) -> Result<()> {
    let new = read_interval(cx, new)?;
    if flags & !(timerfd::ABSTIME | timerfd::CANCEL_ON_SET) != 0 {
        return Err(Errno::EINVAL.because("unknown flags"));
    }
    let open = timer_file(cx, fd)?;
    let Some(file) = open.file.timer() else {
        return Err(Errno::EINVAL.into());
    };
    let clock = Clock::from_number(file.clock(), cx)?;
    // Setting the time of day concerns only who waits for one.
    let kept = if matches!(clock, Clock::Realtime) { flags } else { flags & timerfd::ABSTIME };
    let is_moment = flags & timerfd::ABSTIME != 0;
    let new = if is_moment { to_machine(cx, file.clock(), new) } else { new };
    let stood = file.set(kept, |timer| set(timer, &clock.to_wait_on(), new, is_moment));
    old.non_null().map_or(Ok(()), |old| old.write(cx, &to_itimerspec(stood)))
}

/// timerfd_gettime(2): how a timer with a descriptor stands.
///
/// # Differences from Linux
/// None.
pub(crate) fn timerfd_gettime(cx: &Context<'_>, fd: Fd, to: UserPtr<Itimerspec>) -> Result<()> {
    let open = timer_file(cx, fd)?;
    let stands = open.file.timer().map_or(Interval::default(), TimerFile::stands);
    to.write(cx, &to_itimerspec(stands))
}

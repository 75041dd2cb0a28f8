//! Clocks, sleep and interval timers.

use alloc::sync::{Arc, Weak};
use core::sync::atomic::{AtomicBool, Ordering};

use abi::Errno;
use abi::time::{
    Itimerval, NS_PER_SECOND, TICKS_PER_SECOND, TIMER_ABSTIME, Timespec, Timeval, Timezone, Tms,
    clock, itimer,
};
use abi::timex::{AdjustModes, Timex};

use crate::context::Context;
use crate::error::{Because, Error, Result};
use crate::machine::CpuTime;
use crate::named::{ClockNumber, TimerNumber};
use crate::process::Capability;
use crate::system::System;
use crate::time::discipline;
use crate::time::{Again, Clock, CpuClock, Interval, IntervalKind, Owner, Timer, Whose};
use crate::user::UserPtr;
use crate::wait::{Interruption, WaitQueue};

pub(super) fn invalid_time() -> Error {
    Errno::EINVAL.because("the time is negative or has a second's fraction of a second or more")
}

/// clock_gettime(2): what time it is.
///
/// # Differences from Linux
/// The coarse clocks are as fine as the others.
pub(crate) fn clock_gettime(
    cx: &Context<'_>,
    clock: ClockNumber,
    to: UserPtr<Timespec>,
) -> Result<()> {
    let clock = Clock::from_number(clock.0, cx)?;
    to.write(cx, &Timespec::from_ns(clock.now_ns(cx)))
}

/// clock_settime(2): sets the time of day.
///
/// # Differences from Linux
/// None.
pub(crate) fn clock_settime(
    cx: &Context<'_>,
    number: ClockNumber,
    from: UserPtr<Timespec>,
) -> Result<()> {
    let clock = Clock::from_number(number.0, cx)?;
    let ns = from.read(cx)?.to_ns().ok_or_else(invalid_time)?;
    if !matches!(clock, Clock::Realtime) || number.0 != clock::REALTIME {
        return Err(Errno::EINVAL.because("the clock cannot be set"));
    }
    set_time_of_day(cx, ns)
}

fn set_time_of_day(cx: &Context<'_>, ns: u64) -> Result<()> {
    if !cx.credentials().has(Capability::SysTime) {
        return Err(Errno::EPERM.because("setting the time needs CAP_SYS_TIME"));
    }
    // As on Linux, nobody comes near the end of time.
    if ns > i64::MAX.unsigned_abs() / 2 {
        return Err(Errno::EINVAL.because("too far in the future"));
    }
    if ns < cx.system.machine.monotonic_ns() {
        return Err(Errno::EINVAL.because("the machine would have been booted before 1970"));
    }
    cx.system.machine.set_wall_clock_ns(ns);
    cx.system.timers.wall_clock_was_set(&*cx.system.machine);
    Ok(())
}

/// adjtimex(2): how the clock is kept right.
///
/// # Differences from Linux
/// The rate of the clock does not change: offsets, frequency and tick are kept and told.
/// `CLOCK_TAI` is UTC whatever the offset.
pub(crate) fn adjtimex(cx: &Context<'_>, buffer: UserPtr<Timex>) -> Result<u64> {
    let mut asked = buffer.read(cx)?;
    let is_permitted = cx.credentials().has(Capability::SysTime);
    if discipline::changes(AdjustModes::from_bits_retain(asked.modes)) && !is_permitted {
        return Err(Errno::EPERM.because("setting the time needs CAP_SYS_TIME"));
    }
    if let Some(step_ns) = discipline::check(&asked)? {
        let now_ns = cx.system.machine.wall_clock_ns();
        let stepped = now_ns.checked_add_signed(step_ns);
        let ns = stepped.ok_or_else(|| Errno::EINVAL.because("a step before 1970"))?;
        set_time_of_day(cx, ns)?;
    }
    let state = cx.system.discipline.adjust(&mut asked, cx.system.machine.wall_clock_ns());
    buffer.write(cx, &asked)?;
    Ok(state)
}

/// clock_adjtime(2): how a clock is kept right.
///
/// # Differences from Linux
/// As adjtimex(2).
pub(crate) fn clock_adjtime(
    cx: &Context<'_>,
    number: ClockNumber,
    buffer: UserPtr<Timex>,
) -> Result<u64> {
    Clock::from_number(number.0, cx)?;
    if number.0 != clock::REALTIME {
        buffer.read(cx)?;
        return Err(Errno::EOPNOTSUPP.because("only the time of day is kept right"));
    }
    adjtimex(cx, buffer)
}

/// clock_getres(2): how fine a clock is.
///
/// # Differences from Linux
/// One nanosecond for every clock, the coarse ones too.
pub(crate) fn clock_getres(
    cx: &Context<'_>,
    clock: ClockNumber,
    to: UserPtr<Timespec>,
) -> Result<()> {
    Clock::from_number(clock.0, cx)?;
    to.non_null().map_or(Ok(()), |to| to.write(cx, &Timespec::from_ns(1)))
}

/// gettimeofday(2): the time of day.
///
/// # Differences from Linux
/// The time zone is always UTC.
pub(crate) fn gettimeofday(
    cx: &Context<'_>,
    to: UserPtr<Timeval>,
    zone: UserPtr<Timezone>,
) -> Result<()> {
    if let Some(to) = to.non_null() {
        to.write(cx, &Timeval::from_ns(cx.system.machine.wall_clock_ns()))?;
    }
    zone.non_null().map_or(Ok(()), |zone| zone.write(cx, &Timezone::default()))
}

/// settimeofday(2): sets the time of day.
///
/// # Differences from Linux
/// A time zone other than UTC is refused.
pub(crate) fn settimeofday(
    cx: &Context<'_>,
    from: UserPtr<Timeval>,
    zone: UserPtr<Timezone>,
) -> Result<()> {
    let ns = match from.non_null() {
        Some(from) => Some(from.read(cx)?.to_ns().ok_or_else(invalid_time)?),
        None => None,
    };
    if let Some(zone) = zone.non_null()
        && zone.read(cx)? != Timezone::default()
    {
        return Err(Errno::EINVAL.because("the time zone of the kernel is UTC"));
    }
    ns.map_or(Ok(()), |ns| set_time_of_day(cx, ns))
}

/// time(2): the time of day in seconds.
///
/// # Differences from Linux
/// None.
pub(crate) fn time(cx: &Context<'_>, to: UserPtr<i64>) -> Result<u64> {
    let seconds = cx.system.machine.wall_clock_ns() / NS_PER_SECOND;
    if let Some(to) = to.non_null() {
        to.write(cx, &seconds.cast_signed())?;
    }
    Ok(seconds)
}

/// times(2): the CPU time of the process and its children, and ticks since boot.
///
/// # Differences from Linux
/// How much of the time is the kernel's is an estimate: of the entries into the kernel, one of
/// 13 is measured.
pub(crate) fn times(cx: &Context<'_>, to: UserPtr<Tms>) -> Result<u64> {
    let ticks = |ns: u64| ns / (NS_PER_SECOND / TICKS_PER_SECOND);
    if let Some(to) = to.non_null() {
        let parts =
            |cpu: CpuTime| (ticks(cpu.user_ns()).cast_signed(), ticks(cpu.system_ns).cast_signed());
        let (user, system) = parts(cx.process.cpu_time());
        let (children_user, children_system) = parts(cx.process.children_usage().cpu);
        to.write(cx, &Tms { user, system, children_user, children_system })?;
    }
    Ok(ticks(cx.system.machine.monotonic_ns()))
}

/// nanosleep(2): waits for a while.
///
/// # Differences from Linux
/// None.
pub(crate) fn nanosleep(
    cx: &Context<'_>,
    duration: UserPtr<Timespec>,
    remaining: UserPtr<Timespec>,
) -> Result<()> {
    let ns = duration.read(cx)?.to_ns().ok_or_else(invalid_time)?;
    sleep(cx, Clock::Monotonic(0), ns, remaining)
}

/// clock_nanosleep(2): waits for a while, or until a moment.
///
/// # Differences from Linux
/// None.
pub(crate) fn clock_nanosleep(
    cx: &Context<'_>,
    number: ClockNumber,
    flags: i32,
    time: UserPtr<Timespec>,
    remaining: UserPtr<Timespec>,
) -> Result<()> {
    let clock = Clock::for_timer(number.0, cx)?;
    let ns = time.read(cx)?.to_ns().ok_or_else(invalid_time)?;
    if number.0 == clock::THREAD_CPUTIME_ID {
        return Err(Errno::EOPNOTSUPP.because("a thread cannot wait for its own CPU time"));
    }
    if let Clock::Cpu(_, CpuClock { whose: Whose::Thread(id), .. }) = clock
        && id == cx.thread.id()
    {
        return Err(Errno::EINVAL.because("a thread cannot wait for its own CPU time"));
    }
    if flags & TIMER_ABSTIME == 0 {
        return sleep(cx, clock, ns, remaining);
    }
    // A moment stays the same, so that the call can simply be made again.
    sleep_until(cx, &clock, ns)
}

/// Waits for some time of a clock; see [`sleep_on`].
fn sleep(cx: &Context<'_>, clock: Clock, ns: u64, remaining: UserPtr<Timespec>) -> Result<()> {
    // Setting the time of day makes no sleep shorter or longer.
    let clock = match clock {
        Clock::Realtime => Clock::Monotonic(0),
        clock => clock,
    };
    let deadline_ns = clock.now_ns(cx).saturating_add(ns);
    sleep_on(cx, clock, deadline_ns, remaining)
}

/// Waits until a moment; after a signal without a handler it goes on, and after one with a
/// handler it tells what remains.
fn sleep_on(
    cx: &Context<'_>,
    clock: Clock,
    deadline_ns: u64,
    remaining: UserPtr<Timespec>,
) -> Result<()> {
    if sleep_until(cx, &clock, deadline_ns).is_ok() {
        return Ok(());
    }
    if let Some(to) = remaining.non_null() {
        let rest_ns = deadline_ns.saturating_sub(clock.now_ns(cx));
        to.write(cx, &Timespec::from_ns(rest_ns))?;
    }
    Err(cx.restart_with(move |cx| sleep_on(cx, clock, deadline_ns, remaining).map(Into::into)))
}

/// Waits until `clock` is at `deadline_ns`.
fn sleep_until(cx: &Context<'_>, clock: &Clock, deadline_ns: u64) -> Result<()> {
    match clock {
        Clock::Monotonic(_) => {
            let deadline_ns = clock.to_machine_ns(deadline_ns);
            cx.wait_until::<()>(&[], Some(deadline_ns), Interruption::NoRestart, || Ok(None))?;
        }
        // In steps, for the moment comes earlier or later when somebody sets the clock.
        Clock::Realtime => loop {
            let timers = &cx.system.timers;
            let sets = timers.wall_clock_sets();
            let left_ns = deadline_ns.saturating_sub(clock.now_ns(cx));
            if left_ns == 0 {
                return Ok(());
            }
            let until_ns = cx.system.machine.monotonic_ns().saturating_add(left_ns);
            let was_set = || Ok((timers.wall_clock_sets() != sets).then_some(()));
            let queues = [&timers.wall_clock_set];
            cx.wait_until(&queues, Some(until_ns), Interruption::NoRestart, was_set)?;
        },
        Clock::Cpu(..) => {
            let sleeper = Sleeper::new(cx.system);
            sleeper.timer.set_to(clock.to_wait_on(), deadline_ns, 0);
            let is_over = || Ok(sleeper.is_over.load(Ordering::SeqCst).then_some(()));
            cx.wait_until(&[&sleeper.woken], None, Interruption::NoRestart, is_over)?;
        }
    }
    Ok(())
}

/// Somebody who waits for CPU time.
struct Sleeper {
    timer: Arc<Timer>,
    is_over: AtomicBool,
    woken: WaitQueue,
}

impl Sleeper {
    fn new(system: &Arc<System>) -> Arc<Self> {
        Arc::new_cyclic(|this: &Weak<Self>| Self {
            timer: Timer::new(system, this.clone(), Again::AtOnce),
            is_over: AtomicBool::new(false),
            woken: WaitQueue::new(),
        })
    }
}

impl Owner for Sleeper {
    fn expired(&self, _: u64) {
        self.is_over.store(true, Ordering::SeqCst);
        self.woken.wake_all();
    }
}

/// alarm(2): `SIGALRM` after some seconds.
///
/// # Differences from Linux
/// None.
pub(crate) fn alarm(cx: &Context<'_>, seconds: u32) -> Result<u64> {
    let value_ns = u64::from(seconds) * NS_PER_SECOND;
    let new = Interval { value_ns, interval_ns: 0 };
    let old = cx.process.timers.set(cx, IntervalKind::Real, new);
    // Rounded to the nearest second, but an armed timer is never told as 0.
    let seconds = (old.value_ns + NS_PER_SECOND / 2) / NS_PER_SECOND;
    Ok(seconds.max(u64::from(old.value_ns != 0)))
}

/// getitimer(2): how an interval timer stands.
///
/// # Differences from Linux
/// As setitimer(2).
pub(crate) fn getitimer(
    cx: &Context<'_>,
    which: TimerNumber,
    to: UserPtr<Itimerval>,
) -> Result<()> {
    to.write(cx, &to_itimerval(cx.process.timers.get(interval_kind(which)?)))
}

/// setitimer(2): arms an interval timer.
///
/// # Differences from Linux
/// How much of the CPU time `ITIMER_VIRTUAL` does not count, because it is the kernel's, is an
/// estimate.
pub(crate) fn setitimer(
    cx: &Context<'_>,
    which: TimerNumber,
    new: UserPtr<Itimerval>,
    old: UserPtr<Itimerval>,
) -> Result<()> {
    let new = match new.non_null() {
        Some(new) => {
            let new = new.read(cx)?;
            let value_ns = new.value.to_ns().ok_or_else(invalid_time)?;
            let interval_ns = new.interval.to_ns().ok_or_else(invalid_time)?;
            Interval { value_ns, interval_ns }
        }
        // As on Linux, which keeps this for old programs.
        None => Interval::default(),
    };
    let stood = cx.process.timers.set(cx, interval_kind(which)?, new);
    old.non_null().map_or(Ok(()), |old| old.write(cx, &to_itimerval(stood)))
}

fn interval_kind(which: TimerNumber) -> Result<IntervalKind> {
    match which.0 {
        itimer::REAL => Ok(IntervalKind::Real),
        itimer::VIRTUAL => Ok(IntervalKind::Virtual),
        itimer::PROF => Ok(IntervalKind::Profiling),
        _ => Err(Errno::EINVAL.because("no such timer")),
    }
}

fn to_itimerval(interval: Interval) -> Itimerval {
    // What has less left than can be told is armed all the same.
    let value_ns = if interval.value_ns == 0 { 0 } else { interval.value_ns.max(1000) };
    Itimerval {
        interval: Timeval::from_ns(interval.interval_ns),
        value: Timeval::from_ns(value_ns),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::kit::{self, BAD_ADDRESS};

    #[test]
    fn clocks_tell_the_machines_time() {
        let kit = kit::process();
        let to = kit.room(16);
        kit.machine.advance(1_500_000_000);
        let now = kit.machine_time();
        for clock in [1, 4, 6, 7] {
            assert_eq!(kit.call("clock_gettime", [clock, to, 0, 0, 0, 0]), Ok(0));
            assert_eq!(kit.get_value::<Timespec>(to), Timespec::from_ns(now));
        }
        assert_eq!(kit.call("clock_gettime", [99, to, 0, 0, 0, 0]), Err(Errno::EINVAL));
        assert_eq!(kit.call("clock_gettime", [1, BAD_ADDRESS, 0, 0, 0, 0]), Err(Errno::EFAULT));
        assert_eq!(kit.call("clock_getres", [1, 0, 0, 0, 0, 0]), Ok(0));
    }

    #[test]
    fn the_time_of_day_can_be_set() {
        let kit = kit::process();
        let (to, from) = (kit.room(16), kit.put_value(&Timespec { seconds: 77, nanoseconds: 0 }));
        assert_eq!(kit.call("clock_settime", [0, from, 0, 0, 0, 0]), Ok(0));
        assert_eq!(kit.call("time", [to, 0, 0, 0, 0, 0]), Ok(77));
        assert_eq!(kit.call("clock_settime", [1, from, 0, 0, 0, 0]), Err(Errno::EINVAL));
        let bad = kit.put_value(&Timespec { seconds: 0, nanoseconds: 1_000_000_000 });
        assert_eq!(kit.call("clock_settime", [0, bad, 0, 0, 0, 0]), Err(Errno::EINVAL));
    }

    #[test]
    fn sleep_takes_its_time() {
        let kit = kit::process();
        let duration = kit.put_value(&Timespec { seconds: 2, nanoseconds: 5 });
        let before = kit.machine_time();
        assert_eq!(kit.call("nanosleep", [duration, 0, 0, 0, 0, 0]), Ok(0));
        assert_eq!(kit.machine_time() - before, 2_000_000_005);
        let moment = kit.put_value(&Timespec::from_ns(before + 3_000_000_000));
        assert_eq!(kit.call("clock_nanosleep", [1, 1, moment, 0, 0, 0]), Ok(0));
        assert_eq!(kit.machine_time() - before, 3_000_000_000);
        let bad = kit.put_value(&Timespec { seconds: -1, nanoseconds: 0 });
        assert_eq!(kit.call("nanosleep", [bad, 0, 0, 0, 0, 0]), Err(Errno::EINVAL));
    }

    #[test]
    fn an_alarm_interrupts_a_sleep_and_the_rest_is_told() {
        let kit = kit::process();
        kit.machine.set_service(&kit.system);
        let action = abi::signal::SigAction {
            handler: 0x1000,
            flags: abi::signal::sa::RESTORER,
            ..abi::signal::SigAction::default()
        };
        let action = kit.put_value(&action);
        let (duration, rest) =
            (kit.put_value(&Timespec { seconds: 5, nanoseconds: 0 }), kit.room(16));
        assert_eq!(kit.call("rt_sigaction", [14, action, 0, 8, 0, 0]), Ok(0));
        assert_eq!(kit.call("alarm", [2, 0, 0, 0, 0, 0]), Ok(0));
        assert_eq!(kit.call("alarm", [3, 0, 0, 0, 0, 0]), Ok(2));
        let nanosleep = u64::from(abi::number::number("nanosleep"));
        let (_, registers) = kit.enter(nanosleep, [duration, rest, 0, 0, 0, 0]);
        assert_eq!((registers.rip, registers.rdi), (0x1000, 14));
        assert_eq!(kit.get_value::<Timespec>(rest), Timespec { seconds: 2, nanoseconds: 0 });
        // The frame's rax: what the application will see after the handler.
        let rax = kit.get_value::<u64>(registers.rdx + 40 + 13 * 8);
        assert_eq!(kit::result(rax), Err(Errno::EINTR));
    }

    #[test]
    fn interval_timers_repeat() {
        let kit = kit::process();
        kit.machine.set_service(&kit.system);
        let second = Timeval { seconds: 1, microseconds: 0 };
        let new = kit.put_value(&Itimerval { interval: second, value: second });
        let (old, set) = (kit.room(32), kit.put_value(&(1_u64 << 13)));
        assert_eq!(kit.call("rt_sigprocmask", [0, set, 0, 8, 0, 0]), Ok(0));
        assert_eq!(kit.call("setitimer", [0, new, 0, 0, 0, 0]), Ok(0));
        let before = kit.machine_time();
        for _ in 0..3 {
            assert_eq!(kit.call("rt_sigtimedwait", [set, 0, 0, 8, 0, 0]), Ok(14));
        }
        assert_eq!(kit.machine_time() - before, 3_000_000_000);
        assert_eq!(kit.call("getitimer", [0, old, 0, 0, 0, 0]), Ok(0));
        assert_eq!(kit.get_value::<Itimerval>(old).interval, second);
        assert_eq!(kit.call("setitimer", [3, new, 0, 0, 0, 0]), Err(Errno::EINVAL));
    }
}

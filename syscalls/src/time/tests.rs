//! Timers as system calls see them, in virtual time.

use abi::Errno;
use abi::process::{Resource, Rlimit};
use abi::signal::{SIG_IGN, SigAction, SigEvent, SigInfo, Signal, si, sigev};
use abi::timex::{AdjustModes, Timex};
use zerocopy::FromBytes;

use abi::time::{Itimerspec, Itimerval, NS_PER_SECOND, Timespec, Timeval, Tms};

use crate::fake::kit::{self, Kit};
use crate::machine::{Registers, Task};

const MS: u64 = 1_000_000;

const CLOCK_REALTIME: u64 = 0;
const CLOCK_MONOTONIC: u64 = 1;
const CLOCK_PROCESS_CPU: u64 = 2;
const ABSOLUTE: u64 = 1;

/// A process whose deadlines are served.
fn kit() -> Kit {
    let kit = kit::process();
    kit.machine.set_service(&kit.system);
    kit
}

fn block(kit: &Kit, signals: &[u64]) -> u64 {
    let set = kit.put_value(&signals.iter().fold(0_u64, |set, one| set | 1 << (one - 1)));
    assert_eq!(kit.call("rt_sigprocmask", [0, set, 0, 8, 0, 0]), Ok(0));
    set
}

fn interval(kit: &Kit, value_ns: u64, interval_ns: u64) -> u64 {
    let [value, interval] = [value_ns, interval_ns].map(Timespec::from_ns);
    kit.put_value(&Itimerspec { interval, value })
}

fn event(kit: &Kit, notify: i32, signo: i32, thread: i32) -> u64 {
    kit.put_value(&SigEvent { value: 0x1234_5678_9abc, signo, notify, thread, padding: [0; 11] })
}

fn create(kit: &Kit, clock: u64, event: u64) -> u64 {
    let id = kit.room(4);
    assert_eq!(kit.call("timer_create", [clock, event, id, 0, 0, 0]), Ok(0));
    u64::from(kit.get_value::<u32>(id))
}

/// Computes on the processor, then passes through the personality as an interrupt would.
fn compute(kit: &Kit, ns: u64) {
    kit.machine.compute(ns);
    let _ =
        kit.thread.resume(&mut Registers { rsp: kit.room(8192) + 8192, ..Registers::default() });
}

fn pending(kit: &Kit, signal: Signal) -> bool {
    kit.process.signals.pending().contains(signal)
}

#[test]
fn a_timer_goes_on_when_its_signal_is_delivered_and_tells_what_was_missed() {
    let kit = kit();
    let set = block(&kit, &[40]);
    let id = create(&kit, CLOCK_MONOTONIC, event(&kit, sigev::SIGNAL, 40, 0));
    let (new, info) = (interval(&kit, 10 * MS, 10 * MS), kit.room(128));
    assert_eq!(kit.call("timer_settime", [id, 0, new, 0, 0, 0]), Ok(0));
    kit.machine.advance(55 * MS);
    assert_eq!(kit.call("rt_sigtimedwait", [set, info, 0, 8, 0, 0]), Ok(40));
    let first = kit.get_value::<SigInfo>(info);
    assert_eq!(first.code, si::TIMER);
    assert_eq!((first.fields[0], first.fields[1]), (id | 4 << 32, 0x1234_5678_9abc));
    assert_eq!(kit.call("timer_getoverrun", [id, 0, 0, 0, 0, 0]), Ok(4));
    // The sixth expiration comes in time.
    assert_eq!(kit.call("rt_sigtimedwait", [set, info, 0, 8, 0, 0]), Ok(40));
    assert_eq!(kit.machine_time(), 60 * MS);
    assert_eq!(kit.call("timer_getoverrun", [id, 0, 0, 0, 0, 0]), Ok(0));
    assert_eq!(kit.call("timer_delete", [id, 0, 0, 0, 0, 0]), Ok(0));
    kit.machine.advance(50 * MS);
    assert!(!pending(&kit, Signal::new(40).unwrap()));
    assert_eq!(kit.call("timer_gettime", [id, info, 0, 0, 0, 0]), Err(Errno::EINVAL));
}

#[test]
fn a_timer_whose_signal_is_ignored_goes_on_for_itself() {
    let kit = kit();
    let ignore = kit.put_value(&SigAction { handler: SIG_IGN, ..SigAction::default() });
    assert_eq!(kit.call("rt_sigaction", [14, ignore, 0, 8, 0, 0]), Ok(0));
    let id = create(&kit, CLOCK_MONOTONIC, 0);
    let (new, old) = (interval(&kit, 1, 1), kit.room(32));
    assert_eq!(kit.call("timer_settime", [id, 0, new, 0, 0, 0]), Ok(0));
    kit.machine.advance(1000 * MS);
    assert_eq!(kit.call("timer_gettime", [id, old, 0, 0, 0, 0]), Ok(0));
    assert_eq!(kit.get_value::<Itimerspec>(old).interval, Timespec::from_ns(1));
    assert_ne!(kit.get_value::<Itimerspec>(old).value, Timespec::default());
}

#[test]
fn a_silent_timer_tells_how_it_stands() {
    let kit = kit();
    let id = create(&kit, CLOCK_MONOTONIC, event(&kit, sigev::NONE, 0, 0));
    let (new, old) = (interval(&kit, 10 * MS, 4 * MS), kit.room(32));
    assert_eq!(kit.call("timer_settime", [id, 0, new, 0, 0, 0]), Ok(0));
    let mut left = [(3, 7), (6, 1), (1, 4), (3, 1)].into_iter();
    let all = left.all(|(by_ms, left_ms)| {
        kit.machine.advance(by_ms * MS);
        assert_eq!(kit.call("timer_gettime", [id, old, 0, 0, 0, 0]), Ok(0));
        kit.get_value::<Itimerspec>(old).value == Timespec::from_ns(left_ms * MS)
    });
    assert!(all);
}

#[test]
fn a_bad_event_is_einval() {
    let kit = kit();
    let id = kit.room(4);
    for (notify, signo, thread) in [(0, 0, 0), (0, 65, 0), (3, 10, 0), (4, 10, 2), (4, 10, 77)] {
        let event = event(&kit, notify, signo, thread);
        let result = kit.call("timer_create", [CLOCK_MONOTONIC, event, id, 0, 0, 0]);
        let is_own_thread = (notify, thread) == (4, 2);
        assert_eq!(result, if is_own_thread { Ok(0) } else { Err(Errno::EINVAL) });
    }
    assert_eq!(kit.call("timer_create", [4, 0, id, 0, 0, 0]), Err(Errno::EOPNOTSUPP));
    assert_eq!(kit.call("timer_create", [99, 0, id, 0, 0, 0]), Err(Errno::EINVAL));
    let bad = [CLOCK_MONOTONIC, 0, kit::BAD_ADDRESS, 0, 0, 0];
    assert_eq!(kit.call("timer_create", bad), Err(Errno::EFAULT));
}

#[test]
fn a_moment_comes_earlier_when_somebody_sets_the_clock() {
    let kit = kit();
    let wall = crate::machine::Machine::wall_clock_ns(&*kit.machine);
    let set = block(&kit, &[14]);
    let id = create(&kit, CLOCK_REALTIME, 0);
    let new = interval(&kit, wall + 1000 * NS_PER_SECOND, 0);
    assert_eq!(kit.call("timer_settime", [id, ABSOLUTE, new, 0, 0, 0]), Ok(0));
    let later = kit.put_value(&Timespec::from_ns(wall + 999 * NS_PER_SECOND));
    assert_eq!(kit.call("clock_settime", [CLOCK_REALTIME, later, 0, 0, 0, 0]), Ok(0));
    assert_eq!(kit.call("rt_sigtimedwait", [set, 0, 0, 8, 0, 0]), Ok(14));
    assert_eq!(kit.machine_time(), NS_PER_SECOND);
}

#[test]
fn timers_of_cpu_time_count_what_is_computed() {
    let kit = kit();
    block(&kit, &[14, 26, 27]);
    let second = Timeval { seconds: 1, microseconds: 0 };
    let once = kit.put_value(&Itimerval { interval: Timeval::default(), value: second });
    for which in [1, 2] {
        assert_eq!(kit.call("setitimer", [which, once, 0, 0, 0, 0]), Ok(0));
    }
    let id = create(&kit, CLOCK_PROCESS_CPU, 0);
    let new = interval(&kit, 1500 * MS, 0);
    assert_eq!(kit.call("timer_settime", [id, 0, new, 0, 0, 0]), Ok(0));
    kit.machine.advance(5000 * MS);
    compute(&kit, 999 * MS);
    assert!(!pending(&kit, Signal::SIGPROF) && !pending(&kit, Signal::SIGVTALRM));
    compute(&kit, MS);
    assert!(pending(&kit, Signal::SIGPROF) && pending(&kit, Signal::SIGVTALRM));
    assert!(!pending(&kit, Signal::SIGALRM));
    compute(&kit, 500 * MS);
    assert!(pending(&kit, Signal::SIGALRM));
    let to = kit.room(32);
    assert_eq!(kit.call("times", [to, 0, 0, 0, 0, 0]), Ok(650));
    assert_eq!(kit.get_value::<Tms>(to), Tms { user: 150, ..Tms::default() });
}

#[test]
fn the_limit_of_cpu_time_warns_each_second_and_ends_the_process() {
    let kit = kit();
    let set = block(&kit, &[24]);
    let limit = kit.put_value(&Rlimit { current: 1, maximum: 3 });
    assert_eq!(kit.call("setrlimit", [Resource::Cpu as u64, limit, 0, 0, 0, 0]), Ok(0));
    for seconds in 1..3 {
        compute(&kit, 999 * MS);
        assert!(!pending(&kit, Signal::SIGXCPU));
        compute(&kit, MS);
        assert_eq!(kit.process.limits().current(Resource::Cpu), seconds + 1);
        assert_eq!(kit.call("rt_sigtimedwait", [set, 0, 0, 8, 0, 0]), Ok(24));
    }
    assert!(!kit.process.has_ended());
    compute(&kit, 1000 * MS);
    assert!(kit.process.has_ended() || kit.thread.has_deliverable_signal());
}

#[test]
fn a_timer_with_a_descriptor_counts_expirations() {
    let kit = kit();
    let fd = kit.call("timerfd_create", [CLOCK_MONOTONIC, 0o4000, 0, 0, 0, 0]).unwrap();
    let (new, to) = (interval(&kit, 10 * MS, 20 * MS), kit.room(32));
    let read = || kit.call("read", [fd, to, 8, 0, 0, 0]).map(|_| kit.get_value::<u64>(to));
    assert_eq!(kit.call("timerfd_settime", [fd, 0, new, 0, 0, 0]), Ok(0));
    assert_eq!(read(), Err(Errno::EAGAIN));
    kit.machine.advance(55 * MS);
    assert_eq!(read(), Ok(3));
    assert_eq!(read(), Err(Errno::EAGAIN));
    assert_eq!(kit.call("read", [fd, to, 7, 0, 0, 0]), Err(Errno::EINVAL));
    assert_eq!(kit.call("timerfd_gettime", [fd, to, 0, 0, 0, 0]), Ok(0));
    let stands = kit.get_value::<Itimerspec>(to);
    assert_eq!(
        (stands.value, stands.interval),
        (Timespec::from_ns(15 * MS), Timespec::from_ns(20 * MS))
    );
    let off = interval(&kit, 0, MS);
    assert_eq!(kit.call("timerfd_settime", [fd, 0, off, to, 0, 0]), Ok(0));
    assert_eq!(kit.get_value::<Itimerspec>(to), stands);
    kit.machine.advance(100 * MS);
    assert_eq!(read(), Err(Errno::EAGAIN));
    assert_eq!(kit.call("timerfd_settime", [99, 0, new, 0, 0, 0]), Err(Errno::EBADF));
    assert_eq!(kit.call("timerfd_settime", [fd, 4, new, 0, 0, 0]), Err(Errno::EINVAL));
    assert_eq!(kit.call("timerfd_create", [2, 0, 0, 0, 0, 0]), Err(Errno::EINVAL));
    assert_eq!(kit.call("timerfd_create", [1, 1, 0, 0, 0, 0]), Err(Errno::EINVAL));
}

#[test]
fn who_waits_for_a_time_of_day_can_learn_that_the_clock_was_set() {
    let kit = kit();
    let wall = crate::machine::Machine::wall_clock_ns(&*kit.machine);
    let fd = kit.call("timerfd_create", [CLOCK_REALTIME, 0, 0, 0, 0, 0]).unwrap();
    let new = interval(&kit, wall + 100 * NS_PER_SECOND, 0);
    assert_eq!(kit.call("timerfd_settime", [fd, 3, new, 0, 0, 0]), Ok(0));
    let same = kit.put_value(&Timespec::from_ns(wall + NS_PER_SECOND));
    assert_eq!(kit.call("clock_settime", [CLOCK_REALTIME, same, 0, 0, 0, 0]), Ok(0));
    let to = kit.room(8);
    assert_eq!(kit.call("read", [fd, to, 8, 0, 0, 0]), Err(Errno::ECANCELED));
    assert_eq!(kit.call("read", [fd, to, 8, 0, 0, 0]), Ok(8));
    assert_eq!(kit.machine_time(), 99 * NS_PER_SECOND);
}

#[test]
fn a_process_waits_for_cpu_time_of_another_and_not_for_its_own_threads() {
    let kit = kit();
    let time = kit.put_value(&Timespec::from_ns(MS));
    let own_thread = 3;
    let result = kit.call("clock_nanosleep", [own_thread, 0, time, 0, 0, 0]);
    assert_eq!(result, Err(Errno::EOPNOTSUPP));
    assert_eq!(kit.call("clock_nanosleep", [4, 0, time, 0, 0, 0]), Err(Errno::EOPNOTSUPP));
    assert_eq!(kit.call("clock_nanosleep", [CLOCK_REALTIME, 0, time, 0, 0, 0]), Ok(0));
    assert_eq!(kit.machine_time(), MS);
}

#[test]
fn what_time_daemons_say_is_kept_and_steps_are_made() {
    let kit = kit();
    let zero = || Timex::read_from_bytes(&[0; 208]).unwrap();
    let adjust = |asked: Timex| {
        let at = kit.put_value(&asked);
        let state = kit.call("adjtimex", [at, 0, 0, 0, 0, 0]);
        (state, kit.get_value::<Timex>(at))
    };
    let (state, told) = adjust(zero());
    assert_eq!(state, Ok(5));
    assert_eq!((told.status, told.tick, told.constant), (0x40, 10_000, 2));
    let modes = (AdjustModes::STATUS | AdjustModes::OFFSET | AdjustModes::FREQUENCY).bits();
    let asked = Timex { modes, status: 1, offset: 70, frequency: i64::MAX >> 30, ..zero() };
    let (state, told) = adjust(asked);
    assert_eq!(state, Ok(0));
    assert_eq!((told.status, told.offset, told.frequency), (1, 70, 500 << 16));
    let before = crate::machine::Machine::wall_clock_ns(&*kit.machine);
    let time = Timeval { seconds: -2, microseconds: 500_000 };
    assert_eq!(adjust(Timex { modes: 0x100, time, ..zero() }).0, Ok(0));
    let after = crate::machine::Machine::wall_clock_ns(&*kit.machine);
    assert_eq!(before - after, 1500 * MS);
    for (modes, tick) in [(0x4000, 8999), (0x4000, 11_001), (0x8000, 0)] {
        assert_eq!(adjust(Timex { modes, tick, ..zero() }).0, Err(Errno::EINVAL));
    }
    let time = Timeval { seconds: 0, microseconds: 1_000_000 };
    assert_eq!(adjust(Timex { modes: 0x100, time, ..zero() }).0, Err(Errno::EINVAL));
    assert_eq!(adjust(Timex { modes: 0x8001, offset: 33, ..zero() }).1.offset, 0);
    assert_eq!(adjust(Timex { modes: 0xa001, ..zero() }).1.offset, 33);
    let at = kit.put_value(&zero());
    assert_eq!(kit.call("clock_adjtime", [1, at, 0, 0, 0, 0]), Err(Errno::EOPNOTSUPP));
    assert_eq!(kit.call("clock_adjtime", [0, at, 0, 0, 0, 0]), Ok(0));
}

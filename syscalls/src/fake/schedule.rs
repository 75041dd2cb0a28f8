//! Threads of the machine, one of which runs at a time, and virtual time.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::any::Any;
use std::panic::resume_unwind;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::machine::{ExitStatus, News, Service, Space};

use super::host::{Host, HostEvent};
use super::machine::WALL_CLOCK_AT_BOOT_NS;
use super::thread::FakeThread;

/// The thread of the test itself.
pub(super) const MAIN: usize = 0;
/// The thread that [`Service`] runs in; it never parks.
pub(super) const SERVICE: usize = 1;

/// What ends the closure of a thread whose application is over.
pub(super) struct Over;

/// Who runs, who waits, and what time it is.
pub(super) struct Scheduler {
    state: Mutex<State>,
    turn: Condvar,
}

/// The changing part of a machine, but for its memory.
pub(super) struct State {
    pub(super) now_ns: u64,
    pub(super) wall_offset_ns: u64,
    pub(super) host: Host,
    pub(super) service: Option<Weak<dyn Service>>,
    pub(super) deadline_ns: Option<u64>,
    pub(super) random: u64,
    pub(super) trace: Vec<alloc::string::String>,
    pub(super) exit_status: Option<ExitStatus>,
    slots: Vec<Slot>,
    ready: VecDeque<usize>,
    current: usize,
    in_service: bool,
    /// What the host will do, by time and then in the order of the calls.
    events: BTreeMap<(u64, u64), HostEvent>,
    next_event: u64,
    /// The test waits in [`Scheduler::run`].
    main_awaits_the_end: bool,
    stopping: bool,
    failure: Option<Box<dyn Any + Send>>,
}

struct Slot {
    thread: Option<Arc<FakeThread>>,
    state: Run,
    /// An unpark came that no park has seen.
    token: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Run {
    Running,
    Ready,
    Parked(Option<u64>),
    Ended,
}

impl Scheduler {
    pub(super) fn new() -> Arc<Self> {
        let state = State {
            now_ns: 0,
            wall_offset_ns: WALL_CLOCK_AT_BOOT_NS,
            host: Host::default(),
            service: None,
            deadline_ns: None,
            random: 0x9e37_79b9_7f4a_7c15,
            trace: Vec::new(),
            exit_status: None,
            slots: Vec::new(),
            ready: VecDeque::new(),
            current: MAIN,
            in_service: false,
            events: BTreeMap::new(),
            next_event: 0,
            main_awaits_the_end: false,
            stopping: false,
            failure: None,
        };
        let scheduler = Arc::new(Self { state: Mutex::new(state), turn: Condvar::new() });
        scheduler.add_thread(None, Run::Running);
        scheduler.add_thread(None, Run::Ended);
        scheduler
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add_thread(self: &Arc<Self>, space: Option<Arc<dyn Space>>, run: Run) -> Arc<FakeThread> {
        let mut state = self.state();
        let thread = Arc::new(FakeThread::new(state.slots.len(), Arc::downgrade(self), space));
        state.slots.push(Slot { thread: Some(thread.clone()), state: run, token: false });
        thread
    }

    /// A new thread that gets its turn when the others have had theirs.
    pub(super) fn start(self: &Arc<Self>, space: Arc<dyn Space>) -> Arc<FakeThread> {
        let thread = self.add_thread(Some(space), Run::Ready);
        self.state().ready.push_back(thread.id);
        thread
    }

    pub(super) fn current(&self) -> Arc<FakeThread> {
        let state = self.state();
        let id = if state.in_service { SERVICE } else { state.current };
        state.slots[id].thread.clone().expect("a running thread has its handle")
    }

    /// Lets the others run first.
    pub(super) fn yield_now(&self) {
        let mut state = self.state();
        if state.in_service {
            return;
        }
        let me = state.current;
        state.slots[me].state = Run::Ready;
        state.ready.push_back(me);
        drop(state);
        self.hand_on();
        self.wait_for_turn(me);
    }

    pub(super) fn park(&self, me: usize, deadline_ns: Option<u64>) {
        let mut state = self.state();
        assert!(!state.in_service, "the service thread must not park");
        assert_eq!(state.current, me, "only the thread itself may park");
        if core::mem::take(&mut state.slots[me].token) {
            return;
        }
        state.slots[me].state = Run::Parked(deadline_ns);
        drop(state);
        self.hand_on();
        self.wait_for_turn(me);
        self.state().slots[me].token = false;
    }

    pub(super) fn unpark(&self, id: usize) {
        self.state().unpark(id);
    }

    /// Waits until it is the turn of `me`.
    pub(super) fn wait_for_turn(&self, me: usize) {
        let mut state = self.state();
        loop {
            if me == MAIN
                && let Some(failure) = state.failure.take()
            {
                state.stopping = true;
                drop(state);
                self.turn.notify_all();
                resume_unwind(failure);
            }
            if state.stopping && me != MAIN {
                drop(state);
                resume_unwind(Box::new(Over));
            }
            if state.current == me && state.slots[me].state == Run::Running {
                return;
            }
            state = self.turn.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Ends the thread `me`, for ever.
    pub(super) fn end(&self, me: usize) {
        let mut state = self.state();
        state.slots[me].state = Run::Ended;
        state.slots[me].thread = None;
        if state.stopping {
            return;
        }
        drop(state);
        self.hand_on();
    }

    /// Reports that a thread failed; the test fails with it.
    pub(super) fn fail(&self, failure: Box<dyn Any + Send>) {
        self.state().failure.get_or_insert(failure);
        self.turn.notify_all();
    }

    /// Gives the machine to the next thread that can run, after letting the host and time do
    /// their part. The caller runs no longer.
    fn hand_on(&self) {
        loop {
            self.deliver_what_is_due();
            let mut state = self.state();
            if state.stopping {
                return;
            }
            if let Some(next) = state.ready.pop_front() {
                state.slots[next].state = Run::Running;
                state.current = next;
                drop(state);
                self.turn.notify_all();
                return;
            }
            if state.is_over() && state.main_awaits_the_end {
                state.unpark(MAIN);
            } else if !state.advance() {
                let now_ns = state.now_ns;
                drop(state);
                panic!(
                    "standstill at {now_ns} ns: every thread is parked without a deadline, \
                     and nothing is scheduled that could wake one"
                );
            }
        }
    }

    /// Plays the host's events and the deadline that have come, in the service thread.
    pub(super) fn deliver_what_is_due(&self) {
        loop {
            let mut state = self.state();
            let now_ns = state.now_ns;
            let due = state.events.first_key_value().is_some_and(|(&(at, _), _)| at <= now_ns);
            let news = if due && let Some((_, event)) = state.events.pop_first() {
                Some(state.host.apply(event))
            } else if state.deadline_ns.is_some_and(|at| at <= now_ns) {
                state.deadline_ns = None;
                None
            } else {
                return;
            };
            drop(state);
            self.tell(news);
        }
    }

    /// Tells the personality news, or that the deadline came.
    fn tell(&self, news: Option<News>) {
        let mut state = self.state();
        let Some(service) = state.service.as_ref().and_then(Weak::upgrade) else {
            return;
        };
        let outer = core::mem::replace(&mut state.in_service, true);
        drop(state);
        match news {
            Some(news) => service.news(news),
            None => service.deadline(),
        }
        self.state().in_service = outer;
    }

    /// Lets the host do something at a time.
    pub(super) fn schedule(&self, at_ns: u64, event: HostEvent) {
        let mut state = self.state();
        let key = (at_ns, state.next_event);
        state.next_event += 1;
        state.events.insert(key, event);
    }

    /// Lets time pass for the test's thread, with all that happens meanwhile.
    pub(super) fn advance(&self, by_ns: u64) {
        let until_ns = self.state().now_ns + by_ns;
        self.park(MAIN, Some(until_ns));
        while self.state().now_ns < until_ns {
            self.park(MAIN, Some(until_ns));
        }
    }

    /// Lets time pass for the thread that runs.
    pub(super) fn pass(&self, by_ns: u64) {
        self.state().now_ns += by_ns;
        self.deliver_what_is_due();
    }

    /// Lets the other threads run until all have ended or the machine is off.
    pub(super) fn run(&self) -> Option<ExitStatus> {
        loop {
            let mut state = self.state();
            if state.is_over() {
                state.main_awaits_the_end = false;
                state.stopping = true;
                let status = state.exit_status;
                drop(state);
                self.turn.notify_all();
                return status;
            }
            state.main_awaits_the_end = true;
            drop(state);
            self.park(MAIN, None);
        }
    }

    /// Lets all threads end where they wait.
    pub(super) fn stop(&self) {
        self.state().stopping = true;
        self.turn.notify_all();
    }
}

impl State {
    fn unpark(&mut self, id: usize) {
        let slot = &mut self.slots[id];
        match slot.state {
            Run::Parked(_) => {
                slot.state = Run::Ready;
                self.ready.push_back(id);
            }
            Run::Running | Run::Ready => slot.token = true,
            Run::Ended => {}
        }
    }

    /// Whether the machine is off or no thread is left beside the test's.
    fn is_over(&self) -> bool {
        self.exit_status.is_some()
            || self.slots[SERVICE + 1..].iter().all(|slot| slot.state == Run::Ended)
    }

    /// Lets time jump to what comes next; `false` when nothing does.
    fn advance(&mut self) -> bool {
        let parked = self.slots.iter().filter_map(|slot| match slot.state {
            Run::Parked(deadline_ns) => deadline_ns,
            Run::Running | Run::Ready | Run::Ended => None,
        });
        let event = self.events.first_key_value().map(|(&(at, _), _)| at);
        let Some(at) = parked.chain(event).chain(self.deadline_ns).min() else {
            return false;
        };
        self.now_ns = self.now_ns.max(at);
        for id in 0..self.slots.len() {
            if let Run::Parked(Some(deadline_ns)) = self.slots[id].state
                && deadline_ns <= self.now_ns
            {
                self.unpark(id);
            }
        }
        true
    }
}

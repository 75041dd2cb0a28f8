//! Threads of the machine, one of which runs at a time, and virtual time.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::any::Any;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::panic::resume_unwind;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::machine::{ExitStatus, InvalidState, News, Service, Space, Thread};

use super::host::{Host, HostEvent};
use super::machine::PROCESSOR;

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

    fn park(&self, me: usize, deadline_ns: Option<u64>) {
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

    fn unpark(&self, id: usize) {
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

/// A thread of the machine.
pub(super) struct FakeThread {
    pub(super) id: usize,
    scheduler: Weak<Scheduler>,
    /// None for the test's own thread and the service thread.
    space: Mutex<Option<Arc<dyn Space>>>,
    fs_base: AtomicU64,
    gs_base: AtomicU64,
    extended_state: Mutex<Vec<u8>>,
    answers: Mutex<Vec<(u16, u64)>>,
    interrupted: AtomicBool,
}

impl FakeThread {
    fn new(id: usize, scheduler: Weak<Scheduler>, space: Option<Arc<dyn Space>>) -> Self {
        Self {
            id,
            scheduler,
            space: Mutex::new(space),
            fs_base: AtomicU64::new(0),
            gs_base: AtomicU64::new(0),
            extended_state: Mutex::new(initial_extended_state()),
            answers: Mutex::new(Vec::new()),
            interrupted: AtomicBool::new(false),
        }
    }

    pub(super) fn space(&self) -> Arc<dyn Space> {
        lock(&self.space).clone().expect("a thread that runs an application has a space")
    }

    pub(super) fn take_interruption(&self) -> bool {
        self.interrupted.swap(false, Ordering::Relaxed)
    }

    pub(super) fn answer(&self, number: u16) -> Option<u64> {
        lock(&self.answers).iter().find(|answer| answer.0 == number).map(|answer| answer.1)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Thread for FakeThread {
    fn park(&self, deadline_ns: Option<u64>) {
        if let Some(scheduler) = self.scheduler.upgrade() {
            scheduler.park(self.id, deadline_ns);
        }
    }

    fn unpark(&self) {
        if let Some(scheduler) = self.scheduler.upgrade() {
            scheduler.unpark(self.id);
        }
    }

    fn interrupt(&self) {
        self.interrupted.store(true, Ordering::Relaxed);
    }

    fn set_space(&self, space: Arc<dyn Space>) {
        if self.id > SERVICE {
            *lock(&self.space) = Some(space);
        }
    }

    fn fs_base(&self) -> u64 {
        self.fs_base.load(Ordering::Relaxed)
    }

    fn set_fs_base(&self, base: u64) {
        self.fs_base.store(base, Ordering::Relaxed);
    }

    fn gs_base(&self) -> u64 {
        self.gs_base.load(Ordering::Relaxed)
    }

    fn set_gs_base(&self, base: u64) {
        self.gs_base.store(base, Ordering::Relaxed);
    }

    fn save_extended_state(&self, to: &mut [u8]) {
        to.copy_from_slice(&lock(&self.extended_state));
    }

    fn restore_extended_state(&self, from: &[u8]) -> Result<(), InvalidState> {
        if !is_valid(from) {
            return Err(InvalidState);
        }
        lock(&self.extended_state).copy_from_slice(&from[..PROCESSOR.extended_state_len]);
        Ok(())
    }

    fn reset_extended_state(&self) {
        *lock(&self.extended_state) = initial_extended_state();
    }

    fn publish_answers(&self, answers: &[(u16, u64)]) {
        *lock(&self.answers) = answers.to_vec();
    }
}

/// Offset of MXCSR in the legacy region (SDM volume 1, 10.5.1), and of the XSAVE header
/// (13.4.2): XSTATE_BV, XCOMP_BV and 48 reserved bytes.
const MXCSR: usize = 24;
const HEADER: usize = 512;

fn initial_extended_state() -> Vec<u8> {
    let mut state = alloc::vec![0; PROCESSOR.extended_state_len];
    state[..2].copy_from_slice(&0x37f_u16.to_le_bytes());
    state[MXCSR..MXCSR + 4].copy_from_slice(&0x1f80_u32.to_le_bytes());
    state
}

/// Whether `xrstor` would take these bytes.
fn is_valid(state: &[u8]) -> bool {
    if state.len() < PROCESSOR.extended_state_len {
        return false;
    }
    let word = |at: usize| state[at..at + 8].iter().rev().fold(0, |a, &b| a << 8 | u64::from(b));
    word(HEADER) & !PROCESSOR.extended_state_components == 0
        && state[HEADER + 8..HEADER + 64].iter().all(|&byte| byte == 0)
        && state[MXCSR + 2..MXCSR + 4] == [0, 0]
}

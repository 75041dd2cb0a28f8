//! The machine's side of a thread: its thread pointer, extended state and space.

use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::machine::{
    CpuTime, DebugRegisters, ExtendedStart, InvalidState, Space, Task, Thread, ThreadStart,
};

use super::machine::PROCESSOR;
use super::schedule::{SERVICE, Scheduler};

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
    ran_ns: AtomicU64,
    cpu_deadline_ns: AtomicU64,
    /// What it runs, if it was started for that.
    task: Mutex<Option<Weak<dyn Task>>>,
}

impl FakeThread {
    /// Takes the state that `caller` starts it in.
    pub(super) fn begin(&self, start: &ThreadStart, caller: &Self) {
        self.fs_base.store(start.fs_base, Ordering::Relaxed);
        self.gs_base.store(start.gs_base, Ordering::Relaxed);
        if start.extended_state == ExtendedStart::OfCaller {
            let state = lock(&caller.extended_state).clone();
            *lock(&self.extended_state) = state;
        }
    }

    pub(super) fn new(
        id: usize,
        scheduler: Weak<Scheduler>,
        space: Option<Arc<dyn Space>>,
    ) -> Self {
        Self {
            id,
            scheduler,
            space: Mutex::new(space),
            fs_base: AtomicU64::new(0),
            gs_base: AtomicU64::new(0),
            extended_state: Mutex::new(initial_extended_state()),
            answers: Mutex::new(Vec::new()),
            interrupted: AtomicBool::new(false),
            ran_ns: AtomicU64::new(0),
            cpu_deadline_ns: AtomicU64::new(u64::MAX),
            task: Mutex::new(None),
        }
    }

    /// Says what it runs.
    pub(super) fn set_task(&self, task: &Arc<dyn Task>) {
        *lock(&self.task) = Some(Arc::downgrade(task));
    }

    pub(super) fn space(&self) -> Arc<dyn Space> {
        lock(&self.space).clone().expect("a thread that runs an application has a space")
    }

    pub(super) fn take_interruption(&self) -> bool {
        self.interrupted.swap(false, Ordering::Relaxed)
    }

    /// Lets virtual time pass that the thread, which runs, computes.
    pub(super) fn compute(&self, by_ns: u64) {
        if let Some(scheduler) = self.scheduler.upgrade() {
            let ran_ns = self.ran_ns.fetch_add(by_ns, Ordering::Relaxed) + by_ns;
            if ran_ns >= self.cpu_deadline_ns.load(Ordering::Relaxed) {
                self.cpu_deadline_ns.store(u64::MAX, Ordering::Relaxed);
                self.interrupt();
            }
            scheduler.pass(by_ns);
        }
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

    fn is_to_end(&self) -> bool {
        let task = lock(&self.task).as_ref().and_then(Weak::upgrade);
        task.is_some_and(|task| task.is_to_end())
    }

    fn interrupt(&self) {
        self.interrupted.store(true, Ordering::Relaxed);
    }

    fn set_space(&self, space: Arc<dyn Space>) {
        if self.id > SERVICE {
            *lock(&self.space) = Some(space);
        }
    }

    fn cpu_time(&self) -> CpuTime {
        CpuTime { total_ns: self.ran_ns.load(Ordering::Relaxed), system_ns: 0 }
    }

    fn set_cpu_deadline(&self, total_ns: Option<u64>) {
        self.cpu_deadline_ns.store(total_ns.unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// One thread runs until it waits, whatever the others weigh.
    fn set_weight(&self, _weight: u32) {}

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
        PROCESSOR.check_extended_state(from)?;
        lock(&self.extended_state).copy_from_slice(&from[..PROCESSOR.extended_state_len]);
        Ok(())
    }

    fn reset_extended_state(&self) {
        *lock(&self.extended_state) = initial_extended_state();
    }

    // Closures have no addresses inside, and their accesses are not watched.
    fn set_debug_registers(&self, _: DebugRegisters) {}

    fn publish_answers(&self, answers: &[(u16, u64)]) {
        *lock(&self.answers) = answers.to_vec();
    }
}

/// Offset of MXCSR in the legacy region (SDM volume 1, 10.5.1).
const MXCSR: usize = 24;

fn initial_extended_state() -> Vec<u8> {
    let mut state = alloc::vec![0; PROCESSOR.extended_state_len];
    state[..2].copy_from_slice(&0x37f_u16.to_le_bytes());
    state[MXCSR..MXCSR + 4].copy_from_slice(&0x1f80_u32.to_le_bytes());
    state
}

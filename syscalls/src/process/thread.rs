//! A thread of the application, and the entries of the personality that the machine calls.

use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::cell::Cell;
use core::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, AtomicU64, Ordering};

use abi::process::{CloneFlags, TASK_COMM_LEN};
use spin::Mutex;

use crate::context::Context;
use crate::error::{Outcome, Result};
use crate::keys::Key;
use crate::machine::{self, CpuTime, Flow, Registers, ThreadStart, Trap};
use crate::namespaces::Namespaces;
use crate::process::apart::Apart;
use crate::process::fork::BorrowedMemory;
use crate::process::futex::{ANY, Scope, Word};
use crate::process::rseq::Rseq;
use crate::process::scheduling::Scheduling;
use crate::process::tracing::Tracing;
use crate::process::usage::Counters;
use crate::process::{Attention, Process};
use crate::report::RecentCalls;
use crate::rings::OwnRequests;
use crate::signal::{RestartBlock, ThreadSignals};
use crate::system::System;
use crate::{table, trace};

/// A thread of the application.
pub struct Thread {
    this: Weak<Self>,
    id: AtomicU32,
    system: Arc<System>,
    process: Arc<Process>,
    /// The machine's side: from before the thread first waits to its end. The machine's side
    /// holds this one.
    machine: Mutex<Option<Arc<dyn machine::Thread>>>,
    name: Mutex<[u8; TASK_COMM_LEN]>,
    /// Which signals it blocks, and those that wait for it.
    pub signals: ThreadSignals,
    pub(crate) attention: Attention,
    /// What it has of its tracer.
    pub(super) tracing: Tracing,
    pub(crate) restart: Mutex<Option<RestartBlock>>,
    /// Where to write 0 when the thread ends: set_tid_address(2); 0 for nowhere.
    clear_id_at: AtomicU64,
    /// Its restartable sequences.
    pub(crate) rseq: Rseq,
    /// How often something happened to it.
    pub(super) counters: Counters,
    /// What it has apart from the other threads of its process.
    pub(super) apart: Apart,
    /// Its latest system calls.
    pub(crate) recent: RecentCalls,
    /// The head of its list of robust futexes; 0 for none.
    robust_list: AtomicU64,
    /// The parent that waits until the memory is no longer used: vfork(2).
    pub(super) borrowed: Mutex<Option<Arc<BorrowedMemory>>>,
    /// What it ended with by itself: _exit(2).
    exit_status: AtomicI32,
    /// Its own keyring, once it has one.
    pub(crate) keyring: Mutex<Option<Arc<Key>>>,
    /// The namespaces it is in.
    pub(crate) namespaces: Mutex<Arc<Namespaces>>,
    /// What it has asked for with io_uring(7).
    pub(crate) requests: OwnRequests,
    /// How it has asked to be scheduled.
    scheduling: Mutex<Scheduling>,
    /// When it was made, monotonic.
    start_ns: u64,
    /// Whether it waits now.
    is_waiting: AtomicBool,
    /// Whether it ends and gives back what it has.
    is_leaving: AtomicBool,
    has_ended: AtomicBool,
}

impl Thread {
    /// The first thread of `process`; it does not run yet ([`Thread::start`]).
    #[must_use]
    pub fn new(system: Arc<System>, process: Arc<Process>) -> Arc<Self> {
        let id = process.id();
        Self::with_id(system, process, id)
    }

    /// One more thread of the process, with this number; it does not run yet.
    pub(super) fn beside(&self, id: u32) -> Arc<Self> {
        let thread = Self::with_id(self.system.clone(), self.process.clone(), id);
        self.system.processes.insert_thread(&thread);
        thread
    }

    fn with_id(system: Arc<System>, process: Arc<Process>, id: u32) -> Arc<Self> {
        let start_ns = system.machine.monotonic_ns();
        let namespaces = system.first_namespaces.clone();
        let thread = Arc::new_cyclic(|this| Self {
            this: this.clone(),
            id: AtomicU32::new(id),
            system,
            process,
            machine: Mutex::new(None),
            name: Mutex::new([0; TASK_COMM_LEN]),
            signals: ThreadSignals::default(),
            attention: Attention::default(),
            tracing: Tracing::default(),
            restart: Mutex::new(None),
            clear_id_at: AtomicU64::new(0),
            rseq: Rseq::default(),
            counters: Counters::default(),
            apart: Apart::default(),
            recent: RecentCalls::default(),
            robust_list: AtomicU64::new(0),
            borrowed: Mutex::new(None),
            exit_status: AtomicI32::new(0),
            keyring: Mutex::new(None),
            namespaces: Mutex::new(namespaces),
            requests: OwnRequests::default(),
            scheduling: Mutex::default(),
            start_ns,
            is_waiting: AtomicBool::new(false),
            is_leaving: AtomicBool::new(false),
            has_ended: AtomicBool::new(false),
        });
        if thread.system.is_traced() {
            thread.attention.set(Attention::TRACE);
        }
        thread.process.add_thread(&thread);
        thread
    }

    /// Starts the thread at `registers` in the memory of its process.
    ///
    /// # Errors
    /// `ENOMEM`.
    pub fn start(&self, registers: Registers) -> Result<()> {
        self.start_from(ThreadStart { registers, ..ThreadStart::default() })
    }

    /// Starts the thread in this state, in the memory of its process.
    ///
    /// # Errors
    /// `ENOMEM`.
    pub(super) fn start_from(&self, mut start: ThreadStart) -> Result<()> {
        start.registers.keep_in_application();
        if let Some(this) = self.this.upgrade() {
            let space = self.process.memory().space().clone();
            let machine = self.system.machine.start_thread(this, space, start)?;
            self.attach(machine);
            self.publish_answers();
            self.process.tell_cpu_deadlines();
            // What was sent to it before could not tell the machine.
            if self.attention.is_needed() {
                self.interrupt();
            }
        }
        Ok(())
    }

    /// Takes over what a child has of the thread that made it: clone(2).
    pub(super) fn inherit(&self, parent: &Self, flags: CloneFlags) {
        *self.name.lock() = *parent.name.lock();
        self.set_namespaces(parent.namespaces());
        *self.scheduling.lock() = parent.scheduling().of_child();
        self.signals.inherit(&parent.signals, flags);
        if !flags.contains(CloneFlags::VM) {
            self.rseq.inherit(&parent.rseq);
        }
    }

    /// Shows it as asleep: it never runs.
    pub(crate) fn rest(&self) {
        self.is_waiting.store(true, Ordering::Relaxed);
    }

    /// Its number: gettid(2).
    #[must_use]
    pub fn id(&self) -> u32 {
        self.id.load(Ordering::Relaxed)
    }

    /// Whether it has the number of its process: the first one, and later whoever called
    /// execve(2).
    #[must_use]
    pub(crate) fn is_leader(&self) -> bool {
        self.id() == self.process.id()
    }

    /// Takes the number of the process, which no other thread has any more: execve(2).
    pub(super) fn take_number_of_process(&self) {
        if !self.is_leader() {
            self.system.processes.remove_thread(self);
            self.id.store(self.process.id(), Ordering::Relaxed);
            self.join_credentials();
        }
    }

    /// Its process.
    #[must_use]
    pub fn process(&self) -> &Arc<Process> {
        &self.process
    }

    /// Its name, without NULs: `PR_GET_NAME`.
    #[must_use]
    pub fn name(&self) -> Vec<u8> {
        self.name.lock().iter().copied().take_while(|&byte| byte != 0).collect()
    }

    /// Sets its name, of which 15 bytes are kept: execve(2), `PR_SET_NAME`.
    pub fn set_name(&self, name: &[u8]) {
        let mut kept = [0; TASK_COMM_LEN];
        let len = name.len().min(TASK_COMM_LEN - 1);
        kept[..len].copy_from_slice(&name[..len]);
        *self.name.lock() = kept;
    }

    /// The machine's side of the thread, which is the one that runs now.
    pub(crate) fn machine(&self) -> Arc<dyn machine::Thread> {
        let mut machine = self.machine.lock();
        machine.get_or_insert_with(|| self.system.machine.current_thread()).clone()
    }

    /// The machine's side of the thread, while it is known.
    pub(crate) fn machine_if_known(&self) -> Option<Arc<dyn machine::Thread>> {
        self.machine.lock().clone()
    }

    /// A handle of this thread that does not keep it.
    pub(crate) fn downgrade(&self) -> Weak<Self> {
        self.this.clone()
    }

    /// Notes with which status it ends by itself.
    pub(crate) fn set_exit_status(&self, status: i32) {
        self.exit_status.store(status, Ordering::Relaxed);
    }

    /// The status it ends with by itself.
    pub(super) fn exit_status(&self) -> i32 {
        self.exit_status.load(Ordering::Relaxed)
    }

    /// Lets the thread end as soon as it looks.
    pub(super) fn end_soon(&self) {
        self.attention.set(Attention::EXIT);
        self.unpark();
        self.interrupt();
    }

    /// Connects the thread to the machine's side of it, before it first waits.
    pub fn attach(&self, machine: Arc<dyn machine::Thread>) {
        let scheduling = self.scheduling();
        if scheduling != Scheduling::default() {
            machine.set_weight(scheduling.weight());
        }
        *self.machine.lock() = Some(machine);
    }

    /// Parts from the machine's side at the end, for each holds the other.
    pub(super) fn detach(&self) {
        let machine = self.machine.lock().take();
        drop(machine);
    }

    /// The personality it belongs to.
    #[must_use]
    pub fn system(&self) -> &Arc<System> {
        &self.system
    }

    /// Whether a signal waits that the thread does not block, or the thread is to stop or end.
    #[must_use]
    pub fn has_deliverable_signal(&self) -> bool {
        self.attention.has(Attention::INTERRUPTIONS)
    }

    /// For how long it has had a processor, until it ended.
    #[must_use]
    pub fn cpu_time(&self) -> CpuTime {
        self.machine_if_known().map_or(CpuTime::default(), |machine| machine.cpu_time())
    }

    /// Makes the thread look at what waits for CPU time once it has had that much of it.
    pub(crate) fn set_cpu_deadline(&self, total_ns: Option<u64>) {
        if let Some(machine) = self.machine_if_known() {
            machine.set_cpu_deadline(total_ns);
        }
    }

    /// How it has asked to be scheduled.
    #[must_use]
    pub(crate) fn scheduling(&self) -> Scheduling {
        *self.scheduling.lock()
    }

    /// Replaces how it has asked to be scheduled.
    pub(crate) fn set_scheduling(&self, new: Scheduling) {
        *self.scheduling.lock() = new;
        if let Some(machine) = self.machine_if_known() {
            machine.set_weight(new.weight());
        }
    }

    /// Sets its nice value, -20 to 19.
    pub(crate) fn set_nice(&self, nice: i32) {
        self.set_scheduling(Scheduling { nice, ..self.scheduling() });
    }

    /// Its state as /proc tells it: a letter and a word of proc_pid_status(5).
    #[must_use]
    pub(crate) fn state(&self) -> &'static str {
        if self.has_ended() {
            return "Z (zombie)";
        }
        if self.is_in_trace_stop() {
            return "t (tracing stop)";
        }
        match (self.process.signals.is_stopped(), self.is_waiting.load(Ordering::Relaxed)) {
            (true, _) => "T (stopped)",
            (false, true) => "S (sleeping)",
            (false, false) => "R (running)",
        }
    }

    /// From now on it gives back what it has, and what it waits for then is waited for.
    pub(super) fn begin_to_leave(&self) {
        self.is_leaving.store(true, Ordering::Relaxed);
    }

    /// Whether it ends, or has ended.
    #[must_use]
    pub(crate) fn is_leaving(&self) -> bool {
        self.is_leaving.load(Ordering::Relaxed)
    }

    /// Whether it has ended: its process may only wait to be told of.
    #[must_use]
    pub(crate) fn has_ended(&self) -> bool {
        self.has_ended.load(Ordering::Relaxed)
    }

    /// Notes that it has ended.
    pub(super) fn set_ended(&self) {
        self.has_ended.store(true, Ordering::Relaxed);
    }

    /// When it was made, in nanoseconds since boot.
    #[must_use]
    pub fn start_ns(&self) -> u64 {
        self.start_ns
    }

    /// Sets where to write 0 when the thread ends: set_tid_address(2).
    pub(crate) fn set_clear_id_at(&self, address: u64) {
        self.clear_id_at.store(address, Ordering::Relaxed);
    }

    /// Where to write 0 when the thread ends.
    pub(crate) fn clear_id_at(&self) -> u64 {
        self.clear_id_at.load(Ordering::Relaxed)
    }

    /// The head of its list of robust futexes; 0 for none.
    pub(crate) fn robust_list(&self) -> u64 {
        self.robust_list.load(Ordering::Relaxed)
    }

    /// Takes the head of its list of robust futexes: there is none from now on.
    pub(super) fn take_robust_list(&self) -> u64 {
        self.robust_list.swap(0, Ordering::Relaxed)
    }

    /// Sets the head of its list of robust futexes.
    pub(crate) fn set_robust_list(&self, head: u64) {
        self.robust_list.store(head, Ordering::Relaxed);
    }

    /// Parts from the memory at the end of the thread: others may wait for that.
    pub(super) fn leave_memory(&self) {
        self.release_robust_futexes();
        self.system.futexes.leave(self);
        self.clear_thread_id();
        self.return_memory();
    }

    /// What set_tid_address(2) asked for, at the end of the thread.
    pub(super) fn clear_thread_id(&self) {
        let address = self.clear_id_at.swap(0, Ordering::Relaxed);
        if address != 0 {
            let memory = self.process.memory();
            // As on Linux, nobody learns of a bad address.
            if memory.write(address, &[0; 4]).is_ok()
                && let Ok(word) = Word::find(&memory, address, Scope::Shared)
            {
                let _ = self.system.futexes.wake(&word, 1, ANY);
            }
        }
    }

    /// Waits for [`Thread::unpark`]; see [`machine::Thread::park`].
    pub(crate) fn park(&self, deadline_ns: Option<u64>) {
        self.is_waiting.store(true, Ordering::Relaxed);
        self.count_wait();
        self.machine().park(deadline_ns);
        self.is_waiting.store(false, Ordering::Relaxed);
    }

    /// Ends the thread's wait; see [`machine::Thread::unpark`].
    pub(crate) fn unpark(&self) {
        self.is_waiting.store(false, Ordering::Relaxed);
        if let Some(machine) = self.machine_if_known() {
            machine.unpark();
        }
    }

    /// Makes the thread look for signals even while it computes; see
    /// [`machine::Thread::interrupt`].
    pub(crate) fn interrupt(&self) {
        if let Some(machine) = self.machine_if_known() {
            machine.interrupt();
        }
    }

    /// A system call that is shown on the host, or to a tracer.
    #[cold]
    fn watched_call(&self, registers: &mut Registers) -> Flow {
        if self.is_traced() {
            self.hide_step(registers);
            if !self.enter_call(registers) {
                let result = Ok(Outcome::Value(registers.rax));
                return self.leave_call(registers, result);
            }
        }
        let number = registers.orig_rax;
        let result = {
            let cell = Cell::from_mut(registers);
            let cx = Context::new(&self.system, &self.process, self, cell);
            if self.attention.has(Attention::TRACE) {
                trace::call(&cx, number, || self.dispatch(&cx, number))
            } else {
                self.dispatch(&cx, number)
            }
        };
        self.recent.add_result(number, registers, &result);
        self.leave_call(registers, result)
    }

    fn dispatch(&self, cx: &Context<'_>, number: u64) -> Result<Outcome> {
        match table::row(number) {
            Some(row) => row.handler.call(cx, &cx.registers().arguments()),
            None => Err(self.system.unknown_call(number)),
        }
    }
}

impl machine::Task for Thread {
    fn syscall(&self, registers: &mut Registers) -> Flow {
        if self.attention.has(Attention::TRACE | Attention::TRACED) {
            return self.watched_call(registers);
        }
        let number = registers.orig_rax;
        let result = {
            let cell = Cell::from_mut(registers);
            let cx = Context::new(&self.system, &self.process, self, cell);
            self.dispatch(&cx, number)
        };
        match result {
            Ok(Outcome::Value(value)) if !self.attention.is_needed() => {
                self.recent.add(number, registers, value);
                registers.rax = value;
                Flow::Return
            }
            result => {
                self.recent.add_result(number, registers, &result);
                self.leave_call(registers, result)
            }
        }
    }

    fn trap(&self, trap: Trap, registers: &mut Registers) -> Flow {
        if self.is_traced() {
            self.hide_step(registers);
        }
        self.take_trap(trap, registers);
        self.leave(registers, None)
    }

    fn resume(&self, registers: &mut Registers) -> Flow {
        if self.is_traced() {
            self.hide_step(registers);
        }
        self.process.run_cpu_timers();
        // Another thread may have run meanwhile.
        if self.leave_critical_section(registers).is_err() {
            self.force_segv(true);
        }
        self.leave(registers, None)
    }

    fn is_to_end(&self) -> bool {
        let is_to_end = self.attention.has(Attention::EXIT) || self.has_fatal_signal();
        is_to_end && !self.is_leaving()
    }

    fn out_of_memory(&self, registers: &mut Registers) -> Flow {
        self.relieve_memory();
        if self.process.is_ending() { self.leave(registers, None) } else { self.syscall(registers) }
    }
}

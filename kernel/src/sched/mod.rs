//! Threads and the scheduler.
//!
//! A thread runs until it parks, ends, or passes a rescheduling point ([`attend`], on every
//! way back to the application, and [`reschedule`], in what takes long) when another waits:
//! the service thread at once, another thread after a time slice, or earlier if it has had
//! less of the processor (`queue`). Kernel code is not preempted and runs with interrupts off;
//! interrupts are taken while an application runs, at [`reschedule`], and in the idle loop,
//! which belongs to whichever thread parked last.
//!
//! Lock order: the run queue is taken last, and never across a switch.

mod cpu_clock;
mod queue;
mod switch;
mod thread;
mod turn;

pub(crate) use thread::Thread;

use alloc::sync::Arc;
use core::ptr::null;
use core::sync::atomic::Ordering;

use spin::Mutex;
use syscalls::machine::{Flow, OutOfMemory, Registers, Space, Task, ThreadStart};
use x86_64::instructions::interrupts::{disable, enable, enable_and_hlt};
use x86_64::instructions::nop;

use crate::cpu::entry::Frame;
use crate::cpu::{local, registers};
use crate::time;
use queue::RunQueue;
use switch::switch_stacks;

/// Of how many entries into the kernel the time of one is taken, for all: a prime, so that no
/// loop of calls always shows the same one.
const SAMPLE_EVERY: u32 = 13;

static QUEUE: Mutex<RunQueue> = Mutex::new(RunQueue::new());

/// Makes the boot processor's present flow of control the service thread.
pub(crate) fn init() {
    let thread = Thread::for_boot();
    // SAFETY: this processor's data; the reference is given back when the thread ends, never.
    unsafe { (*local::current()).thread = Arc::into_raw(thread) };
}

/// Starts a thread of the application.
///
/// # Errors
/// [`OutOfMemory`].
pub(crate) fn start(
    task: Arc<dyn Task>,
    space: Arc<dyn Space>,
    start: ThreadStart,
) -> Result<Arc<Thread>, OutOfMemory> {
    let thread = Thread::new(task, space, start, current_ref())?;
    QUEUE.lock().start(thread.clone());
    Ok(thread)
}

/// The current thread.
pub(crate) fn current() -> Arc<Thread> {
    // SAFETY: `thread` came from `Arc::into_raw` and is alive while it runs.
    unsafe {
        let thread = (*local::current()).thread;
        Arc::increment_strong_count(thread);
        Arc::from_raw(thread)
    }
}

/// The current thread, for the time it runs.
fn current_ref<'a>() -> &'a Thread {
    // SAFETY: as in `current`; callers do not keep it beyond the thread's life.
    unsafe { &*(*local::current()).thread }
}

/// The personality's side of the current thread.
pub(crate) fn current_task<'a>() -> &'a dyn Task {
    current_ref().task().expect("only application threads enter from an application")
}

/// Parks the current thread; see [`syscalls::machine::Thread::park`].
pub(crate) fn park(deadline_ns: Option<u64>) {
    let thread = current();
    let key = deadline_ns.map(|deadline| (deadline, Arc::as_ptr(&thread) as usize));
    {
        let mut queue = QUEUE.lock();
        if !thread.begin_park() {
            return;
        }
        if let Some(key) = key {
            queue.put_to_sleep(key, thread.clone());
        }
    }
    run_next();
    if let Some(key) = key {
        QUEUE.lock().forget_sleeper(key);
    }
}

/// Ends a thread's present or next wait.
pub(crate) fn unpark(thread: &Arc<Thread>) {
    let mut queue = QUEUE.lock();
    if thread.wake() {
        queue.wake(thread.clone());
    }
}

/// Lets others run, if any can.
pub(crate) fn yield_now() {
    let now = time::now_ns();
    let mut queue = QUEUE.lock();
    queue.wake_sleepers(now);
    if !queue.has_others() {
        return;
    }
    queue.put_last(current(), now);
    drop(queue);
    run_next();
}

/// Ends the current thread.
pub(crate) fn exit() -> ! {
    let thread = current();
    thread.forget_extended_state();
    QUEUE.lock().ended = Some(thread);
    // SAFETY: the reference that `Local::thread` holds; the thread itself is kept by `ended`
    // until another runs.
    unsafe { drop(Arc::from_raw((*local::current()).thread)) };
    run_next();
    unreachable!("a thread that ended runs again");
}

/// Called after an interrupt that the application was interrupted by.
pub(crate) fn interrupted() {
    current_ref().attention.store(true, Ordering::Relaxed);
    ask_to_attend();
}

/// Makes the next [`attend`] look.
fn ask_to_attend() {
    // SAFETY: this processor's data, interrupts are off.
    unsafe { (*local::current()).attend = true };
}

/// The CPU time of the current thread at an entry into the kernel, where this entry is one of
/// those that are measured.
#[inline]
pub(crate) fn begin_sample() -> Option<u64> {
    // SAFETY: this processor's data, interrupts are off.
    let until_sample = unsafe { &mut (*local::current()).until_sample };
    if let Some(left) = until_sample.checked_sub(1) {
        *until_sample = left;
        return None;
    }
    *until_sample = SAMPLE_EVERY - 1;
    Some(current_ref().clock.total_ns(time::now_ns()))
}

/// Ends what [`begin_sample`] began: the time since then counts for this entry and for those
/// that are not measured.
#[inline]
pub(crate) fn end_sample(sample: Option<u64>) {
    if let Some(began_ns) = sample {
        let (now, clock) = (time::now_ns(), &current_ref().clock);
        let took_ns = clock.total_ns(now) - began_ns;
        clock.add_system(took_ns.saturating_mul(u64::from(SAMPLE_EVERY)), now);
    }
}

/// A rescheduling point on the way back to the application: lets others run and gives the
/// personality its say. Returns whether registers may have changed.
#[inline]
pub(crate) fn attend(registers: &mut Registers) -> bool {
    // SAFETY: this processor's data, interrupts are off.
    let something_to_do = unsafe { (*local::current()).attend };
    something_to_do && attend_now(registers)
}

#[cold]
fn attend_now(registers: &mut Registers) -> bool {
    let mut changed = false;
    // SAFETY: this processor's data, interrupts are off.
    while unsafe { core::mem::take(&mut (*local::current()).attend) } {
        reschedule_if_due();
        if !current_ref().attention.swap(false, Ordering::Relaxed) {
            continue;
        }
        changed = true;
        if current_task().resume(registers) == Flow::End {
            exit();
        }
    }
    changed
}

/// A rescheduling point in kernel code that takes long: takes the interrupts that wait, and
/// lets others run if it is their turn. No lock is held.
pub(crate) fn reschedule() {
    enable();
    nop();
    disable();
    reschedule_if_due();
}

fn reschedule_if_due() {
    let now = time::now_ns();
    if current_ref().clock.take_deadline(now) {
        interrupted();
    }
    let mut queue = QUEUE.lock();
    queue.wake_sleepers(now);
    if !queue.is_due(current_ref(), now) {
        queue.arm_timer(Some(current_ref()), now);
        return;
    }
    queue.put_back(current(), now);
    drop(queue);
    run_next();
}

/// Runs the next runnable thread, idling until there is one. The current thread is parked,
/// in the queue, or has ended.
fn run_next() {
    let mut now = time::now_ns();
    current_ref().clock.stop(now);
    let next = loop {
        {
            let mut queue = QUEUE.lock();
            queue.wake_sleepers(now);
            if let Some(next) = queue.take_next(now) {
                break next;
            }
        }
        enable_and_hlt();
        disable();
        now = time::now_ns();
    };
    if core::ptr::eq(Arc::as_ptr(&next), current_ref()) && QUEUE.lock().ended.is_none() {
        return;
    }
    switch_to(next);
}

fn switch_to(next: Arc<Thread>) {
    let local = local::current();
    let ended = QUEUE.lock().ended.is_some();
    // SAFETY: this processor's data; interrupts are off. Both threads are alive until the
    // switch is done: `next` by the reference that `Local::thread` takes over, the previous
    // one by the run queue, by whoever will unpark it, or by `ended`.
    unsafe {
        let previous = (*local).thread;
        (*previous).leave();
        let next = Arc::into_raw(next);
        (*local).thread = next;
        (*local).kernel_stack = (*next).stack_top();
        (*local).answers = (*next).answers();
        (*local).attend |= (*next).attention.load(Ordering::Relaxed);
        (*next).enter();
        if !ended {
            Arc::decrement_strong_count(previous);
        }
        switch_stacks((*previous).saved_stack(), *(*next).saved_stack());
    }
    finish_switch();
}

/// The first steps of a thread, on its own stack: what was asked of it before it ran comes
/// before its first instruction.
///
/// # Safety
/// Called once in each thread, with the frame at the top of its stack.
unsafe extern "sysv64" fn begin(frame: *mut Frame) {
    finish_switch();
    // SAFETY: by the caller; nothing else refers to the frame meanwhile.
    attend(unsafe { &mut (*frame).registers });
}

/// First thing after a switch, on the new thread's stack.
fn finish_switch() {
    let ended = QUEUE.lock().ended.take();
    drop(ended);
}

/// Whether the extended state in the processor is that of `thread`; makes it so.
fn own_extended_state(thread: &Thread) {
    let local = local::current();
    // SAFETY: this processor's data; the owner is alive: it takes its state along when it
    // ends (`forget_extended_state`).
    unsafe {
        let owner = (*local).extended_state_owner;
        if core::ptr::eq(owner, thread) {
            return;
        }
        if !owner.is_null() {
            (*owner).save_extended_state();
        }
        thread.load_extended_state();
        (*local).extended_state_owner = thread;
    }
}

/// Whether the extended state in the processor is that of `thread`.
fn owns_extended_state(thread: &Thread) -> bool {
    // SAFETY: this processor's data.
    core::ptr::eq(unsafe { (*local::current()).extended_state_owner }, thread)
}

fn disown_extended_state(thread: &Thread) {
    let local = local::current();
    // SAFETY: this processor's data.
    unsafe {
        if core::ptr::eq((*local).extended_state_owner, thread) {
            (*local).extended_state_owner = null();
        }
    }
}

fn read_bases() -> (u64, u64) {
    (registers::fs_base(), x86_64::registers::model_specific::KernelGsBase::read().as_u64())
}

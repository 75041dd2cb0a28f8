//! A thread: its stack, and the application's registers while it does not run.

use alloc::alloc::{alloc, dealloc};
use alloc::boxed::Box;
use alloc::sync::{Arc, Weak};
use core::alloc::Layout;
use core::cell::UnsafeCell;
use core::ptr::{NonNull, null_mut};
use core::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};

use spin::Mutex;
use syscalls::machine::{
    self, CpuTime, DebugRegisters, ExtendedStart, InvalidState, OutOfMemory, Space, Task,
    ThreadStart,
};
use x86_64::VirtAddr;
use x86_64::registers::model_specific::KernelGsBase;

use super::cpu_clock::CpuClock;
use super::switch::Switched;
use super::turn::Turn;
use crate::cpu::entry::{ANSWERS, Frame, NO_ANSWER};
use crate::cpu::extended_state::ExtendedState;
use crate::cpu::{debug, local, registers};
use crate::memory::{paging, space};
use crate::time;

/// Size of a kernel stack, in bytes.
const STACK_SIZE: usize = 32 * 1024;
const STACK_LAYOUT: Layout = match Layout::from_size_align(STACK_SIZE, STACK_SIZE) {
    Ok(layout) => layout,
    Err(_) => unreachable!(),
};

/// Lies at the low end of every stack; a stack that grew too far overwrites it.
const CANARY: u64 = 0x6269_7267_7573_2121;

/// Published answers, by call number.
type Answers = [AtomicU64; ANSWERS];

static NO_ANSWERS: Answers = [const { AtomicU64::new(NO_ANSWER) }; ANSWERS];

const RUNNING: u8 = 0;
const PARKED: u8 = 1;
/// An unpark came while the thread ran: its next park returns at once.
const UNPARKED: u8 = 2;

/// A thread of the kernel. Only the scheduler's processor touches what is in cells.
pub(crate) struct Thread {
    this: Weak<Self>,
    /// `None` for the service thread, which runs on the boot stack.
    stack: Option<NonNull<u8>>,
    saved_stack: UnsafeCell<u64>,
    task: Option<Arc<dyn Task>>,
    space: Mutex<Option<Arc<dyn Space>>>,
    root: AtomicU64,
    fs_base: AtomicU64,
    gs_base: AtomicU64,
    extended_state: UnsafeCell<Option<ExtendedState>>,
    answers: Option<Box<Answers>>,
    /// What the processor watches for it.
    debug: UnsafeCell<DebugRegisters>,
    state: AtomicU8,
    /// Whether the thread must pass through [`Task::resume`] before it goes on.
    pub(super) attention: AtomicBool,
    /// For how long it has run.
    pub(super) clock: CpuClock,
    /// Its place among those that take turns.
    turn: Turn,
}

// SAFETY: cells are touched only by the processor that runs or switches the thread.
unsafe impl Send for Thread {}
// SAFETY: as above.
unsafe impl Sync for Thread {}

impl Thread {
    /// The thread that booted the kernel: the service thread.
    pub(super) fn for_boot() -> Arc<Self> {
        Arc::new_cyclic(|this| Self {
            this: this.clone(),
            stack: None,
            saved_stack: UnsafeCell::new(0),
            task: None,
            space: Mutex::new(None),
            root: AtomicU64::new(paging::kernel_root().as_u64()),
            fs_base: AtomicU64::new(0),
            gs_base: AtomicU64::new(0),
            extended_state: UnsafeCell::new(None),
            answers: None,
            debug: UnsafeCell::default(),
            state: AtomicU8::new(RUNNING),
            attention: AtomicBool::new(false),
            clock: CpuClock::new(),
            turn: Turn::new(),
        })
    }

    /// A thread that will run the application from `start`; `caller` starts it.
    pub(super) fn new(
        task: Arc<dyn Task>,
        space: Arc<dyn Space>,
        start: ThreadStart,
        caller: &Self,
    ) -> Result<Arc<Self>, OutOfMemory> {
        let mut extended_state = ExtendedState::try_initial().ok_or(OutOfMemory)?;
        if start.extended_state == ExtendedStart::OfCaller {
            caller.copy_extended_state(&mut extended_state);
        }
        // SAFETY: the layout is not empty.
        let stack = NonNull::new(unsafe { alloc(STACK_LAYOUT) }).ok_or(OutOfMemory)?;
        let frame = stack.as_ptr() as usize + STACK_SIZE - size_of::<Frame>();
        let switched = frame - size_of::<Switched>();
        // SAFETY: all lie in the new stack, aligned.
        unsafe {
            stack.cast::<u64>().write(CANARY);
            (frame as *mut Frame).write(Frame::new(start.registers, extended_state.xmm()));
            (switched as *mut Switched).write(Switched::for_new_thread());
        }
        let root = space::root_of(&space).as_u64();
        Ok(Arc::new_cyclic(|this| Self {
            this: this.clone(),
            stack: Some(stack),
            saved_stack: UnsafeCell::new(switched as u64),
            task: Some(task),
            space: Mutex::new(Some(space)),
            root: AtomicU64::new(root),
            fs_base: AtomicU64::new(start.fs_base),
            gs_base: AtomicU64::new(start.gs_base),
            extended_state: UnsafeCell::new(Some(extended_state)),
            answers: Some(Box::new([const { AtomicU64::new(NO_ANSWER) }; ANSWERS])),
            debug: UnsafeCell::default(),
            state: AtomicU8::new(RUNNING),
            attention: AtomicBool::new(false),
            clock: CpuClock::new(),
            turn: Turn::new(),
        }))
    }

    pub(super) fn is_service(&self) -> bool {
        self.task.is_none()
    }

    /// How much of the processor it counts as having had: who had least is next. The service
    /// thread is always next.
    pub(super) fn turn_ns(&self, now_ns: u64) -> u64 {
        if self.is_service() {
            return 0;
        }
        self.turn.at(self.clock.total_ns(now_ns))
    }

    /// Lets it count as having had at least `least_ns` of the processor.
    pub(super) fn advance_turn(&self, least_ns: u64, now_ns: u64) {
        self.turn.advance(least_ns, self.clock.total_ns(now_ns));
    }

    pub(super) fn task(&self) -> Option<&dyn Task> {
        self.task.as_deref()
    }

    pub(super) fn stack_top(&self) -> u64 {
        self.stack.map_or(0, |stack| (stack.as_ptr() as usize + STACK_SIZE) as u64)
    }

    pub(super) fn saved_stack(&self) -> *mut u64 {
        self.saved_stack.get()
    }

    pub(super) fn answers(&self) -> *const u64 {
        self.answers.as_deref().unwrap_or(&NO_ANSWERS).as_ptr().cast()
    }

    /// Starts to park; returns whether there is a reason to.
    pub(super) fn begin_park(&self) -> bool {
        if self.state.load(Ordering::Relaxed) == UNPARKED {
            self.state.store(RUNNING, Ordering::Relaxed);
            return false;
        }
        self.state.store(PARKED, Ordering::Relaxed);
        true
    }

    /// Ends a wait, present or next; returns whether the thread must be made runnable.
    pub(super) fn wake(&self) -> bool {
        let parked = self.state.load(Ordering::Relaxed) == PARKED;
        self.state.store(if parked { RUNNING } else { UNPARKED }, Ordering::Relaxed);
        parked
    }

    /// Puts the application's bases away when another thread gets the processor.
    pub(super) fn leave(&self) {
        if let Some(stack) = self.stack {
            // SAFETY: the stack is ours, and lives.
            let canary = unsafe { stack.cast::<u64>().read() };
            assert!(canary == CANARY, "a kernel stack overflowed");
        }
        if self.task.is_some() {
            let (fs_base, gs_base) = super::read_bases();
            self.fs_base.store(fs_base, Ordering::Relaxed);
            self.gs_base.store(gs_base, Ordering::Relaxed);
            // SAFETY: as in `debug_registers`.
            if unsafe { (*self.debug.get()).control } != 0 {
                debug::load(&DebugRegisters::default());
            }
        }
    }

    /// Loads what the processor needs to run this thread.
    ///
    /// # Safety
    /// Its stack is about to be the current one.
    pub(super) unsafe fn enter(&self) {
        // The service thread needs only the kernel's half, which every root table has: the
        // address space stays, and with it what the processor knows of its translations.
        if self.task.is_some() {
            let root = x86_64::PhysAddr::new_truncate(self.root.load(Ordering::Relaxed));
            if x86_64::registers::control::Cr3::read().0.start_address() != root {
                // SAFETY: root tables of address spaces map the kernel's half.
                unsafe { paging::activate(root) };
            }
            registers::set_fs_base(self.fs_base.load(Ordering::Relaxed));
            KernelGsBase::write(VirtAddr::new_truncate(self.gs_base.load(Ordering::Relaxed)));
            super::own_extended_state(self);
            // SAFETY: the processor that runs the thread is the one that reads, and nobody
            // changes it meanwhile (`set_debug_registers`).
            let watched = unsafe { &*self.debug.get() };
            if watched.control != 0 {
                debug::load(watched);
            }
        }
    }

    fn is_current(&self) -> bool {
        // SAFETY: this processor's data.
        core::ptr::eq(unsafe { (*local::current()).thread }, self)
    }

    /// The frame of the present entry from the application.
    fn frame(&self) -> *mut Frame {
        self.stack
            .map_or(null_mut(), |_| (self.stack_top() as usize - size_of::<Frame>()) as *mut Frame)
    }

    /// The buffer for the extended state.
    ///
    /// # Safety
    /// The caller is the only one who uses it now.
    #[allow(clippy::mut_from_ref)]
    unsafe fn state_buffer(&self) -> Option<&mut ExtendedState> {
        // SAFETY: by the caller.
        unsafe { (*self.extended_state.get()).as_mut() }
    }

    /// Saves the processor's extended state, which is this thread's.
    ///
    /// # Safety
    /// It is.
    pub(super) unsafe fn save_extended_state(&self) {
        // SAFETY: by the caller.
        if let Some(state) = unsafe { self.state_buffer() } {
            state.save();
        }
    }

    /// Loads this thread's extended state into the processor.
    ///
    /// # Safety
    /// The state there has been saved or is not needed.
    pub(super) unsafe fn load_extended_state(&self) {
        // SAFETY: by the caller.
        if let Some(state) = unsafe { self.state_buffer() } {
            state.load();
        }
    }

    /// Writes the application's extended state to `to`, while the thread, which runs, is in an
    /// entry.
    fn copy_extended_state(&self, to: &mut ExtendedState) {
        to.save();
        if self.task.is_some() {
            // SAFETY: the thread runs, so the state in the processor is its own (`enter`),
            // except the xmm registers, which its frame holds.
            to.set_xmm(unsafe { &(*self.frame()).xmm });
        }
    }

    /// Brings the application's extended state to the buffer, while the thread is in an entry.
    fn settle_extended_state(&self, buffer: &mut ExtendedState) {
        if super::owns_extended_state(self) {
            buffer.save();
        }
        // SAFETY: the frame of a thread that waits or runs in an entry holds its xmm registers.
        buffer.set_xmm(unsafe { &(*self.frame()).xmm });
    }

    /// Leaves the extended state in the processor to whoever comes next.
    pub(super) fn forget_extended_state(&self) {
        super::disown_extended_state(self);
    }
}

impl machine::Thread for Thread {
    fn park(&self, deadline_ns: Option<u64>) {
        debug_assert!(self.is_current(), "only the thread itself may park");
        super::park(deadline_ns);
    }

    fn unpark(&self) {
        if let Some(this) = self.this.upgrade() {
            super::unpark(&this);
        }
    }

    fn is_to_end(&self) -> bool {
        self.task().is_some_and(Task::is_to_end)
    }

    fn interrupt(&self) {
        self.attention.store(true, Ordering::Relaxed);
        if self.is_current() {
            super::ask_to_attend();
        }
    }

    fn set_space(&self, space: Arc<dyn Space>) {
        let root = space::root_of(&space);
        self.root.store(root.as_u64(), Ordering::Relaxed);
        let previous = self.space.lock().replace(space);
        // SAFETY: a root table of an address space; the previous one is dropped afterwards.
        unsafe { paging::activate(root) };
        drop(previous);
    }

    fn cpu_time(&self) -> CpuTime {
        self.clock.read(time::now_ns())
    }

    fn set_cpu_deadline(&self, total_ns: Option<u64>) {
        self.clock.set_deadline(total_ns);
        if self.is_current() {
            // The timer is set on the way back.
            super::ask_to_attend();
        }
    }

    fn set_weight(&self, weight: u32) {
        self.turn.set_weight(weight, self.clock.total_ns(time::now_ns()));
    }

    fn fs_base(&self) -> u64 {
        if self.is_current() { registers::fs_base() } else { self.fs_base.load(Ordering::Relaxed) }
    }

    fn set_fs_base(&self, base: u64) {
        self.fs_base.store(base, Ordering::Relaxed);
        if self.is_current() {
            registers::set_fs_base(base);
        }
    }

    fn gs_base(&self) -> u64 {
        if self.is_current() {
            KernelGsBase::read().as_u64()
        } else {
            self.gs_base.load(Ordering::Relaxed)
        }
    }

    fn set_gs_base(&self, base: u64) {
        self.gs_base.store(base, Ordering::Relaxed);
        if self.is_current() {
            KernelGsBase::write(VirtAddr::new_truncate(base));
        }
    }

    fn save_extended_state(&self, to: &mut [u8]) {
        // SAFETY: as in `copy_extended_state`.
        if let Some(state) = unsafe { self.state_buffer() } {
            self.settle_extended_state(state);
            let bytes = state.bytes();
            let len = bytes.len().min(to.len());
            to[..len].copy_from_slice(&bytes[..len]);
        }
    }

    fn restore_extended_state(&self, from: &[u8]) -> Result<(), InvalidState> {
        // SAFETY: as in `copy_extended_state`.
        unsafe {
            let state = self.state_buffer().ok_or(InvalidState)?;
            state.import(from)?;
            if super::owns_extended_state(self) {
                state.load();
            }
            (*self.frame()).xmm = state.xmm();
        }
        Ok(())
    }

    fn reset_extended_state(&self) {
        // SAFETY: as in `copy_extended_state`.
        unsafe {
            if let Some(state) = self.state_buffer() {
                state.reset();
                state.load();
                (*self.frame()).xmm = [[0; 16]; 16];
            }
        }
    }

    fn set_debug_registers(&self, registers: DebugRegisters) {
        // SAFETY: by the trait, nobody reads it now but the thread itself.
        unsafe { *self.debug.get() = registers };
        if self.is_current() {
            debug::load(&registers);
        }
    }

    fn publish_answers(&self, answers: &[(u16, u64)]) {
        let Some(published) = self.answers.as_deref() else { return };
        if answers.is_empty() {
            for answer in published {
                answer.store(NO_ANSWER, Ordering::Relaxed);
            }
        }
        for &(number, answer) in answers {
            if let Some(slot) = published.get(usize::from(number)) {
                slot.store(answer, Ordering::Relaxed);
            }
        }
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        if let Some(stack) = self.stack {
            // SAFETY: allocated with this layout, and nobody runs on it any more.
            unsafe { dealloc(stack.as_ptr(), STACK_LAYOUT) };
        }
    }
}

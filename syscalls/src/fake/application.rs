//! Test programs: closures that do on a thread of the machine what machine code would do.

use alloc::boxed::Box;
use alloc::sync::Arc;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Mutex, PoisonError};

use abi::{TASK_SIZE, number};

use crate::machine::{Fault, Flow, Registers, Task, Thread, Trap};

use super::schedule::Over;
use super::thread::FakeThread;

/// The code at an address.
pub(super) type Program = Arc<dyn Fn(&mut Application) + Send + Sync>;

/// Vector and error code bits of a page fault (SDM volume 3, 4.7).
const PAGE_FAULT: u8 = 14;
const PRESENT: u64 = 1;
const WRITE: u64 = 2;
const FETCH: u64 = 16;

/// Length of the `syscall` instruction, in bytes.
const SYSCALL_LEN: u64 = 2;

/// Where calls and accesses have their addresses, and how much room a thread has for them.
const CALLS: u64 = 0x0100_0000;
const CALLS_PER_THREAD: u64 = 0x0100_0000;

/// What ends a handler whose registers were replaced by those of an outer level.
struct Jump;

/// A thread that runs the application: its registers, and what it can do.
///
/// A closure stands for machine code and has no addresses inside. So each system call and
/// each access gets an own address to return to. When registers say another one, the closure
/// registered there runs first (a signal handler); when that one's own registers lead back
/// to where the call was made (`rt_sigreturn`), the call returns.
pub struct Application {
    /// The registers; a program may change them between calls.
    pub registers: Registers,
    thread: Arc<FakeThread>,
    task: Arc<dyn Task>,
    programs: Arc<Mutex<HashMap<u64, Program>>>,
    depth: usize,
    next_address: u64,
}

impl Application {
    pub(super) fn new(
        thread: Arc<FakeThread>,
        task: Arc<dyn Task>,
        programs: Arc<Mutex<HashMap<u64, Program>>>,
        registers: Registers,
    ) -> Self {
        // Each thread has its own addresses: one may go on at that of another's call.
        let next_address = CALLS + CALLS_PER_THREAD * thread.id as u64;
        Self { registers, thread, task, programs, depth: 0, next_address }
    }

    /// Runs from where the registers say until the thread ends.
    pub(super) fn run(&mut self) {
        let flow = self.task.clone().resume(&mut self.registers);
        // No program returns here: the thread ends by unwinding.
        self.follow(flow, u64::MAX);
    }

    /// Makes the system call `name`; returns `rax`.
    pub fn call(&mut self, name: &str, arguments: &[u64]) -> u64 {
        self.call_number(u64::from(number::number(name)), arguments)
    }

    /// Makes the system call with this number; returns `rax`.
    pub fn call_number(&mut self, number: u64, arguments: &[u64]) -> u64 {
        let mut all = [0; 6];
        all[..arguments.len()].copy_from_slice(arguments);
        let here = self.enter();
        let registers = &mut self.registers;
        registers.rax = number;
        [registers.rdi, registers.rsi, registers.rdx, registers.r10, registers.r8, registers.r9] =
            all;
        loop {
            self.registers.rip = here;
            let flow = self.execute_syscall(here);
            self.follow(flow, here);
            // After a signal the instruction may be executed once more.
            if self.registers.rip == here {
                break;
            }
        }
        self.after_interruption(here);
        self.registers.rax
    }

    /// Makes the system call `name`, from which another thread returns too: in that one, `child`
    /// runs.
    pub fn fork(
        &mut self,
        name: &str,
        arguments: &[u64],
        child: impl Fn(&mut Self) + Send + Sync + 'static,
    ) -> u64 {
        let here = self.next_address + 16;
        let mut programs = self.programs.lock().unwrap_or_else(PoisonError::into_inner);
        programs.insert(here, Arc::new(child));
        drop(programs);
        self.call(name, arguments)
    }

    /// The `syscall` instruction before `here`.
    fn execute_syscall(&mut self, here: u64) -> Flow {
        let registers = &mut self.registers;
        let number = registers.rax;
        registers.orig_rax = number;
        (registers.rcx, registers.r11) = (here, registers.rflags);
        let published = u16::try_from(number).ok().and_then(|number| self.thread.answer(number));
        match published {
            Some(answer) => {
                self.registers.rax = answer;
                Flow::Return
            }
            None => {
                let before = self.registers;
                let flow = self.task.clone().syscall(&mut self.registers);
                if flow == Flow::Return {
                    let expected = Registers { rax: self.registers.rax, ..before };
                    assert_eq!(self.registers, expected, "only rax has changed");
                }
                flow
            }
        }
    }

    /// Computes for some time.
    pub fn compute(&mut self, by_ns: u64) {
        let here = self.enter();
        self.thread.compute(by_ns);
        self.after_interruption(here);
    }

    /// Causes a trap, then goes on as its handling says.
    pub fn trap(&mut self, trap: Trap) {
        let here = self.enter();
        self.registers.orig_rax = u64::MAX;
        let flow = self.task.clone().trap(trap, &mut self.registers);
        self.follow(flow, here);
    }

    /// Loads as machine code does: page faults are traps.
    pub fn load(&mut self, address: u64, to: &mut [u8]) {
        while let Err(fault) = self.thread.space().read(address, to) {
            self.page_fault(fault, 0);
        }
    }

    /// Stores as machine code does.
    pub fn store(&mut self, address: u64, from: &[u8]) {
        while let Err(fault) = self.thread.space().write(address, from) {
            let mut byte = [0];
            let present = self.thread.space().read(fault.address, &mut byte).is_ok();
            self.page_fault(fault, if present { WRITE | PRESENT } else { WRITE });
        }
    }

    /// Causes the page fault of fetching an instruction at `address`.
    pub fn fetch(&mut self, address: u64) {
        self.page_fault(Fault { address }, FETCH);
    }

    fn page_fault(&mut self, fault: Fault, error_code: u64) {
        const USER: u64 = 4;
        self.trap(Trap {
            vector: PAGE_FAULT,
            error_code: error_code | USER,
            address: fault.address,
        });
    }

    /// The thread pointer.
    #[must_use]
    pub fn fs_base(&self) -> u64 {
        self.thread.fs_base()
    }

    /// Gives the next instruction an address.
    fn enter(&mut self) -> u64 {
        self.next_address += 16;
        self.registers.rip = self.next_address;
        self.next_address
    }

    fn after_interruption(&mut self, here: u64) {
        if self.thread.take_interruption() {
            let flow = self.task.clone().resume(&mut self.registers);
            self.follow(flow, here);
        }
    }

    /// Goes on as `flow` says, until the registers lead back `here`, or to the system call right
    /// before it.
    fn follow(&mut self, flow: Flow, here: u64) {
        match flow {
            Flow::Return => return,
            Flow::End => resume_unwind(Box::new(Over)),
            Flow::Restore => {
                let at = self.registers.rip;
                assert!(at <= TASK_SIZE, "the machine cannot go on at {at:#x}");
            }
        }
        while self.registers.rip != here && self.registers.rip != here.wrapping_sub(SYSCALL_LEN) {
            let at = self.registers.rip;
            let program =
                self.programs.lock().unwrap_or_else(PoisonError::into_inner).get(&at).cloned();
            if at == TASK_SIZE {
                self.fetch(at);
                continue;
            }
            let Some(program) = program else {
                assert!(self.depth > 0, "the application jumps to {at:#x}, where no program is");
                resume_unwind(Box::new(Jump));
            };
            self.depth += 1;
            let ended = catch_unwind(AssertUnwindSafe(|| program(self)));
            self.depth -= 1;
            match ended {
                Ok(()) => self.return_from_function(),
                Err(payload) if payload.is::<Jump>() => {}
                Err(payload) => resume_unwind(payload),
            }
        }
    }

    /// The `ret` at the end of a program, for example to the restorer of a signal frame.
    fn return_from_function(&mut self) {
        let mut address = [0; 8];
        self.load(self.registers.rsp, &mut address);
        self.registers.rsp += 8;
        self.registers.rip = u64::from_le_bytes(address);
    }
}

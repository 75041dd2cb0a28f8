//! execve(2) up to the point of no return: from a path to a new address space, and the
//! registers to enter it with.
//!
//! - [`Executable`]: what will be executed, found and read: scripts give way to their
//!   interpreters, a dynamically linked program comes with its own
//! - [`Program::load`]: the address space, as the plans of [`loader`] say: segments as
//!   mappings of the files, the program break, the stack with arguments and auxiliary vector
//!
//! Neighbours: boot starts the first program with it.

mod error;
mod executable;
mod place;

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Range;

use abi::auxv;
use abi::memory::Protection;
use loader::elf::Image;
use loader::stack::{Auxiliary, Contents, Ids, InitialStack, argument_limit};

use crate::error::Result;
use crate::machine::{Machine, Registers};
use crate::mm::{AddressSpace, Layout, MemoryLimits};

use super::credentials::{self, Credentials};

pub use error::ExecError;
pub use executable::Executable;

/// How much room below its first bytes a new stack has at once (`setup_arg_pages` of Linux),
/// in bytes.
const STACK_ROOM: u64 = 128 * 1024;

/// Flags of a new thread: interrupts allowed, and the bit that is always set.
const INITIAL_RFLAGS: u64 = 0x202;

/// Everything in the largest signal frame but the extended state, in bytes, as a Linux
/// counts that can run 32-bit programs (`max_frame_size`): `struct sigframe_ia32` aligned to
/// 16, and the extended state aligned to 64 with 4 bytes and the old floating-point state of
/// 112 bytes beside it.
const SIGNAL_FRAME: u64 = 736 + 15 + 63 + 4 + 112;

/// A program to be executed.
#[derive(Clone, Copy)]
pub struct Program<'a> {
    /// What is executed, with its arguments.
    pub executable: &'a Executable,
    /// Its environment.
    pub environment: &'a [Vec<u8>],
    /// Who it will be.
    pub credentials: &'a Credentials,
    /// Whether it gets privileges that its caller did not have (`AT_SECURE`).
    pub secure: bool,
    /// The limits of its memory.
    pub limits: MemoryLimits,
    /// Where its parts go.
    pub placement: Placement,
}

/// Where the parts of a program go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// Each time elsewhere.
    Random,
    /// Always at the same place.
    Fixed,
}

/// A program in its new address space, ready to run.
pub struct Loaded {
    /// The address space.
    pub memory: Arc<AddressSpace>,
    /// The registers of its first thread.
    pub registers: Registers,
}

/// Where the parts of a program are that /proc tells of. All are addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Places {
    /// The argument strings (`/proc/self/cmdline`).
    pub arguments: Range<u64>,
    /// The environment strings (`/proc/self/environ`).
    pub environment: Range<u64>,
    /// The auxiliary vector with its `AT_NULL` (`/proc/self/auxv`).
    pub auxiliary: Range<u64>,
    /// The initial stack pointer (`startstack` of `/proc/self/stat`).
    pub stack_pointer: u64,
    /// All segments of the program.
    pub image: Range<u64>,
}

impl Program<'_> {
    /// Makes an address space that holds the program.
    ///
    /// # Errors
    /// [`ExecError`].
    pub fn load(&self, machine: &Arc<dyn Machine>) -> Result<Loaded, ExecError> {
        let layout = match self.placement {
            Placement::Random => Layout::random(&**machine, self.limits.stack),
            Placement::Fixed => Layout::fixed(self.limits.stack),
        };
        let memory = AddressSpace::with_layout(machine, self.limits, layout)?;
        let program = self.executable.program();
        let image = &program.image;
        let bias = place::bias_of_program(&memory, image)?;
        program.map(&memory, bias)?;
        place::set_program_break(&memory, image, bias);

        let mut auxiliary = self.auxiliary(&**machine, image, bias);
        let mut entry = auxiliary.entry;
        if let Some(interpreter) = self.executable.interpreter() {
            let bias = place::bias_in_mapping_area(&memory, &interpreter.image)?;
            interpreter.map(&memory, bias)?;
            auxiliary.interpreter_base = bias;
            entry = interpreter.image.entry().wrapping_add(bias);
        }
        // Before the stack is there, so that nothing is in the way.
        auxiliary.vdso = memory.map_vdso()?;
        let stack = self.stack(&**machine, memory.layout().stack_top, auxiliary)?;
        self.map_stack(&memory, &stack, image.executable_stack())?;
        let (low, len) = image.address_range();
        let start = low.wrapping_add(bias);
        memory.set_places(Places {
            arguments: stack.arguments,
            environment: stack.environment,
            auxiliary: stack.auxiliary,
            stack_pointer: stack.stack_pointer,
            image: start..start.wrapping_add(len),
        });
        let registers = Registers {
            orig_rax: u64::MAX,
            rip: entry,
            rflags: INITIAL_RFLAGS,
            rsp: stack.stack_pointer,
            ..Registers::default()
        };
        Ok(Loaded { memory, registers })
    }

    fn auxiliary(&self, machine: &dyn Machine, image: &Image, bias: u64) -> Auxiliary {
        let processor = machine.processor();
        let frame = SIGNAL_FRAME + processor.extended_state_len as u64;
        Auxiliary {
            minimum_signal_stack: frame.next_multiple_of(16),
            hardware: processor.hwcap,
            hardware2: processor.hwcap2,
            uid: ids(&self.credentials.users),
            gid: ids(&self.credentials.groups),
            secure: self.secure,
            ..Auxiliary::for_image(image, bias)
        }
    }

    fn stack(
        &self,
        machine: &dyn Machine,
        top: u64,
        auxiliary: Auxiliary,
    ) -> Result<InitialStack, ExecError> {
        let mut random = [0; auxv::RANDOM_LEN];
        machine.fill_random(&mut random);
        let contents = Contents {
            program: self.executable.path(),
            arguments: self.executable.arguments(),
            environment: self.environment,
            random,
            auxiliary,
        };
        let limit = argument_limit(self.limits.stack);
        InitialStack::build(top, limit, &contents).map_err(ExecError::Stack)
    }

    fn map_stack(
        &self,
        memory: &AddressSpace,
        stack: &InitialStack,
        executable: bool,
    ) -> Result<()> {
        let mut protection = Protection::READ | Protection::WRITE;
        protection.set(Protection::EXEC, executable);
        let top = memory.layout().stack_top;
        let used = top - stack.stack_pointer;
        let len = used.saturating_add(STACK_ROOM).min(self.limits.stack.max(used));
        memory.map_stack(top, len, protection)?;
        memory.write(stack.stack_pointer, &stack.bytes)
    }
}

const fn ids(ids: &credentials::Ids) -> Ids {
    Ids { real: ids.real, effective: ids.effective }
}

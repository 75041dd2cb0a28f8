//! From an executable file to a new address space and the registers to enter it with: the
//! part of execve(2) that cannot be seen until it has succeeded.
//!
//! [`Program::load`] does what the plans of [`loader`] say: segments as mappings of the file,
//! the program break, the stack with arguments and auxiliary vector. Neighbours: boot starts
//! the first program with it.

use alloc::sync::Arc;
use core::fmt;
use core::ops::Range;

use abi::memory::{MapFlags, Protection};
use abi::{Errno, PAGE_SIZE, auxv};
use loader::elf::{Content, ElfError, Image, Mapping, ReadError};
use loader::stack::{Auxiliary, Contents, Ids, InitialStack, StackError, argument_limit};

use crate::error::{Because, Error, Result};
use crate::fs::OpenFile;
use crate::machine::{Machine, Registers};
use crate::mm::{AddressSpace, MapRequest, MapSource, MemoryLimits};

use super::credentials::{self, Credentials};

/// How much room below its first bytes a new stack has at once (`setup_arg_pages` of Linux),
/// in bytes.
const STACK_ROOM: u64 = 128 * 1024;

/// Flags of a new thread: interrupts allowed, and the bit that is always set.
const INITIAL_RFLAGS: u64 = 0x202;

/// Everything in a signal frame but the extended state, in bytes: `struct rt_sigframe` is 440
/// bytes long, aligned to 16, and the extended state to 64 with 4 bytes behind it
/// (`max_frame_size` of Linux).
const SIGNAL_FRAME: u64 = 440 + 15 + 63 + 4;

/// A program to be executed.
#[derive(Clone, Copy)]
pub struct Program<'a> {
    /// Its file, open for reading. That it may be executed has been checked.
    pub file: &'a Arc<OpenFile>,
    /// The path it was asked for with (`AT_EXECFN`).
    pub path: &'a [u8],
    /// Its arguments, its name first.
    pub arguments: &'a [alloc::vec::Vec<u8>],
    /// Its environment.
    pub environment: &'a [alloc::vec::Vec<u8>],
    /// Who it will be.
    pub credentials: &'a Credentials,
    /// Whether it gets privileges that its caller did not have (`AT_SECURE`).
    pub secure: bool,
    /// The limits of its memory.
    pub limits: MemoryLimits,
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

/// Why a program cannot be executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExecError {
    /// The file is not a program that can be started.
    File(ElfError),
    /// It begins with `#!`.
    Script,
    /// It needs an interpreter: it is linked dynamically.
    Interpreter,
    /// Its arguments or its environment do not fit.
    Stack(StackError),
    /// Something else failed: reading the file, making the mappings.
    Other(Error),
}

impl ExecError {
    /// What execve(2) fails with.
    #[must_use]
    pub const fn errno(self) -> Errno {
        match self {
            Self::File(error) => error.errno(),
            Self::Script | Self::Interpreter => Errno::ENOEXEC,
            Self::Stack(error) => error.errno(),
            Self::Other(error) => error.errno,
        }
    }
}

impl fmt::Display for ExecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(error) => error.fmt(f),
            Self::Script => f.write_str("scripts cannot be executed yet"),
            Self::Interpreter => f.write_str("dynamically linked programs cannot be executed yet"),
            Self::Stack(error) => error.fmt(f),
            Self::Other(error) if error.reason.is_empty() => f.write_str(error.errno.name()),
            Self::Other(error) => write!(f, "{} ({})", error.reason, error.errno.name()),
        }
    }
}

impl core::error::Error for ExecError {}

impl From<ExecError> for Error {
    fn from(error: ExecError) -> Self {
        let reason = match error {
            ExecError::File(_) => "not a program that can be started",
            ExecError::Script => "scripts cannot be executed yet",
            ExecError::Interpreter => "dynamically linked programs cannot be executed yet",
            ExecError::Stack(_) => "arguments or environment do not fit",
            ExecError::Other(error) => error.reason,
        };
        error.errno().because(reason)
    }
}

impl From<Error> for ExecError {
    fn from(error: Error) -> Self {
        Self::Other(error)
    }
}

impl From<ElfError> for ExecError {
    fn from(error: ElfError) -> Self {
        Self::File(error)
    }
}

impl From<ReadError<Error>> for ExecError {
    fn from(error: ReadError<Error>) -> Self {
        match error {
            ReadError::Elf(error) => Self::File(error),
            ReadError::Io(error) => Self::Other(error),
        }
    }
}

impl Program<'_> {
    /// Makes an address space that holds the program.
    ///
    /// # Errors
    /// [`ExecError`].
    pub fn load(&self, machine: &Arc<dyn Machine>) -> Result<Loaded, ExecError> {
        let image = self.read_image()?;
        if image.interpreter().is_some() {
            return Err(ExecError::Interpreter);
        }
        let memory = AddressSpace::new(machine, self.limits)?;
        let bias = image.bias_for(memory.layout().program)?;
        for mapping in image.mappings(bias)? {
            self.map(&memory, &mapping)?;
        }
        memory.set_program_break(image.program_break(bias) + memory.layout().break_gap);

        let auxiliary = self.auxiliary(&**machine, &image, bias);
        let stack = self.stack(&**machine, memory.layout().stack_top, auxiliary)?;
        self.map_stack(&memory, &stack, image.executable_stack())?;
        let (low, len) = image.address_range();
        memory.set_places(Places {
            arguments: stack.arguments,
            environment: stack.environment,
            auxiliary: stack.auxiliary,
            stack_pointer: stack.stack_pointer,
            image: low.wrapping_add(bias)..low.wrapping_add(bias).wrapping_add(len),
        });
        let registers = Registers {
            orig_rax: u64::MAX,
            rip: image.entry().wrapping_add(bias),
            rflags: INITIAL_RFLAGS,
            rsp: stack.stack_pointer,
            ..Registers::default()
        };
        Ok(Loaded { memory, registers })
    }

    fn read_image(&self) -> Result<Image, ExecError> {
        let inode = self.file.file.inode();
        let len = inode.metadata()?.size;
        let mut read_at = |offset, to: &mut [u8]| self.read_at(offset, to);
        if len >= 2 {
            let mut start = [0; 2];
            read_at(0, &mut start)?;
            if &start == b"#!" {
                return Err(ExecError::Script);
            }
        }
        Ok(Image::read(len, &mut read_at)?)
    }

    /// Reads bytes of the file by its pages; all are there.
    fn read_at(&self, offset: u64, to: &mut [u8]) -> Result<()> {
        let inode = self.file.file.inode();
        let mut done = 0;
        while done < to.len() {
            let at = offset + done as u64;
            let in_page = (at % PAGE_SIZE as u64) as usize;
            let len = (PAGE_SIZE - in_page).min(to.len() - done);
            let page = inode
                .page(at / PAGE_SIZE as u64)?
                .ok_or_else(|| Errno::EIO.because("the file became shorter"))?;
            page.read(in_page, &mut to[done..done + len]);
            done += len;
        }
        Ok(())
    }

    fn map(&self, memory: &AddressSpace, mapping: &Mapping) -> Result<()> {
        let mut protection = Protection::empty();
        protection.set(Protection::READ, mapping.access.read);
        protection.set(Protection::WRITE, mapping.access.write);
        protection.set(Protection::EXEC, mapping.access.execute);
        let mut flags = MapFlags::PRIVATE | MapFlags::FIXED;
        let (source, zero_from) = match mapping.content {
            Content::File { offset, zero_from } => {
                (MapSource::File(self.file.clone(), offset), zero_from)
            }
            Content::Zero => {
                flags |= MapFlags::ANONYMOUS;
                (MapSource::Anonymous, None)
            }
        };
        memory.map(&MapRequest {
            address: mapping.address,
            len: mapping.len,
            protection,
            flags,
            source,
            lock_limit: 0,
        })?;
        if let Some(from) = zero_from {
            let zeros = [0; PAGE_SIZE];
            let end = mapping.address + mapping.len;
            let len = usize::try_from(end - from).unwrap_or(PAGE_SIZE).min(PAGE_SIZE);
            memory.write(from, &zeros[..len])?;
        }
        Ok(())
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
            program: self.path,
            arguments: self.arguments,
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

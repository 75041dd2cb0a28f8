//! The stack that a new process starts with (System V ABI section 3.4.1), laid out as
//! Linux does.
//!
//! From the top of the stack downwards: eight zero bytes, the path of the program, the
//! environment strings, the argument strings, up to 15 bytes of padding, the platform
//! string, 16 random bytes, padding, the auxiliary vector, the pointers to the environment
//! and to the arguments, and the number of arguments, at which the stack pointer points.
//!
//! [`InitialStack::build`] makes the bytes; where the top is, and whether it is random, is
//! its caller's choice. Neighbours: [`crate::elf`] knows the facts for [`Auxiliary`].

#[cfg(test)]
mod tests;

use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;

use abi::{Errno, TASK_SIZE, auxv};

use crate::PAGE;
use crate::elf::{Image, PROGRAM_HEADER_SIZE};

/// Longest argument or environment string in bytes, with its NUL (`MAX_ARG_STRLEN`, see
/// execve(2)).
pub const MAX_STRING_LEN: usize = 32 * abi::PAGE_SIZE;

/// Bytes that Linux leaves zero at the very top of the stack.
const TOP_GAP: u64 = 8;

/// How many bytes of strings and pointers execve(2) allows for arguments and environment
/// together, with a soft `RLIMIT_STACK` of `stack_limit` bytes: a quarter of it, between
/// 128 KiB and 6 MiB.
#[must_use]
pub const fn argument_limit(stack_limit: u64) -> u64 {
    const LEAST: u64 = 128 * 1024;
    const MOST: u64 = 6 * 1024 * 1024;
    let quarter = stack_limit / 4;
    if quarter < LEAST {
        LEAST
    } else if quarter > MOST {
        MOST
    } else {
        quarter
    }
}

/// The values of the auxiliary vector (getauxval(3)) that are not the same for all
/// processes and do not follow from the stack itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Auxiliary {
    /// `AT_SYSINFO_EHDR`: address of the vDSO, when there is one.
    pub vdso: Option<u64>,
    /// `AT_MINSIGSTKSZ`: least size of a signal stack in bytes.
    pub minimum_signal_stack: u64,
    /// `AT_HWCAP`: `EDX` of `CPUID` leaf 1.
    pub hardware: u64,
    /// `AT_HWCAP2`: see [`auxv::HWCAP2_FSGSBASE`].
    pub hardware2: u64,
    /// `AT_PHDR`: address of the program header table; 0 when it is not in memory.
    pub program_headers: u64,
    /// `AT_PHNUM`: number of program headers.
    pub program_header_count: u16,
    /// `AT_BASE`: load bias of the interpreter; 0 when there is none.
    pub interpreter_base: u64,
    /// `AT_ENTRY`: entry point of the program (not of its interpreter).
    pub entry: u64,
    /// `AT_UID`, `AT_EUID`.
    pub uid: Ids,
    /// `AT_GID`, `AT_EGID`.
    pub gid: Ids,
    /// `AT_SECURE`: whether the program got privileges by being executed.
    pub secure: bool,
    /// `AT_RSEQ_FEATURE_SIZE` and `AT_RSEQ_ALIGN`, when rseq(2) is there.
    pub rseq: Option<Rseq>,
}

/// A real and an effective user or group id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ids {
    /// The real id.
    pub real: u32,
    /// The effective id.
    pub effective: u32,
}

/// What rseq(2) offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rseq {
    /// Bytes of `struct rseq` that are in use.
    pub feature_size: u64,
    /// Alignment of `struct rseq` in bytes.
    pub alignment: u64,
}

impl Auxiliary {
    /// The values that follow from a program loaded with a load bias; the others are 0.
    #[must_use]
    pub fn for_image(image: &Image, bias: u64) -> Self {
        let table = image.program_headers();
        Self {
            program_headers: table.address.map_or(0, |address| address.wrapping_add(bias)),
            program_header_count: table.count,
            entry: image.entry().wrapping_add(bias),
            ..Self::default()
        }
    }

    /// The pairs in the order of Linux, `AT_NULL` last.
    fn pairs(&self, strings: &Places) -> impl Iterator<Item = [u64; 2]> {
        let always = [
            (auxv::AT_HWCAP, self.hardware),
            (auxv::AT_PAGESZ, PAGE),
            (auxv::AT_CLKTCK, auxv::CLOCK_TICKS_PER_SECOND),
            (auxv::AT_PHDR, self.program_headers),
            (auxv::AT_PHENT, u64::from(PROGRAM_HEADER_SIZE)),
            (auxv::AT_PHNUM, u64::from(self.program_header_count)),
            (auxv::AT_BASE, self.interpreter_base),
            (auxv::AT_FLAGS, 0),
            (auxv::AT_ENTRY, self.entry),
            (auxv::AT_UID, u64::from(self.uid.real)),
            (auxv::AT_EUID, u64::from(self.uid.effective)),
            (auxv::AT_GID, u64::from(self.gid.real)),
            (auxv::AT_EGID, u64::from(self.gid.effective)),
            (auxv::AT_SECURE, u64::from(self.secure)),
            (auxv::AT_RANDOM, strings.random),
            (auxv::AT_HWCAP2, self.hardware2),
            (auxv::AT_EXECFN, strings.program),
            (auxv::AT_PLATFORM, strings.platform),
        ];
        let rseq = self.rseq.map(|rseq| {
            [(auxv::AT_RSEQ_FEATURE_SIZE, rseq.feature_size), (auxv::AT_RSEQ_ALIGN, rseq.alignment)]
        });
        let vdso = self.vdso.map(|address| (auxv::AT_SYSINFO_EHDR, address));
        vdso.into_iter()
            .chain([(auxv::AT_MINSIGSTKSZ, self.minimum_signal_stack)])
            .chain(always)
            .chain(rseq.into_iter().flatten())
            .chain([(auxv::AT_NULL, 0)])
            .map(|(key, value)| [u64::from(key), value])
    }
}

/// What a new process finds on its stack.
#[derive(Clone, Copy, Debug)]
pub struct Contents<'a, A, E> {
    /// The path of the program as execve(2) was given it (`AT_EXECFN`).
    pub program: &'a [u8],
    /// The arguments, the program's name first. When there are none, the process gets one
    /// empty argument, as on Linux since 5.18.
    pub arguments: &'a [A],
    /// The environment.
    pub environment: &'a [E],
    /// What `AT_RANDOM` points to.
    pub random: [u8; auxv::RANDOM_LEN],
    /// The other values of the auxiliary vector.
    pub auxiliary: Auxiliary,
}

/// Why a stack cannot be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StackError {
    /// One string is longer than [`MAX_STRING_LEN`].
    StringTooLong {
        /// Its length in bytes, without NUL.
        len: usize,
    },
    /// A string has a NUL byte inside.
    NulInString,
    /// Strings and pointers together exceed the limit.
    TooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// The top of the stack is not a multiple of 16 or not in the address space.
    BadTop {
        /// The top of the stack.
        top: u64,
    },
    /// No memory for the bytes of the stack.
    OutOfMemory,
}

impl StackError {
    /// What execve(2) fails with.
    #[must_use]
    pub const fn errno(self) -> Errno {
        match self {
            Self::StringTooLong { .. } | Self::TooLarge { .. } => Errno::E2BIG,
            Self::NulInString => Errno::EINVAL,
            Self::BadTop { .. } => Errno::EFAULT,
            Self::OutOfMemory => Errno::ENOMEM,
        }
    }
}

impl fmt::Display for StackError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::StringTooLong { len } => write!(
                f,
                "an argument or environment string of {len} bytes is longer than {}",
                MAX_STRING_LEN - 1
            ),
            Self::NulInString => f.write_str("an argument or environment string has a NUL inside"),
            Self::TooLarge { limit } => {
                write!(f, "arguments and environment need more than {limit} bytes")
            }
            Self::BadTop { top } => write!(f, "the stack cannot begin at {top:#x}"),
            Self::OutOfMemory => f.write_str("not enough memory for arguments and environment"),
        }
    }
}

impl core::error::Error for StackError {}

/// The bytes of a new stack and what is where in them. All ranges are addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InitialStack {
    /// The bytes from the stack pointer to the top of the stack.
    pub bytes: Vec<u8>,
    /// Initial `rsp`: a multiple of 16, and the address of the first of `bytes`.
    pub stack_pointer: u64,
    /// The argument strings (`/proc/self/cmdline`).
    pub arguments: Range<u64>,
    /// The environment strings (`/proc/self/environ`).
    pub environment: Range<u64>,
    /// The auxiliary vector with its `AT_NULL` (`/proc/self/auxv`).
    pub auxiliary: Range<u64>,
}

impl InitialStack {
    /// Lays out a stack that ends at address `top`. Strings and the pointers to them may
    /// take `limit` bytes, see [`argument_limit`].
    ///
    /// # Errors
    /// [`StackError`]: a string is too long or has a NUL inside, all together are too
    /// large, or `top` is not a multiple of 16 inside the address space.
    pub fn build<A: AsRef<[u8]>, E: AsRef<[u8]>>(
        top: u64,
        limit: u64,
        contents: &Contents<'_, A, E>,
    ) -> Result<Self, StackError> {
        let empty: [&[u8]; 1] = [b""];
        let placeholder = if contents.arguments.is_empty() { &empty[..] } else { &[] };
        let arguments =
            || placeholder.iter().copied().chain(contents.arguments.iter().map(AsRef::as_ref));
        let environment = || contents.environment.iter().map(AsRef::as_ref);

        let sizes = Sizes {
            program: string_size(contents.program)?,
            arguments: strings_size(arguments(), limit)?,
            environment: strings_size(environment(), limit)?,
            pointers: 8 * (arguments().count() + contents.environment.len()) as u64,
            auxiliary: 16 * contents.auxiliary.pairs(&Places::default()).count() as u64,
        };
        let places = Places::below(top, limit, &sizes)?;

        let len =
            usize::try_from(top - places.stack_pointer).map_err(|_| StackError::BadTop { top })?;
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(len).map_err(|_| StackError::OutOfMemory)?;
        let mut writer = Writer { bytes: &mut bytes, start: places.stack_pointer };
        writer.word(arguments().count() as u64);
        writer.pointers(arguments(), places.arguments);
        writer.pointers(environment(), places.environment);
        let auxiliary = writer.position();
        contents.auxiliary.pairs(&places).flatten().for_each(|word| writer.word(word));
        let auxiliary = auxiliary..writer.position();
        writer.zeros_up_to(places.random);
        writer.bytes.extend_from_slice(&contents.random);
        writer.string(auxv::PLATFORM);
        writer.zeros_up_to(places.arguments);
        arguments().chain(environment()).for_each(|string| writer.string(string));
        writer.string(contents.program);
        writer.zeros_up_to(top);
        Ok(Self {
            bytes,
            stack_pointer: places.stack_pointer,
            arguments: places.arguments..places.environment,
            environment: places.environment..places.program,
            auxiliary,
        })
    }
}

/// Size of a string with its NUL.
fn string_size(string: &[u8]) -> Result<u64, StackError> {
    if string.len() >= MAX_STRING_LEN {
        return Err(StackError::StringTooLong { len: string.len() });
    }
    if string.contains(&0) {
        return Err(StackError::NulInString);
    }
    Ok(string.len() as u64 + 1)
}

fn strings_size<'a>(
    mut strings: impl Iterator<Item = &'a [u8]>,
    limit: u64,
) -> Result<u64, StackError> {
    strings.try_fold(0, |sum: u64, string| {
        let sum = sum.saturating_add(string_size(string)?);
        if sum > limit { Err(StackError::TooLarge { limit }) } else { Ok(sum) }
    })
}

/// How many bytes the parts need.
struct Sizes {
    program: u64,
    arguments: u64,
    environment: u64,
    pointers: u64,
    auxiliary: u64,
}

/// Where the parts begin.
#[derive(Default)]
struct Places {
    program: u64,
    environment: u64,
    arguments: u64,
    platform: u64,
    random: u64,
    stack_pointer: u64,
}

impl Places {
    fn below(top: u64, limit: u64, sizes: &Sizes) -> Result<Self, StackError> {
        let strings = sizes.program + sizes.arguments + sizes.environment;
        if strings.saturating_add(sizes.pointers) > limit {
            return Err(StackError::TooLarge { limit });
        }
        if top > TASK_SIZE || !top.is_multiple_of(16) {
            return Err(StackError::BadTop { top });
        }
        let down = |from: u64, len: u64| from.checked_sub(len).ok_or(StackError::BadTop { top });
        let program = down(top, TOP_GAP + sizes.program)?;
        let environment = down(program, sizes.environment)?;
        let arguments = down(environment, sizes.arguments)?;
        let platform = down(arguments & !15, auxv::PLATFORM.len() as u64 + 1)?;
        let random = down(platform, auxv::RANDOM_LEN as u64)?;
        // The number of arguments and the two null pointers that end the lists.
        let words = 3 * 8 + sizes.pointers + sizes.auxiliary;
        let stack_pointer = down(random, words)? & !15;
        Ok(Self { program, environment, arguments, platform, random, stack_pointer })
    }
}

/// Appends to the bytes of a stack, whose capacity has been reserved.
struct Writer<'a> {
    bytes: &'a mut Vec<u8>,
    start: u64,
}

impl Writer<'_> {
    fn position(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }

    fn word(&mut self, word: u64) {
        self.bytes.extend_from_slice(&word.to_le_bytes());
    }

    fn string(&mut self, string: &[u8]) {
        self.bytes.extend_from_slice(string);
        self.bytes.push(0);
    }

    /// Pointers to strings that lie one after the other from `address`, and a null pointer.
    fn pointers<'s>(&mut self, strings: impl Iterator<Item = &'s [u8]>, mut address: u64) {
        for string in strings {
            self.word(address);
            address += string.len() as u64 + 1;
        }
        self.word(0);
    }

    fn zeros_up_to(&mut self, address: u64) {
        let missing = address.saturating_sub(self.position());
        self.bytes.resize(self.bytes.len() + missing as usize, 0);
    }
}

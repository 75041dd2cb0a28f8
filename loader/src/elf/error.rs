//! Why a file is not a program that can be started: [`ElfError`].

use core::fmt;

use abi::{Errno, TASK_SIZE};

use crate::{MMAP_MIN_ADDR, PATH_MAX};

/// Why a file is not a program that can be started. [`fmt::Display`] is one line that names
/// the field; it quotes numbers of the file but none of its text.
///
/// `index` is always the position in the program header table, as `readelf -l` lists it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ElfError {
    /// The file has no bytes.
    Empty,
    /// The file does not begin with the ELF magic number.
    NotElf,
    /// The file ends inside the ELF header.
    TooShort {
        /// Length of the file in bytes.
        file_len: u64,
    },
    /// `EI_CLASS` is `ELFCLASS32`.
    ThirtyTwoBit {
        /// What it was built for.
        machine: Machine,
    },
    /// `EI_DATA` is `ELFDATA2MSB`.
    BigEndian {
        /// What it was built for.
        machine: Machine,
    },
    /// `e_machine` is not `EM_X86_64`.
    ForeignMachine {
        /// What it was built for.
        machine: Machine,
    },
    /// `e_type` is neither `ET_EXEC` nor `ET_DYN`.
    NotExecutable {
        /// `e_type`.
        file_type: u16,
    },
    /// `e_phentsize` is not the size of a 64-bit program header.
    ProgramHeaderSize {
        /// `e_phentsize`, in bytes.
        size: u16,
    },
    /// `e_phnum` is 0.
    NoProgramHeaders,
    /// `e_phnum` is larger than Linux takes.
    TooManyProgramHeaders {
        /// `e_phnum`.
        count: u16,
    },
    /// The program header table does not lie inside the file.
    ProgramHeadersOutsideFile {
        /// `e_phoff`.
        offset: u64,
        /// `e_phnum`.
        count: u16,
        /// Length of the file in bytes.
        file_len: u64,
    },
    /// There is no `PT_LOAD` program header.
    NothingToLoad,
    /// `p_filesz` is larger than `p_memsz`.
    FileLongerThanMemory {
        /// Which program header.
        index: usize,
        /// `p_filesz`.
        file_len: u64,
        /// `p_memsz`.
        memory_len: u64,
    },
    /// The bytes of a segment do not lie inside the file.
    SegmentOutsideFile {
        /// Which program header.
        index: usize,
        /// `p_offset`.
        offset: u64,
        /// `p_filesz`.
        len: u64,
        /// Length of the file in bytes.
        file_len: u64,
    },
    /// `p_offset` and `p_vaddr` differ modulo the page size, so pages of the file cannot be
    /// mapped there.
    SegmentMisaligned {
        /// Which program header.
        index: usize,
        /// `p_offset`.
        offset: u64,
        /// `p_vaddr`.
        address: u64,
    },
    /// A segment ends beyond the address space of an application.
    SegmentTooHigh {
        /// Which program header.
        index: usize,
        /// `p_vaddr`.
        address: u64,
        /// `p_memsz`.
        memory_len: u64,
    },
    /// A segment of an `ET_EXEC` file begins below [`MMAP_MIN_ADDR`].
    SegmentTooLow {
        /// Which program header.
        index: usize,
        /// `p_vaddr`.
        address: u64,
    },
    /// Two segments claim the same bytes of memory. (Two that share a page are fine.)
    SegmentsOverlap {
        /// Which program header.
        index: usize,
        /// Which other one, later in the table.
        other: usize,
    },
    /// The entry point is not in an executable page.
    EntryNotExecutable {
        /// `e_entry`.
        entry: u64,
    },
    /// There is more than one `PT_INTERP` program header.
    SeveralInterpreters {
        /// Which program header is the second one.
        index: usize,
    },
    /// `p_filesz` of `PT_INTERP` is not that of a path name.
    InterpreterLength {
        /// `p_filesz`, in bytes.
        len: u64,
    },
    /// The bytes of `PT_INTERP` do not lie inside the file.
    InterpreterOutsideFile {
        /// `p_offset`.
        offset: u64,
        /// `p_filesz`.
        len: u64,
        /// Length of the file in bytes.
        file_len: u64,
    },
    /// The path name in `PT_INTERP` does not end with a NUL byte.
    InterpreterNotTerminated,
    /// The path name in `PT_INTERP` is empty.
    InterpreterEmpty,
    /// No load bias puts all segments into the address space of an application.
    NoRoom {
        /// Distance from the lowest to the highest page, in bytes.
        len: u64,
        /// Alignment of the load bias, in bytes.
        alignment: u64,
    },
    /// Asked to map the image with a load bias that it cannot have: not page-aligned, not 0
    /// for a fixed image, or one that moves a segment out of the address space.
    BadBias {
        /// The load bias.
        bias: u64,
    },
    /// No memory for the plan itself.
    OutOfMemory,
}

impl ElfError {
    /// What execve(2) fails with. Files that Linux would start only to kill them with
    /// SIGSEGV or SIGBUS (truncated segments, an entry point outside, overlaps) are
    /// `ENOEXEC` here.
    #[must_use]
    pub const fn errno(self) -> Errno {
        match self {
            Self::Empty
            | Self::NotElf
            | Self::TooShort { .. }
            | Self::ThirtyTwoBit { .. }
            | Self::BigEndian { .. }
            | Self::ForeignMachine { .. }
            | Self::NotExecutable { .. }
            | Self::ProgramHeaderSize { .. }
            | Self::NoProgramHeaders
            | Self::TooManyProgramHeaders { .. }
            | Self::ProgramHeadersOutsideFile { .. }
            | Self::SegmentOutsideFile { .. }
            | Self::SegmentsOverlap { .. }
            | Self::EntryNotExecutable { .. }
            | Self::SeveralInterpreters { .. }
            | Self::InterpreterLength { .. }
            | Self::InterpreterNotTerminated => Errno::ENOEXEC,
            Self::NothingToLoad
            | Self::FileLongerThanMemory { .. }
            | Self::SegmentMisaligned { .. }
            | Self::BadBias { .. } => Errno::EINVAL,
            Self::SegmentTooHigh { .. } | Self::NoRoom { .. } | Self::OutOfMemory => Errno::ENOMEM,
            Self::SegmentTooLow { .. } => Errno::EPERM,
            Self::InterpreterOutsideFile { .. } => Errno::EIO,
            Self::InterpreterEmpty => Errno::EACCES,
        }
    }

    /// Whether Linux finds it only after the old program is gone, so that execve(2) does not
    /// fail and the process dies of `SIGSEGV`: what is wrong with where segments go.
    #[must_use]
    pub const fn is_found_late(self) -> bool {
        matches!(
            self,
            Self::NothingToLoad
                | Self::FileLongerThanMemory { .. }
                | Self::SegmentOutsideFile { .. }
                | Self::SegmentMisaligned { .. }
                | Self::SegmentTooHigh { .. }
                | Self::SegmentTooLow { .. }
                | Self::SegmentsOverlap { .. }
                | Self::EntryNotExecutable { .. }
                | Self::NoRoom { .. }
                | Self::BadBias { .. }
        )
    }

    /// What execve(2) fails with when the file is the interpreter of the program: a format
    /// that is not recognised is `ELIBBAD` there, all else as in [`Self::errno`].
    #[must_use]
    pub const fn interpreter_errno(self) -> Errno {
        match self.errno() {
            Errno::ENOEXEC => Errno::ELIBBAD,
            errno => errno,
        }
    }
}

impl fmt::Display for ElfError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Empty => f.write_str("the file is empty"),
            Self::NotElf => f.write_str("not an ELF file"),
            Self::TooShort { file_len } => {
                write!(f, "the file ends inside the ELF header, after {file_len} of 64 bytes")
            }
            Self::ThirtyTwoBit { machine } => {
                write!(f, "a 32-bit program for {machine}, not one for 64-bit x86-64")
            }
            Self::BigEndian { machine } => {
                write!(f, "a big-endian program for {machine}, not one for x86-64")
            }
            Self::ForeignMachine { machine } => {
                write!(f, "a program for {machine}, not one for x86-64")
            }
            Self::NotExecutable { file_type: 1 } => {
                f.write_str("a relocatable object file, which is not linked to a program yet")
            }
            Self::NotExecutable { file_type: 4 } => f.write_str("a core dump, not a program"),
            Self::NotExecutable { file_type } => {
                write!(f, "e_type is {file_type}, neither an executable nor position-independent")
            }
            Self::ProgramHeaderSize { size } => {
                write!(f, "e_phentsize is {size}, but a program header has 56 bytes")
            }
            Self::NoProgramHeaders => f.write_str("e_phnum is 0: there are no program headers"),
            Self::TooManyProgramHeaders { count } => {
                let most = super::MAX_PROGRAM_HEADERS;
                write!(f, "e_phnum is {count}, more than the {most} that Linux takes")
            }
            Self::NothingToLoad => f.write_str("no program header is PT_LOAD: nothing to load"),
            Self::NoRoom { len, alignment } => write!(
                f,
                "{len:#x} bytes at an alignment of {alignment:#x} do not fit the address space"
            ),
            Self::BadBias { bias } => write!(f, "cannot be loaded with the bias {bias:#x}"),
            Self::OutOfMemory => f.write_str("not enough memory to read the program headers"),
            Self::EntryNotExecutable { entry: 0 } => {
                f.write_str("e_entry is 0: no entry point (is it a shared library?)")
            }
            Self::EntryNotExecutable { entry } => {
                write!(f, "e_entry {entry:#x} is not in an executable segment")
            }
            Self::ProgramHeadersOutsideFile { offset, count, file_len } => write!(
                f,
                "the {count} program headers at e_phoff {offset:#x} are not all in the file \
                 of {file_len:#x} bytes"
            ),
            Self::FileLongerThanMemory { index, file_len, memory_len } => write!(
                f,
                "program header {index}: p_filesz {file_len:#x} is larger than p_memsz \
                 {memory_len:#x}"
            ),
            Self::SegmentOutsideFile { index, offset, len, file_len } => write!(
                f,
                "program header {index}: p_filesz {len:#x} at p_offset {offset:#x} is beyond \
                 the end of the file at {file_len:#x} (is it truncated?)"
            ),
            Self::SegmentMisaligned { index, offset, address } => write!(
                f,
                "program header {index}: p_offset {offset:#x} and p_vaddr {address:#x} differ \
                 modulo the page size"
            ),
            Self::SegmentTooHigh { index, address, memory_len } => write!(
                f,
                "program header {index}: p_memsz {memory_len:#x} at p_vaddr {address:#x} is \
                 beyond the end of the address space at {TASK_SIZE:#x}"
            ),
            Self::SegmentTooLow { index, address } => write!(
                f,
                "program header {index}: p_vaddr {address:#x} is below the lowest address \
                 {MMAP_MIN_ADDR:#x}"
            ),
            Self::SegmentsOverlap { index, other } => {
                write!(f, "program headers {index} and {other} overlap in memory")
            }
            Self::SeveralInterpreters { index } => {
                write!(f, "program header {index}: a second PT_INTERP")
            }
            Self::InterpreterLength { len } => {
                write!(f, "PT_INTERP: p_filesz is {len}, not in the range 2 to {PATH_MAX}")
            }
            Self::InterpreterOutsideFile { offset, len, file_len } => write!(
                f,
                "PT_INTERP: p_filesz {len:#x} at p_offset {offset:#x} is beyond the end of the \
                 file at {file_len:#x} (is it truncated?)"
            ),
            Self::InterpreterNotTerminated => {
                f.write_str("PT_INTERP: the path name does not end with a NUL byte")
            }
            Self::InterpreterEmpty => f.write_str("PT_INTERP: the path name is empty"),
        }
    }
}

impl core::error::Error for ElfError {}

/// A number of `e_machine`, shown by its common name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Machine(pub u16);

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            2 | 18 | 43 => "SPARC",
            3 => "x86 (i386)",
            4 => "Motorola 68000",
            8 | 10 => "MIPS",
            15 => "PA-RISC",
            20 => "PowerPC",
            21 => "64-bit PowerPC",
            22 => "S/390",
            40 => "ARM",
            42 => "SuperH",
            50 => "Itanium",
            62 => "x86-64",
            183 => "64-bit ARM",
            243 => "RISC-V",
            247 => "BPF",
            258 => "LoongArch",
            other => return write!(f, "the unknown machine {other}"),
        })
    }
}

/// Why [`super::Image::read`] failed: the file is wrong, or it cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadError<E> {
    /// The file is not a program that can be started.
    Elf(ElfError),
    /// The error of the caller's own `read_at`.
    Io(E),
}

impl<E> From<ElfError> for ReadError<E> {
    fn from(error: ElfError) -> Self {
        Self::Elf(error)
    }
}

impl<E: fmt::Display> fmt::Display for ReadError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Elf(error) => error.fmt(f),
            Self::Io(error) => error.fmt(f),
        }
    }
}

impl<E: fmt::Debug + fmt::Display> core::error::Error for ReadError<E> {}

//! An ELF program file as a plan: which parts of the file go where in memory.
//!
//! [`Image::read`] takes the header and the program headers of a file and checks everything
//! that is used later, so that [`Image::mappings`] cannot fail on what the file says. The
//! rules are those of Linux (execve(2), elf(5), System V ABI chapter 5): segments are mapped
//! by whole pages in the order of the table, and a later one wins a page that two share.
//!
//! Two things Linux starts and then kills are refused here with a line that says why:
//! segments that end beyond the end of the file, and an entry point outside executable
//! memory. Segments that claim the same bytes are refused as well, because the ELF
//! specification gives them no meaning; segments out of order are taken, as packers
//! write them. The contents of PT_TLS and PT_GNU_RELRO are the program's own business, and so
//! are those of PT_DYNAMIC, which [`Dynamic`] reads for those who bring libraries along.
//!
//! Neighbours: [`crate::stack`] puts the facts of an image into the auxiliary vector.

mod dynamic;
mod error;
mod mapping;
mod read;
#[cfg(test)]
pub(crate) mod sample;
#[cfg(test)]
mod tests;

use alloc::vec::Vec;

pub use dynamic::{Dynamic, MAX_DYNAMIC_LEN};
pub use error::{ElfError, Machine, ReadError};
pub use mapping::{Content, Mapping};
pub use read::{Headers, ReadAt};

use crate::{MMAP_MIN_ADDR, page_down, page_up};

/// Size of a program header, in bytes (`AT_PHENT`).
pub const PROGRAM_HEADER_SIZE: u16 = 56;

/// Most program headers that Linux takes: as many as fit 64 KiB.
pub const MAX_PROGRAM_HEADERS: u16 = u16::MAX / PROGRAM_HEADER_SIZE;

/// Whether an image chooses its own addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// `ET_EXEC`: every segment goes to the address the file says.
    Fixed,
    /// `ET_DYN`: one load bias is added to all addresses.
    PositionIndependent,
}

/// What may be done with memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Access {
    /// Loads are allowed.
    pub read: bool,
    /// Stores are allowed.
    pub write: bool,
    /// Instructions may be fetched.
    pub execute: bool,
}

/// A loadable segment (`PT_LOAD`), not empty, with addresses before the load bias is added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Address of the first byte.
    pub address: u64,
    /// Length in memory in bytes; what is beyond `file_len` is zero. Not 0.
    pub memory_len: u64,
    /// Offset in the file of the first byte.
    pub file_offset: u64,
    /// Length in the file in bytes, at most `memory_len`.
    pub file_len: u64,
    /// What the application may do with it.
    pub access: Access,
}

/// The facts about the program header table that the auxiliary vector carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProgramHeaders {
    /// Address of the table in memory before the load bias is added; `None` when no segment
    /// holds it.
    pub address: Option<u64>,
    /// Number of entries, of [`PROGRAM_HEADER_SIZE`] bytes each.
    pub count: u16,
}

/// A checked plan of how an ELF file becomes memory.
///
/// Addresses of the plan are those of the file. The load bias is added with wrapping
/// arithmetic: for a file linked to a high address it is a negative number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    kind: Kind,
    entry: u64,
    segments: Vec<Segment>,
    program_headers: ProgramHeaders,
    interpreter: Option<Vec<u8>>,
    executable_stack: bool,
    alignment: u64,
    low: u64,
    high: u64,
    end: u64,
}

impl Image {
    /// Whether the image chooses its own addresses.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// `e_entry`: where execution begins, before the load bias is added.
    #[must_use]
    pub const fn entry(&self) -> u64 {
        self.entry
    }

    /// The segments that occupy memory, in the order of the program header table.
    #[must_use]
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// Where the program header table is in memory.
    #[must_use]
    pub const fn program_headers(&self) -> ProgramHeaders {
        self.program_headers
    }

    /// The path name in `PT_INTERP`, without NUL: the program that loads this one.
    #[must_use]
    pub fn interpreter(&self) -> Option<&[u8]> {
        self.interpreter.as_deref()
    }

    /// Whether `PT_GNU_STACK` asks for a stack that is executable. As on Linux, a file
    /// without one does not.
    #[must_use]
    pub const fn executable_stack(&self) -> bool {
        self.executable_stack
    }

    /// Whether the file is position-independent and has no interpreter: a static-PIE
    /// program, or an interpreter itself. Linux puts the program break of such an image away
    /// from the area of mmap(2), so that it can grow.
    #[must_use]
    pub const fn is_static_pie(&self) -> bool {
        matches!(self.kind, Kind::PositionIndependent) && self.interpreter.is_none()
    }

    /// Address of the lowest page and length up to the end of the highest one, in bytes,
    /// before the load bias is added.
    #[must_use]
    pub const fn address_range(&self) -> (u64, u64) {
        (self.low, self.high - self.low)
    }

    /// The load bias of a position-independent image is a multiple of this number of bytes:
    /// the largest `p_align`, at least a page.
    #[must_use]
    pub const fn alignment(&self) -> u64 {
        self.alignment
    }

    /// The load bias that puts the lowest page at `wanted` or, for the sake of alignment,
    /// below. 0 for a fixed image. The caller must see to it that the range is free.
    ///
    /// # Errors
    /// [`ElfError::NoRoom`] when the image does not fit between [`MMAP_MIN_ADDR`] and
    /// [`abi::TASK_SIZE`] there.
    pub fn bias_for(&self, wanted: u64) -> Result<u64, ElfError> {
        if self.kind == Kind::Fixed {
            return Ok(0);
        }
        let (low, len) = self.address_range();
        let no_room = ElfError::NoRoom { len, alignment: self.alignment };
        let phase = low & (self.alignment - 1);
        let aligned = wanted.checked_sub(phase).ok_or(no_room)? & !(self.alignment - 1);
        let bias = (aligned + phase).wrapping_sub(low);
        if self.fits(bias) { Ok(bias) } else { Err(no_room) }
    }

    /// Where the program break begins (brk(2)): the page after the end of the highest
    /// segment, empty ones included.
    #[must_use]
    pub const fn program_break(&self, bias: u64) -> u64 {
        self.end.wrapping_add(bias)
    }

    /// The mappings that make the image, to be made in this order: each replaces what is
    /// there (`MAP_FIXED`). All are of whole pages within [`MMAP_MIN_ADDR`] and
    /// [`abi::TASK_SIZE`].
    ///
    /// # Errors
    /// [`ElfError::BadBias`] when the image cannot have this load bias.
    pub fn mappings(&self, bias: u64) -> Result<impl Iterator<Item = Mapping>, ElfError> {
        let possible = match self.kind {
            Kind::Fixed => bias == 0,
            Kind::PositionIndependent => page_down(bias) == bias,
        };
        if !possible || !self.fits(bias) {
            return Err(ElfError::BadBias { bias });
        }
        Ok(self.segments.iter().flat_map(move |segment| mapping::of_segment(*segment, bias)))
    }

    /// Whether the pages of the image lie in the address space of an application.
    fn fits(&self, bias: u64) -> bool {
        let start = self.low.wrapping_add(bias);
        let len = self.high - self.low;
        start >= MMAP_MIN_ADDR
            && start.checked_add(len).and_then(page_up).is_some_and(|end| end <= abi::TASK_SIZE)
    }
}

//! What an ELF file tells about its code: which address its bytes have, and what the function
//! at an address is called.
//!
//! For reports about programs that have died: every part may be missing or wrong, and then the
//! answer is `None`. A file is read in small pieces as they are needed, so that its size does
//! not matter; whoever reads decides how much is too much by refusing.
//!
//! Neighbours: [`crate::unwind`] finds the callers with what is read here.

mod demangle;
#[cfg(test)]
pub(crate) mod tests;

use alloc::vec;
use alloc::vec::Vec;

use goblin::container::{Container, Ctx, Endian};
use goblin::elf::header::{EI_CLASS, EI_DATA, ELFCLASS64, ELFDATA2LSB, ELFMAG};
use goblin::elf::program_header::{PF_X, PT_GNU_EH_FRAME, PT_LOAD, ProgramHeader};
use goblin::elf::section_header::{SHT_DYNSYM, SHT_SYMTAB, SectionHeader};
use goblin::elf::sym::{STB_GLOBAL, STB_WEAK, STT_FUNC, STT_GNU_IFUNC, STT_NOTYPE, Sym};
use goblin::elf64::header::{Header, SIZEOF_EHDR};

pub use demangle::demangled;

/// Fills a buffer with the bytes of a file at an offset, or says that they cannot be had.
pub type Read<'a> = dyn FnMut(u64, &mut [u8]) -> Option<()> + 'a;

/// Most program headers that are looked at.
const MAX_PROGRAM_HEADERS: u16 = 128;

/// Most section headers that are looked at.
const MAX_SECTIONS: u16 = 4096;

/// Longest name of a symbol, in bytes; what is longer is cut off.
const MAX_NAME: usize = 512;

/// How far an address may lie behind a symbol without a size, in bytes.
const MAX_DISTANCE: u64 = 4096;

/// Sizes of the tables' entries, in bytes (elf(5)).
const PROGRAM_HEADER_LEN: usize = 56;
const SECTION_HEADER_LEN: usize = 64;
const SYMBOL_LEN: usize = 24;

const CONTEXT: Ctx = Ctx { container: Container::Big, le: Endian::Little };

/// How many symbols are read at once.
const SYMBOLS_AT_ONCE: usize = 64;

/// A part of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    /// Address before the load bias is added; 0 for what is not loaded.
    pub(crate) address: u64,
    /// Offset in the file.
    pub(crate) offset: u64,
    /// Length in the file in bytes.
    pub(crate) len: u64,
}

/// An ELF file with code. All addresses are those of the file, without a load bias.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CodeFile {
    /// Loadable segments, and whether they are executable.
    segments: Vec<(Part, bool)>,
    /// Symbols and their names.
    symbols: Option<(Part, Part)>,
    /// `.eh_frame`.
    pub(crate) frames: Option<Part>,
    /// What `PT_GNU_EH_FRAME` names: `.eh_frame_hdr`.
    pub(crate) frame_index: Option<Part>,
}

/// A function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Symbol {
    /// Its name as it is in the file, at most 512 bytes.
    pub name: Vec<u8>,
    /// The distance to its first byte, in bytes.
    pub offset: u64,
}

impl CodeFile {
    /// Reads where things are in a file; `None` when it is no 64-bit little-endian ELF file.
    /// Tables that are missing or malformed are left out.
    #[must_use]
    pub fn read(read: &mut Read<'_>) -> Option<Self> {
        let mut bytes = [0; SIZEOF_EHDR];
        read(0, &mut bytes)?;
        let class = (bytes[EI_CLASS], bytes[EI_DATA]);
        if !bytes.starts_with(ELFMAG) || class != (ELFCLASS64, ELFDATA2LSB) {
            return None;
        }
        let header = Header::parse(&bytes).ok()?;
        let mut file = Self::default();
        // What follows is there or is not.
        let _ = file.read_segments(&header, read);
        let _ = file.read_sections(&header, read);
        Some(file)
    }

    fn read_segments(&mut self, header: &Header, read: &mut Read<'_>) -> Option<()> {
        if usize::from(header.e_phentsize) != PROGRAM_HEADER_LEN {
            return None;
        }
        for index in 0..header.e_phnum.min(MAX_PROGRAM_HEADERS) {
            let offset = u64::from(index) * PROGRAM_HEADER_LEN as u64;
            let mut bytes = [0; PROGRAM_HEADER_LEN];
            read(header.e_phoff.checked_add(offset)?, &mut bytes)?;
            let entry = ProgramHeader::parse(&bytes, 0, 1, CONTEXT).ok()?.pop()?;
            let (address, offset, len) = (entry.p_vaddr, entry.p_offset, entry.p_filesz);
            let part = Part { address, offset, len };
            match entry.p_type {
                PT_LOAD => self.segments.push((part, entry.p_flags & PF_X != 0)),
                PT_GNU_EH_FRAME => self.frame_index = Some(part),
                _ => {}
            }
        }
        Some(())
    }

    fn read_sections(&mut self, header: &Header, read: &mut Read<'_>) -> Option<()> {
        if usize::from(header.e_shentsize) != SECTION_HEADER_LEN {
            return None;
        }
        let mut section = |index: u16| {
            let offset = u64::from(index) * SECTION_HEADER_LEN as u64;
            let mut bytes = [0; SECTION_HEADER_LEN];
            read(header.e_shoff.checked_add(offset)?, &mut bytes)?;
            SectionHeader::parse_from(&bytes, 0, 1, CONTEXT).ok()?.pop()
        };
        let count = header.e_shnum.min(MAX_SECTIONS);
        let mut symbols: Option<SectionHeader> = None;
        let mut loaded = Vec::new();
        for index in 0..count {
            let entry = section(index)?;
            match entry.sh_type {
                SHT_SYMTAB => symbols = Some(entry),
                SHT_DYNSYM if symbols.is_none() => symbols = Some(entry),
                _ if entry.sh_addr != 0 => loaded.push(entry),
                _ => {}
            }
        }
        if let Some(symbols) = symbols
            && let Ok(link) = u16::try_from(symbols.sh_link)
            && let Some(names) = section(link)
        {
            self.symbols = Some((part_of(&symbols), part_of(&names)));
        }
        let names = section(header.e_shstrndx)?;
        let frames = loaded.iter().find(|entry| {
            let mut name = [0; 10];
            let at = names.sh_offset.checked_add(entry.sh_name as u64);
            at.is_some_and(|at| read(at, &mut name).is_some()) && &name == b".eh_frame\0"
        });
        self.frames = frames.map(part_of);
        Some(())
    }

    /// The address of the byte at this offset in the file; code before data where both show
    /// it. `None` when it is not loaded.
    #[must_use]
    pub fn address_of(&self, offset: u64) -> Option<u64> {
        let holds = |part: &Part| offset.checked_sub(part.offset).is_some_and(|at| at < part.len);
        let mut holding = self.segments.iter().filter(|(part, _)| holds(part));
        let first = holding.clone().next();
        let (part, _) = holding.find(|(_, executable)| *executable).or(first)?;
        Some(part.address.wrapping_add(offset - part.offset))
    }

    /// Where the byte with this address is in the file, and how many follow in its segment,
    /// itself included.
    pub(crate) fn offset_of(&self, address: u64) -> Option<(u64, u64)> {
        self.segments.iter().find_map(|(part, _)| {
            let at = address.checked_sub(part.address).filter(|&at| at < part.len)?;
            Some((part.offset.checked_add(at)?, part.len - at))
        })
    }

    /// The functions that hold these addresses, in one pass over the symbols: those of
    /// `.symtab`, or those of `.dynsym` where that is all there is.
    #[must_use]
    pub fn symbols(&self, addresses: &[u64], read: &mut Read<'_>) -> Vec<Option<Symbol>> {
        let mut found = vec![None; addresses.len()];
        let Some((symbols, names)) = self.symbols else {
            return vec![None; addresses.len()];
        };
        let _ = each_symbol(symbols, read, |symbol| {
            for (address, found) in addresses.iter().zip(&mut found) {
                if is_better(symbol, found.as_ref(), *address) {
                    *found = Some(*symbol);
                }
            }
        });
        let named = addresses.iter().zip(found).map(|(address, symbol)| {
            let symbol = symbol?;
            let name = read_name(names, symbol.st_name, read)?;
            Some(Symbol { name, offset: address.wrapping_sub(symbol.st_value) })
        });
        named.collect()
    }
}

fn part_of(section: &SectionHeader) -> Part {
    Part { address: section.sh_addr, offset: section.sh_offset, len: section.sh_size }
}

/// Shows all symbols that can be read.
fn each_symbol(table: Part, read: &mut Read<'_>, mut each: impl FnMut(&Sym)) -> Option<()> {
    let mut bytes = [0; SYMBOL_LEN * SYMBOLS_AT_ONCE];
    let mut left = table.len / SYMBOL_LEN as u64;
    let mut offset = table.offset;
    while left > 0 {
        let count = left.min(SYMBOLS_AT_ONCE as u64);
        let chunk = &mut bytes[..count as usize * SYMBOL_LEN];
        read(offset, chunk)?;
        Sym::parse(chunk, 0, count as usize, CONTEXT).ok()?.iter().for_each(&mut each);
        offset = offset.checked_add(chunk.len() as u64)?;
        left -= count;
    }
    Some(())
}

/// Whether `symbol` names the function at `address` better than `other` does.
fn is_better(symbol: &Sym, other: Option<&Sym>, address: u64) -> bool {
    let is_code = matches!(symbol.st_type(), STT_FUNC | STT_GNU_IFUNC | STT_NOTYPE);
    let Some(distance) = address.checked_sub(symbol.st_value) else {
        return false;
    };
    let reach = if symbol.st_size == 0 { MAX_DISTANCE } else { symbol.st_size };
    let rank = |symbol: &Sym| {
        let binding = match symbol.st_bind() {
            STB_GLOBAL => 2,
            STB_WEAK => 1,
            _ => 0,
        };
        (symbol.st_value, symbol.st_size != 0, binding)
    };
    is_code
        && symbol.st_shndx != 0
        && symbol.st_name != 0
        && distance < reach
        && other.is_none_or(|other| rank(symbol) > rank(other))
}

/// The string at `at` in the table `names`; `None` when it is empty or cannot be read.
fn read_name(names: Part, at: usize, read: &mut Read<'_>) -> Option<Vec<u8>> {
    let left = names.len.checked_sub(at as u64)?;
    let start = names.offset.checked_add(at as u64)?;
    let mut name = Vec::new();
    while (name.len() as u64) < left.min(MAX_NAME as u64) {
        let mut bytes = [0; 32];
        let len = (left - name.len() as u64).min(bytes.len() as u64) as usize;
        read(start.checked_add(name.len() as u64)?, &mut bytes[..len])?;
        let end = bytes[..len].iter().position(|&byte| byte == 0);
        name.extend_from_slice(&bytes[..end.unwrap_or(len)]);
        if end.is_some() {
            break;
        }
    }
    (!name.is_empty()).then_some(name)
}

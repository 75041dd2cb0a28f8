//! PVH: the kernel's ELF file in the guest's memory, and what the kernel is told
//! (Xen, `arch-x86/hvm/start_info.h`).

use super::layout::{
    COMMAND_LINE, COMMAND_LINE_MAX, EXTENDED_START, LOW_END, MEMORY_MAP, MODULES, START_INFO,
};
use super::memory::{Memory, show, usable};
use goblin::elf::{Elf, program_header::PT_LOAD, program_header::PT_NOTE};
use std::fmt;
use std::io;
use std::os::fd::BorrowedFd;
use vm_memory::{Bytes, GuestAddress};

/// `XEN_ELFNOTE_PHYS32_ENTRY`: where the kernel is entered, in 32-bit mode.
const ENTRY_NOTE: u32 = 18;

const START_INFO_MAGIC: u32 = 0x336e_c578;
const START_INFO_VERSION: u32 = 1;
const MEMORY_TYPE_RAM: u32 = 1;

const PAGE: u64 = abi::PAGE_SIZE as u64;

/// Why a kernel cannot be booted.
#[derive(Debug)]
pub enum Error {
    /// It is not an ELF file of this machine.
    NotElf,
    /// It does not say where it is entered, or says so more than once.
    Entry(&'static str),
    /// It, or what it is to boot with, is not where memory is.
    NoRoom(&'static str),
    /// The host failed.
    Io(io::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotElf => f.write_str("the kernel is not an ELF file for x86-64"),
            Self::Entry(why) => write!(f, "the kernel cannot be entered by PVH: {why}"),
            Self::NoRoom(what) => write!(f, "there is no room in the memory for {what}"),
            Self::Io(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Error {}

/// Copies the kernel to where it belongs; its entry and its end.
///
/// # Errors
/// It is no kernel, or does not fit.
pub fn load_kernel(memory: &Memory, file: &[u8]) -> Result<(u32, u64), Error> {
    let elf = Elf::parse(file).map_err(|_| Error::NotElf)?;
    if !elf.is_64 || elf.header.e_machine != goblin::elf::header::EM_X86_64 {
        return Err(Error::NotElf);
    }
    let mut end = 0;
    for header in elf.program_headers.iter().filter(|header| header.p_type == PT_LOAD) {
        let start = usize::try_from(header.p_offset).ok();
        let range = start.and_then(|start| {
            Some(start..start.checked_add(usize::try_from(header.p_filesz).ok()?)?)
        });
        let bytes = range.and_then(|range| file.get(range)).ok_or(Error::NotElf)?;
        let top = header.p_paddr.checked_add(header.p_memsz.max(header.p_filesz));
        let top = top.filter(|&top| header.p_paddr >= EXTENDED_START && top <= LOW_END);
        // What the file does not fill is zero already.
        memory
            .write_slice(bytes, GuestAddress(header.p_paddr))
            .map_err(|_| Error::NoRoom("the kernel"))?;
        end = end.max(top.ok_or(Error::NoRoom("the kernel"))?);
    }
    Ok((entry(&elf, file)?, end))
}

/// The entry that the one note segment names.
fn entry(elf: &Elf<'_>, file: &[u8]) -> Result<u32, Error> {
    let segments = elf.program_headers.iter().filter(|header| header.p_type == PT_NOTE).count();
    if segments != 1 {
        // Of several, some loaders heed only the last one.
        return Err(Error::Entry("it has not exactly one note segment"));
    }
    let notes = elf.iter_note_headers(file).into_iter().flatten().flatten();
    let mut entries = notes.filter(|note| note.name == "Xen" && note.n_type == ENTRY_NOTE);
    let bytes = entries.next().and_then(|note| note.desc.get(..4)?.try_into().ok());
    bytes.map(u32::from_le_bytes).ok_or(Error::Entry("it has no note with the address"))
}

/// Puts the archive and what the kernel is told into memory of `len` bytes, of which the kernel
/// takes what is below `kernel_end`.
///
/// # Errors
/// There is no room for them.
pub fn describe(
    memory: &Memory,
    len: u64,
    kernel_end: u64,
    archive: (BorrowedFd<'_>, u64),
    command_line: &str,
) -> Result<(), Error> {
    let (file, archive_len) = archive;
    let place = place(len, kernel_end, archive_len).ok_or(Error::NoRoom("the files"))?;
    show(memory, place, file, archive_len).map_err(Error::Io)?;
    if command_line.len() >= COMMAND_LINE_MAX {
        return Err(Error::NoRoom("the command line"));
    }
    let map: Vec<u8> = usable(len).into_iter().flat_map(map_entry).collect();
    let entries = (map.len() / map_entry((0, 0)).len()) as u32;
    // hvm_modlist_entry: address, size, command line, reserved.
    let module = words64(&[place, archive_len, 0, 0]);
    let mut info = Vec::new();
    for word in [START_INFO_MAGIC, START_INFO_VERSION, 0, u32::from(archive_len > 0)] {
        info.extend(word.to_le_bytes());
    }
    // The module list, the command line, no RSDP, the memory map.
    info.extend(words64(&[MODULES, COMMAND_LINE, 0, MEMORY_MAP]));
    info.extend(entries.to_le_bytes());
    info.extend([0; 4]);
    let text = [command_line.as_bytes(), b"\0"].concat();
    let parts = [(START_INFO, info), (MODULES, module), (MEMORY_MAP, map), (COMMAND_LINE, text)];
    for (address, bytes) in parts {
        memory
            .write_slice(&bytes, GuestAddress(address))
            .map_err(|_| Error::NoRoom("what the kernel is told"))?;
    }
    Ok(())
}

fn words64(words: &[u64]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// `hvm_memmap_table_entry`
fn map_entry((start, len): (u64, u64)) -> Vec<u8> {
    let kind = u64::from(MEMORY_TYPE_RAM);
    words64(&[start, len, kind])
}

/// Where an archive of so many bytes goes: at the end of a region, away from the kernel.
fn place(len: u64, kernel_end: u64, archive_len: u64) -> Option<u64> {
    usable(len).into_iter().find_map(|(start, len)| {
        let place = (start + len).checked_sub(archive_len)? & !(PAGE - 1);
        (place >= start.max(kernel_end)).then_some(place)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::MIB;
    use crate::vmm::memory::create;

    #[test]
    fn the_kernel_keeps_to_the_contract() {
        let memory = create(64 * MIB).unwrap();
        let (entry, end) = load_kernel(&memory, crate::kernel::embedded()).unwrap();
        let start = abi::boot::KERNEL_LOAD_ADDRESS;
        assert!((start..end).contains(&u64::from(entry)), "{entry:#x} {end:#x}");
        let elf = Elf::parse(crate::kernel::embedded()).unwrap();
        assert!(elf.entry >= EXTENDED_START);
    }

    #[test]
    fn the_archive_lies_behind_the_kernel_where_there_is_memory() {
        let kernel_end = 4 * MIB;
        assert_eq!(place(8 * MIB, kernel_end, 5000), Some(8 * MIB - 2 * PAGE));
        assert_eq!(place(8 * MIB, kernel_end, 4 * MIB), Some(4 * MIB));
        assert_eq!(place(8 * MIB, kernel_end, 4 * MIB + 1), None);
        assert_eq!(place(2 * LOW_END, kernel_end, LOW_END), Some(1 << 32));
        assert_eq!(place(8 * MIB, kernel_end, u64::MAX), None);
    }

    #[test]
    fn a_damaged_kernel_is_refused_without_a_panic() {
        let memory = create(64 * MIB).unwrap();
        let whole = crate::kernel::embedded();
        assert!(load_kernel(&memory, b"").is_err());
        assert!(load_kernel(&memory, &whole[..64]).is_err());
        let headers = 64 + 56 * 8;
        for at in 0..headers {
            let mut damaged = whole[..whole.len().min(0x4000)].to_vec();
            damaged[at] ^= 0xff;
            let _ = load_kernel(&memory, &damaged);
        }
    }

    #[test]
    fn a_kernel_that_does_not_fit_is_refused() {
        let memory = create(MIB).unwrap();
        let refused = load_kernel(&memory, crate::kernel::embedded());
        assert!(matches!(refused, Err(Error::NoRoom("the kernel"))));
    }
}

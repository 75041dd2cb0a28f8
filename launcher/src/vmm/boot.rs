//! PVH: the kernel's ELF file in the guest's memory, and what the kernel is told
//! (Xen, `arch-x86/hvm/start_info.h`).

use super::layout::{
    COMMAND_LINE, COMMAND_LINE_MAX, EXTENDED_START, LOW_END, MEMORY_MAP, MODULES, START_INFO,
};
use super::memory::{Memory, show, usable};
use crate::Error;
use linux_loader::configurator::{BootConfigurator, BootParams, pvh::PvhBootConfigurator};
use linux_loader::loader::elf::start_info::{
    hvm_memmap_table_entry, hvm_modlist_entry, hvm_start_info,
};
use linux_loader::loader::elf::{Elf, PvhBootCapability};
use linux_loader::loader::{KernelLoader, KernelLoaderResult};
use std::io::{Read, Seek};
use std::os::fd::BorrowedFd;
use vm_memory::{Address, Bytes, GuestAddress, ReadVolatile};

const START_INFO_MAGIC: u32 = 0x336e_c578;
const START_INFO_VERSION: u32 = 1;
const MEMORY_TYPE_RAM: u32 = 1;

const PAGE: u64 = abi::PAGE_SIZE as u64;

fn no_room(what: &str) -> Error {
    Error::Failed(format!("there is no room in the memory for {what}"))
}

/// Copies the kernel to where it belongs; its entry and its end.
///
/// # Errors
/// It is no kernel, or does not fit.
pub fn load_kernel<F>(memory: &Memory, file: &mut F) -> Result<(u32, u64), Error>
where
    F: Read + ReadVolatile + Seek,
{
    // What the file does not fill is zero already.
    let loaded = Elf::load(memory, None, file, Some(GuestAddress(EXTENDED_START)));
    let KernelLoaderResult { pvh_boot_cap, kernel_end, .. } =
        loaded.map_err(|why| Error::Failed(format!("the kernel cannot be loaded: {why}")))?;
    if kernel_end > LOW_END {
        return Err(no_room("the kernel"));
    }
    let entry = match pvh_boot_cap {
        PvhBootCapability::PvhEntryPresent(entry) => u32::try_from(entry.raw_value()).ok(),
        _ => None,
    };
    let no_note = "the kernel cannot be entered by PVH: it has no note";
    Ok((entry.ok_or_else(|| Error::Failed(no_note.to_owned()))?, kernel_end))
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
    let place = place(len, kernel_end, archive_len).ok_or_else(|| no_room("the files"))?;
    show(memory, place, file, archive_len)
        .map_err(|error| Error::io("cannot map the files", &error))?;
    if command_line.len() >= COMMAND_LINE_MAX {
        return Err(no_room("the command line"));
    }
    let map =
        |(addr, size)| hvm_memmap_table_entry { addr, size, type_: MEMORY_TYPE_RAM, reserved: 0 };
    let map: Vec<_> = usable(len).into_iter().map(map).collect();
    // There is no RSDP.
    let info = hvm_start_info {
        magic: START_INFO_MAGIC,
        version: START_INFO_VERSION,
        nr_modules: u32::from(archive_len > 0),
        modlist_paddr: MODULES,
        cmdline_paddr: COMMAND_LINE,
        memmap_paddr: MEMORY_MAP,
        memmap_entries: map.len() as u32,
        ..hvm_start_info::default()
    };
    let module = hvm_modlist_entry { paddr: place, size: archive_len, ..Default::default() };
    let mut told = BootParams::new(&info, GuestAddress(START_INFO));
    told.set_sections(&map, GuestAddress(MEMORY_MAP));
    told.set_modules(&[module], GuestAddress(MODULES));
    let text = [command_line.as_bytes(), b"\0"].concat();
    let written = PvhBootConfigurator::write_bootparams(&told, memory).is_ok()
        && memory.write_slice(&text, GuestAddress(COMMAND_LINE)).is_ok();
    written.then_some(()).ok_or_else(|| no_room("what the kernel is told"))
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
    use std::io::Cursor;

    #[test]
    fn the_kernel_keeps_to_the_contract() {
        let memory = create(64 * MIB).unwrap();
        let (entry, end) =
            load_kernel(&memory, &mut Cursor::new(crate::kernel::embedded())).unwrap();
        let start = abi::boot::KERNEL_LOAD_ADDRESS;
        assert!((start..end).contains(&u64::from(entry)), "{entry:#x} {end:#x}");
        let elf = goblin::elf::Elf::parse(crate::kernel::embedded()).unwrap();
        assert!(elf.entry >= EXTENDED_START);
        let notes =
            elf.program_headers.iter().filter(|h| h.p_type == goblin::elf::program_header::PT_NOTE);
        // Of several, loaders heed only the last one.
        assert_eq!(notes.count(), 1);
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
        assert!(load_kernel(&memory, &mut Cursor::new(b"")).is_err());
        assert!(load_kernel(&memory, &mut Cursor::new(&whole[..64])).is_err());
        let headers = 64 + 56 * 8;
        for at in 0..headers {
            let mut damaged = whole[..whole.len().min(0x4000)].to_vec();
            damaged[at] ^= 0xff;
            let _ = load_kernel(&memory, &mut Cursor::new(&damaged));
        }
    }

    #[test]
    fn a_kernel_that_does_not_fit_is_refused() {
        let memory = create(MIB).unwrap();
        let refused = load_kernel(&memory, &mut Cursor::new(crate::kernel::embedded()));
        assert!(matches!(refused, Err(Error::Failed(_))), "{refused:?}");
    }
}

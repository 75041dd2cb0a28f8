//! What the loader says about the machine: `hvm_start_info` of PVH, version 1.
//!
//! All of it is read unaligned: the structures may lie anywhere.

use core::ffi::CStr;

use x86_64::PhysAddr;

use crate::memory::direct_map;

const MAGIC: u32 = 0x336e_c578;
/// Memory the kernel may use (`XEN_HVM_MEMMAP_TYPE_RAM`).
const TYPE_RAM: u32 = 1;

#[repr(C)]
#[derive(Clone, Copy)]
struct RawStartInfo {
    magic: u32,
    version: u32,
    flags: u32,
    module_count: u32,
    module_list: u64,
    command_line: u64,
    rsdp: u64,
    memory_map: u64,
    memory_map_entries: u32,
    reserved: u32,
}

#[repr(C)]
#[derive(Clone, Copy)]
struct RawModule {
    address: u64,
    size: u64,
    command_line: u64,
    reserved: u64,
}

#[repr(C)]
#[derive(Clone, Copy)]
struct RawRegion {
    address: u64,
    size: u64,
    kind: u32,
    reserved: u32,
}

/// Usable physical memory, `start` to `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MemoryRegion {
    /// First byte.
    pub start: u64,
    /// One past the last byte.
    pub end: u64,
}

/// What the loader says about the machine.
pub(crate) struct StartInfo {
    raw: RawStartInfo,
}

impl StartInfo {
    /// Reads the start info at physical address `address`.
    ///
    /// # Safety
    /// `address` is what a PVH loader left in `ebx`, inside the memory that the boot page
    /// tables map.
    pub(crate) unsafe fn read(address: PhysAddr) -> Option<Self> {
        // SAFETY: the caller vouches for the address.
        let raw = unsafe { read_physical::<RawStartInfo>(address.as_u64()) };
        (raw.magic == MAGIC && raw.version >= 1).then_some(Self { raw })
    }

    /// The command line; it stays where it is.
    pub(crate) fn command_line(&self) -> &'static CStr {
        if self.raw.command_line == 0 {
            return c"";
        }
        // SAFETY: the loader put a string there, in memory that `reserved` keeps from being
        // allocated.
        unsafe { CStr::from_ptr(direct_map(PhysAddr::new_truncate(self.raw.command_line)).cast()) }
    }

    /// The physical memory of the one module: the boot archive. Empty when there is none.
    pub(crate) fn module(&self) -> MemoryRegion {
        if self.raw.module_count == 0 {
            return MemoryRegion { start: 0, end: 0 };
        }
        // SAFETY: the loader says that the list has an entry.
        let module = unsafe { read_physical::<RawModule>(self.raw.module_list) };
        MemoryRegion { start: module.address, end: module.address + module.size }
    }

    /// The usable memory. Entries of no length and of other kinds are left out.
    pub(crate) fn memory(&self) -> impl Iterator<Item = MemoryRegion> {
        let map = self.raw.memory_map;
        (0..u64::from(self.raw.memory_map_entries)).filter_map(move |index| {
            // SAFETY: the loader says that the map has that many entries.
            let entry =
                unsafe { read_physical::<RawRegion>(map + index * size_of::<RawRegion>() as u64) };
            (entry.kind == TYPE_RAM && entry.size > 0).then_some(MemoryRegion {
                start: entry.address,
                end: entry.address.saturating_add(entry.size),
            })
        })
    }

    /// What of the loader's own data must be kept: the command line.
    pub(crate) fn reserved(&self) -> MemoryRegion {
        let start = self.raw.command_line;
        MemoryRegion { start, end: start + self.command_line().to_bytes_with_nul().len() as u64 }
    }
}

/// Reads a structure that may be unaligned.
///
/// # Safety
/// A `T` lies at `address`, inside the direct map.
unsafe fn read_physical<T: Copy>(address: u64) -> T {
    // SAFETY: by the caller.
    unsafe { direct_map(PhysAddr::new_truncate(address)).cast::<T>().read_unaligned() }
}

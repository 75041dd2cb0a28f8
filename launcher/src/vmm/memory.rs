//! The guest's memory: anonymous, given by the host when it is first touched.

use super::layout::{CONVENTIONAL_END, EXTENDED_START, HIGH_START, LOW_END};
use kvm_bindings::kvm_userspace_memory_region;
use kvm_ioctls::VmFd;
use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::{AsRawFd, BorrowedFd};
use vm_memory::{
    Address, GuestAddress, GuestMemoryBackend, GuestMemoryMmap, GuestMemoryRegion, GuestRegionMmap,
    MmapRegion,
};

/// The guest's memory.
pub type Memory = GuestMemoryMmap<()>;

/// Largest pages of the host.
const HUGE: usize = 2 << 20;

/// Where `len` bytes of memory are: start and length of one or two regions.
#[must_use]
pub fn regions(len: u64) -> Vec<(u64, u64)> {
    let low = len.min(LOW_END);
    let mut regions = vec![(0, low)];
    regions.extend((len > low).then(|| (HIGH_START, len - low)));
    regions
}

/// What the kernel may use of `len` bytes of memory: start and length of each region.
#[must_use]
pub fn usable(len: u64) -> Vec<(u64, u64)> {
    let mut usable = vec![(0, len.min(CONVENTIONAL_END))];
    for (start, len) in regions(len) {
        let (from, end) = (start.max(EXTENDED_START), start + len);
        usable.extend((from < end).then(|| (from, end - from)));
    }
    usable
}

/// Makes `len` bytes of memory, a multiple of the page size, in huge pages where the host has
/// them.
///
/// # Errors
/// The host has no such address space.
pub fn create(len: u64) -> io::Result<Memory> {
    let mut made = Vec::new();
    for (address, len) in regions(len) {
        let bytes = usize::try_from(len).ok().filter(|bytes| bytes.checked_add(HUGE).is_some());
        let bytes = bytes.ok_or(io::ErrorKind::OutOfMemory)?;
        // It stays as long as the process does.
        let mapping =
            ManuallyDrop::new(MmapRegion::<()>::new(bytes + HUGE).map_err(io::Error::other)?);
        // SAFETY: there is room for one huge page more than is needed.
        let start = unsafe { mapping.as_ptr().add(mapping.as_ptr().align_offset(HUGE)) };
        // SAFETY: within the mapping, which holds nothing yet. It is only advice.
        unsafe { libc::madvise(start.cast(), bytes, libc::MADV_HUGEPAGE) };
        // SAFETY: as above.
        let region =
            unsafe { MmapRegion::build_raw(start, bytes, mapping.prot(), mapping.flags()) };
        let region = region.map_err(io::Error::other)?;
        let region = GuestRegionMmap::new(region, GuestAddress(address));
        made.push(region.ok_or(io::ErrorKind::OutOfMemory)?);
    }
    Memory::from_regions(made).map_err(io::Error::other)
}

/// Gives the memory to the virtual machine.
///
/// # Errors
/// KVM refuses it.
pub fn register(vm: &VmFd, memory: &Memory) -> io::Result<()> {
    for (slot, region) in (0..).zip(memory.iter()) {
        let region = kvm_userspace_memory_region {
            slot,
            guest_phys_addr: region.start_addr().raw_value(),
            memory_size: region.len(),
            userspace_addr: region.as_ptr() as u64,
            flags: 0,
        };
        // SAFETY: the region is mapped as long as the process lives.
        unsafe { vm.set_user_memory_region(region) }.map_err(io::Error::from)?;
    }
    Ok(())
}

/// Shows `len` bytes of a file in the guest's memory at `address`, which is the start of a
/// page: nothing is read before the guest looks, and nothing that it writes reaches the file.
///
/// # Errors
/// There is no such memory; the file cannot be mapped.
pub fn show(memory: &Memory, address: u64, file: BorrowedFd<'_>, len: u64) -> io::Result<()> {
    if len == 0 {
        return Ok(());
    }
    let bytes = usize::try_from(len).map_err(io::Error::other)?;
    let slice = memory.get_slice(GuestAddress(address), bytes).map_err(io::Error::other)?;
    let flags = libc::MAP_PRIVATE | libc::MAP_FIXED | libc::MAP_NORESERVE;
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let at = slice.ptr_guard_mut().as_ptr().cast();
    // SAFETY: the place is the guest's memory, of which nobody holds a reference; the last page
    // belongs to it as a whole, because memory is whole MiB.
    let shown = unsafe { libc::mmap(at, bytes, protection, flags, file.as_raw_fd(), 0) };
    match shown == libc::MAP_FAILED {
        true => Err(io::Error::last_os_error()),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::MIB;
    use vm_memory::Bytes;

    #[test]
    fn devices_lie_in_a_gap_below_4_gib() {
        assert_eq!(regions(4 * MIB), [(0, 4 * MIB)]);
        assert_eq!(regions(LOW_END + MIB), [(0, LOW_END), (HIGH_START, MIB)]);
        assert_eq!(usable(4 * MIB), [(0, CONVENTIONAL_END), (EXTENDED_START, 3 * MIB)]);
        let large = usable(LOW_END + MIB);
        assert_eq!(large[1..], [(EXTENDED_START, LOW_END - EXTENDED_START), (HIGH_START, MIB)]);
    }

    #[test]
    fn a_file_is_shown_and_not_changed() {
        use std::io::Write;
        use std::os::fd::AsFd;
        let memory = create(4 * MIB).unwrap();
        let file = rustix::fs::memfd_create("test", rustix::fs::MemfdFlags::CLOEXEC).unwrap();
        let mut file = std::fs::File::from(file);
        file.write_all(b"contents").unwrap();
        show(&memory, 2 * MIB, file.as_fd(), 8).unwrap();
        let mut seen = [0; 9];
        memory.read_slice(&mut seen, GuestAddress(2 * MIB)).unwrap();
        assert_eq!(&seen, b"contents\0");
        memory.write_slice(b"x", GuestAddress(2 * MIB)).unwrap();
        assert_eq!(std::fs::read(format!("/proc/self/fd/{}", file.as_raw_fd())).unwrap()[0], b'c');
        assert!(show(&memory, 4 * MIB, file.as_fd(), 8).is_err());
    }
}

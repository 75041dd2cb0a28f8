//! virtio devices: where they are, and how the `virtio-drivers` crate reaches memory.

use alloc::alloc::{alloc_zeroed, dealloc};
use alloc::vec::Vec;
use core::alloc::Layout;
use core::ptr::NonNull;

use virtio_drivers::transport::SomeTransport;
use virtio_drivers::transport::mmio::{MmioTransport, VirtIOHeader};
use virtio_drivers::{BufferDirection, Hal, PAGE_SIZE, PhysAddr};

use super::pci;
use crate::boot::{CommandLine, MmioDevice};
use crate::memory::{direct_map, physical};

/// The transport of a device.
pub(crate) type Transport = SomeTransport<'static>;

/// All virtio devices: those of the command line, or those on the PCI bus.
pub(crate) fn devices(command_line: CommandLine) -> Vec<Transport> {
    let mmio: Vec<_> = command_line.mmio_devices().filter_map(mmio_transport).collect();
    if mmio.is_empty() { pci::virtio_devices() } else { mmio }
}

/// The device at this place, or `None` where there is none.
fn mmio_transport(device: MmioDevice) -> Option<Transport> {
    let header = direct_map(x86_64::PhysAddr::new_truncate(device.address));
    let header = NonNull::new(header)?.cast::<VirtIOHeader>();
    // SAFETY: the loader says that the device's registers are there; nobody else uses them.
    unsafe { MmioTransport::new(header, device.size) }.ok().map(SomeTransport::Mmio)
}

/// Memory for the `virtio-drivers` crate.
pub(crate) struct Memory;

fn layout(pages: usize) -> Layout {
    Layout::from_size_align(pages * PAGE_SIZE, PAGE_SIZE).expect("queues are small")
}

// SAFETY: the allocator gives zeroed, page-aligned, contiguous memory of the direct map, and
// devices see physical addresses.
unsafe impl Hal for Memory {
    fn dma_alloc(pages: usize, _: BufferDirection) -> (PhysAddr, NonNull<u8>) {
        // SAFETY: the layout is not empty.
        let memory = NonNull::new(unsafe { alloc_zeroed(layout(pages)) });
        let memory = memory.expect("memory for the queues of a device");
        (physical(memory).as_u64(), memory)
    }

    unsafe fn dma_dealloc(_: PhysAddr, memory: NonNull<u8>, pages: usize) -> i32 {
        // SAFETY: it came from `dma_alloc`.
        unsafe { dealloc(memory.as_ptr(), layout(pages)) };
        0
    }

    unsafe fn mmio_phys_to_virt(address: PhysAddr, _: usize) -> NonNull<u8> {
        let pointer = direct_map(x86_64::PhysAddr::new_truncate(address));
        NonNull::new(pointer).expect("the direct map is not at 0")
    }

    unsafe fn share(buffer: NonNull<[u8]>, _: BufferDirection) -> PhysAddr {
        physical(buffer).as_u64()
    }

    unsafe fn unshare(_: PhysAddr, _: NonNull<[u8]>, _: BufferDirection) {}
}

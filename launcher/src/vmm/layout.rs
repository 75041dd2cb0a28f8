//! Where things are in the guest's physical memory.

/// End of the memory below the devices, in bytes.
pub const LOW_END: u64 = 0xc000_0000;

/// Where the memory goes on above the devices.
pub const HIGH_START: u64 = 1 << 32;

/// End of the memory below the BIOS's area, which a PC has and programs expect to be none.
pub const CONVENTIONAL_END: u64 = 0xa_0000;

/// Where memory goes on above that.
pub const EXTENDED_START: u64 = 0x10_0000;

/// The probe's code, and what it works on.
pub const PROBE: u64 = 0x1000;

/// PVH's start info, and after it the module list.
pub const START_INFO: u64 = 0x6000;

/// PVH's module list.
pub const MODULES: u64 = 0x6100;

/// PVH's memory map.
pub const MEMORY_MAP: u64 = 0x6200;

/// The kernel's command line.
pub const COMMAND_LINE: u64 = 0x8000;

/// Longest command line, in bytes, with its end.
pub const COMMAND_LINE_MAX: usize = 0x1_0000;

/// Registers of the first virtio device; the next ones follow at this distance.
pub const DEVICES: u64 = 0xd000_0000;

/// Distance between devices, in bytes.
pub const DEVICE_LEN: u64 = 0x1000;

/// Line of the first virtio device; the next ones follow. They are pins of the I/O APIC below
/// 16, which the kernel takes for edge-triggered.
pub const FIRST_LINE: u32 = 5;

/// Most virtio devices: as many as there are such pins.
pub const MAX_DEVICES: usize = 11;

/// Pages that KVM takes for itself on Intel's processors (`KVM_SET_TSS_ADDR`).
pub const TASK_STATE: usize = 0xfffb_d000;

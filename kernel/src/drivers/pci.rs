//! The PCI bus, for machines whose virtio devices are there (q35).

use alloc::vec::Vec;

use virtio_drivers::transport::SomeTransport;
use virtio_drivers::transport::pci::bus::{Command, ConfigurationAccess, DeviceFunction, PciRoot};
use virtio_drivers::transport::pci::{PciTransport, virtio_device_type};
use x86_64::instructions::port::Port;

use super::virtio::{Memory, Transport};

/// Configuration space through the ports 0xcf8 and 0xcfc (PCI 3.0, 3.2.2.3.2).
struct Ports;

impl Ports {
    fn select(device: DeviceFunction, register: u8) {
        let address = 1 << 31
            | u32::from(device.bus) << 16
            | u32::from(device.device) << 11
            | u32::from(device.function) << 8
            | u32::from(register & 0xfc);
        // SAFETY: selects a register, no more.
        unsafe { Port::<u32>::new(0xcf8).write(address) };
    }
}

impl ConfigurationAccess for Ports {
    fn read_word(&self, device: DeviceFunction, register: u8) -> u32 {
        Self::select(device, register);
        // SAFETY: reads the selected register.
        unsafe { Port::<u32>::new(0xcfc).read() }
    }

    fn write_word(&mut self, device: DeviceFunction, register: u8, data: u32) {
        Self::select(device, register);
        // SAFETY: writes the selected register, on behalf of a driver that owns the device.
        unsafe { Port::<u32>::new(0xcfc).write(data) };
    }

    unsafe fn unsafe_clone(&self) -> Self {
        Self
    }
}

/// The virtio devices on the first bus.
pub(crate) fn virtio_devices() -> Vec<Transport> {
    let mut root = PciRoot::new(Ports);
    let devices: Vec<_> = root
        .enumerate_bus(0)
        .filter(|(_, info)| virtio_device_type(info).is_some())
        .map(|(device, _)| device)
        .collect();
    devices.into_iter().filter_map(|device| open(&mut root, device)).collect()
}

fn open(root: &mut PciRoot<Ports>, device: DeviceFunction) -> Option<Transport> {
    root.set_command(device, Command::MEMORY_SPACE | Command::BUS_MASTER);
    PciTransport::new::<Memory, _>(root, device).ok().map(SomeTransport::Pci)
}

//! What the guest's accesses outside its memory reach: the serial port, the reset, and the
//! registers of the devices.
//!
//! Everything here is an attacker's: any address, any length, at any time. Where nothing is,
//! reads are all ones and writes do nothing.

use super::layout::{DEVICE_LEN, DEVICES};
use super::virtio::mmio::Registers;
use abi::boot::SERIAL_PORT;
use std::convert::Infallible;
use std::io::Write;
use vm_superio::Trigger;
use vm_superio::serial::{NoEvents, Serial};

/// Ports of the serial port's registers.
const SERIAL_LEN: u16 = 8;

/// The keyboard controller's command port, and the command that resets the machine.
const KEYBOARD: u16 = 0x64;
const RESET: u8 = 0xfe;

/// The guest does not wait for interrupts of the serial port: nothing ever arrives there.
struct NoInterrupt;

impl Trigger for NoInterrupt {
    type E = Infallible;

    fn trigger(&self) -> Result<(), Infallible> {
        Ok(())
    }
}

/// The machine around the processor.
pub struct Bus {
    serial: Serial<NoInterrupt, NoEvents, Box<dyn Write + Send>>,
    devices: Vec<Registers>,
}

impl Bus {
    /// A machine with these devices, whose serial port writes to `serial`.
    #[must_use]
    pub fn new(serial: Box<dyn Write + Send>, devices: Vec<Registers>) -> Self {
        Self { serial: Serial::new(NoInterrupt, serial), devices }
    }

    /// A write to a port; returns whether the machine goes on.
    #[must_use]
    pub fn port_out(&mut self, port: u16, data: &[u8]) -> bool {
        match (serial_register(port), data) {
            (Some(register), [value]) => {
                // Where nobody reads what the kernel says, it is lost.
                let _ = self.serial.write(register, *value);
                true
            }
            (None, [RESET]) => port != KEYBOARD,
            _ => true,
        }
    }

    /// A read from a port.
    pub fn port_in(&mut self, port: u16, data: &mut [u8]) {
        match (serial_register(port), data) {
            (Some(register), [value]) => *value = self.serial.read(register),
            (_, data) => data.fill(0xff),
        }
    }

    /// A read from memory that is none.
    pub fn read(&mut self, address: u64, data: &mut [u8]) {
        match self.device(address) {
            Some((device, offset)) => device.read(offset, data),
            None => data.fill(0xff),
        }
    }

    /// A write to memory that is none.
    pub fn write(&mut self, address: u64, data: &[u8]) {
        if let Some((device, offset)) = self.device(address) {
            device.write(offset, data);
        }
    }

    fn device(&mut self, address: u64) -> Option<(&mut Registers, u32)> {
        let offset = address.checked_sub(DEVICES)?;
        let index = usize::try_from(offset / DEVICE_LEN).ok()?;
        // It is below the length.
        Some((self.devices.get_mut(index)?, (offset % DEVICE_LEN) as u32))
    }
}

fn serial_register(port: u16) -> Option<u8> {
    let register = port.checked_sub(SERIAL_PORT).filter(|&register| register < SERIAL_LEN)?;
    u8::try_from(register).ok()
}

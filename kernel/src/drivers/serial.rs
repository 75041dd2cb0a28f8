//! The first serial port (16550): the console of a boot by hand, and of a dying kernel.

use abi::boot::SERIAL_PORT;
use x86_64::instructions::port::Port;

const INTERRUPT_ENABLE: u16 = 1;
const FIFO_CONTROL: u16 = 2;
const MODEM_CONTROL: u16 = 4;
const LINE_STATUS: u16 = 5;

const DATA_READY: u8 = 1;
const TRANSMITTER_EMPTY: u8 = 1 << 5;
/// What a read gives where no port is.
const NOTHING: u8 = 0xff;

fn register(offset: u16) -> Port<u8> {
    Port::new(SERIAL_PORT + offset)
}

fn status() -> u8 {
    // SAFETY: reading the line status has no effect that matters.
    unsafe { register(LINE_STATUS).read() }
}

/// Lets received bytes raise an interrupt.
pub(crate) fn enable_input() {
    // SAFETY: these registers belong to us.
    unsafe {
        register(FIFO_CONTROL).write(0x07);
        register(MODEM_CONTROL).write(0x0b);
        register(INTERRUPT_ENABLE).write(0x01);
    }
}

/// Sends bytes, waiting for the port.
pub(crate) fn write(bytes: &[u8]) {
    const PATIENCE: u32 = 100_000;
    for &byte in bytes {
        let mut tries = 0;
        while status() & TRANSMITTER_EMPTY == 0 && tries < PATIENCE {
            tries += 1;
        }
        // SAFETY: sends a byte.
        unsafe { register(0).write(byte) };
    }
}

/// A received byte, if there is one.
pub(crate) fn read() -> Option<u8> {
    let status = status();
    // SAFETY: takes a byte that has arrived.
    (status != NOTHING && status & DATA_READY != 0).then(|| unsafe { register(0).read() })
}

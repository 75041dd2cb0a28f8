//! Devices: interrupt controllers, the serial port, virtio.

pub(crate) mod channel;
pub(crate) mod host;
pub(crate) mod interrupts;
pub(crate) mod net;
pub(crate) mod ninep;
mod pci;
pub(crate) mod random;
pub(crate) mod rtc;
pub(crate) mod serial;
pub(crate) mod virtio;

//! virtio devices (virtio 1.2): each queue has a worker, a thread that does its device's work.
//!
//! - [`mmio`]: the registers (4.2), on the processor's thread
//! - [`queue`]: a queue, as the processor's thread and its worker share it
//! - [`console`], [`rng`], [`net`], [`ninep`]: the devices

pub mod console;
pub mod mmio;
pub mod net;
pub mod ninep;
pub mod queue;
pub mod rng;

use queue::Worker;
use std::io;

/// A device, before it gets its place in the machine.
pub struct Device {
    /// What it is (virtio 1.2, 5).
    pub kind: u32,
    /// Its own features, besides `VIRTIO_F_VERSION_1`.
    pub features: u64,
    /// Its configuration.
    pub config: Vec<u8>,
    /// What each of its queues does, and how much it needs of the host.
    pub queues: Vec<(Role, Work)>,
}

/// The work of a queue, for ever.
pub type Work = Box<dyn FnOnce(&Worker) -> io::Result<()> + Send>;

/// What a thread needs of the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The processor.
    Processor,
    /// Bytes from one descriptor to another, and random ones.
    Stream,
    /// Files below a directory.
    Files,
}

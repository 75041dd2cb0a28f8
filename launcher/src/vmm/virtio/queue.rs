//! A queue, as the processor's thread and its worker share it.
//!
//! The guest chooses everything in it: `virtio-queue` checks indices and addresses, this module
//! bounds lengths. A chain whose memory is not there is given back with nothing in it.

use super::super::memory::Memory;
use std::io::{self, Read, Write};
use std::sync::atomic::{AtomicU32, Ordering, fence};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use virtio_queue::{DescriptorChain, Queue, QueueT};
use vm_memory::{Bytes, GuestAddress};
use vmm_sys_util::eventfd::EventFd;

/// Largest queue.
pub const QUEUE_MAX: u16 = 256;

/// `VIRTQ_AVAIL_F_NO_INTERRUPT` (2.7.6)
const NO_INTERRUPT: u16 = 1;

/// The interrupt of a device.
pub struct Interrupt {
    /// `InterruptStatus` of its registers.
    pub status: AtomicU32,
    /// Raises it.
    pub line: EventFd,
}

/// `InterruptStatus`: a buffer was used (4.2.2).
pub const USED_BUFFER: u32 = 1;

/// A queue in use.
pub struct Active {
    queue: Queue,
    /// Which use of the device it belongs to.
    generation: u64,
}

/// What both threads share of a queue.
#[derive(Default)]
pub struct Slot {
    active: Mutex<Option<Active>>,
}

impl Slot {
    fn lock(&self) -> MutexGuard<'_, Option<Active>> {
        self.active.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a queue to use.
    pub fn activate(&self, queue: Queue, generation: u64) {
        *self.lock() = Some(Active { queue, generation });
    }

    /// Ends its use: from now on the worker touches none of it.
    pub fn reset(&self) {
        *self.lock() = None;
    }
}

/// A queue as its worker sees it.
pub struct Worker {
    /// The guest's memory.
    pub memory: Arc<Memory>,
    /// What it shares with the processor's thread.
    pub slot: Arc<Slot>,
    /// The guest, or a change of the device, wakes the worker by it.
    pub kick: EventFd,
    /// The device's interrupt.
    pub interrupt: Arc<Interrupt>,
}

/// Buffers that the guest gave.
pub struct Chain {
    chain: DescriptorChain<Arc<Memory>>,
    head: u16,
    generation: u64,
}

impl Worker {
    /// Answers chains for ever.
    ///
    /// # Errors
    /// The host's, or those of `answer`.
    pub fn serve(&self, mut answer: impl FnMut(&Chain) -> io::Result<Vec<u8>>) -> io::Result<()> {
        loop {
            let chain = self.next()?;
            self.answer(&chain, &answer(&chain)?)?;
        }
    }

    /// Waits for the next chain of buffers.
    ///
    /// # Errors
    /// The host's, at which the worker ends.
    pub fn next(&self) -> io::Result<Chain> {
        loop {
            if let Some(chain) = self.take() {
                return Ok(chain);
            }
            self.kick.read()?;
        }
    }

    /// The next chain, if there is one.
    pub fn take(&self) -> Option<Chain> {
        let mut slot = self.slot.lock();
        let Active { queue, generation } = slot.as_mut()?;
        let chain = queue.pop_descriptor_chain(self.memory.clone())?;
        Some(Chain { head: chain.head_index(), chain, generation: *generation })
    }

    /// Gives a chain back with these bytes in it, as far as there is room.
    ///
    /// # Errors
    /// The host's, at which the worker ends.
    pub fn answer(&self, chain: &Chain, bytes: &[u8]) -> io::Result<()> {
        let mut slot = self.slot.lock();
        let Some(Active { queue, generation }) = slot.as_mut() else { return Ok(()) };
        if *generation != chain.generation {
            return Ok(());
        }
        let len = u32::try_from(chain.write(&self.memory, bytes)).unwrap_or(u32::MAX);
        // A ring that is not there any more, or a head that does not exist, is the guest's own
        // misfortune.
        if queue.add_used(&*self.memory, chain.head, len).is_err() {
            return Ok(());
        }
        // The guest either sees the buffer when it looks again, or has asked for interrupts.
        fence(Ordering::SeqCst);
        let flags = self.memory.load(GuestAddress(queue.avail_ring()), Ordering::Relaxed);
        if flags.map_or(0, u16::from_le) & NO_INTERRUPT != 0 {
            return Ok(());
        }
        self.interrupt.status.fetch_or(USED_BUFFER, Ordering::SeqCst);
        self.interrupt.line.write(1)
    }
}

impl Chain {
    /// Reads what the guest wrote, up to `max` bytes.
    #[must_use]
    pub fn read(&self, memory: &Memory, max: usize) -> Vec<u8> {
        let Ok(mut reader) = self.chain.clone().reader(memory) else { return Vec::new() };
        let mut bytes = vec![0; reader.available_bytes().min(max)];
        let len = reader.read(&mut bytes).unwrap_or(0);
        bytes.truncate(len);
        bytes
    }

    /// How many bytes there is room for.
    #[must_use]
    pub fn room(&self, memory: &Memory) -> usize {
        self.chain.clone().writer(memory).map_or(0, |writer| writer.available_bytes())
    }

    /// Writes for the guest, as far as there is room; how many bytes it took.
    #[must_use]
    pub fn write(&self, memory: &Memory, bytes: &[u8]) -> usize {
        // One write goes over all buffers.
        self.chain.clone().writer(memory).map_or(0, |mut writer| writer.write(bytes).unwrap_or(0))
    }
}

//! The registers of a device in memory (virtio 1.2, 4.2): any offset, any width, in any order.

use super::Device;
use super::queue::{Interrupt, QUEUE_MAX, Slot, Worker};
use crate::vmm::memory::Memory;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use virtio_queue::{Queue, QueueT};
use vmm_sys_util::eventfd::EventFd;

/// Offsets of registers.
pub mod register {
    #![allow(missing_docs, reason = "the names are those of virtio 1.2, 4.2.2")]

    pub const MAGIC: u64 = 0x00;
    pub const VERSION: u64 = 0x04;
    pub const DEVICE_ID: u64 = 0x08;
    pub const VENDOR_ID: u64 = 0x0c;
    pub const DEVICE_FEATURES: u64 = 0x10;
    pub const DEVICE_FEATURES_SELECT: u64 = 0x14;
    pub const DRIVER_FEATURES: u64 = 0x20;
    pub const DRIVER_FEATURES_SELECT: u64 = 0x24;
    pub const QUEUE_SELECT: u64 = 0x30;
    pub const QUEUE_SIZE_MAX: u64 = 0x34;
    pub const QUEUE_SIZE: u64 = 0x38;
    pub const QUEUE_READY: u64 = 0x44;
    pub const QUEUE_NOTIFY: u64 = 0x50;
    pub const INTERRUPT_STATUS: u64 = 0x60;
    pub const INTERRUPT_ACK: u64 = 0x64;
    pub const STATUS: u64 = 0x70;
    pub const QUEUE_DESC_LOW: u64 = 0x80;
    pub const QUEUE_DESC_HIGH: u64 = 0x84;
    pub const QUEUE_DRIVER_LOW: u64 = 0x90;
    pub const QUEUE_DRIVER_HIGH: u64 = 0x94;
    pub const QUEUE_DEVICE_LOW: u64 = 0xa0;
    pub const QUEUE_DEVICE_HIGH: u64 = 0xa4;
    pub const CONFIG_GENERATION: u64 = 0xfc;
    pub const CONFIG: u64 = 0x100;
}

/// Bits of the status (2.1).
const FEATURES_OK: u32 = 8;
const DRIVER_OK: u32 = 4;
const NEEDS_RESET: u32 = 64;

const MAGIC: u32 = u32::from_le_bytes(*b"virt");
const VERSION: u32 = 2;
const VENDOR: u32 = u32::from_le_bytes(*b"birg");

/// `VIRTIO_F_VERSION_1`
const VERSION_1: u64 = 1 << 32;

/// A device's registers.
pub struct Registers {
    kind: u32,
    features: u64,
    config: Vec<u8>,
    memory: Arc<Memory>,
    interrupt: Arc<Interrupt>,
    queues: Vec<QueueState>,
    accepted: u64,
    features_select: u32,
    driver_features_select: u32,
    queue_select: u32,
    status: u32,
    generation: u64,
}

struct QueueState {
    queue: Queue,
    slot: Arc<Slot>,
    kick: EventFd,
}

/// A device in its place: its registers, and the workers of its queues.
pub struct Placed {
    /// The registers.
    pub registers: Registers,
    /// The workers, in the order of the queues.
    pub workers: Vec<Worker>,
}

/// Gives a device its place.
///
/// # Errors
/// The host has no more descriptors.
pub fn place(device: &Device, memory: &Arc<Memory>) -> std::io::Result<Placed> {
    let line = EventFd::new(libc::EFD_CLOEXEC)?;
    let interrupt = Arc::new(Interrupt { status: 0.into(), line });
    let (mut queues, mut workers) = (Vec::new(), Vec::new());
    for _ in &device.queues {
        let kick = EventFd::new(libc::EFD_CLOEXEC)?;
        let slot = Arc::new(Slot::default());
        workers.push(Worker {
            memory: memory.clone(),
            slot: slot.clone(),
            kick: kick.try_clone()?,
            interrupt: interrupt.clone(),
        });
        let queue = Queue::new(QUEUE_MAX).map_err(std::io::Error::other)?;
        queues.push(QueueState { queue, slot, kick });
    }
    let registers = Registers {
        kind: device.kind,
        features: device.features | VERSION_1,
        config: device.config.clone(),
        memory: memory.clone(),
        interrupt,
        queues,
        accepted: 0,
        features_select: 0,
        driver_features_select: 0,
        queue_select: 0,
        status: 0,
        generation: 0,
    };
    Ok(Placed { registers, workers })
}

impl Registers {
    /// Raises the device's interrupt.
    #[must_use]
    pub fn line(&self) -> &EventFd {
        &self.interrupt.line
    }

    /// What the guest wakes the workers by: a write of the queue's number to
    /// [`register::QUEUE_NOTIFY`].
    pub fn kicks(&self) -> impl Iterator<Item = &EventFd> {
        self.queues.iter().map(|queue| &queue.kick)
    }

    /// A read; where nothing is, all ones.
    pub fn read(&self, offset: u64, data: &mut [u8]) {
        data.fill(0xff);
        if let Some(at) = offset.checked_sub(register::CONFIG) {
            let start = usize::try_from(at).unwrap_or(usize::MAX);
            let config = self.config.get(start..).unwrap_or_default();
            data.iter_mut().zip(config).for_each(|(slot, byte)| *slot = *byte);
        } else if let (Some(value), Ok(slot)) =
            (self.register(offset), <&mut [u8; 4]>::try_from(data))
        {
            *slot = value.to_le_bytes();
        }
    }

    fn register(&self, offset: u64) -> Option<u32> {
        let queue = || self.queues.get(self.queue_select as usize).map(|state| &state.queue);
        Some(match offset {
            register::MAGIC => MAGIC,
            register::VERSION => VERSION,
            register::DEVICE_ID => self.kind,
            register::VENDOR_ID => VENDOR,
            register::DEVICE_FEATURES => half(self.features, self.features_select),
            register::QUEUE_SIZE_MAX => queue().map_or(0, |queue| queue.max_size().into()),
            register::QUEUE_READY => queue().map_or(0, |queue| queue.ready().into()),
            register::INTERRUPT_STATUS => self.interrupt.status.load(Ordering::SeqCst),
            register::STATUS => self.status,
            register::CONFIG_GENERATION => 0,
            _ => return None,
        })
    }

    /// A write; where nothing is, and at the wrong time, it does nothing.
    pub fn write(&mut self, offset: u64, data: &[u8]) {
        let Ok(bytes) = data.try_into() else { return };
        let value = u32::from_le_bytes(bytes);
        match offset {
            register::DEVICE_FEATURES_SELECT => self.features_select = value,
            register::DRIVER_FEATURES_SELECT => self.driver_features_select = value,
            register::DRIVER_FEATURES => self.accept(value),
            register::QUEUE_SELECT => self.queue_select = value,
            register::INTERRUPT_ACK => {
                self.interrupt.status.fetch_and(!value, Ordering::SeqCst);
            }
            register::STATUS => self.set_status(value),
            _ => self.set_queue(offset, value),
        }
    }

    fn accept(&mut self, value: u32) {
        if self.status & FEATURES_OK == 0 {
            self.accepted = match self.driver_features_select {
                0 => self.accepted & !u64::from(u32::MAX) | u64::from(value),
                1 => self.accepted & u64::from(u32::MAX) | u64::from(value) << 32,
                _ => self.accepted,
            };
        }
    }

    /// While the device is in use, a queue changes only by being given up.
    fn set_queue(&mut self, offset: u64, value: u32) {
        let Some(state) = self.queues.get_mut(self.queue_select as usize) else { return };
        let queue = &mut state.queue;
        if self.status & DRIVER_OK != 0 {
            if (offset, value) == (register::QUEUE_READY, 0) {
                state.slot.reset();
                queue.set_ready(false);
            }
            return;
        }
        match offset {
            // What is no size of a queue leaves it as it is.
            register::QUEUE_SIZE => queue.set_size(u16::try_from(value).unwrap_or(0)),
            register::QUEUE_READY => queue.set_ready(value == 1),
            register::QUEUE_DESC_LOW => queue.set_desc_table_address(Some(value), None),
            register::QUEUE_DESC_HIGH => queue.set_desc_table_address(None, Some(value)),
            register::QUEUE_DRIVER_LOW => queue.set_avail_ring_address(Some(value), None),
            register::QUEUE_DRIVER_HIGH => queue.set_avail_ring_address(None, Some(value)),
            register::QUEUE_DEVICE_LOW => queue.set_used_ring_address(Some(value), None),
            register::QUEUE_DEVICE_HIGH => queue.set_used_ring_address(None, Some(value)),
            _ => {}
        }
    }

    fn set_status(&mut self, mut value: u32) {
        if value == 0 {
            return self.reset();
        }
        // Only a reset takes bits away (2.1.1).
        value |= self.status;
        let acceptable = self.accepted & !self.features == 0 && self.accepted & VERSION_1 != 0;
        if !acceptable {
            value &= !FEATURES_OK;
        }
        let starts = value & !self.status & DRIVER_OK != 0;
        if starts && (value & FEATURES_OK == 0 || !self.start()) {
            value = value & !DRIVER_OK | NEEDS_RESET;
        }
        self.status = value;
    }

    /// Puts the queues to use that are ready, if they are sound.
    fn start(&mut self) -> bool {
        let ready = || self.queues.iter().filter(|state| state.queue.ready());
        if !ready().all(|state| state.queue.is_valid(&*self.memory)) {
            return false;
        }
        self.generation += 1;
        for QueueState { queue, slot, kick } in ready() {
            // A copy: this one stays what the guest reads back.
            let Ok(mut copy) = Queue::try_from(queue.state()) else { return false };
            copy.set_next_avail(0);
            slot.activate(copy, self.generation);
            // What the guest offered before is looked at, too.
            let _ = kick.write(1);
        }
        true
    }

    fn reset(&mut self) {
        for state in &mut self.queues {
            state.slot.reset();
            state.queue.reset();
        }
        self.interrupt.status.store(0, Ordering::SeqCst);
        self.accepted = 0;
        self.features_select = 0;
        self.driver_features_select = 0;
        self.queue_select = 0;
        self.status = 0;
    }
}

fn half(features: u64, select: u32) -> u32 {
    match select {
        // Both truncate to their half.
        0 => features as u32,
        1 => (features >> 32) as u32,
        _ => 0,
    }
}

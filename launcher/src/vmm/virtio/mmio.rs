//! The registers of a device in memory (virtio 1.2, 4.2): any offset, any width, in any order.

use super::Device;
use super::queue::{Interrupt, QUEUE_MAX, Slot, Worker};
use crate::vmm::memory::Memory;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use virtio_bindings::virtio_config::{
    VIRTIO_CONFIG_S_DRIVER_OK as DRIVER_OK, VIRTIO_CONFIG_S_FEATURES_OK as FEATURES_OK,
    VIRTIO_CONFIG_S_NEEDS_RESET as NEEDS_RESET, VIRTIO_F_VERSION_1,
};
use virtio_bindings::virtio_mmio as reg;
use virtio_queue::{Queue, QueueT};
use vmm_sys_util::eventfd::EventFd;

const MAGIC: u32 = u32::from_le_bytes(*b"virt");
const VERSION: u32 = 2;
const VENDOR: u32 = u32::from_le_bytes(*b"birg");

const VERSION_1: u64 = 1 << VIRTIO_F_VERSION_1;

/// A device's registers.
pub struct Registers {
    kind: u32,
    features: u64,
    config: Vec<u8>,
    memory: Arc<Memory>,
    interrupt: Arc<Interrupt>,
    queues: Vec<QueueState>,
    driver: Driver,
    generation: u64,
}

/// What the driver chose since the last reset.
#[derive(Default)]
struct Driver {
    accepted: u64,
    features_select: u32,
    driver_features_select: u32,
    queue_select: u32,
    status: u32,
}

struct QueueState {
    queue: Queue,
    slot: Arc<Slot>,
    kick: EventFd,
}

/// Gives a device its place: its registers, and the workers of its queues in their order.
///
/// # Errors
/// The host has no more descriptors.
pub fn place(device: &Device, memory: &Arc<Memory>) -> std::io::Result<(Registers, Vec<Worker>)> {
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
        driver: Driver::default(),
        generation: 0,
    };
    Ok((registers, workers))
}

impl Registers {
    /// Raises the device's interrupt.
    #[must_use]
    pub fn line(&self) -> &EventFd {
        &self.interrupt.line
    }

    /// What the guest wakes the workers by: a write of the queue's number to
    /// `QueueNotify`.
    pub fn kicks(&self) -> impl Iterator<Item = &EventFd> {
        self.queues.iter().map(|queue| &queue.kick)
    }

    /// A read; where nothing is, all ones.
    pub fn read(&self, offset: u32, data: &mut [u8]) {
        data.fill(0xff);
        if let Some(at) = offset.checked_sub(reg::VIRTIO_MMIO_CONFIG) {
            let start = usize::try_from(at).unwrap_or(usize::MAX);
            let config = self.config.get(start..).unwrap_or_default();
            data.iter_mut().zip(config).for_each(|(slot, byte)| *slot = *byte);
        } else if let (Some(value), Ok(slot)) =
            (self.register(offset), <&mut [u8; 4]>::try_from(data))
        {
            *slot = value.to_le_bytes();
        }
    }

    fn register(&self, offset: u32) -> Option<u32> {
        let driver = &self.driver;
        let queue = || self.queues.get(driver.queue_select as usize).map(|state| &state.queue);
        Some(match offset {
            reg::VIRTIO_MMIO_MAGIC_VALUE => MAGIC,
            reg::VIRTIO_MMIO_VERSION => VERSION,
            reg::VIRTIO_MMIO_DEVICE_ID => self.kind,
            reg::VIRTIO_MMIO_VENDOR_ID => VENDOR,
            reg::VIRTIO_MMIO_DEVICE_FEATURES => half(self.features, driver.features_select),
            reg::VIRTIO_MMIO_QUEUE_NUM_MAX => queue().map_or(0, |q| q.max_size().into()),
            reg::VIRTIO_MMIO_QUEUE_READY => queue().map_or(0, |q| q.ready().into()),
            reg::VIRTIO_MMIO_INTERRUPT_STATUS => self.interrupt.status.load(Ordering::SeqCst),
            reg::VIRTIO_MMIO_STATUS => self.driver.status,
            reg::VIRTIO_MMIO_CONFIG_GENERATION => 0,
            _ => return None,
        })
    }

    /// A write; where nothing is, and at the wrong time, it does nothing.
    pub fn write(&mut self, offset: u32, data: &[u8]) {
        let Ok(bytes) = data.try_into() else { return };
        let value = u32::from_le_bytes(bytes);
        match offset {
            reg::VIRTIO_MMIO_DEVICE_FEATURES_SEL => self.driver.features_select = value,
            reg::VIRTIO_MMIO_DRIVER_FEATURES_SEL => self.driver.driver_features_select = value,
            reg::VIRTIO_MMIO_DRIVER_FEATURES => self.accept(value),
            reg::VIRTIO_MMIO_QUEUE_SEL => self.driver.queue_select = value,
            reg::VIRTIO_MMIO_INTERRUPT_ACK => {
                self.interrupt.status.fetch_and(!value, Ordering::SeqCst);
            }
            reg::VIRTIO_MMIO_STATUS => self.set_status(value),
            _ => self.set_queue(offset, value),
        }
    }

    fn accept(&mut self, value: u32) {
        if self.driver.status & FEATURES_OK == 0 {
            let (accepted, value) = (&mut self.driver.accepted, u64::from(value));
            match self.driver.driver_features_select {
                0 => *accepted = *accepted >> 32 << 32 | value,
                1 => *accepted = *accepted & u64::from(u32::MAX) | value << 32,
                _ => {}
            }
        }
    }

    /// While the device is in use, a queue changes only by being given up.
    fn set_queue(&mut self, offset: u32, value: u32) {
        let Some(state) = self.queues.get_mut(self.driver.queue_select as usize) else { return };
        let queue = &mut state.queue;
        if self.driver.status & DRIVER_OK != 0 {
            if (offset, value) == (reg::VIRTIO_MMIO_QUEUE_READY, 0) {
                state.slot.reset();
                queue.set_ready(false);
            }
            return;
        }
        match offset {
            // What is no size of a queue leaves it as it is.
            reg::VIRTIO_MMIO_QUEUE_NUM => queue.set_size(u16::try_from(value).unwrap_or(0)),
            reg::VIRTIO_MMIO_QUEUE_READY => queue.set_ready(value == 1),
            reg::VIRTIO_MMIO_QUEUE_DESC_LOW => queue.set_desc_table_address(Some(value), None),
            reg::VIRTIO_MMIO_QUEUE_DESC_HIGH => queue.set_desc_table_address(None, Some(value)),
            reg::VIRTIO_MMIO_QUEUE_AVAIL_LOW => queue.set_avail_ring_address(Some(value), None),
            reg::VIRTIO_MMIO_QUEUE_AVAIL_HIGH => queue.set_avail_ring_address(None, Some(value)),
            reg::VIRTIO_MMIO_QUEUE_USED_LOW => queue.set_used_ring_address(Some(value), None),
            reg::VIRTIO_MMIO_QUEUE_USED_HIGH => queue.set_used_ring_address(None, Some(value)),
            _ => {}
        }
    }

    fn set_status(&mut self, mut value: u32) {
        if value == 0 {
            return self.reset();
        }
        // Only a reset takes bits away (2.1.1).
        value |= self.driver.status;
        let acceptable =
            self.driver.accepted & !self.features == 0 && self.driver.accepted & VERSION_1 != 0;
        if !acceptable {
            value &= !FEATURES_OK;
        }
        let starts = value & !self.driver.status & DRIVER_OK != 0;
        if starts && (value & FEATURES_OK == 0 || !self.start()) {
            value = value & !DRIVER_OK | NEEDS_RESET;
        }
        self.driver.status = value;
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
        self.driver = Driver::default();
    }
}

/// The features from number 32 × `select` on.
fn half(features: u64, select: u32) -> u32 {
    // What is above belongs to the next half.
    features.checked_shr(select.saturating_mul(32)).unwrap_or(0) as u32
}

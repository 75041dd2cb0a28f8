//! virtio-9p (virtio 1.2, device 9): channels over which the host answers messages.
//!
//! A message is a chain of two buffers: what is asked, and room for the answer. The driver
//! does not look into them.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, Ordering};

use bitflags::bitflags;
use spin::{Mutex, Once};
use syscalls::machine::{Answer, Message, MessageChannel, Refused};
use virtio_drivers::queue::VirtQueue;
use virtio_drivers::transport::{DeviceStatus, InterruptStatus, Transport as _};

use super::virtio::{Memory, Transport};

const QUEUE: u16 = 0;
/// Descriptors: twice the number of messages under way.
const QUEUE_LEN: usize = 64;
const DESCRIPTORS_PER_MESSAGE: usize = 2;

bitflags! {
    /// The features the driver accepts.
    #[derive(Clone, Copy, Debug)]
    struct Features: u64 {
        /// The configuration has the name of the device.
        const MOUNT_TAG = 1 << 0;
        /// The device keeps to virtio 1.0 or later.
        const VERSION_1 = 1 << 32;
    }
}

static CHANNELS: Once<Vec<Arc<Channel>>> = Once::new();
/// An interrupt came since [`take_news`] was called.
static HAS_NEWS: AtomicBool = AtomicBool::new(false);

/// A channel.
struct Channel {
    name: Vec<u8>,
    device: Mutex<Device>,
}

struct Device {
    transport: Transport,
    queue: VirtQueue<Memory, QUEUE_LEN>,
    /// What the device reads and writes, by the queue's token.
    under_way: Box<[Option<Message>; QUEUE_LEN]>,
    is_dead: bool,
}

/// Takes the devices; one that does not work is left out with a message.
pub(crate) fn init(devices: Vec<Transport>) {
    let open = |device| match Channel::new(device) {
        Ok(channel) => Some(Arc::new(channel)),
        Err(error) => {
            log::error!("a virtio-9p device does not work: {error}");
            None
        }
    };
    CHANNELS.call_once(|| devices.into_iter().filter_map(open).collect());
}

fn all() -> &'static [Arc<Channel>] {
    CHANNELS.get().map_or(&[], Vec::as_slice)
}

/// The channels.
pub(crate) fn channels() -> Vec<Arc<dyn MessageChannel>> {
    all().iter().map(|channel| Arc::clone(channel) as Arc<dyn MessageChannel>).collect()
}

/// Acknowledges the interrupts of all devices.
pub(crate) fn acknowledge() {
    for channel in all() {
        if channel.device.lock().acknowledge() {
            HAS_NEWS.store(true, Ordering::Relaxed);
        }
    }
}

/// Whether a device had something to say since the last call.
pub(crate) fn take_news() -> bool {
    HAS_NEWS.swap(false, Ordering::Relaxed)
}

impl Channel {
    fn new(mut transport: Transport) -> virtio_drivers::Result<Self> {
        transport.begin_init(Features::MOUNT_TAG | Features::VERSION_1);
        let queue = VirtQueue::new(&mut transport, QUEUE, false, false)?;
        transport.finish_init();
        let name = transport.read_consistent(|| name(&transport))?;
        let under_way = Box::new([const { None }; QUEUE_LEN]);
        let device = Device { transport, queue, under_way, is_dead: false };
        Ok(Self { name, device: Mutex::new(device) })
    }
}

/// The mount tag: its length, and its bytes.
fn name(transport: &Transport) -> virtio_drivers::Result<Vec<u8>> {
    let len: u16 = transport.read_config_space(0)?;
    (0..usize::from(len)).map(|at| transport.read_config_space(size_of::<u16>() + at)).collect()
}

impl Device {
    /// Acknowledges the interrupt; returns whether there was one.
    fn acknowledge(&mut self) -> bool {
        let status = self.transport.ack_interrupt();
        if status.contains(InterruptStatus::DEVICE_CONFIGURATION_INTERRUPT) {
            let status = self.transport.get_status();
            self.is_dead |= status.contains(DeviceStatus::DEVICE_NEEDS_RESET);
        }
        status.intersects(InterruptStatus::all())
    }

    fn send(&mut self, mut message: Message) -> Result<(), Refused> {
        if self.is_dead || message.request.is_empty() || message.reply.is_empty() {
            return Err(Refused::Dead);
        }
        if self.queue.available_desc() < DESCRIPTORS_PER_MESSAGE {
            return Err(Refused::Full(message));
        }
        let (request, reply) = (&message.request, &mut message.reply);
        // SAFETY: both buffers stay in `under_way`, untouched, until the device has used them;
        // moving the message does not move what its vectors hold.
        let added = unsafe { self.queue.add(&[request], &mut [reply]) };
        let Some(slot) = added.ok().and_then(|token| self.under_way.get_mut(usize::from(token)))
        else {
            self.is_dead = true;
            // The device may have the buffers: they must not be used for anything else.
            core::mem::forget(message);
            return Err(Refused::Dead);
        };
        *slot = Some(message);
        if self.queue.should_notify() {
            self.transport.notify(QUEUE);
        }
        Ok(())
    }

    fn receive(&mut self) -> Option<Answer> {
        if self.is_dead {
            return None;
        }
        let token = self.queue.peek_used()?;
        let slot = self.under_way.get_mut(usize::from(token)).and_then(Option::take);
        let Some(Message { token: of_sender, request, mut reply }) = slot else {
            log::error!("a virtio-9p device used a buffer it was not given");
            self.is_dead = true;
            return None;
        };
        // SAFETY: these are the buffers that were added with this token.
        let used = unsafe { self.queue.pop_used(token, &[&request], &mut [&mut reply]) };
        let Ok(len) = used else {
            self.is_dead = true;
            core::mem::forget((request, reply));
            return None;
        };
        reply.truncate(len as usize);
        Some(Answer { token: of_sender, bytes: reply })
    }
}

impl MessageChannel for Channel {
    fn name(&self) -> &[u8] {
        &self.name
    }

    fn send(&self, message: Message) -> Result<(), Refused> {
        self.device.lock().send(message)
    }

    fn receive(&self) -> Option<Answer> {
        self.device.lock().receive()
    }

    fn is_alive(&self) -> bool {
        !self.device.lock().is_dead
    }
}

//! virtio-net (virtio 1.2, 5.1): Ethernet frames.
//!
//! Buffers are made when the device is opened, and go round between the device and the driver.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, Ordering};

use bitflags::bitflags;
use spin::{Mutex, Once};
use syscalls::machine::{self, OutOfMemory};
use virtio_drivers::queue::VirtQueue;
use virtio_drivers::transport::Transport as _;

use super::virtio::{Memory, Transport};

const RECEIVE: u16 = 0;
const SEND: u16 = 1;
/// Frames under way in each direction.
const QUEUE_LEN: usize = 128;
/// `virtio_net_hdr` (5.1.6), in front of each frame.
const HEADER_LEN: usize = 12;
const ETHERNET_HEADER_LEN: usize = 14;
const MTU: usize = 1500;
const BUFFER_LEN: usize = HEADER_LEN + ETHERNET_HEADER_LEN + MTU;

bitflags! {
    /// The features the driver accepts. Neither checksums nor segmentation are left to the
    /// device, and the crate's event index does not survive its wrap-around.
    #[derive(Clone, Copy, Debug)]
    struct Features: u64 {
        /// The configuration has the hardware address.
        const ADDRESS = 1 << 5;
        /// The device keeps to virtio 1.0 or later.
        const VERSION_1 = 1 << 32;
    }
}

type Buffer = Box<[u8]>;

static LINKS: Once<Vec<Arc<Link>>> = Once::new();
/// An interrupt came since [`take_news`] was called.
static HAS_NEWS: AtomicBool = AtomicBool::new(false);

/// A network device.
struct Link {
    address: [u8; 6],
    device: Mutex<Device>,
}

struct Device {
    transport: Transport,
    receiver: Queue,
    sender: Queue,
    /// For frames to be sent.
    spare: Vec<Buffer>,
    is_open: bool,
    /// The device broke its rules and is not used any more.
    is_dead: bool,
}

struct Queue {
    /// In a box: it is large, and the stack of the kernel is not.
    ring: Box<VirtQueue<Memory, QUEUE_LEN>>,
    /// What the device reads or writes, by the ring's token.
    under_way: Box<[Option<Buffer>; QUEUE_LEN]>,
}

/// The device used a buffer it was not given.
struct Violation;

/// Takes the devices; one that does not work is left out with a message.
pub(crate) fn init(devices: Vec<Transport>) {
    let open = |device| match Link::new(device) {
        Ok(link) => Some(Arc::new(link)),
        Err(error) => {
            log::error!("a virtio-net device does not work: {error}");
            None
        }
    };
    LINKS.call_once(|| devices.into_iter().filter_map(open).collect());
}

fn all() -> &'static [Arc<Link>] {
    LINKS.get().map_or(&[], Vec::as_slice)
}

/// The links.
pub(crate) fn links() -> Vec<Arc<dyn machine::Link>> {
    all().iter().map(|link| Arc::clone(link) as Arc<dyn machine::Link>).collect()
}

/// Acknowledges the interrupts of all devices.
pub(crate) fn acknowledge() {
    for link in all() {
        if !link.device.lock().transport.ack_interrupt().is_empty() {
            HAS_NEWS.store(true, Ordering::Relaxed);
        }
    }
}

/// Whether a device had something to say since the last call.
pub(crate) fn take_news() -> bool {
    HAS_NEWS.swap(false, Ordering::Relaxed)
}

/// A buffer of zeros, or none where memory is short.
fn buffer() -> Result<Buffer, OutOfMemory> {
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(BUFFER_LEN).map_err(|_| OutOfMemory)?;
    bytes.resize(BUFFER_LEN, 0);
    Ok(bytes.into_boxed_slice())
}

impl Link {
    fn new(mut transport: Transport) -> virtio_drivers::Result<Self> {
        let features = transport.begin_init(Features::ADDRESS | Features::VERSION_1);
        let receiver = Queue::new(&mut transport, RECEIVE)?;
        let mut sender = Queue::new(&mut transport, SEND)?;
        // Nobody waits for frames to be sent, as long as there is room for more.
        sender.ring.set_dev_notify(false);
        transport.finish_init();
        let address = if features.contains(Features::ADDRESS) {
            transport.read_consistent(|| transport.read_config_space(0))?
        } else {
            locally_administered_address()
        };
        let spare = Vec::new();
        let device = Device { transport, receiver, sender, spare, is_open: false, is_dead: false };
        Ok(Self { address, device: Mutex::new(device) })
    }
}

/// A random address for a device that has none.
fn locally_administered_address() -> [u8; 6] {
    const LOCAL: u8 = 2;
    const GROUP: u8 = 1;
    let mut address = [0; 6];
    super::random::fill(&mut address);
    address[0] = address[0] & !GROUP | LOCAL;
    address
}

impl Queue {
    fn new(transport: &mut Transport, number: u16) -> virtio_drivers::Result<Self> {
        let ring = Box::new(VirtQueue::new(transport, number, false, false)?);
        Ok(Self { ring, under_way: Box::new([const { None }; QUEUE_LEN]) })
    }

    /// Gives the device a buffer: to write to, or to read `len` bytes of.
    fn add(&mut self, mut buffer: Buffer, read_len: Option<usize>) -> Result<(), Violation> {
        // SAFETY: the buffer stays in `under_way`, untouched, until the device has used it.
        let added = unsafe {
            match read_len {
                Some(len) => self.ring.add(&[&buffer[..len]], &mut []),
                None => self.ring.add(&[], &mut [&mut buffer]),
            }
        };
        match added.ok().and_then(|token| self.under_way.get_mut(usize::from(token))) {
            Some(slot) => {
                *slot = Some(buffer);
                Ok(())
            }
            None => {
                // The device may have it: it must not be used for anything else.
                core::mem::forget(buffer);
                Err(Violation)
            }
        }
    }

    /// Takes a buffer back that the device has used, with how many bytes it wrote.
    fn take(&mut self, is_read: bool) -> Result<Option<(Buffer, usize)>, Violation> {
        let Some(token) = self.ring.peek_used() else { return Ok(None) };
        let slot = self.under_way.get_mut(usize::from(token)).and_then(Option::take);
        let mut buffer = slot.ok_or(Violation)?;
        // SAFETY: it is the buffer that was added with this token; of its length the ring
        // remembers nothing.
        let used = unsafe {
            match is_read {
                true => self.ring.pop_used(token, &[&buffer], &mut []),
                false => self.ring.pop_used(token, &[], &mut [&mut buffer]),
            }
        };
        match used {
            Ok(len) => Ok(Some((buffer, len as usize))),
            Err(_) => {
                core::mem::forget(buffer);
                Err(Violation)
            }
        }
    }
}

impl Device {
    /// Fills the receive queue.
    fn open(&mut self) -> Result<(), OutOfMemory> {
        if self.is_open {
            return Ok(());
        }
        let buffers = (0..QUEUE_LEN).map(|_| buffer()).collect::<Result<Vec<_>, _>>()?;
        self.is_open = true;
        buffers.into_iter().for_each(|buffer| self.listen(buffer));
        Ok(())
    }

    /// Gives the device a buffer for a frame that arrives.
    fn listen(&mut self, buffer: Buffer) {
        let added = self.receiver.add(buffer, None);
        self.check(added);
        if self.receiver.ring.should_notify() {
            self.transport.notify(RECEIVE);
        }
    }

    /// The next buffer with a frame behind its header, and where it ends.
    fn arrived(&mut self) -> Option<(Buffer, usize)> {
        if self.is_dead {
            return None;
        }
        let taken = self.receiver.take(false);
        let (buffer, len) = self.check(taken)??;
        let end = len.clamp(HEADER_LEN, buffer.len());
        Some((buffer, end))
    }

    /// A buffer for a frame, if there is room for it.
    fn room(&mut self) -> Option<Buffer> {
        if self.is_dead || !self.is_open {
            return None;
        }
        self.reclaim();
        if self.sender.ring.available_desc() == 0 {
            // It is looked at again, for the device may have been faster.
            self.sender.ring.set_dev_notify(true);
            self.reclaim();
            if self.sender.ring.available_desc() == 0 {
                return None;
            }
        }
        self.sender.ring.set_dev_notify(false);
        self.spare.pop().or_else(|| buffer().ok())
    }

    /// Takes back the buffers of frames that have been sent.
    fn reclaim(&mut self) {
        loop {
            let taken = self.sender.take(true);
            match self.check(taken).flatten() {
                Some((buffer, _)) => self.spare.push(buffer),
                None => return,
            }
        }
    }

    fn send(&mut self, buffer: Buffer, len: usize) {
        let added = self.sender.add(buffer, Some(len));
        self.check(added);
        if self.sender.ring.should_notify() {
            self.transport.notify(SEND);
        }
    }

    /// Leaves the device alone from its first violation on.
    fn check<T>(&mut self, result: Result<T, Violation>) -> Option<T> {
        if result.is_err() && !self.is_dead {
            log::error!("a virtio-net device used a buffer it was not given: it is left alone");
            self.is_dead = true;
        }
        result.ok()
    }
}

impl machine::Link for Link {
    fn address(&self) -> [u8; 6] {
        self.address
    }

    fn mtu(&self) -> usize {
        MTU
    }

    fn open(&self) -> Result<(), OutOfMemory> {
        self.device.lock().open()
    }

    fn receive(&self, take: &mut dyn FnMut(&[u8])) -> bool {
        let Some((buffer, end)) = self.device.lock().arrived() else { return false };
        take(&buffer[HEADER_LEN..end]);
        self.device.lock().listen(buffer);
        true
    }

    fn send(&self, len: usize, fill: &mut dyn FnMut(&mut [u8])) -> bool {
        let end = HEADER_LEN.saturating_add(len);
        if end > BUFFER_LEN {
            return false;
        }
        let Some(mut buffer) = self.device.lock().room() else { return false };
        // A header of zeros: nothing is left to the device.
        fill(&mut buffer[HEADER_LEN..end]);
        self.device.lock().send(buffer, end);
        true
    }

    fn can_send(&self) -> bool {
        let mut device = self.device.lock();
        let room = device.room();
        let has_room = room.is_some();
        device.spare.extend(room);
        has_room
    }
}

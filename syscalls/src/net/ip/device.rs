//! What smoltcp takes for a device: one frame that has arrived, and a way out.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;

use smoltcp::phy::{ChecksumCapabilities, Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::time::Instant;
use spin::Mutex;

use crate::buffer;
use crate::machine::Link;

/// The header of an Ethernet frame, in bytes.
const ETHERNET_HEADER_LEN: usize = 14;

/// The longest packet on the loopback interface, in bytes.
pub(super) const LOOPBACK_MTU: usize = 65535;

/// How many packets wait on the loopback interface before more are lost.
const LOOPBACK_QUEUE_LEN: usize = 1024;

/// Where packets are written that find no room; nobody reads them.
static LOST: Mutex<[u8; LOOPBACK_MTU + ETHERNET_HEADER_LEN]> =
    Mutex::new([0; LOOPBACK_MTU + ETHERNET_HEADER_LEN]);

/// What has gone through an interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Traffic {
    /// Packets that have arrived.
    pub(crate) received_packets: u64,
    /// How many bytes they had.
    pub(crate) received_bytes: u64,
    /// Packets that have left.
    pub(crate) sent_packets: u64,
    /// How many bytes they had.
    pub(crate) sent_bytes: u64,
    /// Packets that were to leave, and had no room.
    pub(crate) lost_packets: u64,
}

impl Traffic {
    fn count_sent(&mut self, len: usize) {
        self.sent_packets += 1;
        self.sent_bytes += len as u64;
    }

    fn count_received(&mut self, len: usize) {
        self.received_packets += 1;
        self.received_bytes += len as u64;
    }
}

/// Where packets leave, and what has.
pub(super) struct Way {
    pub(super) place: Place,
    pub(super) traffic: Traffic,
}

/// Where packets leave.
pub(super) enum Place {
    /// They arrive where they left.
    Loopback(VecDeque<Vec<u8>>),
    /// Through a device of the machine.
    Link(Arc<dyn Link>),
}

impl Way {
    /// A way that nothing has gone yet.
    pub(super) fn new(place: Place) -> Self {
        Self { place, traffic: Traffic::default() }
    }

    /// The longest packet, in bytes.
    pub(super) fn mtu(&self) -> usize {
        match &self.place {
            Place::Loopback(_) => LOOPBACK_MTU,
            Place::Link(link) => link.mtu(),
        }
    }

    fn has_room(&self) -> bool {
        match &self.place {
            Place::Loopback(packets) => packets.len() < LOOPBACK_QUEUE_LEN,
            Place::Link(link) => link.can_send(),
        }
    }

    /// Puts a packet on the loopback.
    pub(super) fn put(&mut self, packet: Vec<u8>) {
        if let Place::Loopback(packets) = &mut self.place {
            self.traffic.count_sent(packet.len());
            packets.push_back(packet);
        }
    }

    /// Sends a frame of `len` bytes; it is lost where there is no room for it.
    fn send<R>(&mut self, len: usize, fill: impl FnOnce(&mut [u8]) -> R) -> R {
        let (mut fill, mut result) = (Some(fill), None);
        let mut fill = |to: &mut [u8]| result = fill.take().map(|fill| fill(to));
        let is_sent = match &mut self.place {
            Place::Loopback(packets) => match buffer::zeroed(len) {
                Ok(mut packet) if packets.try_reserve(1).is_ok() => {
                    fill(&mut packet);
                    packets.push_back(packet);
                    true
                }
                _ => false,
            },
            Place::Link(link) => link.send(len, &mut fill),
        };
        if is_sent {
            self.traffic.count_sent(len);
        } else {
            self.traffic.lost_packets += 1;
            fill(&mut LOST.lock()[..len]);
        }
        result.expect("a frame is written once")
    }
}

/// The device of one call of smoltcp.
pub(super) struct Port<'a> {
    way: &'a mut Way,
    /// The frame that has arrived.
    frame: Option<&'a [u8]>,
    /// Whether a frame could not leave.
    pub(super) is_full: bool,
}

impl<'a> Port<'a> {
    /// A device at which `frame` has arrived, if any has.
    pub(super) fn new(way: &'a mut Way, frame: Option<&'a [u8]>) -> Self {
        Self { way, frame, is_full: false }
    }
}

/// A frame that has arrived.
pub(super) struct Arrived<'a>(&'a [u8]);

/// Room for a frame to be sent.
pub(super) struct Room<'a>(&'a mut Way);

impl RxToken for Arrived<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, take: F) -> R {
        take(self.0)
    }
}

impl TxToken for Room<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, fill: F) -> R {
        self.0.send(len, fill)
    }
}

impl Device for Port<'_> {
    type RxToken<'t>
        = Arrived<'t>
    where
        Self: 't;
    type TxToken<'t>
        = Room<'t>
    where
        Self: 't;

    fn receive(&mut self, _: Instant) -> Option<(Arrived<'_>, Room<'_>)> {
        let frame = self.frame.take()?;
        self.way.traffic.count_received(frame.len());
        Some((Arrived(frame), Room(self.way)))
    }

    fn transmit(&mut self, _: Instant) -> Option<Room<'_>> {
        self.is_full = !self.way.has_room();
        (!self.is_full).then_some(Room(self.way))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.max_transmission_unit = self.way.mtu();
        match self.way.place {
            Place::Loopback(_) => {
                capabilities.medium = Medium::Ip;
                // Memory does not err.
                capabilities.checksum = ChecksumCapabilities::ignored();
            }
            Place::Link(_) => {
                capabilities.medium = Medium::Ethernet;
                capabilities.max_transmission_unit += ETHERNET_HEADER_LEN;
            }
        }
        capabilities
    }
}

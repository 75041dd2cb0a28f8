//! Interfaces: the loopback, and one for each network device of the machine.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use abi::Errno;
use smoltcp::iface::{Config, Interface as Inner, PollResult, SocketSet};
use smoltcp::time::Instant;
use smoltcp::wire::{EthernetAddress, HardwareAddress, IpAddress, IpCidr};

use crate::error::{Because, Result};
use crate::machine::Link;

use super::device::{Place, Port, Traffic, Way};

/// How many frames leave in one turn; what is left goes in the next.
const BURST: usize = 1024;

/// The number of the loopback interface.
pub(super) const LOOPBACK: usize = 0;

/// Nanoseconds of a microsecond.
const US: u64 = 1000;

/// smoltcp's time for a monotonic time.
pub(super) fn instant(now_ns: u64) -> Instant {
    Instant::from_micros(i64::try_from(now_ns / US).unwrap_or(i64::MAX))
}

/// A network interface.
pub(super) struct Interface {
    inner: Box<Inner>,
    way: Way,
    /// Where packets go that are for no network it is part of.
    gateway: Option<Ipv4Addr>,
}

impl Interface {
    /// `lo`.
    // What is built here is large for a kernel's stack: not within another frame.
    #[inline(never)]
    pub(super) fn loopback(now_ns: u64, seed: u64) -> Self {
        let mut way = Way::new(Place::Loopback(VecDeque::new()));
        let config = configuration(HardwareAddress::Ip, seed);
        let mut inner =
            Box::new(Inner::new(config, &mut Port::new(&mut way, None), instant(now_ns)));
        inner.update_ip_addrs(|addresses| {
            // There is room for more than these two.
            let _ = addresses.push(IpCidr::new(Ipv4Addr::LOCALHOST.into(), 8));
            let _ = addresses.push(IpCidr::new(Ipv6Addr::LOCALHOST.into(), 128));
        });
        Self { inner, way, gateway: None }
    }

    /// The interface of a device.
    #[inline(never)]
    pub(super) fn ethernet(link: Arc<dyn Link>, now_ns: u64, seed: u64) -> Self {
        let hardware = link.address();
        let address = HardwareAddress::Ethernet(EthernetAddress(hardware));
        let mut config = configuration(address, seed);
        config.slaac = true;
        let mut way = Way::new(Place::Link(link));
        let mut inner =
            Box::new(Inner::new(config, &mut Port::new(&mut way, None), instant(now_ns)));
        inner.update_ip_addrs(|addresses| {
            // It is the first.
            let _ = addresses.push(IpCidr::new(link_local(hardware).into(), 64));
        });
        Self { inner, way, gateway: None }
    }

    /// What smoltcp needs to open a connection.
    pub(super) fn context(&mut self) -> &mut smoltcp::iface::Context {
        self.inner.context()
    }

    /// Whether it is the loopback.
    pub(super) fn is_loopback(&self) -> bool {
        matches!(self.way.place, Place::Loopback(_))
    }

    /// Its device.
    pub(super) fn link(&self) -> Option<&Arc<dyn Link>> {
        match &self.way.place {
            Place::Loopback(_) => None,
            Place::Link(link) => Some(link),
        }
    }

    /// The longest packet, in bytes.
    pub(super) fn mtu(&self) -> usize {
        self.way.mtu()
    }

    /// The next packet of the loopback that has not arrived yet.
    pub(super) fn underway(&mut self) -> Option<Vec<u8>> {
        match &mut self.way.place {
            Place::Loopback(packets) => packets.pop_front(),
            Place::Link(_) => None,
        }
    }

    /// Puts a packet on the loopback.
    pub(super) fn put(&mut self, packet: Vec<u8>) {
        self.way.put(packet);
    }

    /// Its addresses.
    pub(super) fn addresses(&self) -> &[IpCidr] {
        self.inner.ip_addrs()
    }

    /// Where packets go that are for no network it is part of, in each version of IP.
    pub(super) fn gateways(&self) -> Vec<IpAddr> {
        let routes = self.inner.routes();
        let both = [routes.get_default_ipv4_route(), routes.get_default_ipv6_route()];
        both.into_iter().flatten().map(|route| route.via_router.into()).collect()
    }

    /// What has gone through it.
    pub(super) fn traffic(&self) -> Traffic {
        self.way.traffic
    }

    /// Whether it has this address.
    pub(super) fn has(&self, address: IpAddr) -> bool {
        self.inner.has_ip_addr(IpAddress::from(address))
    }

    /// Takes part in a group, and says so.
    ///
    /// # Errors
    /// `ENOBUFS` when it takes part in as many as it can.
    pub(super) fn join(&mut self, group: IpAddr) -> Result<()> {
        let joined = self.inner.join_multicast_group(group);
        joined.map_err(|_| Errno::ENOBUFS.because("too many groups"))
    }

    /// Takes part in a group no longer.
    pub(super) fn leave(&mut self, group: IpAddr) {
        // It fails only for an address that is no group's.
        let _ = self.inner.leave_multicast_group(group);
    }

    /// Gives it an address.
    ///
    /// # Errors
    /// `EADDRNOTAVAIL` when it has as many as it can have, or for an address that no single
    /// machine has.
    pub(super) fn add_address(&mut self, address: IpCidr) -> Result<()> {
        if !address.address().is_unicast() {
            return Err(Errno::EADDRNOTAVAIL.because("no machine has such an address"));
        }
        let mut fits = true;
        self.inner.update_ip_addrs(|addresses| {
            if !addresses.contains(&address) {
                fits = addresses.push(address).is_ok();
            }
        });
        if fits { Ok(()) } else { Err(Errno::EADDRNOTAVAIL.because("too many addresses")) }
    }

    /// Replaces its IPv4 address and its gateway. An address that no single machine has is
    /// none.
    pub(super) fn configure(&mut self, address: Option<IpCidr>, gateway: Option<Ipv4Addr>) {
        let address = address.filter(|address| address.address().is_unicast());
        self.inner.update_ip_addrs(|addresses| {
            addresses.retain(|known| !matches!(known, IpCidr::Ipv4(_)));
            if let Some(address) = address {
                // One was taken away, or there was room.
                let _ = addresses.push(address);
            }
        });
        self.gateway = gateway;
        let routes = self.inner.routes_mut();
        routes.remove_default_ipv4_route();
        if let Some(gateway) = gateway {
            // There is room for one route.
            let _ = routes.add_default_ipv4_route(gateway);
        }
    }

    /// The address from which packets go to `remote`; `None` where no way leads there.
    pub(super) fn source_for(&self, remote: IpAddr) -> Option<IpAddr> {
        match remote {
            IpAddr::V4(remote) => {
                let near = |cidr: &&IpCidr| cidr.contains_addr(&IpAddress::Ipv4(remote));
                let mine = |cidr: &&IpCidr| matches!(cidr, IpCidr::Ipv4(_));
                let far = self.gateway.is_some() || remote.is_broadcast() || remote.is_multicast();
                let mut all = self.addresses().iter().filter(mine);
                let found = all.clone().find(near).or_else(|| all.next().filter(|_| far))?;
                Some(found.address().into())
            }
            IpAddr::V6(remote) => {
                let source = self.inner.get_source_address_ipv6(&remote);
                let is_mine = !source.is_loopback() && self.has(source.into());
                is_mine.then_some(source.into())
            }
        }
    }

    /// Takes in a frame for the sockets of `set`.
    pub(super) fn ingress(&mut self, now_ns: u64, frame: &[u8], set: &mut SocketSet<'static>) {
        let mut port = Port::new(&mut self.way, Some(frame));
        self.inner.poll_ingress_single(instant(now_ns), &mut port, set);
    }

    /// Sends what the sockets of `set` have to send; whether all of it could leave.
    pub(super) fn egress(&mut self, now_ns: u64, set: &mut SocketSet<'static>) -> bool {
        let mut port = Port::new(&mut self.way, None);
        for _ in 0..BURST {
            if self.inner.poll_egress(instant(now_ns), &mut port, set) == PollResult::None {
                break;
            }
        }
        !port.is_full
    }

    /// What it does by itself in time.
    pub(super) fn maintain(&mut self, now_ns: u64) {
        self.inner.poll_maintenance(instant(now_ns));
    }

    /// When the sockets of `set` want to send next, monotonic.
    pub(super) fn deadline_ns(&mut self, now_ns: u64, set: &SocketSet<'static>) -> Option<u64> {
        let at = self.inner.poll_at(instant(now_ns), set)?;
        Some(u64::try_from(at.total_micros()).unwrap_or(0).saturating_mul(US).max(now_ns))
    }
}

/// The address that is good only at the device itself: RFC 4291, appendix A.
fn link_local(hardware: [u8; 6]) -> Ipv6Addr {
    let [a, b, c, d, e, f] = hardware;
    let words = [[a ^ 2, b], [c, 0xff], [0xfe, d], [e, f]].map(u16::from_be_bytes);
    Ipv6Addr::new(0xfe80, 0, 0, 0, words[0], words[1], words[2], words[3])
}

fn configuration(address: HardwareAddress, seed: u64) -> Config {
    let mut config = Config::new(address);
    config.random_seed = seed;
    config
}

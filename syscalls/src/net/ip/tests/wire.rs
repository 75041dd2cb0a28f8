//! Stacks at a wire that the test holds.

use super::*;
use crate::fake::FakeLink;
use alloc::collections::VecDeque;
use core::net::{IpAddr, Ipv4Addr};
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    EthernetAddress, EthernetFrame, EthernetProtocol, EthernetRepr, IpProtocol, IpRepr,
};

/// Nanoseconds of a second.
pub(super) const SECOND: u64 = 1_000_000_000;

/// A machine with one network device.
pub(super) struct Host {
    pub(super) machine: Arc<FakeMachine>,
    pub(super) stack: Arc<Stack>,
    pub(super) link: Arc<FakeLink>,
}

/// The hardware address of the host whose number is `last`.
pub(super) fn hardware(last: u8) -> [u8; 6] {
    [2, 0, 0, 0, 0, last]
}

impl Host {
    pub(super) fn new(last: u8, addressing: Addressing) -> Self {
        let (machine, link) = (FakeMachine::new(), FakeLink::new(hardware(last)));
        machine.add_link(link.clone());
        let stack = Stack::new(machine.clone(), Arc::new(Timers::default()));
        stack.set_addressing(addressing);
        assert_eq!(stack.interfaces().len(), 2);
        Self { machine, stack, link }
    }

    /// The host 10.0.0.`last`.
    pub(super) fn at(last: u8) -> Self {
        let address = Ipv4Addr::new(10, 0, 0, last);
        let name_servers = Vec::new();
        let fixed = Fixed { address, prefix_len: 24, gateway: None, name_servers };
        Self::new(last, Addressing::Fixed(fixed))
    }

    pub(super) fn give(&self, frame: Vec<u8>) {
        self.link.arrive(frame);
        self.stack.frames();
    }

    /// Lets time pass.
    pub(super) fn pass(&self, ns: u64) {
        self.machine.advance(ns);
        self.stack.with_state(|state| state.run_due());
    }
}

/// What becomes of a frame.
pub(super) enum Fate {
    Arrives,
    IsLost,
    ArrivesTwice,
    /// It arrives after those that come later.
    IsLate,
}

/// Carries frames between two hosts until there are none; those that are late stay.
pub(super) fn carry(
    hosts: [&Host; 2],
    late: &mut VecDeque<(usize, Vec<u8>)>,
    mut fate: impl FnMut() -> Fate,
) {
    for (to, frame) in late.drain(..) {
        hosts[to].give(frame);
    }
    loop {
        let mut was_idle = true;
        for (from, host) in hosts.iter().enumerate() {
            while let Some(frame) = host.link.sent() {
                was_idle = false;
                let to = 1 - from;
                match fate() {
                    Fate::Arrives => hosts[to].give(frame),
                    Fate::IsLost => {}
                    Fate::ArrivesTwice => {
                        hosts[to].give(frame.clone());
                        hosts[to].give(frame);
                    }
                    Fate::IsLate => late.push_back((to, frame)),
                }
            }
        }
        if was_idle {
            return;
        }
    }
}

/// Carries all frames between two hosts.
pub(super) fn carry_all(hosts: [&Host; 2]) {
    carry(hosts, &mut VecDeque::new(), || Fate::Arrives);
}

/// A frame for a hardware address with a packet.
pub(super) fn frame(
    to_hardware: [u8; 6],
    ends: (IpAddr, IpAddr),
    protocol: IpProtocol,
    hops: u8,
    payload: &[u8],
) -> Vec<u8> {
    let (from, to) = ends;
    let repr = IpRepr::new(from.into(), to.into(), protocol, payload.len(), hops);
    let mut packet = alloc::vec![0; repr.header_len()];
    repr.emit(&mut packet, &ChecksumCapabilities::default());
    packet.extend_from_slice(payload);
    let ethertype = if from.is_ipv4() { EthernetProtocol::Ipv4 } else { EthernetProtocol::Ipv6 };
    ethernet(to_hardware, ethertype, &packet)
}

/// A frame from a hardware address that nobody else has.
pub(super) fn ethernet(to: [u8; 6], ethertype: EthernetProtocol, payload: &[u8]) -> Vec<u8> {
    let mut bytes = alloc::vec![0; 14];
    let (src_addr, dst_addr) = (EthernetAddress(hardware(254)), EthernetAddress(to));
    EthernetRepr { src_addr, dst_addr, ethertype }
        .emit(&mut EthernetFrame::new_unchecked(&mut bytes));
    bytes.extend_from_slice(payload);
    bytes
}

//! The body of the fuzz target `net`: frames of a hostile network, and calls on sockets.
//!
//! The input is a list of commands. A frame begins as one of the templates; then bytes of it
//! are changed, and its checksums are made right, so that what is inside is looked at too.

use std::vec;
use std::vec::Vec;

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    EthernetAddress, EthernetFrame, EthernetProtocol, EthernetRepr, Icmpv4Packet, Icmpv6Packet,
    IpProtocol, IpRepr, IpVersion, Ipv4Packet, Ipv6Packet, TcpPacket, UdpPacket,
};

use crate::fake::kit::{self, Kit};
use crate::fake::{FakeLink, FakeMachine};
use crate::net::ip::Addressing;

const HERE: [u8; 6] = [2, 0, 0, 0, 0, 1];
const THERE: [u8; 6] = [2, 0, 0, 0, 0, 2];

/// How many commands are done.
const COMMANDS: usize = 200;

/// How many descriptors there are to choose from, the three of every process not among them.
const DESCRIPTORS: u64 = 6;

const NONBLOCK: u64 = 0o4000;
const DONTWAIT: u64 = 0x40;
const NOSIGNAL: u64 = 0x4000;

/// The bytes of an input, one after another, and then zeros.
struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn byte(&mut self) -> u8 {
        let Some((&first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        first
    }

    fn choose<T: Copy>(&mut self, from: &[T]) -> T {
        from[usize::from(self.byte()) % from.len()]
    }

    fn number(&mut self) -> u64 {
        self.choose(&[0, 1, 4, 7, 8, 16, 28, 64, 100, 1500, 70_000, u64::from(u32::MAX), u64::MAX])
    }
}

/// Uses sockets on a network as `input` says.
///
/// # Panics
/// When a system call or a frame does, or memory is lost.
pub fn net(input: &[u8]) {
    let machine = FakeMachine::new();
    let link = FakeLink::new(HERE);
    machine.add_link(link.clone());
    let kit = kit::on(machine.clone());
    let words = ["10.0.0.1::10.0.0.2:255.255.255.0", "dhcp", "off"];
    let mut input = Input(input);
    let word = input.choose(&words);
    kit.system.net.set_addressing(Addressing::parse(word).expect("a good word"));
    let area = kit.room(4096);
    for _ in 0..COMMANDS {
        if input.0.is_empty() {
            break;
        }
        match input.byte() % 4 {
            0 | 1 => {
                link.arrive(frame(&mut input));
                kit.system.net.frames();
            }
            2 => call(&kit, area, &mut input),
            _ => machine.advance(u64::from(input.byte()) * 40_000_000),
        }
        while link.sent().is_some() {}
    }
    drop((kit, link));
    assert_eq!(machine.live_pages(), 0, "pages are lost");
}

/// A frame as the input says.
fn frame(input: &mut Input<'_>) -> Vec<u8> {
    let mut bytes = template(input);
    for _ in 0..input.byte() % 8 {
        let (at, value) = (usize::from(input.byte()), input.byte());
        if let Some(place) = bytes.get_mut(at) {
            *place = value;
        }
    }
    let cut = usize::from(input.byte());
    if cut % 8 == 0 {
        bytes.truncate(bytes.len().saturating_sub(cut));
    }
    correct(&mut bytes);
    bytes
}

fn template(input: &mut Input<'_>) -> Vec<u8> {
    let v4 = (Ipv4Addr::new(10, 0, 0, 2).into(), Ipv4Addr::new(10, 0, 0, 1).into());
    let router: IpAddr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 2).into();
    let v6 = (router, Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1).into());
    let len = usize::from(input.byte());
    let mut payload = vec![0; len];
    let kind = input.byte() % 8;
    let head: &[u8] = match kind {
        // From port 80 to port 80, with SYN, or ACK and data.
        0 => &[0, 80, 0, 80, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 2, 4, 0, 0, 0, 0, 0],
        1 => &[0, 80, 0, 80, 0, 0, 0, 2, 0, 0, 0, 1, 0x50, 0x18, 4, 0, 0, 0, 0, 0],
        2 => &[0, 80, 0, 80, 0, 8, 0, 0],
        // A server of DHCP; an echo request; a port that is unreachable.
        3 => &[0, 67, 0, 68, 0, 8, 0, 0, 2, 1, 6, 0],
        4 => &[8, 0, 0, 0, 0, 1, 0, 1],
        5 => &[3, 3, 0, 0, 0, 0, 0, 0, 0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17],
        // A router with a prefix; a question for a neighbour.
        6 => &[134, 0, 0, 0, 64, 0, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0, 3, 4, 64, 0xc0, 0, 0, 1, 0],
        _ => &[0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 2, 10, 0, 0, 2, 0, 0],
    };
    payload.splice(0..0, head.iter().copied());
    match kind {
        0 | 1 => packet(v4, IpProtocol::Tcp, &payload),
        2 | 3 => packet(v4, IpProtocol::Udp, &payload),
        4 | 5 => packet(v4, IpProtocol::Icmp, &payload),
        6 => {
            payload.resize(payload.len().max(48), 0);
            packet(v6, IpProtocol::Icmpv6, &payload)
        }
        _ => ethernet(EthernetProtocol::Arp, &payload),
    }
}

fn packet((from, to): (IpAddr, IpAddr), protocol: IpProtocol, payload: &[u8]) -> Vec<u8> {
    let repr = IpRepr::new(from.into(), to.into(), protocol, payload.len(), 255);
    let mut packet = vec![0; repr.header_len()];
    repr.emit(&mut packet, &ChecksumCapabilities::default());
    packet.extend_from_slice(payload);
    let ethertype = if from.is_ipv4() { EthernetProtocol::Ipv4 } else { EthernetProtocol::Ipv6 };
    ethernet(ethertype, &packet)
}

fn ethernet(ethertype: EthernetProtocol, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; 14];
    let (src_addr, dst_addr) = (EthernetAddress(THERE), EthernetAddress(HERE));
    let repr = EthernetRepr { src_addr, dst_addr, ethertype };
    repr.emit(&mut EthernetFrame::new_unchecked(&mut bytes));
    bytes.extend_from_slice(payload);
    bytes
}

/// Makes the checksums of a frame right, where it has any.
fn correct(frame: &mut [u8]) {
    let Some(packet) = frame.get_mut(14..).filter(|packet| !packet.is_empty()) else { return };
    match IpVersion::of_packet(packet) {
        Ok(IpVersion::Ipv4) => {
            let Ok(mut packet) = Ipv4Packet::new_checked(packet) else { return };
            packet.fill_checksum();
            let ends = (packet.src_addr().into(), packet.dst_addr().into());
            let protocol = packet.next_header();
            correct_payload(ends, protocol, packet.payload_mut());
        }
        Ok(IpVersion::Ipv6) => {
            let Ok(mut packet) = Ipv6Packet::new_checked(packet) else { return };
            let ends = (packet.src_addr().into(), packet.dst_addr().into());
            let protocol = packet.next_header();
            correct_payload(ends, protocol, packet.payload_mut());
        }
        Err(_) => {}
    }
}

fn correct_payload((from, to): (IpAddr, IpAddr), protocol: IpProtocol, payload: &mut [u8]) {
    let (source, target) = (from.into(), to.into());
    match protocol {
        IpProtocol::Tcp => {
            if let Ok(mut segment) = TcpPacket::new_checked(payload) {
                segment.fill_checksum(&source, &target);
            }
        }
        IpProtocol::Udp => {
            if let Ok(mut datagram) = UdpPacket::new_checked(payload) {
                datagram.fill_checksum(&source, &target);
            }
        }
        IpProtocol::Icmp => {
            if let Ok(mut message) = Icmpv4Packet::new_checked(payload) {
                message.fill_checksum();
            }
        }
        IpProtocol::Icmpv6 => {
            if let (IpAddr::V6(from), IpAddr::V6(to)) = (from, to)
                && let Ok(mut message) = Icmpv6Packet::new_checked(payload)
            {
                message.fill_checksum(&from, &to);
            }
        }
        _ => {}
    }
}

/// Where an address is that the input chooses, and its length.
fn address(kit: &Kit, area: u64, input: &mut Input<'_>) -> (u64, u64) {
    let family = input.choose(&[0_u16, 1, 2, 2, 2, 10, 10, 16]);
    let mut bytes = family.to_ne_bytes().to_vec();
    bytes.extend_from_slice(&input.choose(&[0_u16, 68, 80, 80, 80, 40_000]).to_be_bytes());
    let ip = input.choose(&[
        [0_u8; 4],
        [127, 0, 0, 1],
        [10, 0, 0, 1],
        [10, 0, 0, 2],
        [224, 0, 0, 1],
        [255; 4],
    ]);
    bytes.extend_from_slice(&ip);
    bytes.resize(28, 0);
    bytes[23] = input.choose(&[0, 1, 0xff]);
    kit.process.memory().write(area, &bytes).expect("room for an address");
    (area, input.choose(&[28, 28, 16, 12, 110, 2, 0]))
}

/// Makes a call that does not wait.
fn call(kit: &Kit, area: u64, input: &mut Input<'_>) {
    let fd = 3 + u64::from(input.byte()) % DESCRIPTORS;
    let (room, level) = (area + 1024, input.choose(&[0_u64, 1, 6, 41, 270]));
    let which = input.byte() % 16;
    let (name, arguments): (&str, [u64; 6]) = match which {
        0 | 1 => {
            let family = input.choose(&[1, 2, 2, 10, 10, 16]);
            let kind = input.choose(&[1, 1, 2, 2, 3, 5]) | NONBLOCK;
            ("socket", [family, kind, input.choose(&[0, 0, 0, 1, 6, 17, 58]), 0, 0, 0])
        }
        2 | 3 => {
            let (at, len) = address(kit, area, input);
            (if which == 2 { "bind" } else { "connect" }, [fd, at, len, 0, 0, 0])
        }
        4 => ("listen", [fd, input.number(), 0, 0, 0, 0]),
        5 => ("accept4", [fd, 0, 0, NONBLOCK, 0, 0]),
        6 => {
            let (at, len) = address(kit, area, input);
            ("sendto", [fd, area, input.number().min(3000), DONTWAIT | NOSIGNAL, at, len])
        }
        7 => ("read", [fd, room, input.number().min(3000), 0, 0, 0]),
        8 | 9 => {
            let flags = DONTWAIT | input.choose(&[0, 1, 2, 0x20, 0x100, 0x2000]);
            ("recvfrom", [fd, room, input.number().min(3000), flags, 0, 0])
        }
        10 => {
            let value = input.number();
            kit.process.memory().write(room, &value.to_ne_bytes()).expect("room for a value");
            let number = u64::from(input.byte() % 80);
            ("setsockopt", [fd, level, number, room, input.number(), 0])
        }
        11 => {
            let len = 64_u32.to_ne_bytes();
            kit.process.memory().write(area, &len).expect("room for a length");
            ("getsockopt", [fd, level, u64::from(input.byte() % 80), room, area, 0])
        }
        12 => ("shutdown", [fd, u64::from(input.byte() % 4), 0, 0, 0, 0]),
        13 => ("getpeername", [fd, room, area, 0, 0, 0]),
        14 => ("ioctl", [fd, 0x8900 | u64::from(input.byte()), room, 0, 0, 0]),
        _ => ("close", [fd, 0, 0, 0, 0, 0]),
    };
    // What comes of it is the program's business.
    let _ = kit.call(name, arguments);
}

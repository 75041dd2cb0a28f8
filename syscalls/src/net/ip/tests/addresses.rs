//! Addresses that the network gives: DHCP and router advertisements.

use super::wire::{Host, SECOND, ethernet, frame, hardware};
use super::*;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::time::Duration;
use smoltcp::wire::{
    ArpOperation, ArpPacket, ArpRepr, DhcpMessageType, DhcpPacket, DhcpRepr, EthernetAddress,
    EthernetFrame, EthernetProtocol, Icmpv6Packet, Icmpv6Repr, IpProtocol, NdiscPrefixInfoFlags,
    NdiscPrefixInformation, NdiscRepr, NdiscRouterFlags, UdpPacket, UdpRepr,
};

const SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 254);
const GIVEN: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 7);

fn address(host: &Host) -> Option<IpAddr> {
    host.stack.interfaces()[1].address4().map(|one| one.ip)
}

/// Answers what a host asks a server of DHCP, and who the server is; how often it asked for
/// its address.
fn serve(host: &Host, your_ip: Ipv4Addr, lease_s: u32) -> usize {
    let mut requests = 0;
    while let Some(sent) = host.link.sent() {
        let ethernet_frame = EthernetFrame::new_checked(&sent[..]).unwrap();
        match ethernet_frame.ethertype() {
            EthernetProtocol::Arp => answer_arp(host, ethernet_frame.payload()),
            EthernetProtocol::Ipv4 => {
                let parts = super::super::frame::parts(ethernet_frame.payload()).unwrap();
                let (IpProtocol::Udp, Some(payload)) = (parts.protocol, parts.payload) else {
                    continue;
                };
                let datagram = UdpPacket::new_checked(payload).unwrap();
                let asked = DhcpPacket::new_checked(datagram.payload()).unwrap();
                let asked = DhcpRepr::parse(&asked).unwrap();
                requests += usize::from(asked.message_type == DhcpMessageType::Request);
                host.give(answer_dhcp(asked, your_ip, lease_s));
            }
            _ => {}
        }
    }
    requests
}

fn answer_arp(host: &Host, payload: &[u8]) {
    let ArpRepr::EthernetIpv4 {
        source_hardware_addr,
        source_protocol_addr,
        target_protocol_addr,
        ..
    } = ArpRepr::parse(&ArpPacket::new_checked(payload).unwrap()).unwrap()
    else {
        return;
    };
    if target_protocol_addr != SERVER {
        return;
    }
    let answer = ArpRepr::EthernetIpv4 {
        operation: ArpOperation::Reply,
        source_hardware_addr: EthernetAddress(hardware(254)),
        source_protocol_addr: SERVER,
        target_hardware_addr: source_hardware_addr,
        target_protocol_addr: source_protocol_addr,
    };
    let mut bytes = alloc::vec![0; answer.buffer_len()];
    answer.emit(&mut ArpPacket::new_unchecked(&mut bytes));
    host.give(ethernet(hardware(1), EthernetProtocol::Arp, &bytes));
}

fn answer_dhcp(asked: DhcpRepr<'_>, your_ip: Ipv4Addr, lease_s: u32) -> Vec<u8> {
    let message_type = match asked.message_type {
        DhcpMessageType::Discover => DhcpMessageType::Offer,
        _ => DhcpMessageType::Ack,
    };
    let answer = DhcpRepr {
        message_type,
        your_ip,
        router: Some(SERVER),
        subnet_mask: Some(Ipv4Addr::new(255, 255, 255, 0)),
        server_identifier: Some(SERVER),
        lease_duration: Some(lease_s),
        client_identifier: None,
        requested_ip: None,
        parameter_request_list: None,
        max_size: None,
        ..asked
    };
    let mut bytes = alloc::vec![0; answer.buffer_len()];
    answer.emit(&mut DhcpPacket::new_unchecked(&mut bytes)).unwrap();
    let (from, to) = (IpAddr::V4(SERVER), IpAddr::V4(Ipv4Addr::BROADCAST));
    let repr = UdpRepr { src_port: 67, dst_port: 68 };
    let mut datagram = alloc::vec![0; 8 + bytes.len()];
    repr.emit(
        &mut UdpPacket::new_unchecked(&mut datagram),
        &from.into(),
        &to.into(),
        bytes.len(),
        |room| room.copy_from_slice(&bytes),
        &ChecksumCapabilities::default(),
    );
    frame([0xff; 6], (from, to), IpProtocol::Udp, 64, &datagram)
}

#[test]
fn a_lease_is_taken_renewed_and_lost_when_nobody_renews_it() {
    let host = Host::new(1, Addressing::Dhcp);
    assert!(host.stack.with_state(|state| state.awaits_lease()));
    for _ in 0..5 {
        host.pass(SECOND);
        serve(&host, GIVEN, 60);
    }
    assert_eq!(address(&host), Some(GIVEN.into()));
    assert!(!host.stack.with_state(|state| state.awaits_lease()));
    assert_eq!(host.stack.interfaces()[1].gateways, [IpAddr::V4(SERVER)]);
    let mut renewed = 0;
    for _ in 0..120 {
        host.pass(SECOND);
        renewed += serve(&host, GIVEN, 60);
    }
    assert!(renewed >= 2, "it was renewed {renewed} times");
    assert_eq!(address(&host), Some(GIVEN.into()));
    for _ in 0..70 {
        host.pass(SECOND);
    }
    assert_eq!(address(&host), None);
    assert!(host.stack.interfaces()[1].gateways.is_empty());
}

#[test]
fn without_a_server_the_loopback_works_and_the_host_goes_on_asking() {
    let host = Host::new(1, Addressing::Dhcp);
    for _ in 0..60 {
        host.pass(SECOND);
    }
    let asked = core::iter::from_fn(|| host.link.sent()).count();
    assert!(asked >= 3, "it asked {asked} times");
    assert!(host.stack.with_state(|state| state.awaits_lease()));
    let (near, far) = pair(&host.stack);
    host.stack.send(near.id, b"x").unwrap();
    assert_eq!(receive(&host.stack, far.id), Ok(Some(b"x".to_vec())));
}

#[test]
fn an_address_that_no_single_machine_has_is_not_taken() {
    for wrong in [Ipv4Addr::BROADCAST, Ipv4Addr::new(224, 0, 0, 1), Ipv4Addr::UNSPECIFIED] {
        let host = Host::new(1, Addressing::Dhcp);
        for _ in 0..5 {
            host.pass(SECOND);
            serve(&host, wrong, 60);
        }
        assert_eq!(address(&host), None, "{wrong}");
    }
}

/// Says that there is a router, and a prefix of a network, for some seconds.
fn announce(host: &Host, (prefix, prefix_len): (Ipv6Addr, u8), lifetime_s: u64) {
    let router = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 2);
    let all = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
    let lifetime = Duration::from_secs(lifetime_s);
    let repr = Icmpv6Repr::Ndisc(NdiscRepr::RouterAdvert {
        hop_limit: 64,
        flags: NdiscRouterFlags::empty(),
        router_lifetime: lifetime,
        reachable_time: Duration::ZERO,
        retrans_time: Duration::ZERO,
        lladdr: Some(EthernetAddress(hardware(254)).into()),
        mtu: None,
        prefix_info: Some(NdiscPrefixInformation {
            prefix_len,
            flags: NdiscPrefixInfoFlags::ON_LINK | NdiscPrefixInfoFlags::ADDRCONF,
            valid_lifetime: lifetime,
            preferred_lifetime: lifetime,
            prefix,
        }),
    });
    let mut bytes = alloc::vec![0; repr.buffer_len()];
    let mut packet = Icmpv6Packet::new_unchecked(&mut bytes);
    repr.emit(&router, &all, &mut packet, &ChecksumCapabilities::default());
    let ends = (IpAddr::V6(router), IpAddr::V6(all));
    host.give(frame([0x33, 0x33, 0, 0, 0, 1], ends, IpProtocol::Icmpv6, 255, &bytes));
}

#[test]
fn a_router_gives_an_address_of_ipv6_and_a_way_out_for_some_time() {
    let host = Host::new(1, Addressing::Off);
    announce(&host, (Ipv6Addr::new(0xfd00, 0, 0, 1, 0, 0, 0, 0), 64), 100);
    let global = |host: &Host| {
        let interface = host.stack.interfaces().remove(1);
        let found = interface.addresses.iter().find(|one| one.scope() == 0).map(|one| one.ip);
        (found, interface.gateways)
    };
    let wanted = "fd00::1:0:ff:fe00:1".parse::<IpAddr>().unwrap();
    let (found, gateways) = global(&host);
    assert_eq!(found.map(|ip| ip.to_string()), Some(wanted.to_string()));
    assert_eq!(gateways, ["fe80::2".parse::<IpAddr>().unwrap()]);
    let source = host.stack.source_for("2001:db8::1".parse().unwrap());
    assert_eq!(source, Ok(wanted));
    for _ in 0..220 {
        host.pass(SECOND);
    }
    assert_eq!(global(&host), (None, Vec::new()));
}

#[test]
fn prefixes_that_are_no_networks_give_no_address() {
    for (wrong, len) in [("ff00::", 64), ("fe80::", 64), ("::", 64), ("fd00::", 129)] {
        let host = Host::new(1, Addressing::Off);
        announce(&host, (wrong.parse().unwrap(), len), 100);
        let interface = host.stack.interfaces().remove(1);
        assert!(interface.addresses.iter().all(|one| one.scope() != 0), "{wrong}");
    }
}

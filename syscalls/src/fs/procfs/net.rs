//! /proc/net: interfaces, routes and sockets. The files of sockets are in `sockets`.

use core::net::{IpAddr, Ipv6Addr};

use abi::net::netlink::{route, scope};

use crate::error::Result;
use crate::net::ip::{InterfaceView, RouteView};

use super::entry::{Entry, Subject};
use super::sockets;
use super::text::{Text, put};

pub(super) static NET: &[Entry] = &[
    Entry::file("arp", arp),
    Entry::file("dev", dev),
    Entry::file("icmp", sockets::icmp),
    Entry::file("icmp6", sockets::icmp6),
    Entry::file("if_inet6", if_inet6),
    Entry::file("ipv6_route", ipv6_route),
    Entry::file("netlink", sockets::netlink),
    Entry::file("pnp", name_servers),
    Entry::file("raw", sockets::raw),
    Entry::file("raw6", sockets::raw6),
    Entry::file("route", routes),
    Entry::file("sockstat", sockets::sockstat),
    Entry::file("sockstat6", sockets::sockstat6),
    Entry::file("tcp", sockets::tcp),
    Entry::file("tcp6", sockets::tcp6),
    Entry::file("udp", sockets::udp),
    Entry::file("udp6", sockets::udp6),
    Entry::file("unix", sockets::unix),
];

/// In a route: it is there, it leads over a gateway, to one host, or ends here.
const UP: u32 = 1;
const GATEWAY: u32 = 2;
const HOST: u32 = 4;
const LOCAL: u32 = 0x8020_0000;

/// Who knows names, as /etc/resolv.conf says it: Linux has that here where its kernel asked
/// the network for an address, for a link to it.
fn name_servers(subject: &Subject<'_>, text: &mut Text) -> Result<()> {
    let net = &subject.cx.system.net;
    net.await_address(subject.cx)?;
    for server in net.name_servers() {
        put!(text, "nameserver {server}\n");
    }
    Ok(())
}

/// Fills a line up with spaces to a length, and ends it.
pub(super) fn end_line(text: &mut Text, start: usize, len: usize) {
    text.pad(start, len);
    text.put(b"\n");
}

/// Packets that could not leave are counted, and other errors are not.
fn dev(subject: &Subject<'_>, text: &mut Text) -> Result<()> {
    text.put(b"Inter-|   Receive                                                |  Transmit\n");
    text.put(b" face |bytes    packets errs drop fifo frame compressed multicast|bytes    ");
    text.put(b"packets errs drop fifo colls carrier compressed\n");
    for InterfaceView { name, traffic, .. } in subject.cx.system.net.interfaces() {
        put!(text, "{name:>6}: {:7} {:7}", traffic.received_bytes, traffic.received_packets);
        put!(text, "    0    0    0     0          0         0");
        put!(text, " {:8} {:7}", traffic.sent_bytes, traffic.sent_packets);
        put!(text, "    0 {:4}    0     0       0          0\n", traffic.lost_packets);
    }
    Ok(())
}

/// The interface with a number has this name.
fn name_of(interfaces: &[InterfaceView], index: u32) -> &str {
    interfaces.iter().find(|one| one.index == index).map_or("", |one| one.name.as_str())
}

fn flags(one: &RouteView) -> u32 {
    let mut flags = UP;
    if one.gateway.is_some() {
        flags |= GATEWAY;
    }
    if one.kind == route::LOCAL {
        flags |= LOCAL;
    } else if one.prefix_len == if one.destination.is_ipv4() { 32 } else { 128 } {
        flags |= HOST;
    }
    flags
}

/// The main table of IPv4.
fn routes(subject: &Subject<'_>, text: &mut Text) -> Result<()> {
    const LEN: usize = 127;
    let net = &subject.cx.system.net;
    let start = text.len();
    text.put(b"Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow");
    text.put(b"\tIRTT");
    end_line(text, start, LEN);
    let interfaces = net.interfaces();
    for one in net.routes().iter().filter(|one| one.table == route::TABLE_MAIN) {
        let IpAddr::V4(destination) = one.destination else { continue };
        let number = |ip: IpAddr| match ip {
            IpAddr::V4(ip) => u32::from_ne_bytes(ip.octets()),
            IpAddr::V6(_) => 0,
        };
        let mask = u32::MAX.checked_shl(32 - u32::from(one.prefix_len)).unwrap_or(0).to_be();
        let start = text.len();
        put!(text, "{}\t{:08X}", name_of(&interfaces, one.interface), number(destination.into()));
        put!(text, "\t{:08X}\t{:04X}", one.gateway.map_or(0, number), flags(one));
        put!(text, "\t0\t0\t{}\t{mask:08X}\t0\t0\t0", one.metric.unwrap_or(0));
        end_line(text, start, LEN);
    }
    Ok(())
}

fn hex(ip: Ipv6Addr) -> u128 {
    ip.to_bits()
}

fn ipv6_route(subject: &Subject<'_>, text: &mut Text) -> Result<()> {
    let net = &subject.cx.system.net;
    let interfaces = net.interfaces();
    for one in net.routes() {
        let IpAddr::V6(destination) = one.destination else { continue };
        let gateway = match one.gateway {
            Some(IpAddr::V6(gateway)) => gateway,
            _ => Ipv6Addr::UNSPECIFIED,
        };
        put!(text, "{:032x} {:02x} {:032x} 00", hex(destination), one.prefix_len, 0);
        put!(text, " {:032x} {:08x}", hex(gateway), one.metric.unwrap_or(0));
        put!(text, " {:08x} {:08x} {:08x}", 1, 0, flags(&one));
        put!(text, " {:>8}\n", name_of(&interfaces, one.interface));
    }
    Ok(())
}

fn if_inet6(subject: &Subject<'_>, text: &mut Text) -> Result<()> {
    /// Scopes as the kernel knows them: `IPV6_ADDR_*`.
    const AT_HOST: u8 = 0x10;
    const ON_LINK: u8 = 0x20;
    const PERMANENT: u8 = 0x80;
    for one in subject.cx.system.net.interfaces() {
        for address in &one.addresses {
            let IpAddr::V6(ip) = address.ip else { continue };
            let reach = match address.scope() {
                scope::HOST => AT_HOST,
                scope::LINK => ON_LINK,
                _ => 0,
            };
            put!(text, "{:032x} {:02x} {:02x}", hex(ip), one.index, address.prefix_len);
            put!(text, " {reach:02x} {PERMANENT:02x} {:>8}\n", one.name);
        }
    }
    Ok(())
}

/// smoltcp does not say which neighbours it knows.
fn arp(_: &Subject<'_>, text: &mut Text) -> Result<()> {
    text.put(b"IP address       HW type     Flags       HW address            Mask     Device\n");
    Ok(())
}

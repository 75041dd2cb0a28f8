//! What is said of a link, an address, a route or a rule.

use alloc::vec::Vec;
use core::net::IpAddr;

use abi::net::family;
use abi::net::netlink::{
    AddressMessage, AddressTimes, Header, LinkMessage, RouteMessage, address, link, route, rule,
};
use zerocopy::IntoBytes;

use crate::net::ip::{AddressView, InterfaceView, RouteView};

use super::message::Answer;

/// How many packets wait at an interface of Linux.
const QUEUE_LEN: u32 = 1000;

/// How many numbers `struct rtnl_link_stats64` has.
const STATISTICS: usize = 25;

/// The family of an address.
pub(super) fn family_of(ip: IpAddr) -> u8 {
    // Those of IP are small numbers.
    if ip.is_ipv4() { family::INET as u8 } else { family::INET6 as u8 }
}

fn put_ip(answer: &mut Answer, kind: u16, ip: IpAddr) {
    match ip {
        IpAddr::V4(ip) => answer.put(kind, &ip.octets()),
        IpAddr::V6(ip) => answer.put(kind, &ip.octets()),
    }
}

/// An interface: `RTM_NEWLINK`.
pub(super) fn link(header: Header, one: &InterfaceView) -> Vec<u8> {
    let mut answer = Answer::default();
    let fixed = LinkMessage {
        kind: one.hardware_kind(),
        index: one.index.cast_signed(),
        flags: one.flags().bits(),
        ..LinkMessage::default()
    };
    answer.begin(header, &fixed);
    answer.put_text(link::IFNAME, &one.name);
    answer.put_number(link::TXQLEN, QUEUE_LEN);
    // Linux does not know how a loopback is.
    let state = if one.is_loopback { link::OPERSTATE_UNKNOWN } else { link::OPERSTATE_UP };
    answer.put(link::OPERSTATE, &[state]);
    answer.put(link::LINKMODE, &[0]);
    answer.put_number(link::MTU, one.mtu);
    answer.put_number(link::GROUP, 0);
    answer.put_number(link::PROMISCUITY, 0);
    answer.put_number(link::NUM_TX_QUEUES, 1);
    answer.put_number(link::NUM_RX_QUEUES, 1);
    answer.put(link::CARRIER, &[1]);
    answer.put_number(link::CARRIER_CHANGES, 0);
    answer.put(link::ADDRESS, &one.hardware);
    answer.put(link::BROADCAST, &one.hardware_broadcast());
    let numbers = statistics(one);
    answer.put(link::STATS64, numbers.as_bytes());
    // The older form has fewer numbers, and shorter ones.
    let short: Vec<u32> = numbers[..STATISTICS - 1].iter().map(|&number| number as u32).collect();
    answer.put(link::STATS, short.as_bytes());
    answer.put_text(link::QDISC, "noqueue");
    answer.into_bytes()
}

/// `struct rtnl_link_stats64`: what is counted stands first.
fn statistics(one: &InterfaceView) -> [u64; STATISTICS] {
    let mut numbers = [0; STATISTICS];
    let traffic = &one.traffic;
    numbers[..4].copy_from_slice(&[
        traffic.received_packets,
        traffic.sent_packets,
        traffic.received_bytes,
        traffic.sent_bytes,
    ]);
    // tx_dropped
    numbers[7] = traffic.lost_packets;
    numbers
}

/// An address: `RTM_NEWADDR`.
pub(super) fn address(header: Header, one: &InterfaceView, at: &AddressView) -> Vec<u8> {
    let mut answer = Answer::default();
    let fixed = AddressMessage {
        family: family_of(at.ip),
        prefix_len: at.prefix_len,
        flags: address::PERMANENT,
        scope: at.scope(),
        index: one.index,
    };
    answer.begin(header, &fixed);
    put_ip(&mut answer, address::ADDRESS, at.ip);
    if at.ip.is_ipv4() {
        put_ip(&mut answer, address::LOCAL, at.ip);
        if let Some(broadcast) = at.broadcast() {
            put_ip(&mut answer, address::BROADCAST, broadcast.into());
        }
        answer.put_text(address::LABEL, &one.name);
    }
    answer.put_number(address::FLAGS, address::PERMANENT.into());
    let times = AddressTimes { preferred: u32::MAX, valid: u32::MAX, ..AddressTimes::default() };
    answer.put(address::CACHEINFO, times.as_bytes());
    answer.into_bytes()
}

/// A route: `RTM_NEWROUTE`. `flags` are those of `struct rtmsg`.
pub(super) fn route(header: Header, one: &RouteView, flags: u32) -> Vec<u8> {
    let mut answer = Answer::default();
    let fixed = RouteMessage {
        family: family_of(one.destination),
        destination_len: one.prefix_len,
        table: one.table,
        protocol: one.protocol,
        scope: one.scope,
        kind: one.kind,
        flags,
        ..RouteMessage::default()
    };
    answer.begin(header, &fixed);
    answer.put_number(route::TABLE, one.table.into());
    if one.prefix_len > 0 {
        put_ip(&mut answer, route::DST, one.destination);
    }
    if let Some(metric) = one.metric {
        answer.put_number(route::PRIORITY, metric);
    }
    if let Some(source) = one.source {
        put_ip(&mut answer, route::PREFSRC, source);
    }
    if let Some(gateway) = one.gateway {
        put_ip(&mut answer, route::GATEWAY, gateway);
    }
    answer.put_number(route::OIF, one.interface);
    answer.into_bytes()
}

/// A rule that looks into a table: `RTM_NEWRULE`.
pub(super) fn rule(header: Header, family: u8, table: u8, priority: u32) -> Vec<u8> {
    let mut answer = Answer::default();
    // `struct fib_rule_hdr` has the action where a route has its kind.
    let fixed = RouteMessage { family, table, kind: rule::TO_TABLE, ..RouteMessage::default() };
    answer.begin(header, &fixed);
    answer.put_number(rule::TABLE, table.into());
    answer.put_number(rule::SUPPRESS_PREFIXLEN, u32::MAX);
    answer.put(rule::PROTOCOL, &[route::BY_KERNEL]);
    if priority > 0 {
        answer.put_number(rule::PRIORITY, priority);
    }
    answer.into_bytes()
}

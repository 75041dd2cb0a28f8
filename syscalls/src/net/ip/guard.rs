//! Packets that are kept from smoltcp, for it would panic on what they say.

use core::net::Ipv6Addr;

use smoltcp::wire::{IpProtocol, IpVersion, Ipv6Packet};

use super::frame;

/// The type of a router advertisement: RFC 4861, section 4.2.
const ROUTER_ADVERTISEMENT: u8 = 134;
/// Its length before its options, in bytes.
const ADVERTISEMENT_LEN: usize = 16;
/// The type of an option about a prefix, and where in it the prefix is: section 4.6.2.
const PREFIX_OPTION: u8 = 3;
const PREFIX_AT: usize = 16;
/// Where the number of bits of it is that count, and the most there can be.
const PREFIX_LEN_AT: usize = 2;
const PREFIX_LEN_MAX: u8 = 128;
/// Lengths of options, and of headers after the first, count in these.
const UNIT: usize = 8;

/// Whether a packet announces a network in which no single machine can have an address.
pub(super) fn announces_no_network(packet: &[u8]) -> bool {
    if frame::version(packet) != Some(IpVersion::Ipv6) {
        return false;
    }
    let Ok(packet) = Ipv6Packet::new_checked(packet) else { return false };
    message(packet.next_header(), packet.payload()).is_some_and(|message| {
        message.first() == Some(&ROUTER_ADVERTISEMENT)
            && prefixes(message).any(|(prefix, len)| {
                prefix.is_multicast() || prefix.is_unspecified() || len > PREFIX_LEN_MAX
            })
    })
}

/// The message of ICMPv6 in a packet, after options for each hop.
fn message(first: IpProtocol, payload: &[u8]) -> Option<&[u8]> {
    let (mut protocol, mut rest) = (first, payload);
    while protocol == IpProtocol::HopByHop {
        let (&next, &units) = (rest.first()?, rest.get(1)?);
        protocol = IpProtocol::from(next);
        rest = rest.get((usize::from(units) + 1) * UNIT..)?;
    }
    (protocol == IpProtocol::Icmpv6).then_some(rest)
}

/// The prefixes that a router advertisement announces, and how many bits of each count.
fn prefixes(message: &[u8]) -> impl Iterator<Item = (Ipv6Addr, u8)> {
    let mut rest = message.get(ADVERTISEMENT_LEN..).unwrap_or_default();
    core::iter::from_fn(move || {
        loop {
            let (&kind, &units) = (rest.first()?, rest.get(1)?);
            let option = rest;
            rest = rest.get(usize::from(units.max(1)) * UNIT..)?;
            if kind == PREFIX_OPTION {
                let prefix: &[u8; 16] = option.get(PREFIX_AT..)?.first_chunk()?;
                return Some((Ipv6Addr::from(*prefix), option[PREFIX_LEN_AT]));
            }
        }
    })
}

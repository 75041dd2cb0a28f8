//! Control messages of ip(7) and ipv6(7): how a message came, and how one goes.

use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use abi::Errno;
use abi::net::{PacketInfo4, PacketInfo6, ip_option, ipv6_option, level};
use zerocopy::{FromBytes, IntoBytes};

use crate::error::{Because, Error, Result};
use crate::net::Control;
use crate::net::ip::{Message, Route};

use super::address::Version;
use super::options::Options;

fn number(level: u32, kind: u32, number: u8) -> Control {
    Control { level, kind, data: i32::from(number).to_ne_bytes().into() }
}

/// What the options of a socket of a version want to be told of a message.
pub(super) fn told(version: Version, options: &Options, message: &Message) -> Vec<Control> {
    let mut told = Vec::new();
    if version == Version::V6 {
        told_by_v6(options, message, &mut told);
    }
    if message.from.is_ipv4() {
        told_by_v4(options, message, &mut told);
    }
    told
}

fn told_by_v4(options: &Options, message: &Message, told: &mut Vec<Control>) {
    let (arrival, is_on) = (&message.arrival, |option| options.is_on(level::IP, option));
    if let (true, IpAddr::V4(to)) = (is_on(ip_option::PKTINFO), arrival.to) {
        let (interface, destination) = (arrival.interface, to.octets());
        let info = PacketInfo4 { interface, local: destination, destination };
        let data = info.as_bytes().to_vec();
        told.push(Control { level: level::IP, kind: ip_option::PKTINFO, data });
    }
    if is_on(ip_option::RECVTTL) {
        told.push(number(level::IP, ip_option::TTL, arrival.hop_limit));
    }
    if is_on(ip_option::RECVTOS) {
        let data = [arrival.service].into();
        told.push(Control { level: level::IP, kind: ip_option::TOS, data });
    }
}

fn told_by_v6(options: &Options, message: &Message, told: &mut Vec<Control>) {
    let (arrival, is_on) = (&message.arrival, |option| options.is_on(level::IPV6, option));
    if is_on(ipv6_option::RECVPKTINFO) {
        let to = match arrival.to {
            IpAddr::V4(to) => to.to_ipv6_mapped(),
            IpAddr::V6(to) => to,
        };
        let info = PacketInfo6 { address: to.octets(), interface: arrival.interface };
        let data = info.as_bytes().to_vec();
        told.push(Control { level: level::IPV6, kind: ipv6_option::PKTINFO, data });
    }
    if message.from.is_ipv4() {
        return;
    }
    if is_on(ipv6_option::RECVHOPLIMIT) {
        told.push(number(level::IPV6, ipv6_option::HOPLIMIT, arrival.hop_limit));
    }
    if is_on(ipv6_option::RECVTCLASS) {
        told.push(number(level::IPV6, ipv6_option::TCLASS, arrival.service));
    }
}

fn malformed() -> Error {
    Errno::EINVAL.because("a control message is malformed")
}

fn integer(data: &[u8]) -> Result<i32> {
    i32::read_from_bytes(data).map_err(|_| malformed())
}

/// How a message of a socket of a version goes that is sent with these control messages. The
/// type of service is looked at, and has no effect.
///
/// # Errors
/// `EINVAL`.
pub(super) fn wanted(version: Version, controls: &[Control]) -> Result<Route> {
    let mut way = Route::default();
    for Control { level, kind, data } in controls {
        match (*level, *kind) {
            (level::IP, ip_option::PKTINFO) => {
                let info = PacketInfo4::read_from_bytes(data).map_err(|_| malformed())?;
                way.interface = Some(info.interface).filter(|&index| index != 0);
                let source = Ipv4Addr::from(info.local);
                way.source = Some(source.into()).filter(|_| !source.is_unspecified());
            }
            (level::IP, ip_option::TTL) => {
                let hops = u8::try_from(integer(data)?).ok().filter(|&hops| hops > 0);
                way.hop_limit = Some(hops.ok_or_else(malformed)?);
            }
            (level::IP, ip_option::TOS) if data.len() == 1 => {}
            (level::IP, ip_option::TOS) => {
                u8::try_from(integer(data)?).map_err(|_| malformed())?;
            }
            (level::IPV6, ipv6_option::PKTINFO) if version == Version::V6 => {
                let info = PacketInfo6::read_from_bytes(data).map_err(|_| malformed())?;
                way.interface = Some(info.interface).filter(|&index| index != 0);
                let source = Ipv6Addr::from(info.address);
                let given = Some(source.to_canonical()).filter(|_| !source.is_unspecified());
                way.source = given;
            }
            (level::IPV6, ipv6_option::HOPLIMIT) if version == Version::V6 => {
                way.hop_limit = match integer(data)? {
                    -1 => None,
                    hops => Some(u8::try_from(hops).map_err(|_| malformed())?),
                };
            }
            (level::IPV6, ipv6_option::TCLASS) if version == Version::V6 => {
                let class = integer(data)?;
                if !(-1..=255).contains(&class) {
                    return Err(malformed());
                }
            }
            (level::IP, _) => return Err(Errno::EINVAL.because("no such control message")),
            (level::IPV6, _) if version == Version::V6 => {
                return Err(Errno::EINVAL.because("no such control message"));
            }
            // As on Linux, those of other levels are none of its business.
            _ => {}
        }
    }
    Ok(way)
}

//! Requests of ioctl(2) about interfaces, for sockets of every family: netdevice(7).

use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr};

use abi::Errno;
use abi::net::interface::{InterfaceList, InterfaceRequest, NAME_LEN, request};
use abi::net::{InterfaceFlags, Sockaddr4, family};
use zerocopy::IntoBytes;

use crate::context::Context;
use crate::error::{Because, Error, Result};
use crate::process::Capability;
use crate::user::UserPtr;

use super::ip::InterfaceView;

/// How many packets wait at an interface of Linux.
const QUEUE_LEN: i32 = 1000;

/// What somebody who may change an interface can want of it without changing it.
const CHANGEABLE: InterfaceFlags = InterfaceFlags::UP;

/// Answers a request to a socket of `family`; `None` where it is none of these.
pub(super) fn ioctl(
    cx: &Context<'_>,
    family: u16,
    number: u32,
    argument: u64,
) -> Option<Result<()>> {
    if number == request::GET_CONFIGURATION {
        return Some(list(cx, UserPtr::new(argument)));
    }
    let about = match number {
        request::GET_ADDRESS
        | request::GET_DESTINATION
        | request::GET_BROADCAST
        | request::GET_NETMASK
            if family == family::INET =>
        {
            About::Address
        }
        request::GET_NAME => About::Name,
        request::GET_FLAGS
        | request::SET_FLAGS
        | request::GET_METRIC
        | request::GET_MTU
        | request::GET_HARDWARE
        | request::GET_INDEX
        | request::GET_QUEUE_LEN
        | request::GET_MAP => About::Device,
        _ if request::SETTINGS.contains(&number) => return Some(Err(refused(cx))),
        _ => return None,
    };
    Some(one(cx, number, &about, UserPtr::new(argument)))
}

/// What a request is about.
enum About {
    /// The name of the interface with a number.
    Name,
    /// The interface with a name.
    Device,
    /// Its address of IPv4.
    Address,
}

/// The error for a request to change something.
fn refused(cx: &Context<'_>) -> Error {
    if !cx.credentials().has(Capability::NetAdmin) {
        return Errno::EPERM.because("needs CAP_NET_ADMIN");
    }
    Errno::EOPNOTSUPP.because("interfaces, addresses and routes cannot be changed")
}

fn one(cx: &Context<'_>, number: u32, about: &About, at: UserPtr<InterfaceRequest>) -> Result<()> {
    let mut asked = at.read(cx)?;
    let all = cx.system.net.interfaces();
    let name = asked.name[..NAME_LEN - 1].split(|&byte| byte == 0).next().unwrap_or_default();
    let index = asked.value.first_chunk().map_or(0, |index| u32::from_ne_bytes(*index));
    let mut found = all.iter().filter(|one| match about {
        About::Name => one.index == index,
        About::Device => one.name.as_bytes() == name,
        // An alias is the interface itself: `eth0:1`.
        About::Address => Some(one.name.as_bytes()) == name.split(|&byte| byte == b':').next(),
    });
    let no_device = || Errno::ENODEV.because("there is no such interface");
    let found = found.next().ok_or_else(no_device)?;
    match number {
        request::GET_NAME => {
            asked.name = name_of(found);
            return at.write(cx, &asked);
        }
        request::SET_FLAGS => return keep_flags(cx, found, &asked),
        _ => {}
    }
    asked.value = value(found, number)?;
    at.write(cx, &asked)
}

/// Leaves the flags of an interface as they are, where somebody wants them as they are.
fn keep_flags(cx: &Context<'_>, found: &InterfaceView, asked: &InterfaceRequest) -> Result<()> {
    let wanted = asked.value.first_chunk().map_or(0, |flags| u16::from_ne_bytes(*flags));
    let wanted = InterfaceFlags::from_bits_truncate(wanted.into());
    let changes = wanted.symmetric_difference(found.flags()).intersects(CHANGEABLE);
    if changes || !cx.credentials().has(Capability::NetAdmin) {
        return Err(refused(cx));
    }
    Ok(())
}

fn name_of(one: &InterfaceView) -> [u8; NAME_LEN] {
    let mut name = [0; NAME_LEN];
    let len = one.name.len().min(NAME_LEN - 1);
    name[..len].copy_from_slice(&one.name.as_bytes()[..len]);
    name
}

/// What a request gives of an interface.
fn value(one: &InterfaceView, number: u32) -> Result<[u8; 24]> {
    let no_address = || Errno::EADDRNOTAVAIL.because("the interface has no address of IPv4");
    let address = || one.address4().ok_or_else(no_address);
    let bytes: Vec<u8> = match number {
        // Only the lower half of the flags has room.
        request::GET_FLAGS => (one.flags().bits() as u16).to_ne_bytes().into(),
        request::GET_METRIC => 0_i32.to_ne_bytes().into(),
        request::GET_MTU => one.mtu.to_ne_bytes().into(),
        request::GET_INDEX => one.index.to_ne_bytes().into(),
        request::GET_QUEUE_LEN => QUEUE_LEN.to_ne_bytes().into(),
        request::GET_HARDWARE => {
            [&one.hardware_kind().to_ne_bytes()[..], &one.hardware[..]].concat()
        }
        // No interrupts or memory of its own.
        request::GET_MAP => Vec::new(),
        request::GET_NETMASK => sockaddr(address()?.netmask()),
        request::GET_BROADCAST => sockaddr(address()?.broadcast()),
        _ => match address()?.ip {
            IpAddr::V4(ip) => sockaddr(Some(ip)),
            IpAddr::V6(_) => return Err(no_address()),
        },
    };
    let mut value = [0; 24];
    value[..bytes.len()].copy_from_slice(&bytes);
    Ok(value)
}

fn sockaddr(ip: Option<Ipv4Addr>) -> Vec<u8> {
    let address = ip.unwrap_or(Ipv4Addr::UNSPECIFIED).octets();
    let family = family::INET;
    Sockaddr4 { family, port: [0; 2], address, zero: [0; 8] }.as_bytes().to_vec()
}

/// The interfaces that have an address of IPv4, each with it: `SIOCGIFCONF`.
fn list(cx: &Context<'_>, at: UserPtr<InterfaceList>) -> Result<()> {
    const LEN: usize = size_of::<InterfaceRequest>();
    let mut asked = at.read(cx)?;
    let mut entries = Vec::new();
    for one in cx.system.net.interfaces() {
        for address in &one.addresses {
            if let IpAddr::V4(ip) = address.ip {
                let mut entry = InterfaceRequest { name: name_of(&one), value: [0; 24] };
                entry.value[..16].copy_from_slice(&sockaddr(Some(ip)));
                entries.push(entry);
            }
        }
    }
    if asked.to != 0 {
        let room = usize::try_from(asked.len).unwrap_or(0) / LEN;
        entries.truncate(room);
        cx.memory().write(asked.to, entries.as_bytes())?;
    }
    // An interface has a handful of addresses.
    asked.len = (entries.len() * LEN) as i32;
    at.write(cx, &asked)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::kit::{self, Kit};

    fn ask(kit: &Kit, fd: u64, number: u32, name: &[u8]) -> Result<[u8; 24], Errno> {
        let mut asked = InterfaceRequest::default();
        asked.name[..name.len()].copy_from_slice(name);
        let at = kit.put_value(&asked);
        kit.call("ioctl", [fd, number.into(), at, 0, 0, 0])?;
        Ok(kit.get_value::<InterfaceRequest>(at).value)
    }

    #[test]
    fn interfaces_are_told_of_through_every_socket_and_addresses_through_those_of_ip() {
        let kit = kit::process();
        let open = |family: u16| kit.call("socket", [family.into(), 2, 0, 0, 0, 0]).unwrap();
        let (inet, inet6, unix) = (open(family::INET), open(family::INET6), open(family::UNIX));
        for fd in [inet, inet6, unix] {
            assert_eq!(ask(&kit, fd, request::GET_INDEX, b"lo").unwrap()[..4], [1, 0, 0, 0]);
            assert_eq!(ask(&kit, fd, request::GET_FLAGS, b"lo").unwrap()[..2], [0x49, 0]);
            assert_eq!(ask(&kit, fd, request::GET_MTU, b"eth9"), Err(Errno::ENODEV));
        }
        let address = [2, 0, 0, 0, 127, 0, 0, 1];
        assert_eq!(ask(&kit, inet, request::GET_ADDRESS, b"lo").unwrap()[..8], address);
        assert_eq!(ask(&kit, inet, request::GET_ADDRESS, b"lo:1").unwrap()[..8], address);
        assert_eq!(ask(&kit, inet6, request::GET_ADDRESS, b"lo"), Err(Errno::ENOTTY));
        assert_eq!(ask(&kit, inet, request::SET_FLAGS, b"lo"), Err(Errno::EOPNOTSUPP));
        assert_eq!(ask(&kit, inet, 0x8916, b"lo"), Err(Errno::EOPNOTSUPP));
    }

    #[test]
    fn the_list_of_interfaces_is_as_long_as_there_is_room() {
        let kit = kit::process();
        let fd = kit.call("socket", [2, 2, 0, 0, 0, 0]).unwrap();
        let to = kit.room(100);
        for (len, to, told) in [(0, 0, 40), (100, to, 40), (39, to, 0), (-1, to, 0)] {
            let at = kit.put_value(&InterfaceList { len, padding: 0, to });
            let number = request::GET_CONFIGURATION.into();
            assert_eq!(kit.call("ioctl", [fd, number, at, 0, 0, 0]), Ok(0));
            assert_eq!(kit.get_value::<InterfaceList>(at).len, told);
        }
        assert_eq!(kit.get(to, 3), b"lo\0");
    }
}

//! The multicast groups of a socket, and the options that join and leave them: ip(7), ipv6(7).

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use abi::Errno;
use abi::net::{ip_option, ipv6_option, level};
use spin::Mutex;
use zerocopy::FromBytes;

use crate::error::{Because, Error, Result};
use crate::net::ReadValue;
use crate::net::ip::{Membership, Stack};

use super::address;

/// How many groups of IPv4 a socket joins (/proc/sys/net/ipv4/igmp_max_memberships).
const LIMIT: usize = 20;

/// Where the address is in a `struct group_req`, and how long that is, in bytes.
const GROUP_AT: usize = 8;
const GROUP_REQUEST_LEN: usize = 136;

/// The groups that a socket has joined.
pub(super) struct Groups {
    stack: Arc<Stack>,
    joined: Mutex<Vec<Membership>>,
}

/// What such an option asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    Join,
    Leave,
}

/// A group, and the interface as it was named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Request {
    group: IpAddr,
    index: u32,
    address: Option<IpAddr>,
}

impl Groups {
    /// None.
    pub(super) fn new(stack: Arc<Stack>) -> Self {
        Self { stack, joined: Mutex::default() }
    }

    /// Those that were joined.
    pub(super) fn joined(&self) -> Vec<Membership> {
        self.joined.lock().clone()
    }

    /// Joins or leaves a group; `None` for options that do not.
    ///
    /// # Errors
    /// `EINVAL`, `ENODEV`, `EADDRINUSE` for a group that it has joined, `EADDRNOTAVAIL` for one
    /// that it has not; `ENOBUFS`.
    pub(super) fn set(&self, at: u32, number: u32, value: &ReadValue<'_>) -> Option<Result<()>> {
        let wish = match (at, number) {
            (level::IP, ip_option::ADD_MEMBERSHIP | ip_option::MCAST_JOIN_GROUP)
            | (level::IPV6, ipv6_option::ADD_MEMBERSHIP | ip_option::MCAST_JOIN_GROUP) => {
                Wish::Join
            }
            (level::IP, ip_option::DROP_MEMBERSHIP | ip_option::MCAST_LEAVE_GROUP)
            | (level::IPV6, ipv6_option::DROP_MEMBERSHIP | ip_option::MCAST_LEAVE_GROUP) => {
                Wish::Leave
            }
            _ => return None,
        };
        let request = value().and_then(|value| read(at, number, &value));
        Some(request.and_then(|request| match wish {
            Wish::Join => self.join(&request),
            Wish::Leave => self.leave(&request),
        }))
    }

    fn resolve(&self, request: &Request) -> Result<Membership> {
        let interface = match request.index {
            0 => self.stack.interface_of(request.group, request.address)?,
            index if self.stack.has_interface(index) => index,
            _ => return Err(Errno::ENODEV.because("there is no such interface")),
        };
        Ok(Membership { interface, group: request.group })
    }

    fn join(&self, request: &Request) -> Result<()> {
        if !request.group.is_multicast() {
            return Err(Errno::EINVAL.because("the address is no group's"));
        }
        let membership = self.resolve(request)?;
        let mut joined = self.joined.lock();
        if joined.contains(&membership) {
            return Err(Errno::EADDRINUSE.because("the group was joined before"));
        }
        if request.group.is_ipv4()
            && joined.iter().filter(|one| one.group.is_ipv4()).count() >= LIMIT
        {
            return Err(Errno::ENOBUFS.because("the socket has joined too many groups"));
        }
        joined.try_reserve(1).map_err(|_| Errno::ENOBUFS.because("too many groups"))?;
        self.stack.join_group(membership)?;
        joined.push(membership);
        Ok(())
    }

    fn leave(&self, request: &Request) -> Result<()> {
        let is_named = request.index != 0 || request.address.is_some();
        let interface = match self.resolve(request) {
            Ok(membership) => Some(membership.interface),
            Err(error) if !is_named && request.group.is_ipv4() => return Err(error),
            Err(_) => None,
        };
        let mut joined = self.joined.lock();
        let fits = |one: &Membership| {
            one.group == request.group && (!is_named || Some(one.interface) == interface)
        };
        let at = joined.iter().position(fits);
        let at = at.ok_or_else(|| Errno::EADDRNOTAVAIL.because("the group was not joined"))?;
        self.stack.leave_group(&joined.remove(at));
        Ok(())
    }
}

impl Drop for Groups {
    fn drop(&mut self) {
        self.joined.get_mut().iter().for_each(|membership| self.stack.leave_group(membership));
    }
}

fn too_short() -> Error {
    Errno::EINVAL.because("the value is too short")
}

fn read(at: u32, number: u32, value: &[u8]) -> Result<Request> {
    match number {
        ip_option::MCAST_JOIN_GROUP | ip_option::MCAST_LEAVE_GROUP => read_group(at, value),
        _ if at == level::IP => {
            let (group, (address, index)) = read_v4(value)?;
            Ok(Request { group: group.into(), index, address: address.map(IpAddr::V4) })
        }
        _ => {
            let (group, rest) = <[u8; 16]>::read_from_prefix(value).map_err(|_| too_short())?;
            let (index, _) = u32::read_from_prefix(rest).map_err(|_| too_short())?;
            Ok(Request { group: Ipv6Addr::from(group).into(), index, address: None })
        }
    }
}

/// A `struct group_req`.
fn read_group(at: u32, value: &[u8]) -> Result<Request> {
    if value.len() < GROUP_REQUEST_LEN {
        return Err(too_short());
    }
    let (index, _) = u32::read_from_prefix(value).map_err(|_| too_short())?;
    let group = address::plain(&value[GROUP_AT..]).as_ref().map(SocketAddr::ip);
    match group {
        Some(group) if group.is_ipv4() == (at == level::IP) => {
            Ok(Request { group, index, address: None })
        }
        _ if at == level::IP => Err(Errno::EINVAL.because("the group is of another family")),
        _ => Err(Errno::EADDRNOTAVAIL.because("the group is of another family")),
    }
}

/// An interface by one of its addresses, or by its number, which is 0 where there is none.
type Interface4 = (Option<Ipv4Addr>, u32);

/// A `struct ip_mreqn`, or the beginning of one that is a `struct ip_mreq`.
fn read_v4(value: &[u8]) -> Result<(Ipv4Addr, Interface4)> {
    let (group, rest) = <[u8; 4]>::read_from_prefix(value).map_err(|_| too_short())?;
    let (address, rest) = <[u8; 4]>::read_from_prefix(rest).map_err(|_| too_short())?;
    let index = u32::read_from_prefix(rest).map_or(0, |(index, _)| index);
    let address = Ipv4Addr::from(address);
    Ok((group.into(), (Some(address).filter(|address| !address.is_unspecified()), index)))
}

/// The interface that `IP_MULTICAST_IF` names: by a `struct in_addr`, or as in [`read_v4`].
///
/// # Errors
/// `EINVAL`.
pub(super) fn read_interface4(value: &[u8]) -> Result<Interface4> {
    if let Ok((_, interface)) = read_v4(value) {
        return Ok(interface);
    }
    let (address, _) = <[u8; 4]>::read_from_prefix(value).map_err(|_| too_short())?;
    let address = Ipv4Addr::from(address);
    Ok((Some(address).filter(|address| !address.is_unspecified()), 0))
}

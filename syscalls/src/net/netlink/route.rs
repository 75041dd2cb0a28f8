//! What is asked of interfaces, addresses, routes and rules: rtnetlink(7).

use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use abi::Errno;
use abi::net::family;
use abi::net::netlink::{AddressMessage, LinkMessage, RouteMessage, flag, kind, link, route};

use crate::context::Context;
use crate::error::{Because, Error, Result};
use crate::net::ip::{InterfaceView, RouteView};
use crate::process::Capability;

use super::answers;
use super::message::{self, Request, head};

/// A datagram of several answers is not longer than this, in bytes: C libraries have room for
/// a page.
const DATAGRAM_LIMIT: usize = 3776;

/// In a route: it ends here (`RTCF_LOCAL`).
const ENDS_HERE: u32 = 1 << 31;

/// In which order the tables of a family are looked into, with the priority of each.
const RULES: [(u16, &[(u8, u32)]); 2] = [
    (
        family::INET,
        &[(route::TABLE_LOCAL, 0), (route::TABLE_MAIN, 32766), (route::TABLE_DEFAULT, 32767)],
    ),
    (family::INET6, &[(route::TABLE_LOCAL, 0), (route::TABLE_MAIN, 32766)]),
];

/// What is answered.
pub(super) struct Answers {
    /// Datagram after datagram.
    pub(super) datagrams: Vec<Vec<u8>>,
    /// Whether they are all that there is of something.
    pub(super) is_dump: bool,
}

/// Answers a request of the socket `port`; `None` where there is nothing to say. Only a
/// `is_strict` one may also say which of all are wanted.
///
/// # Errors
/// `EPERM`, `EOPNOTSUPP`, `ENODEV`, `EINVAL`, `ENETUNREACH`.
pub(super) fn answer(
    cx: &Context<'_>,
    request: &Request<'_>,
    is_strict: bool,
    port: u32,
) -> Result<Option<Answers>> {
    let wanted = request.header.kind;
    if wanted > kind::LAST {
        return Err(unknown());
    }
    let Some(&family) = request.body.first() else { return Ok(None) };
    let reads = wanted & kind::ACTION == kind::ACTION_GET;
    if !reads && !cx.credentials().has(Capability::NetAdmin) {
        return Err(Errno::EPERM.because("needs CAP_NET_ADMIN"));
    }
    if reads && request.header.flags & flag::DUMP != 0 {
        let dump = Dump { cx, request, port, is_strict, family: family.into() };
        let mut datagrams = packed(dump.all()?);
        datagrams.push(message::done(request, port));
        return Ok(Some(Answers { datagrams, is_dump: true }));
    }
    let one = match wanted {
        kind::GET_LINK => {
            let header = head(request, kind::NEW_LINK, 0, port);
            answers::link(header, &find_link(cx, request)?)
        }
        kind::GET_ROUTE => find_route(cx, request, port)?,
        kind::NEW_LINK | kind::SET_LINK => return keep_link(cx, request).map(|()| None),
        _ if reads => return Err(unknown()),
        _ => return Err(message::unchangeable()),
    };
    Ok(Some(Answers { datagrams: [one].into(), is_dump: false }))
}

fn unknown() -> Error {
    Errno::EOPNOTSUPP.because("there is no such request")
}

/// The answers in as few datagrams as they fit in.
fn packed(parts: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    let mut datagrams: Vec<Vec<u8>> = Vec::new();
    for part in parts {
        match datagrams.last_mut() {
            Some(last) if last.len() + part.len() <= DATAGRAM_LIMIT => last.extend(part),
            _ => datagrams.push(part),
        }
    }
    datagrams
}

/// A request for all that there is of something.
struct Dump<'a> {
    cx: &'a Context<'a>,
    request: &'a Request<'a>,
    port: u32,
    is_strict: bool,
    family: u16,
}

impl Dump<'_> {
    fn all(&self) -> Result<Vec<Vec<u8>>> {
        match self.request.header.kind {
            kind::GET_LINK => Ok(self.links()),
            kind::GET_ADDRESS => Ok(self.addresses()),
            kind::GET_ROUTE => Ok(self.routes()),
            kind::GET_RULE => Ok(self.rules()),
            // smoltcp does not say which neighbours it knows.
            kind::GET_NEIGHBOUR => Ok(Vec::new()),
            _ => Err(unknown()),
        }
    }

    fn header(&self, kind: u16) -> abi::net::netlink::Header {
        head(self.request, kind, flag::MULTI, self.port)
    }

    /// Whether something that has this number is wanted, where the request says `asked`.
    fn wants(&self, asked: u32, number: u32) -> bool {
        !self.is_strict || asked == 0 || asked == number
    }

    fn wants_family(&self, family: u16) -> bool {
        !matches!(self.family, family::INET | family::INET6) || self.family == family
    }

    fn wants_ip(&self, ip: IpAddr) -> bool {
        self.wants_family(answers::family_of(ip).into())
    }

    fn links(&self) -> Vec<Vec<u8>> {
        let asked = self.request.fixed::<LinkMessage>().index.cast_unsigned();
        let all = self.cx.system.net.interfaces().into_iter();
        all.filter(|one| self.wants(asked, one.index))
            .map(|one| answers::link(self.header(kind::NEW_LINK), &one))
            .collect()
    }

    fn addresses(&self) -> Vec<Vec<u8>> {
        let asked = self.request.fixed::<AddressMessage>().index;
        let mut parts = Vec::new();
        for one in self.cx.system.net.interfaces() {
            let addresses = one.addresses.iter().filter(|at| self.wants_ip(at.ip));
            for at in addresses.filter(|_| self.wants(asked, one.index)) {
                parts.push(answers::address(self.header(kind::NEW_ADDRESS), &one, at));
            }
        }
        parts
    }

    fn routes(&self) -> Vec<Vec<u8>> {
        let asked = self.request.fixed::<RouteMessage>().table.into();
        let all = self.cx.system.net.routes().into_iter();
        all.filter(|one| self.wants_ip(one.destination) && self.wants(asked, one.table.into()))
            .map(|one| answers::route(self.header(kind::NEW_ROUTE), &one, 0))
            .collect()
    }

    fn rules(&self) -> Vec<Vec<u8>> {
        let families = RULES.iter().filter(|(family, _)| self.wants_family(*family));
        let all = families.flat_map(|(family, tables)| tables.iter().map(move |of| (family, of)));
        all.map(|(family, (table, priority))| {
            // The families of IP are small numbers.
            answers::rule(self.header(kind::NEW_RULE), *family as u8, *table, *priority)
        })
        .collect()
    }
}

/// The link that a request is about.
fn find_link(cx: &Context<'_>, request: &Request<'_>) -> Result<InterfaceView> {
    let index = request.fixed::<LinkMessage>().index.cast_unsigned();
    let name = |kind| request.attribute(size_of::<LinkMessage>(), kind);
    let name = name(link::IFNAME).or_else(|| name(link::ALT_IFNAME));
    let name = name.map(|name| name.split(|&byte| byte == 0).next().unwrap_or_default());
    if index == 0 && name.is_none() {
        return Err(Errno::EINVAL.because("the request names no interface"));
    }
    let is_it = |one: &InterfaceView| match index {
        0 => Some(one.name.as_bytes()) == name,
        _ => one.index == index,
    };
    let found = cx.system.net.interfaces().into_iter().find(is_it);
    found.ok_or_else(|| Errno::ENODEV.because("there is no such interface"))
}

/// Leaves a link as it is, where a request wants it as it is.
fn keep_link(cx: &Context<'_>, request: &Request<'_>) -> Result<()> {
    let wanted = request.fixed::<LinkMessage>();
    let found = find_link(cx, request)?;
    let changes = (wanted.flags ^ found.flags().bits()) & wanted.change;
    let mut attributes = request.attributes(size_of::<LinkMessage>());
    if changes != 0 || attributes.any(|(kind, _)| kind != link::IFNAME) {
        return Err(message::unchangeable());
    }
    Ok(())
}

/// The way to one destination.
fn find_route(cx: &Context<'_>, request: &Request<'_>, port: u32) -> Result<Vec<u8>> {
    let value = request.attribute(size_of::<RouteMessage>(), route::DST);
    let value = value.unwrap_or_default();
    let invalid = || Errno::EINVAL.because("the destination is no address");
    let bits = |len: usize| if value.is_empty() { len } else { value.len() };
    let (destination, prefix_len): (IpAddr, u8) = match request.fixed::<RouteMessage>().family {
        family if u16::from(family) == family::INET && bits(4) == 4 => {
            (value.first_chunk::<4>().copied().map_or(Ipv4Addr::UNSPECIFIED, Into::into).into(), 32)
        }
        family if u16::from(family) == family::INET6 && bits(16) == 16 => {
            let ip = value.first_chunk::<16>().copied().map_or(Ipv6Addr::UNSPECIFIED, Into::into);
            (ip.into(), 128)
        }
        family if matches!(u16::from(family), family::INET | family::INET6) => {
            return Err(invalid());
        }
        _ => return Err(unknown()),
    };
    let path = cx.system.net.path(destination);
    let path = path.ok_or_else(|| Errno::ENETUNREACH.because("no way leads there"))?;
    let route = RouteView {
        destination,
        prefix_len,
        gateway: path.gateway,
        interface: path.interface,
        table: route::TABLE_MAIN,
        protocol: 0,
        scope: 0,
        kind: if path.is_local { route::LOCAL } else { route::UNICAST },
        source: Some(path.source),
        metric: None,
    };
    let flags = route::CLONED | if path.is_local { ENDS_HERE } else { 0 };
    Ok(answers::route(head(request, kind::NEW_ROUTE, 0, port), &route, flags))
}

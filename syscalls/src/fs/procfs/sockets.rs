//! Sockets in /proc/net, as ss(8), netstat(8) and lsof(8) read them.

use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use abi::net::netlink::Sockaddr;
use abi::net::{family, kind, protocol, state};
use zerocopy::FromBytes;

use crate::error::Result;
use crate::net::{Registered, socket_address};

use super::entry::Subject;
use super::net::end_line;
use super::text::{Text, put};

const HEAD: &[u8] =
    b"  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode";
const HEAD6: &[u8] = b"  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode";
const HEAD_DROPS: &[u8] = b" ref pointer drops";

/// How long lines about sockets of IPv4 are.
const TCP_LEN: usize = 149;
const UDP_LEN: usize = 127;

/// A socket of IP, as a line.
struct Line {
    local: SocketAddr,
    remote: SocketAddr,
    state: u8,
    sending: usize,
    receiving: usize,
    owner: u32,
    inode: u64,
}

/// What sockets a file is about.
#[derive(Clone, Copy)]
struct Which {
    family: u16,
    kind: u32,
    /// `None` for raw sockets, of which it tells all.
    protocol: Option<i32>,
}

fn registered(subject: &Subject<'_>, family: u16) -> Vec<Registered> {
    let mut all = subject.cx.system.sockets.open.all();
    all.retain(|one| one.socket.family() == family);
    all
}

/// The sockets that a file is about; those that have no port yet are in none.
fn lines(subject: &Subject<'_>, which: Which) -> Vec<Line> {
    let mut all = registered(subject, which.family);
    all.retain(|one| {
        let protocol = which.protocol.map(i32::unsigned_abs);
        one.socket.kind().number() == which.kind
            && protocol.is_none_or(|protocol| protocol == one.socket.protocol())
    });
    let unspecified: IpAddr = match which.family {
        family::INET => Ipv4Addr::UNSPECIFIED.into(),
        _ => Ipv6Addr::UNSPECIFIED.into(),
    };
    let any = SocketAddr::new(unspecified, 0);
    let mut lines = Vec::new();
    for Registered { inode, owner, socket } in all {
        let status = socket.status();
        let mut local = socket_address(&socket.name()).unwrap_or(any);
        let remote = status.peer.as_deref().and_then(socket_address).unwrap_or(any);
        if which.protocol.is_none() {
            // What stands in for a port of a raw socket.
            local.set_port(socket.protocol() as u16);
        }
        let is_idle = which.kind == kind::STREAM && status.state == state::CLOSED;
        if local.port() != 0 && !is_idle {
            let (state, sending, receiving) = (status.state, status.sending, status.receiving);
            lines.push(Line { local, remote, state, sending, receiving, owner, inode });
        }
    }
    lines
}

/// Connections that no socket has.
fn ownerless(subject: &Subject<'_>, family: u16) -> Vec<Line> {
    let mut all = subject.cx.system.net.ownerless();
    all.retain(|one| one.local.is_ipv4() == (family == family::INET));
    all.into_iter()
        .map(|one| Line {
            local: one.local,
            remote: one.remote,
            state: one.state,
            sending: 0,
            receiving: 0,
            owner: 0,
            inode: 0,
        })
        .collect()
}

fn put_address(text: &mut Text, address: SocketAddr) {
    match address.ip() {
        IpAddr::V4(ip) => put!(text, "{:08X}", u32::from_ne_bytes(ip.octets())),
        IpAddr::V6(ip) => {
            for word in ip.octets().as_chunks::<4>().0 {
                put!(text, "{:08X}", u32::from_ne_bytes(*word));
            }
        }
    }
    put!(text, ":{:04X}", address.port());
}

/// What is the same for all protocols.
fn put_line(text: &mut Text, line: &Line) {
    text.put(b": ");
    put_address(text, line.local);
    text.put(b" ");
    put_address(text, line.remote);
    put!(text, " {:02X} {:08X}:{:08X}", line.state, line.sending, line.receiving);
    put!(text, " 00:00000000 00000000 {:5} {:8} {}", line.owner, 0, line.inode);
}

fn put_tcp(subject: &Subject<'_>, text: &mut Text, family: u16) {
    let (head, len) = if family == family::INET { (HEAD, TCP_LEN) } else { (HEAD6, 0) };
    let start = text.len();
    text.put(head);
    end_line(text, start, len);
    let which = Which { family, kind: kind::STREAM, protocol: Some(protocol::TCP) };
    let mut all = lines(subject, which);
    all.extend(ownerless(subject, family));
    for (number, line) in all.iter().enumerate() {
        let start = text.len();
        put!(text, "{number:4}");
        put_line(text, line);
        text.put(b" 1 0000000000000000 100 0 0 10 0");
        end_line(text, start, len);
    }
}

fn put_messages(subject: &Subject<'_>, text: &mut Text, which: Which) {
    let is_v4 = which.family == family::INET;
    let (head, len) = if is_v4 { (HEAD, UDP_LEN) } else { (HEAD6, 0) };
    let start = text.len();
    if is_v4 && which.protocol.is_some() {
        text.put(b" ");
    }
    text.put(head);
    text.put(HEAD_DROPS);
    end_line(text, start, len);
    for (number, line) in lines(subject, which).iter().enumerate() {
        let start = text.len();
        put!(text, "{number:5}");
        put_line(text, line);
        text.put(b" 2 0000000000000000 0");
        end_line(text, start, len);
    }
}

pub(super) fn tcp(subject: &Subject<'_>, text: &mut Text) -> Result<()> {
    put_tcp(subject, text, family::INET);
    Ok(())
}

pub(super) fn tcp6(subject: &Subject<'_>, text: &mut Text) -> Result<()> {
    put_tcp(subject, text, family::INET6);
    Ok(())
}

const UDP: Which =
    Which { family: family::INET, kind: kind::DATAGRAM, protocol: Some(protocol::UDP) };
const ICMP: Which = Which { protocol: Some(protocol::ICMP), ..UDP };
const ICMP6: Which = Which { family: family::INET6, protocol: Some(protocol::ICMPV6), ..UDP };
const RAW: Which = Which { kind: kind::RAW, protocol: None, ..UDP };

pub(super) fn udp(subject: &Subject<'_>, text: &mut Text) -> Result<()> {
    put_messages(subject, text, UDP);
    Ok(())
}

pub(super) fn udp6(subject: &Subject<'_>, text: &mut Text) -> Result<()> {
    put_messages(subject, text, Which { family: family::INET6, ..UDP });
    Ok(())
}

pub(super) fn icmp(subject: &Subject<'_>, text: &mut Text) -> Result<()> {
    put_messages(subject, text, ICMP);
    Ok(())
}

pub(super) fn icmp6(subject: &Subject<'_>, text: &mut Text) -> Result<()> {
    put_messages(subject, text, ICMP6);
    Ok(())
}

pub(super) fn raw(subject: &Subject<'_>, text: &mut Text) -> Result<()> {
    put_messages(subject, text, RAW);
    Ok(())
}

pub(super) fn raw6(subject: &Subject<'_>, text: &mut Text) -> Result<()> {
    put_messages(subject, text, Which { family: family::INET6, ..RAW });
    Ok(())
}

/// /proc/net/unix.
pub(super) fn unix(subject: &Subject<'_>, text: &mut Text) -> Result<()> {
    /// The flag of a socket that listens (`__SO_ACCEPTCON`).
    const LISTENS: u32 = 0x1_0000;
    text.put(b"Num       RefCount Protocol Flags    Type St Inode Path\n");
    for Registered { inode, socket, .. } in registered(subject, family::UNIX) {
        let flags = if socket.is_listening() { LISTENS } else { 0 };
        put!(text, "{:016x}: {:08X} {:08X} {flags:08X}", 0, 2, 0);
        put!(text, " {:04X} {:02X} {inode:5}", socket.kind().number(), socket.status().state);
        let name = socket.name();
        if let Some((first, rest)) = name.get(2..).and_then(<[u8]>::split_first) {
            // A NUL in front is no path; those within cannot be shown either.
            text.put(if *first == 0 { b" @" } else { b" " });
            let start = if *first == 0 { rest } else { &name[2..name.len() - 1] };
            let shown: Vec<u8> =
                start.iter().map(|&byte| if byte == 0 { b'@' } else { byte }).collect();
            text.put(&shown);
        }
        text.put(b"\n");
    }
    Ok(())
}

/// /proc/net/netlink: the sockets that have a number.
pub(super) fn netlink(subject: &Subject<'_>, text: &mut Text) -> Result<()> {
    text.put(b"sk               Eth Pid        Groups   Rmem     Wmem     Dump  Locks    Drops");
    text.put(b"    Inode\n");
    for Registered { inode, socket, .. } in registered(subject, family::NETLINK) {
        let Ok((address, _)) = Sockaddr::read_from_prefix(&socket.name()) else { continue };
        if address.port != 0 {
            let (port, groups, waiting) = (address.port, address.groups, socket.status().receiving);
            put!(text, "{:016x} {:<3} {port:<10}", 0, socket.protocol());
            put!(text, " {groups:08x} {waiting:<8} 0        0     2        0        {inode:<8}\n");
        }
    }
    Ok(())
}

/// How many sockets a file is about.
fn count(subject: &Subject<'_>, which: Which) -> usize {
    lines(subject, which).len()
}

pub(super) fn sockstat(subject: &Subject<'_>, text: &mut Text) -> Result<()> {
    let used = subject.cx.system.sockets.open.all().len();
    let tcp = Which { kind: kind::STREAM, protocol: Some(protocol::TCP), ..UDP };
    let sockets = registered(subject, family::INET);
    let streams = sockets.iter().filter(|one| one.socket.kind().number() == kind::STREAM).count();
    let others = subject.cx.system.net.ownerless();
    let ended = others.iter().filter(|one| one.state == state::TIME_WAIT).count();
    let (inuse, orphans) = (count(subject, tcp), others.len() - ended);
    put!(text, "sockets: used {used}\nTCP: inuse {inuse} orphan {orphans}");
    put!(text, " tw {ended} alloc {streams} mem 0\n");
    put!(text, "UDP: inuse {} mem 0\nUDPLITE: inuse 0\n", count(subject, UDP));
    put!(text, "RAW: inuse {}\nFRAG: inuse 0 memory 0\n", count(subject, RAW));
    Ok(())
}

pub(super) fn sockstat6(subject: &Subject<'_>, text: &mut Text) -> Result<()> {
    let v6 = |which| count(subject, Which { family: family::INET6, ..which });
    let tcp = Which { kind: kind::STREAM, protocol: Some(protocol::TCP), ..UDP };
    put!(text, "TCP6: inuse {}\nUDP6: inuse {}\nUDPLITE6: inuse 0\n", v6(tcp), v6(UDP));
    put!(text, "RAW6: inuse {}\nFRAG6: inuse 0 memory 0\n", v6(RAW));
    Ok(())
}

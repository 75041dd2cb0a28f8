//! What rtnetlink(7) answers about a machine that has only its loopback.

use std::vec;
use std::vec::Vec;

use abi::Errno;
use abi::net::netlink::{
    AddressMessage, Attribute, Header, LinkMessage, Sockaddr, address, flag, kind, link, option,
};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::fake::kit::{self, Kit};

const NETLINK: u64 = 16;
const RAW: u64 = 3;
const LEVEL: u64 = 270;
const TRUNC: u64 = 0x20;
const PEEK: u64 = 2;
const DONTWAIT: u64 = 0x40;

fn open(kit: &Kit) -> u64 {
    kit.call("socket", [NETLINK, RAW, 0, 0, 0, 0]).unwrap()
}

fn request(kind: u16, flags: u16, body: &(impl IntoBytes + Immutable)) -> Vec<u8> {
    let len = (size_of::<Header>() + size_of_val(body)) as u32;
    let flags = flags | flag::REQUEST;
    let mut bytes = Header { len, kind, flags, sequence: 7, port: 0 }.as_bytes().to_vec();
    bytes.extend_from_slice(body.as_bytes());
    bytes
}

fn send(kit: &Kit, fd: u64, bytes: &[u8]) -> Result<u64, Errno> {
    kit.call("sendto", [fd, kit.put(bytes), bytes.len() as u64, 0, 0, 0])
}

fn receive(kit: &Kit, fd: u64) -> Result<Vec<u8>, Errno> {
    let at = kit.room(8192);
    let len = kit.call("recvfrom", [fd, at, 8192, DONTWAIT, 0, 0])?;
    Ok(kit.get(at, len as usize))
}

/// The messages of a datagram: the head and what follows it.
fn messages(datagram: &[u8]) -> Vec<(Header, Vec<u8>)> {
    let (mut rest, mut all) = (datagram, Vec::new());
    while let Ok((header, _)) = Header::read_from_prefix(rest) {
        let len = header.len as usize;
        all.push((header, rest[size_of::<Header>()..len].to_vec()));
        rest = &rest[len.next_multiple_of(4)..];
    }
    assert!(rest.is_empty());
    all
}

fn attribute(body: &[u8], fixed: usize, wanted: u16) -> Option<Vec<u8>> {
    let mut rest = &body[fixed..];
    while let Ok((head, _)) = Attribute::read_from_prefix(rest) {
        if head.kind == wanted {
            return Some(rest[4..usize::from(head.len)].to_vec());
        }
        rest = rest.get(usize::from(head.len).next_multiple_of(4)..).unwrap_or_default();
    }
    None
}

/// The number of the error in an acknowledgement.
fn error(datagram: &[u8]) -> i32 {
    let all = messages(datagram);
    assert_eq!(all.len(), 1);
    assert_eq!(all[0].0.kind, kind::ERROR);
    i32::from_ne_bytes(all[0].1[..4].try_into().unwrap())
}

#[test]
fn all_links_and_addresses_are_told_and_then_their_end() {
    let kit = kit::process();
    let fd = open(&kit);
    send(&kit, fd, &request(kind::GET_LINK, flag::DUMP, &LinkMessage::default())).unwrap();
    let links = messages(&receive(&kit, fd).unwrap());
    assert_eq!(links.len(), 1);
    let (header, body) = &links[0];
    let port = kit.process.id();
    assert_eq!((header.kind, header.flags), (kind::NEW_LINK, flag::MULTI));
    assert_eq!((header.sequence, header.port), (7, port));
    let fixed = LinkMessage::read_from_prefix(body).unwrap().0;
    assert_eq!((fixed.kind, fixed.index, fixed.flags), (772, 1, 0x10049));
    assert_eq!(attribute(body, 16, link::IFNAME), Some(b"lo\0".to_vec()));
    assert_eq!(attribute(body, 16, link::MTU), Some(65536_u32.to_ne_bytes().to_vec()));
    assert_eq!(messages(&receive(&kit, fd).unwrap())[0].0.kind, kind::DONE);

    send(&kit, fd, &request(kind::GET_ADDRESS, flag::DUMP, &AddressMessage::default())).unwrap();
    let addresses = messages(&receive(&kit, fd).unwrap());
    let told: Vec<_> =
        addresses.iter().map(|(_, body)| attribute(body, 8, address::ADDRESS)).collect();
    let v6 = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    assert_eq!(told, [Some(vec![127, 0, 0, 1]), Some(v6.to_vec())]);
    assert_eq!(messages(&receive(&kit, fd).unwrap())[0].0.kind, kind::DONE);
    assert_eq!(receive(&kit, fd), Err(Errno::EAGAIN));
}

#[test]
fn a_request_is_acknowledged_where_it_asks_for_that_or_fails() {
    let kit = kit::process();
    let fd = open(&kit);
    let about = |index| LinkMessage { index, ..LinkMessage::default() };
    send(&kit, fd, &request(kind::GET_LINK, flag::ACK, &about(1))).unwrap();
    assert_eq!(messages(&receive(&kit, fd).unwrap())[0].0.kind, kind::NEW_LINK);
    let ack = receive(&kit, fd).unwrap();
    assert_eq!((error(&ack), ack.len()), (0, 36));
    assert_eq!(messages(&ack)[0].0.flags, flag::CAPPED);
    for (index, errno) in [(99, Errno::ENODEV), (0, Errno::EINVAL)] {
        send(&kit, fd, &request(kind::GET_LINK, 0, &about(index))).unwrap();
        let answer = receive(&kit, fd).unwrap();
        assert_eq!((error(&answer), answer.len()), (-i32::from(errno.number()), 52));
    }
    send(&kit, fd, &request(kind::NEW_ADDRESS, 0, &AddressMessage::default())).unwrap();
    assert_eq!(error(&receive(&kit, fd).unwrap()), -95);
    let on = kit.put(&1_u32.to_ne_bytes());
    for number in [option::EXT_ACK, option::CAP_ACK] {
        kit.call("setsockopt", [fd, LEVEL, number.into(), on, 4, 0]).unwrap();
    }
    send(&kit, fd, &request(kind::NEW_ADDRESS, 0, &AddressMessage::default())).unwrap();
    let (header, body) = messages(&receive(&kit, fd).unwrap()).remove(0);
    assert_eq!(header.flags, flag::CAPPED | flag::ACK_TLVS);
    assert!(attribute(&body, 20, 1).unwrap().ends_with(b"cannot be changed\0"));
}

#[test]
fn malformed_requests_are_not_answered() {
    let kit = kit::process();
    let fd = open(&kit);
    let mut bad = request(kind::GET_LINK, flag::ACK, &LinkMessage::default());
    bad[0] = 200;
    assert_eq!(send(&kit, fd, &bad), Ok(bad.len() as u64));
    bad[0] = 3;
    assert_eq!(send(&kit, fd, &bad), Ok(bad.len() as u64));
    assert_eq!(send(&kit, fd, &bad[..7]), Ok(7));
    assert_eq!(receive(&kit, fd), Err(Errno::EAGAIN));
}

#[test]
fn a_message_can_be_looked_at_and_its_length_told() {
    let kit = kit::process();
    let fd = open(&kit);
    let about = LinkMessage { index: 99, ..LinkMessage::default() };
    send(&kit, fd, &request(kind::GET_LINK, 0, &about)).unwrap();
    let at = kit.room(16);
    assert_eq!(kit.call("recvfrom", [fd, at, 16, PEEK | TRUNC, 0, 0]), Ok(52));
    assert_eq!(kit.call("recvfrom", [fd, at, 16, 0, 0, 0]), Ok(16));
    assert_eq!(receive(&kit, fd), Err(Errno::EAGAIN));
}

#[test]
fn a_socket_has_a_number_that_no_other_has() {
    let kit = kit::process();
    let (one, other) = (open(&kit), open(&kit));
    let any = Sockaddr { family: 16, ..Sockaddr::default() };
    let name = |fd| {
        let (at, len) = (kit.room(16), kit.put(&16_u32.to_ne_bytes()));
        kit.call("getsockname", [fd, at, len, 0, 0, 0]).unwrap();
        Sockaddr::read_from_bytes(&kit.get(at, 12)[..]).unwrap()
    };
    assert_eq!(name(one).port, 0);
    for fd in [one, other] {
        kit.call("bind", [fd, kit.put(any.as_bytes()), 12, 0, 0, 0]).unwrap();
    }
    assert_eq!(name(one), Sockaddr { port: kit.process.id(), ..any });
    let taken = kit.put(name(other).as_bytes());
    assert_ne!(name(other).port, name(one).port);
    let third = open(&kit);
    assert_eq!(kit.call("bind", [third, taken, 12, 0, 0, 0]), Err(Errno::EADDRINUSE));
    kit.call("close", [other, 0, 0, 0, 0, 0]).unwrap();
    assert_eq!(kit.call("bind", [third, taken, 12, 0, 0, 0]), Ok(0));
}

#[test]
fn answers_that_nobody_takes_cost_no_more_than_the_buffer() {
    let kit = kit::process();
    let fd = open(&kit);
    let dump = request(kind::GET_LINK, flag::DUMP, &LinkMessage::default());
    let all = dump.repeat(5000);
    assert_eq!(send(&kit, fd, &all), Ok(all.len() as u64));
    assert_eq!(receive(&kit, fd), Err(Errno::ENOBUFS));
    let at = kit.room(4096);
    let take = || kit.call("recvfrom", [fd, at, 4096, DONTWAIT, 0, 0]).ok();
    let kept: u64 = std::iter::from_fn(take).sum();
    assert!((100_000..212_992).contains(&kept), "{kept} bytes");
}

//! What unix(7) says that a test of one process can see.

use std::vec;
use std::vec::Vec;

use abi::Errno;
use abi::net::{ControlHeader, MessageHeader, control, level};
use zerocopy::IntoBytes;

use crate::fake::kit::{self, Kit};
use crate::fs::Fd;

const UNIX: u64 = 1;
const STREAM: u64 = 1;
const DATAGRAM: u64 = 2;
const NONBLOCK: u64 = 0o4000;
const DONTWAIT: u64 = 0x40;

fn pair(kit: &Kit, kind: u64) -> (u64, u64) {
    let fds = kit.room(8);
    assert_eq!(kit.call("socketpair", [UNIX, kind | NONBLOCK, 0, fds, 0, 0]), Ok(0));
    let [one, other]: [i32; 2] = kit.get_value(fds);
    (one as u64, other as u64)
}

fn send(kit: &Kit, fd: u64, bytes: &[u8]) -> Result<u64, Errno> {
    let at = kit.put(bytes);
    kit.call("sendto", [fd, at, bytes.len() as u64, 0x4000, 0, 0])
}

fn receive(kit: &Kit, fd: u64, len: usize) -> Result<Vec<u8>, Errno> {
    let at = kit.room(len);
    let received = kit.call("recvfrom", [fd, at, len as u64, DONTWAIT, 0, 0])?;
    Ok(kit.get(at, received as usize))
}

/// Sends a byte with descriptors.
fn pass(kit: &Kit, fd: u64, passed: &[u64]) -> Result<u64, Errno> {
    let len = size_of::<ControlHeader>() + 4 * passed.len();
    let head = ControlHeader { len: len as u64, level: level::SOCKET, kind: control::RIGHTS };
    let mut bytes = head.as_bytes().to_vec();
    passed.iter().for_each(|fd| bytes.extend_from_slice(&(*fd as i32).to_ne_bytes()));
    let buffer = kit.put(b"x");
    let header = MessageHeader {
        vector: kit.put_value(&[buffer, 1]),
        vector_len: 1,
        control: kit.put(&bytes),
        control_len: len as u64,
        ..MessageHeader::default()
    };
    kit.call("sendmsg", [fd, kit.put_value(&header), 0, 0, 0, 0])
}

/// Receives a byte; the descriptors that come with it.
fn take(kit: &Kit, fd: u64) -> Vec<i32> {
    let control = kit.room(64);
    let header = MessageHeader {
        vector: kit.put_value(&[kit.room(1), 1]),
        vector_len: 1,
        control,
        control_len: 64,
        ..MessageHeader::default()
    };
    let at = kit.put_value(&header);
    assert_eq!(kit.call("recvmsg", [fd, at, 0, 0, 0, 0]), Ok(1));
    if kit.get_value::<MessageHeader>(at).control_len == 0 {
        return Vec::new();
    }
    let len = kit.get_value::<ControlHeader>(control).len;
    let start = size_of::<ControlHeader>() as u64;
    (start..len).step_by(4).map(|at| kit.get_value(control + at)).collect()
}

fn close(kit: &Kit, fd: u64) {
    assert_eq!(kit.call("close", [fd, 0, 0, 0, 0, 0]), Ok(0));
}

#[test]
fn a_stream_has_no_borders_and_messages_have() {
    let kit = kit::process();
    let (one, other) = pair(&kit, STREAM);
    assert_eq!(send(&kit, one, b"ab"), Ok(2));
    assert_eq!(send(&kit, one, b"cd"), Ok(2));
    assert_eq!(receive(&kit, other, 3), Ok(b"abc".to_vec()));
    assert_eq!(receive(&kit, other, 3), Ok(b"d".to_vec()));
    assert_eq!(receive(&kit, other, 3), Err(Errno::EAGAIN));
    let (one, other) = pair(&kit, DATAGRAM);
    assert_eq!(send(&kit, one, b"abc"), Ok(3));
    assert_eq!(send(&kit, one, b""), Ok(0));
    assert_eq!(receive(&kit, other, 2), Ok(b"ab".to_vec()));
    assert_eq!(receive(&kit, other, 2), Ok(vec![]));
    assert_eq!(receive(&kit, other, 2), Err(Errno::EAGAIN));
}

#[test]
fn the_end_of_a_stream_is_told_after_what_was_sent() {
    let kit = kit::process();
    let (one, other) = pair(&kit, STREAM);
    assert_eq!(send(&kit, one, b"ab"), Ok(2));
    close(&kit, one);
    assert_eq!(receive(&kit, other, 9), Ok(b"ab".to_vec()));
    assert_eq!(receive(&kit, other, 9), Ok(vec![]));
    assert_eq!(send(&kit, other, b"x"), Err(Errno::EPIPE));
    let (one, other) = pair(&kit, STREAM);
    assert_eq!(send(&kit, one, b"ab"), Ok(2));
    close(&kit, other);
    assert_eq!(receive(&kit, one, 9), Err(Errno::ECONNRESET));
    assert_eq!(receive(&kit, one, 9), Ok(vec![]));
}

#[test]
fn a_full_buffer_takes_no_more_until_it_is_received() {
    let kit = kit::process();
    let (one, other) = pair(&kit, STREAM);
    let block = vec![7; 30_000];
    let mut sent = 0;
    while send(&kit, one, &block).is_ok() {
        sent += block.len();
        assert!(sent < 1 << 20, "the buffer has an end");
    }
    assert_eq!(send(&kit, one, &block), Err(Errno::EAGAIN));
    let mut received = 0;
    while let Ok(bytes) = receive(&kit, other, 20_000) {
        received += bytes.len();
    }
    assert_eq!(received, sent);
    assert_eq!(send(&kit, one, b"x"), Ok(1));
}

#[test]
fn descriptors_come_with_the_byte_they_were_sent_with() {
    let kit = kit::process();
    let (one, other) = pair(&kit, STREAM);
    let file = kit.descriptor(kit.file("plain", b"text"));
    assert_eq!(pass(&kit, one, &[file, file]), Ok(1));
    assert_eq!(pass(&kit, one, &[99]), Err(Errno::EBADF));
    assert_eq!(send(&kit, one, b"y"), Ok(1));
    let taken = take(&kit, other);
    assert_eq!(taken.len(), 2);
    let original = kit.process.files.get(Fd(file as i32)).unwrap();
    let passed = kit.process.files.get(Fd(taken[0])).unwrap();
    assert!(std::sync::Arc::ptr_eq(&original, &passed));
    assert!(take(&kit, other).is_empty());
}

#[test]
fn sockets_that_only_messages_keep_are_found() {
    let kit = kit::process();
    let (one, other) = pair(&kit, STREAM);
    let (probe, watched) = pair(&kit, STREAM);
    assert_eq!(pass(&kit, one, &[other, watched]), Ok(1));
    close(&kit, watched);
    assert_eq!(send(&kit, probe, b"x"), Ok(1), "it can still be received");
    close(&kit, other);
    assert_eq!(send(&kit, probe, b"x"), Err(Errno::EPIPE), "its queue kept itself");
    close(&kit, one);
}

#[test]
fn sockets_in_a_queue_that_can_be_received_from_stay() {
    let kit = kit::process();
    let (one, other) = pair(&kit, STREAM);
    let (probe, watched) = pair(&kit, STREAM);
    assert_eq!(pass(&kit, one, &[watched]), Ok(1));
    close(&kit, watched);
    close(&kit, one);
    assert_eq!(send(&kit, probe, b"x"), Ok(1));
    let taken = take(&kit, other);
    assert_eq!(receive(&kit, taken[0] as u64, 2), Ok(b"x".to_vec()));
}

#[test]
fn names_lead_to_listeners() {
    let kit = kit::process();
    let address = kit.put(b"\x01\x00\x00name");
    let server = kit.call("socket", [UNIX, STREAM | NONBLOCK, 0, 0, 0, 0]).unwrap();
    let client = kit.call("socket", [UNIX, STREAM | NONBLOCK, 0, 0, 0, 0]).unwrap();
    let connect = || kit.call("connect", [client, address, 7, 0, 0, 0]);
    assert_eq!(connect(), Err(Errno::ECONNREFUSED));
    assert_eq!(kit.call("listen", [server, 1, 0, 0, 0, 0]), Err(Errno::EINVAL));
    assert_eq!(kit.call("bind", [server, address, 7, 0, 0, 0]), Ok(0));
    assert_eq!(connect(), Err(Errno::ECONNREFUSED));
    assert_eq!(kit.call("listen", [server, 0, 0, 0, 0, 0]), Ok(0));
    assert_eq!(kit.call("accept", [server, 0, 0, 0, 0, 0]), Err(Errno::EAGAIN));
    assert_eq!(connect(), Ok(0));
    assert_eq!(connect(), Err(Errno::EISCONN));
    let late = kit.call("socket", [UNIX, STREAM | NONBLOCK, 0, 0, 0, 0]).unwrap();
    assert_eq!(kit.call("connect", [late, address, 7, 0, 0, 0]), Err(Errno::EAGAIN));
    assert_eq!(send(&kit, client, b"early"), Ok(5));
    let accepted = kit.call("accept", [server, 0, 0, 0, 0, 0]).unwrap();
    assert_eq!(receive(&kit, accepted, 9), Ok(b"early".to_vec()));
    assert_eq!(kit.call("connect", [late, address, 7, 0, 0, 0]), Ok(0));
    close(&kit, server);
    assert_eq!(receive(&kit, late, 9), Err(Errno::ECONNRESET));
    let other = kit.call("socket", [UNIX, STREAM, 0, 0, 0, 0]).unwrap();
    assert_eq!(kit.call("bind", [other, address, 7, 0, 0, 0]), Ok(0), "the name is free again");
}

#[test]
fn families_that_are_not_there_are_refused() {
    let kit = kit::process();
    let socket = |family, kind, protocol| kit.call("socket", [family, kind, protocol, 0, 0, 0]);
    assert_eq!(socket(3, STREAM, 0), Err(Errno::EAFNOSUPPORT));
    assert_eq!(socket(99, STREAM, 0), Err(Errno::EAFNOSUPPORT));
    assert_eq!(socket(UNIX, 99, 0), Err(Errno::EINVAL));
    assert_eq!(socket(UNIX, 4, 0), Err(Errno::ESOCKTNOSUPPORT));
    assert_eq!(socket(UNIX, STREAM, 7), Err(Errno::EPROTONOSUPPORT));
    let file = kit.descriptor(kit.file("plain", b""));
    assert_eq!(kit.call("listen", [file, 1, 0, 0, 0, 0]), Err(Errno::ENOTSOCK));
}

#[test]
fn nothing_leaks() {
    let kit = kit::process();
    let (one, other) = pair(&kit, DATAGRAM);
    assert_eq!(pass(&kit, one, &[other, one]), Ok(1));
    assert_eq!(pass(&kit, other, &[other, one]), Ok(1));
    let open = kit.process.files.get(Fd(one as i32)).unwrap();
    let weak = std::sync::Arc::downgrade(&open);
    drop(open);
    close(&kit, one);
    close(&kit, other);
    assert!(weak.upgrade().is_none());
}

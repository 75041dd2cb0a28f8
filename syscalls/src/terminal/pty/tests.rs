//! Pairs by system calls; what needs several processes is tested beside Linux.

use std::string::String;
use std::vec::Vec;

use abi::Errno;
use abi::terminal::request as r;

use crate::fake::kit::{self, Kit};

const RDWR: u64 = 2;
const NOCTTY: u64 = 0o400;
const NONBLOCK: u64 = 0o4000;
const AT_FDCWD: u64 = -100_i64 as u64;

fn open(kit: &Kit, path: &str, flags: u64) -> Result<u64, Errno> {
    let path = kit.string(path);
    kit.call("openat", [AT_FDCWD, path, RDWR | NOCTTY | flags, 0, 0, 0])
}

fn ioctl(kit: &Kit, fd: u64, request: u32, value: u32) -> Result<u32, Errno> {
    let at = kit.put_value(&value);
    kit.call("ioctl", [fd, u64::from(request), at, 0, 0, 0])?;
    Ok(kit.get_value(at))
}

/// A nonblocking master and the path of its slave, which is unlocked.
fn master(kit: &Kit) -> (u64, String) {
    let master = open(kit, "/dev/ptmx", NONBLOCK).unwrap();
    let number = ioctl(kit, master, r::TIOCGPTN, 0).unwrap();
    ioctl(kit, master, r::TIOCSPTLCK, 0).unwrap();
    (master, std::format!("/dev/pts/{number}"))
}

fn read(kit: &Kit, fd: u64, len: usize) -> Result<Vec<u8>, Errno> {
    let room = kit.room(len);
    let done = kit.call("read", [fd, room, len as u64, 0, 0, 0])?;
    Ok(kit.get(room, done as usize))
}

fn write(kit: &Kit, fd: u64, bytes: &[u8]) -> Result<u64, Errno> {
    let at = kit.put(bytes);
    kit.call("write", [fd, at, bytes.len() as u64, 0, 0, 0])
}

fn close(kit: &Kit, fd: u64) {
    assert_eq!(kit.call("close", [fd, 0, 0, 0, 0, 0]), Ok(0));
}

#[test]
fn what_one_side_writes_the_other_reads() {
    let kit = kit::process();
    let (master, path) = master(&kit);
    let slave = open(&kit, &path, NONBLOCK).unwrap();
    assert_eq!(write(&kit, master, b"hello\n"), Ok(6));
    assert_eq!(read(&kit, slave, 99), Ok(b"hello\n".to_vec()));
    assert_eq!(read(&kit, master, 99), Ok(b"hello\r\n".to_vec()));
    assert_eq!(write(&kit, slave, b"a\nb"), Ok(3));
    assert_eq!(read(&kit, master, 2), Ok(b"a\r".to_vec()));
    assert_eq!(read(&kit, master, 99), Ok(b"\nb".to_vec()));
    assert_eq!(read(&kit, master, 99), Err(Errno::EAGAIN));
}

#[test]
fn a_locked_slave_cannot_be_opened_and_a_lost_one_has_no_name() {
    let kit = kit::process();
    let (master, path) = master(&kit);
    ioctl(&kit, master, r::TIOCSPTLCK, 1).unwrap();
    assert_eq!(open(&kit, &path, 0), Err(Errno::EIO));
    ioctl(&kit, master, r::TIOCSPTLCK, 0).unwrap();
    let slave = open(&kit, &path, 0).unwrap();
    close(&kit, master);
    assert_eq!(read(&kit, slave, 9), Ok(Vec::new()));
    assert_eq!(write(&kit, slave, b"x"), Err(Errno::EIO));
    assert_eq!(open(&kit, &path, 0), Err(Errno::ENOENT));
}

#[test]
fn a_number_is_used_again_when_both_sides_are_closed() {
    let kit = kit::process();
    let (first, path) = master(&kit);
    let slave = open(&kit, &path, 0).unwrap();
    close(&kit, first);
    let (second, other) = master(&kit);
    assert_ne!(path, other);
    close(&kit, slave);
    close(&kit, second);
    assert_eq!(master(&kit).1, path);
    assert_eq!(kit.system.ptys.count(), 1);
}

#[test]
fn the_master_reads_what_is_left_and_then_an_error_when_the_slave_is_closed() {
    let kit = kit::process();
    let (master, path) = master(&kit);
    assert_eq!(read(&kit, master, 9), Err(Errno::EAGAIN));
    let slave = open(&kit, &path, 0).unwrap();
    assert_eq!(write(&kit, slave, b"last"), Ok(4));
    close(&kit, slave);
    assert_eq!(read(&kit, master, 9), Ok(b"last".to_vec()));
    assert_eq!(read(&kit, master, 9), Err(Errno::EIO));
    let _slave = open(&kit, &path, 0).unwrap();
    assert_eq!(read(&kit, master, 9), Err(Errno::EAGAIN));
}

#[test]
fn a_full_wire_takes_no_more_until_it_is_read() {
    let kit = kit::process();
    let (master, path) = master(&kit);
    let slave = open(&kit, &path, NONBLOCK).unwrap();
    let block = [b'x'; 1000];
    let mut written = 0;
    while let Ok(len) = write(&kit, slave, &block) {
        written += len;
        assert!(written < 1 << 20, "there is an end");
    }
    let mut seen = 0;
    while let Ok(bytes) = read(&kit, master, 4000) {
        seen += bytes.len() as u64;
    }
    assert_eq!(seen, written);
    assert_eq!(write(&kit, slave, b"x"), Ok(1));
}

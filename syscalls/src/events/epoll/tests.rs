//! What epoll(7) says, by system calls on the fake machine.

use std::vec;
use std::vec::Vec;

use abi::Errno;
use abi::events::EpollEvent;

use crate::fake::kit::{self, Kit};

const ADD: u64 = 1;
const DEL: u64 = 2;
const MOD: u64 = 3;
const IN: u32 = 1;
const OUT: u32 = 4;
const HUP: u32 = 16;
const ONESHOT: u32 = 1 << 30;
const ET: u32 = 1 << 31;
const EXCLUSIVE: u32 = 1 << 28;
const NONBLOCK: u64 = 0o4000;

struct Setup {
    kit: Kit,
    epoll: u64,
}

fn setup() -> Setup {
    let kit = kit::process();
    let epoll = kit.call("epoll_create1", [0; 6]).unwrap();
    Setup { kit, epoll }
}

impl Setup {
    fn pipe(&self) -> (u64, u64) {
        let fds = self.kit.room(8);
        self.kit.call("pipe2", [fds, NONBLOCK, 0, 0, 0, 0]).unwrap();
        let [read, write]: [i32; 2] = self.kit.get_value(fds);
        (read as u64, write as u64)
    }

    fn ctl(&self, operation: u64, fd: u64, events: u32, data: u64) -> Result<u64, Errno> {
        self.ctl_of(self.epoll, operation, fd, events, data)
    }

    fn ctl_of(
        &self,
        epoll: u64,
        operation: u64,
        fd: u64,
        events: u32,
        data: u64,
    ) -> Result<u64, Errno> {
        let event = self.kit.put_value(&EpollEvent { events, data });
        self.kit.call("epoll_ctl", [epoll, operation, fd, event, 0, 0])
    }

    /// What is ready now: events and data.
    fn ready(&self) -> Vec<(u32, u64)> {
        self.ready_of(self.epoll)
    }

    fn ready_of(&self, epoll: u64) -> Vec<(u32, u64)> {
        let to = self.kit.room(12 * 8);
        let count = self.kit.call("epoll_wait", [epoll, to, 8, 0, 0, 0]).unwrap();
        let event = |at| self.kit.get_value::<EpollEvent>(to + 12 * at);
        (0..count).map(event).map(|event| (event.events, event.data)).collect()
    }

    fn write(&self, fd: u64, len: usize) {
        let bytes = self.kit.put(&vec![b'x'; len]);
        assert_eq!(self.kit.call("write", [fd, bytes, len as u64, 0, 0, 0]), Ok(len as u64));
    }

    fn read(&self, fd: u64, len: usize) -> u64 {
        let room = self.kit.room(len);
        self.kit.call("read", [fd, room, len as u64, 0, 0, 0]).unwrap()
    }

    fn close(&self, fd: u64) {
        assert_eq!(self.kit.call("close", [fd, 0, 0, 0, 0, 0]), Ok(0));
    }
}

#[test]
fn a_level_is_told_as_long_as_it_holds() {
    let test = setup();
    let (read, write) = test.pipe();
    assert_eq!(test.ctl(ADD, read, IN, 7), Ok(0));
    assert_eq!(test.ready(), []);
    test.write(write, 2);
    assert_eq!(test.ready(), [(IN, 7)]);
    assert_eq!(test.read(read, 1), 1);
    assert_eq!(test.ready(), [(IN, 7)]);
    assert_eq!(test.read(read, 1), 1);
    assert_eq!(test.ready(), []);
}

#[test]
fn an_edge_is_told_once_and_again_when_more_comes() {
    let test = setup();
    let (read, write) = test.pipe();
    test.write(write, 1);
    assert_eq!(test.ctl(ADD, read, IN | ET, 7), Ok(0));
    assert_eq!(test.ready(), [(IN, 7)]);
    assert_eq!(test.ready(), []);
    test.write(write, 1);
    assert_eq!(test.ready(), [(IN, 7)]);
    assert_eq!(test.read(read, 1), 1);
    assert_eq!(test.ready(), [], "a read is no news for a reader");
    test.close(write);
    assert_eq!(test.ready(), [(IN | HUP, 7)]);
}

#[test]
fn room_is_an_edge_only_where_there_was_none() {
    let test = setup();
    let (read, write) = test.pipe();
    assert_eq!(test.ctl(ADD, write, OUT | ET, 1), Ok(0));
    assert_eq!(test.ready(), [(OUT, 1)]);
    test.write(write, 4096);
    assert_eq!(test.read(read, 4096), 4096);
    assert_eq!(test.ready(), []);
    test.write(write, 16 * 4096);
    assert_eq!(test.read(read, 4096), 4096);
    assert_eq!(test.ready(), [(OUT, 1)]);
}

#[test]
fn oneshot_is_told_once_until_modified() {
    let test = setup();
    let (read, write) = test.pipe();
    assert_eq!(test.ctl(ADD, read, IN | ONESHOT, 7), Ok(0));
    test.write(write, 1);
    assert_eq!(test.ready(), [(IN, 7)]);
    test.write(write, 1);
    assert_eq!(test.ready(), []);
    assert_eq!(test.ctl(MOD, read, IN | ONESHOT, 8), Ok(0));
    assert_eq!(test.ready(), [(IN, 8)]);
}

#[test]
fn a_file_is_watched_until_its_last_descriptor_is_closed() {
    let test = setup();
    let (read, write) = test.pipe();
    assert_eq!(test.ctl(ADD, read, IN, 7), Ok(0));
    let copy = test.kit.call("dup", [read, 0, 0, 0, 0, 0]).unwrap();
    assert_eq!(test.ctl(ADD, read, IN, 7), Err(Errno::EEXIST));
    assert_eq!(test.ctl(ADD, copy, IN, 8), Ok(0));
    test.close(read);
    test.write(write, 1);
    assert_eq!(test.ready(), [(IN, 8), (IN, 7)]);
    assert_eq!(test.ctl(DEL, read, 0, 0), Err(Errno::EBADF));
    test.close(copy);
    assert_eq!(test.ready(), []);
}

#[test]
fn descriptors_that_cannot_be_watched_are_refused() {
    let test = setup();
    let file = test.kit.descriptor(test.kit.file("plain", b""));
    assert_eq!(test.ctl(ADD, file, IN, 0), Err(Errno::EPERM));
    assert_eq!(test.ctl(ADD, test.epoll, IN, 0), Err(Errno::EINVAL));
    assert_eq!(test.ctl(ADD, 99, IN, 0), Err(Errno::EBADF));
    let (read, write) = test.pipe();
    assert_eq!(test.ctl(MOD, read, IN, 0), Err(Errno::ENOENT));
    assert_eq!(test.ctl(9, read, IN, 0), Err(Errno::EINVAL));
    assert_eq!(test.ctl_of(read, ADD, write, IN, 0), Err(Errno::EINVAL));
    assert_eq!(test.ctl(ADD, read, IN | ONESHOT | EXCLUSIVE, 0), Err(Errno::EINVAL));
    assert_eq!(test.ctl(ADD, read, IN | EXCLUSIVE, 0), Ok(0));
    assert_eq!(test.ctl(MOD, read, IN, 0), Err(Errno::EINVAL));
}

#[test]
fn instances_watch_each_other_up_to_a_depth_without_loops() {
    let test = setup();
    let (read, write) = test.pipe();
    assert_eq!(test.ctl(ADD, read, IN, 1), Ok(0));
    let outer = test.kit.call("epoll_create1", [0; 6]).unwrap();
    assert_eq!(test.ctl_of(outer, ADD, test.epoll, IN, 2), Ok(0));
    assert_eq!(test.ctl(ADD, outer, IN, 3), Err(Errno::ELOOP));
    test.write(write, 1);
    assert_eq!(test.ready_of(outer), [(IN, 2)]);
    assert_eq!(test.ready(), [(IN, 1)]);
    assert_eq!(test.read(read, 1), 1);
    assert_eq!(test.ready_of(outer), []);
    let mut top = outer;
    let mut depth = 1;
    loop {
        let next = test.kit.call("epoll_create1", [0; 6]).unwrap();
        match test.ctl_of(next, ADD, top, IN, 0) {
            Ok(_) => (top, depth) = (next, depth + 1),
            Err(error) => break assert_eq!(error, Errno::ELOOP),
        }
    }
    assert_eq!(depth, 4);
}

#[test]
fn a_wait_ends_with_the_first_event_or_its_time() {
    let test = setup();
    let event = test.kit.call("eventfd2", [0, NONBLOCK, 0, 0, 0, 0]).unwrap();
    assert_eq!(test.ctl(ADD, event, IN, 5), Ok(0));
    let to = test.kit.room(12);
    assert_eq!(test.kit.call("epoll_wait", [test.epoll, to, 1, 20, 0, 0]), Ok(0));
    assert_eq!(test.kit.machine_time(), 20_000_000);
    let one = test.kit.put_value(&1_u64);
    assert_eq!(test.kit.call("write", [event, one, 8, 0, 0, 0]), Ok(8));
    let forever = u64::MAX;
    assert_eq!(test.kit.call("epoll_wait", [test.epoll, to, 1, forever, 0, 0]), Ok(1));
    assert_eq!(test.kit.call("epoll_wait", [test.epoll, to, 0, 0, 0, 0]), Err(Errno::EINVAL));
    let bad = kit::BAD_ADDRESS;
    assert_eq!(test.kit.call("epoll_wait", [test.epoll, bad, 1, 0, 0, 0]), Err(Errno::EFAULT));
    assert_eq!(test.ready(), [(IN, 5)], "what could not be stored is told again");
}

#[test]
fn counters_count() {
    let kit = kit::process();
    let fd = kit.call("eventfd2", [3, NONBLOCK | 1, 0, 0, 0, 0]).unwrap();
    let value = kit.room(8);
    assert_eq!(kit.call("read", [fd, value, 7, 0, 0, 0]), Err(Errno::EINVAL));
    assert_eq!(kit.call("read", [fd, value, 8, 0, 0, 0]), Ok(8));
    assert_eq!(kit.get_value::<u64>(value), 1);
    let largest = kit.put_value(&(u64::MAX - 1));
    assert_eq!(kit.call("write", [fd, largest, 8, 0, 0, 0]), Err(Errno::EAGAIN));
    let none = kit.put_value(&u64::MAX);
    assert_eq!(kit.call("write", [fd, none, 8, 0, 0, 0]), Err(Errno::EINVAL));
    let all = kit.call("eventfd2", [3, NONBLOCK, 0, 0, 0, 0]).unwrap();
    assert_eq!(kit.call("read", [all, value, 8, 0, 0, 0]), Ok(8));
    assert_eq!(kit.get_value::<u64>(value), 3);
    assert_eq!(kit.call("read", [all, value, 8, 0, 0, 0]), Err(Errno::EAGAIN));
    assert_eq!(kit.call("eventfd2", [0, 2, 0, 0, 0, 0]), Err(Errno::EINVAL));
}

#[test]
fn an_instance_that_is_gone_leaves_nothing_behind() {
    let test = setup();
    let (read, write) = test.pipe();
    assert_eq!(test.ctl(ADD, read, IN, 1), Ok(0));
    test.close(test.epoll);
    test.write(write, 1);
    let open = test.kit.process.files.get(crate::fs::Fd(read as i32)).unwrap();
    assert!(open.watchers().is_empty());
    assert!(!open.file.wait_queue().unwrap().has_waiters());
}

#[test]
fn a_file_that_is_watched_no_more_does_not_make_another_one_be_told_twice() {
    let test = setup();
    let (read, write) = test.pipe();
    assert_eq!(test.ctl(ADD, read, IN, 1), Ok(0));
    assert_eq!(test.ctl(ADD, write, OUT, 2), Ok(0));
    test.write(write, 1);
    assert_eq!(test.ready(), [(OUT, 2), (IN, 1)]);
    assert_eq!(test.ctl(DEL, write, 0, 0), Ok(0));
    assert_eq!(test.ready(), [(IN, 1)]);
}

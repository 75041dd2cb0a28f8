use abi::Errno;
use abi::io_uring::{
    Completion, Params, RequestFlags, SQ_CQ_OVERFLOW, SetupFlags, Submission, offset,
    operation as code,
};

use crate::fake::kit::{self, Kit};

const GETEVENTS: u64 = 1;

/// A process with a ring, as its application sees it.
struct Rings {
    kit: Kit,
    fd: u64,
    params: Params,
    rings: u64,
    submissions: u64,
}

impl Rings {
    fn new(entries: u64, flags: SetupFlags) -> Self {
        let kit = kit::process();
        let at = kit.put_value(&Params { flags: flags.bits(), ..Params::default() });
        let fd = kit.call("io_uring_setup", [entries, at, 0, 0, 0, 0]).unwrap();
        let map = |offset| kit.call("mmap", [0, 4096, 3, 1, fd, offset]).unwrap();
        let (rings, submissions) = (map(offset::SQ_RING), map(offset::SQES));
        let params = kit.get_value(at);
        Self { kit, fd, params, rings, submissions }
    }

    fn number(&self, at: u32) -> u32 {
        self.kit.get_value(self.rings + u64::from(at))
    }

    fn set(&self, at: u32, number: u32) {
        self.kit.set(self.rings + u64::from(at), &number.to_ne_bytes());
    }

    fn add(&self, entry: &Submission) {
        let tail = self.number(self.params.sq.tail);
        let place = tail % self.params.sq_entries;
        let at = self.submissions + u64::from(place) * size_of::<Submission>() as u64;
        self.kit.set(at, zerocopy::IntoBytes::as_bytes(entry));
        if self.params.sq.array != 0 {
            self.set(self.params.sq.array + place * 4, place);
        }
        self.set(self.params.sq.tail, tail.wrapping_add(1));
    }

    fn enter(&self, submit: u64, least: u64, flags: u64) -> Result<u64, Errno> {
        self.kit.call("io_uring_enter", [self.fd, submit, least, flags, 0, 0])
    }

    /// Takes the results there are: what came with the requests, and what they returned.
    fn results(&self) -> std::vec::Vec<(u64, i32)> {
        let mut found = std::vec::Vec::new();
        let mut head = self.number(self.params.cq.head);
        while head != self.number(self.params.cq.tail) {
            let place = u64::from(head % self.params.cq_entries);
            let at = self.rings + u64::from(self.params.cq.cqes) + place * 16;
            let one: Completion = self.kit.get_value(at);
            found.push((one.user_data, one.result));
            head = head.wrapping_add(1);
        }
        self.set(self.params.cq.head, head);
        found
    }
}

fn nothing(user_data: u64, flags: RequestFlags) -> Submission {
    Submission { opcode: code::NOP, flags: flags.bits(), user_data, ..Submission::default() }
}

fn failure(errno: Errno) -> i32 {
    -i32::from(errno.number())
}

#[test]
fn results_that_do_not_fit_wait() {
    let rings = Rings::new(2, SetupFlags::empty());
    for first in [1, 3, 5] {
        rings.add(&nothing(first, RequestFlags::empty()));
        rings.add(&nothing(first + 1, RequestFlags::empty()));
        assert_eq!(rings.enter(2, 0, 0), Ok(2));
    }
    assert_eq!(rings.number(rings.params.sq.flags), SQ_CQ_OVERFLOW);
    assert_eq!(rings.results(), [(1, 0), (2, 0), (3, 0), (4, 0)]);
    assert_eq!(rings.enter(0, 0, GETEVENTS), Ok(0));
    assert_eq!(rings.results(), [(5, 0), (6, 0)]);
    assert_eq!(rings.number(rings.params.sq.flags), 0);
}

#[test]
fn a_read_of_an_empty_pipe_goes_on_when_something_is_written() {
    let rings = Rings::new(4, SetupFlags::empty());
    let kit = &rings.kit;
    let (ends, room) = (kit.room(8), kit.room(8));
    assert_eq!(kit.call("pipe2", [ends, 0, 0, 0, 0, 0]), Ok(0));
    let [reader, writer]: [i32; 2] = kit.get_value(ends);
    let read = Submission {
        opcode: code::READ,
        flags: RequestFlags::IO_LINK.bits(),
        fd: reader,
        address: room,
        len: 4,
        user_data: 7,
        ..Submission::default()
    };
    rings.add(&read);
    rings.add(&nothing(8, RequestFlags::empty()));
    assert_eq!(rings.enter(2, 0, GETEVENTS), Ok(2));
    assert_eq!(rings.results(), []);
    let text = kit.put(b"crab");
    assert_eq!(kit.call("write", [writer as u64, text, 4, 0, 0, 0]), Ok(4));
    assert_eq!(rings.enter(0, 2, GETEVENTS), Ok(0));
    assert_eq!(rings.results(), [(7, 4), (8, 0)]);
    assert_eq!(kit.get(room, 4), b"crab");
}

#[test]
fn what_is_linked_to_a_failure_is_cancelled() {
    let rings = Rings::new(4, SetupFlags::NO_SQARRAY);
    let bad = Submission { opcode: code::READ, fd: 99, ..nothing(1, RequestFlags::IO_LINK) };
    rings.add(&Submission { opcode: code::READ, ..bad });
    rings.add(&nothing(2, RequestFlags::IO_LINK));
    rings.add(&nothing(3, RequestFlags::empty()));
    assert_eq!(rings.enter(3, 0, 0), Ok(3));
    let cancelled = failure(Errno::ECANCELED);
    assert_eq!(rings.results(), [(1, failure(Errno::EBADF)), (2, cancelled), (3, cancelled)]);
}

#[test]
fn nonsense_in_the_rings_does_no_harm() {
    let rings = Rings::new(2, SetupFlags::empty());
    rings.set(rings.params.sq.tail, u32::MAX);
    rings.set(rings.params.sq.array, u32::MAX);
    assert_eq!(rings.enter(9, 0, 0), Ok(0));
    assert_eq!(rings.number(rings.params.sq.dropped), 1);
    rings.set(rings.params.cq.head, 12345);
    assert_eq!(rings.enter(1, 0, 0), Ok(1));
    assert_eq!(rings.number(rings.params.sq.flags), SQ_CQ_OVERFLOW);
}

#[test]
fn rings_can_be_forbidden() {
    use core::sync::atomic::Ordering;
    let rings = Rings::new(2, SetupFlags::empty());
    rings.kit.system.rings_disabled.store(2, Ordering::Relaxed);
    let at = rings.kit.put_value(&Params::default());
    assert_eq!(rings.kit.call("io_uring_setup", [2, at, 0, 0, 0, 0]), Err(Errno::EPERM));
}

//! splice(2), tee(2), vmsplice(2) and sendfile(2) with pipes.

use std::vec::Vec;

use abi::Errno;
use abi::fs::Iovec;

use crate::fake::kit::{self, Kit};

const NONBLOCK: u64 = 2;
const O_NONBLOCK: u64 = 0o4000;
const PAGE: u64 = 4096;

struct Fixture(Kit);

impl Fixture {
    /// A process with the nonblocking pipes 0 → 1 and 2 → 3, and the file `f` as 4.
    fn new(content: &[u8]) -> Self {
        let fixture = Self(kit::process());
        let room = fixture.0.room(8);
        for _ in 0..2 {
            assert_eq!(fixture.call("pipe2", &[room, O_NONBLOCK]), Ok(0));
        }
        assert_eq!(fixture.0.descriptor(fixture.0.file("f", content)), 4);
        assert_eq!(fixture.call("lseek", &[4, 0, 0]), Ok(0));
        fixture
    }

    fn call(&self, name: &str, arguments: &[u64]) -> Result<u64, Errno> {
        let mut all = [0; 6];
        all[..arguments.len()].copy_from_slice(arguments);
        self.0.call(name, all)
    }

    fn splice(&self, from: u64, to: u64, len: u64) -> Result<u64, Errno> {
        self.call("splice", &[from, 0, to, 0, len, NONBLOCK])
    }

    fn write(&self, fd: u64, bytes: &[u8]) {
        let at = self.0.put(bytes);
        let len = bytes.len() as u64;
        assert_eq!(self.call("write", &[fd, at, len]), Ok(len));
    }

    fn read(&self, fd: u64, len: u64) -> Vec<u8> {
        let at = self.0.room(len as usize);
        let len = self.call("read", &[fd, at, len]).unwrap();
        self.0.get(at, len as usize)
    }
}

#[test]
fn a_file_goes_through_pipes_into_a_file() {
    let fixture = Fixture::new(b"birgus latro");
    let offset = fixture.0.put_value(&7_i64);
    assert_eq!(fixture.call("splice", &[4, offset, 1, 0, 3, 0]), Ok(3));
    assert_eq!(fixture.0.get_value::<i64>(offset), 10);
    assert_eq!(fixture.splice(4, 1, 100), Ok(12));
    assert_eq!(fixture.splice(4, 1, 100), Ok(0));
    assert_eq!(fixture.splice(0, 3, 5), Ok(5));
    assert_eq!(fixture.splice(0, 3, 100), Ok(10));
    assert_eq!(fixture.splice(0, 3, 100), Err(Errno::EAGAIN));
    let offset = fixture.0.put_value(&1_i64);
    assert_eq!(fixture.call("splice", &[2, 0, 4, offset, 100, NONBLOCK]), Ok(15));
    assert_eq!(fixture.0.get_value::<i64>(offset), 16);
    assert_eq!(fixture.call("lseek", &[4, 0, 0]), Ok(0));
    assert_eq!(fixture.read(4, 99), b"blatbirgus latro");
}

#[test]
fn a_full_pipe_stops_the_file_where_it_is() {
    let content: Vec<u8> = (0..100_000_u32).map(|at| (at % 251) as u8).collect();
    let fixture = Fixture::new(&content);
    assert_eq!(fixture.splice(4, 1, 100_000), Ok(16 * PAGE));
    assert_eq!(fixture.splice(4, 1, 1), Err(Errno::EAGAIN));
    assert_eq!(fixture.read(0, PAGE), content[..4096]);
    assert_eq!(fixture.call("sendfile", &[1, 4, 0, 100_000]), Ok(PAGE));
    assert_eq!(fixture.call("lseek", &[4, 0, 1]), Ok(17 * PAGE));
    assert_eq!(fixture.splice(0, 3, 100_000), Ok(16 * PAGE));
    assert_eq!(fixture.read(2, 100_000), content[4096..17 * 4096]);
}

#[test]
fn a_copy_is_not_changed_by_what_comes_after_it() {
    let fixture = Fixture::new(b"");
    fixture.write(1, b"crab");
    assert_eq!(fixture.call("tee", &[0, 3, 3, NONBLOCK]), Ok(3));
    assert_eq!(fixture.call("tee", &[0, 3, 100, NONBLOCK]), Ok(4));
    fixture.write(1, b"-one");
    fixture.write(3, b"-two");
    assert_eq!(fixture.read(0, 99), b"crab-one");
    // An emptied page is used again, but not one that is also elsewhere.
    fixture.write(1, b"XXXXXXXX");
    assert_eq!(fixture.read(2, 99), b"cracrab-two");
    assert_eq!(fixture.call("tee", &[4, 3, 1, 0]), Err(Errno::EINVAL));
    assert_eq!(fixture.call("tee", &[0, 1, 1, 0]), Err(Errno::EINVAL));
}

#[test]
fn a_part_of_a_page_moves_alone() {
    let fixture = Fixture::new(b"");
    fixture.write(1, b"abcdef");
    assert_eq!(fixture.splice(0, 3, 2), Ok(2));
    fixture.write(3, b"!");
    fixture.write(1, b"?");
    assert_eq!(fixture.read(0, 99), b"cdef?");
    assert_eq!(fixture.read(2, 99), b"ab!");
}

#[test]
fn the_ends_of_pipes_are_seen() {
    let fixture = Fixture::new(b"x");
    fixture.write(1, b"a");
    assert_eq!(fixture.call("close", &[1]), Ok(0));
    assert_eq!(fixture.splice(0, 3, 9), Ok(1));
    assert_eq!(fixture.splice(0, 3, 9), Ok(0));
    assert_eq!(fixture.splice(0, 4, 9), Ok(0));
    // What cannot be written stays where it is.
    let full = fixture.0.string("/dev/full");
    assert_eq!(fixture.call("open", &[full, 1]), Ok(1));
    assert_eq!(fixture.splice(2, 1, 9), Err(Errno::ENOSPC));
    assert_eq!(fixture.read(2, 9), b"a");
}

#[test]
fn memory_goes_into_a_pipe_and_out_of_it() {
    let fixture = Fixture::new(b"");
    let (one, two) = (fixture.0.put(b"cra"), fixture.0.put(b"b"));
    let vector = fixture.0.put_value(&[Iovec { base: one, len: 3 }, Iovec { base: two, len: 1 }]);
    assert_eq!(fixture.call("vmsplice", &[1, vector, 2, 0]), Ok(4));
    let room = fixture.0.room(8);
    let vector = fixture.0.put_value(&[Iovec { base: room, len: 8 }]);
    assert_eq!(fixture.call("vmsplice", &[0, vector, 1, 0]), Ok(4));
    assert_eq!(fixture.0.get(room, 4), b"crab");
    assert_eq!(fixture.call("vmsplice", &[0, vector, 1, NONBLOCK]), Err(Errno::EAGAIN));
    assert_eq!(fixture.call("vmsplice", &[4, vector, 1, 0]), Err(Errno::EBADF));
}

#[test]
fn what_makes_no_sense_is_refused() {
    let fixture = Fixture::new(b"abc");
    let offset = fixture.0.put_value(&0_i64);
    assert_eq!(fixture.splice(4, 4, 1), Err(Errno::EINVAL));
    assert_eq!(fixture.splice(0, 1, 1), Err(Errno::EINVAL));
    assert_eq!(fixture.splice(1, 3, 1), Err(Errno::EBADF));
    assert_eq!(fixture.splice(0, 2, 1), Err(Errno::EBADF));
    assert_eq!(fixture.splice(9, 2, 1), Err(Errno::EBADF));
    assert_eq!(fixture.splice(9, 9, 0), Ok(0));
    assert_eq!(fixture.call("splice", &[0, offset, 4, 0, 1, 0]), Err(Errno::ESPIPE));
    assert_eq!(fixture.call("splice", &[4, 0, 1, offset, 1, 0]), Err(Errno::ESPIPE));
    assert_eq!(fixture.call("splice", &[4, 0, 1, 0, 1, 16]), Err(Errno::EINVAL));
    assert_eq!(fixture.call("sendfile", &[4, 0, 0, 1]), Err(Errno::EINVAL));
    let path = fixture.0.string("/");
    assert_eq!(fixture.call("open", &[path, 0]), Ok(5));
    assert_eq!(fixture.splice(5, 1, 1), Err(Errno::EINVAL));
    let path = fixture.0.string("/f");
    assert_eq!(fixture.call("open", &[path, 0o2001]), Ok(6));
    fixture.write(1, b"a");
    assert_eq!(fixture.splice(0, 6, 1), Err(Errno::EINVAL));
    let negative = fixture.0.put_value(&-1_i64);
    assert_eq!(fixture.call("splice", &[4, negative, 1, 0, 1, 0]), Err(Errno::EINVAL));
}

//! Watches and their queue; the order of events is tested beside Linux.

use std::string::{String, ToString};
use std::vec::Vec;

use abi::Errno;
use abi::events::{InotifyEvent, InotifyMask};

use crate::fake::kit::{self, Kit};

const AT_FDCWD: u64 = -100_i64 as u64;
const NONBLOCK: u64 = 0o4000;
const CREATE: u64 = 0o100;
const ALL: u32 = 0xfff;

struct Test {
    kit: Kit,
    fd: u64,
}

fn test() -> Test {
    let kit = kit::process();
    let fd = kit.call("inotify_init1", [NONBLOCK, 0, 0, 0, 0, 0]).unwrap();
    Test { kit, fd }
}

impl Test {
    fn watch(&self, path: &str, mask: u32) -> Result<u64, Errno> {
        let path = self.kit.string(path);
        self.kit.call("inotify_add_watch", [self.fd, path, u64::from(mask), 0, 0, 0])
    }

    fn make(&self, path: &str) {
        let path = self.kit.string(path);
        let fd = self.kit.call("openat", [AT_FDCWD, path, CREATE | 1, 0o600, 0, 0]).unwrap();
        assert_eq!(self.kit.call("close", [fd, 0, 0, 0, 0, 0]), Ok(0));
    }

    /// Number of the watch, mask and name of each event.
    fn events(&self) -> Vec<(i32, u32, String)> {
        let room = self.kit.room(4096);
        let len = match self.kit.call("read", [self.fd, room, 4096, 0, 0, 0]) {
            Ok(len) => room + len,
            Err(error) => {
                assert_eq!(error, Errno::EAGAIN);
                room
            }
        };
        let mut events = Vec::new();
        let mut at = room;
        while at < len {
            let event: InotifyEvent = self.kit.get_value(at);
            let name = self.kit.get(at + 16, event.len as usize);
            let name = String::from_utf8(name).unwrap().trim_end_matches('\0').to_string();
            events.push((event.watch, event.mask, name));
            at += 16 + u64::from(event.len);
        }
        events
    }
}

#[test]
fn a_directory_tells_of_its_entries() {
    let test = test();
    assert_eq!(test.watch("/tmp", InotifyMask::CREATE.bits()), Ok(1));
    test.make("/tmp/new");
    assert_eq!(test.events(), [(1, 0x100, "new".to_string())]);
    test.make("/tmp/new");
    assert_eq!(test.events(), []);
}

#[test]
fn a_file_has_one_watch_in_an_instance() {
    let test = test();
    assert_eq!(test.watch("/tmp", ALL), Ok(1));
    assert_eq!(test.watch("/tmp/.", InotifyMask::OPEN.bits()), Ok(1));
    let create = InotifyMask::MASK_CREATE.bits();
    assert_eq!(test.watch("/tmp", ALL | create), Err(Errno::EEXIST));
    assert_eq!(test.watch("/dev", ALL | create), Ok(2));
    assert_eq!(test.kit.call("inotify_rm_watch", [test.fd, 1, 0, 0, 0, 0]), Ok(0));
    assert_eq!(test.events(), [(1, 0x8000, String::new())]);
    assert_eq!(test.watch("/tmp", ALL), Ok(3), "numbers are not used again");
}

#[test]
fn too_many_events_are_told_as_such() {
    let test = test();
    assert_eq!(test.watch("/tmp", InotifyMask::CREATE.bits() | 0x20), Ok(1));
    let path = test.kit.string("/tmp/some");
    for _ in 0..=super::MAX_EVENTS / 2 {
        let fd = test.kit.call("openat", [AT_FDCWD, path, CREATE, 0o600, 0, 0]).unwrap();
        test.kit.call("close", [fd, 0, 0, 0, 0, 0]).unwrap();
        test.kit.call("unlink", [path, 0, 0, 0, 0, 0]).unwrap();
    }
    let room = test.kit.room(32);
    let mut last = InotifyEvent::default();
    while test.kit.call("read", [test.fd, room, 32, 0, 0, 0]).is_ok() {
        last = test.kit.get_value(room);
    }
    assert_eq!((last.watch, last.mask), (-1, InotifyMask::Q_OVERFLOW.bits()));
}

#[test]
fn an_instance_that_is_gone_watches_nothing() {
    let test = test();
    assert_eq!(test.watch("/tmp", ALL), Ok(1));
    assert!(!test.kit.system.notifier.is_idle());
    test.kit.call("close", [test.fd, 0, 0, 0, 0, 0]).unwrap();
    assert!(test.kit.system.notifier.is_idle());
}

#[test]
fn a_watch_ends_with_the_file_system() {
    let test = test();
    let [none, directory, kind] = ["none", "/d", "tmpfs"].map(|text| test.kit.string(text));
    assert_eq!(test.kit.call("mkdir", [directory, 0o700, 0, 0, 0, 0]), Ok(0));
    assert_eq!(test.kit.call("mount", [none, directory, kind, 0, 0, 0]), Ok(0));
    test.make("/d/file");
    let (file, root) = (test.watch("/d/file", 0x2).unwrap(), test.watch("/d", ALL).unwrap());
    assert_eq!(test.kit.call("umount2", [directory, 0, 0, 0, 0, 0]), Ok(0));
    let mut events = test.events();
    events.sort();
    let of = |watch: u64| [0x2000, 0x8000].map(|mask| (watch as i32, mask, String::new()));
    assert_eq!(events, [of(file), of(root)].concat());
}

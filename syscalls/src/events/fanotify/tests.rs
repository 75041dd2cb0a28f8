//! Groups and marks, through the system calls.

use std::string::{String, ToString};
use std::vec::Vec;

use abi::Errno;
use abi::fanotify::{
    EventMetadata, FanotifyInit, FanotifyMarkFlags, FanotifyMask, Response, answer, record,
};

use crate::fake::kit::{self, Kit};
use crate::process::family_tests::{ROOM, errno, exit, note, notes};

const AT_FDCWD: u64 = -100_i64 as u64;
const CREATE: u64 = 0o100;

struct Test {
    kit: Kit,
    fd: u64,
}

fn test(flags: FanotifyInit) -> Test {
    let kit = kit::process();
    let flags = flags | FanotifyInit::NONBLOCK;
    let fd = kit.call("fanotify_init", [flags.bits().into(), 0, 0, 0, 0, 0]).unwrap();
    Test { kit, fd }
}

impl Test {
    fn mark(&self, flags: FanotifyMarkFlags, mask: FanotifyMask, path: &str) -> Result<u64, Errno> {
        let path = self.kit.string(path);
        let arguments = [self.fd, flags.bits().into(), mask.bits(), AT_FDCWD, path, 0];
        self.kit.call("fanotify_mark", arguments)
    }

    fn add(&self, mask: FanotifyMask, path: &str) -> Result<u64, Errno> {
        self.mark(FanotifyMarkFlags::ADD, mask, path)
    }

    fn open(&self, path: &str, flags: u64) -> Result<u64, Errno> {
        let path = self.kit.string(path);
        self.kit.call("openat", [AT_FDCWD, path, flags, 0o600, 0, 0])
    }

    fn touch(&self, path: &str) {
        let fd = self.open(path, CREATE | 1).unwrap();
        assert_eq!(self.kit.call("close", [fd, 0, 0, 0, 0, 0]), Ok(0));
    }

    /// Each event, and what follows it.
    fn events(&self) -> Vec<(EventMetadata, Vec<u8>)> {
        let room = self.kit.room(4096);
        let len = match self.kit.call("read", [self.fd, room, 4096, 0, 0, 0]) {
            Ok(len) => len,
            Err(error) => {
                assert_eq!(error, Errno::EAGAIN);
                0
            }
        };
        let mut events = Vec::new();
        let mut at = room;
        while at < room + len {
            let event: EventMetadata = self.kit.get_value(at);
            let rest = event.event_len as usize - size_of::<EventMetadata>();
            events.push((event, self.kit.get(at + size_of::<EventMetadata>() as u64, rest)));
            at += u64::from(event.event_len);
        }
        events
    }

    fn masks(&self) -> Vec<u64> {
        self.events().into_iter().map(|(event, _)| event.mask).collect()
    }
}

/// Kind and name of each record.
fn records(mut bytes: &[u8]) -> Vec<(u8, String)> {
    const NAME: usize = 4 + 8 + 8 + crate::fs::handle::HANDLE_LEN;
    let mut records = Vec::new();
    while let [kind, _, low, high, ..] = *bytes {
        let len = usize::from(u16::from_ne_bytes([low, high]));
        let name = String::from_utf8(bytes[NAME..len].to_vec()).unwrap();
        records.push((kind, name.trim_end_matches('\0').to_string()));
        bytes = &bytes[len..];
    }
    records
}

#[test]
fn events_of_a_file_merge_and_have_a_descriptor_that_is_not_watched() {
    let test = test(FanotifyInit::empty());
    test.touch("/tmp/a");
    let mask = FanotifyMask::OPEN | FanotifyMask::CLOSE_WRITE | FanotifyMask::MODIFY;
    assert_eq!(test.add(mask, "/tmp/a"), Ok(0));
    test.touch("/tmp/a");
    let events = test.events();
    assert_eq!(events.len(), 1);
    let event = events[0].0;
    assert_eq!((event.mask, event.pid), (0x28, 2));
    let room = test.kit.room(4);
    assert_eq!(test.kit.call("read", [event.fd as u64, room, 4, 0, 0, 0]), Ok(0));
    assert_eq!(test.kit.call("close", [event.fd as u64, 0, 0, 0, 0, 0]), Ok(0));
    assert_eq!(test.masks(), []);
}

#[test]
fn a_directory_hears_of_what_is_in_it_where_it_wants_to() {
    let test = test(FanotifyInit::empty());
    assert_eq!(test.add(FanotifyMask::OPEN, "/tmp"), Ok(0));
    test.touch("/tmp/a");
    assert_eq!(test.masks(), []);
    assert_eq!(test.add(FanotifyMask::OPEN | FanotifyMask::EVENT_ON_CHILD, "/tmp"), Ok(0));
    test.touch("/tmp/a");
    assert_eq!(test.masks(), [0x20]);
}

#[test]
fn what_is_ignored_is_ignored_until_the_file_is_changed() {
    let test = test(FanotifyInit::empty());
    test.touch("/tmp/a");
    assert_eq!(
        test.mark(FanotifyMarkFlags::ADD | FanotifyMarkFlags::MOUNT, FanotifyMask::OPEN, "/"),
        Ok(0)
    );
    let ignored = FanotifyMarkFlags::ADD | FanotifyMarkFlags::IGNORED_MASK;
    assert_eq!(test.mark(ignored, FanotifyMask::OPEN, "/tmp/a"), Ok(0));
    let fd = test.open("/tmp/a", 1).unwrap();
    assert_eq!(test.masks(), []);
    let byte = test.kit.put(b"x");
    assert_eq!(test.kit.call("write", [fd, byte, 1, 0, 0, 0]), Ok(1));
    test.touch("/tmp/a");
    assert_eq!(test.masks(), [0x20]);
    assert_eq!(
        test.mark(FanotifyMarkFlags::FLUSH | FanotifyMarkFlags::MOUNT, FanotifyMask::empty(), "/"),
        Ok(0)
    );
    test.touch("/tmp/a");
    assert_eq!(test.masks(), []);
}

#[test]
fn handles_and_names_say_what_entries_it_is_about() {
    let flags = FanotifyInit::REPORT_FID
        | FanotifyInit::REPORT_DIR_FID
        | FanotifyInit::REPORT_NAME
        | FanotifyInit::REPORT_TARGET_FID;
    let test = test(flags);
    let mask = FanotifyMask::CREATE | FanotifyMask::RENAME | FanotifyMask::DELETE;
    assert_eq!(test.add(mask, "/tmp"), Ok(0));
    test.touch("/tmp/a");
    let [old, new] = ["/tmp/a", "/tmp/b"].map(|path| test.kit.string(path));
    assert_eq!(test.kit.call("rename", [old, new, 0, 0, 0, 0]), Ok(0));
    assert_eq!(test.kit.call("unlink", [new, 0, 0, 0, 0, 0]), Ok(0));
    let events = test.events();
    let told: Vec<_> = events.iter().map(|(event, rest)| (event.mask, records(rest))).collect();
    let file = || (record::FID, String::new());
    let expected = [
        (0x100, [(record::DFID_NAME, "a".to_string()), file()].to_vec()),
        (
            FanotifyMask::RENAME.bits(),
            [
                (record::OLD_DFID_NAME, "a".to_string()),
                (record::NEW_DFID_NAME, "b".to_string()),
                file(),
            ]
            .to_vec(),
        ),
        (0x200, [(record::DFID_NAME, "b".to_string()), file()].to_vec()),
    ];
    assert_eq!(told, expected);
    assert!(events.iter().all(|(event, _)| event.fd == -1));
}

#[test]
fn flags_and_masks_have_to_fit() {
    let plain = test(FanotifyInit::empty());
    assert_eq!(plain.add(FanotifyMask::CREATE, "/tmp"), Err(Errno::EINVAL));
    assert_eq!(plain.add(FanotifyMask::OPEN_PERM, "/tmp"), Err(Errno::EINVAL));
    let remove = FanotifyMarkFlags::REMOVE;
    assert_eq!(plain.mark(remove, FanotifyMask::OPEN, "/tmp"), Err(Errno::ENOENT));
    let both = FanotifyMarkFlags::ADD | remove;
    assert_eq!(plain.mark(both, FanotifyMask::OPEN, "/tmp"), Err(Errno::EINVAL));
    let named = FanotifyInit::REPORT_NAME.bits().into();
    assert_eq!(plain.kit.call("fanotify_init", [named, 0, 0, 0, 0, 0]), Err(Errno::EINVAL));
}

#[test]
fn only_what_was_asked_can_be_answered() {
    let test = test(FanotifyInit::CLASS_CONTENT);
    let answer = |fd, response, len| {
        let from = test.kit.put_value(&Response { fd, response });
        test.kit.call("write", [test.fd, from, len, 0, 0, 0])
    };
    assert_eq!(answer(77, answer::DENY, 8), Err(Errno::ENOENT));
    assert_eq!(answer(77, answer::DENY, 4), Err(Errno::EINVAL));
    assert_eq!(answer(77, 3, 8), Err(Errno::EINVAL));
    assert_eq!(answer(-1, answer::ALLOW, 8), Err(Errno::EINVAL));
}

#[test]
fn a_group_that_is_gone_has_no_marks() {
    let test = test(FanotifyInit::empty());
    assert_eq!(test.add(FanotifyMask::OPEN, "/tmp"), Ok(0));
    assert!(!test.kit.system.notifier.fanotify.is_idle());
    assert_eq!(test.kit.call("close", [test.fd, 0, 0, 0, 0, 0]), Ok(0));
    assert!(test.kit.system.notifier.fanotify.is_idle());
}

#[test]
fn a_question_that_cannot_be_read_is_denied() {
    const NOT_MAPPED: u64 = 0x1000;
    let seen = notes(|application, notes| {
        application.store(ROOM, b"/tmp/f\0");
        application.call("openat", &[AT_FDCWD, ROOM, CREATE, 0o600]);
        let flags = FanotifyInit::CLASS_CONTENT | FanotifyInit::REPORT_FD_ERROR;
        let group = application.call("fanotify_init", &[flags.bits().into(), 0]);
        let add = u64::from(FanotifyMarkFlags::ADD.bits());
        let mask = FanotifyMask::OPEN_PERM.bits();
        note(notes, application.call("fanotify_mark", &[group, add, mask, AT_FDCWD, ROOM]));
        for address in [NOT_MAPPED, ROOM + 64] {
            let inner = notes.clone();
            let child = application.fork("fork", &[], move |child| {
                note(&inner, child.call("openat", &[AT_FDCWD, ROOM, 0]));
                exit(child, 0);
            });
            application.call("poll", &[0, 0, 10]);
            // The second one is told that the file could not be opened.
            application.store(ROOM + 32, &[0; 16]);
            if address != NOT_MAPPED {
                application.call("prlimit64", &[0, 7, ROOM + 32, 0]);
            }
            let read = application.call("read", &[group, address, 64]);
            note(notes, read);
            application.call("wait4", &[child, 0, 0, 0]);
        }
    });
    let denied = errno(Errno::EPERM);
    assert_eq!(seen, [0, errno(Errno::EFAULT), denied, 24, denied]);
}

//! Queues as applications use them.

use abi::Errno;
use abi::ipc::posix::QueueAttributes;
use abi::signal::{SigEvent, SigInfo, si, sigev};

use crate::fake::kit::{self, Kit};
use crate::process::family_tests::{ANY, exit, note, notes};

const CREAT: u64 = 0o100;
const EXCL: u64 = 0o200;
const WRONLY: u64 = 1;
const RDWR: u64 = 2;
const NONBLOCK: u64 = 0o4000;

fn open(kit: &Kit, name: &str, flags: u64) -> Result<u64, Errno> {
    let name = kit.string(name);
    kit.call("mq_open", [name, flags, 0o600, 0, 0, 0])
}

fn open_sized(kit: &Kit, name: &str, most: i64, longest: i64) -> Result<u64, Errno> {
    let size =
        QueueAttributes { max_messages: most, message_len: longest, ..QueueAttributes::default() };
    let (name, size) = (kit.string(name), kit.put_value(&size));
    kit.call("mq_open", [name, CREAT | RDWR | NONBLOCK, 0o600, size, 0, 0])
}

fn send(kit: &Kit, fd: u64, text: &[u8], priority: u64) -> Result<u64, Errno> {
    let from = kit.put(text);
    kit.call("mq_timedsend", [fd, from, text.len() as u64, priority, 0, 0])
}

fn receive(kit: &Kit, fd: u64, len: u64) -> Result<(alloc::vec::Vec<u8>, u32), Errno> {
    let (to, priority) = (kit.room(16), kit.room(4));
    let len = kit.call("mq_timedreceive", [fd, to, len, priority, 0, 0])?;
    Ok((kit.get(to, len as usize), kit.get_value(priority)))
}

fn told_by(signo: i32) -> SigEvent {
    SigEvent { value: 77, signo, notify: sigev::SIGNAL, thread: 0, padding: [0; 11] }
}

#[test]
fn the_highest_priority_comes_first_and_the_oldest_of_it() {
    let kit = kit::process();
    let fd = open_sized(&kit, "q", 4, 16).unwrap();
    for (text, priority) in [("a", 1), ("b", 5), ("c", 1), ("d", 5)] {
        assert_eq!(send(&kit, fd, text.as_bytes(), priority), Ok(0));
    }
    assert_eq!(send(&kit, fd, b"e", 0), Err(Errno::EAGAIN));
    assert_eq!(receive(&kit, fd, 15), Err(Errno::EMSGSIZE));
    for (text, priority) in [("b", 5), ("d", 5), ("a", 1), ("c", 1)] {
        assert_eq!(receive(&kit, fd, 16), Ok((text.into(), priority)));
    }
    assert_eq!(receive(&kit, fd, 16), Err(Errno::EAGAIN));
    assert_eq!(send(&kit, fd, &[0; 17], 0), Err(Errno::EMSGSIZE));
    assert_eq!(send(&kit, fd, b"e", 32768), Err(Errno::EINVAL));
    let attributes = kit.put_value(&QueueAttributes::default());
    assert_eq!(kit.call("mq_getsetattr", [fd, attributes, attributes, 0, 0, 0]), Ok(0));
    let told: QueueAttributes = kit.get_value(attributes);
    assert_eq!((told.flags, told.max_messages, told.messages), (NONBLOCK as i64, 4, 0));
    let timeout = kit.put_value(&[1_i64, 0]);
    let to = kit.room(16);
    let result = kit.call("mq_timedreceive", [fd, to, 16, 0, timeout, 0]);
    assert_eq!(result, Err(Errno::ETIMEDOUT));
}

#[test]
fn names_lead_to_queues_until_they_are_taken() {
    let kit = kit::process();
    assert_eq!(open(&kit, "q", RDWR), Err(Errno::ENOENT));
    let fd = open(&kit, "q", CREAT | RDWR).unwrap();
    assert_eq!(open(&kit, "q", CREAT | EXCL | RDWR), Err(Errno::EEXIST));
    let writer = open(&kit, "q", WRONLY).unwrap();
    assert_eq!(send(&kit, writer, b"x", 0), Ok(0));
    assert_eq!(receive(&kit, writer, 8192), Err(Errno::EBADF));
    assert_eq!(open(&kit, "a/b", CREAT | RDWR), Err(Errno::EACCES));
    assert_eq!(open(&kit, "", CREAT | RDWR), Err(Errno::ENOENT));
    assert_eq!(open(&kit, "q", 3), Err(Errno::EINVAL));
    let name = kit.string("q");
    assert_eq!(kit.call("mq_unlink", [name, 0, 0, 0, 0, 0]), Ok(0));
    assert_eq!(kit.call("mq_unlink", [name, 0, 0, 0, 0, 0]), Err(Errno::ENOENT));
    assert_eq!(receive(&kit, fd, 8192), Ok((b"x".into(), 0)));
    let event = kit.put_value(&SigEvent { notify: sigev::NONE, ..told_by(10) });
    let other = kit.descriptor(kit.file("f", b""));
    assert_eq!(kit.call("mq_notify", [other, event, 0, 0, 0, 0]), Err(Errno::EBADF));
}

#[test]
fn the_size_of_queues_is_limited_for_each_user() {
    let kit = kit::process();
    assert_eq!(open_sized(&kit, "q", 0, 1), Err(Errno::EINVAL));
    assert_eq!(open_sized(&kit, "q", 1, 0), Err(Errno::EINVAL));
    assert_eq!(open_sized(&kit, "q", 65537, 1), Err(Errno::EINVAL));
    let names = ["0", "1", "2", "3", "4", "5", "6", "7", "8"];
    for name in names {
        open(&kit, name, CREAT | RDWR).unwrap();
    }
    assert_eq!(open(&kit, "9", CREAT | RDWR), Err(Errno::EMFILE));
    let name = kit.string("0");
    assert_eq!(kit.call("mq_unlink", [name, 0, 0, 0, 0, 0]), Ok(0));
    assert_eq!(open(&kit, "9", CREAT | RDWR), Err(Errno::EMFILE));
    assert_eq!(kit.call("close", [0, 0, 0, 0, 0, 0]), Ok(0));
    assert!(open(&kit, "9", CREAT | RDWR).is_ok());
}

#[test]
fn one_process_is_told_once() {
    let kit = kit::process();
    let fd = open(&kit, "q", CREAT | RDWR).unwrap();
    let event = told_by(40);
    let mask = kit.put_value(&(1_u64 << 39));
    assert_eq!(kit.call("rt_sigprocmask", [0, mask, 0, 8, 0, 0]), Ok(0));
    let from = kit.put_value(&event);
    assert_eq!(kit.call("mq_notify", [fd, from, 0, 0, 0, 0]), Ok(0));
    assert_eq!(kit.call("mq_notify", [fd, from, 0, 0, 0, 0]), Err(Errno::EBUSY));
    for text in [b"a", b"b"] {
        assert_eq!(send(&kit, fd, text, 0), Ok(0));
    }
    let to = kit.room(128);
    let now = kit.put_value(&[0_i64, 0]);
    assert_eq!(kit.call("rt_sigtimedwait", [mask, to, now, 8, 0, 0]), Ok(40));
    let info: SigInfo = kit.get_value(to);
    assert_eq!((info.code, info.fields[0], info.fields[1]), (si::MESGQ, 2, 77));
    assert_eq!(kit.call("rt_sigtimedwait", [mask, to, now, 8, 0, 0]), Err(Errno::EAGAIN));
    // Closing any descriptor of the queue ends it.
    let nothing = kit.put_value(&SigEvent { notify: sigev::NONE, ..event });
    assert_eq!(kit.call("mq_notify", [fd, nothing, 0, 0, 0, 0]), Ok(0));
    let other = open(&kit, "q", RDWR).unwrap();
    assert_eq!(kit.call("close", [other, 0, 0, 0, 0, 0]), Ok(0));
    assert_eq!(kit.call("mq_notify", [fd, from, 0, 0, 0, 0]), Ok(0));
    assert_eq!(kit.call("mq_notify", [fd, 0, 0, 0, 0, 0]), Ok(0));
    let wrong = kit.put_value(&SigEvent { signo: 65, ..event });
    assert_eq!(kit.call("mq_notify", [fd, wrong, 0, 0, 0, 0]), Err(Errno::EINVAL));
}

#[test]
fn who_receives_waits_for_a_message() {
    let seen = notes(|application, notes| {
        let name = application.registers.rsp - 0x100;
        application.store(name, b"q\0");
        let fd = application.call("mq_open", &[name, CREAT | RDWR, 0o600, 0]);
        let inner = notes.clone();
        application.fork("fork", &[], move |child| {
            let to = child.registers.rsp - 0x4000;
            note(&inner, child.call("mq_timedreceive", &[fd, to, 8192, 0, 0]));
            exit(child, 0);
        });
        application.call("poll", &[0, 0, 10]);
        note(notes, 100);
        application.call("mq_timedsend", &[fd, name, 3, 0, 0]);
        application.call("wait4", &[ANY, 0, 0, 0]);
    });
    assert_eq!(seen, [100, 3]);
}

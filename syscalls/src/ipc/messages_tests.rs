//! Messages as applications use them.

use std::vec::Vec;

use abi::Errno;
use abi::ipc::message::{MSG_INFO, MSG_STAT, MessageInfo, MessageQueueStatus};
use abi::ipc::{IPC_INFO, IPC_PRIVATE, IPC_RMID, IPC_SET, IPC_STAT};

use crate::fake::Application;
use crate::fake::kit::{self, BAD_ADDRESS, Kit};
use crate::process::family_tests::{ANY, exit, note, notes};

const CREAT: u64 = 0o1000;
const NOWAIT: u64 = 0o4000;
const NOERROR: u64 = 0o10000;
const EXCEPT: u64 = 0o20000;
const COPY: u64 = 0o40000;

fn get(kit: &Kit, key: i32, flags: u64) -> Result<u64, Errno> {
    kit.call("msgget", [key as u64, flags, 0, 0, 0, 0])
}

fn control(kit: &Kit, queue: u64, command: i32, to: u64) -> Result<u64, Errno> {
    kit.call("msgctl", [queue, command as u64, to, 0, 0, 0])
}

fn send(kit: &Kit, queue: u64, kind: i64, text: &[u8], flags: u64) -> Result<u64, Errno> {
    let from = kit.put(&[&kind.to_le_bytes(), text].concat());
    kit.call("msgsnd", [queue, from, text.len() as u64, flags, 0, 0])
}

fn receive(kit: &Kit, queue: u64, len: u64, kind: i64, flags: u64) -> Result<Vec<u8>, Errno> {
    let to = kit.room(64);
    let len = kit.call("msgrcv", [queue, to, len, kind as u64, flags | NOWAIT, 0])?;
    Ok(kit.get(to + 8, len as usize))
}

#[test]
fn messages_are_chosen_by_type() {
    let kit = kit::process();
    let queue = get(&kit, IPC_PRIVATE, 0o600).unwrap();
    for (kind, text) in [(5, "five"), (3, "three"), (4, "four"), (3, "again"), (9, "nine")] {
        assert_eq!(send(&kit, queue, kind, text.as_bytes(), 0), Ok(0));
    }
    assert_eq!(receive(&kit, queue, 56, 1, COPY), Ok(b"three".into()));
    assert_eq!(receive(&kit, queue, 56, 7, COPY), Err(Errno::ENOMSG));
    assert_eq!(receive(&kit, queue, 56, -4, 0), Ok(b"three".into()));
    assert_eq!(receive(&kit, queue, 56, -4, 0), Ok(b"again".into()));
    assert_eq!(receive(&kit, queue, 56, 5, EXCEPT), Ok(b"four".into()));
    assert_eq!(receive(&kit, queue, 3, 9, 0), Err(Errno::E2BIG));
    assert_eq!(receive(&kit, queue, 3, 9, NOERROR), Ok(b"nin".into()));
    assert_eq!(receive(&kit, queue, 56, 9, 0), Err(Errno::ENOMSG));
    assert_eq!(receive(&kit, queue, 56, i64::MIN, 0), Ok(b"five".into()));
    assert_eq!(receive(&kit, queue, 56, 0, 0), Err(Errno::ENOMSG));
    assert_eq!(receive(&kit, queue, u64::MAX, 0, 0), Err(Errno::EINVAL));
    assert_eq!(kit.call("msgrcv", [queue, 0, 0, 0, COPY, 0]), Err(Errno::EINVAL));
}

#[test]
fn queues_have_limits() {
    let kit = kit::process();
    let queue = get(&kit, 6, CREAT | 0o600).unwrap();
    let text = [b'x'; 8192];
    assert_eq!(send(&kit, queue, 1, &text, NOWAIT), Ok(0));
    assert_eq!(send(&kit, queue, 1, &text[1..], NOWAIT), Ok(0));
    assert_eq!(send(&kit, queue, 1, b"xx", NOWAIT), Err(Errno::EAGAIN));
    assert_eq!(send(&kit, queue, 1, b"x", NOWAIT), Ok(0));
    assert_eq!(send(&kit, queue, 0, b"", 0), Err(Errno::EINVAL));
    assert_eq!(kit.call("msgsnd", [queue, BAD_ADDRESS, 1, 0, 0, 0]), Err(Errno::EFAULT));
    let from = kit.put_value(&1_i64);
    assert_eq!(kit.call("msgsnd", [queue, from, 8193, 0, 0, 0]), Err(Errno::EINVAL));
    let to = kit.put_value(&MessageQueueStatus::default());
    assert_eq!(control(&kit, queue, IPC_STAT, to), Ok(0));
    let mut status: MessageQueueStatus = kit.get_value(to);
    assert_eq!((status.bytes, status.messages, status.max_bytes), (16384, 3, 16384));
    assert_eq!((status.last_sender, status.last_receiver), (2, 0));
    status.max_bytes = 20000;
    let from = kit.put_value(&status);
    assert_eq!(control(&kit, queue, IPC_SET, from), Ok(0));
    assert_eq!(send(&kit, queue, 1, b"xx", NOWAIT), Ok(0));
    assert_eq!(control(&kit, 0, MSG_STAT, to), Ok(queue));
    assert_eq!(control(&kit, 0, MSG_INFO, to), Ok(0));
    let usage: MessageInfo = kit.get_value(to);
    assert_eq!((usage.pool_or_queues, usage.map_or_messages), (1, 4));
    assert_eq!(control(&kit, 0, IPC_INFO, to), Ok(0));
    assert_eq!(kit.get_value::<MessageInfo>(to).message_max, 8192);
    assert_eq!(control(&kit, queue, IPC_RMID, 0), Ok(0));
    assert_eq!(send(&kit, queue, 1, b"", 0), Err(Errno::EINVAL));
    assert_eq!(get(&kit, 6, 0), Err(Errno::ENOENT));
}

fn put(application: &mut Application, queue: u64, kind: u64, len: u64) -> u64 {
    let from = application.registers.rsp - 0x200;
    application.store(from, &kind.to_le_bytes());
    application.call("msgsnd", &[queue, from, len, 0])
}

#[test]
fn a_message_goes_to_who_waits_for_its_type() {
    let seen = notes(|application, notes| {
        let queue = application.call("msgget", &[0, 0o600]);
        for kind in [1, 2] {
            let notes = notes.clone();
            application.fork("fork", &[], move |child| {
                let to = child.registers.rsp - 0x400;
                let len = child.call("msgrcv", &[queue, to, 9, kind, 0]);
                note(&notes, kind * 100 + len);
                exit(child, 0);
            });
        }
        application.call("poll", &[0, 0, 10]);
        put(application, queue, 2, 8);
        put(application, queue, 1, 7);
        // Both have been given away already.
        let to = application.registers.rsp - 0x400;
        note(notes, application.call("msgrcv", &[queue, to, 9, 0, NOWAIT]));
        application.call("wait4", &[ANY, 0, 0, 0]);
        application.call("wait4", &[ANY, 0, 0, 0]);
    });
    assert_eq!(seen, [Errno::ENOMSG.as_return_value(), 208, 107]);
}

#[test]
fn who_sends_waits_for_room_and_learns_of_a_removal() {
    let seen = notes(|application, notes| {
        let queue = application.call("msgget", &[0, 0o600]);
        assert_eq!(put(application, queue, 1, 256), 0);
        let status = application.registers.rsp - 0x800;
        application.call("msgctl", &[queue, IPC_STAT as u64, status]);
        let at = core::mem::offset_of!(MessageQueueStatus, max_bytes) as u64;
        application.store(status + at, &256_u64.to_le_bytes());
        application.call("msgctl", &[queue, IPC_SET as u64, status]);
        let inner = notes.clone();
        application.fork("fork", &[], move |child| {
            note(&inner, put(child, queue, 3, 8));
            note(&inner, put(child, queue, 3, 256));
            exit(child, 0);
        });
        application.call("poll", &[0, 0, 10]);
        note(notes, 1);
        let to = application.registers.rsp - 0x600;
        assert_eq!(application.call("msgrcv", &[queue, to, 256, 0, 0]), 256);
        application.call("poll", &[0, 0, 10]);
        note(notes, 2);
        application.call("msgctl", &[queue, IPC_RMID as u64, 0]);
        application.call("wait4", &[ANY, 0, 0, 0]);
    });
    assert_eq!(seen, [1, 0, 2, Errno::EIDRM.as_return_value()]);
}

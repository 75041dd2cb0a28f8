//! /proc/sysvipc: the objects of System V, proc_sysvipc(5), and their limits in
//! /proc/sys/kernel; limits of the message queues of POSIX in /proc/sys/fs/mqueue.

use core::ops::RangeInclusive;
use core::str::FromStr;

use abi::Errno;
use abi::PAGE_SIZE;
use abi::ipc::IpcPermission;

use crate::error::{Because, Result};
use crate::ipc::Limits;

use super::entry::{Entry, Subject};
use super::text::{Text, put};

/// Limits are at most this, where Linux keeps them in an `int`.
pub(super) const INT_MAX: u64 = i32::MAX as u64;

/// Most objects of a kind that the numbers of objects have room for (`IPCMNI`).
const OBJECTS_MAX: u64 = 32768;

pub(super) static SYSVIPC: &[Entry] =
    &[Entry::file("msg", messages), Entry::file("sem", semaphores), Entry::file("shm", segments)];

fn owners(text: &mut Text, permission: &IpcPermission) {
    let IpcPermission { uid, gid, cuid, cgid, .. } = permission;
    put!(text, " {uid:5} {gid:5} {cuid:5} {cgid:5}");
}

fn messages(subject: &Subject<'_>, text: &mut Text) -> Result<()> {
    text.put(b"       key      msqid perms      cbytes       qnum lspid lrpid   uid   gid");
    text.put(b"  cuid  cgid      stime      rtime      ctime\n");
    for (number, queue) in subject.cx.ipc().messages.all(subject.cx) {
        let permission = &queue.permission;
        put!(text, "{:10} {number:10}  {:4o}", permission.key, permission.mode);
        put!(text, "  {:10} {:10}", queue.bytes, queue.messages);
        put!(text, " {:5} {:5}", queue.last_sender, queue.last_receiver);
        owners(text, permission);
        put!(text, " {:10} {:10} {:10}\n", queue.sent, queue.received, queue.changed);
    }
    Ok(())
}

fn semaphores(subject: &Subject<'_>, text: &mut Text) -> Result<()> {
    text.put(b"       key      semid perms      nsems   uid   gid  cuid  cgid      otime");
    text.put(b"      ctime\n");
    for (number, set) in subject.cx.ipc().semaphores.all(subject.cx) {
        let permission = &set.permission;
        put!(text, "{:10} {number:10}  {:4o}", permission.key, permission.mode);
        put!(text, " {:10}", set.count);
        owners(text, permission);
        put!(text, " {:10} {:10}\n", set.operated, set.changed);
    }
    Ok(())
}

fn segments(subject: &Subject<'_>, text: &mut Text) -> Result<()> {
    text.put(b"       key      shmid perms                  size  cpid  lpid nattch   uid   gid");
    text.put(b"  cuid  cgid      atime      dtime      ctime                   rss");
    text.put(b"                  swap\n");
    for (number, segment, resident_pages) in subject.cx.ipc().segments.all(subject.cx) {
        let permission = &segment.permission;
        put!(text, "{:10} {number:10}  {:4o}", permission.key, permission.mode);
        put!(text, " {:21} {:5} {:5}", segment.len, segment.creator, segment.last_user);
        put!(text, "  {:5}", segment.attachments);
        owners(text, permission);
        put!(text, " {:10} {:10} {:10}", segment.attached, segment.detached, segment.changed);
        put!(text, " {:21} {:21}\n", resident_pages * PAGE_SIZE as u64, 0);
    }
    Ok(())
}

/// The numbers of a setting, as many as there have to be.
pub(super) fn numbers<T: FromStr + Copy + Default, const N: usize>(value: &[u8]) -> Result<[T; N]> {
    let invalid = || Errno::EINVAL.because("not the numbers that belong here");
    let text = core::str::from_utf8(value).map_err(|_| invalid())?;
    let mut words = text.split_ascii_whitespace();
    let mut numbers = [T::default(); N];
    for number in &mut numbers {
        let word = words.next().and_then(|word| word.parse().ok());
        *number = word.ok_or_else(invalid)?;
    }
    if words.next().is_some() {
        return Err(invalid());
    }
    Ok(numbers)
}

pub(super) fn in_range<T: PartialOrd>(number: T, range: &RangeInclusive<T>) -> Result<T> {
    if range.contains(&number) {
        Ok(number)
    } else {
        Err(Errno::EINVAL.because("the limit is out of range"))
    }
}

fn limits(subject: &Subject<'_>) -> Limits {
    subject.cx.ipc().limits()
}

/// An entry that shows and sets one limit, from 0 to a maximum.
macro_rules! limit {
    ($name:literal, $field:ident, $max:expr) => {
        Entry::setting(
            $name,
            |subject, text| {
                put!(text, "{}\n", limits(subject).$field);
                Ok(())
            },
            |subject, value| {
                let [number] = numbers::<u64, 1>(value)?;
                let number = in_range(number, &(0..=$max))?;
                subject.cx.ipc().change_limits(|limits| limits.$field = number);
                Ok(())
            },
        )
    };
}

/// An entry that shows and sets one limit of the message queues of POSIX.
macro_rules! queue_limit {
    ($name:literal, $field:ident, $min:literal, $max:literal) => {
        Entry::setting(
            $name,
            |subject, text| {
                put!(text, "{}\n", subject.cx.ipc().posix.limits().$field);
                Ok(())
            },
            |subject, value| {
                let [number] = numbers::<u64, 1>(value)?;
                let number = in_range(number, &($min..=$max))?;
                subject.cx.ipc().posix.change_limits(|limits| limits.$field = number);
                Ok(())
            },
        )
    };
}

pub(super) static MQUEUE: &[Entry] = &[
    queue_limit!("queues_max", queues, 0, 0x7fff_ffff),
    queue_limit!("msg_max", max_messages, 1, 65536),
    queue_limit!("msgsize_max", message_len, 128, 0x100_0000),
    queue_limit!("msg_default", default_messages, 1, 65536),
    queue_limit!("msgsize_default", default_len, 128, 0x100_0000),
];

/// An entry that shows and sets which number the next object of a kind gets.
macro_rules! next_number {
    ($name:literal, $kind:ident) => {
        Entry::setting(
            $name,
            |subject, text| {
                put!(text, "{}\n", subject.cx.ipc().$kind.wanted().unwrap_or(-1));
                Ok(())
            },
            |subject, value| {
                let [number] = numbers::<i32, 1>(value)?;
                subject.cx.ipc().$kind.set_wanted((number >= 0).then_some(number));
                Ok(())
            },
        )
    };
}

pub(super) const SEM: Entry = Entry::setting(
    "sem",
    |subject, text| {
        let Limits { set_len, semaphores, operations, sets, .. } = limits(subject);
        put!(text, "{set_len}\t{semaphores}\t{operations}\t{sets}\n");
        Ok(())
    },
    |subject, value| {
        let [set_len, semaphores, operations, sets] = numbers::<u64, 4>(value)?;
        for (number, max) in
            [(set_len, INT_MAX), (semaphores, INT_MAX), (operations, INT_MAX), (sets, OBJECTS_MAX)]
        {
            in_range(number, &(0..=max))?;
        }
        let new = Limits { set_len, semaphores, operations, sets, ..limits(subject) };
        subject.cx.ipc().change_limits(|limits| *limits = new);
        Ok(())
    },
);
pub(super) const SEM_NEXT_ID: Entry = next_number!("sem_next_id", semaphores);
pub(super) const MSGMAX: Entry = limit!("msgmax", message_len, INT_MAX);
pub(super) const MSGMNB: Entry = limit!("msgmnb", queue_bytes, INT_MAX);
pub(super) const MSGMNI: Entry = limit!("msgmni", queues, OBJECTS_MAX);
pub(super) const MSG_NEXT_ID: Entry = next_number!("msg_next_id", messages);
pub(super) const SHMMAX: Entry = limit!("shmmax", segment_len, u64::MAX);
pub(super) const SHMALL: Entry = limit!("shmall", segment_pages, u64::MAX);
pub(super) const SHMMNI: Entry = limit!("shmmni", segments, OBJECTS_MAX);
pub(super) const SHM_NEXT_ID: Entry = next_number!("shm_next_id", segments);

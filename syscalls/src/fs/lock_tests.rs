//! Locks between processes.

use std::sync::Arc;
use std::vec::Vec;

use abi::Errno;
use abi::fs::{Flock, fcntl as command};

use crate::fake::Application;
use crate::fake::kit::{self, Kit};
use crate::fs::{FsContext, OnExec};
use crate::machine::Registers;
use crate::process::{Process, Thread};
use crate::signal::{Signal, info};

const OTHER: u64 = 0x10_0000;
const LOCK_SH: u64 = 1;
const LOCK_EX: u64 = 2;
const LOCK_NB: u64 = 4;
const LOCK_UN: u64 = 8;

/// A process with a file as its descriptor 0.
fn fixture() -> Kit {
    let kit = kit::process();
    assert_eq!(kit.descriptor(kit.file("f", b"")), 0);
    kit
}

/// Lets another process, which has the descriptors of the first, run `program`.
fn other(kit: &Kit, program: impl Fn(&mut Application) + Send + Sync + 'static) -> Arc<Thread> {
    kit.machine.set_program(OTHER, program);
    let paths = FsContext::new(kit.system.vfs.root().clone());
    let process = Arc::new(Process::new(3, kit.process.memory(), paths));
    for fd in kit.process.files.open_descriptors() {
        let open = kit.process.files.get(fd).unwrap();
        process.files.set(fd, open, OnExec::Keep, 1024).unwrap();
    }
    let thread = Thread::new(kit.system.clone(), process);
    thread.start(Registers { rip: OTHER, ..Registers::default() }).unwrap();
    thread
}

/// A record of the `len` bytes from `start`.
fn record(kit: &Kit, kind: u32, start: i64, len: i64) -> u64 {
    kit.put_value(&Flock { kind: kind as i16, start, len, ..Flock::default() })
}

fn fcntl(kit: &Kit, command: u32, record: u64) -> Result<u64, Errno> {
    kit.call("fcntl", [0, u64::from(command), record, 0, 0, 0])
}

/// Lets other threads run for so many milliseconds.
fn pass(kit: &Kit, milliseconds: u64) {
    assert_eq!(kit.call("poll", [0, 0, milliseconds, 0, 0, 0]), Ok(0));
}

#[test]
fn locks_that_touch_are_one() {
    let kit = fixture();
    for (kind, start, len) in [
        (command::F_WRLCK, 0, 10),
        (command::F_WRLCK, 20, 10),
        (command::F_WRLCK, 10, 10),
        (command::F_RDLCK, 30, 0),
        (command::F_UNLCK, 3, 1),
    ] {
        assert_eq!(fcntl(&kit, command::F_SETLK, record(&kit, kind, start, len)), Ok(0));
    }
    let asked: Vec<_> = [0, 4, 40].map(|at| record(&kit, command::F_WRLCK, at, 1)).into();
    let records = asked.clone();
    let thread = other(&kit, move |application| {
        for &record in &records {
            assert_eq!(application.call("fcntl", &[0, command::F_GETLK.into(), record]), 0);
        }
    });
    pass(&kit, 10);
    let found: Vec<_> = asked.iter().map(|&at| kit.get_value::<Flock>(at)).collect();
    let found: Vec<_> = found.iter().map(|r| (r.kind as u32, r.start, r.len, r.pid)).collect();
    let (read, write) = (command::F_RDLCK, command::F_WRLCK);
    assert_eq!(found, [(write, 0, 3, 2), (write, 4, 26, 2), (read, 30, 0, 2)]);
    drop(thread);
}

#[test]
fn a_wait_ends_when_the_owner_closes_any_descriptor_of_the_file() {
    let kit = fixture();
    assert_eq!(kit.call("dup", [0; 6]), Ok(1));
    assert_eq!(fcntl(&kit, command::F_SETLK, record(&kit, command::F_WRLCK, 0, 0)), Ok(0));
    let (done, wanted) = (kit.put_value(&0_u32), record(&kit, command::F_RDLCK, 5, 1));
    let _thread = other(&kit, move |application| {
        assert_eq!(application.call("fcntl", &[0, command::F_SETLKW.into(), wanted]), 0);
        application.store(done, &1_u32.to_le_bytes());
        application.call("pause", &[]);
    });
    pass(&kit, 10);
    assert_eq!(kit.get_value::<u32>(done), 0);
    assert_eq!(kit.call("close", [1, 0, 0, 0, 0, 0]), Ok(0));
    pass(&kit, 10);
    assert_eq!(kit.get_value::<u32>(done), 1);
    let all = record(&kit, command::F_WRLCK, 0, 0);
    assert_eq!(fcntl(&kit, command::F_SETLK, all), Err(Errno::EAGAIN));
}

#[test]
fn two_that_wait_for_each_other_are_a_deadlock() {
    let kit = fixture();
    let first = record(&kit, command::F_WRLCK, 0, 1);
    let second = record(&kit, command::F_WRLCK, 1, 1);
    assert_eq!(fcntl(&kit, command::F_SETLK, first), Ok(0));
    let _thread = other(&kit, move |application| {
        let wait = command::F_SETLKW.into();
        assert_eq!(application.call("fcntl", &[0, wait, second]), 0);
        assert_eq!(application.call("fcntl", &[0, wait, first]), 0);
        application.call("pause", &[]);
    });
    pass(&kit, 10);
    assert_eq!(fcntl(&kit, command::F_SETLKW, second), Err(Errno::EDEADLK));
    // Who gives way lets the other have it.
    assert_eq!(fcntl(&kit, command::F_SETLK, record(&kit, command::F_UNLCK, 0, 0)), Ok(0));
    pass(&kit, 10);
    assert_eq!(fcntl(&kit, command::F_SETLK, first), Err(Errno::EAGAIN));
}

#[test]
fn locks_of_open_files_are_not_looked_at_for_deadlocks_and_end_with_them() {
    let kit = fixture();
    let path = kit.string("/f");
    assert_eq!(kit.call("open", [path, 2, 0, 0, 0, 0]), Ok(1));
    let all = record(&kit, command::F_WRLCK, 0, 0);
    assert_eq!(fcntl(&kit, command::F_OFD_SETLK, all), Ok(0));
    let set = u64::from(command::F_OFD_SETLK);
    assert_eq!(kit.call("fcntl", [1, set, all, 0, 0, 0]), Err(Errno::EAGAIN));
    let get = u64::from(command::F_OFD_GETLK);
    let asked = record(&kit, command::F_RDLCK, 7, 1);
    assert_eq!(kit.call("fcntl", [1, get, asked, 0, 0, 0]), Ok(0));
    let found: Flock = kit.get_value(asked);
    assert_eq!((found.kind as u32, found.pid), (command::F_WRLCK, -1));
    assert_eq!(kit.call("close", [0; 6]), Ok(0));
    assert_eq!(kit.call("fcntl", [1, set, all, 0, 0, 0]), Ok(0));
}

#[test]
fn a_signal_ends_a_wait() {
    let kit = fixture();
    let path = kit.string("/f");
    assert_eq!(kit.call("open", [path, 2, 0, 0, 0, 0]), Ok(1));
    assert_eq!(kit.call("flock", [0, LOCK_EX, 0, 0, 0, 0]), Ok(0));
    let done = kit.put_value(&0_u64);
    let thread = other(&kit, move |application| {
        application.call("flock", &[1, LOCK_SH]);
        application.store(done, &1_u64.to_le_bytes());
    });
    pass(&kit, 10);
    let process = thread.process();
    process.send_signal(Signal::SIGKILL, info::kernel(Signal::SIGKILL)).unwrap();
    pass(&kit, 10);
    assert_eq!(kit.get_value::<u64>(done), 0);
    assert!(kit.system.processes.get(3).is_none());
    assert_eq!(kit.call("flock", [1, LOCK_SH | LOCK_NB, 0, 0, 0, 0]), Err(Errno::EAGAIN));
    assert_eq!(kit.call("flock", [0, LOCK_UN, 0, 0, 0, 0]), Ok(0));
    assert_eq!(kit.call("flock", [1, LOCK_EX | LOCK_NB, 0, 0, 0, 0]), Ok(0));
}

#[test]
fn an_flock_that_cannot_be_changed_is_lost() {
    let kit = fixture();
    let path = kit.string("/f");
    let flock = |fd: u64, operation: u64| kit.call("flock", [fd, operation, 0, 0, 0, 0]);
    assert_eq!(kit.call("open", [path, 0, 0, 0, 0, 0]), Ok(1));
    assert_eq!(flock(0, LOCK_SH), Ok(0));
    assert_eq!(flock(1, LOCK_SH), Ok(0));
    assert_eq!(flock(0, LOCK_EX | LOCK_NB), Err(Errno::EAGAIN));
    assert_eq!(flock(1, LOCK_EX | LOCK_NB), Ok(0));
    // A duplicate is the same owner.
    assert_eq!(kit.call("dup", [1, 0, 0, 0, 0, 0]), Ok(2));
    assert_eq!(flock(2, LOCK_SH | LOCK_NB), Ok(0));
    assert_eq!(flock(0, LOCK_SH | LOCK_NB), Ok(0));
}

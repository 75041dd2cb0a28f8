//! execve(2) as programs see it, on the fake machine.

use alloc::vec::Vec;

use abi::Errno;
use abi::auxv::{AT_NULL, AT_SECURE};
use abi::fs::MountFlags;
use abi::signal::{SIG_IGN, SigAction, sa};
use zerocopy::IntoBytes;

use crate::fake::Application;
use crate::fake::kit::{self, BAD_ADDRESS, Kit};

use super::exec_tests::{elf, fixed};
use super::family_tests::{ANY, Notes, ROOM, errno, exit, load, note, run};

/// Where the programs of these tests start.
const ENTRY: u64 = 0x40_1000;

/// A machine on which `/program` is executable, and runs `program`.
fn kit_with(program: impl Fn(&mut Application) + Send + Sync + 'static) -> Kit {
    let kit = kit::process();
    drop(kit.file("program", &elf(2, ENTRY, &fixed())));
    drop(kit.file("script", b"#!/program an argument\n"));
    drop(kit.file("text", b"hello"));
    kit.machine.set_program(ENTRY, program);
    kit
}

/// Stores a string; returns its address.
fn string(application: &mut Application, at: u64, string: &str) -> u64 {
    application.store(at, string.as_bytes());
    application.store(at + string.len() as u64, &[0]);
    at
}

/// Calls execve(2) with the path as the only argument.
fn execute(application: &mut Application, path: &str) -> u64 {
    let path = string(application, ROOM + 0x400, path);
    application.store(ROOM + 0x500, [path, 0].as_bytes());
    application.call("execve", &[path, ROOM + 0x500, 0])
}

/// The words on the new program's stack, up to the end of the auxiliary vector.
fn stack(application: &mut Application) -> (Vec<u64>, Vec<(u32, u64)>) {
    let mut at = application.registers.rsp;
    let mut word = || -> u64 {
        at += 8;
        load::<u64>(application, at - 8)
    };
    let arguments = (0..word()).map(|_| word()).collect();
    assert_eq!(word(), 0);
    while word() != 0 {}
    let mut auxiliary = Vec::new();
    loop {
        match (word() as u32, word()) {
            (AT_NULL, _) => return (arguments, auxiliary),
            (key, value) => auxiliary.push((key, value)),
        }
    }
}

#[test]
fn a_child_becomes_another_program_and_its_parent_does_not() {
    let notes = Notes::default();
    let seen = notes.clone();
    let in_program = notes.clone();
    let kit = kit_with(move |program| {
        let (arguments, auxiliary) = stack(program);
        assert_eq!(load::<[u8; 9]>(program, arguments[0]), *b"/program\0");
        assert!(auxiliary.contains(&(AT_SECURE, 0)));
        note(&in_program, arguments.len() as u64);
        note(&in_program, program.call("getpid", &[]));
        note(&in_program, program.fs_base());
        exit(program, 7);
    });
    run(&kit, move |application| {
        let child = application.fork("fork", &[], |child| {
            child.call("arch_prctl", &[0x1002, 0x5000]);
            execute(child, "/program");
        });
        assert_eq!(application.call("wait4", &[ANY, ROOM, 0, 0]), child);
        note(&notes, u64::from(load::<u32>(application, ROOM)));
        exit(application, 0);
    });
    assert_eq!(*seen.lock().unwrap(), [1, 4, 0, 0x700]);
}

#[test]
fn a_script_runs_its_interpreter() {
    let notes = Notes::default();
    let seen = notes.clone();
    let kit = kit_with(move |program| {
        let (arguments, _) = stack(program);
        assert_eq!(load::<[u8; 12]>(program, arguments[1]), *b"an argument\0");
        assert_eq!(load::<[u8; 8]>(program, arguments[2]), *b"/script\0");
        note(&notes, arguments.len() as u64);
        exit(program, 0);
    });
    run(&kit, |application| {
        execute(application, "/script");
    });
    assert_eq!(*seen.lock().unwrap(), [3]);
}

#[test]
fn handlers_and_descriptors_that_say_so_do_not_survive() {
    let notes = Notes::default();
    let seen = notes.clone();
    let kit = kit_with(move |program| {
        // Below the stack pointer there is room.
        let room = program.registers.rsp - 0x100;
        for signal in [10, 12] {
            program.call("rt_sigaction", &[signal, 0, room, 8]);
            note(&notes, load::<SigAction>(program, room).handler);
        }
        for fd in [0, 1] {
            note(&notes, program.call("fcntl", &[fd, 1]));
        }
        exit(program, 0);
    });
    run(&kit, |application| {
        for (signal, handler) in [(10, 0x1234), (12, SIG_IGN)] {
            let action = SigAction { handler, flags: sa::RESTART, ..SigAction::default() };
            application.store(ROOM, action.as_bytes());
            application.call("rt_sigaction", &[signal, ROOM, 0, 8]);
        }
        application.call("pipe2", &[ROOM, 0]);
        application.call("fcntl", &[0, 2, 1]);
        execute(application, "/program");
    });
    assert_eq!(*seen.lock().unwrap(), [0, SIG_IGN, errno(Errno::EBADF), 0]);
}

#[test]
fn a_parent_of_vfork_goes_on_when_its_child_executes() {
    let notes = Notes::default();
    let seen = notes.clone();
    let in_program = notes.clone();
    let kit = kit_with(move |program| {
        let time = program.registers.rsp - 0x100;
        program.store(time, [0_u64, 1000].as_bytes());
        program.call("nanosleep", &[time, 0]);
        note(&in_program, 2);
        exit(program, 0);
    });
    run(&kit, move |application| {
        application.fork("vfork", &[], |child| {
            execute(child, "/program");
        });
        note(&notes, 1);
        application.call("wait4", &[ANY, 0, 0, 0]);
        note(&notes, 3);
        exit(application, 0);
    });
    assert_eq!(*seen.lock().unwrap(), [1, 2, 3]);
}

#[test]
fn what_cannot_be_executed_leaves_the_caller_as_it_is() {
    let kit = kit_with(|_| {});
    let call = |path: &str| {
        let path = kit.string(path);
        let arguments = kit.put_value(&[path, 0]);
        kit.call("execve", [path, arguments, 0, 0, 0, 0])
    };
    assert_eq!(call("/none"), Err(Errno::ENOENT));
    assert_eq!(call("/text"), Err(Errno::ENOEXEC));
    assert_eq!(call("/tmp"), Err(Errno::EACCES));
    assert_eq!(call("/program/x"), Err(Errno::ENOTDIR));
    let path = kit.string("/program");
    assert_eq!(kit.call("execve", [path, BAD_ADDRESS, 0, 0, 0, 0]), Err(Errno::EFAULT));
    let arguments = kit.put_value(&[BAD_ADDRESS, 0]);
    assert_eq!(kit.call("execve", [path, arguments, 0, 0, 0, 0]), Err(Errno::EFAULT));
    assert_eq!(kit.call("execveat", [0, path, 0, 0, 0x8000, 0]), Err(Errno::EINVAL));
    let long = kit.put(&[b'a'; 128 * 1024]);
    let arguments = kit.put_value(&[long, 0]);
    assert_eq!(kit.call("execve", [path, arguments, 0, 0, 0, 0]), Err(Errno::E2BIG));
}

#[test]
fn a_program_is_never_executed_and_written_at_once() {
    const O_WRONLY: u64 = 1;
    let notes = Notes::default();
    let seen = notes.clone();
    let kit = kit_with(move |program| {
        let path = string(program, program.registers.rsp - 0x100, "/program");
        note(&notes, program.call("open", &[path, O_WRONLY]));
        note(&notes, program.call("truncate", &[path, 0]));
        note(&notes, program.call("open", &[path, 0]));
        exit(program, 0);
    });
    run(&kit, move |application| {
        let path = string(application, ROOM, "/program");
        let fd = application.call("open", &[path, O_WRONLY]);
        assert_eq!(execute(application, "/program"), errno(Errno::ETXTBSY));
        application.call("close", &[fd]);
        execute(application, "/script");
    });
    assert_eq!(*seen.lock().unwrap(), [errno(Errno::ETXTBSY), errno(Errno::ETXTBSY), 0]);
}

#[test]
fn a_mount_can_forbid_to_execute() {
    let kit = kit_with(|_| {});
    let (path, root, tmpfs) = (kit.string("/program"), kit.string("/"), kit.string("tmpfs"));
    let flags = u64::from((MountFlags::REMOUNT | MountFlags::NOEXEC).bits());
    assert_eq!(kit.call("mount", [0, root, tmpfs, flags, 0, 0]), Ok(0));
    assert_eq!(kit.call("execve", [path, 0, 0, 0, 0, 0]), Err(Errno::EACCES));
    let fd = kit.call("open", [path, 0, 0, 0, 0, 0]).unwrap();
    let map = |protection: u64| kit.call("mmap", [0, 4096, protection, 2, fd, 0]);
    assert_eq!(map(5), Err(Errno::EPERM));
    assert!(map(1).is_ok());
}

//! The start of programs on the fake machine.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use abi::Errno;

use crate::fake::{FakeMachine, aligned_archive};
use crate::machine::{ExitStatus, Stream};

/// Where the program of the test archives begins.
const ENTRY: u64 = 0x40_1000;

/// A static program whose code is what the fake machine has at [`ENTRY`].
fn elf() -> Vec<u8> {
    let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    file.extend(2_u16.to_le_bytes());
    file.extend(62_u16.to_le_bytes());
    file.extend(1_u32.to_le_bytes());
    for word in [ENTRY, 64, 0] {
        file.extend(word.to_le_bytes());
    }
    file.extend(0_u32.to_le_bytes());
    for half in [64_u16, 56, 1, 0, 0, 0] {
        file.extend(half.to_le_bytes());
    }
    file.extend(1_u32.to_le_bytes());
    file.extend(5_u32.to_le_bytes());
    for word in [0, 0x40_0000, 0x40_0000, 0x2000_u64, 0x2000, 0x1000] {
        file.extend(word.to_le_bytes());
    }
    file.resize(0x2000, 0xc3);
    file
}

/// An archive of these files: name, mode, content.
fn archive(files: &[(&str, u32, &[u8])]) -> &'static [u8] {
    let mut out = Vec::new();
    let trailer: (&str, u32, &[u8]) = ("TRAILER!!!", 0, b"");
    for &(name, mode, content) in files.iter().chain([&trailer]) {
        let mut header = String::from("070701");
        let fields =
            [1, mode, 0, 0, 1, 0, content.len() as u32, 0, 0, 0, 0, name.len() as u32 + 1, 0];
        for field in fields {
            header += &alloc::format!("{field:08x}");
        }
        out.extend(header.bytes());
        out.extend(name.bytes());
        out.push(0);
        out.resize(out.len().next_multiple_of(4), 0);
        out.extend(content);
        out.resize(out.len().next_multiple_of(4), 0);
    }
    aligned_archive(&out)
}

/// Boots and runs to the end of the machine.
fn run(machine: &Arc<FakeMachine>, archive: &'static [u8], line: &str) -> Option<ExitStatus> {
    let system = super::boot(machine.clone(), archive, line);
    machine.set_service(&system);
    machine.run()
}

#[test]
fn the_program_of_the_command_line_runs_on_the_terminal() {
    let machine = FakeMachine::new();
    machine.set_program(ENTRY, |application| {
        assert_eq!(application.call("getpid", &[]), 2);
        assert_eq!(application.call("getppid", &[]), 1);
        let mut words = [0; 24];
        let rsp = application.registers.rsp;
        application.load(rsp, &mut words);
        assert_eq!(words[0], 3, "argc");
        assert_eq!(application.call("write", &[1, rsp, 1]), 1);
        application.call("exit_group", &[42]);
    });
    let archive = archive(&[("crab", 0o100_755, &elf())]);
    let status = run(&machine, archive, "init=/crab -- a b");
    assert_eq!(status, Some(ExitStatus::Exited(42)));
    assert_eq!(machine.output(Stream::Terminal), [3]);
}

#[test]
fn the_program_finds_its_terminal_and_itself_in_proc() {
    let machine = FakeMachine::new();
    machine.set_program(ENTRY, |application| {
        let room = application.registers.rsp - 4096;
        let mut ask = |call: &str, path: &[u8]| {
            application.store(room, &[path, b"\0"].concat());
            let len = match call {
                "readlink" => application.call(call, &[room, room + 64, 64]),
                _ => {
                    let fd = application.call("open", &[room, 0]);
                    application.call("read", &[fd, room + 64, 64])
                }
            };
            let mut text = [0; 64];
            application.load(room + 64, &mut text);
            text[..len as usize].to_vec()
        };
        assert_eq!(ask("readlink", b"/proc/self/fd/0"), b"/dev/console");
        assert_eq!(ask("readlink", b"/proc/self/exe"), b"/crab");
        assert_eq!(ask("readlink", b"/proc/self/cwd"), b"/");
        assert_eq!(ask("read", b"/proc/self/cmdline"), b"/crab\0a\0");
        assert_eq!(ask("read", b"/proc/self/comm"), b"crab\n");
        assert_eq!(ask("read", b"/proc/cmdline"), b"init=/crab -- a\n");
        application.store(room, b"/dev/tty\0");
        let tty = application.call("open", &[room, 2]);
        assert_eq!(application.call("ioctl", &[tty, 0x540f, room + 64]), 0, "TIOCGPGRP");
        let mut group = [0; 4];
        application.load(room + 64, &mut group);
        assert_eq!(group, [2, 0, 0, 0]);
        application.call("exit_group", &[0]);
    });
    let archive = archive(&[("crab", 0o100_755, &elf())]);
    assert_eq!(run(&machine, archive, "init=/crab -- a"), Some(ExitStatus::Exited(0)));
}

#[test]
fn the_run_configuration_has_precedence() {
    let machine = FakeMachine::new();
    machine.set_program(ENTRY, |application| {
        let room = application.registers.rsp - 4096;
        application.store(room, b"hello");
        assert_eq!(application.call("write", &[2, room, 5]), 5);
        application.call("exit_group", &[0]);
    });
    let configuration = b"version=1\0program=/crab\0arg=crab\0trace=1\0";
    let archive =
        archive(&[(".birgus/config", 0o100_644, configuration), ("crab", 0o100_755, &elf())]);
    assert_eq!(run(&machine, archive, "init=/other"), Some(ExitStatus::Exited(0)));
    assert_eq!(machine.output(Stream::Stderr), b"hello");
    let lines = machine.trace_lines();
    assert!(lines[0].starts_with("write(2, ") && lines[0].ends_with(" = 5"), "{lines:?}");
    assert_eq!(lines[1..], ["exit_group(0) = ?", "+++ exited with 0 +++"]);
}

#[test]
fn what_cannot_be_started_says_so_by_its_status() {
    let status =
        |files: &[(&str, u32, &[u8])], line: &str| run(&FakeMachine::new(), archive(files), line);
    let not_started = |errno: Errno| Some(ExitStatus::NotStarted(errno.number()));
    assert_eq!(status(&[], "init=/crab"), not_started(Errno::ENOENT));
    assert_eq!(status(&[], ""), not_started(Errno::ENOENT));
    let plain: (&str, u32, &[u8]) = ("crab", 0o100_644, b"");
    assert_eq!(status(&[plain], "init=/crab"), not_started(Errno::EACCES));
    let empty: (&str, u32, &[u8]) = ("crab", 0o100_755, b"");
    assert_eq!(status(&[empty], "init=/crab"), not_started(Errno::ENOEXEC));
    let wrong: (&str, u32, &[u8]) = (".birgus/config", 0o100_644, b"version=1\0x=1\0");
    assert_eq!(status(&[wrong], "init=/crab"), not_started(Errno::EINVAL));
    let lost: (&str, u32, &[u8]) =
        (".birgus/config", 0o100_644, b"version=1\0program=/crab\0cwd=/nowhere\0");
    assert_eq!(status(&[lost], ""), not_started(Errno::ENOENT));
    assert_eq!(run(&FakeMachine::new(), b"no archive", ""), not_started(Errno::EINVAL));
}

//! Reports of programs made by hand on the fake machine.

use alloc::string::String;
use alloc::vec::Vec;

use abi::memory::{MapFlags, Protection};
use abi::signal::{Signal, si};

use super::lines;
use crate::fake::kit::{self, BAD_ADDRESS, Kit};
use crate::machine::Registers;
use crate::signal::info;

/// A program at 0x400000 with the functions `outer` and `inner` at 0x401000 and 0x401020, and
/// tables that say how to get to their callers.
static PROGRAM: &[u8] = include_bytes!("../../../loader/fuzz/seeds/code/sample");

const READ_EXECUTE: Protection = Protection::READ.union(Protection::EXEC);

const OUTER: u64 = 0x40_1000;
const INNER: u64 = 0x40_1020;

/// A process with `program` mapped where it wants to be, or `bias` bytes above.
fn with_program(program: &[u8], bias: u64) -> Kit {
    let kit = kit::process();
    let _ = kit.file("crab", program);
    let path = kit.string("/crab");
    let fd = kit.call("open", [path, 0, 0, 0, 0, 0]).unwrap();
    for (offset, protection) in [(0, Protection::READ), (0x1000, READ_EXECUTE)] {
        let address = 0x40_0000 + bias + offset;
        let flags = (MapFlags::PRIVATE | MapFlags::FIXED).bits();
        let arguments =
            [address, 0x1000, u64::from(protection.bits()), u64::from(flags), fd, offset];
        assert_eq!(kit.call("mmap", arguments), Ok(address));
    }
    kit
}

fn fault_lines(kit: &Kit, registers: &Registers) -> Vec<String> {
    let info = info::fault(Signal::SIGSEGV, si::SEGV_MAPERR, BAD_ADDRESS);
    lines(&kit.thread, Signal::SIGSEGV, &info, registers)
}

fn backtrace(kit: &Kit, registers: &Registers) -> Vec<String> {
    let lines = fault_lines(kit, registers);
    let frames = lines.into_iter().skip_while(|line| line != "backtrace:").skip(1);
    frames.take_while(|line| line.starts_with("  ")).collect()
}

/// Registers of a thread in `outer`, which has pushed two words and was called by `inner`.
fn in_outer(kit: &Kit, bias: u64) -> Registers {
    let stack = [1, 2, INNER + bias + 8, 0_u64];
    Registers { rip: OUTER + bias + 3, rsp: kit.put_value(&stack), ..Registers::default() }
}

#[test]
fn a_report_says_what_happened_and_where() {
    let kit = with_program(PROGRAM, 0);
    kit.thread.set_name(b"crab\x1b");
    let _ = kit.call("close", [77, 0, 0, 0, 0, 0]);
    let lines = fault_lines(&kit, &in_outer(&kit, 0));
    let expected = "crab\\u{1b} (2) was ended by SIGSEGV (Segmentation fault): \
                    address not mapped, 0xdead0000";
    assert_eq!(lines[0], expected);
    assert_eq!(lines[1], "  address 0xdead0000 lies in no mapping");
    assert!(lines[2].ends_with(" bytes above 0x20000000-0x20100000 rw-"), "{}", lines[2]);
    assert_eq!(lines[3], "  rip 0x401003 lies in 0x401000-0x402000 r-x /crab from 0x1000");
    assert_eq!(lines[4], alloc::format!("  code at rip:{}", " 00".repeat(16)));
    assert!(lines[9].starts_with("  rip 0000000000401003"));
    assert!(lines[lines.len() - 1].ends_with("close(77) = -1 EBADF"));
}

#[test]
fn callers_are_found_by_tables_and_named() {
    let expected = |bias: u64| {
        [
            alloc::format!("  #0 {:#x} outer+0x3 (crab)", OUTER + bias + 3),
            alloc::format!("  #1 {:#x} inner+0x8 (crab)", INNER + bias + 8),
        ]
    };
    for bias in [0, 0x5555_0000_0000] {
        let kit = with_program(PROGRAM, bias);
        assert_eq!(backtrace(&kit, &in_outer(&kit, bias)), expected(bias));
    }
}

#[test]
fn callers_are_found_by_frame_pointers_without_tables() {
    // No section headers and no index of frames.
    let mut program = PROGRAM.to_vec();
    program[60..62].fill(0);
    program[64 + 2 * 56] = 0;
    let kit = with_program(&program, 0x1000_0000);
    let outer = kit.put_value(&[0_u64, 0]);
    let inner = kit.put_value(&[outer, OUTER + 0x1000_0000 + 7]);
    let rip = INNER + 0x1000_0000;
    let registers = Registers { rip, rsp: outer, rbp: inner, ..Registers::default() };
    let expected = ["  #0 0x10401020 (crab+0x401020)", "  #1 0x10401007 (crab+0x401007)"];
    assert_eq!(backtrace(&kit, &registers), expected);
}

#[test]
fn a_call_of_a_null_pointer_shows_the_caller() {
    let kit = with_program(PROGRAM, 0);
    let rsp = kit.put_value(&[INNER + 8, 0_u64]);
    let registers = Registers { rsp, ..Registers::default() };
    assert_eq!(backtrace(&kit, &registers), ["  #0 0x0", "  #1 0x401028 inner+0x8 (crab)"]);
}

#[test]
fn deep_stacks_and_bad_registers_give_short_reports() {
    let kit = with_program(PROGRAM, 0);
    let deep = kit.put_value(&[INNER + 8; 4096]);
    let registers = Registers { rip: INNER, rsp: deep, ..Registers::default() };
    let lines = fault_lines(&kit, &registers);
    let frame = |line: &&String| line.starts_with("  #");
    let frames: Vec<_> = lines.iter().filter(frame).collect();
    assert_eq!(
        frames,
        ["  #0 0x401020 inner+0x0 (crab)", "  #1 0x401028 inner+0x8 (crab) (63 times)"]
    );
    let alternating = [[INNER + 8, INNER + 9]; 64];
    let rsp = kit.put_value(&alternating);
    let lines = fault_lines(&kit, &Registers { rsp, ..registers });
    assert_eq!(lines.iter().filter(frame).count(), 28);
    assert!(lines.len() < 60);
    for value in [0, 7, u64::MAX, 1 << 47, OUTER, kit::AREA] {
        let registers = Registers {
            rip: value,
            rsp: value.wrapping_sub(3),
            rbp: value,
            ..Registers::default()
        };
        assert!(fault_lines(&kit, &registers).len() < 60);
    }
}

#[test]
fn who_sent_a_signal_is_told() {
    let kit = kit::process();
    let told = |sender| {
        let info = info::user(Signal::SIGABRT, si::TKILL, sender, 0);
        lines(&kit.thread, Signal::SIGABRT, &info, &Registers::default()).remove(0)
    };
    assert!(told(2).ends_with(": sent by itself"));
    assert!(told(9).ends_with(": sent by process 9"));
}

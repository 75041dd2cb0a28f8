//! Programs in new address spaces.

use alloc::sync::Arc;
use alloc::vec::Vec;

use abi::memory::Protection;
use abi::{Errno, PAGE_SIZE};

use crate::fake::kit::{self, Kit};
use crate::machine::Machine;
use crate::mm::{MemoryLimits, Wanted};

use super::Credentials;
use super::exec::{ExecError, Loaded, Program};

const PT_LOAD: u32 = 1;
const PT_INTERP: u32 = 3;
const READ_EXECUTE: u32 = 5;
const READ_WRITE: u32 = 6;

/// One program header: type, flags, offset, address, length in the file and in memory.
type Header = (u32, u32, u64, u64, u64, u64);

/// An ELF file of this type with these program headers, padded to three pages.
fn elf(kind: u16, entry: u64, headers: &[Header]) -> Vec<u8> {
    let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    file.extend(kind.to_le_bytes());
    file.extend(62_u16.to_le_bytes());
    file.extend(1_u32.to_le_bytes());
    file.extend(entry.to_le_bytes());
    file.extend(64_u64.to_le_bytes());
    file.extend(0_u64.to_le_bytes());
    file.extend(0_u32.to_le_bytes());
    for half in [64, 56, headers.len() as u16, 0, 0, 0] {
        file.extend(half.to_le_bytes());
    }
    for &(kind, flags, offset, address, file_len, memory_len) in headers {
        file.extend(kind.to_le_bytes());
        file.extend(flags.to_le_bytes());
        for word in [offset, address, address, file_len, memory_len, 0x1000] {
            file.extend(word.to_le_bytes());
        }
    }
    file.resize(2 * PAGE_SIZE, 0xc3);
    file.resize(3 * PAGE_SIZE, 0xdd);
    file
}

/// Code in the first page, data in the third with zeros behind it.
const SEGMENTS: [Header; 2] = [
    (PT_LOAD, READ_EXECUTE, 0, 0, 0x1800, 0x1800),
    (PT_LOAD, READ_WRITE, 0x2000, 0x5000, 0x100, 0x3000),
];

fn load(kit: &Kit, content: &[u8]) -> Result<Loaded, ExecError> {
    let machine: Arc<dyn Machine> = kit.machine.clone();
    Program {
        file: &kit.file("program", content),
        path: b"/program",
        arguments: &[b"program".to_vec(), b"-x".to_vec()],
        environment: &[b"HOME=/".to_vec()],
        credentials: &Credentials::root(),
        secure: false,
        limits: MemoryLimits::default(),
    }
    .load(&machine)
}

fn word(loaded: &Loaded, address: u64) -> u64 {
    let mut bytes = [0; 8];
    loaded.memory.read(address, &mut bytes).unwrap();
    u64::from_le_bytes(bytes)
}

#[test]
fn a_position_independent_program_is_loaded_at_a_random_place() {
    let kit = kit::process();
    let loaded = load(&kit, &elf(3, 0x1000, &SEGMENTS)).unwrap();
    let base = loaded.registers.rip - 0x1000;
    assert!(base >= 0x5555_5555_4000 && base.is_multiple_of(0x1000));
    let mut byte = [0];
    loaded.memory.read(loaded.registers.rip, &mut byte).unwrap();
    assert_eq!(byte, [0xc3]);
    let mut data = [1; 0x102];
    loaded.memory.read(base + 0x5000, &mut data).unwrap();
    assert_eq!((data[0xff], data[0x100], data[0x101]), (0xdd, 0, 0));
    assert_eq!(word(&loaded, base + 0x7ff8), 0);
    assert!(loaded.memory.write(base, b"x").is_err());
    assert!(loaded.memory.fault(base + 0x5000, Wanted::Execute).is_err());
    let start = loaded.memory.program_break().start;
    assert!(start >= base + 0x8000);
    assert_eq!(loaded.memory.move_program_break(start + 100, 0), start + 100);
}

#[test]
fn the_stack_holds_the_arguments() {
    let kit = kit::process();
    let segments = SEGMENTS.map(|mut header| {
        header.3 += 0x40_0000;
        header
    });
    let loaded = load(&kit, &elf(2, 0x40_1000, &segments)).unwrap();
    assert_eq!(loaded.registers.rip, 0x40_1000);
    assert_eq!((loaded.registers.rax, loaded.registers.rflags), (0, 0x202));
    let rsp = loaded.registers.rsp;
    assert!(rsp.is_multiple_of(16));
    assert_eq!(word(&loaded, rsp), 2);
    assert_eq!(word(&loaded, rsp + 24), 0);
    let mut argument = [0; 8];
    loaded.memory.read(word(&loaded, rsp + 8), &mut argument).unwrap();
    assert_eq!(&argument, b"program\0");
    let stack = loaded.memory.areas().pop().unwrap();
    assert_eq!((stack.name, stack.range.end), ("[stack]", loaded.memory.layout().stack_top));
    assert_eq!(stack.protection, Protection::READ | Protection::WRITE);
    // It grows, to its limit.
    assert!(loaded.memory.write(stack.range.start - 4096 * 100, b"x").is_ok());
    assert!(loaded.memory.write(stack.range.end - (8 << 20), b"x").is_ok());
    assert!(loaded.memory.write(stack.range.end - (8 << 20) - 1, b"x").is_err());
}

#[test]
fn what_cannot_be_executed_yet_says_so() {
    let kit = kit::process();
    assert_eq!(load(&kit, b"#!/bin/sh\n").err(), Some(ExecError::Script));
    let kit = kit::process();
    let mut headers = SEGMENTS.to_vec();
    headers.push((PT_INTERP, 4, 0x2000, 0x5000, 2, 2));
    let mut content = elf(3, 0x1000, &headers);
    content[0x2000..0x2002].copy_from_slice(b"/\0");
    assert_eq!(load(&kit, &content).err(), Some(ExecError::Interpreter));
    let kit = kit::process();
    let error = load(&kit, b"\x7fELF").err().unwrap();
    assert_eq!(error.errno(), Errno::ENOEXEC);
    assert!(!alloc::format!("{error}").is_empty());
}

#[test]
fn running_out_of_memory_is_enomem_and_leaks_nothing() {
    let kit = kit::process();
    let content = elf(3, 0x1000, &SEGMENTS);
    let program = kit.file("program", &content);
    let machine: Arc<dyn Machine> = kit.machine.clone();
    let load = || {
        Program {
            file: &program,
            path: b"/program",
            arguments: &[b"program".to_vec()],
            environment: &[],
            credentials: &Credentials::root(),
            secure: false,
            limits: MemoryLimits::default(),
        }
        .load(&machine)
    };
    let before = kit.machine.live_pages();
    for successes in 0.. {
        kit.machine.fail_allocations_after(Some(successes));
        let error = load().err().map(ExecError::errno);
        kit.machine.fail_allocations_after(None);
        assert_eq!(kit.machine.live_pages(), before);
        if error.is_none() {
            assert!(successes > 4);
            break;
        }
        assert_eq!(error, Some(Errno::ENOMEM));
    }
}

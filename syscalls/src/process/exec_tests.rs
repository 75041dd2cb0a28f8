//! Programs in new address spaces.

use alloc::sync::Arc;
use alloc::vec::Vec;

use abi::auxv::{AT_BASE, AT_ENTRY, AT_PHDR, AT_SYSINFO_EHDR};
use abi::fs::AT_FDCWD;
use abi::memory::Protection;
use abi::{Errno, PAGE_SIZE};

use crate::fake::kit::{self, Kit};
use crate::fs::Fd;
use crate::fs::path::{Follow, resolve};
use crate::machine::Machine;
use crate::mm::{Accessor, MemoryLimits, Wanted};

use super::Credentials;
use super::exec::{ExecError, Executable, Loaded, Placement, Program};

const PT_LOAD: u32 = 1;
const PT_INTERP: u32 = 3;
const READ_EXECUTE: u32 = 5;
const READ_WRITE: u32 = 6;

/// One program header: type, flags, offset, address, length in the file and in memory.
pub(super) type Header = (u32, u32, u64, u64, u64, u64);

/// An ELF file of this type with these program headers, padded to three pages.
pub(super) fn elf(kind: u16, entry: u64, headers: &[Header]) -> Vec<u8> {
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

/// The same at a fixed address.
pub(super) fn fixed() -> [Header; 2] {
    SEGMENTS.map(|mut header| {
        header.3 += 0x40_0000;
        header
    })
}

/// Executes what is at `path`.
fn execute(kit: &Kit, path: &str) -> Result<Loaded, ExecError> {
    let machine: Arc<dyn Machine> = kit.machine.clone();
    let executable = open(kit, path)?;
    Program {
        executable: &executable,
        environment: &[b"HOME=/".to_vec()],
        credentials: &Credentials::root(),
        secure: false,
        limits: MemoryLimits::default(),
        placement: Placement::Random,
    }
    .load(&machine)
}

fn open(kit: &Kit, path: &str) -> Result<Executable, ExecError> {
    let cx = kit.context();
    let location = resolve(&cx, Fd(AT_FDCWD), path.into(), Follow::Last)?;
    let arguments = alloc::vec![b"program".to_vec(), b"-x".to_vec()];
    Executable::open(&cx, location, path.into(), arguments)
}

fn load(kit: &Kit, content: &[u8]) -> Result<Loaded, ExecError> {
    drop(kit.file("program", content));
    execute(kit, "/program")
}

/// The file of a program that names this interpreter.
fn dynamic(kind: u16, interpreter: &str) -> Vec<u8> {
    let place = if kind == 2 { 0x40_0000 } else { 0 };
    let mut headers = SEGMENTS.to_vec();
    headers.iter_mut().for_each(|header| header.3 += place);
    let len = interpreter.len() as u64 + 1;
    headers.push((PT_INTERP, 4, 0x2000, place + 0x5000, len, len));
    let mut content = elf(kind, place + 0x1000, &headers);
    content[0x2000..][..interpreter.len()].copy_from_slice(interpreter.as_bytes());
    content[0x2000 + interpreter.len()] = 0;
    content
}

/// A value of the auxiliary vector.
fn auxiliary(loaded: &Loaded, wanted: u32) -> Option<u64> {
    let range = loaded.memory.places().unwrap().auxiliary.clone();
    let mut pairs = range.step_by(16).map(|at| (word(loaded, at), word(loaded, at + 8)));
    pairs.find(|&(key, _)| key == u64::from(wanted)).map(|(_, value)| value)
}

fn word(loaded: &Loaded, address: u64) -> u64 {
    let mut bytes = [0; 8];
    loaded.memory.read(address, &mut bytes).unwrap();
    u64::from_le_bytes(bytes)
}

#[test]
fn a_program_that_loads_itself_is_where_mappings_go_and_its_break_is_not() {
    let kit = kit::process();
    let loaded = load(&kit, &elf(3, 0x1000, &SEGMENTS)).unwrap();
    let base = loaded.registers.rip - 0x1000;
    assert_eq!(base + 0x8000, loaded.memory.layout().map_top);
    let mut byte = [0];
    loaded.memory.read(loaded.registers.rip, &mut byte).unwrap();
    assert_eq!(byte, [0xc3]);
    let mut data = [1; 0x102];
    loaded.memory.read(base + 0x5000, &mut data).unwrap();
    assert_eq!((data[0xff], data[0x100], data[0x101]), (0xdd, 0, 0));
    assert_eq!(word(&loaded, base + 0x7ff8), 0);
    assert!(loaded.memory.write(base, b"x").is_err());
    assert!(loaded.memory.fault(base + 0x5000, Wanted::Execute, Accessor::Call).is_err());
    let start = loaded.memory.program_break().start;
    assert_eq!(start, loaded.memory.layout().program);
    assert_eq!(auxiliary(&loaded, AT_BASE), Some(0));
    assert_eq!(loaded.memory.move_program_break(start + 100, 0), start + 100);
}

#[test]
fn the_stack_holds_the_arguments() {
    let kit = kit::process();
    let loaded = load(&kit, &elf(2, 0x40_1000, &fixed())).unwrap();
    assert_eq!(loaded.registers.rip, 0x40_1000);
    assert_eq!((loaded.registers.rax, loaded.registers.rflags), (0, 0x202));
    let rsp = loaded.registers.rsp;
    assert!(rsp.is_multiple_of(16));
    assert_eq!(word(&loaded, rsp), 2);
    assert_eq!(word(&loaded, rsp + 24), 0);
    let mut argument = [0; 8];
    loaded.memory.read(word(&loaded, rsp + 8), &mut argument).unwrap();
    assert_eq!(&argument, b"program\0");
    let areas = loaded.memory.areas();
    let stack = areas.iter().find(|area| area.name == "[stack]").unwrap();
    assert_eq!(stack.range.end, loaded.memory.layout().stack_top);
    assert_eq!(stack.protection, Protection::READ | Protection::WRITE);
    // It grows, to its limit.
    assert!(loaded.memory.write(stack.range.start - 4096 * 100, b"x").is_ok());
    assert!(loaded.memory.write(stack.range.end - (8 << 20), b"x").is_ok());
    assert!(loaded.memory.write(stack.range.end - (8 << 20) - 1, b"x").is_err());
}

#[test]
fn the_vdso_is_where_the_auxiliary_vector_says() {
    let kit = kit::process();
    let loaded = load(&kit, &elf(2, 0x40_1000, &fixed())).unwrap();
    let at = auxiliary(&loaded, AT_SYSINFO_EHDR).unwrap();
    let areas = loaded.memory.areas();
    let vdso = areas.iter().find(|area| area.range.start == at).unwrap();
    assert_eq!((vdso.name, vdso.range.end - at), ("[vdso]", vdso::image().len() as u64));
    let mut image = alloc::vec![0; vdso::image().len()];
    loaded.memory.read(at, &mut image).unwrap();
    assert_eq!(image, vdso::image());
}

#[test]
fn the_interpreter_is_entered_in_the_place_of_the_program() {
    for kind in [2, 3] {
        let kit = kit::process();
        let mut headers = SEGMENTS.to_vec();
        headers[0].4 = 0x1000;
        drop(kit.file("ld.so", &elf(3, 0x800, &headers)));
        let loaded = load(&kit, &dynamic(kind, "/ld.so")).unwrap();
        let memory = &loaded.memory;
        let base = auxiliary(&loaded, AT_BASE).unwrap();
        assert_eq!(base + 0x8000, memory.layout().map_top);
        assert_eq!(loaded.registers.rip, base + 0x800);
        let bias = if kind == 2 { 0x40_0000 } else { memory.layout().program };
        assert_eq!(auxiliary(&loaded, AT_ENTRY), Some(bias + 0x1000));
        assert_eq!(auxiliary(&loaded, AT_PHDR), Some(bias + 64));
        assert!((bias + 0x8000..bias + 0x200_9000).contains(&memory.program_break().start));
        assert_eq!(memory.places().unwrap().image, bias..bias + 0x8000);
        // What lies between the segments is free for others.
        assert!(memory.write(base + 0x3000, b"x").is_err());
        let holes = memory.areas();
        assert!(!holes.iter().any(|area| area.range.contains(&(base + 0x3000))));
    }
}

#[test]
fn images_are_aligned_as_they_ask() {
    let kit = kit::process();
    let aligned =
        |content: &mut [u8]| content[64 + 48..][..8].copy_from_slice(&[0, 0, 32, 0, 0, 0, 0, 0]);
    let mut content = elf(3, 0x1000, &SEGMENTS);
    aligned(&mut content);
    drop(kit.file("ld.so", &content));
    let mut content = dynamic(3, "/ld.so");
    aligned(&mut content);
    let loaded = load(&kit, &content).unwrap();
    let base = auxiliary(&loaded, AT_BASE).unwrap();
    let program = auxiliary(&loaded, AT_ENTRY).unwrap() - 0x1000;
    assert!(base.is_multiple_of(0x20_0000) && program.is_multiple_of(0x20_0000));
    // More than there is room for is an error.
    let kit = kit::process();
    drop(kit.file("ld.so", &elf(3, 0x1000, &SEGMENTS)));
    content[64 + 48..][..8].copy_from_slice(&(1_u64 << 62).to_le_bytes());
    assert_eq!(load(&kit, &content).err().unwrap().errno(), Errno::ENOMEM);
}

#[test]
fn interpreters_that_cannot_be_used_are_named() {
    let kit = kit::process();
    let error = load(&kit, &dynamic(3, "/nothing")).err().unwrap();
    assert_eq!(error.errno(), Errno::ENOENT);
    assert!(alloc::format!("{error}").starts_with("its interpreter /nothing cannot be used: "));
    let kit = kit::process();
    drop(kit.file("text", b"text"));
    let error = load(&kit, &dynamic(3, "/text")).err().unwrap();
    assert_eq!(error.errno(), Errno::ELIBBAD);
    let kit = kit::process();
    assert_eq!(load(&kit, &dynamic(3, "/tmp")).err().unwrap().errno(), Errno::EACCES);
    let kit = kit::process();
    let error = load(&kit, b"\x7fELF").err().unwrap();
    assert_eq!(error.errno(), Errno::ENOEXEC);
    assert!(!alloc::format!("{error}").is_empty());
}

#[test]
fn scripts_give_way_to_their_interpreters() {
    let kit = kit::process();
    drop(kit.file("program", &elf(2, 0x40_1000, &fixed())));
    drop(kit.file("first", b"#! /program -a b \nrest"));
    drop(kit.file("second", b"#!/first"));
    let executable = open(&kit, "/second").unwrap();
    let arguments: Vec<_> = executable.arguments().iter().map(|a| a.escape_ascii()).collect();
    let shown: Vec<_> = arguments.iter().map(|a| alloc::format!("{a}")).collect();
    assert_eq!(shown, ["/program", "-a b", "/first", "/second", "-x"]);
    assert!(executable.is_script());
    assert_eq!((executable.path(), executable.name()), (&b"/second"[..], &b"second"[..]));
    let loaded = execute(&kit, "/second").unwrap();
    assert_eq!(loaded.registers.rip, 0x40_1000);
    assert_eq!(word(&loaded, loaded.registers.rsp), 5);
}

#[test]
fn scripts_may_be_executed_by_scripts_five_deep() {
    let kit = kit::process();
    drop(kit.file("script0", &elf(2, 0x40_1000, &fixed())));
    for depth in 1..=6 {
        let line = alloc::format!("#!/script{}\n", depth - 1);
        drop(kit.file(&alloc::format!("script{depth}"), line.as_bytes()));
    }
    assert!(open(&kit, "/script5").is_ok());
    let error = open(&kit, "/script6").err().unwrap();
    assert_eq!((&error, error.errno()), (&ExecError::TooManyScripts, Errno::ELOOP));
}

#[test]
fn scripts_without_a_usable_interpreter_are_refused() {
    for (script, errno) in [
        ("#!\n", Errno::ENOEXEC),
        ("#!", Errno::EACCES),
        ("#!/tmp\n", Errno::EACCES),
        ("#!/nothing\n", Errno::ENOENT),
        ("", Errno::ENOEXEC),
        ("#", Errno::ENOEXEC),
    ] {
        let kit = kit::process();
        assert_eq!(load(&kit, script.as_bytes()).err().unwrap().errno(), errno, "{script:?}");
    }
}

#[test]
fn running_out_of_memory_is_enomem_and_leaks_nothing() {
    let kit = kit::process();
    drop(kit.file("ld.so", &elf(3, 0x1000, &SEGMENTS)));
    drop(kit.file("program", &dynamic(3, "/ld.so")));
    let before = kit.machine.live_pages();
    for successes in 0.. {
        kit.machine.fail_allocations_after(Some(successes));
        let error = execute(&kit, "/program").err().map(|error| error.errno());
        kit.machine.fail_allocations_after(None);
        assert_eq!(kit.machine.live_pages(), before);
        if error.is_none() {
            assert!(successes > 4);
            break;
        }
        assert_eq!(error, Some(Errno::ENOMEM));
    }
}

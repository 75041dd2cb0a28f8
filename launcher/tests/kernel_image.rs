//! What the embedded kernel's ELF file must be like for the loaders that boot it.

use goblin::elf::program_header::{PF_W, PF_X, PT_LOAD, PT_NOTE};
use goblin::elf::{Elf, ProgramHeader};
use iced_x86::{Code, Decoder, DecoderOptions, Instruction, InstructionInfoFactory};

fn kernel() -> Elf<'static> {
    Elf::parse(birgus::kernel::embedded()).expect("the kernel is an ELF file")
}

fn bytes_at(address: u64, elf: &Elf<'_>) -> &'static [u8] {
    let holds = |header: &&ProgramHeader| {
        header.p_type == PT_LOAD && header.vm_range().contains(&(address as usize))
    };
    let segment = elf.program_headers.iter().find(holds).expect("a segment holds the address");
    let start = segment.p_offset + (address - segment.p_vaddr);
    &birgus::kernel::embedded()[start as usize..segment.file_range().end]
}

/// The instructions from symbol `name` to the first that satisfies `is_last`.
fn code_of(name: &str, is_last: impl Fn(&Instruction) -> bool) -> Vec<Instruction> {
    let elf = kernel();
    let is_it = |symbol: &goblin::elf::Sym| elf.strtab.get_at(symbol.st_name) == Some(name);
    let address = elf.syms.iter().find(is_it).expect("the kernel has this symbol").st_value;
    let decoder = Decoder::with_ip(64, bytes_at(address, &elf), address, DecoderOptions::NONE);
    let mut code = Vec::new();
    for instruction in decoder {
        code.push(instruction);
        if is_last(&instruction) {
            return code;
        }
    }
    panic!("{name} does not end");
}

/// linux-loader lets a later note segment hide the PVH note; Firecracker then boots by another
/// protocol and says nothing.
#[test]
fn the_only_note_segment_is_the_pvh_entry() {
    let elf = kernel();
    let notes: Vec<_> = elf.program_headers.iter().filter(|h| h.p_type == PT_NOTE).collect();
    assert_eq!(notes.len(), 1, "{notes:?}");
    let note = &birgus::kernel::embedded()[notes[0].file_range()];
    let word = |at: usize| u32::from_le_bytes(note[at..at + 4].try_into().unwrap());
    assert_eq!((word(0), word(4), word(8), &note[12..16]), (4, 4, 18, &b"Xen\0"[..]));
    assert_eq!(u64::from(word(16)), elf.entry);
}

/// Firecracker refuses images and entries below 1 MiB.
#[test]
fn the_image_lies_above_1_mib() {
    let elf = kernel();
    let loads = elf.program_headers.iter().filter(|header| header.p_type == PT_LOAD);
    assert!(loads.into_iter().all(|header| header.p_paddr >= 1 << 20));
    assert!(elf.entry >= 1 << 20);
}

#[test]
fn no_segment_of_the_upper_half_is_writable_and_executable() {
    let elf = kernel();
    for header in elf.program_headers.iter().filter(|header| header.p_vaddr >= 1 << 63) {
        assert_ne!(header.p_flags & (PF_W | PF_X), PF_W | PF_X, "{header:?}");
    }
}

/// The lean way through `syscall` does not save the xmm registers, so it must not use them,
/// nor call anything that might.
#[test]
fn the_lean_path_uses_no_xmm_register_and_calls_nothing() {
    let code = code_of("syscall_entry", |instruction| instruction.code() == Code::Jmp_rm64);
    let mut info = InstructionInfoFactory::new();
    for instruction in &code {
        assert!(!instruction.is_call_near() && !instruction.is_call_near_indirect());
        let used = info.info(instruction).used_registers().to_vec();
        assert!(used.iter().all(|used| !used.register().is_vector_register()), "{instruction}");
    }
    assert!(code.len() <= 24, "the lean path grew to {} instructions", code.len());
}

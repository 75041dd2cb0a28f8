//! Callers by the tables of a file made by hand, also when they are damaged.

use alloc::vec::Vec;

use super::*;
use crate::symbols::tests::{FRAMES, TEXT, put, reader, sample};

const STACK: u64 = 0x7fff_0000;

/// The caller in `file` at `address`, with the stack pointer at [`STACK`], where the words
/// are their own addresses.
fn caller_in(file: &[u8], address: u64) -> Option<Caller> {
    let mut read = reader(file);
    let code = CodeFile::read(&mut read)?;
    let mut registers = FrameRegisters([Some(7); COUNT]);
    registers.set_stack_pointer(Some(STACK));
    let mut load = |at: u64| (STACK..STACK + 0x1000).contains(&at).then_some(at);
    caller(&code, address, &registers, &mut read, &mut load)
}

fn frame(caller: Option<Caller>) -> (u64, u64, u64) {
    let Some(Caller::Frame { address, registers, interrupted: false }) = caller else {
        panic!("{caller:?}");
    };
    (address, registers.stack_pointer().unwrap(), registers.frame_pointer().unwrap())
}

#[test]
fn the_index_leads_to_the_caller() {
    // 0x18 bytes above, the frame of the caller begins; rbp was saved at its second word.
    let outer = frame(caller_in(&sample(), TEXT + 5));
    assert_eq!(outer, (STACK + 0x10, STACK + 0x18, STACK + 8));
    let inner = frame(caller_in(&sample(), TEXT + 0x2f));
    assert_eq!(inner, (STACK, STACK + 8, 7));
    assert_eq!(caller_in(&sample(), TEXT + 0x30), None);
}

#[test]
fn without_an_index_the_section_is_looked_through() {
    let mut file = sample();
    put(&mut file, 64 + 2 * 56, &[0; 4]);
    assert_eq!(frame(caller_in(&file, TEXT + 0x2f)), (STACK, STACK + 8, 7));
    assert_eq!(caller_in(&file, TEXT + 0x30), None);
    put(&mut file, 0xa00 + 64, &[0]);
    assert_eq!(caller_in(&file, TEXT + 0x2f), None);
}

#[test]
fn a_return_address_without_a_value_ends_the_stack() {
    let mut file = sample();
    // DW_CFA_undefined of rip in the common part.
    put(&mut file, (FRAMES - 0x40_0000) as usize + 20, &[0x07, 0x10]);
    assert_eq!(caller_in(&file, TEXT + 0x2f), Some(Caller::Nobody));
}

#[test]
fn expressions_are_evaluated() {
    let mut file = sample();
    // DW_CFA_def_cfa_expression: rsp + 16.
    put(&mut file, 0x400 + 24 + 17 + 6, &[0]);
    put(&mut file, 0x400 + 24 + 17, &[0x0f, 2, 0x77, 16, 0, 0, 0]);
    assert_eq!(frame(caller_in(&file, TEXT + 5)), (STACK + 8, STACK + 16, 7));
}

#[test]
fn damaged_tables_do_no_harm() {
    let good = sample();
    let mut state = 0x0123_4567_89ab_cdef_u64;
    let mut random = |end: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % end as u64) as usize
    };
    let edges = [0, 1, 0x7f, 0xff, 0x7fff_ffff, 0xffff_ffff, u64::MAX, 0x7fff_ffff_ffff_ffff];
    // The ELF header, program headers, frames, their index, symbols, names, sections.
    let parts = [(0, 232), (0x400, 80), (0x500, 28), (0x600, 120), (0x800, 32), (0x900, 832)];
    for _ in 0..8_000 {
        let mut file: Vec<u8> = good.clone();
        for _ in 0..=random(4) {
            let (start, len) = parts[random(parts.len())];
            let at = start + random(len);
            match random(3) {
                0 => file[at] = random(256) as u8,
                1 => file[at] ^= 1 << random(8),
                _ => {
                    put(&mut file, at, &edges[random(edges.len())].to_le_bytes()[..1 << random(4)])
                }
            }
        }
        if random(16) == 0 {
            file.truncate(random(good.len()));
        }
        let _ = caller_in(&file, TEXT + 5);
        let _ = caller_in(&file, TEXT + 0x2f);
        let mut read = reader(&file);
        if let Some(code) = CodeFile::read(&mut read) {
            let names = code.symbols(&[TEXT + 5, TEXT + 0x2f, 0, u64::MAX], &mut read);
            assert!(names.iter().flatten().all(|symbol| symbol.name.len() <= 512 + 32));
        }
    }
}

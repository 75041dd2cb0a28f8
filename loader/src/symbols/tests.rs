//! A file made by hand, and what is read of it.

use alloc::vec::Vec;

use super::*;

/// Where things are in [`sample`].
pub(crate) const TEXT: u64 = 0x40_1000;
pub(crate) const FRAMES: u64 = 0x40_0400;
pub(crate) const FRAME_INDEX: u64 = 0x40_0500;

const SYMBOLS: usize = 0x600;
const NAMES: usize = 0x800;
const SECTION_NAMES: usize = 0x900;
const SECTIONS: usize = 0xa00;
const LEN: usize = 0x2000;

const PT_LOAD_HEADER: u32 = 1;
const INDEX_HEADER: u32 = 0x6474_e550;

/// A program with the functions `outer` (0x20 bytes) and `inner` (0x10 bytes), each with a
/// description in `.eh_frame`, and an index of these.
pub(crate) fn sample() -> Vec<u8> {
    let mut file = vec![0; LEN];
    put(&mut file, 0, b"\x7fELF\x02\x01\x01");
    put(&mut file, 16, &[2, 0, 62, 0]);
    put_words(&mut file, 24, &[TEXT, 64, SECTIONS as u64]);
    for (at, half) in [64_u16, 56, 3, 64, 5, 4].into_iter().enumerate() {
        put(&mut file, 52 + 2 * at, &half.to_le_bytes());
    }
    let headers = [
        (PT_LOAD_HEADER, 4, 0_u64, 0x40_0000_u64, 0x1000_u64),
        (PT_LOAD_HEADER, 5, 0x1000, TEXT, 0x1000),
        (INDEX_HEADER, 4, 0x500, FRAME_INDEX, 12 + 16),
    ];
    for (at, (kind, flags, offset, address, len)) in headers.into_iter().enumerate() {
        let at = 64 + 56 * at;
        put(&mut file, at, &[kind.to_le_bytes(), (flags as u32).to_le_bytes()].concat());
        put_words(&mut file, at + 8, &[offset, address, address, len, len, 0x1000]);
    }
    put_frames(&mut file);
    put_symbols(&mut file);
    file
}

pub(crate) fn put(file: &mut [u8], at: usize, bytes: &[u8]) {
    file[at..at + bytes.len()].copy_from_slice(bytes);
}

fn put_words(file: &mut [u8], at: usize, words: &[u64]) {
    for (index, word) in words.iter().enumerate() {
        put(file, at + 8 * index, &word.to_le_bytes());
    }
}

/// The common part (CFA is rsp + 8, the return address lies at CFA - 8), a description of
/// `outer` that has pushed rbp and 8 bytes more, one of `inner`, which has done nothing.
fn put_frames(file: &mut [u8]) {
    let mut bytes = Vec::new();
    let common = *b"\x01zR\0\x01\x78\x10\x01\x1b\x0c\x07\x08\x90\x01\0\0";
    bytes.extend(20_u32.to_le_bytes());
    bytes.extend([0; 4]);
    bytes.extend(common);
    let mut index = Vec::from([1, 0x1b, 3, 0x3b]);
    index.extend((FRAMES as i32 - FRAME_INDEX as i32 - 4).to_le_bytes());
    index.extend(2_u32.to_le_bytes());
    let functions = [(TEXT, 0x20_u32, *b"\0\x0e\x18\x86\x02\0\0"), (TEXT + 0x20, 0x10, [0; 7])];
    for (start, range, instructions) in functions {
        let at = bytes.len();
        let field = FRAMES + at as u64 + 8;
        bytes.extend(20_u32.to_le_bytes());
        bytes.extend((at as u32 + 4).to_le_bytes());
        bytes.extend(((start as i64 - field as i64) as i32).to_le_bytes());
        bytes.extend(range.to_le_bytes());
        bytes.push(0);
        bytes.extend(&instructions[1..]);
        bytes.push(0);
        index.extend((start as i32 - FRAME_INDEX as i32).to_le_bytes());
        index.extend((FRAMES as i32 + at as i32 - FRAME_INDEX as i32).to_le_bytes());
    }
    bytes.extend([0; 4]);
    put(file, 0x400, &bytes);
    put(file, 0x500, &index);
}

fn put_symbols(file: &mut [u8]) {
    put(file, NAMES, b"\0outer\0inner\0label\0");
    // Name, information (binding and type), value, size.
    let symbols = [
        (0_u32, 0_u8, 0_u64, 0_u64),
        (13, 0x10, TEXT + 4, 0),
        (1, 0x12, TEXT, 0x20),
        (7, 0x02, TEXT + 0x20, 0x10),
        (13, 0x10, TEXT + 0x40, 0),
    ];
    for (at, (name, information, value, size)) in symbols.into_iter().enumerate() {
        let at = SYMBOLS + SYMBOL_LEN * at;
        put(file, at, &name.to_le_bytes());
        put(file, at + 4, &[information, 0, u8::from(name != 0), 0]);
        put_words(file, at + 8, &[value, size]);
    }
    put(file, SECTION_NAMES, b"\0.eh_frame\0");
    // Name, type, address, offset, length, link.
    let sections = [
        (0_u32, 0_u32, 0_u64, 0, 0, 0_u32),
        (1, 1, FRAMES, 0x400, 0x100, 0),
        (0, SHT_SYMTAB, 0, SYMBOLS, symbols.len() * SYMBOL_LEN, 3),
        (0, 3, 0, NAMES, 0x20, 0),
        (0, 3, 0, SECTION_NAMES, 0x20, 0),
    ];
    for (at, (name, kind, address, offset, len, link)) in sections.into_iter().enumerate() {
        let at = SECTIONS + SECTION_HEADER_LEN * at;
        put(file, at, &[name.to_le_bytes(), kind.to_le_bytes()].concat());
        put_words(file, at + 8, &[0, address, offset as u64, len as u64]);
        put(file, at + 40, &link.to_le_bytes());
    }
}

/// Reads bytes of a file in memory.
pub(crate) fn reader(file: &[u8]) -> impl FnMut(u64, &mut [u8]) -> Option<()> + '_ {
    |offset, to| {
        let bytes = file.get(usize::try_from(offset).ok()?..)?.get(..to.len())?;
        to.copy_from_slice(bytes);
        Some(())
    }
}

fn names(file: &[u8], addresses: &[u64]) -> Vec<Option<(Vec<u8>, u64)>> {
    let mut read = reader(file);
    let code = CodeFile::read(&mut read).unwrap();
    let symbols = code.symbols(addresses, &mut read);
    symbols.into_iter().map(|symbol| symbol.map(|symbol| (symbol.name, symbol.offset))).collect()
}

#[test]
fn addresses_get_the_names_of_their_functions() {
    let found = names(&sample(), &[TEXT, TEXT + 0x2f, TEXT - 1, TEXT + 0x3f, TEXT + 0x48]);
    let named = |name: &[u8], offset| Some((name.to_vec(), offset));
    assert_eq!(found[..3], [named(b"outer", 0), named(b"inner", 15), None]);
    // A symbol without a size stands for what follows, but not inside of one that has a size.
    assert_eq!(found[3..], [named(b"label", 0x3b), named(b"label", 8)]);
}

#[test]
fn a_label_inside_of_a_function_is_the_nearer_one() {
    assert_eq!(names(&sample(), &[TEXT + 5])[0], Some((b"label".to_vec(), 1)));
}

#[test]
fn file_offsets_and_addresses_are_translated() {
    let code = CodeFile::read(&mut reader(&sample())).unwrap();
    assert_eq!(code.address_of(0x1234), Some(TEXT + 0x234));
    assert_eq!(code.address_of(0x2000), None);
    assert_eq!(code.offset_of(TEXT + 1), Some((0x1001, 0xfff)));
    assert_eq!(code.offset_of(0x40_0000 - 1), None);
}

#[test]
fn the_sample_is_the_one_that_others_use() {
    let kept: &[u8] = include_bytes!("../../fuzz/seeds/code/sample");
    assert!(kept == sample());
}

#[test]
fn files_without_tables_have_no_names() {
    let mut file = sample();
    put(&mut file, 58, &[0; 6]);
    assert_eq!(names(&file, &[TEXT])[0], None);
    assert_eq!(CodeFile::read(&mut reader(b"#!/bin/sh\n")), None);
    assert_eq!(CodeFile::read(&mut reader(b"")), None);
}

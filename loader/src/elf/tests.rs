use alloc::string::ToString;
use alloc::vec::Vec;

use abi::{Errno, TASK_SIZE};

use super::sample::{GNU_STACK, PHDR, R, RW, RWX, RX, Sample, interp, load, other};
use super::*;

fn parse(sample: &Sample) -> Result<Image, ElfError> {
    Image::parse(&sample.bytes())
}

fn with(table: &[super::sample::Entry]) -> Sample {
    Sample { table: table.to_vec(), ..Sample::fixed() }
}

fn changed(change: impl FnOnce(&mut Sample)) -> Sample {
    let mut sample = Sample::fixed();
    change(&mut sample);
    sample
}

#[track_caller]
fn refused(sample: &Sample, errno: Errno, line: &str) {
    let error = parse(sample).unwrap_err();
    assert_eq!((error.to_string().as_str(), error.errno()), (line, errno));
}

fn mappings(image: &Image, bias: u64) -> Vec<Mapping> {
    image.mappings(bias).unwrap().collect()
}

const R_X: Access = Access { read: true, write: false, execute: true };
const RW_: Access = Access { read: true, write: true, execute: false };

fn file(address: u64, len: u64, access: Access, offset: u64, zero_from: Option<u64>) -> Mapping {
    Mapping { address, len, access, content: Content::File { offset, zero_from } }
}

fn zero(address: u64, len: u64, access: Access) -> Mapping {
    Mapping { address, len, access, content: Content::Zero }
}

#[test]
fn a_fixed_program_is_mapped_where_it_says() {
    let image = parse(&Sample::fixed()).unwrap();
    assert_eq!((image.kind(), image.entry()), (Kind::Fixed, 0x40_0180));
    assert_eq!(image.program_headers(), ProgramHeaders { address: Some(0x40_0040), count: 3 });
    assert_eq!((image.interpreter(), image.executable_stack()), (None, false));
    assert_eq!(image.address_range(), (0x40_0000, 0x4000));
    assert_eq!((image.bias_for(0x1234_5678), image.program_break(0)), (Ok(0), 0x40_4000));
    assert!(!image.is_static_pie());
    let expected = [
        file(0x40_0000, 0x1000, R_X, 0, None),
        file(0x40_1000, 0x1000, RW_, 0, Some(0x40_1280)),
        zero(0x40_2000, 0x2000, RW_),
    ];
    assert_eq!(mappings(&image, 0), expected);
    assert_eq!(image.mappings(0x1000).err(), Some(ElfError::BadBias { bias: 0x1000 }));
}

#[test]
fn a_static_pie_is_mapped_at_its_bias() {
    let image = parse(&Sample::static_pie()).unwrap();
    assert!(image.is_static_pie());
    assert_eq!(image.bias_for(0x5555_5555_4321), Ok(0x5555_5555_4000));
    let bias = 0x5555_5555_4000;
    let expected = [
        file(bias, 0x1000, R_X, 0, None),
        file(bias + 0x1000, 0x1000, RW_, 0, Some(bias + 0x1280)),
    ];
    assert_eq!(mappings(&image, bias), expected);
    assert_eq!(image.program_break(bias), bias + 0x2000);
    for bias in [0, 0x1234, TASK_SIZE - 0x1000, u64::MAX - 0xfff] {
        assert_eq!(image.mappings(bias).err(), Some(ElfError::BadBias { bias }), "{bias:#x}");
    }
}

#[test]
fn the_bias_obeys_the_largest_alignment() {
    let mut sample = Sample::static_pie();
    sample.table[1].align = 0x20_0000;
    sample.table[2].align = 0x20_0001;
    let image = parse(&sample).unwrap();
    assert_eq!(image.alignment(), 0x20_0000);
    assert_eq!(image.bias_for(0x5555_5555_4000), Ok(0x5555_5540_0000));
    assert!(image.bias_for(0x10_0000).is_err());
}

#[test]
fn a_position_independent_file_linked_high_can_move_down() {
    let sample = Sample {
        file_type: 3,
        entry: 0x7000_0000_0180,
        table: [load(RX, 0, 0x7000_0000_0000, 0x200, 0x200)].to_vec(),
        ..Sample::fixed()
    };
    let image = parse(&sample).unwrap();
    let bias = image.bias_for(0x40_0000).unwrap();
    assert_eq!(mappings(&image, bias), [file(0x40_0000, 0x1000, R_X, 0, None)]);
    assert_eq!(image.program_break(bias), 0x40_1000);
}

#[test]
fn a_dynamic_program_names_its_interpreter() {
    let image = parse(&Sample::dynamic()).unwrap();
    assert_eq!(image.interpreter(), Some(&b"/lib/ld.so"[..]));
    assert!(!image.is_static_pie());
}

#[test]
fn bytes_that_linux_does_not_look_at_do_not_matter() {
    let sample = changed(|s| (s.class, s.data) = (0xb8, 0x90));
    assert!(parse(&sample).is_ok());
}

#[test]
fn bss_beyond_the_file_pages_is_writable_even_in_a_read_only_segment() {
    let image = parse(&with(&[load(RX, 0, 0x40_0000, 0x200, 0x2000)])).unwrap();
    let rwx = Access { read: true, write: true, execute: true };
    let expected = [file(0x40_0000, 0x1000, R_X, 0, None), zero(0x40_1000, 0x1000, rwx)];
    assert_eq!(mappings(&image, 0), expected);
}

#[test]
fn a_segment_without_file_bytes_is_zero_pages_and_its_offset_is_ignored() {
    let table = [load(RX, 0, 0x40_0000, 0x200, 0x200), load(RW, 0x77, 0x50_0010, 0, 0xff1)];
    let image = parse(&with(&table)).unwrap();
    assert_eq!(mappings(&image, 0)[1..], [zero(0x50_0000, 0x2000, RW_)]);
}

#[test]
fn file_bytes_that_end_on_a_page_need_no_zeros_there() {
    let table = [load(RX, 0, 0x40_0000, 0x200, 0x200), load(RW, 0, 0x50_0000, 0x1000, 0x1001)];
    let image = parse(&Sample { len: 0x1000, ..with(&table) }).unwrap();
    let expected = [file(0x50_0000, 0x1000, RW_, 0, None), zero(0x50_1000, 0x1000, RW_)];
    assert_eq!(mappings(&image, 0)[1..], expected);
}

#[test]
fn an_empty_segment_maps_nothing_but_moves_the_program_break() {
    let table = [load(RX, 0, 0x40_0000, 0x200, 0x200), load(RW, 0x123, 0x60_0010, 0, 0)];
    let image = parse(&with(&table)).unwrap();
    assert_eq!((image.segments().len(), image.address_range()), (1, (0x40_0000, 0x1000)));
    assert_eq!(image.program_break(0), 0x60_1000);
}

#[test]
fn segments_may_share_a_page_and_come_in_any_order() {
    let table = [load(RW, 0x200, 0x40_0200, 0x80, 0x80), load(RX, 0, 0x40_0000, 0x200, 0x200)];
    let image = parse(&with(&table)).unwrap();
    let expected = [file(0x40_0000, 0x1000, RW_, 0, None), file(0x40_0000, 0x1000, R_X, 0, None)];
    assert_eq!(mappings(&image, 0), expected);

    let table = [load(RX, 0, 0x40_0000, 0x200, 0x200), load(RW, 0x200, 0x40_0200, 0x80, 0x80)];
    let line = "e_entry 0x400180 is not in an executable segment";
    refused(&with(&table), Errno::ENOEXEC, line);
}

#[test]
fn the_program_headers_are_found_in_a_segment_or_by_their_own_header() {
    let elsewhere = load(RX, 0x180, 0x40_0180, 0x80, 0x80);
    let image = parse(&with(&[elsewhere])).unwrap();
    assert_eq!(image.program_headers().address, None);
    let image = parse(&with(&[other(PHDR, R, 0x123), elsewhere])).unwrap();
    assert_eq!(image.program_headers().address, Some(0x123));
    let image = parse(&with(&[other(PHDR, R, 0x123), load(RX, 0, 0x40_0000, 0x200, 0x200)]));
    assert_eq!(image.unwrap().program_headers().address, Some(0x40_0040));
}

#[test]
fn the_last_stack_header_counts() {
    let table =
        [load(RX, 0, 0x40_0000, 0x200, 0x200), other(GNU_STACK, RW, 0), other(GNU_STACK, RWX, 0)];
    assert!(parse(&with(&table)).unwrap().executable_stack());
    assert!(!parse(&with(&table[..2])).unwrap().executable_stack());
    assert!(!parse(&with(&table[..1])).unwrap().executable_stack());
}

#[test]
fn what_is_no_program_at_all_is_named() {
    let errno = |bytes: &[u8]| Image::parse(bytes).unwrap_err();
    assert_eq!(errno(b""), ElfError::Empty);
    assert_eq!(errno(b"#!/bin/sh\n"), ElfError::NotElf);
    assert_eq!(errno(b"\x7fEL"), ElfError::NotElf);
    let bytes = Sample::fixed().bytes();
    assert_eq!(errno(&bytes[..63]), ElfError::TooShort { file_len: 63 });

    let thirty_two = changed(|s| (s.class, s.machine) = (1, 40));
    refused(&thirty_two, Errno::ENOEXEC, "a 32-bit program for ARM, not one for 64-bit x86-64");
    let big = changed(|s| (s.data, s.machine) = (2, 22_u16.swap_bytes()));
    refused(&big, Errno::ENOEXEC, "a big-endian program for S/390, not one for x86-64");
    let arm = changed(|s| s.machine = 183);
    refused(&arm, Errno::ENOEXEC, "a program for 64-bit ARM, not one for x86-64");
    let strange = changed(|s| s.machine = 999);
    refused(&strange, Errno::ENOEXEC, "a program for the unknown machine 999, not one for x86-64");
    let object = "a relocatable object file, which is not linked to a program yet";
    refused(&changed(|s| s.file_type = 1), Errno::ENOEXEC, object);
    refused(&changed(|s| s.file_type = 4), Errno::ENOEXEC, "a core dump, not a program");
}

#[test]
fn a_bad_program_header_table_is_named() {
    let none = changed(|s| s.table.clear());
    refused(&none, Errno::ENOEXEC, "e_phnum is 0: there are no program headers");
    let size = changed(|s| s.entry_size = 32);
    refused(&size, Errno::ENOEXEC, "e_phentsize is 32, but a program header has 56 bytes");
    let many = changed(|s| (s.entry_count, s.len) = (Some(1171), 0x2_0000));
    refused(&many, Errno::ENOEXEC, "e_phnum is 1171, more than the 1170 that Linux takes");
    assert!(parse(&changed(|s| (s.entry_count, s.len) = (Some(1170), 0x2_0000))).is_ok());
    for offset in [0x280 - 3 * 56 + 1, 0x280, u64::MAX] {
        let outside = parse(&changed(|s| s.table_offset = offset));
        let error = ElfError::ProgramHeadersOutsideFile { offset, count: 3, file_len: 0x280 };
        assert_eq!(outside, Err(error));
    }
    let nothing = "no program header is PT_LOAD: nothing to load";
    refused(&with(&[other(GNU_STACK, RW, 0)]), Errno::EINVAL, nothing);
    refused(&with(&[load(RX, 0, 0x40_0000, 0, 0)]), Errno::EINVAL, nothing);
}

#[test]
fn a_bad_segment_is_named() {
    let text = load(RX, 0, 0x40_0000, 0x200, 0x200);
    let refused_second = |segment, errno, line| refused(&with(&[text, segment]), errno, line);
    refused_second(
        load(RW, 0x200, 0x50_0200, 0x80, 0x7f),
        Errno::EINVAL,
        "program header 1: p_filesz 0x80 is larger than p_memsz 0x7f",
    );
    refused_second(
        load(RW, 0x200, 0x50_0200, 0x81, 0x81),
        Errno::ENOEXEC,
        "program header 1: p_filesz 0x81 at p_offset 0x200 is beyond the end of the file at \
         0x280 (is it truncated?)",
    );
    refused_second(
        load(RW, 0x200, 0x50_0210, 0x80, 0x80),
        Errno::EINVAL,
        "program header 1: p_offset 0x200 and p_vaddr 0x500210 differ modulo the page size",
    );
    refused_second(
        load(RW, 0x200, 0x40_01ff, 0, 1),
        Errno::ENOEXEC,
        "program headers 0 and 1 overlap in memory",
    );
    refused_second(
        load(RW, 0x200, 0xf200, 0x80, 0x80),
        Errno::EPERM,
        "program header 1: p_vaddr 0xf200 is below the lowest address 0x10000",
    );
    refused_second(
        load(RW, 0x200, 0x50_0200, 0x80, 0x7fff_ffff_0000),
        Errno::ENOMEM,
        "program header 1: p_memsz 0x7fffffff0000 at p_vaddr 0x500200 is beyond the end of the \
         address space at 0x7ffffffff000",
    );
}

#[test]
fn hostile_numbers_do_not_overflow() {
    let text = load(RX, 0, 0x40_0000, 0x200, 0x200);
    let too_high = |result| matches!(result, Err(ElfError::SegmentTooHigh { index: 1, .. }));
    assert!(too_high(parse(&with(&[text, load(RW, 0, u64::MAX, 0, 0)]))));
    assert!(too_high(parse(&with(&[text, load(RW, 0, 0x1000, 0, u64::MAX)]))));
    assert!(too_high(parse(&with(&[text, load(RW, 0, TASK_SIZE, 0, 1)]))));
    assert!(parse(&with(&[text, load(RW, 0, TASK_SIZE - 1, 0, 1)])).is_ok());
    let outside =
        parse(&with(&[text, load(RW, 0u64.wrapping_sub(0x1000), 0x50_0000, 0x1000, 0x1000)]));
    assert!(matches!(outside, Err(ElfError::SegmentOutsideFile { index: 1, .. })));
}

#[test]
fn an_image_as_large_as_the_address_space_has_no_room() {
    let mut sample = Sample::static_pie();
    sample.table[2].address = TASK_SIZE - 0xe00;
    let error = parse(&sample).unwrap_err();
    assert_eq!(error, ElfError::NoRoom { len: TASK_SIZE, alignment: 0x1000 });
    let mut sample = Sample::static_pie();
    sample.table[1].align = 1 << 63;
    assert!(matches!(parse(&sample), Err(ElfError::NoRoom { .. })));
}

#[test]
fn an_entry_point_must_be_executable() {
    let at = |entry| changed(|s| s.entry = entry);
    let line = "e_entry 0x401200 is not in an executable segment";
    refused(&at(0x40_1200), Errno::ENOEXEC, line);
    let line = "e_entry is 0: no entry point (is it a shared library?)";
    refused(&at(0), Errno::ENOEXEC, line);
    assert!(parse(&at(u64::MAX)).is_err());
    assert!(parse(&at(0x40_0fff)).is_ok(), "whole pages are mapped");
}

#[test]
fn a_bad_interpreter_is_named() {
    let path = |offset, len, path| {
        let mut sample = Sample::dynamic();
        sample.table[1] = interp(offset, len);
        sample.path = (0x1c0, path);
        sample
    };
    let line = "PT_INTERP: p_filesz is 1, not in the range 2 to 4096";
    refused(&path(0x1c0, 1, b"\0"), Errno::ENOEXEC, line);
    let line = "PT_INTERP: p_filesz is 4097, not in the range 2 to 4096";
    refused(&path(0x1c0, 4097, b""), Errno::ENOEXEC, line);
    let line = "PT_INTERP: the path name does not end with a NUL byte";
    refused(&path(0x1c0, 4, b"/abc"), Errno::ENOEXEC, line);
    let line = "PT_INTERP: the path name is empty";
    refused(&path(0x1c0, 2, b"\0\0"), Errno::EACCES, line);
    let outside = parse(&path(u64::MAX, 4, b""));
    assert!(matches!(outside, Err(ElfError::InterpreterOutsideFile { .. })));
    assert_eq!(outside.unwrap_err().errno(), Errno::EIO);

    let mut twice = Sample::dynamic();
    twice.table.insert(2, interp(0x1c0, 11));
    refused(&twice, Errno::ENOEXEC, "program header 2: a second PT_INTERP");
    let inner = parse(&path(0x1c0, 6, b"/a\0bc\0")).unwrap();
    assert_eq!(inner.interpreter(), Some(&b"/a"[..]));
}

#[test]
fn a_bad_interpreter_file_is_a_bad_library() {
    assert_eq!(ElfError::NotElf.interpreter_errno(), Errno::ELIBBAD);
    assert_eq!(ElfError::OutOfMemory.interpreter_errno(), Errno::ENOMEM);
}

#[test]
fn an_error_of_the_reader_is_handed_through() {
    let bytes = Sample::dynamic().bytes();
    for failing in 0..3 {
        let mut calls = 0;
        let result = Image::read(bytes.len() as u64, &mut |offset, buffer: &mut [u8]| {
            if calls == failing {
                return Err("broken disk");
            }
            calls += 1;
            let start = offset as usize;
            buffer.copy_from_slice(&bytes[start..start + buffer.len()]);
            Ok(())
        });
        assert_eq!(result, Err(ReadError::Io("broken disk")));
    }
}

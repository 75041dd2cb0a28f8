//! The bodies of the fuzz targets in `loader/fuzz`: each takes arbitrary bytes and panics
//! when a promise of this crate is broken. The tests run them over mutated samples.

#[cfg(test)]
mod tests;

use alloc::string::ToString;
use alloc::vec::Vec;

use abi::TASK_SIZE;

use crate::archive::{self, Entry, FILLER, WriteError, Writer};
use crate::elf::{Content, Dynamic, ElfError, Image, Mapping, ReadError};
use crate::stack::{Auxiliary, Contents, InitialStack};
use crate::{MMAP_MIN_ADDR, PAGE, PATH_MAX};

/// Reads `input` as an ELF file.
///
/// # Panics
/// When a mapping of an accepted image is not what [`crate::elf`] promises.
pub fn elf(input: &[u8]) {
    check_dynamic(input);
    let image = match Image::parse(input) {
        Ok(image) => image,
        Err(error) => return check_line(&error.to_string()),
    };
    let (low, len) = image.address_range();
    let wanted = [MMAP_MIN_ADDR, 0x5555_5555_4000, 0x7fff_f7ff_f000, TASK_SIZE - len];
    let mut placed = 0;
    for wanted in wanted {
        let Ok(bias) = image.bias_for(wanted) else { continue };
        placed += 1;
        check_mappings(&image, bias, low.wrapping_add(bias), len, input.len() as u64);
        check_stack(&image, bias);
    }
    assert!(placed > 0, "an accepted image has a place");
    for bias in [0, 1, PAGE, TASK_SIZE, u64::MAX, 0_u64.wrapping_sub(low)] {
        match image.mappings(bias) {
            Ok(mappings) => mappings.for_each(|mapping| check_mapping(&mapping)),
            Err(error) => assert_eq!(error, ElfError::BadBias { bias }),
        }
    }
}

fn check_dynamic(input: &[u8]) {
    let read = Dynamic::read::<u64>(input.len() as u64, &mut |offset, to: &mut [u8]| {
        let start = usize::try_from(offset).map_err(|_| offset)?;
        let bytes = input.get(start..).and_then(|rest| rest.get(..to.len())).ok_or(offset)?;
        to.copy_from_slice(bytes);
        Ok(())
    });
    match read {
        Ok(None) => {}
        Ok(Some(found)) => {
            let strings = found.needed.iter().chain(&found.soname).chain(&found.rpath);
            strings.for_each(|string| assert!(string.len() < PATH_MAX && !string.contains(&0)));
        }
        Err(ReadError::Elf(error)) => check_line(&error.to_string()),
        Err(ReadError::Io(offset)) => panic!("read outside of the file at {offset}"),
    }
}

fn check_line(line: &str) {
    assert!(!line.is_empty() && !line.contains('\n') && !line.contains('{'), "{line}");
}

fn check_mapping(mapping: &Mapping) {
    let Mapping { address, len, .. } = *mapping;
    assert!(address.is_multiple_of(PAGE) && len.is_multiple_of(PAGE) && len > 0);
    assert!(address >= MMAP_MIN_ADDR && address + len <= TASK_SIZE);
}

fn check_mappings(image: &Image, bias: u64, start: u64, len: u64, file_len: u64) {
    let mut made: Vec<Mapping> = Vec::new();
    for mapping in image.mappings(bias).expect("a bias the image gave") {
        check_mapping(&mapping);
        let end = mapping.address + mapping.len;
        assert!(mapping.address >= start && end <= start + len);
        if let Content::File { offset, zero_from } = mapping.content {
            assert!(offset.is_multiple_of(PAGE));
            assert!(offset + mapping.len < file_len + PAGE, "every page has bytes of the file");
            assert!(zero_from.is_none_or(|from| (end - PAGE..end).contains(&from)));
            assert!(zero_from.is_none() || mapping.access.write);
        }
        made.push(mapping);
    }
    let at = |address: u64| {
        made.iter()
            .rfind(|mapping| (mapping.address..mapping.address + mapping.len).contains(&address))
    };
    for segment in image.segments() {
        let first = segment.address.wrapping_add(bias);
        assert!(at(first).is_some() && at(first + segment.memory_len - 1).is_some());
    }
    assert!(at(image.entry().wrapping_add(bias)).is_some_and(|mapping| mapping.access.execute));
    assert!(image.program_break(bias).is_multiple_of(PAGE));
}

fn check_stack(image: &Image, bias: u64) {
    let contents = Contents {
        program: image.interpreter().unwrap_or(b"/program"),
        arguments: &[b"program"],
        environment: &[b"A=1"],
        random: [0; 16],
        auxiliary: Auxiliary::for_image(image, bias),
    };
    let stack = InitialStack::build(0x7fff_ffff_0000, 1 << 20, &contents).expect("small strings");
    assert!(stack.stack_pointer.is_multiple_of(16));
}

/// Reads `input` as an archive, writes what it holds, and reads that.
///
/// # Panics
/// When an entry is not part of the input, or the copy is not the same.
pub fn archive(input: &[u8]) {
    let mut entries = Vec::new();
    for entry in archive::entries(input) {
        match entry {
            Ok(entry) => entries.push(entry),
            Err(error) => check_line(&error.to_string()),
        }
    }
    for entry in &entries {
        check_entry(input, entry);
    }
    check_copy(&entries);
}

fn check_entry(input: &[u8], entry: &Entry<'_>) {
    let whole = input.as_ptr_range();
    let name = entry.name.as_ptr_range();
    assert!(entry.name == b"." || (whole.start <= name.start && name.end <= whole.end));
    let same = input.get(entry.data_offset..).and_then(|rest| rest.get(..entry.data.len()));
    assert!(entry.data.is_empty() || same.is_some_and(|same| same.as_ptr() == entry.data.as_ptr()));
    assert!(!entry.name.is_empty() && !entry.name.starts_with(b"/") && !entry.name.contains(&0));
    assert!(entry.components().all(|part| part != b".." && !part.is_empty()));
}

fn check_copy(entries: &[Entry<'_>]) {
    let mut copy = Vec::new();
    let mut writer = Writer::new();
    let mut written = Vec::new();
    for entry in entries {
        match writer.entry(entry.name, &entry.metadata, entry.data.len() as u64) {
            Ok(before) => copy.extend(before),
            Err(error) => {
                // Names that the format itself uses come only with a `/` or `./` before.
                assert_eq!(error, WriteError::BadName);
                assert!(entry.name == FILLER || entry.name == b"TRAILER!!!");
                continue;
            }
        }
        copy.extend_from_slice(entry.data);
        written.push(entry);
    }
    copy.extend(writer.finish());
    let mut found = archive::entries(&copy);
    for entry in written {
        let again = found.next().expect("as many entries").expect("a good archive");
        assert_eq!((again.name, again.metadata), (entry.name, entry.metadata));
        assert_eq!(again.data, entry.data);
    }
    assert_eq!(found.next(), None);
}

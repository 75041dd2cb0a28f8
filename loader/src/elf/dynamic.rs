//! What the dynamic linker reads in an ELF file: which libraries it needs and where it wants
//! them to be looked for (System V ABI, "Dynamic Linking"; ld.so(8)).

use alloc::vec::Vec;

use goblin::elf::dynamic::{
    DF_1_NODEFLIB, DT_FLAGS_1, DT_NEEDED, DT_NULL, DT_RPATH, DT_RUNPATH, DT_SONAME, DT_STRSZ,
    DT_STRTAB,
};
use goblin::elf::program_header::{PT_DYNAMIC, ProgramHeader};

use super::read::{is_inside, loads, read_bytes, read_headers};
use super::{ElfError, ReadAt, ReadError};
use crate::PATH_MAX;

/// Longest dynamic section that is read, in bytes: more than any linker writes.
pub const MAX_DYNAMIC_LEN: u64 = 1 << 20;

/// Size of an entry of the dynamic section (`Elf64_Dyn`), in bytes.
const ENTRY_SIZE: usize = 16;

/// What the dynamic section of a program or library says. The strings are those of the file,
/// without NUL; one that does not lie in the file is left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dynamic {
    /// The libraries it needs (`DT_NEEDED`), in order.
    pub needed: Vec<Vec<u8>>,
    /// The name others know it by (`DT_SONAME`).
    pub soname: Option<Vec<u8>>,
    /// Directories with libraries for it and for what it needs (`DT_RPATH`).
    pub rpath: Option<Vec<u8>>,
    /// Directories with libraries for it (`DT_RUNPATH`).
    pub runpath: Option<Vec<u8>>,
    /// Whether libraries are not looked for in the default places (`DF_1_NODEFLIB`).
    pub no_default_places: bool,
}

impl Dynamic {
    /// Reads the dynamic section of a file of `file_len` bytes; `None` when it has none.
    /// `read_at` fills a buffer with the bytes at an offset, within `file_len`.
    ///
    /// # Errors
    /// [`ReadError::Elf`] when the file is no program or library for x86-64,
    /// [`ReadError::Io`] when `read_at` fails.
    pub fn read<E>(
        file_len: u64,
        read_at: &mut ReadAt<'_, E>,
    ) -> Result<Option<Self>, ReadError<E>> {
        let (_, table) = read_headers(file_len, read_at)?;
        let Some(segment) = table.iter().find(|entry| entry.p_type == PT_DYNAMIC) else {
            return Ok(None);
        };
        let len = segment.p_filesz.min(MAX_DYNAMIC_LEN);
        if !is_inside(segment.p_offset, len, file_len) {
            return Ok(None);
        }
        let len = usize::try_from(len).map_err(|_| ElfError::OutOfMemory)?;
        let section = read_bytes(segment.p_offset, len, read_at)?;
        let strings = Strings::find(&section, &table, file_len);
        let mut found = Self::default();
        for (tag, value) in entries(&section) {
            let into = match tag {
                DT_NEEDED => {
                    found.needed.extend(strings.read(value, read_at)?);
                    continue;
                }
                DT_FLAGS_1 => {
                    found.no_default_places = value & DF_1_NODEFLIB != 0;
                    continue;
                }
                DT_SONAME => &mut found.soname,
                DT_RPATH => &mut found.rpath,
                DT_RUNPATH => &mut found.runpath,
                _ => continue,
            };
            *into = strings.read(value, read_at)?;
        }
        Ok(Some(found))
    }
}

/// The pairs of tag and value, up to the one that ends them.
fn entries(section: &[u8]) -> impl Iterator<Item = (u64, u64)> {
    let word =
        |bytes: &[u8]| bytes.iter().rev().fold(0, |word: u64, &byte| word << 8 | u64::from(byte));
    section
        .chunks_exact(ENTRY_SIZE)
        .map(move |entry| (word(&entry[..8]), word(&entry[8..])))
        .take_while(|&(tag, _)| tag != DT_NULL)
}

/// Where the strings are in the file.
struct Strings {
    offset: u64,
    len: u64,
}

impl Strings {
    /// The part of the string table that lies in the file.
    fn find(section: &[u8], table: &[ProgramHeader], file_len: u64) -> Self {
        let last = |wanted| entries(section).filter(|&(tag, _)| tag == wanted).last();
        let address = last(DT_STRTAB).map_or(0, |(_, address)| address);
        let len = last(DT_STRSZ).map_or(0, |(_, len)| len);
        let holds = |load: &&ProgramHeader| {
            load.p_vaddr <= address && address - load.p_vaddr < load.p_filesz
        };
        let offset = loads(table)
            .map(|(_, load)| load)
            .find(holds)
            .and_then(|load| load.p_offset.checked_add(address - load.p_vaddr))
            .unwrap_or(file_len);
        Self { offset, len: len.min(file_len.saturating_sub(offset)) }
    }

    /// The string at `at` in the table; `None` when it is not there or too long for a path.
    fn read<E>(
        &self,
        at: u64,
        read_at: &mut ReadAt<'_, E>,
    ) -> Result<Option<Vec<u8>>, ReadError<E>> {
        let Some(rest) = self.len.checked_sub(at) else { return Ok(None) };
        let len = usize::try_from(rest).map_or(PATH_MAX, |rest| rest.min(PATH_MAX));
        let mut string = read_bytes(self.offset + at, len, read_at)?;
        let Some(end) = string.iter().position(|&byte| byte == 0) else { return Ok(None) };
        string.truncate(end);
        Ok(Some(string))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elf::sample::{Entry, R, Sample};

    const STRINGS: &[u8] = b"\0libc.so.6\0libm.so.6\0/a:$ORIGIN\0end";
    const STRINGS_AT: usize = 0x1a0;
    const SECTION_AT: usize = 0x200;

    fn file(entries: &[(u64, u64)]) -> Vec<u8> {
        let mut sample = Sample::static_pie();
        let len = (entries.len() * ENTRY_SIZE) as u64;
        let (file_len, memory_len) = (len, len);
        sample.table.push(Entry {
            kind: PT_DYNAMIC,
            flags: R,
            offset: SECTION_AT as u64,
            address: 0x1200,
            file_len,
            memory_len,
            align: 8,
        });
        sample.table[1].address = 0x1000;
        sample.table[1].offset = 0;
        sample.len = 0x400;
        let mut bytes = sample.bytes();
        bytes[STRINGS_AT..][..STRINGS.len()].copy_from_slice(STRINGS);
        for (index, (tag, value)) in entries.iter().enumerate() {
            let at = SECTION_AT + index * ENTRY_SIZE;
            bytes[at..][..8].copy_from_slice(&tag.to_le_bytes());
            bytes[at + 8..][..8].copy_from_slice(&value.to_le_bytes());
        }
        bytes
    }

    fn read(bytes: &[u8]) -> Option<Dynamic> {
        let read = Dynamic::read::<()>(bytes.len() as u64, &mut |offset, to| {
            let start = usize::try_from(offset).unwrap();
            to.copy_from_slice(&bytes[start..start + to.len()]);
            Ok(())
        });
        read.ok().flatten()
    }

    fn entries_with(more: &[(u64, u64)]) -> Vec<(u64, u64)> {
        let table = [
            (DT_NEEDED, 1),
            (DT_STRTAB, 0x1000 + STRINGS_AT as u64),
            (DT_STRSZ, STRINGS.len() as u64),
        ];
        [&table, more].concat()
    }

    #[test]
    fn needs_and_places_are_read() {
        let entries =
            entries_with(&[(DT_NEEDED, 11), (DT_RUNPATH, 21), (DT_SONAME, 4), (DT_NULL, 0)]);
        let found = read(&file(&[entries, alloc::vec![(DT_NEEDED, 1)]].concat())).unwrap();
        assert_eq!(found.needed, [b"libc.so.6", b"libm.so.6"]);
        assert_eq!(found.runpath.as_deref(), Some(&b"/a:$ORIGIN"[..]));
        assert_eq!(found.soname.as_deref(), Some(&b"c.so.6"[..]));
        assert_eq!((found.rpath, found.no_default_places), (None, false));
    }

    #[test]
    fn strings_outside_of_the_table_are_left_out() {
        let entries = entries_with(&[(DT_NEEDED, 32), (DT_NEEDED, 1 << 40), (DT_RPATH, 60)]);
        let found = read(&file(&entries)).unwrap();
        assert_eq!((found.needed.len(), found.rpath), (1, None));
        for table in [(DT_STRTAB, u64::MAX), (DT_STRTAB, 0), (DT_STRSZ, 0)] {
            let found = read(&file(&entries_with(&[table]))).unwrap();
            assert_eq!(found.needed.len(), 0, "{table:?}");
        }
    }

    #[test]
    fn a_static_program_has_none() {
        assert_eq!(read(&Sample::fixed().bytes()), None);
    }
}

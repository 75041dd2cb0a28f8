//! ELF files for tests, made field by field.

use alloc::vec;
use alloc::vec::Vec;

pub(crate) const LOAD: u32 = 1;
pub(crate) const INTERP: u32 = 3;
pub(crate) const PHDR: u32 = 6;
pub(crate) const GNU_STACK: u32 = 0x6474_e551;

pub(crate) const R: u32 = 4;
pub(crate) const RW: u32 = 6;
pub(crate) const RX: u32 = 5;
pub(crate) const RWX: u32 = 7;

/// A program header.
#[derive(Clone, Copy)]
pub(crate) struct Entry {
    pub(crate) kind: u32,
    pub(crate) flags: u32,
    pub(crate) offset: u64,
    pub(crate) address: u64,
    pub(crate) file_len: u64,
    pub(crate) memory_len: u64,
    pub(crate) align: u64,
}

pub(crate) fn load(flags: u32, offset: u64, address: u64, file_len: u64, memory_len: u64) -> Entry {
    Entry { kind: LOAD, flags, offset, address, file_len, memory_len, align: 0x1000 }
}

pub(crate) fn interp(offset: u64, file_len: u64) -> Entry {
    Entry { kind: INTERP, flags: R, offset, address: 0, file_len, memory_len: file_len, align: 1 }
}

pub(crate) fn other(kind: u32, flags: u32, address: u64) -> Entry {
    Entry { kind, flags, offset: 0, address, file_len: 0, memory_len: 0, align: 8 }
}

/// A file to be changed field by field.
#[derive(Clone)]
pub(crate) struct Sample {
    pub(crate) class: u8,
    pub(crate) data: u8,
    pub(crate) file_type: u16,
    pub(crate) machine: u16,
    pub(crate) entry: u64,
    pub(crate) table_offset: u64,
    pub(crate) entry_size: u16,
    pub(crate) entry_count: Option<u16>,
    pub(crate) table: Vec<Entry>,
    /// Where the path of the interpreter is, and its bytes.
    pub(crate) path: (usize, &'static [u8]),
    pub(crate) len: usize,
}

impl Sample {
    /// `ET_EXEC` with text, read-only data, and data with bss in its last page and beyond.
    pub(crate) fn fixed() -> Self {
        Self {
            class: 2,
            data: 1,
            file_type: 2,
            machine: 62,
            entry: 0x40_0180,
            table_offset: 64,
            entry_size: 56,
            entry_count: None,
            table: vec![
                load(RX, 0, 0x40_0000, 0x200, 0x200),
                load(RW, 0x200, 0x40_1200, 0x80, 0x2000),
                other(GNU_STACK, RW, 0),
            ],
            path: (0, b""),
            len: 0x280,
        }
    }

    /// `ET_DYN` without interpreter.
    pub(crate) fn static_pie() -> Self {
        Self {
            file_type: 3,
            entry: 0x180,
            table: vec![
                other(PHDR, R, 0x40),
                load(RX, 0, 0, 0x200, 0x200),
                load(RW, 0x200, 0x1200, 0x80, 0x100),
            ],
            ..Self::fixed()
        }
    }

    /// `ET_DYN` with an interpreter.
    pub(crate) fn dynamic() -> Self {
        let mut sample = Self::static_pie();
        sample.table.insert(1, interp(0x1c0, 11));
        sample.path = (0x1c0, b"/lib/ld.so\0");
        sample
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0x7f, b'E', b'L', b'F', self.class, self.data, 1];
        bytes.resize(16, 0);
        for half in [self.file_type, self.machine] {
            bytes.extend(half.to_le_bytes());
        }
        bytes.extend(1_u32.to_le_bytes());
        for word in [self.entry, self.table_offset, 0] {
            bytes.extend(word.to_le_bytes());
        }
        bytes.extend(0_u32.to_le_bytes());
        let count = self.entry_count.unwrap_or(self.table.len() as u16);
        for half in [64, self.entry_size, count, 0, 0, 0] {
            bytes.extend(half.to_le_bytes());
        }
        for entry in &self.table {
            bytes.extend(entry.kind.to_le_bytes());
            bytes.extend(entry.flags.to_le_bytes());
            let Entry { offset, address, file_len, memory_len, align, .. } = *entry;
            for word in [offset, address, address, file_len, memory_len, align] {
                bytes.extend(word.to_le_bytes());
            }
        }
        bytes.resize(bytes.len().max(self.len), 0);
        bytes.truncate(self.len);
        let (offset, path) = self.path;
        if let Some(place) = bytes.get_mut(offset..offset + path.len()) {
            place.copy_from_slice(path);
        }
        bytes
    }
}

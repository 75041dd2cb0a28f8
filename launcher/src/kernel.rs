//! The kernel that `birgus` carries, and the table of system calls inside it.

use crate::Error;
use abi::boot::table::{SECTION, Support};
use std::fmt;
use std::path::Path;

/// The kernel's ELF file, as build.rs made it.
static EMBEDDED: &[u8] = include_bytes!(env!("BIRGUS_KERNEL_IMAGE"));

/// The embedded kernel's ELF file.
#[must_use]
pub fn embedded() -> &'static [u8] {
    EMBEDDED
}

/// The ELF file of another kernel (`--kernel`).
///
/// # Errors
/// The file cannot be read.
pub fn read(path: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(|error| {
        Error::io(
            format_args!("cannot read the kernel {}", crate::escape::escaped_os(path)),
            &error,
        )
    })
}

/// A row of the table of system calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The number of the call.
    pub number: u32,
    /// Its name.
    pub name: String,
    /// How much of it is there.
    pub support: Support,
    /// What is missing, or why it is not there; may be empty.
    pub note: String,
}

/// Why a file has no table of system calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TableError {
    /// It is not an ELF file, or a damaged one.
    NotElf,
    /// It has no such section.
    Missing,
    /// A line of the table is not a row; lines count from 1.
    Malformed {
        /// Its number.
        line: usize,
    },
}

impl fmt::Display for TableError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotElf => f.write_str("the kernel is not an ELF file"),
            Self::Missing => write!(f, "the kernel has no table of system calls ({SECTION})"),
            Self::Malformed { line } => {
                write!(f, "the kernel's table of system calls is malformed in line {line}")
            }
        }
    }
}

impl std::error::Error for TableError {}

/// Reads the table of system calls out of a kernel's ELF file ([`abi::boot::table`]).
///
/// # Errors
/// [`TableError`] says why there is none.
pub fn table(kernel: &[u8]) -> Result<Vec<Row>, TableError> {
    let elf = goblin::elf::Elf::parse(kernel).map_err(|_| TableError::NotElf)?;
    let section = elf
        .section_headers
        .iter()
        .find(|header| elf.shdr_strtab.get_at(header.sh_name) == Some(SECTION))
        .and_then(goblin::elf::SectionHeader::file_range)
        .and_then(|range| kernel.get(range))
        .ok_or(TableError::Missing)?;
    let end = section.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    rows(&section[..end])
}

fn rows(text: &[u8]) -> Result<Vec<Row>, TableError> {
    let lines = text.split(|&byte| byte == b'\n').enumerate();
    lines
        .filter(|(_, line)| !line.is_empty())
        .map(|(index, line)| row(line).ok_or(TableError::Malformed { line: index + 1 }))
        .collect()
}

fn row(line: &[u8]) -> Option<Row> {
    let mut fields = std::str::from_utf8(line).ok()?.split('\t');
    let row = Row {
        number: fields.next()?.parse().ok()?,
        name: fields.next()?.to_owned(),
        support: Support::from_name(fields.next()?)?,
        note: fields.next()?.to_owned(),
    };
    fields.next().is_none().then_some(row)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A little ELF file whose only section besides the names is the table.
    fn elf_with(section: &str, table: &[u8]) -> Vec<u8> {
        let names = format!("\0{section}\0.shstrtab\0");
        let (table_at, names_at) = (64, 64 + table.len());
        let headers_at = names_at + names.len();
        let mut file = vec![0; 64];
        file[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
        file[16..20].copy_from_slice(&[2, 0, 62, 0]);
        file[20] = 1;
        file[40..48].copy_from_slice(&(headers_at as u64).to_le_bytes());
        file[52..54].copy_from_slice(&64u16.to_le_bytes());
        file[54..56].copy_from_slice(&56u16.to_le_bytes());
        file[58..64].copy_from_slice(&[64, 0, 3, 0, 2, 0]);
        file.extend_from_slice(table);
        file.extend_from_slice(names.as_bytes());
        let header = |name: u32, kind: u32, offset: usize, len: usize| {
            let mut header = [0; 64];
            header[..4].copy_from_slice(&name.to_le_bytes());
            header[4..8].copy_from_slice(&kind.to_le_bytes());
            header[24..32].copy_from_slice(&(offset as u64).to_le_bytes());
            header[32..40].copy_from_slice(&(len as u64).to_le_bytes());
            header
        };
        file.extend_from_slice(&header(0, 0, 0, 0));
        file.extend_from_slice(&header(1, 1, table_at, table.len()));
        file.extend_from_slice(&header(section.len() as u32 + 2, 3, names_at, names.len()));
        file
    }

    #[test]
    fn rows_are_read_up_to_the_padding() {
        let text = b"0\tread\tfull\t\n16\tioctl\tpartial\tterminals only\n\0\0\0";
        let rows = table(&elf_with(SECTION, text)).unwrap();
        assert_eq!(rows.len(), 2);
        let ioctl = Row {
            number: 16,
            name: "ioctl".into(),
            support: Support::Partial,
            note: "terminals only".into(),
        };
        assert_eq!(rows[1], ioctl);
    }

    #[test]
    fn a_kernel_without_a_table_says_so() {
        assert_eq!(table(&elf_with(".text", b"x")), Err(TableError::Missing));
        assert_eq!(table(b""), Err(TableError::NotElf));
        assert_eq!(table(b"\x7fELF"), Err(TableError::NotElf));
    }

    #[test]
    fn malformed_rows_are_named() {
        let good = "0\tread\tfull\t\n";
        for bad in ["x\tread\tfull\t", "0\tread\tmostly\t", "0\tread\tfull", "0\ta\tfull\t\t", "\t"]
        {
            let text = format!("{good}{bad}\n");
            let found = table(&elf_with(SECTION, text.as_bytes()));
            assert_eq!(found, Err(TableError::Malformed { line: 2 }), "{bad:?}");
        }
        assert!(rows(b"0\tread\tfull\t\xff\n").is_err());
    }

    #[test]
    fn a_damaged_file_is_refused_without_a_panic() {
        let whole = elf_with(SECTION, b"0\tread\tfull\t\n");
        for len in 0..whole.len() {
            let _ = table(&whole[..len]);
        }
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 0xff;
            let _ = table(&damaged);
        }
    }
}

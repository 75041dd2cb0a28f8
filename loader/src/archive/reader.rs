//! Reading an archive in place.

use super::{
    ArchiveError, Device, FILLER, Field, HEADER_LEN, Metadata, REGULAR, TRAILER, is_file_type,
};
use crate::PATH_MAX;

/// Magic number of the `newc` format.
const MAGIC: &[u8] = b"070701";
/// Magic number of the same format with a sum over the data in `c_check`.
const MAGIC_WITH_SUM: &[u8] = b"070702";

/// What compressed data begins with.
const COMPRESSED: [(&[u8], &str); 6] = [
    (b"\x1f\x8b", "gzip"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ", "xz"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"\x04\x22\x4d\x18", "lz4"),
    (b"\x89LZO", "lzop"),
];

/// A file of an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Path name, without leading `/` and `./`, and without trailing `/` and NULs; `.` is
    /// the root. Not empty, and without a component `..`.
    pub name: &'a [u8],
    /// Kind, permissions, owner, links and time.
    pub metadata: Metadata,
    /// The bytes of a regular file, or the target of a symbolic link.
    pub data: &'a [u8],
    /// Position of the data in the input, in bytes.
    pub data_offset: usize,
    /// How many ends of archive lie before the entry: inode numbers mean the same file only
    /// within one archive.
    pub archive: usize,
}

impl<'a> Entry<'a> {
    /// The components of the name, from the root down; none for the root itself.
    pub fn components(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        components(self.name)
    }
}

fn components(name: &[u8]) -> impl Iterator<Item = &[u8]> {
    name.split(|&byte| byte == b'/').filter(|part| !part.is_empty() && *part != b".")
}

/// The files of an archive, or of several one after the other, in order. Zero bytes before,
/// between and after entries are skipped. Nothing follows the first error.
#[must_use]
pub fn entries(input: &[u8]) -> Entries<'_> {
    Entries { input, position: 0, archive: 0, inside: false, failed: false }
}

/// Iterator of [`entries`].
#[derive(Clone, Debug)]
pub struct Entries<'a> {
    input: &'a [u8],
    position: usize,
    archive: usize,
    /// Whether entries have come whose archive has not ended yet.
    inside: bool,
    failed: bool,
}

impl<'a> Iterator for Entries<'a> {
    type Item = Result<Entry<'a>, ArchiveError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let next = self.advance();
        self.failed = next.is_err();
        next.transpose()
    }
}

impl core::iter::FusedIterator for Entries<'_> {}

impl<'a> Entries<'a> {
    fn advance(&mut self) -> Result<Option<Entry<'a>>, ArchiveError> {
        while self.skip_zeros()? {
            let record = Record::read(self.input, self.position)?;
            self.position = record.end;
            if record.stored_name == TRAILER {
                self.archive += 1;
                self.inside = false;
                continue;
            }
            self.inside = true;
            if record.stored_name != FILLER || record.metadata.file_type() != REGULAR {
                return record.entry(self.archive).map(Some);
            }
        }
        Ok(None)
    }

    /// Goes to the next entry; false at the end of the input.
    fn skip_zeros(&mut self) -> Result<bool, ArchiveError> {
        let rest = self.input.get(self.position..).unwrap_or_default();
        let Some(zeros) = rest.iter().position(|&byte| byte != 0) else {
            let missing = ArchiveError::TrailerMissing { offset: self.input.len() };
            return if self.inside { Err(missing) } else { Ok(false) };
        };
        self.position += zeros;
        if self.position.is_multiple_of(4) {
            Ok(true)
        } else {
            Err(ArchiveError::Misaligned { offset: self.position })
        }
    }
}

/// One entry as it is stored.
struct Record<'a> {
    metadata: Metadata,
    mode_offset: usize,
    /// The name up to its first NUL.
    stored_name: &'a [u8],
    name_offset: usize,
    data: &'a [u8],
    data_offset: usize,
    /// Where the next record may begin.
    end: usize,
}

impl<'a> Record<'a> {
    fn read(input: &'a [u8], offset: usize) -> Result<Self, ArchiveError> {
        let rest = input.get(offset..).unwrap_or_default();
        let with_sum = check_magic(rest, offset)?;
        let header = rest.get(..HEADER_LEN).ok_or(ArchiveError::HeaderTruncated { offset })?;
        let field = |field| number(header, offset, field);
        let metadata = Metadata {
            inode: field(Field::Inode)?,
            mode: field(Field::Mode)?,
            uid: field(Field::Uid)?,
            gid: field(Field::Gid)?,
            links: field(Field::Links)?,
            mtime: field(Field::Mtime)?,
            device: Device { major: field(Field::DeviceMajor)?, minor: field(Field::DeviceMinor)? },
            rdev: Device { major: field(Field::RdevMajor)?, minor: field(Field::RdevMinor)? },
        };
        let (len, sum) = (field(Field::FileSize)?, field(Field::Check)?);

        let name_offset = offset + HEADER_LEN;
        let name_size = name_size(field(Field::NameSize)?, offset)?;
        let name = rest.get(HEADER_LEN..HEADER_LEN + name_size);
        let name = name.ok_or(ArchiveError::NameTruncated { offset: name_offset })?;

        let data_offset = (name_offset + name_size).next_multiple_of(4);
        let truncated = ArchiveError::DataTruncated { offset: data_offset, len };
        let end = usize::try_from(len).ok().and_then(|len| data_offset.checked_add(len));
        let end = end.ok_or(truncated)?;
        // Without data, the padding of the name may be missing at the very end.
        let data = if len == 0 { &[][..] } else { input.get(data_offset..end).ok_or(truncated)? };
        // Symbolic links and further names of a file have no sum of their own.
        let summed = with_sum && metadata.file_type() == REGULAR && !data.is_empty();
        if summed && sum_of(data) != sum {
            return Err(ArchiveError::BadChecksum { offset: data_offset });
        }
        Ok(Self {
            metadata,
            mode_offset: field_offset(offset, Field::Mode),
            stored_name: up_to_nul(name, name_offset)?,
            name_offset,
            data,
            data_offset,
            end: end.next_multiple_of(4),
        })
    }

    fn entry(self, archive: usize) -> Result<Entry<'a>, ArchiveError> {
        let (offset, mode) = (self.name_offset, self.metadata.mode);
        if self.stored_name.is_empty() {
            return Err(ArchiveError::NameEmpty { offset });
        }
        if components(self.stored_name).any(|part| part == b"..") {
            return Err(ArchiveError::NameWithParent { offset });
        }
        if !is_file_type(mode) {
            return Err(ArchiveError::FileType { offset: self.mode_offset, mode });
        }
        Ok(Entry {
            name: without_root(self.stored_name),
            metadata: self.metadata,
            data: self.data,
            data_offset: self.data_offset,
            archive,
        })
    }
}

/// The sum that `c_check` holds.
fn sum_of(data: &[u8]) -> u32 {
    data.iter().fold(0, |sum, &byte| sum.wrapping_add(u32::from(byte)))
}

/// Whether the magic number is the one of the variant with sums.
fn check_magic(rest: &[u8], offset: usize) -> Result<bool, ArchiveError> {
    if rest.starts_with(MAGIC) {
        return Ok(false);
    }
    if rest.starts_with(MAGIC_WITH_SUM) {
        return Ok(true);
    }
    let compression = COMPRESSED.iter().find(|(magic, _)| rest.starts_with(magic));
    Err(match compression {
        Some(&(_, format)) => ArchiveError::Compressed { offset, format },
        None => ArchiveError::BadMagic { offset },
    })
}

const fn field_offset(header_offset: usize, field: Field) -> usize {
    header_offset + MAGIC.len() + 8 * field as usize
}

/// The eight hexadecimal digits of a field.
fn number(header: &[u8], offset: usize, field: Field) -> Result<u32, ArchiveError> {
    let digits = header.iter().skip(field_offset(0, field)).take(8);
    digits
        .map(|&digit| char::from(digit).to_digit(16))
        .try_fold(0, |number, digit| Some(number << 4 | digit?))
        .ok_or(ArchiveError::NotHexadecimal { offset: field_offset(offset, field), field })
}

fn name_size(size: u32, offset: usize) -> Result<usize, ArchiveError> {
    let bad = ArchiveError::NameSize { offset: field_offset(offset, Field::NameSize), size };
    usize::try_from(size).ok().filter(|size| (1..=PATH_MAX).contains(size)).ok_or(bad)
}

/// The name before its first NUL, when only NULs follow.
fn up_to_nul(name: &[u8], offset: usize) -> Result<&[u8], ArchiveError> {
    let bad = ArchiveError::NameNotTerminated { offset };
    let end = name.iter().position(|&byte| byte == 0).ok_or(bad)?;
    let (name, rest) = name.split_at(end);
    if rest.iter().all(|&byte| byte == 0) { Ok(name) } else { Err(bad) }
}

/// The name without leading `/` and `./` and without trailing `/`; `.` for the root.
fn without_root(mut name: &[u8]) -> &[u8] {
    while let Some(rest) = name.strip_prefix(b"/").or_else(|| name.strip_prefix(b"./")) {
        name = rest;
    }
    while let Some(rest) = name.strip_suffix(b"/") {
        name = rest;
    }
    if name.is_empty() { b"." } else { name }
}

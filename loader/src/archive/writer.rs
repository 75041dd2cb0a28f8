//! Writing an archive as a stream.

use alloc::vec::Vec;

use super::{
    ALIGNED_FROM, FILLER, HEADER_LEN, Metadata, REGULAR, TRAILER, WriteError, is_file_type,
};
use crate::{PAGE, PATH_MAX};

/// Makes an archive as a stream: it returns the bytes that come before the data of each
/// entry, and its caller sends the data itself, so that nothing large is held in memory.
///
/// ```
/// use loader::archive::{Metadata, REGULAR, Writer};
///
/// let mut archive = Vec::new();
/// let mut writer = Writer::new();
/// let data = b"hello\n";
/// let metadata = Metadata { inode: 1, mode: REGULAR | 0o644, links: 1, ..Metadata::default() };
/// archive.extend(writer.entry(b"etc/motd", &metadata, data.len() as u64)?);
/// archive.extend_from_slice(data);
/// archive.extend(writer.finish());
/// # Ok::<(), loader::archive::WriteError>(())
/// ```
#[derive(Debug, Default)]
pub struct Writer {
    /// Length of the archive so far, with the data of the last entry but not its padding.
    position: u64,
    /// To what the data of the last entry is padded.
    padding: Padding,
}

/// To what boundary something is padded with zeros.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Padding {
    /// Four bytes, as the format wants.
    #[default]
    Word,
    /// A page.
    Page,
}

impl Padding {
    const fn boundary(self) -> u64 {
        match self {
            Self::Word => 4,
            Self::Page => PAGE,
        }
    }
}

impl Writer {
    /// An empty archive. It must begin on a page boundary of memory for the alignment to
    /// mean anything.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Length in bytes of the archive so far, with the data of the last entry.
    #[must_use]
    pub const fn position(&self) -> u64 {
        self.position
    }

    /// Begins an entry. Returns the bytes to append to the archive, after which exactly
    /// `data_len` bytes of data must follow: the contents of a regular file or the target
    /// of a symbolic link. At most about three pages.
    ///
    /// # Errors
    /// [`WriteError`] when the format cannot hold the entry; the archive is then as before.
    pub fn entry(
        &mut self,
        name: &[u8],
        metadata: &Metadata,
        data_len: u64,
    ) -> Result<Vec<u8>, WriteError> {
        check_name(name)?;
        if !is_file_type(metadata.mode) {
            return Err(WriteError::FileType { mode: metadata.mode });
        }
        let too_long = WriteError::DataTooLong { len: data_len };
        let file_size = u32::try_from(data_len).map_err(|_| too_long)?;
        let aligned = metadata.file_type() == REGULAR && data_len >= ALIGNED_FROM;
        let padding = if aligned { Padding::Page } else { Padding::Word };

        let mut out = Out { start: self.position, bytes: Vec::new() };
        // The padding before, a filler with the padding it makes up for, and the header.
        let alignment = if aligned { 2 * PAGE } else { 0 };
        let room = self.padding.boundary() + alignment + header_len(name.len() + 1);
        out.bytes.try_reserve(room as usize).map_err(|_| WriteError::OutOfMemory)?;
        out.pad(self.padding.boundary());
        let name_size = if aligned { out.align_data_after(name) } else { name.len() + 1 };
        out.header(name, name_size, metadata, file_size);
        self.position = out.position() + data_len;
        self.padding = padding;
        Ok(out.bytes)
    }

    /// Ends the archive: the last bytes to append. The whole is then a multiple of 4 bytes
    /// long.
    #[must_use]
    pub fn finish(self) -> Vec<u8> {
        let mut out = Out { start: self.position, bytes: Vec::new() };
        out.pad(self.padding.boundary());
        let metadata = Metadata { links: 1, ..Metadata::default() };
        out.header(TRAILER, TRAILER.len() + 1, &metadata, 0);
        out.bytes
    }
}

fn check_name(name: &[u8]) -> Result<(), WriteError> {
    if name.len() >= PATH_MAX {
        return Err(WriteError::NameTooLong { len: name.len() });
    }
    let parent = name.split(|&byte| byte == b'/').any(|part| part == b"..");
    if name.is_empty() || name.contains(&0) || parent || name == TRAILER || name == FILLER {
        return Err(WriteError::BadName);
    }
    Ok(())
}

/// Length of a header with a name of `name_size` bytes, with NULs, padded.
const fn header_len(name_size: usize) -> u64 {
    ((HEADER_LEN + name_size) as u64).next_multiple_of(4)
}

/// Bytes that begin at some position of the archive.
struct Out {
    start: u64,
    bytes: Vec<u8>,
}

impl Out {
    fn position(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }

    fn zeros_up_to(&mut self, position: u64) {
        let missing = position.saturating_sub(self.position());
        self.bytes.resize(self.bytes.len() + missing as usize, 0);
    }

    fn pad(&mut self, boundary: u64) {
        self.zeros_up_to(self.position().next_multiple_of(boundary));
    }

    /// Sees to it that data can begin on a page boundary after a header with `name`: returns
    /// the size to pad the name to, and writes a filler before when that would be too long.
    fn align_data_after(&mut self, name: &[u8]) -> usize {
        let least = header_len(name.len() + 1);
        let mut data_at = (self.position() + least).next_multiple_of(PAGE);
        if data_at - self.position() > header_len(PATH_MAX) {
            let least_filler = header_len(FILLER.len() + 1);
            data_at = (self.position() + least_filler + least).next_multiple_of(PAGE);
            self.filler_up_to(data_at - least);
        }
        let len = (data_at - self.position()) as usize;
        // The one or two last bytes may be padding of the format instead of the name.
        (len - HEADER_LEN).min(PATH_MAX)
    }

    /// Writes a filler that ends at `end`, which leaves room for one.
    fn filler_up_to(&mut self, end: u64) {
        let data_at = self.position() + header_len(FILLER.len() + 1);
        let metadata = Metadata { mode: REGULAR, links: 1, ..Metadata::default() };
        self.header(FILLER, FILLER.len() + 1, &metadata, (end - data_at) as u32);
        self.zeros_up_to(end);
    }

    /// Writes a header and a name of `name_size` bytes, with NULs, and pads it.
    fn header(&mut self, name: &[u8], name_size: usize, metadata: &Metadata, file_size: u32) {
        let end = self.position() + header_len(name_size);
        self.bytes.extend_from_slice(b"070701");
        let Metadata { inode, mode, uid, gid, links, mtime, device, rdev } = *metadata;
        let fields = [
            inode,
            mode,
            uid,
            gid,
            links,
            mtime,
            file_size,
            device.major,
            device.minor,
            rdev.major,
            rdev.minor,
            name_size as u32,
            0,
        ];
        for nibble in
            fields.iter().flat_map(|field| (0..8).rev().map(move |n| field >> (4 * n) & 15))
        {
            self.bytes.push(b"0123456789abcdef"[nibble as usize]);
        }
        self.bytes.extend_from_slice(name);
        self.zeros_up_to(end);
    }
}

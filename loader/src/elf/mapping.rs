//! A segment as page-aligned mappings, as Linux makes them.

use super::{Access, Segment};
use crate::{PAGE, page_down};

/// One mapping of whole pages: as mmap(2) with `MAP_PRIVATE | MAP_FIXED` would make it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// Address of the first page.
    pub address: u64,
    /// Length in bytes: a multiple of the page size, not 0.
    pub len: u64,
    /// What the application may do with it. Zero pages are always readable and writable,
    /// as on Linux, even in a segment that is not.
    pub access: Access,
    /// What is in it.
    pub content: Content,
}

/// What a [`Mapping`] holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Pages of the file, copied on write. Bytes beyond the end of the file are zero.
    File {
        /// Offset in the file of the first byte: a multiple of the page size.
        offset: u64,
        /// The application must see zeros from this address to the end of the mapping,
        /// whatever the file holds: here begins the segment's zero-initialised part. It is
        /// inside the last page. `None` for a segment that is not writable, as on Linux.
        zero_from: Option<u64>,
    },
    /// Pages of zeros.
    Zero,
}

/// The mappings of `segment`, whose pages end at [`abi::TASK_SIZE`] at most.
pub(super) fn of_segment(segment: Segment, bias: u64) -> impl Iterator<Item = Mapping> {
    let first_page = page_down(segment.address);
    let file_end = segment.address + segment.file_len;
    let memory_end = segment.address + segment.memory_len;
    // The parser refuses ends above TASK_SIZE, so that rounding up cannot overflow.
    let file_pages_end =
        if segment.file_len == 0 { first_page } else { page_down(file_end + PAGE - 1) };
    let memory_pages_end = page_down(memory_end + PAGE - 1);
    let address = first_page.wrapping_add(bias);
    let file_len = file_pages_end - first_page;

    let zero_starts_inside = memory_end > file_end && file_end < file_pages_end;
    let zero_from =
        (zero_starts_inside && segment.access.write).then(|| file_end.wrapping_add(bias));
    let file = (file_len > 0).then(|| Mapping {
        address,
        len: file_len,
        access: segment.access,
        content: Content::File { offset: page_down(segment.file_offset), zero_from },
    });
    let zero = (memory_pages_end > file_pages_end).then(|| Mapping {
        address: address.wrapping_add(file_len),
        len: memory_pages_end - file_pages_end,
        access: Access { read: true, write: true, execute: segment.access.execute },
        content: Content::Zero,
    });
    file.into_iter().chain(zero)
}

//! cachestat(2).

use abi::fs::FileType;
use abi::{Errno, PAGE_SIZE};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::context::Context;
use crate::error::{Because, Result};
use crate::fs::{Extent, Fd, OpenFile, Positions};
use crate::user::UserPtr;

/// `struct cachestat_range`.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
pub(crate) struct Range {
    /// The first byte.
    offset: u64,
    /// How many bytes; 0 for all that follow.
    len: u64,
}

/// `struct cachestat`: numbers of pages.
#[derive(Clone, Copy, Default, IntoBytes, Immutable)]
#[repr(C)]
pub(crate) struct Counts {
    cached: u64,
    dirty: u64,
    written_back: u64,
    evicted: u64,
    recently_evicted: u64,
}

/// cachestat(2): says how many pages of a file are in memory.
///
/// # Differences from Linux
/// Files in memory are never dirty. Of files of the host, all that is stored counts.
pub(crate) fn cachestat(
    cx: &Context<'_>,
    fd: Fd,
    range: UserPtr<Range>,
    counts: UserPtr<Counts>,
    flags: u32,
) -> Result<()> {
    let open = cx.files().get(fd)?;
    if open.is_path() {
        return Err(Errno::EBADF.because("the descriptor only names a place"));
    }
    let range = range.read(cx)?;
    if flags != 0 {
        return Err(Errno::EINVAL.because("there are no flags"));
    }
    let end = match range.len {
        0 => u64::MAX,
        len => range.offset.saturating_add(len),
    };
    let is_stored =
        open.file.inode().kind() == FileType::Regular && open.positions() == Positions::Kept;
    let cached = if is_stored { stored(&open, range.offset, end)? } else { 0 };
    counts.write(cx, &Counts { cached, ..Counts::default() })
}

/// How many pages from `start` to `end` are stored.
fn stored(open: &OpenFile, start: u64, end: u64) -> Result<u64> {
    const PAGE: u64 = PAGE_SIZE as u64;
    let end = end.min(open.file.size()?.next_multiple_of(PAGE));
    let mut at = start / PAGE * PAGE;
    let mut pages = 0;
    while at < end {
        let data = match open.file.find(at, Extent::Data) {
            Err(error) if error.errno == Errno::ENXIO => break,
            found => found? / PAGE * PAGE,
        };
        if data >= end {
            break;
        }
        let hole = open.file.find(data, Extent::Hole)?.next_multiple_of(PAGE).min(end);
        pages += hole.saturating_sub(data).div_ceil(PAGE);
        // What is found moves on, whatever the file says.
        at = hole.max(data + PAGE);
    }
    Ok(pages)
}

#[cfg(test)]
mod tests {
    use crate::fake::kit;

    use super::*;

    #[test]
    fn what_is_stored_is_in_memory_and_holes_are_not() {
        let kit = kit::process();
        let fd = kit.descriptor(kit.file("f", b""));
        let byte = kit.put(b"x");
        for page in [0, 1, 5] {
            let at = page * PAGE_SIZE as u64;
            assert_eq!(kit.call("pwrite64", [fd, byte, 1, at, 0, 0]), Ok(1));
        }
        let counts = kit.room(size_of::<Counts>());
        let cached = |offset: u64, len: u64| {
            let range = kit.put_value(&Range { offset, len });
            assert_eq!(kit.call("cachestat", [fd, range, counts, 0, 0, 0]), Ok(0));
            kit.get_value::<u64>(counts)
        };
        let page = PAGE_SIZE as u64;
        assert_eq!((cached(0, 0), cached(0, page), cached(2 * page, 2 * page)), (3, 1, 0));
        assert_eq!((cached(page + 1, page), cached(4 * page, u64::MAX)), (1, 1));
    }
}

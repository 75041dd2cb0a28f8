//! Reading and writing: read(2), pread(2), readv(2) and their kin.

use alloc::vec::Vec;

use abi::Errno;
use abi::fs::{IOV_MAX, Iovec, TransferFlags};

use crate::context::Context;
use crate::error::{Because, Result};
use crate::fs::{Fd, OpenFile};
use crate::user::{Buffers, MAX_TRANSFER, Piece, UserPtr};

/// read(2): reads from the position on.
///
/// # Differences from Linux
/// None.
pub(crate) fn read(cx: &Context<'_>, fd: Fd, buffer: UserPtr<u8>, len: usize) -> Result<usize> {
    let open = cx.files().get(fd)?;
    open.check_readable()?;
    open.read(cx, &mut one(cx, buffer, len)?)
}

/// write(2): writes at the position.
///
/// # Differences from Linux
/// None.
pub(crate) fn write(cx: &Context<'_>, fd: Fd, buffer: UserPtr<u8>, len: usize) -> Result<usize> {
    let open = cx.files().get(fd)?;
    open.check_writable()?;
    open.write(cx, &mut one(cx, buffer, len)?)
}

/// pread(2): reads at an offset.
///
/// # Differences from Linux
/// None.
pub(crate) fn pread64(
    cx: &Context<'_>,
    fd: Fd,
    buffer: UserPtr<u8>,
    len: usize,
    offset: i64,
) -> Result<usize> {
    let offset = checked_offset(offset)?;
    let open = cx.files().get(fd)?;
    check_at(&open, OpenFile::check_readable)?;
    open.read_at(cx, offset, &mut one(cx, buffer, len)?)
}

/// pwrite(2): writes at an offset.
///
/// # Differences from Linux
/// None.
pub(crate) fn pwrite64(
    cx: &Context<'_>,
    fd: Fd,
    buffer: UserPtr<u8>,
    len: usize,
    offset: i64,
) -> Result<usize> {
    let offset = checked_offset(offset)?;
    let open = cx.files().get(fd)?;
    check_at(&open, OpenFile::check_writable)?;
    open.write_at(cx, offset, &mut one(cx, buffer, len)?)
}

/// readv(2): reads into several buffers.
///
/// # Differences from Linux
/// None.
pub(crate) fn readv(
    cx: &Context<'_>,
    fd: Fd,
    vector: UserPtr<Iovec>,
    count: usize,
) -> Result<usize> {
    let open = cx.files().get(fd)?;
    open.check_readable()?;
    open.read(cx, &mut several(cx, vector, count)?)
}

/// writev(2): writes from several buffers.
///
/// # Differences from Linux
/// None.
pub(crate) fn writev(
    cx: &Context<'_>,
    fd: Fd,
    vector: UserPtr<Iovec>,
    count: usize,
) -> Result<usize> {
    let open = cx.files().get(fd)?;
    open.check_writable()?;
    open.write(cx, &mut several(cx, vector, count)?)
}

/// preadv(2): reads at an offset into several buffers.
///
/// # Differences from Linux
/// None.
pub(crate) fn preadv(
    cx: &Context<'_>,
    fd: Fd,
    vector: UserPtr<Iovec>,
    count: usize,
    offset: i64,
) -> Result<usize> {
    let offset = checked_offset(offset)?;
    let open = cx.files().get(fd)?;
    check_at(&open, OpenFile::check_readable)?;
    open.read_at(cx, offset, &mut several(cx, vector, count)?)
}

/// pwritev(2): writes at an offset from several buffers.
///
/// # Differences from Linux
/// None.
pub(crate) fn pwritev(
    cx: &Context<'_>,
    fd: Fd,
    vector: UserPtr<Iovec>,
    count: usize,
    offset: i64,
) -> Result<usize> {
    let offset = checked_offset(offset)?;
    let open = cx.files().get(fd)?;
    check_at(&open, OpenFile::check_writable)?;
    open.write_at(cx, offset, &mut several(cx, vector, count)?)
}

/// preadv2(2): as preadv(2), or as readv(2) where the offset is -1.
///
/// # Differences from Linux
/// `RWF_NOWAIT` is refused with `EOPNOTSUPP`.
pub(crate) fn preadv2(
    cx: &Context<'_>,
    fd: Fd,
    vector: UserPtr<Iovec>,
    count: usize,
    offset: i64,
    _high: u64,
    flags: TransferFlags,
) -> Result<usize> {
    check_flags(flags, TransferFlags::HIPRI | TransferFlags::DSYNC | TransferFlags::SYNC)?;
    if offset == -1 { readv(cx, fd, vector, count) } else { preadv(cx, fd, vector, count, offset) }
}

/// pwritev2(2): as pwritev(2), or as writev(2) where the offset is -1.
///
/// # Differences from Linux
/// `RWF_NOWAIT` is refused with `EOPNOTSUPP`.
pub(crate) fn pwritev2(
    cx: &Context<'_>,
    fd: Fd,
    vector: UserPtr<Iovec>,
    count: usize,
    offset: i64,
    _high: u64,
    flags: TransferFlags,
) -> Result<usize> {
    use TransferFlags as F;
    check_flags(flags, F::HIPRI | F::DSYNC | F::SYNC | F::APPEND)?;
    match offset {
        _ if flags.contains(F::APPEND) => {
            let open = cx.files().get(fd)?;
            check_at(&open, OpenFile::check_writable)?;
            open.append(cx, &mut several(cx, vector, count)?)
        }
        -1 => writev(cx, fd, vector, count),
        _ => pwritev(cx, fd, vector, count, offset),
    }
}

fn check_flags(flags: TransferFlags, known: TransferFlags) -> Result<()> {
    if !known.contains(flags) {
        return Err(Errno::EOPNOTSUPP.because("flags are not supported"));
    }
    Ok(())
}

fn checked_offset(offset: i64) -> Result<u64> {
    u64::try_from(offset).map_err(|_| Errno::EINVAL.because("the offset is negative"))
}

fn check_at(open: &OpenFile, check: fn(&OpenFile) -> Result<()>) -> Result<()> {
    open.check_positions()?;
    check(open)
}

/// One buffer.
///
/// # Errors
/// `EFAULT` outside of the address space.
pub(crate) fn one(cx: &Context<'_>, buffer: UserPtr<u8>, len: usize) -> Result<Buffers> {
    let end = buffer.address().checked_add(len as u64);
    if end.is_none_or(|end| end > abi::TASK_SIZE) {
        return Err(Errno::EFAULT.because("the buffer is outside of the address space"));
    }
    Ok(Buffers::one(cx.memory().clone(), buffer.address(), len))
}

/// Loads a vector of buffers; together they are cut to [`MAX_TRANSFER`], as Linux does.
pub(super) fn several(cx: &Context<'_>, vector: UserPtr<Iovec>, count: usize) -> Result<Buffers> {
    Ok(Buffers::new(cx.memory().clone(), pieces(cx, vector, count)?))
}

/// As [`several`], of whatever memory.
pub(crate) fn pieces(cx: &Context<'_>, vector: UserPtr<Iovec>, count: usize) -> Result<Vec<Piece>> {
    if count > IOV_MAX {
        return Err(Errno::EINVAL.because("too many buffers"));
    }
    let mut pieces = Vec::new();
    pieces.try_reserve_exact(count).map_err(|_| Errno::ENOMEM)?;
    let mut left = MAX_TRANSFER;
    for Iovec { base, len } in vector.read_array(cx, count)? {
        if i64::try_from(len).is_err() {
            return Err(Errno::EINVAL.because("a buffer's length is negative"));
        }
        if base.checked_add(len).is_none_or(|end| end > abi::TASK_SIZE) {
            return Err(Errno::EFAULT.because("a buffer is outside of the address space"));
        }
        let len = left.min(len as usize);
        left -= len;
        pieces.push(Piece { address: base, len });
    }
    Ok(pieces)
}

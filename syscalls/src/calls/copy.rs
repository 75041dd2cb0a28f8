//! From file to file: sendfile(2), copy_file_range(2), splice(2), tee(2), vmsplice(2).

use alloc::sync::Arc;

use abi::Errno;
use abi::fs::{FileType, Iovec, OpenFlags, SpliceFlags};

use crate::context::Context;
use crate::error::{Because, Result};
use crate::fs::splice::{self, Place, check_ready};
use crate::fs::{Fd, OpenFile, PollEvents, copy};
use crate::user::{MAX_TRANSFER, UserPtr};
use crate::wait::Patience;

use super::transfer::several;

/// sendfile(2).
///
/// # Differences from Linux
/// None.
pub(crate) fn sendfile(
    cx: &Context<'_>,
    to: Fd,
    from: Fd,
    offset: UserPtr<i64>,
    count: usize,
) -> Result<usize> {
    let start = offset.non_null().map(|offset| offset.read(cx)).transpose()?;
    let start = start.map(checked_offset).transpose()?;
    let from = cx.files().get(from)?;
    from.check_readable()?;
    if start.is_some() {
        from.check_positions()?;
    }
    let to = cx.files().get(to)?;
    to.check_writable()?;
    let is_directory = from.file.inode().kind() == FileType::Directory;
    if is_directory || from.check_positions().is_err() {
        return Err(Errno::EINVAL.because("the input is a directory or has no positions"));
    }
    if to.file.pipe().is_some() {
        let place = Place { open: &from, offset: start };
        let done = splice::file_to_pipe(cx, place, &to, count, Patience::Forever)?;
        if let (Some(pointer), Some(start)) = (offset.non_null(), start) {
            pointer.write(cx, &((start + done as u64) as i64))?;
        }
        return Ok(done);
    }
    if to.flags().contains(OpenFlags::APPEND) {
        return Err(Errno::EINVAL.because("the output is open for appending"));
    }
    let (done, end) = copy::transfer(cx, &from, start, &to, None, count)?;
    if let (Some(pointer), Some(end)) = (offset.non_null(), end) {
        pointer.write(cx, &(end as i64))?;
    }
    Ok(done)
}

/// copy_file_range(2).
///
/// # Differences from Linux
/// None.
pub(crate) fn copy_file_range(
    cx: &Context<'_>,
    from: Fd,
    from_offset: UserPtr<i64>,
    to: Fd,
    to_offset: UserPtr<i64>,
    len: usize,
    flags: u32,
) -> Result<usize> {
    let (from, to) = (cx.files().get(from)?, cx.files().get(to)?);
    let read = |pointer: UserPtr<i64>| -> Result<Option<u64>> {
        let offset = pointer.non_null().map(|pointer| pointer.read(cx)).transpose()?;
        offset.map(checked_offset).transpose()
    };
    let (from_start, to_start) = (read(from_offset)?, read(to_offset)?);
    if flags != 0 {
        return Err(Errno::EINVAL.because("flags are not zero"));
    }
    check_copy(&from, &to)?;
    let devices = [&from, &to].map(|open| open.file.inode().file_system().device());
    if devices[0] != devices[1] {
        return Err(Errno::EXDEV.because("another file system"));
    }
    let at = from_start.unwrap_or(from.position());
    let target = to_start.unwrap_or(to.position());
    let same = Arc::ptr_eq(from.file.inode(), to.file.inode());
    if same && at < target.saturating_add(len as u64) && target < at.saturating_add(len as u64) {
        return Err(Errno::EINVAL.because("the ranges overlap"));
    }
    let (done, _) = copy::transfer(cx, &from, from_start, &to, to_start, len)?;
    for (pointer, start) in [(from_offset, from_start), (to_offset, to_start)] {
        if let (Some(pointer), Some(start)) = (pointer.non_null(), start) {
            pointer.write(cx, &((start + done as u64) as i64))?;
        }
    }
    Ok(done)
}

fn check_copy(from: &OpenFile, to: &OpenFile) -> Result<()> {
    for open in [from, to] {
        match open.file.inode().kind() {
            FileType::Regular => {}
            FileType::Directory => return Err(Errno::EISDIR.because("a directory")),
            _ => return Err(Errno::EINVAL.because("not a regular file")),
        }
    }
    from.check_readable()?;
    to.check_writable()?;
    if to.flags().contains(OpenFlags::APPEND) {
        return Err(Errno::EBADF.because("the output is open for appending"));
    }
    Ok(())
}

fn checked_offset(offset: i64) -> Result<u64> {
    u64::try_from(offset).map_err(|_| Errno::EINVAL.because("the offset is negative"))
}

/// splice(2).
///
/// # Differences from Linux
/// Every file that can be read or written can be spliced; Linux refuses some devices
/// (`/dev/full`).
pub(crate) fn splice(
    cx: &Context<'_>,
    from: Fd,
    from_offset: UserPtr<i64>,
    to: Fd,
    to_offset: UserPtr<i64>,
    len: usize,
    flags: SpliceFlags,
) -> Result<usize> {
    if len == 0 {
        return Ok(0);
    }
    let patience = checked_patience(flags)?;
    let (from, to) = (cx.files().get(from)?, cx.files().get(to)?);
    from.check_readable()?;
    to.check_writable()?;
    let from = place(cx, &from, from_offset)?;
    let to = place(cx, &to, to_offset)?;
    let done = splice::splice(cx, from, to, len.min(MAX_TRANSFER), patience)?;
    for (pointer, place) in [(from_offset, from), (to_offset, to)] {
        if let Some(start) = place.offset {
            pointer.write(cx, &((start + done as u64) as i64))?;
        }
    }
    Ok(done)
}

fn place<'a>(cx: &Context<'_>, open: &'a OpenFile, at: UserPtr<i64>) -> Result<Place<'a>> {
    let mut place = Place { open, offset: None };
    if let Some(at) = at.non_null() {
        if place.is_pipe() {
            return Err(Errno::ESPIPE.because("a pipe has no offsets"));
        }
        if open.check_positions().is_err() {
            return Err(Errno::EINVAL.because("the file has no offsets"));
        }
        place.offset = Some(checked_offset(at.read(cx)?)?);
    }
    Ok(place)
}

fn checked_patience(flags: SpliceFlags) -> Result<Patience> {
    if !SpliceFlags::all().contains(flags) {
        return Err(Errno::EINVAL.because("flags are not known"));
    }
    let forbidden = flags.contains(SpliceFlags::NONBLOCK);
    Ok(if forbidden { Patience::None } else { Patience::Forever })
}

/// tee(2).
///
/// # Differences from Linux
/// Where the host has the other end of a standard stream, it is no pipe here (`EINVAL`).
pub(crate) fn tee(
    cx: &Context<'_>,
    from: Fd,
    to: Fd,
    len: usize,
    flags: SpliceFlags,
) -> Result<usize> {
    let patience = checked_patience(flags)?;
    if len == 0 {
        return Ok(0);
    }
    let (from, to) = (cx.files().get(from)?, cx.files().get(to)?);
    from.check_readable()?;
    to.check_writable()?;
    splice::tee(cx, &from, &to, len, patience)
}

/// vmsplice(2).
///
/// # Differences from Linux
/// The bytes are copied: later changes of the memory are not seen in the pipe.
pub(crate) fn vmsplice(
    cx: &Context<'_>,
    fd: Fd,
    vector: UserPtr<Iovec>,
    count: usize,
    flags: SpliceFlags,
) -> Result<usize> {
    let patience = checked_patience(flags)?;
    let open = cx.files().get(fd)?;
    let mode = open.access_mode();
    if !(mode.can_read() || mode.can_write()) || open.file.inode().kind() != FileType::Fifo {
        return Err(Errno::EBADF.because("not a pipe that is open"));
    }
    let mut buffers = several(cx, vector, count)?;
    if mode.can_write() {
        check_ready(&open, PollEvents::OUT | PollEvents::ERR, patience)?;
        return splice::fill_pipe(cx, &open, &mut buffers);
    }
    check_ready(&open, PollEvents::IN | PollEvents::HUP, patience)?;
    open.read(cx, &mut buffers)
}

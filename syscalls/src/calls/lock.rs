//! Locks of files: flock(2), and the commands of fcntl(2) for record locks.

use alloc::sync::Arc;
use core::ops::Range;

use abi::Errno;
use abi::fs::{Flock, LockOperation, fcntl as command, seek};

use crate::context::Context;
use crate::error::{Because, Error, Result};
use crate::fs::lock::{self, Lock, Owner, Patience, Sharing, WHOLE};
use crate::fs::{Fd, OpenFile};
use crate::user::UserPtr;

/// flock(2).
///
/// # Differences from Linux
/// None.
pub(crate) fn flock(cx: &Context<'_>, fd: Fd, operation: LockOperation) -> Result<()> {
    use LockOperation as Op;
    let sharing = match operation.difference(Op::NONBLOCK) {
        Op::SHARED => Some(Sharing::Shared),
        Op::EXCLUSIVE => Some(Sharing::Exclusive),
        Op::UNLOCK => None,
        _ => return Err(Errno::EINVAL.because("the operation is not valid")),
    };
    let open = cx.files().get(fd)?;
    if open.is_path() {
        return Err(Errno::EBADF.because("the descriptor only names a place"));
    }
    let owner = Owner::Flock(lock::owner_address(&open));
    let locks = &cx.system.vfs.locks;
    let Some(sharing) = sharing else {
        locks.release(&open, owner, &WHOLE);
        return Ok(());
    };
    let nonblocking = operation.contains(Op::NONBLOCK);
    let patience = if nonblocking { Patience::None } else { Patience::Wait };
    locks.take(
        cx,
        &open,
        &Lock { owner, sharing, range: WHOLE, process: cx.process.id() },
        patience,
    )
}

/// fcntl(2) `F_GETLK` and `F_OFD_GETLK`.
pub(super) fn get(
    cx: &Context<'_>,
    open: &OpenFile,
    number: u32,
    at: UserPtr<Flock>,
) -> Result<()> {
    let mut record = at.read(cx)?;
    let owner = owner(cx, open, number, &record)?;
    let sharing = sharing(&record)?.ok_or_else(bad_type)?;
    let range = range(open, &record)?;
    let lock = Lock { owner, sharing, range, process: cx.process.id() };
    match cx.system.vfs.locks.conflict(open, &lock) {
        None => record.kind = command::F_UNLCK as i16,
        Some(other) => {
            record.kind = match other.sharing {
                Sharing::Shared => command::F_RDLCK as i16,
                Sharing::Exclusive => command::F_WRLCK as i16,
            };
            record.whence = seek::SEEK_SET as i16;
            record.start = other.range.start as i64;
            let to_end = other.range.end == WHOLE.end;
            let len = other.range.end - other.range.start;
            record.len = if to_end { 0 } else { len as i64 };
            record.pid = match other.owner {
                Owner::Files(_) => cx.shown_id(other.process).cast_signed(),
                Owner::Open(_) | Owner::Flock(_) => -1,
            };
        }
    }
    at.write(cx, &record)
}

/// fcntl(2) `F_SETLK`, `F_SETLKW`, `F_OFD_SETLK` and `F_OFD_SETLKW`, of `fd`, which refers to
/// `open`.
pub(super) fn set(
    cx: &Context<'_>,
    (fd, open): (Fd, &Arc<OpenFile>),
    number: u32,
    at: UserPtr<Flock>,
) -> Result<()> {
    let record = at.read(cx)?;
    let range = range(open, &record)?;
    let owner = owner(cx, open, number, &record)?;
    let locks = &cx.system.vfs.locks;
    match sharing(&record)? {
        None => {
            locks.release(open, owner, &range);
            return Ok(());
        }
        Some(Sharing::Shared) => open.check_readable()?,
        Some(Sharing::Exclusive) => open.check_writable()?,
    }
    let sharing = sharing(&record)?.ok_or_else(bad_type)?;
    let waits = matches!(number, command::F_SETLKW | command::F_OFD_SETLKW);
    let patience = if waits { Patience::Wait } else { Patience::None };
    let lock = Lock { owner, sharing, range, process: cx.process.id() };
    locks.take(cx, open, &lock, patience)?;
    // A close that came meanwhile has released what there was then, and must also end this.
    if !cx.files().get(fd).is_ok_and(|now| Arc::ptr_eq(&now, open)) {
        locks.release(open, owner, &lock.range);
    }
    Ok(())
}

fn owner(cx: &Context<'_>, open: &OpenFile, number: u32, record: &Flock) -> Result<Owner> {
    match number {
        command::F_OFD_GETLK | command::F_OFD_SETLK | command::F_OFD_SETLKW => {
            if record.pid != 0 {
                return Err(Errno::EINVAL.because("l_pid is not zero"));
            }
            Ok(Owner::Open(lock::owner_address(open)))
        }
        _ => Ok(Owner::of_files(cx.files())),
    }
}

fn sharing(record: &Flock) -> Result<Option<Sharing>> {
    match u32::try_from(record.kind) {
        Ok(command::F_RDLCK) => Ok(Some(Sharing::Shared)),
        Ok(command::F_WRLCK) => Ok(Some(Sharing::Exclusive)),
        Ok(command::F_UNLCK) => Ok(None),
        _ => Err(bad_type()),
    }
}

fn bad_type() -> Error {
    Errno::EINVAL.because("the type of lock is not valid")
}

/// Which bytes a record means; a length of 0 reaches to the end of all files, and a negative
/// one lies before the start.
fn range(open: &OpenFile, record: &Flock) -> Result<Range<u64>> {
    let base = match u32::try_from(record.whence) {
        Ok(seek::SEEK_SET) => 0,
        Ok(seek::SEEK_CUR) => open.position(),
        Ok(seek::SEEK_END) => open.file.inode().metadata()?.size,
        _ => return Err(Errno::EINVAL.because("whence is not valid")),
    };
    let overflow = || Errno::EOVERFLOW.because("the range overflows");
    let before = || Errno::EINVAL.because("the range begins before the file");
    let base = i64::try_from(base).map_err(|_| overflow())?;
    let start = base.checked_add(record.start).ok_or_else(overflow)?;
    let (start, end) = match record.len {
        0 => (start, None),
        len @ 1.. => (start, Some(start.checked_add(len - 1).ok_or_else(overflow)?)),
        len => (start.checked_add(len).ok_or_else(before)?, Some(start - 1)),
    };
    let start = u64::try_from(start).map_err(|_| before())?;
    let end = end.map_or(WHOLE.end, |last| last as u64 + 1);
    Ok(start..end)
}

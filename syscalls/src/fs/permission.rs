//! What the caller may do with files: path_resolution(7), capabilities(7).

use alloc::sync::Arc;

use abi::Errno;
use abi::fs::{AccessRequest, FileType, InodeFlags, Mode};
use abi::process::Resource;

use crate::context::Context;
use crate::error::{Because, Error, Result};
use crate::process::{Capability, Credentials};
use crate::signal::Signal;

use super::inode::{Inode, Metadata};

/// Fails unless `who` may use a file with this metadata as `request` says.
///
/// # Errors
/// `EACCES`; `EPERM` for writing where the file is immutable.
pub fn check(who: &Credentials, file: &Metadata, request: AccessRequest) -> Result<()> {
    if request.contains(AccessRequest::WRITE) && file.has_flag(InodeFlags::IMMUTABLE) {
        return Err(immutable());
    }
    let mode = u32::from(file.mode.bits());
    let class = if who.users.file_system == file.owner {
        mode >> 6
    } else if who.is_in_group(file.group) {
        mode >> 3
    } else {
        mode
    };
    if request.bits() & !class & 0o7 == 0 || bypasses(who, file, request) {
        return Ok(());
    }
    Err(Errno::EACCES.because("permission denied"))
}

/// Whether privilege allows what the mode does not.
fn bypasses(who: &Credentials, file: &Metadata, request: AccessRequest) -> bool {
    let is_directory = file.kind == FileType::Directory;
    let executable = file
        .mode
        .intersects(Mode::OWNER_EXECUTE.union(Mode::GROUP_EXECUTE).union(Mode::OTHERS_EXECUTE));
    let all = is_directory || executable || !request.contains(AccessRequest::EXECUTE);
    let has = |capability| who.has_over(capability, file.owner, file.group);
    if all && has(Capability::DacOverride) {
        return true;
    }
    let reads =
        request == AccessRequest::READ || is_directory && !request.contains(AccessRequest::WRITE);
    reads && has(Capability::DacReadSearch)
}

/// Fails unless the caller may use `inode` as `request` says.
///
/// # Errors
/// `EACCES`; those of [`Inode::metadata`].
pub fn check_inode(cx: &Context<'_>, inode: &Arc<dyn Inode>, request: AccessRequest) -> Result<()> {
    check(&cx.credentials(), &inode.metadata()?, request)
}

fn immutable() -> Error {
    Errno::EPERM.because("the file is immutable or can only be appended to")
}

/// Fails where the file is immutable or can only be appended to.
///
/// # Errors
/// `EPERM`.
pub(crate) fn check_changeable(file: &Metadata) -> Result<()> {
    if file.has_flag(InodeFlags::IMMUTABLE | InodeFlags::APPEND) {
        return Err(immutable());
    }
    Ok(())
}

/// Fails where the file can only be appended to.
///
/// # Errors
/// `EPERM`.
pub(crate) fn check_not_append_only(file: &Metadata) -> Result<()> {
    if file.has_flag(InodeFlags::APPEND) {
        return Err(immutable());
    }
    Ok(())
}

/// Fails unless `who` owns the file, or may act as any owner.
///
/// # Errors
/// `EPERM`.
pub fn check_owner(who: &Credentials, file: &Metadata) -> Result<()> {
    let is_own = who.users.file_system == file.owner;
    if is_own || who.has_over(Capability::FileOwner, file.owner, file.group) {
        return Ok(());
    }
    Err(Errno::EPERM.because("the file belongs to somebody else"))
}

/// Fails unless `who` may remove `entry` from `directory`, as far as a sticky bit is concerned.
///
/// # Errors
/// `EPERM`.
pub fn check_sticky(who: &Credentials, directory: &Metadata, entry: &Metadata) -> Result<()> {
    let user = who.users.file_system;
    let bound = directory.mode.contains(Mode::STICKY);
    let is_own = entry.owner == user || directory.owner == user;
    if !bound || is_own || who.has_over(Capability::FileOwner, entry.owner, entry.group) {
        return Ok(());
    }
    Err(Errno::EPERM.because("the directory is sticky and the file belongs to somebody else"))
}

/// Whether writing or changing owners leaves the set-ID bits of a file to the caller.
pub(super) fn keeps_set_id(cx: &Context<'_>) -> bool {
    cx.credentials().has_within(Capability::FileSetId)
}

/// Up to where the caller may write to a file that can be `max` bytes long, from `offset` on.
///
/// # Errors
/// `EFBIG` when that is nothing; the thread also gets `SIGXFSZ` where its limit is in the way.
pub(super) fn check_file_size(cx: &Context<'_>, offset: u64, max: u64) -> Result<u64> {
    let limit = cx.process.limits().current(Resource::FileSize);
    if offset >= limit {
        return Err(over_limit(cx));
    }
    if offset >= max {
        return Err(Errno::EFBIG.because("the file would be too large"));
    }
    Ok(max.min(limit))
}

/// Fails unless the caller may make a file `len` bytes long.
///
/// # Errors
/// `EFBIG`; the thread also gets `SIGXFSZ`.
pub(crate) fn check_new_size(cx: &Context<'_>, len: u64) -> Result<()> {
    if len > cx.process.limits().current(Resource::FileSize) {
        return Err(over_limit(cx));
    }
    Ok(())
}

fn over_limit(cx: &Context<'_>) -> Error {
    cx.thread.raise(Signal::SIGXFSZ);
    Errno::EFBIG.because("the file would exceed RLIMIT_FSIZE")
}

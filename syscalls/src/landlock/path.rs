//! What a domain says of files: landlock(7), "Filesystem actions".

use abi::Errno;
use abi::fs::{AccessMode, FileType};
use abi::landlock::AccessFs;

use crate::context::Context;
use crate::error::{Because, Result};
use crate::fs::Location;
use crate::process::Credentials;

use super::denied;
use super::domain::Domain;
use super::masks::Masks;

/// Fails unless the caller's domain allows `access` at `place`.
///
/// # Errors
/// `EACCES`.
pub(crate) fn check(cx: &Context<'_>, place: &Location, access: AccessFs) -> Result<()> {
    let who = cx.credentials();
    if allowed(&who.domain, place, access) == access { Ok(()) } else { Err(denied()) }
}

/// Fails when the caller's domain says anything of files: mounts would change where they are.
///
/// # Errors
/// `EPERM`.
pub(crate) fn check_mounts(cx: &Context<'_>) -> Result<()> {
    if cx.credentials().domain.of_files().is_some() {
        return Err(Errno::EPERM.because("the caller's domain keeps mounts as they are"));
    }
    Ok(())
}

/// How a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opening {
    /// By open(2).
    For(AccessMode),
    /// By execve(2).
    ToExecute,
}

/// Fails unless the domain of `who` allows to open what is at `place`; returns the rights that
/// the open file has, also for others.
///
/// # Errors
/// `EACCES`.
pub(crate) fn open(who: &Credentials, place: &Location, opening: Opening) -> Result<AccessFs> {
    if who.domain.of_files().is_none() {
        return Ok(AccessFs::all());
    }
    let kind = place.inode().kind();
    let request = match opening {
        Opening::ToExecute => AccessFs::READ_FILE | AccessFs::EXECUTE,
        Opening::For(mode) => right_to_open(kind, mode),
    };
    let mut all = request | AccessFs::TRUNCATE;
    all.set(AccessFs::IOCTL_DEV, kind.is_device());
    let allowed = allowed(&who.domain, place, all);
    if allowed.contains(request) { Ok(allowed) } else { Err(denied()) }
}

fn right_to_open(kind: FileType, mode: AccessMode) -> AccessFs {
    let mut rights = AccessFs::empty();
    if mode.can_read() && kind == FileType::Directory {
        return AccessFs::READ_DIR;
    }
    rights.set(AccessFs::READ_FILE, mode.can_read());
    rights.set(AccessFs::WRITE_FILE, mode.can_write());
    rights
}

/// The right to make something of this kind.
pub(crate) fn right_to_make(kind: FileType) -> AccessFs {
    match kind {
        FileType::Directory => AccessFs::MAKE_DIR,
        FileType::SymbolicLink => AccessFs::MAKE_SYM,
        FileType::CharacterDevice => AccessFs::MAKE_CHAR,
        FileType::BlockDevice => AccessFs::MAKE_BLOCK,
        FileType::Fifo => AccessFs::MAKE_FIFO,
        FileType::Socket => AccessFs::MAKE_SOCK,
        FileType::Regular | FileType::Anonymous => AccessFs::MAKE_REG,
    }
}

/// The right to remove something of this kind.
pub(super) fn right_to_remove(kind: FileType) -> AccessFs {
    match kind {
        FileType::Directory => AccessFs::REMOVE_DIR,
        _ => AccessFs::REMOVE_FILE,
    }
}

/// What of `request` the domain allows at `place`.
pub(super) fn allowed(domain: &Domain, place: &Location, request: AccessFs) -> AccessFs {
    let Some(domain) = domain.of_files().filter(|_| !is_internal(place)) else {
        return request;
    };
    let mut masks = Masks::new(domain, request);
    walk(place, |at| {
        masks.allow(domain, at.inode(), request);
        !masks.denied().is_empty()
    });
    request.difference(masks.denied())
}

/// Whether it is a pipe, a socket or something else that is in no tree, of which rules say
/// nothing.
pub(super) fn is_internal(place: &Location) -> bool {
    place.mount.is_internal()
}

/// Visits `place` and the directories above it, up to the root of all, or of what is mounted
/// nowhere, as long as `visit` wants.
pub(super) fn walk(place: &Location, mut visit: impl FnMut(&Location) -> bool) {
    let mut at = place.clone();
    while visit(&at) {
        while at.is_mount_root() {
            match at.mount.point() {
                Some(point) => at = point,
                None => return,
            }
        }
        match at.dentry.directory() {
            Some(directory) => at = at.with(directory),
            None => return,
        }
    }
}

//! Changes of the tree by name: what mkdir(2), link(2), unlink(2), rename(2) and their kin
//! check before the file system is asked, and how names in use follow.

use alloc::sync::Arc;

use abi::Errno;
use abi::events::InotifyMask;
use abi::fs::{AccessRequest, Mode, RenameFlags};
use abi::landlock::AccessFs;

use crate::context::Context;
use crate::error::{Because, Error, Result};
use crate::landlock::{self, Reference};
use crate::process::Capability;

use super::dentry::Dentry;
use super::inode::{Metadata, NewInode, NewKind};
use super::mount::Location;
use super::path::{self, End, Last};
use super::permission;

/// What a new entry of a directory needs of the directory.
const CHANGE: AccessRequest = AccessRequest::WRITE.union(AccessRequest::EXECUTE);

/// Makes what `end` names, with `mode` less the umask.
///
/// # Errors
/// Those of open(2) with `O_CREAT`, mkdir(2), mknod(2) and symlink(2).
pub(crate) fn create(
    cx: &Context<'_>,
    end: &End,
    kind: NewKind<'_>,
    mode: Mode,
) -> Result<Location> {
    let directory = &end.directory;
    let name = new_name(cx, end, kind == NewKind::Directory)?;
    directory.mount.check_writable()?;
    landlock::check(cx, directory, landlock::right_to_make(kind.file_type()))?;
    let metadata = check_addable(cx, directory)?;
    let new = new_inode(cx, &metadata, kind, mode);
    let inode = directory.inode().create(name, &new)?;
    cx.system.notifier.entry(cx.into(), directory.inode(), name, &inode, InotifyMask::CREATE);
    Ok(directory.with(directory.dentry.child(name, inode)))
}

/// The inode that the caller makes in a directory with this metadata.
pub(super) fn new_inode<'a>(
    cx: &Context<'_>,
    directory: &Metadata,
    kind: NewKind<'a>,
    mode: Mode,
) -> NewInode<'a> {
    let who = cx.credentials();
    let mut mode = mode;
    let mut group = who.groups.file_system;
    if directory.mode.contains(Mode::SET_GROUP_ID) {
        group = directory.group;
        if kind == NewKind::Directory {
            mode |= Mode::SET_GROUP_ID;
        }
    }
    let stranger = !who.is_in_group(group) && !who.has_within(Capability::FileSetId);
    if stranger && kind != NewKind::Directory && mode.contains(Mode::GROUP_EXECUTE) {
        mode.remove(Mode::SET_GROUP_ID);
    }
    // In this order: whoever takes execution away does not keep the bit by that.
    match kind {
        NewKind::SymbolicLink(_) => mode = Mode::ALL,
        _ => mode.remove(cx.paths().umask()),
    }
    NewInode { kind, mode, owner: who.users.file_system, group }
}

/// Gives what is at `old` the new name `end`: link(2).
///
/// # Errors
/// Those of link(2).
pub(crate) fn link(cx: &Context<'_>, old: &Location, end: &End) -> Result<()> {
    let name = new_name(cx, end, false)?;
    if !Arc::ptr_eq(&old.mount, &end.directory.mount) {
        return Err(Errno::EXDEV.because("another mount"));
    }
    end.directory.mount.check_writable()?;
    landlock::check_reference(cx, old, &end.directory, Reference::Link)?;
    check_addable(cx, &end.directory)?;
    if old.is_directory() {
        return Err(Errno::EPERM.because("a directory has only one name"));
    }
    // A file that lost its last name stays without one, except those made by O_TMPFILE.
    let metadata = old.inode().metadata()?;
    permission::check_changeable(&metadata)?;
    if metadata.links == 0 && old.dentry.is_removed() {
        return Err(Errno::ENOENT.because("the file has been removed"));
    }
    end.directory.inode().link(name, old.inode())?;
    cx.system.notifier.happened_to(cx.into(), old.inode(), InotifyMask::ATTRIB);
    cx.system.notifier.entry(
        cx.into(),
        end.directory.inode(),
        name,
        old.inode(),
        InotifyMask::CREATE,
    );
    Ok(())
}

/// Removes the name `end`, which is not a directory: unlink(2).
///
/// # Errors
/// Those of unlink(2).
pub(crate) fn unlink(cx: &Context<'_>, end: &End) -> Result<()> {
    let Last::Name(name) = &end.last else {
        return Err(Errno::EISDIR.because("a directory"));
    };
    let found = path::child(cx, &end.directory, name)?;
    if end.slash {
        return Err(match found.is_directory() {
            true => Errno::EISDIR.because("a directory"),
            false => path::not_a_directory(),
        });
    }
    end.directory.mount.check_writable()?;
    landlock::check(cx, &end.directory, AccessFs::REMOVE_FILE)?;
    check_removable(cx, &end.directory, &found)?;
    if found.is_directory() {
        return Err(Errno::EISDIR.because("a directory"));
    }
    check_not_mounted(&found)?;
    end.directory.inode().unlink(name)?;
    end.directory.dentry.remove_child(name);
    let notifier = &cx.system.notifier;
    notifier.happened_to(cx.into(), found.inode(), InotifyMask::ATTRIB);
    notifier.lost_name(cx.into(), found.inode());
    notifier.entry(cx.into(), end.directory.inode(), name, found.inode(), InotifyMask::DELETE);
    Ok(())
}

/// Removes the empty directory `end`: rmdir(2).
///
/// # Errors
/// Those of rmdir(2).
pub(crate) fn remove_directory(cx: &Context<'_>, end: &End) -> Result<()> {
    let name = match &end.last {
        Last::Name(name) => name,
        Last::Dot => return Err(Errno::EINVAL.because("the path ends with a dot")),
        Last::DotDot => return Err(Errno::ENOTEMPTY.because("the path ends with two dots")),
        Last::None => return Err(Errno::EBUSY.because("the root directory")),
    };
    let found = path::child(cx, &end.directory, name)?;
    end.directory.mount.check_writable()?;
    landlock::check(cx, &end.directory, AccessFs::REMOVE_DIR)?;
    check_removable(cx, &end.directory, &found)?;
    if !found.is_directory() {
        return Err(Errno::ENOTDIR.because("not a directory"));
    }
    check_not_mounted(&found)?;
    end.directory.inode().remove_directory(name)?;
    end.directory.dentry.remove_child(name);
    let notifier = &cx.system.notifier;
    notifier.lost_name(cx.into(), found.inode());
    notifier.entry(cx.into(), end.directory.inode(), name, found.inode(), InotifyMask::DELETE);
    Ok(())
}

/// Moves `old` to `new`, or lets them change places: renameat2(2).
///
/// # Errors
/// Those of rename(2).
pub(crate) fn rename(cx: &Context<'_>, old: &End, new: &End, flags: RenameFlags) -> Result<()> {
    if !Arc::ptr_eq(&old.directory.mount, &new.directory.mount) {
        return Err(Errno::EXDEV.because("another mount"));
    }
    let (name, new_name) = (name_to_move(old)?, name_to_move(new)?);
    old.directory.mount.check_writable()?;
    let source = path::child(cx, &old.directory, name)?;
    let target = match path::child(cx, &new.directory, new_name) {
        Err(error) if error.errno == Errno::ENOENT => None,
        other => Some(other?),
    };
    check_target(old, new, &source, target.as_ref(), flags)?;
    check_ancestry(old, new, &source, target.as_ref(), flags)?;
    let reference = match &target {
        Some(target) if flags.contains(RenameFlags::EXCHANGE) => Reference::Exchange(target),
        target => Reference::Rename(target.as_ref()),
    };
    landlock::check_reference(cx, &source, &new.directory, reference)?;
    if target.as_ref().is_some_and(|target| Arc::ptr_eq(target.inode(), source.inode())) {
        return Ok(());
    }
    check_removable(cx, &old.directory, &source)?;
    match &target {
        None => drop(check_addable(cx, &new.directory)?),
        Some(target) => check_removable(cx, &new.directory, target)?,
    }
    check_moved_directory(cx, old, new, &source)?;
    check_not_mounted(&source)?;
    target.iter().try_for_each(check_not_mounted)?;
    old.directory.inode().rename(name, new.directory.inode(), new_name, flags)?;
    let (from, to) = (&old.directory.dentry, &new.directory.dentry);
    match flags.contains(RenameFlags::EXCHANGE) {
        true => Dentry::exchange_children(from, name, to, new_name),
        false => Dentry::move_child(from, name, to, new_name),
    }
    let from = (old.directory.inode(), name);
    let to = (new.directory.inode(), new_name);
    let notifier = &cx.system.notifier;
    match &target {
        Some(target) if flags.contains(RenameFlags::EXCHANGE) => {
            notifier.moved(cx.into(), source.inode(), from, to, None);
            notifier.moved(cx.into(), target.inode(), to, from, None);
        }
        target => {
            notifier.moved(
                cx.into(),
                source.inode(),
                from,
                to,
                target.as_ref().map(Location::inode),
            );
        }
    }
    Ok(())
}

/// What must be, or not be, at the new name, and which slashes may follow the names.
fn check_target(
    old: &End,
    new: &End,
    source: &Location,
    target: Option<&Location>,
    flags: RenameFlags,
) -> Result<()> {
    let exchange = flags.contains(RenameFlags::EXCHANGE);
    match target {
        Some(_) if flags.contains(RenameFlags::NOREPLACE) => {
            return Err(Errno::EEXIST.because("the new name exists"));
        }
        None if exchange => return Err(Errno::ENOENT.because("nothing is at the new name")),
        Some(target) if exchange && new.slash && !target.is_directory() => {
            return Err(path::not_a_directory());
        }
        _ => {}
    }
    if !source.is_directory() && (old.slash || (new.slash && !exchange)) {
        return Err(path::not_a_directory());
    }
    Ok(())
}

/// A directory must not come to lie in itself, nor replace one that it lies in.
fn check_ancestry(
    old: &End,
    new: &End,
    source: &Location,
    target: Option<&Location>,
    flags: RenameFlags,
) -> Result<()> {
    if source.dentry.contains(&new.directory.dentry) {
        return Err(Errno::EINVAL.because("a directory cannot move into itself"));
    }
    if target.is_some_and(|target| target.dentry.contains(&old.directory.dentry)) {
        return Err(match flags.contains(RenameFlags::EXCHANGE) {
            true => Errno::EINVAL.because("a directory cannot move into itself"),
            false => Errno::ENOTEMPTY.because("the new name is a directory on the old path"),
        });
    }
    Ok(())
}

/// A directory that gets another parent must itself be writable: its `..` changes.
fn check_moved_directory(cx: &Context<'_>, old: &End, new: &End, source: &Location) -> Result<()> {
    if !source.is_directory() || Arc::ptr_eq(&old.directory.dentry, &new.directory.dentry) {
        return Ok(());
    }
    permission::check_inode(cx, source.inode(), AccessRequest::WRITE)
}

fn name_to_move(end: &End) -> Result<&[u8]> {
    match &end.last {
        Last::Name(name) => Ok(name),
        _ => Err(Errno::EBUSY.because("the path ends with a dot or is the root")),
    }
}

/// The name of what is to be made.
fn new_name<'a>(cx: &Context<'_>, end: &'a End, is_directory: bool) -> Result<&'a [u8]> {
    let Last::Name(name) = &end.last else {
        return Err(exists());
    };
    match path::child(cx, &end.directory, name) {
        Ok(_) => Err(exists()),
        Err(error) if error.errno != Errno::ENOENT => Err(error),
        Err(_) if end.slash && !is_directory => {
            Err(Errno::ENOENT.because("the path ends with a slash"))
        }
        Err(_) => Ok(name),
    }
}

fn exists() -> Error {
    Errno::EEXIST.because("the file exists")
}

/// Fails unless the caller may add entries to `directory`; returns its metadata.
fn check_addable(cx: &Context<'_>, directory: &Location) -> Result<Metadata> {
    if directory.dentry.is_removed() {
        return Err(Errno::ENOENT.because("the directory has been removed"));
    }
    let metadata = directory.inode().metadata()?;
    permission::check(&cx.credentials(), &metadata, CHANGE)?;
    Ok(metadata)
}

/// Fails unless the caller may remove `found` from `directory`.
fn check_removable(cx: &Context<'_>, directory: &Location, found: &Location) -> Result<()> {
    let who = cx.credentials();
    let metadata = directory.inode().metadata()?;
    permission::check(&who, &metadata, CHANGE)?;
    permission::check_not_append_only(&metadata)?;
    let entry = found.inode().metadata()?;
    permission::check_sticky(&who, &metadata, &entry)?;
    permission::check_changeable(&entry)
}

fn check_not_mounted(found: &Location) -> Result<()> {
    if found.dentry.is_mount_point() || found.is_mount_root() {
        return Err(Errno::EBUSY.because("something is mounted there"));
    }
    Ok(())
}

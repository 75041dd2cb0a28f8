//! Opening files by path: open(2), openat2(2).

use alloc::sync::Arc;
use alloc::vec::Vec;

use abi::Errno;
use abi::events::InotifyMask;
use abi::fanotify::FanotifyMask;
use abi::fs::{AccessMode, AccessRequest, FileType, Mode, OpenFlags, ResolveFlags, mount_flags};
use abi::landlock::AccessFs;

use crate::context::Context;
use crate::error::{Because, Error, Result};
use crate::landlock::{self, Opening};

use super::fd_table::Fd;
use super::file::File;
use super::inode::{Inode, NewInode, NewKind};
use super::mount::Location;
use super::mount_table::MountTable;
use super::open_file::OpenFile;
use super::path::{self, End, Last, Walk};
use super::write_access::WriteAccess;
use super::{permission, tree};

/// How a file is to be opened.
#[derive(Clone, Copy, Debug)]
pub struct How {
    /// Access mode and flags.
    pub flags: OpenFlags,
    /// Permission bits of a new file; the umask is taken away here.
    pub mode: Mode,
    /// How the path is resolved.
    pub resolve: ResolveFlags,
}

impl How {
    /// These flags, for a file that is there.
    #[must_use]
    pub fn existing(flags: OpenFlags) -> Self {
        Self { flags, mode: Mode::empty(), resolve: ResolveFlags::empty() }
    }

    /// Brings the flags into the form the rest relies on, as Linux does.
    fn normalized(mut self) -> Result<Self> {
        use OpenFlags as F;
        if self.flags.contains(F::PATH) {
            self.flags &= F::PATH | F::DIRECTORY | F::NOFOLLOW | F::CLOEXEC;
            return Ok(self);
        }
        if self.flags.contains(F::TMPFILE_BIT) {
            if !self.flags.contains(F::DIRECTORY) || self.flags.contains(F::CREAT) {
                return Err(Errno::EINVAL.because("O_TMPFILE goes without O_CREAT"));
            }
            if matches!(self.flags.access_mode(), AccessMode::Read | AccessMode::Neither) {
                return Err(Errno::EINVAL.because("O_TMPFILE needs write access"));
            }
        } else if self.flags.contains(F::CREAT | F::DIRECTORY) {
            return Err(Errno::EINVAL.because("O_CREAT does not make directories"));
        }
        self.flags |= F::LARGEFILE;
        Ok(self)
    }

    /// What the permissions must allow.
    fn request(&self) -> AccessRequest {
        let mut request = match self.flags.access_mode() {
            AccessMode::Read => AccessRequest::READ,
            AccessMode::Write => AccessRequest::WRITE,
            AccessMode::ReadWrite | AccessMode::Neither => {
                AccessRequest::READ | AccessRequest::WRITE
            }
        };
        if self.flags.contains(OpenFlags::TRUNC) {
            request |= AccessRequest::WRITE;
        }
        request
    }
}

/// Opens the file that `path` names, seen from `directory`.
///
/// # Errors
/// Those of open(2).
pub fn open(cx: &Context<'_>, directory: Fd, path: Vec<u8>, how: How) -> Result<Arc<OpenFile>> {
    let how = how.normalized()?;
    let mut walk = Walk::new(cx, directory, path, how.resolve)?;
    loop {
        let end = walk.end()?;
        if end.slash && how.flags.contains(OpenFlags::CREAT) {
            return Err(Errno::EISDIR.because("the path ends with a slash"));
        }
        let found = match walk.found(&end) {
            Err(error) if is_creatable(&error, &end, how) => return create(cx, &end, how),
            other => other?,
        };
        if how.flags.contains(OpenFlags::CREAT | OpenFlags::EXCL) {
            return Err(Errno::EEXIST.because("the file exists"));
        }
        let is_link = found.inode().kind() == FileType::SymbolicLink && end.last != Last::None;
        if is_link && (end.slash || !how.flags.contains(OpenFlags::NOFOLLOW)) {
            walk.follow(&found)?;
            continue;
        }
        if end.slash && !found.is_directory() {
            return Err(path::not_a_directory());
        }
        return match open_location(cx, found, how) {
            // The name does not lead there any more, which is known now.
            Err(error) if error.errno == Errno::ESTALE => open_location(cx, walk.found(&end)?, how),
            result => result,
        };
    }
}

/// Opens what is at `location`, with the checks of open(2).
///
/// # Errors
/// Those of open(2) for a file that is there.
pub fn open_location(cx: &Context<'_>, location: Location, how: How) -> Result<Arc<OpenFile>> {
    use OpenFlags as F;
    let kind = location.inode().kind();
    let is_directory = kind == FileType::Directory;
    if how.flags.contains(F::CREAT) && is_directory {
        return Err(Errno::EISDIR.because("a directory"));
    }
    if how.flags.contains(F::DIRECTORY) && !is_directory {
        return Err(Errno::ENOTDIR.because("not a directory"));
    }
    if how.flags.contains(F::PATH) {
        let file = Arc::new(PathFile { inode: location.inode().clone(), _tree: None });
        return Ok(Arc::new(OpenFile::at(location, file, how.flags)));
    }
    if how.flags.contains(F::TMPFILE_BIT) {
        return open_unnamed(cx, &location, how);
    }
    let rights = check_open(cx, &location, how)?;
    let cuts = how.flags.contains(F::TRUNC) && kind == FileType::Regular;
    if cuts && !rights.contains(AccessFs::TRUNCATE) {
        return Err(Errno::EACCES.because("no rule of the caller's domain allows to truncate it"));
    }
    cx.system.notifier.fanotify.ask(cx, &location, FanotifyMask::OPEN_PERM)?;
    let writes = how.request().contains(AccessRequest::WRITE);
    let access = if writes { WriteAccess::begin(&location)? } else { None };
    if cuts {
        location.inode().truncate(0)?;
    }
    let opened = open_checked(cx, location, how, (access, rights))?;
    if cuts {
        cx.system.notifier.happened(cx.into(), opened.location(), InotifyMask::MODIFY);
    }
    Ok(opened)
}

/// Opens what is at `location` for who watches it: nobody hears of that.
///
/// # Errors
/// Those of open(2) for a file that is there.
pub(crate) fn open_unwatched(
    cx: &Context<'_>,
    location: Location,
    flags: OpenFlags,
) -> Result<Arc<OpenFile>> {
    let how = How::existing(flags);
    let rights = check_open(cx, &location, how)?;
    let writes = how.request().contains(AccessRequest::WRITE);
    let access = if writes { WriteAccess::begin(&location)? } else { None };
    let file = location.inode().clone().open(cx, flags)?;
    let opened = OpenFile::writing(location, file, flags, access).with_rights(rights);
    Ok(Arc::new(opened.unwatched()))
}

/// What may_open of Linux checks, and what the caller's domain says; returns the rights that
/// the open file has by that.
fn check_open(cx: &Context<'_>, location: &Location, how: How) -> Result<AccessFs> {
    let request = how.request();
    let metadata = location.inode().metadata()?;
    match metadata.kind {
        FileType::SymbolicLink => return Err(Errno::ELOOP.because("a symbolic link")),
        FileType::Directory if request.contains(AccessRequest::WRITE) => {
            return Err(Errno::EISDIR.because("a directory cannot be written"));
        }
        FileType::Socket => return Err(Errno::ENXIO.because("a socket cannot be opened")),
        FileType::Regular if request.contains(AccessRequest::WRITE) => {
            location.mount.check_writable()?;
        }
        kind if kind.is_device() && location.mount.has(mount_flags::ST_NODEV) => {
            return Err(Errno::EACCES.because("the mount has no devices"));
        }
        _ => {}
    }
    let who = cx.credentials();
    permission::check(&who, &metadata, request)?;
    let writes = request.contains(AccessRequest::WRITE);
    if writes && !how.flags.contains(OpenFlags::APPEND) || how.flags.contains(OpenFlags::TRUNC) {
        permission::check_not_append_only(&metadata)?;
    }
    if how.flags.contains(OpenFlags::NOATIME) {
        permission::check_owner(&who, &metadata)?;
    }
    landlock::open(&who, location, Opening::For(how.flags.access_mode()))
}

fn open_checked(
    cx: &Context<'_>,
    location: Location,
    how: How,
    (access, rights): (Option<WriteAccess>, AccessFs),
) -> Result<Arc<OpenFile>> {
    let file = location.inode().clone().open(cx, how.flags)?;
    // O_TRUNC alone does not make an open file one that is written.
    let access = access.filter(|_| how.flags.access_mode().can_write());
    cx.system.notifier.happened(cx.into(), &location, InotifyMask::OPEN);
    Ok(Arc::new(OpenFile::writing(location, file, how.flags, access).with_rights(rights)))
}

/// Opens a file that has just been made.
fn open_new(cx: &Context<'_>, location: Location, how: How) -> Result<Arc<OpenFile>> {
    let mode = how.flags.access_mode();
    let rights = landlock::open(&cx.credentials(), &location, Opening::For(mode))?;
    let access = if mode.can_write() { WriteAccess::begin(&location)? } else { None };
    open_checked(cx, location, how, (access, rights))
}

fn is_creatable(error: &Error, end: &End, how: How) -> bool {
    error.errno == Errno::ENOENT
        && how.flags.contains(OpenFlags::CREAT)
        && matches!(end.last, Last::Name(_))
}

fn create(cx: &Context<'_>, end: &End, how: How) -> Result<Arc<OpenFile>> {
    let location = tree::create(cx, end, NewKind::Regular, how.mode)?;
    open_new(cx, location, how)
}

fn open_unnamed(cx: &Context<'_>, directory: &Location, how: How) -> Result<Arc<OpenFile>> {
    directory.mount.check_writable()?;
    let request = AccessRequest::WRITE | AccessRequest::EXECUTE;
    permission::check_inode(cx, directory.inode(), request)?;
    let metadata = directory.inode().metadata()?;
    let new = tree::new_inode(cx, &metadata, NewKind::Regular, how.mode);
    let inode = directory.inode().create_unnamed(&new)?;
    let name = alloc::format!("/#{} (deleted)", inode.metadata()?.number);
    open_new(cx, directory.without_name(inode, name.as_bytes()), how)
}

/// Opens a new file in memory that is found by no path and is shown as `name`:
/// memfd_create(2).
///
/// # Errors
/// `ENOSPC`; `ENOMEM`.
pub fn open_memory(cx: &Context<'_>, name: &[u8]) -> Result<Arc<OpenFile>> {
    let directory = cx.system.vfs.unnamed();
    let who = cx.credentials();
    let new = NewInode {
        kind: NewKind::Regular,
        mode: Mode::ALL,
        owner: who.users.file_system,
        group: who.groups.file_system,
    };
    let inode = directory.inode().create_unnamed(&new)?;
    let shown = [b"/memfd:", name, b" (deleted)"].concat();
    let how = How::existing(OpenFlags::RDWR | OpenFlags::LARGEFILE);
    // As on Linux, this description does not count as one that writes: programs are executed
    // from memory while they are open.
    open_checked(cx, directory.without_name(inode, &shown), how, (None, AccessFs::all()))
}

/// Opens the root of a tree of mounts that is attached nowhere, which is taken apart with the
/// description unless it has been attached by then: fsmount(2), open_tree(2).
pub(crate) fn open_tree(tree: Arc<MountTable>) -> Result<Arc<OpenFile>> {
    let root = tree.root().ok_or_else(|| Errno::EINVAL.because("the tree is empty"))?;
    let file = Arc::new(PathFile { inode: root.inode().clone(), _tree: Some(tree) });
    Ok(Arc::new(OpenFile::at(root, file, OpenFlags::PATH)))
}

/// What `O_PATH` opens: a place, and nothing that can be done with what is there.
struct PathFile {
    inode: Arc<dyn Inode>,
    _tree: Option<Arc<MountTable>>,
}

impl File for PathFile {
    fn inode(&self) -> &Arc<dyn Inode> {
        &self.inode
    }
}

//! From path names to places: path_resolution(7).
//!
//! [`resolve`] and [`resolve_at`] find what is there; [`parent`] finds the directory and the
//! name of what may not be there yet.

use alloc::sync::Arc;
use alloc::vec::Vec;

use abi::Errno;
use abi::fs::{AT_FDCWD, AccessRequest, AtFlags, FileType, NAME_MAX, ResolveFlags, mount_flags};

use crate::context::Context;
use crate::error::{Because, Error, Result};
use crate::process::Credentials;

use super::fd_table::Fd;
use super::inode::{Inode, Link};
use super::mount::Location;
use super::permission;

/// Most symbolic links on the way of one path.
const LINKS_MAX: u32 = 40;

/// Whether a symbolic link at the end of a path is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Follow {
    /// It is.
    Last,
    /// It is what the path names, unless a slash follows.
    NotLast,
}

/// What the last component of a path is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Last {
    /// A name, of something that is there or not.
    Name(Vec<u8>),
    /// `.`.
    Dot,
    /// `..`.
    DotDot,
    /// There is none: the path is `/`, or a link led to a place without a name.
    None,
}

/// The end of a path: a directory and a component.
pub(crate) struct End {
    /// The directory.
    pub directory: Location,
    /// The component in it.
    pub last: Last,
    /// A slash follows: it must be a directory.
    pub slash: bool,
}

/// A path on its way.
pub(crate) struct Walk<'a> {
    cx: &'a Context<'a>,
    who: Arc<Credentials>,
    flags: ResolveFlags,
    /// The root, above which `..` does not lead.
    root: Location,
    /// Where the path started.
    start: Location,
    at: Location,
    path: Vec<u8>,
    /// How much of the path is behind.
    behind: usize,
    links: u32,
}

impl<'a> Walk<'a> {
    /// Starts at `directory`, or at the root for an absolute path.
    ///
    /// # Errors
    /// `ENOENT` for an empty path; `EBADF`, `ENOTDIR` for the descriptor; `EXDEV` where
    /// `flags` forbid an absolute path.
    pub(crate) fn new(
        cx: &'a Context<'a>,
        directory: Fd,
        path: Vec<u8>,
        flags: ResolveFlags,
    ) -> Result<Self> {
        let first = *path.first().ok_or_else(no_entry)?;
        let root = cx.paths().root();
        let confined = flags.intersects(ResolveFlags::BENEATH | ResolveFlags::IN_ROOT);
        let start = if first == b'/' && !confined { root.clone() } else { base(cx, directory)? };
        if first == b'/' && flags.contains(ResolveFlags::BENEATH) {
            return Err(Errno::EXDEV.because("the path is absolute"));
        }
        if !start.is_directory() {
            return Err(not_a_directory());
        }
        let root = if flags.contains(ResolveFlags::IN_ROOT) { start.clone() } else { root };
        let who = cx.credentials();
        let at = start.clone();
        Ok(Self { cx, who, flags, root, start, at, path, behind: 0, links: 0 })
    }

    /// Walks to the last component, which may be a symbolic link.
    pub(crate) fn end(&mut self) -> Result<End> {
        loop {
            let slash = self.skip_slashes();
            let name = self.component().to_vec();
            if name.is_empty() {
                return Ok(End { directory: self.at.clone(), last: Last::None, slash });
            }
            self.check_search()?;
            let end = self.behind + name.len();
            let is_last = self.path[end..].iter().all(|&byte| byte == b'/');
            self.behind = end;
            if is_last {
                let last = match &name[..] {
                    b"." => Last::Dot,
                    b".." => Last::DotDot,
                    _ if name.len() > NAME_MAX => return Err(name_too_long()),
                    _ => Last::Name(name),
                };
                let slash = end < self.path.len();
                return Ok(End { directory: self.at.clone(), last, slash });
            }
            let found = match &name[..] {
                b"." => continue,
                b".." => self.dot_dot()?,
                name => self.child(name)?,
            };
            if found.inode().kind() == FileType::SymbolicLink {
                self.follow(&found)?;
            } else {
                self.at = found;
            }
        }
    }

    /// What is at the end that [`Walk::end`] found.
    ///
    /// # Errors
    /// `ENOENT`.
    pub(crate) fn found(&self, end: &End) -> Result<Location> {
        match &end.last {
            Last::Dot | Last::None => Ok(self.at.clone()),
            Last::DotDot => self.dot_dot(),
            Last::Name(name) => self.child(name),
        }
    }

    /// Goes on where the symbolic link `link` leads, which was found in the directory where
    /// the walk is; what is left of the path follows after it.
    ///
    /// # Errors
    /// `ELOOP`; `ENOENT` for an empty link; those of reading it.
    pub(crate) fn follow(&mut self, link: &Location) -> Result<()> {
        self.links += 1;
        if self.links > LINKS_MAX {
            return Err(Errno::ELOOP.because("too many symbolic links"));
        }
        if self.flags.contains(ResolveFlags::NO_SYMLINKS) {
            return Err(Errno::ELOOP.because("symbolic links are not wanted"));
        }
        if link.mount.has(mount_flags::ST_NOSYMFOLLOW) {
            return Err(Errno::ELOOP.because("the mount follows no symbolic links"));
        }
        match link.inode().follow(self.cx)? {
            Link::Path(target) => self.follow_path(target),
            Link::Location(place) => {
                if self.flags.contains(ResolveFlags::NO_MAGICLINKS) {
                    return Err(Errno::ELOOP.because("such links are not wanted"));
                }
                if self.flags.intersects(ResolveFlags::BENEATH | ResolveFlags::IN_ROOT) {
                    return Err(Errno::EXDEV.because("the link leads elsewhere"));
                }
                self.check_mount(&place)?;
                self.at = place;
                Ok(())
            }
        }
    }

    fn follow_path(&mut self, mut target: Vec<u8>) -> Result<()> {
        let first = *target.first().ok_or_else(no_entry)?;
        if first == b'/' {
            if self.flags.contains(ResolveFlags::BENEATH) {
                return Err(Errno::EXDEV.because("the link is absolute"));
            }
            self.check_mount(&self.root)?;
            self.at = self.root.clone();
        }
        let rest = &self.path[self.behind..];
        target.try_reserve(rest.len()).map_err(|_| Errno::ENOMEM)?;
        target.extend_from_slice(rest);
        self.path = target;
        self.behind = 0;
        Ok(())
    }

    /// Whether there was one at least.
    fn skip_slashes(&mut self) -> bool {
        let slashes = self.path[self.behind..].iter().take_while(|&&byte| byte == b'/').count();
        self.behind += slashes;
        slashes > 0
    }

    fn component(&self) -> &[u8] {
        let rest = &self.path[self.behind..];
        let len = rest.iter().position(|&byte| byte == b'/').unwrap_or(rest.len());
        &rest[..len]
    }

    /// Fails unless names can be looked up where the walk is.
    fn check_search(&self) -> Result<()> {
        if !self.at.is_directory() {
            return Err(not_a_directory());
        }
        let metadata = self.at.inode().metadata()?;
        permission::check(&self.who, &metadata, AccessRequest::EXECUTE)
    }

    fn dot_dot(&self) -> Result<Location> {
        if self.flags.contains(ResolveFlags::BENEATH) && self.at.is(&self.start) {
            return Err(Errno::EXDEV.because("the path leads above its start"));
        }
        let parent = self.at.parent(&self.root);
        self.check_mount(&parent)?;
        Ok(parent)
    }

    fn child(&self, name: &[u8]) -> Result<Location> {
        let found = child(self.cx, &self.at, name)?.enter_mounts();
        self.check_mount(&found)?;
        Ok(found)
    }

    fn check_mount(&self, place: &Location) -> Result<()> {
        let crosses = !Arc::ptr_eq(&place.mount, &self.at.mount);
        if crosses && self.flags.contains(ResolveFlags::NO_XDEV) {
            return Err(Errno::EXDEV.because("the path crosses a mount point"));
        }
        Ok(())
    }
}

/// The entry `name` of `directory`, below what is mounted on it.
pub(super) fn child(cx: &Context<'_>, directory: &Location, name: &[u8]) -> Result<Location> {
    if name.len() > NAME_MAX {
        return Err(name_too_long());
    }
    if let Some(dentry) = directory.dentry.child_in_use(name)
        && (!may_have_changed(directory, dentry.inode())
            || leads_to(cx, directory, name, dentry.inode())?)
    {
        return Ok(directory.with(dentry));
    }
    let inode = directory.inode().lookup(cx, name)?;
    Ok(directory.with(directory.dentry.child(name, inode)))
}

/// The place that `path` names, seen from `directory`.
///
/// # Errors
/// Those of path_resolution(7).
pub fn resolve(cx: &Context<'_>, directory: Fd, path: Vec<u8>, follow: Follow) -> Result<Location> {
    let mut walk = Walk::new(cx, directory, path, ResolveFlags::empty())?;
    loop {
        let end = walk.end()?;
        let found = walk.found(&end)?;
        let is_link = found.inode().kind() == FileType::SymbolicLink;
        if is_link && end.last != Last::None && (end.slash || follow == Follow::Last) {
            walk.follow(&found)?;
            continue;
        }
        if end.slash && !found.is_directory() {
            return Err(not_a_directory());
        }
        return Ok(found);
    }
}

/// As [`resolve`], as `flags` say: `AT_SYMLINK_NOFOLLOW`, and `AT_EMPTY_PATH` for the
/// descriptor itself.
///
/// # Errors
/// As [`resolve`].
pub fn resolve_at(
    cx: &Context<'_>,
    directory: Fd,
    path: Vec<u8>,
    flags: AtFlags,
) -> Result<Location> {
    if path.is_empty() && flags.contains(AtFlags::EMPTY_PATH) {
        return base(cx, directory);
    }
    let no_follow = flags.contains(AtFlags::SYMLINK_NOFOLLOW);
    resolve(cx, directory, path, if no_follow { Follow::NotLast } else { Follow::Last })
}

/// The directory and the name that `path` ends with; a symbolic link there is not followed.
///
/// # Errors
/// As [`resolve`], for the directory.
pub(crate) fn parent(cx: &Context<'_>, directory: Fd, path: Vec<u8>) -> Result<End> {
    Walk::new(cx, directory, path, ResolveFlags::empty())?.end()
}

/// What a directory descriptor names, `AT_FDCWD` included; it need not be a directory.
///
/// # Errors
/// `EBADF`.
pub(crate) fn base(cx: &Context<'_>, directory: Fd) -> Result<Location> {
    if directory.0 == AT_FDCWD {
        return Ok(cx.paths().working_directory());
    }
    Ok(cx.files().get(directory)?.location().clone())
}

/// Whether somebody else may have changed an entry of `directory` that leads to `inode`. What
/// is mounted on a directory that others can change is not theirs, nor is what it is mounted
/// on.
fn may_have_changed(directory: &Location, inode: &Arc<dyn Inode>) -> bool {
    let directory = directory.inode();
    directory.is_shared() && directory.file_system().device() == inode.file_system().device()
}

/// Whether the name in use still leads to `inode` in a directory that others can change. Where
/// it does not, it is in use no longer.
fn leads_to(
    cx: &Context<'_>,
    directory: &Location,
    name: &[u8],
    inode: &Arc<dyn Inode>,
) -> Result<bool> {
    match directory.inode().lookup(cx, name) {
        Ok(found) if Arc::ptr_eq(&found, inode) => return Ok(true),
        Err(error) if error.errno != Errno::ENOENT => return Err(error),
        _ => {}
    }
    directory.dentry.remove_child(name);
    Ok(false)
}

fn no_entry() -> Error {
    Errno::ENOENT.because("no such file or directory")
}

pub(super) fn not_a_directory() -> Error {
    Errno::ENOTDIR.because("a part of the path is not a directory")
}

fn name_too_long() -> Error {
    Errno::ENAMETOOLONG.because("a name is too long")
}

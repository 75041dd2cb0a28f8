//! The guest's root file system as a description.

use super::shared::{self, Mount, Seen};
use crate::Error;
use crate::escape::escaped_os;
use loader::archive::{DIRECTORY, REGULAR, SYMLINK};
use std::collections::{BTreeMap, VecDeque};
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};
use std::time::SystemTime;

/// Most symbolic links on the way to one file, as on Linux (path_resolution(7)).
pub(super) const MAX_LINKS: usize = 40;

/// A file, directory, link or device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Kind of file and permissions, as `st_mode` of inode(7).
    pub mode: u32,
    /// Owner and group.
    pub owner: (u32, u32),
    /// Time of the last modification, in seconds since 1970 UTC.
    pub mtime_s: u32,
    /// What is inside.
    pub body: Body,
    /// Device and inode number on the host, for a file with several names.
    pub links: Option<(u64, u64)>,
}

/// What is inside a [`Node`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// A directory; what is in it are nodes of their own.
    Directory,
    /// The contents of a regular file.
    File(Source),
    /// The target of a symbolic link.
    Link(OsString),
    /// Major and minor number of a device.
    Device(u32, u32),
    /// Nothing: a FIFO.
    Empty,
}

/// Where the contents of a file come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// From a file of the host of that many bytes.
    Host(PathBuf, u64),
    /// From here.
    Bytes(Vec<u8>),
}

impl Node {
    /// A directory of root's, made now.
    #[must_use]
    pub fn directory(permissions: u32) -> Self {
        Self::new(DIRECTORY | permissions, Body::Directory)
    }

    /// A file of root's, made now.
    #[must_use]
    pub fn file(permissions: u32, bytes: impl Into<Vec<u8>>) -> Self {
        Self::new(REGULAR | permissions, Body::File(Source::Bytes(bytes.into())))
    }

    /// A symbolic link of root's, made now.
    #[must_use]
    pub fn link(target: impl Into<OsString>) -> Self {
        Self::new(SYMLINK | 0o777, Body::Link(target.into()))
    }

    fn new(mode: u32, body: Body) -> Self {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let mtime_s = u32::try_from(now.as_secs()).unwrap_or(u32::MAX);
        Self { mode, owner: (0, 0), mtime_s, body, links: None }
    }
}

/// Why a path of the guest leads nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathError {
    /// A component on the way is not a directory.
    NotDirectory,
    /// Too many symbolic links.
    Loop,
}

impl PathError {
    /// The failure, for `path` in its role `what`.
    pub(super) fn at(self, what: &str, path: &Path) -> Error {
        Error::Failed(format!("{what} {} in the guest: {self}", escaped_os(path)))
    }
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotDirectory => "not a directory",
            Self::Loop => "too many symbolic links",
        })
    }
}

/// The root file system: each node at its path from the root, without a leading slash and
/// without symbolic links on the way. The root directory itself is at the empty path.
/// Directories come before what is in them.
#[derive(Clone, Debug)]
pub struct Tree {
    nodes: BTreeMap<Vec<u8>, Node>,
    /// Directories of the host that are mounted. What is below them is not in `nodes`.
    mounts: Vec<Mount>,
    seen: Seen,
}

impl Default for Tree {
    /// A root directory with nothing in it.
    fn default() -> Self {
        Self {
            nodes: BTreeMap::from([(Vec::new(), Node::directory(0o755))]),
            mounts: Vec::new(),
            seen: Seen::default(),
        }
    }
}

impl Tree {
    /// All nodes with their paths, directories before what is in them.
    pub fn nodes(&self) -> impl Iterator<Item = (&[u8], &Node)> {
        self.nodes.iter().map(|(path, node)| (path.as_slice(), node))
    }

    /// The node at a path, with its path without symbolic links; the last component is
    /// followed, too. `None` when there is none.
    #[must_use]
    pub fn find(&self, path: &Path) -> Option<(PathBuf, &Node)> {
        let key = self.walk(path, Last::Follow).ok()?;
        let node = self.node(&key)?;
        Some((Path::new("/").join(OsStr::from_bytes(&key)), node))
    }

    /// The node that is exactly here: `path` has no symbolic links on the way.
    pub(super) fn at(&self, path: &Path) -> Option<&Node> {
        self.node(key(path))
    }

    /// The node at `key`, which has no symbolic links on the way.
    fn node(&self, key: &[u8]) -> Option<&Node> {
        match shared::host_path(&self.mounts, key) {
            Some(host) => self.seen.node(key, &host),
            None => self.nodes.get(key),
        }
    }

    /// Whether it is in a mounted directory, of which nothing is changed here.
    fn is_mounted(&self, key: &[u8]) -> bool {
        shared::host_path(&self.mounts, key).is_some()
    }

    /// Whether a path without symbolic links on the way is in a mounted directory.
    pub(super) fn is_shared(&self, path: &Path) -> bool {
        self.is_mounted(key(path))
    }

    /// Mounts a directory of the host in the place of whatever is there.
    ///
    /// # Errors
    /// The way leads through something that is not a directory.
    pub(super) fn mount(&mut self, mut mount: Mount) -> Result<(), PathError> {
        mount.guest = self.clear(&mount.guest)?;
        self.put(&mount.guest, Node::directory(0o755));
        self.mounts.push(mount);
        Ok(())
    }

    /// The directories of the host that are mounted, in their order.
    pub(super) fn mounts(&self) -> &[Mount] {
        &self.mounts
    }

    /// Puts a node exactly here. Its directory is there, and nothing is at its place. A
    /// directory of the host that is mounted stays as it is.
    pub(super) fn put(&mut self, path: &Path, node: Node) {
        if !self.is_mounted(key(path)) {
            self.nodes.insert(key(path).to_vec(), node);
        }
    }

    /// Adds a node, and the directories on the way to it, unless something is at its place,
    /// or that is in a directory of the host that is mounted.
    ///
    /// # Errors
    /// The way leads through something that is not a directory.
    pub fn add(&mut self, path: impl AsRef<Path>, node: Node) -> Result<(), PathError> {
        let key = self.walk(path.as_ref(), Last::Keep)?;
        if self.is_mounted(&key) {
            return Ok(());
        }
        self.make_way(&key)?;
        self.nodes.entry(key).or_insert(node);
        Ok(())
    }

    /// Makes a directory, and those on the way to it, where there is none.
    ///
    /// # Errors
    /// There is something else in its place or on the way.
    pub fn make_directory(&mut self, path: &Path, permissions: u32) -> Result<(), PathError> {
        let key = self.walk(path, Last::Follow)?;
        if self.is_mounted(&key) {
            return Ok(());
        }
        self.make_way(&key)?;
        let node = self.nodes.entry(key).or_insert_with(|| Node::directory(permissions));
        if node.body == Body::Directory { Ok(()) } else { Err(PathError::NotDirectory) }
    }

    /// Removes what is at a path, with everything in it, makes the directories on the way to
    /// it, and returns the path without symbolic links: the place for something else.
    pub(super) fn clear(&mut self, path: &Path) -> Result<PathBuf, PathError> {
        let key = self.walk(path, Last::Follow)?;
        if !self.is_mounted(&key) {
            self.make_way(&key)?;
        }
        let inside = |other: &[u8]| {
            key.is_empty()
                || other == key
                || (other.starts_with(&key) && other.get(key.len()) == Some(&b'/'))
        };
        self.nodes.retain(|other, _| !inside(other));
        Ok(Path::new("/").join(OsStr::from_bytes(&key)))
    }

    /// Makes the directories above a path without symbolic links.
    fn make_way(&mut self, key: &[u8]) -> Result<(), PathError> {
        let slashes = key.iter().enumerate().filter(|(_, byte)| **byte == b'/');
        for (end, _) in slashes {
            let parent =
                self.nodes.entry(key[..end].to_vec()).or_insert_with(|| Node::directory(0o755));
            if parent.body != Body::Directory {
                return Err(PathError::NotDirectory);
            }
        }
        Ok(())
    }

    /// The path without symbolic links. Components that do not exist stay as they are.
    fn walk(&self, path: &Path, last: Last) -> Result<Vec<u8>, PathError> {
        let mut pending: VecDeque<OsString> = components(path).collect();
        let (mut here, mut links) = (Vec::new(), 0);
        while let Some(component) = pending.pop_front() {
            if component == ".." {
                let parent = here.iter().rposition(|&byte| byte == b'/').unwrap_or(0);
                here.truncate(parent);
                continue;
            }
            let mut next = here.clone();
            if !next.is_empty() {
                next.push(b'/');
            }
            next.extend_from_slice(component.as_bytes());
            match self.node(&next).map(|node| &node.body) {
                Some(Body::Link(target)) if last == Last::Follow || !pending.is_empty() => {
                    links += 1;
                    if links > MAX_LINKS {
                        return Err(PathError::Loop);
                    }
                    let target = Path::new(target);
                    if target.is_absolute() {
                        here.clear();
                    }
                    for component in components(target).collect::<Vec<_>>().into_iter().rev() {
                        pending.push_front(component);
                    }
                }
                Some(Body::Directory) | None => here = next,
                Some(_) if pending.is_empty() => here = next,
                Some(_) => return Err(PathError::NotDirectory),
            }
        }
        Ok(here)
    }
}

/// What to do with a symbolic link at the end of a path.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Last {
    Follow,
    Keep,
}

/// The names in a path and its `..`, without the root and `.`.
pub(super) fn components(path: &Path) -> impl Iterator<Item = OsString> + '_ {
    path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    })
}

fn key(path: &Path) -> &[u8] {
    let bytes = path.as_os_str().as_bytes();
    bytes.strip_prefix(b"/").unwrap_or(bytes)
}

/// The path of a key, as the user would write it.
pub(super) fn absolute(key: &[u8]) -> PathBuf {
    PathBuf::from(OsString::from_vec([b"/", key].concat()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> Tree {
        let mut tree = Tree::default();
        tree.add("/usr/bin/ls", Node::file(0o755, "ls")).unwrap();
        tree.add("/bin", Node::link("usr/bin")).unwrap();
        tree.add("/etc/loop", Node::link("loop")).unwrap();
        tree.add("/usr/bin/dir", Node::link("/bin/../bin/ls")).unwrap();
        tree
    }

    fn paths(tree: &Tree) -> Vec<String> {
        tree.nodes().map(|(path, _)| String::from_utf8_lossy(path).into_owned()).collect()
    }

    #[test]
    fn directories_on_the_way_appear_before_what_is_in_them() {
        let expected =
            ["", "bin", "etc", "etc/loop", "usr", "usr/bin", "usr/bin/dir", "usr/bin/ls"];
        assert_eq!(paths(&tree()), expected);
    }

    #[test]
    fn symbolic_links_are_followed_inside_the_tree() {
        let tree = tree();
        let found = |path: &str| tree.find(Path::new(path)).map(|(path, _)| path);
        let ls = Some(PathBuf::from("/usr/bin/ls"));
        assert_eq!(found("/bin/ls"), ls);
        assert_eq!(found("/bin/dir"), ls);
        assert_eq!(found("/../bin/./ls"), ls);
        assert_eq!(found("/etc/loop"), None);
        assert_eq!(found("/bin/ls/x"), None);
        assert_eq!(found("/bin/nothing"), None);
    }

    #[test]
    fn what_is_there_stays() {
        let mut tree = tree();
        tree.add("/bin/ls", Node::file(0o644, "other")).unwrap();
        assert_eq!(tree.find(Path::new("/bin/ls")).unwrap().1.mode, REGULAR | 0o755);
        assert_eq!(tree.add("/bin/ls/x", Node::file(0o644, "")), Err(PathError::NotDirectory));
        assert_eq!(tree.make_directory(Path::new("/bin/ls"), 0o755), Err(PathError::NotDirectory));
        assert_eq!(tree.make_directory(Path::new("/etc/loop"), 0o755), Err(PathError::Loop));
    }

    #[test]
    fn a_cleared_place_takes_everything_in_it_along_and_nothing_beside_it() {
        let mut tree = tree();
        tree.add("/usr/bin-old/ls", Node::file(0o755, "")).unwrap();
        assert_eq!(tree.clear(Path::new("/bin")).unwrap(), Path::new("/usr/bin"));
        let expected = ["", "bin", "etc", "etc/loop", "usr", "usr/bin-old", "usr/bin-old/ls"];
        assert_eq!(paths(&tree), expected);
    }
}

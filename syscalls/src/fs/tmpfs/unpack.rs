//! The tree of the boot archive. Each entry costs an inode and a name; what is in the files
//! stays where it is.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use abi::Errno;
use abi::boot::config;
use abi::fs::{Device, FileType, Mode};
use hashbrown::HashMap;
use loader::archive::{self, ArchiveError, Entry};

use crate::error::{Because, Error, Result};
use crate::fs::inode::{Inode, NewInode, NewKind, Timestamp};
use crate::machine::Machine;

use super::Tmpfs;
use super::content::Content;
use super::node::{Body, Node};

/// The directory of the archive that is not for the application.
const OWN: &[u8] = b".birgus";

/// The directory of the archive whose files are in a file system of their own, which is
/// mounted there: `/dev/shm`.
const SHARED_MEMORY: [&[u8]; 2] = [b"dev", b"shm"];

/// The tree of an archive.
pub struct Unpacked {
    /// Its root directory.
    pub root: Arc<dyn Inode>,
    /// The root directory of what is in its /dev/shm.
    pub shared_memory: Arc<dyn Inode>,
    /// The configuration of the run ([`abi::boot::config`]), if the archive has one.
    pub configuration: Option<&'static [u8]>,
}

/// Why an archive has no tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UnpackError {
    /// It is malformed.
    Archive(ArchiveError),
    /// One of its files cannot be.
    Entry {
        /// Name of the entry.
        name: Vec<u8>,
        /// Why not.
        error: Error,
    },
}

impl fmt::Display for UnpackError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Archive(error) => write!(f, "the boot archive is malformed: {error}"),
            Self::Entry { name, error } => {
                let name = name.escape_ascii();
                write!(f, "the boot archive has a file {name} that cannot be: {}", error.reason)
            }
        }
    }
}

/// Makes two file systems, with these numbers, that hold the files of `archive`, which is the
/// boot archive or a part of it: one for /dev/shm, one for all others. Entries of the same name replace each other, except directories, which merge.
///
/// # Errors
/// [`UnpackError`] says which entry cannot be, and why.
pub fn unpack(
    machine: &Arc<dyn Machine>,
    [device, shared_memory]: [Device; 2],
    archive: &'static [u8],
) -> Result<Unpacked, UnpackError> {
    let mut tree = Tree {
        root: Tmpfs::root(machine, "tmpfs", device),
        shared_memory: Tmpfs::root(machine, "tmpfs", shared_memory),
        linked: HashMap::new(),
        configuration: None,
    };
    for entry in archive::entries(archive) {
        let entry = entry.map_err(UnpackError::Archive)?;
        tree.add(&entry)
            .map_err(|error| UnpackError::Entry { name: entry.name.to_vec(), error })?;
    }
    let Tree { root, shared_memory, configuration, .. } = tree;
    Ok(Unpacked { root, shared_memory, configuration })
}

/// Which entries are names of one file, in the file system of this number.
type LinkKey = (Device, usize, archive::Device, u32);

struct Tree {
    root: Arc<Node>,
    shared_memory: Arc<Node>,
    linked: HashMap<LinkKey, Arc<Node>>,
    configuration: Option<&'static [u8]>,
}

impl Tree {
    fn add(&mut self, entry: &Entry<'static>) -> Result<()> {
        let mut components = entry.components().peekable();
        if components.peek() == Some(&OWN) {
            if entry.name == config::ENTRY.as_bytes() {
                self.configuration = Some(entry.data);
            }
            return Ok(());
        }
        let mut directory = self.root.clone();
        if entry.components().take(SHARED_MEMORY.len()).eq(SHARED_MEMORY) {
            directory = self.shared_memory.clone();
            components = entry.components().peekable();
            components.nth(SHARED_MEMORY.len() - 1);
        }
        let Some(mut name) = components.next() else {
            return set_attributes(&directory, entry);
        };
        for next in components {
            directory = subdirectory(&directory, name)?;
            name = next;
        }
        self.add_to(&directory, name, entry)
    }

    fn add_to(&mut self, directory: &Node, name: &[u8], entry: &Entry<'static>) -> Result<()> {
        let kind = FileType::of(entry.metadata.mode).unwrap_or(FileType::Regular);
        if let Ok(old) = directory.entries()?.get(name) {
            if old.file_type() == FileType::Directory && kind == FileType::Directory {
                return set_attributes(&old, entry);
            }
            drop(old);
            remove(directory, name)?;
        }
        let data = entry.data;
        let metadata = &entry.metadata;
        let key = (directory.fs.device, entry.archive, metadata.device, metadata.inode);
        let has_names = entry.metadata.links > 1 && kind != FileType::Directory;
        if let Some(node) = self.linked.get(&key).filter(|_| has_names) {
            if let (Ok(content), false) = (node.content(), data.is_empty()) {
                content.place_in_archive(data);
            }
            return directory.add(name, &node.clone());
        }
        let node = new_node(&directory.fs, entry, kind, data)?;
        directory.add(name, &node)?;
        set_attributes(&node, entry)?;
        if has_names {
            self.linked.insert(key, node);
        }
        Ok(())
    }
}

/// A node in `fs` that is like `entry` and has this content.
fn new_node(
    fs: &Arc<Tmpfs>,
    entry: &Entry<'static>,
    kind: FileType,
    data: &'static [u8],
) -> Result<Arc<Node>> {
    let device = Device::new(entry.metadata.rdev.major, entry.metadata.rdev.minor);
    let body = match kind {
        FileType::Regular => Body::Regular(Content::in_archive(data)),
        FileType::Directory => Body::Directory(super::entries::Entries::default()),
        FileType::SymbolicLink => Body::SymbolicLink(data.into()),
        kind => Body::Special(kind, device),
    };
    let new = NewInode {
        kind: NewKind::Regular,
        mode: Mode::of(entry.metadata.mode),
        owner: entry.metadata.uid,
        group: entry.metadata.gid,
    };
    Node::with_body(fs, &new, body)
}

/// The directory `name`, made if it is not there.
pub(super) fn subdirectory(directory: &Arc<Node>, name: &[u8]) -> Result<Arc<Node>> {
    if let Ok(node) = directory.entries()?.get(name) {
        return match node.file_type() {
            FileType::Directory => Ok(node),
            _ => Err(Errno::ENOTDIR.because("a part of its path is not a directory")),
        };
    }
    let mode = Mode::from_bits_retain(0o755);
    let new = NewInode { kind: NewKind::Directory, mode, owner: 0, group: 0 };
    directory.create(name, &new)?;
    directory.entries()?.get(name)
}

fn remove(directory: &Node, name: &[u8]) -> Result<()> {
    directory.unlink(name).or_else(|_| directory.remove_directory(name))
}

fn set_attributes(node: &Node, entry: &Entry<'_>) -> Result<()> {
    let time = Timestamp { seconds: i64::from(entry.metadata.mtime), nanoseconds: 0 };
    node.change(&crate::fs::Change {
        mode: Some(Mode::of(entry.metadata.mode)),
        owner: Some(entry.metadata.uid),
        group: Some(entry.metadata.gid),
        accessed: Some(time),
        modified: Some(time),
    })
}

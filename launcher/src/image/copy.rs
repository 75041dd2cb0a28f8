//! Directories of the host, copied into the guest.

use super::tree::{Body, Node, Source, Tree};
use crate::Error;
use crate::command::options::Volume;
use crate::escape::escaped_os;
use loader::archive::TYPE_MASK;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

/// File systems without files of their own, which no directory tree should bring along:
/// `f_type` of statfs(2).
const PSEUDO_FILE_SYSTEMS: [u64; 7] = [
    0x9fa0,      // proc
    0x6265_6572, // sysfs
    0x1cd1,      // devpts
    0x0027_e0eb, // cgroup
    0x6367_7270, // cgroup2
    0x6462_6720, // debugfs
    0x7472_6163, // tracefs
];

/// Copies a directory of the host as the root of the guest.
pub(super) fn root(tree: &mut Tree, directory: &Path) -> Result<(), Error> {
    let shown = escaped_os(directory);
    match fs::metadata(directory) {
        Ok(metadata) if metadata.is_dir() => copy(tree, directory, Path::new("/")),
        Ok(_) => Err(Error::Failed(format!("--rootfs {shown}: not a directory"))),
        Err(error) => Err(Error::io(format_args!("--rootfs {shown}"), &error)),
    }
}

/// Copies a file or directory of the host into the place of whatever the guest has there.
pub(super) fn volume(tree: &mut Tree, volume: &Volume) -> Result<(), Error> {
    // Says what is wrong with the host's path before the guest's is looked at.
    fs::metadata(&volume.host).map_err(|error| cannot_read(&volume.host, &error))?;
    let place = tree.clear(&volume.guest).map_err(|error| error.at("--volume", &volume.guest))?;
    copy(tree, &volume.host, &place)
}

/// Copies a file, or a directory with everything in it, to a place where the guest has
/// nothing. A symbolic link `from` is followed, those inside are not.
fn copy(tree: &mut Tree, from: &Path, to: &Path) -> Result<(), Error> {
    let top = fs::metadata(from).map_err(|error| cannot_read(from, &error))?;
    let node = node_of(from, &top).map_err(|error| cannot_read(from, &error))?;
    let mut directories = Vec::new();
    if node.body == Body::Directory {
        directories.push((from.to_owned(), to.to_owned(), top.dev()));
    }
    tree.put(to, node);
    while let Some((from, to, device)) = directories.pop() {
        for entry in fs::read_dir(&from).map_err(|error| cannot_read(&from, &error))? {
            let entry = entry.map_err(|error| cannot_read(&from, &error))?;
            let (path, place) = (entry.path(), to.join(entry.file_name()));
            let metadata = entry.metadata().map_err(|error| cannot_read(&path, &error))?;
            if metadata.file_type().is_socket() {
                continue;
            }
            let node = node_of(&path, &metadata).map_err(|error| cannot_read(&path, &error))?;
            if node.body == Body::Directory && !is_pseudo(&path, &metadata, device) {
                directories.push((path, place.clone(), metadata.dev()));
            }
            tree.put(&place, node);
        }
    }
    Ok(())
}

/// Whether a pseudo file system is mounted here, in a directory of `device`.
fn is_pseudo(path: &Path, metadata: &Metadata, device: u64) -> bool {
    metadata.dev() != device
        && rustix::fs::statfs(path).is_ok_and(|found| {
            u64::try_from(found.f_type).is_ok_and(|kind| PSEUDO_FILE_SYSTEMS.contains(&kind))
        })
}

/// The node for a file of the host; `metadata` decides whether that is a symbolic link or its
/// target.
pub(super) fn node_of(path: &Path, metadata: &Metadata) -> io::Result<Node> {
    let kind = metadata.file_type();
    let body = if kind.is_dir() {
        Body::Directory
    } else if kind.is_file() {
        Body::File(Source::Host(PathBuf::from(path), metadata.len()))
    } else if kind.is_symlink() {
        Body::Link(fs::read_link(path)?.into_os_string())
    } else if kind.is_char_device() || kind.is_block_device() {
        let device = metadata.rdev();
        Body::Device(rustix::fs::major(device), rustix::fs::minor(device))
    } else {
        Body::Empty
    };
    let several = kind.is_file() && metadata.nlink() > 1;
    Ok(Node {
        mode: metadata.mode() & (TYPE_MASK | 0o7777),
        owner: (metadata.uid(), metadata.gid()),
        mtime_s: u32::try_from(metadata.mtime().max(0)).unwrap_or(u32::MAX),
        body,
        links: several.then(|| (metadata.dev(), metadata.ino())),
    })
}

fn cannot_read(path: &Path, error: &io::Error) -> Error {
    Error::io(format_args!("cannot read {}", escaped_os(path)), error)
}

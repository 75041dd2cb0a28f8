//! Files of the host, copied into the guest.

use super::tree::{Body, Node, PathError, Source, Tree};
use crate::Error;
use crate::command::options::Volume;
use crate::escape::escaped_os;
use loader::archive::TYPE_MASK;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

/// Copies a file of the host into the place of whatever the guest has there.
pub(super) fn volume(tree: &mut Tree, volume: &Volume, found: &Metadata) -> Result<(), Error> {
    let node = node_of(&volume.host, found).map_err(|error| cannot_read(&volume.host, &error))?;
    let at_fault = |error: PathError| error.at("--volume", &volume.guest);
    let place = tree.clear(&volume.guest).map_err(at_fault)?;
    tree.put(&place, node);
    if tree.is_shared(&place) {
        return Err(Error::Failed(format!(
            "--volume {}: it lies in a directory that is shared with the guest, which stays as \
             it is",
            escaped_os(&volume.guest)
        )));
    }
    Ok(())
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

pub(super) fn cannot_read(path: &Path, error: &io::Error) -> Error {
    Error::io(format_args!("cannot read {}", escaped_os(path)), error)
}

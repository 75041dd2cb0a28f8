//! Files of the host, brought to the same path in the guest.
//!
//! The way to a file is walked as the kernel would walk it, and every directory and symbolic
//! link on it is brought along, so that the path means in the guest what it means on the
//! host.

use super::copy::node_of;
use super::tree::{Body, MAX_LINKS, Tree, components};
use std::collections::VecDeque;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

/// Brings the file at an absolute path of the host. What the guest has already on the way
/// stays.
///
/// # Errors
/// The file, or something on the way to it, cannot be found or looked at, or the guest has
/// something else in its place.
pub(super) fn bring(tree: &mut Tree, path: &Path) -> io::Result<()> {
    let mut pending: VecDeque<OsString> = components(path).collect();
    // Where the way has led on the host and in the guest. They differ only where the guest
    // has a directory of its own in the place of a symbolic link.
    let (mut host, mut guest) = (PathBuf::from("/"), PathBuf::from("/"));
    let mut links = 0;
    while let Some(component) = pending.pop_front() {
        if component == ".." {
            host = host.canonicalize()?;
            host.pop();
            guest.pop();
            continue;
        }
        let (next_host, next_guest) = (host.join(&component), guest.join(&component));
        let node = node_of(&next_host, &std::fs::symlink_metadata(&next_host)?)?;
        if tree.at(&next_guest).is_none() {
            tree.put(&next_guest, node.clone());
        }
        match (tree.at(&next_guest).map(|node| &node.body), &node.body) {
            (Some(Body::Link(theirs)), Body::Link(target)) if theirs == target => {
                links += 1;
                if links > MAX_LINKS {
                    return Err(rustix::io::Errno::LOOP.into());
                }
                let target = Path::new(target);
                if target.is_absolute() {
                    (host, guest) = ("/".into(), "/".into());
                }
                for component in components(target).collect::<Vec<_>>().into_iter().rev() {
                    pending.push_front(component);
                }
            }
            (Some(Body::Directory), Body::Directory | Body::Link(_)) => {
                (host, guest) = (next_host, next_guest);
            }
            (Some(Body::File(_)), Body::File(_)) if pending.is_empty() => return Ok(()),
            (Some(_), Body::File(_)) if pending.is_empty() => {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            _ => return Err(io::ErrorKind::NotADirectory.into()),
        }
    }
    Err(io::ErrorKind::IsADirectory.into())
}

//! The host's `/usr`, for programs that depend on it.
//!
//! A dynamically linked program is a part of the system it was installed in: an interpreter
//! looks for its standard library there, a compiler for its headers, a shell for commands. No
//! file says which of it a program will need, so it sees all of `/usr`, read-only and without
//! a copy. A static program needs nothing, and gets nothing.

use super::bring::bring;
use super::shared::{self, Mount};
use super::tree::Tree;
use crate::Error;
use crate::command::options::{Network, RunOptions};
use std::path::{Path, PathBuf};

const USR: &str = "/usr";

/// Debian's choices between programs: links of `/usr` lead to links here, and back.
const ALTERNATIVES: &str = "/etc/alternatives";

/// Mounts `/usr`, unless the user wants none, has put something in its place or into it, or
/// the machine has no place left for a directory. What was brought to `/usr` lies there, too.
///
/// Whether it is there.
///
/// # Errors
/// The guest's own `/usr` is not a directory.
pub(super) fn share(tree: &mut Tree, options: &RunOptions) -> Result<bool, Error> {
    let is_taken = options.volumes.iter().any(|volume| volume.guest.starts_with(USR));
    if options.hide_usr || options.root.is_some() || is_taken {
        return Ok(false);
    }
    let Ok(mount) = Mount::new("the host's", "usr".into(), Path::new(USR), USR.into(), true) else {
        return Ok(false);
    };
    // The network goes before it.
    let is_networked = options.network != Network::None;
    if tree.mounts().len() + 1 + usize::from(is_networked) > shared::places(options) {
        return Ok(false);
    }
    tree.mount(mount).map_err(|error| error.at("the host's /usr as", Path::new(USR)))?;
    for link in links(Path::new(ALTERNATIVES)) {
        // One that leads nowhere on the host leads nowhere in the guest.
        let _ = bring(tree, &link);
    }
    Ok(true)
}

/// The symbolic links in a directory.
fn links(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| path.is_symlink()).collect()
}

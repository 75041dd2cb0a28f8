//! Directories of the host that the guest mounts (`--rootfs`, `-v`): nothing of them is
//! copied, but Birgus looks into them to find the program and what it needs.

use super::copy::node_of;
use super::network;
use super::tree::Node;
use crate::Error;
use crate::command::options::{MachineKind, RunOptions};
use crate::escape::escaped_os;
use std::cell::OnceCell;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Most directories that a `microvm` machine can serve: its places for devices, less the
/// console and the source of randomness; a network takes one of them.
const MICROVM_MAX: usize = 6;

/// Most directories that a `q35` machine can serve: the slots of its bus that are free.
const Q35_MAX: usize = 24;

/// A directory of the host that the guest mounts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// Its name between host and guest.
    pub tag: String,
    /// Its path on the host, absolute and without symbolic links.
    pub host: PathBuf,
    /// Its path in the guest, absolute.
    pub guest: PathBuf,
    /// Whether the guest may only read it.
    pub read_only: bool,
}

impl Mount {
    /// The directory `host`, which is option `option`.
    pub(super) fn new(
        option: &str,
        tag: String,
        host: &Path,
        guest: PathBuf,
        read_only: bool,
    ) -> Result<Self, Error> {
        let shown = escaped_os(host);
        let cannot = |error| Error::io(format_args!("{option} {shown}"), &error);
        let path = host.canonicalize().map_err(cannot)?;
        if !File::open(&path).and_then(|file| file.metadata()).map_err(cannot)?.is_dir() {
            return Err(Error::Failed(format!("{option} {shown}: not a directory")));
        }
        Ok(Self { tag, host: path, guest, read_only })
    }
}

/// How many devices the machine has places for, besides the console and the source of
/// randomness.
pub(super) fn places(options: &RunOptions) -> usize {
    match options.machine {
        MachineKind::Microvm => MICROVM_MAX,
        MachineKind::Q35 => Q35_MAX,
    }
}

/// Fails where the machine cannot serve so many directories.
pub(super) fn check_number(mounts: &[Mount], options: &RunOptions) -> Result<(), Error> {
    let max = places(options) - usize::from(network::is_asked_for(options));
    let more = match options.machine {
        MachineKind::Microvm => " (with --machine q35 there can be more)",
        MachineKind::Q35 => "",
    };
    if mounts.len() <= max {
        return Ok(());
    }
    Err(Error::Failed(format!(
        "{} directories are to be shared, and there can be {max}{more}",
        mounts.len()
    )))
}

/// The files of mounted directories that somebody has looked at: what is found once stays, as
/// long as this lives.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    first: OnceCell<Box<Known>>,
}

/// What is known of one path, and the next that somebody asked for.
#[derive(Clone, Debug)]
struct Known {
    path: Vec<u8>,
    node: Option<Node>,
    others: Seen,
}

impl Seen {
    /// The node at the path `key` of the guest, which is at `host` on the host.
    pub(super) fn node(&self, key: &[u8], host: &Path) -> Option<&Node> {
        let mut at = self;
        loop {
            let known = at.first.get_or_init(|| {
                let node = fs::symlink_metadata(host).and_then(|found| node_of(host, &found)).ok();
                Box::new(Known { path: key.to_vec(), node, others: Self::default() })
            });
            if known.path == key {
                return known.node.as_ref();
            }
            at = &known.others;
        }
    }
}

/// The path on the host of the path `key` of the guest; `None` where it is in none of the
/// mounts. The way has no symbolic links.
pub(super) fn host_path(mounts: &[Mount], key: &[u8]) -> Option<PathBuf> {
    let path = Path::new("/").join(OsStr::from_bytes(key));
    // What is mounted later lies on top.
    mounts.iter().rev().find_map(|mount| {
        let rest = path.strip_prefix(&mount.guest).ok()?;
        Some(if rest.as_os_str().is_empty() { mount.host.clone() } else { mount.host.join(rest) })
    })
}

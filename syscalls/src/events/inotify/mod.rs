//! Changes of files and directories, as events to read: inotify(7).
//!
//! Whoever changes something tells the [`Notifier`] of the system, which knows who watches
//! what. While nobody does, that costs one load. An [`Instance`] has the watches of one
//! descriptor and the queue of their events.

mod instance;
mod queue;
#[cfg(test)]
mod tests;

use alloc::collections::BTreeMap;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use abi::events::InotifyMask;
use abi::fs::{Device, FileType};
use spin::Mutex;

use crate::error::Result;
use crate::fs::{Inode, Location};

use instance::Watch;
pub(crate) use instance::{Instance, Presence};

/// Most instances that there can be (/proc/sys/fs/inotify/max_user_instances).
pub(crate) const MAX_INSTANCES: usize = 128;

/// Most watches that there can be (/proc/sys/fs/inotify/max_user_watches).
pub(crate) const MAX_WATCHES: usize = 65_536;

/// Most events that an instance keeps (/proc/sys/fs/inotify/max_queued_events).
pub(crate) const MAX_EVENTS: usize = 16_384;

/// What names a file: its file system and its number there.
type FileId = (Device, u64);

fn id_of(inode: &Arc<dyn Inode>) -> Result<FileId> {
    Ok((inode.file_system().device(), inode.metadata()?.number))
}

/// Who watches what.
#[derive(Default)]
pub(crate) struct Notifier {
    watches: Mutex<BTreeMap<FileId, Vec<Weak<Watch>>>>,
    /// How many watches there are.
    count: AtomicUsize,
    /// How many instances there are.
    instances: AtomicUsize,
    /// The latest number that ties the two events of a move together.
    cookie: AtomicU32,
}

impl Notifier {
    fn is_idle(&self) -> bool {
        self.count.load(Ordering::Relaxed) == 0
    }

    fn watches_of(&self, inode: &Arc<dyn Inode>) -> Vec<Arc<Watch>> {
        let Ok(id) = id_of(inode) else {
            return Vec::new();
        };
        let watches = self.watches.lock();
        watches.get(&id).map_or_else(Vec::new, |all| all.iter().filter_map(Weak::upgrade).collect())
    }

    /// Something has happened to a file: its own watches hear of it, and those of the directory
    /// that it was found in.
    pub(crate) fn happened(&self, at: &Location, event: InotifyMask) {
        if self.is_idle() {
            return;
        }
        let event = event | kind_flag(at.inode());
        if let Some(parent) = at.dentry.parent() {
            let name = at.dentry.name();
            for watch in self.watches_of(parent.inode()) {
                let is_out = at.dentry.is_removed() && watch.ignores_removed();
                if !is_out {
                    watch.tell(event, 0, &name);
                }
            }
        }
        self.happened_to(at.inode(), event);
    }

    /// Something has happened to a file, of which only its own watches hear.
    pub(crate) fn happened_to(&self, inode: &Arc<dyn Inode>, event: InotifyMask) {
        if self.is_idle() {
            return;
        }
        for watch in self.watches_of(inode) {
            watch.tell(event | kind_flag(inode), 0, b"");
        }
    }

    /// Something has happened to an entry of a directory.
    pub(crate) fn entry(
        &self,
        directory: &Arc<dyn Inode>,
        name: &[u8],
        inode: &Arc<dyn Inode>,
        event: InotifyMask,
    ) {
        self.entry_with(directory, name, inode, event, 0);
    }

    fn entry_with(
        &self,
        directory: &Arc<dyn Inode>,
        name: &[u8],
        inode: &Arc<dyn Inode>,
        event: InotifyMask,
        cookie: u32,
    ) {
        if self.is_idle() {
            return;
        }
        for watch in self.watches_of(directory) {
            watch.tell(event | kind_flag(inode), cookie, name);
        }
    }

    /// An entry has moved from one directory and name to another, where it may have replaced
    /// another one.
    pub(crate) fn moved(
        &self,
        inode: &Arc<dyn Inode>,
        from: (&Arc<dyn Inode>, &[u8]),
        to: (&Arc<dyn Inode>, &[u8]),
        replaced: Option<&Arc<dyn Inode>>,
    ) {
        if self.is_idle() {
            return;
        }
        let cookie = self.cookie.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        self.entry_with(from.0, from.1, inode, InotifyMask::MOVED_FROM, cookie);
        self.entry_with(to.0, to.1, inode, InotifyMask::MOVED_TO, cookie);
        if let Some(replaced) = replaced {
            self.happened_to(replaced, InotifyMask::ATTRIB);
        }
        // As on Linux, without a word on whether it is a directory.
        for watch in self.watches_of(inode) {
            watch.tell(InotifyMask::MOVE_SELF, 0, b"");
        }
        if let Some(replaced) = replaced {
            self.lost_name(replaced);
        }
    }

    /// A file has lost a name: it is gone where that was the last one.
    pub(crate) fn lost_name(&self, inode: &Arc<dyn Inode>) {
        if self.is_idle() {
            return;
        }
        let is_gone = inode.kind() == FileType::Directory
            || inode.metadata().is_ok_and(|metadata| metadata.links == 0);
        if is_gone {
            for watch in self.watches_of(inode) {
                watch.tell(InotifyMask::DELETE_SELF, 0, b"");
                watch.end();
            }
        }
    }

    fn add(&self, id: FileId, watch: &Arc<Watch>) {
        self.watches.lock().entry(id).or_default().push(Arc::downgrade(watch));
        self.count.fetch_add(1, Ordering::Relaxed);
    }

    fn remove(&self, id: FileId, watch: &Watch) {
        let mut watches = self.watches.lock();
        if let Some(all) = watches.get_mut(&id) {
            let before = all.len();
            all.retain(|one| !core::ptr::eq(one.as_ptr(), watch));
            self.count.fetch_sub(before - all.len(), Ordering::Relaxed);
            if all.is_empty() {
                watches.remove(&id);
            }
        }
    }
}

/// `IN_ISDIR` for a directory.
fn kind_flag(inode: &Arc<dyn Inode>) -> InotifyMask {
    match inode.kind() {
        FileType::Directory => InotifyMask::ISDIR,
        _ => InotifyMask::empty(),
    }
}

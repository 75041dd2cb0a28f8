//! Who is told of changes of files and directories: inotify(7), fanotify(7), and
//! `F_NOTIFY` of fcntl(2).
//!
//! Whoever changes something tells the [`Notifier`] of the system, which knows who watches
//! what, as a [`Listener`]. While nobody does, that costs one load.

use alloc::collections::BTreeMap;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use abi::events::InotifyMask;
use abi::fanotify::FanotifyMask;
use abi::fs::{Device, FileType};
use spin::Mutex;

use crate::error::Result;
use crate::fs::{Inode, Location};

use super::directory::DirectoryWatches;
use super::fanotify::{Actor, Entry, Groups, Happening};
use super::inotify::{MAX_INSTANCES, MAX_WATCHES};

/// What names a file: its file system and its number there.
pub(super) type FileId = (Device, u64);

pub(super) fn id_of(inode: &Arc<dyn Inode>) -> Result<FileId> {
    Ok((inode.file_system().device(), inode.metadata()?.number))
}

/// Who hears of what happens to one file or directory.
pub(super) trait Listener: Send + Sync {
    /// Whether it does not hear of files that have lost their names.
    fn ignores_removed(&self) -> bool {
        false
    }

    /// Something has happened to the file, or to the entry `name` of the directory.
    fn tell(&self, event: InotifyMask, cookie: u32, name: &[u8]);

    /// An entry of the directory has got another name there.
    fn renamed(&self) {}

    /// The file is gone.
    fn end(&self);
}

/// Who watches what.
pub(crate) struct Notifier {
    listeners: Mutex<BTreeMap<FileId, Vec<Weak<dyn Listener>>>>,
    /// How many listeners there are.
    pub(super) count: AtomicUsize,
    /// How many instances of inotify(7) there are.
    pub(super) instances: AtomicUsize,
    /// How many instances of inotify(7) there may be.
    pub(crate) max_instances: AtomicUsize,
    /// How many watches of inotify(7) there may be.
    pub(crate) max_watches: AtomicUsize,
    /// The groups of fanotify(7).
    pub(crate) fanotify: Groups,
    /// Who hears of directories by signals.
    pub(crate) directories: DirectoryWatches,
    /// The latest number that ties the two events of a move together.
    cookie: AtomicU32,
}

impl Default for Notifier {
    fn default() -> Self {
        Self {
            listeners: Mutex::default(),
            count: AtomicUsize::new(0),
            instances: AtomicUsize::new(0),
            max_instances: AtomicUsize::new(MAX_INSTANCES),
            max_watches: AtomicUsize::new(MAX_WATCHES),
            fanotify: Groups::default(),
            directories: DirectoryWatches::default(),
            cookie: AtomicU32::new(0),
        }
    }
}

impl Notifier {
    pub(super) fn is_idle(&self) -> bool {
        self.count.load(Ordering::Relaxed) == 0
    }

    /// Whether neither listeners nor groups of fanotify(7) hear of anything.
    fn is_silent(&self) -> bool {
        self.is_idle() && self.fanotify.is_idle()
    }

    fn listeners_to(&self, inode: &Arc<dyn Inode>) -> Vec<Arc<dyn Listener>> {
        if self.is_idle() {
            return Vec::new();
        }
        let Ok(id) = id_of(inode) else {
            return Vec::new();
        };
        let listeners = self.listeners.lock();
        let listeners = listeners.get(&id);
        listeners.map_or_else(Vec::new, |all| all.iter().filter_map(Weak::upgrade).collect())
    }

    /// Something has happened to a file: those who watch it hear of it, and those of the directory
    /// that it was found in.
    pub(crate) fn happened(&self, actor: Actor, at: &Location, event: InotifyMask) {
        self.happened_at(actor, at, event, FanotifyMask::from_bits_truncate(event.bits().into()));
    }

    /// A file was opened to be executed.
    pub(crate) fn opened_to_execute(&self, actor: Actor, at: &Location) {
        let told = FanotifyMask::OPEN | FanotifyMask::OPEN_EXEC;
        self.happened_at(actor, at, InotifyMask::OPEN, told);
    }

    fn happened_at(&self, actor: Actor, at: &Location, event: InotifyMask, told: FanotifyMask) {
        if self.is_silent() {
            return;
        }
        let event = event | kind_flag(at.inode());
        let (parent, name) = (at.dentry.parent(), at.dentry.name());
        if let Some(parent) = &parent {
            for listener in self.listeners_to(parent.inode()) {
                let is_out = at.dentry.is_removed() && listener.ignores_removed();
                if !is_out {
                    listener.tell(event, 0, &name);
                }
            }
        }
        self.tell_listeners(at.inode(), event);
        self.fanotify.tell(&Happening {
            at: Some(at),
            entry: parent.as_ref().map(|parent| Entry { directory: parent.inode(), name: &name }),
            ..Happening::to(actor, told, at.inode())
        });
    }

    fn tell_listeners(&self, inode: &Arc<dyn Inode>, event: InotifyMask) {
        for listener in self.listeners_to(inode) {
            listener.tell(event, 0, b"");
        }
    }

    /// Something has happened to a file, of which only those who watch itself hear.
    pub(crate) fn happened_to(&self, actor: Actor, inode: &Arc<dyn Inode>, event: InotifyMask) {
        if self.is_silent() {
            return;
        }
        self.tell_listeners(inode, event | kind_flag(inode));
        let told = FanotifyMask::from_bits_truncate(event.bits().into());
        self.fanotify.tell(&Happening::to(actor, told, inode));
    }

    /// Something has happened to an entry of a directory.
    pub(crate) fn entry(
        &self,
        actor: Actor,
        directory: &Arc<dyn Inode>,
        name: &[u8],
        inode: &Arc<dyn Inode>,
        event: InotifyMask,
    ) {
        self.entry_with(actor, Entry { directory, name }, inode, event, 0);
    }

    fn entry_with(
        &self,
        actor: Actor,
        entry: Entry<'_>,
        inode: &Arc<dyn Inode>,
        event: InotifyMask,
        cookie: u32,
    ) {
        if self.is_silent() {
            return;
        }
        for listener in self.listeners_to(entry.directory) {
            listener.tell(event | kind_flag(inode), cookie, entry.name);
        }
        let told = FanotifyMask::from_bits_truncate(event.bits().into());
        let happening = Happening::to(actor, told, inode);
        self.fanotify.tell(&Happening { entry: Some(entry), ..happening });
    }

    /// An entry has moved from one directory and name to another, where it may have replaced
    /// another one.
    pub(crate) fn moved(
        &self,
        actor: Actor,
        inode: &Arc<dyn Inode>,
        from: (&Arc<dyn Inode>, &[u8]),
        to: (&Arc<dyn Inode>, &[u8]),
        replaced: Option<&Arc<dyn Inode>>,
    ) {
        if self.is_silent() {
            return;
        }
        let cookie = self.cookie.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        let [from, to] = [from, to].map(|(directory, name)| Entry { directory, name });
        self.fanotify.tell(&Happening {
            entry: Some(from),
            to: Some(to),
            ..Happening::to(actor, FanotifyMask::RENAME, inode)
        });
        self.entry_with(actor, from, inode, InotifyMask::MOVED_FROM, cookie);
        self.entry_with(actor, to, inode, InotifyMask::MOVED_TO, cookie);
        if Arc::ptr_eq(from.directory, to.directory) {
            self.listeners_to(from.directory).iter().for_each(|listener| listener.renamed());
        }
        if let Some(replaced) = replaced {
            self.happened_to(actor, replaced, InotifyMask::ATTRIB);
        }
        // As on Linux, inotify has no word on whether it is a directory.
        self.tell_listeners(inode, InotifyMask::MOVE_SELF);
        self.fanotify.tell(&Happening::to(actor, FanotifyMask::MOVE_SELF, inode));
        if let Some(replaced) = replaced {
            self.lost_name(actor, replaced);
        }
    }

    /// A file has lost a name: it is gone where that was the last one.
    pub(crate) fn lost_name(&self, actor: Actor, inode: &Arc<dyn Inode>) {
        if self.is_silent() {
            return;
        }
        let is_gone = inode.kind() == FileType::Directory
            || inode.metadata().is_ok_and(|metadata| metadata.links == 0);
        if is_gone {
            for listener in self.listeners_to(inode) {
                listener.tell(InotifyMask::DELETE_SELF, 0, b"");
                listener.end();
            }
            self.fanotify.tell(&Happening::to(actor, FanotifyMask::DELETE_SELF, inode));
            self.fanotify.gone(inode);
        }
    }

    /// A file system is mounted nowhere any more: nothing happens to its files.
    pub(crate) fn unmounted(&self, device: Device) {
        if self.is_idle() {
            return;
        }
        let listeners: Vec<_> = {
            let all = self.listeners.lock();
            let of_device = all.range((device, 0)..=(device, u64::MAX));
            of_device.flat_map(|(_, listeners)| listeners).filter_map(Weak::upgrade).collect()
        };
        for listener in listeners {
            listener.tell(InotifyMask::UNMOUNT, 0, b"");
            listener.end();
        }
    }

    pub(super) fn add(&self, id: FileId, listener: Weak<dyn Listener>) {
        self.listeners.lock().entry(id).or_default().push(listener);
        self.count.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn remove(&self, id: FileId, listener: &dyn Listener) {
        let mut listeners = self.listeners.lock();
        if let Some(all) = listeners.get_mut(&id) {
            let before = all.len();
            all.retain(|one| !core::ptr::addr_eq(one.as_ptr(), listener));
            self.count.fetch_sub(before - all.len(), Ordering::Relaxed);
            if all.is_empty() {
                listeners.remove(&id);
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

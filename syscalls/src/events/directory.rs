//! Signals for changes in directories: fcntl(2), "File and directory change notification".
//!
//! A [`DirectoryWatch`] belongs to an open directory and the descriptors of one process, and
//! ends when any of these that refers to it is closed. Its signals are those of the open file:
//! [`ReadySignal`](crate::fs::ready_signal::ReadySignal).

use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicUsize, Ordering};

use abi::Errno;
use abi::events::{DirectoryEvents, InotifyMask};
use abi::fs::FileType;
use spin::Mutex;

use crate::context::Context;
use crate::error::{Because, Result};
use crate::fs::ready_signal::Owner;
use crate::fs::{Fd, FdTable, Inode, OpenFile};
use crate::system::System;

use super::notifier::{FileId, Listener, id_of};

/// The watches of all processes.
#[derive(Default)]
pub(crate) struct DirectoryWatches {
    watches: Mutex<Vec<Arc<DirectoryWatch>>>,
    /// Length of `watches`: closing a file costs one load while there are none.
    count: AtomicUsize,
}

/// What a process wants to hear of an open directory.
struct DirectoryWatch {
    id: FileId,
    /// Keeps the directory, so that its number is its own.
    _inode: Arc<dyn Inode>,
    open: Weak<OpenFile>,
    /// The descriptors, by [`FdTable::lock_owner`].
    files: usize,
    system: Weak<System>,
    /// The descriptor that signals name, and what is told.
    wanted: Mutex<(Fd, DirectoryEvents)>,
}

impl DirectoryWatches {
    /// Sends signals for the events of a directory from now on, or none any more where `events`
    /// names none: `F_NOTIFY`.
    ///
    /// # Errors
    /// `ENOTDIR`; `ENOMEM`.
    pub(crate) fn watch(
        &self,
        cx: &Context<'_>,
        (fd, open): (Fd, &Arc<OpenFile>),
        events: DirectoryEvents,
    ) -> Result<()> {
        let files = cx.files();
        if events.difference(DirectoryEvents::MULTISHOT).is_empty() {
            self.forget(cx.system, files, open);
            return Ok(());
        }
        let inode = open.file.inode();
        if inode.kind() != FileType::Directory {
            return Err(Errno::ENOTDIR.because("not a directory"));
        }
        let mut watches = self.watches.lock();
        if let Some(watch) = watches.iter().find(|watch| watch.is_of(files, open)) {
            let mut wanted = watch.wanted.lock();
            *wanted = (fd, wanted.1 | events);
        } else {
            watches.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
            let watch = Arc::new(DirectoryWatch {
                id: id_of(inode)?,
                _inode: inode.clone(),
                open: Arc::downgrade(open),
                files: files.lock_owner(),
                system: Arc::downgrade(cx.system),
                wanted: Mutex::new((fd, events)),
            });
            let listener: Weak<dyn Listener> = Arc::<DirectoryWatch>::downgrade(&watch);
            cx.system.notifier.add(watch.id, listener);
            watches.push(watch);
            self.count.store(watches.len(), Ordering::Relaxed);
        }
        drop(watches);
        let signal = open.ready_signal_of(cx.system);
        if signal.owner() == Owner::Nobody {
            signal.set_owner(Owner::Process(cx.process.id()), cx.process);
        }
        Ok(())
    }

    /// Sends no more signals for what these descriptors watch with this open directory.
    pub(crate) fn forget(&self, system: &System, files: &FdTable, open: &OpenFile) {
        if self.count.load(Ordering::Relaxed) != 0 {
            self.remove(system, |watch| watch.is_of(files, open));
        }
    }

    /// Ends the first watch of this kind.
    fn remove(&self, system: &System, is_meant: impl Fn(&DirectoryWatch) -> bool) {
        let mut watches = self.watches.lock();
        let Some(at) = watches.iter().position(|watch| is_meant(watch)) else { return };
        let watch = watches.swap_remove(at);
        self.count.store(watches.len(), Ordering::Relaxed);
        drop(watches);
        system.notifier.remove(watch.id, &*watch);
    }
}

impl DirectoryWatch {
    fn is_of(&self, files: &FdTable, open: &OpenFile) -> bool {
        core::ptr::eq(self.open.as_ptr(), open) && self.files == files.lock_owner()
    }

    /// Sends the signal, if `is_told` says that it is for one of the events that are told.
    fn send_if(&self, is_told: impl Fn(DirectoryEvents) -> bool) {
        let (fd, events) = *self.wanted.lock();
        let (Some(system), true) = (self.system.upgrade(), is_told(events)) else { return };
        let Some(open) = self.open.upgrade() else { return };
        if let Some(signal) = open.ready_signal() {
            signal.send_message(fd.0);
        }
        if !events.contains(DirectoryEvents::MULTISHOT) {
            let directories = &system.notifier.directories;
            directories.remove(&system, |watch| core::ptr::eq(watch, self));
        }
    }
}

impl Listener for DirectoryWatch {
    fn tell(&self, event: InotifyMask, _cookie: u32, _name: &[u8]) {
        self.send_if(|events| event.intersects(causes(events)));
    }

    fn renamed(&self) {
        self.send_if(|events| events.contains(DirectoryEvents::RENAME));
    }

    fn end(&self) {
        // An open directory that is gone changes no more.
    }
}

/// What happens for these events to be told, beside renaming.
fn causes(events: DirectoryEvents) -> InotifyMask {
    use DirectoryEvents as D;
    use InotifyMask as M;
    let all = [
        (D::ACCESS, M::ACCESS),
        (D::MODIFY, M::MODIFY),
        (D::ATTRIB, M::ATTRIB),
        (D::CREATE, M::CREATE | M::MOVED_TO),
        (D::DELETE, M::DELETE | M::MOVED_FROM),
    ];
    let told = all.iter().filter(|(event, _)| events.contains(*event));
    told.fold(M::empty(), |causes, (_, cause)| causes | *cause)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::kit::{self, Kit};

    const F_NOTIFY: u64 = 1026;

    fn notify(kit: &Kit, fd: u64, events: DirectoryEvents) -> Result<u64, Errno> {
        kit.call("fcntl", [fd, F_NOTIFY, u64::from(events.bits()), 0, 0, 0])
    }

    fn open(kit: &Kit, path: &str, flags: u64) -> u64 {
        let path = kit.string(path);
        kit.call("open", [path, flags, 0o700, 0, 0, 0]).unwrap()
    }

    fn count(kit: &Kit) -> usize {
        kit.system.notifier.directories.watches.lock().len()
    }

    #[test]
    fn watches_end_with_any_descriptor_of_the_directory() {
        let kit = kit::process();
        let fd = open(&kit, "/", 0);
        assert_eq!(notify(&kit, fd, DirectoryEvents::CREATE), Ok(0));
        assert_eq!(notify(&kit, fd, DirectoryEvents::DELETE), Ok(0));
        assert_eq!(count(&kit), 1);
        let copy = kit.call("dup", [fd, 0, 0, 0, 0, 0]).unwrap();
        assert_eq!(kit.call("close", [copy, 0, 0, 0, 0, 0]), Ok(0));
        assert_eq!(count(&kit), 0);
    }

    #[test]
    fn one_event_ends_a_watch_that_does_not_go_on() {
        let kit = kit::process();
        let ignore = kit.put_value(&[1_u64, 0, 0, 0]);
        assert_eq!(kit.call("rt_sigaction", [29, ignore, 0, 8, 0, 0]), Ok(0));
        let fd = open(&kit, "/", 0);
        assert_eq!(notify(&kit, fd, DirectoryEvents::CREATE), Ok(0));
        open(&kit, "/one", 0o101);
        assert_eq!(count(&kit), 0);
        assert_eq!(notify(&kit, fd, DirectoryEvents::CREATE | DirectoryEvents::MULTISHOT), Ok(0));
        open(&kit, "/two", 0o101);
        assert_eq!(count(&kit), 1);
        assert_eq!(notify(&kit, fd, DirectoryEvents::empty()), Ok(0));
        assert_eq!(count(&kit), 0);
    }

    #[test]
    fn only_directories_are_watched() {
        let kit = kit::process();
        let fd = open(&kit, "/file", 0o101);
        assert_eq!(notify(&kit, fd, DirectoryEvents::MULTISHOT), Ok(0));
        assert_eq!(notify(&kit, fd, DirectoryEvents::ACCESS), Err(Errno::ENOTDIR));
    }
}

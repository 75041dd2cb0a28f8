//! An instance of inotify(7): its watches, and the file that its events are read from.

use alloc::collections::BTreeMap;
use alloc::sync::{Arc, Weak};
use core::fmt;
use core::sync::atomic::{AtomicU32, Ordering};

use abi::Errno;
use abi::events::InotifyMask;
use abi::fs::OpenFlags;
use spin::Mutex;

use crate::context::Context;
use crate::error::{Because, Result};
use crate::fs::{File, Inode, OpenFile, PollEvents, Positions, anonymous};
use crate::io::Sink;
use crate::system::System;
use crate::wait::{Patience, WaitQueue};

use super::super::notifier::{FileId, Listener, id_of};
use super::queue::{Event, Queue};

const READABLE: PollEvents = PollEvents::IN.union(PollEvents::RDNORM);

/// What becomes of a watch of the same file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Presence {
    /// It gets the new events.
    Replace,
    /// It gets the new events, too: `IN_MASK_ADD`.
    Add,
    /// There must be none: `IN_MASK_CREATE`.
    Refuse,
}

/// An instance.
pub struct Instance {
    inode: Arc<dyn Inode>,
    system: Weak<System>,
    state: Arc<State>,
}

/// What watches tell their events to.
pub(super) struct State {
    watches: Mutex<Watches>,
    queue: Mutex<Queue>,
    /// Woken when there is an event.
    changed: WaitQueue,
}

#[derive(Default)]
struct Watches {
    by_number: BTreeMap<i32, Arc<Watch>>,
    last: i32,
}

/// One file that an instance watches.
pub(super) struct Watch {
    number: i32,
    id: FileId,
    /// Keeps the file, so that its number is its own.
    _inode: Arc<dyn Inode>,
    mask: AtomicU32,
    state: Weak<State>,
    system: Weak<System>,
}

impl Watch {
    fn mask(&self) -> InotifyMask {
        InotifyMask::from_bits_retain(self.mask.load(Ordering::Relaxed))
    }

    fn forget(&self) {
        if let Some(system) = self.system.upgrade() {
            system.notifier.remove(self.id, self);
        }
    }
}

impl Listener for Watch {
    fn ignores_removed(&self) -> bool {
        self.mask().contains(InotifyMask::EXCL_UNLINK)
    }

    /// Queues an event, if it is watched for.
    fn tell(&self, event: InotifyMask, cookie: u32, name: &[u8]) {
        let mask = self.mask();
        let Some(state) = self.state.upgrade() else {
            return;
        };
        if !event.intersects(mask.intersection(InotifyMask::ALL_EVENTS) | InotifyMask::UNMOUNT) {
            return;
        }
        state.push(Event { watch: self.number, mask: event, cookie, name: name.to_vec() });
        if mask.contains(InotifyMask::ONESHOT) {
            self.end();
        }
    }

    /// Ends it, which is an event, too.
    fn end(&self) {
        let Some(state) = self.state.upgrade() else {
            return;
        };
        let removed = state.watches.lock().by_number.remove(&self.number);
        if removed.is_some() {
            self.forget();
            let (mask, cookie) = (InotifyMask::IGNORED, 0);
            state.push(Event { watch: self.number, mask, cookie, name: alloc::vec::Vec::new() });
        }
    }
}

impl State {
    fn push(&self, event: Event) {
        self.queue.lock().push(event);
        self.changed.wake(READABLE);
    }
}

impl Instance {
    /// A new instance as an open file; `flags` may have `O_NONBLOCK`.
    ///
    /// # Errors
    /// `EMFILE` when there are too many.
    pub(crate) fn open(cx: &Context<'_>, flags: OpenFlags) -> Result<Arc<OpenFile>> {
        let instances = &cx.system.notifier.instances;
        let max = cx.system.notifier.max_instances.load(Ordering::Relaxed);
        if instances.fetch_add(1, Ordering::Relaxed) >= max {
            instances.fetch_sub(1, Ordering::Relaxed);
            return Err(Errno::EMFILE.because("too many instances"));
        }
        let state =
            State { watches: Mutex::default(), queue: Mutex::default(), changed: WaitQueue::new() };
        let instance = Self {
            inode: anonymous::inode("inotify"),
            system: Arc::downgrade(cx.system),
            state: Arc::new(state),
        };
        Ok(Arc::new(OpenFile::new(Arc::new(instance), flags)))
    }

    /// Watches a file; returns the number of the watch.
    ///
    /// # Errors
    /// `EEXIST` as `presence` says; `ENOSPC` when there are too many watches.
    pub(crate) fn watch(
        &self,
        cx: &Context<'_>,
        inode: &Arc<dyn Inode>,
        mask: InotifyMask,
        presence: Presence,
    ) -> Result<i32> {
        let id = id_of(inode)?;
        let notifier = &cx.system.notifier;
        let mut watches = self.state.watches.lock();
        if let Some(watch) = watches.by_number.values().find(|watch| watch.id == id) {
            let new = match presence {
                Presence::Replace => mask,
                Presence::Add => watch.mask() | mask,
                Presence::Refuse => return Err(Errno::EEXIST.because("the file is watched")),
            };
            watch.mask.store(new.bits(), Ordering::Relaxed);
            return Ok(watch.number);
        }
        if notifier.count.load(Ordering::Relaxed) >= notifier.max_watches.load(Ordering::Relaxed) {
            return Err(Errno::ENOSPC.because("too many watches"));
        }
        watches.last += 1;
        let number = watches.last;
        let watch = Arc::new(Watch {
            number,
            id,
            _inode: inode.clone(),
            mask: AtomicU32::new(mask.bits()),
            state: Arc::downgrade(&self.state),
            system: self.system.clone(),
        });
        watches.by_number.insert(number, watch.clone());
        drop(watches);
        let listener: Weak<dyn Listener> = Arc::<Watch>::downgrade(&watch);
        notifier.add(id, listener);
        Ok(number)
    }

    /// Ends a watch.
    ///
    /// # Errors
    /// `EINVAL` when there is none with this number.
    pub(crate) fn unwatch(&self, number: i32) -> Result<()> {
        let watch = self.state.watches.lock().by_number.get(&number).cloned();
        watch.ok_or_else(|| Errno::EINVAL.because("there is no such watch"))?.end();
        Ok(())
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        let watches = core::mem::take(&mut self.state.watches.lock().by_number);
        for watch in watches.values() {
            watch.forget();
        }
        if let Some(system) = self.system.upgrade() {
            system.notifier.instances.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl File for Instance {
    fn inode(&self) -> &Arc<dyn Inode> {
        &self.inode
    }

    fn positions(&self) -> Positions {
        Positions::Ignored
    }

    fn read(
        &self,
        cx: &Context<'_>,
        open: &OpenFile,
        _offset: u64,
        to: &mut dyn Sink,
    ) -> Result<usize> {
        let mut done = 0;
        loop {
            let room = to.remaining();
            let look = || match self.state.queue.lock().take(room) {
                Ok(event) => Ok(event),
                Err(_) => Err(Errno::EINVAL.because("no room for the next event")),
            };
            let patience = if done > 0 { Patience::None } else { open.patience() };
            match cx.block_on(&[&self.state.changed], patience, look) {
                Ok(bytes) => done += to.put(&bytes)?,
                Err(error) if done == 0 => return Err(error),
                Err(_) => return Ok(done),
            }
        }
    }

    fn readable_bytes(&self) -> Result<usize> {
        Ok(self.state.queue.lock().bytes())
    }

    fn poll(&self) -> PollEvents {
        if self.state.queue.lock().is_empty() { PollEvents::empty() } else { READABLE }
    }

    fn wait_queue(&self) -> Option<&WaitQueue> {
        Some(&self.state.changed)
    }

    fn inotify(&self) -> Option<&Instance> {
        Some(self)
    }

    fn describe(&self, _: &Context<'_>, out: &mut dyn fmt::Write) -> fmt::Result {
        for watch in self.state.watches.lock().by_number.values() {
            let (device, number) = watch.id;
            writeln!(
                out,
                "inotify wd:{:x} ino:{number:x} sdev:{:x} mask:{:x} ignored_mask:0 ",
                watch.number,
                device.major << 20 | device.minor,
                watch.mask().bits(),
            )?;
        }
        Ok(())
    }
}

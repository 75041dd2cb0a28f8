//! One file that an epoll instance watches.

use alloc::sync::{Arc, Weak};
use core::fmt;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use abi::events::{EpollEvent, EpollFlags};

use crate::fs::{File, OpenFile, PollEvents};
use crate::wait::{Observer, Sharing};

use super::ready::Ready;
use super::{Epoll, Key};

/// One file that an epoll instance watches.
pub(crate) struct Interest {
    this: Weak<Self>,
    key: Key,
    epoll: Weak<Epoll>,
    ready: Arc<Ready>,
    open: Weak<OpenFile>,
    /// The file as its watcher sees it, where that is not the same for all.
    view: Option<Arc<dyn File>>,
    /// Events of poll(2) and [`EpollFlags`].
    wanted: AtomicU32,
    data: AtomicU64,
    /// Whether it is in the queue; changes under the lock of that.
    is_queued: AtomicBool,
    /// Whether it has been removed.
    has_ended: AtomicBool,
}

impl Interest {
    pub(super) fn new(
        epoll: &Arc<Epoll>,
        key: Key,
        open: Weak<OpenFile>,
        view: Option<Arc<dyn File>>,
        event: EpollEvent,
    ) -> Arc<Self> {
        Arc::new_cyclic(|this| Self {
            this: this.clone(),
            key,
            epoll: Arc::downgrade(epoll),
            ready: epoll.ready.clone(),
            open,
            view,
            wanted: AtomicU32::new(event.events),
            data: AtomicU64::new(event.data),
            is_queued: AtomicBool::new(false),
            has_ended: AtomicBool::new(false),
        })
    }

    /// The open file, until its last descriptor is closed.
    pub(super) fn open(&self) -> Option<Arc<OpenFile>> {
        self.open.upgrade()
    }

    /// Who watches.
    pub(super) fn epoll(&self) -> Option<Arc<Epoll>> {
        self.epoll.upgrade()
    }

    fn flags(&self) -> EpollFlags {
        EpollFlags::from_bits_truncate(self.wanted.load(Ordering::SeqCst))
    }

    fn events(&self) -> PollEvents {
        PollEvents::from_bits_truncate(self.wanted.load(Ordering::SeqCst))
    }

    pub(super) fn is_exclusive(&self) -> bool {
        self.flags().contains(EpollFlags::EXCLUSIVE)
    }

    /// Says what is watched for.
    pub(super) fn set(&self, event: EpollEvent) {
        self.data.store(event.data, Ordering::SeqCst);
        self.wanted.store(event.events, Ordering::SeqCst);
    }

    /// Notes whether it is in the queue; returns whether it was.
    pub(super) fn set_queued(&self, queued: bool) -> bool {
        self.is_queued.swap(queued, Ordering::SeqCst)
    }

    fn file<'a>(&'a self, open: &'a OpenFile) -> &'a dyn File {
        self.view.as_ref().map_or(&*open.file, |view| &**view)
    }

    /// Begins to hear of the file.
    pub(super) fn begin(&self, open: &OpenFile, sharing: Sharing) {
        let observer: Weak<dyn Observer> = self.this.clone();
        if let Some(queue) = self.file(open).wait_queue() {
            queue.observe(observer, sharing);
        }
        open.add_watcher(self.this.clone());
        if self.has_ended.load(Ordering::SeqCst) {
            self.end(open);
        }
    }

    /// Hears of the file no more.
    pub(super) fn end(&self, open: &OpenFile) {
        self.has_ended.store(true, Ordering::SeqCst);
        let observer: *const dyn Observer = core::ptr::from_ref(self);
        if let Some(queue) = self.file(open).wait_queue() {
            queue.forget(observer);
        }
    }

    /// The last descriptor of the file is closed.
    pub(crate) fn file_closed(&self, open: &OpenFile) {
        self.end(open);
        if let Some(epoll) = self.epoll.upgrade() {
            epoll.drop_interest(self.key);
        }
    }

    /// Queues it if there is an event already.
    pub(super) fn look(&self) {
        if self.event().events != 0
            && let Some(this) = self.this.upgrade()
        {
            self.ready.add(&this);
        }
    }

    /// What is watched for and true of the file now; no events when there are none.
    pub(super) fn event(&self) -> EpollEvent {
        let events = match self.open.upgrade() {
            Some(open) if !self.has_ended.load(Ordering::SeqCst) => {
                self.file(&open).poll() & self.events()
            }
            _ => PollEvents::empty(),
        };
        EpollEvent { events: events.bits(), data: self.data.load(Ordering::SeqCst) }
    }

    /// The application was told of an event; returns whether it is to be told again as long as
    /// that is true.
    pub(super) fn was_told(&self) -> bool {
        let flags = self.flags();
        if flags.contains(EpollFlags::ONESHOT) {
            self.wanted.store(flags.bits(), Ordering::SeqCst);
            return false;
        }
        !flags.contains(EpollFlags::ET)
    }

    /// Its line in /proc/PID/fdinfo.
    pub(super) fn describe(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        let Some(open) = self.open.upgrade() else {
            return Ok(());
        };
        let inode = open.file.inode();
        let number = inode.metadata().map_or(0, |metadata| metadata.number);
        let device = inode.file_system().device();
        writeln!(
            out,
            "tfd: {:8} events: {:8x} data: {:16x}  pos:{} ino:{:x} sdev:{:x}",
            self.key.0,
            self.wanted.load(Ordering::SeqCst),
            self.data.load(Ordering::SeqCst),
            open.position(),
            number,
            device.major << 20 | device.minor,
        )
    }
}

impl Observer for Interest {
    fn notify(&self, events: PollEvents) -> bool {
        let is_wanted = events.intersects(self.events());
        match self.this.upgrade() {
            Some(this) if is_wanted && !self.has_ended.load(Ordering::SeqCst) => {
                self.ready.add(&this)
            }
            _ => false,
        }
    }
}

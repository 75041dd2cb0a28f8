//! Waiting for the events of many files: epoll(7).
//!
//! An [`Epoll`] has an [`Interest`] for each file that it watches. Each interest observes the
//! wait queue of its file; when that is woken the interest goes to the [`Ready`] queue. So what
//! a wait costs depends on how many files have news, never on how many are watched. Whether an
//! event is still true is asked of the file when it is told.
//!
//! An interest ends with the last descriptor of its file: [`OpenFile`] knows who watches it.

mod interest;
mod nesting;
mod ready;
#[cfg(test)]
mod tests;

use alloc::collections::BTreeMap;
use alloc::sync::{Arc, Weak};
use core::fmt;

use abi::Errno;
use abi::events::{EpollEvent, EpollFlags};
use spin::{Mutex, Once};

use crate::context::Context;
use crate::error::{Because, Result};
use crate::fs::{Fd, File, Inode, OpenFile, PollEvents, Positions, anonymous};
use crate::user::UserPtr;
use crate::wait::{Interruption, Sharing, WaitQueue};

pub(crate) use interest::Interest;
use ready::{Ready, Taken};

/// Events of an interest that only a file which is watched by several instances may have with
/// `EPOLLEXCLUSIVE`.
const EXCLUSIVE_OK: u32 =
    PollEvents::IN.union(PollEvents::OUT).union(PollEvents::ERR).union(PollEvents::HUP).bits()
        | EpollFlags::WAKEUP.bits()
        | EpollFlags::ET.bits()
        | EpollFlags::EXCLUSIVE.bits();

/// Events that are always watched for.
const ALWAYS: u32 = PollEvents::ERR.union(PollEvents::HUP).bits();

/// What an interest is for: a descriptor, and the address of the open file behind it. The same
/// number may come to mean another file while a duplicate keeps the first one open.
type Key = (i32, usize);

fn key(fd: Fd, open: &Arc<OpenFile>) -> Key {
    (fd.0, Arc::as_ptr(open).addr())
}

/// An epoll instance.
pub struct Epoll {
    interests: Mutex<BTreeMap<Key, Arc<Interest>>>,
    ready: Arc<Ready>,
    /// The open file that it is.
    open: Once<Weak<OpenFile>>,
}

impl Epoll {
    /// A new instance that watches nothing, as an open file.
    pub(crate) fn open() -> Arc<OpenFile> {
        let epoll = Arc::new(Self {
            interests: Mutex::new(BTreeMap::new()),
            ready: Arc::new(Ready::default()),
            open: Once::new(),
        });
        let inode = anonymous::inode("[eventpoll]");
        let file = Arc::new(EpollFile { epoll: epoll.clone(), inode });
        let open = Arc::new(OpenFile::new(file, abi::fs::OpenFlags::RDWR));
        epoll.open.call_once(|| Arc::downgrade(&open));
        open
    }

    /// `EPOLL_CTL_ADD`: watches `open`, which `fd` refers to.
    ///
    /// # Errors
    /// `EEXIST`; `EINVAL` for events that do not go with `EPOLLEXCLUSIVE`; `ELOOP` where
    /// instances would watch each other or too many in a row; `ENOMEM`.
    pub(crate) fn add(
        self: &Arc<Self>,
        cx: &Context<'_>,
        fd: Fd,
        open: &Arc<OpenFile>,
        event: EpollEvent,
    ) -> Result<()> {
        let is_exclusive = event.events & EpollFlags::EXCLUSIVE.bits() != 0;
        let target = open.file.epoll();
        if is_exclusive && (target.is_some() || event.events & !EXCLUSIVE_OK != 0) {
            return Err(Errno::EINVAL.because("events that do not go with EPOLLEXCLUSIVE"));
        }
        if let Some(target) = target {
            nesting::check(self, target)?;
        }
        let event = EpollEvent { events: event.events | ALWAYS, data: event.data };
        let view = open.file.seen_by(cx);
        let interest = Interest::new(self, key(fd, open), Arc::downgrade(open), view, event);
        {
            let mut interests = self.interests.lock();
            if interests.contains_key(&key(fd, open)) {
                return Err(Errno::EEXIST.because("the file is watched already"));
            }
            self.ready.reserve(interests.len() + 1)?;
            interests.insert(key(fd, open), interest.clone());
        }
        let sharing = if is_exclusive { Sharing::First } else { Sharing::All };
        interest.begin(open, sharing);
        interest.look();
        Ok(())
    }

    /// `EPOLL_CTL_MOD`: watches `open`, which `fd` refers to, for other events.
    ///
    /// # Errors
    /// `ENOENT` when it is not watched; `EINVAL` with `EPOLLEXCLUSIVE`, old or new.
    pub(crate) fn modify(&self, fd: Fd, open: &Arc<OpenFile>, event: EpollEvent) -> Result<()> {
        let exclusive = || Errno::EINVAL.because("EPOLLEXCLUSIVE cannot be changed");
        if event.events & EpollFlags::EXCLUSIVE.bits() != 0 {
            return Err(exclusive());
        }
        let interest = self.interests.lock().get(&key(fd, open)).cloned();
        let interest = interest.ok_or_else(not_watched)?;
        if interest.is_exclusive() {
            return Err(exclusive());
        }
        interest.set(EpollEvent { events: event.events | ALWAYS, data: event.data });
        interest.look();
        Ok(())
    }

    /// `EPOLL_CTL_DEL`: does not watch `open`, which `fd` refers to, any more.
    ///
    /// # Errors
    /// `ENOENT` when it is not watched.
    pub(crate) fn delete(&self, fd: Fd, open: &Arc<OpenFile>) -> Result<()> {
        let removed = self.interests.lock().remove(&key(fd, open));
        let interest = removed.ok_or_else(not_watched)?;
        interest.end(open);
        open.forget_watcher(&interest);
        Ok(())
    }

    /// Removes the interest with this key, whose file is closed.
    fn drop_interest(&self, key: Key) {
        let removed = self.interests.lock().remove(&key);
        drop(removed);
    }

    /// Waits for events up to the monotonic `deadline_ns`, and stores up to `count` of them.
    ///
    /// # Errors
    /// `EINTR` when a signal is to be delivered first; `EFAULT`.
    pub(crate) fn wait(
        &self,
        cx: &Context<'_>,
        to: UserPtr<EpollEvent>,
        count: usize,
        deadline_ns: Option<u64>,
    ) -> Result<usize> {
        let harvest = || {
            let told = self.harvest(cx, to, count)?;
            Ok((told > 0).then_some(told))
        };
        if deadline_ns == Some(0) {
            return Ok(harvest()?.unwrap_or(0));
        }
        let queues = [self.ready.waiting()];
        let told = cx.wait_until(&queues, deadline_ns, Interruption::Fail, harvest)?;
        Ok(told.unwrap_or(0))
    }

    /// Stores what is true of the files that had news, up to `count` of them.
    fn harvest(&self, cx: &Context<'_>, to: UserPtr<EpollEvent>, count: usize) -> Result<usize> {
        let mut told = 0;
        // Those that come back to the end of the queue are not asked twice.
        for _ in 0..self.ready.len() {
            if told == count {
                break;
            }
            let interest = match self.ready.take() {
                Taken::Interest(interest) => interest,
                Taken::Gone => continue,
                Taken::Nothing => break,
            };
            let event = interest.event();
            if event.events == 0 {
                continue;
            }
            if let Err(error) = to.element(told).write(cx, &event) {
                self.ready.put_back(&interest);
                return if told > 0 { Ok(told) } else { Err(error) };
            }
            told += 1;
            if interest.was_told() {
                self.ready.put_back(&interest);
            }
        }
        Ok(told)
    }

    /// Whether a file that is watched has an event.
    fn has_event(&self) -> bool {
        for _ in 0..self.ready.len() {
            let interest = match self.ready.take() {
                Taken::Interest(interest) => interest,
                Taken::Gone => continue,
                Taken::Nothing => return false,
            };
            if interest.event().events != 0 {
                self.ready.put_back(&interest);
                return true;
            }
        }
        false
    }

    fn all(&self) -> alloc::vec::Vec<Arc<Interest>> {
        self.interests.lock().values().cloned().collect()
    }
}

impl Drop for Epoll {
    fn drop(&mut self) {
        for interest in self.interests.get_mut().values() {
            if let Some(open) = interest.open() {
                interest.end(&open);
                open.forget_watcher(interest);
            }
        }
    }
}

fn not_watched() -> crate::error::Error {
    Errno::ENOENT.because("the file is not watched")
}

/// An epoll instance that descriptors refer to.
struct EpollFile {
    epoll: Arc<Epoll>,
    inode: Arc<dyn Inode>,
}

impl File for EpollFile {
    fn inode(&self) -> &Arc<dyn Inode> {
        &self.inode
    }

    fn positions(&self) -> Positions {
        Positions::Ignored
    }

    fn epoll(&self) -> Option<&Arc<Epoll>> {
        Some(&self.epoll)
    }

    fn poll(&self) -> PollEvents {
        if self.epoll.has_event() {
            PollEvents::IN | PollEvents::RDNORM
        } else {
            PollEvents::empty()
        }
    }

    fn wait_queue(&self) -> Option<&WaitQueue> {
        Some(self.epoll.ready.polled())
    }

    fn describe(&self, _: &Context<'_>, out: &mut dyn fmt::Write) -> fmt::Result {
        for interest in self.epoll.all() {
            interest.describe(out)?;
        }
        Ok(())
    }
}

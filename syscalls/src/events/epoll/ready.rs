//! The queue of what has news.

use alloc::collections::VecDeque;
use alloc::sync::{Arc, Weak};

use abi::Errno;
use spin::Mutex;

use crate::error::Result;
use crate::fs::PollEvents;
use crate::wait::WaitQueue;

use super::Interest;

/// Interests whose files have news, each of them once, and who waits for that.
#[derive(Default)]
pub(super) struct Ready {
    queue: Mutex<VecDeque<Weak<Interest>>>,
    /// Threads in epoll_wait(2).
    waiting: WaitQueue,
    /// Who polls the instance itself.
    polled: WaitQueue,
}

/// What was first in the queue.
pub(super) enum Taken {
    /// Nothing is queued.
    Nothing,
    /// An interest that has been removed.
    Gone,
    /// An interest that had news.
    Interest(Arc<Interest>),
}

impl Ready {
    /// Makes room for `count` interests, so that news never need memory.
    pub(super) fn reserve(&self, count: usize) -> Result<()> {
        let mut queue = self.queue.lock();
        let missing = count.saturating_sub(queue.len());
        queue.try_reserve(missing).map_err(|_| Errno::ENOMEM)?;
        Ok(())
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.queue.lock().len()
    }

    /// Adds an interest that has news; returns whether that woke a thread.
    pub(super) fn add(&self, interest: &Arc<Interest>) -> bool {
        self.enqueue(interest);
        let wakes = self.waiting.has_waiters();
        self.waiting.wake_all();
        self.polled.wake(PollEvents::IN | PollEvents::RDNORM);
        wakes
    }

    /// Adds an interest that was taken, and may still have an event to tell.
    pub(super) fn put_back(&self, interest: &Arc<Interest>) {
        self.enqueue(interest);
        self.waiting.wake_all();
    }

    fn enqueue(&self, interest: &Arc<Interest>) {
        let mut queue = self.queue.lock();
        if !interest.set_queued(true) {
            queue.push_back(Arc::downgrade(interest));
        }
    }

    /// Takes the first interest. News that come from now on queue it again.
    pub(super) fn take(&self) -> Taken {
        let mut queue = self.queue.lock();
        let Some(first) = queue.pop_front() else {
            return Taken::Nothing;
        };
        match first.upgrade() {
            Some(interest) => {
                interest.set_queued(false);
                Taken::Interest(interest)
            }
            None => Taken::Gone,
        }
    }

    /// Where threads wait for news.
    pub(super) fn waiting(&self) -> &WaitQueue {
        &self.waiting
    }

    /// Where those wait who poll the instance.
    pub(super) fn polled(&self) -> &WaitQueue {
        &self.polled
    }
}

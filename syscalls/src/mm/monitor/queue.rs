//! What a monitor has not answered yet.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Range;

use abi::userfault::Message;

use crate::process::Thread;

use super::Monitor;
use super::tell::Change;

/// Faults and changes that wait, each with a ticket of its own.
#[derive(Default)]
pub(super) struct Queue {
    is_released: bool,
    last_ticket: u64,
    faults: Vec<Fault>,
    changes: VecDeque<(u64, Change, Arc<Thread>)>,
    /// How many changes are on their way, told or not yet: pages are not filled meanwhile.
    changing: usize,
}

/// A fault that waits.
struct Fault {
    ticket: u64,
    page: u64,
    message: Message,
    thread: Arc<Thread>,
    is_read: bool,
}

/// What is read from a monitor.
pub(crate) enum News {
    /// It says all.
    Message(Message),
    /// There is a child with such a monitor. The change goes on once [`Monitor::was_read`].
    Child(u64, Arc<Monitor>),
}

impl Queue {
    /// Lets everybody go on, for ever; returns who waits.
    pub(super) fn release(&mut self) -> Vec<Arc<Thread>> {
        self.is_released = true;
        let changes = self.changes.drain(..).map(|(.., thread)| thread);
        self.faults.drain(..).map(|fault| fault.thread).chain(changes).collect()
    }

    fn ticket(&mut self) -> u64 {
        self.last_ticket += 1;
        self.last_ticket
    }

    /// Adds a fault of the page at `page`; its ticket, unless nobody is there to resolve it.
    pub(super) fn add_fault(
        &mut self,
        page: u64,
        message: Message,
        thread: &Arc<Thread>,
    ) -> Option<u64> {
        if self.is_released {
            return None;
        }
        let ticket = self.ticket();
        self.faults.push(Fault { ticket, page, message, thread: thread.clone(), is_read: false });
        Some(ticket)
    }

    /// Adds a change; its ticket, unless nobody is there to hear of it.
    pub(super) fn add_change(&mut self, change: Change, thread: &Arc<Thread>) -> Option<u64> {
        if self.is_released {
            return None;
        }
        let ticket = self.ticket();
        self.changes.push_back((ticket, change, thread.clone()));
        Some(ticket)
    }

    /// Notes that a change is on its way.
    pub(super) fn begin_change(&mut self) {
        self.changing += 1;
    }

    /// Notes that a change is no longer on its way.
    pub(super) fn end_change(&mut self) {
        self.changing -= 1;
    }

    pub(super) fn is_changing(&self) -> bool {
        self.changing > 0
    }

    /// Whether what has this ticket still waits.
    pub(super) fn waits(&self, ticket: u64) -> bool {
        self.faults.iter().any(|fault| fault.ticket == ticket)
            || self.changes.iter().any(|(other, ..)| *other == ticket)
    }

    /// Removes what has this ticket; returns who waits for it.
    pub(super) fn remove(&mut self, ticket: u64) -> Option<Arc<Thread>> {
        if let Some(at) = self.faults.iter().position(|fault| fault.ticket == ticket) {
            return Some(self.faults.remove(at).thread);
        }
        let at = self.changes.iter().position(|(other, ..)| *other == ticket)?;
        self.changes.remove(at).map(|(.., thread)| thread)
    }

    /// Removes the faults of the pages in `range`; returns who waits for them.
    pub(super) fn remove_faults(&mut self, range: &Range<u64>) -> Vec<Arc<Thread>> {
        let gone = self.faults.extract_if(.., |fault| range.contains(&fault.page));
        gone.map(|fault| fault.thread).collect()
    }

    /// Whether there is something to read.
    pub(super) fn has_news(&self) -> bool {
        !self.changes.is_empty() || self.faults.iter().any(|fault| !fault.is_read)
    }

    /// What is read next, and who goes on because of that.
    pub(super) fn read(&mut self) -> Option<(News, Option<Arc<Thread>>)> {
        if let Some(fault) = self.faults.iter_mut().find(|fault| !fault.is_read) {
            fault.is_read = true;
            return Some((News::Message(fault.message), None));
        }
        let (ticket, change, _) = self.changes.front()?;
        if let Change::Fork(child) = change {
            return Some((News::Child(*ticket, child.clone()), None));
        }
        let (_, change, thread) = self.changes.pop_front()?;
        Some((News::Message(change.message()), Some(thread)))
    }
}

impl Monitor {
    /// How many faults wait: those that have not been read, and all.
    pub(crate) fn waiting(&self) -> (usize, usize) {
        let queue = self.queue.lock();
        (queue.faults.iter().filter(|fault| !fault.is_read).count(), queue.faults.len())
    }

    /// Whether there is something to read.
    pub(crate) fn has_news(&self) -> bool {
        self.queue.lock().has_news()
    }

    /// What is read next.
    pub(crate) fn read(&self) -> Option<News> {
        let (news, thread) = self.queue.lock().read()?;
        if let Some(thread) = thread {
            thread.unpark();
        }
        Some(news)
    }

    /// The news with this ticket has been read: what it is about goes on.
    pub(crate) fn was_read(&self, ticket: u64) {
        let thread = self.queue.lock().remove(ticket);
        if let Some(thread) = thread {
            thread.unpark();
        }
    }

    /// Lets who waits for pages in `range` try again: `UFFDIO_WAKE`.
    pub(crate) fn wake(&self, range: &Range<u64>) {
        let waiting = self.queue.lock().remove_faults(range);
        waiting.iter().for_each(|thread| thread.unpark());
    }
}

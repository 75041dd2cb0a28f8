//! The events of an instance that have not been read.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use abi::events::{InotifyEvent, InotifyMask};
use zerocopy::IntoBytes;

use super::MAX_EVENTS;

/// Names are filled up with NULs to a multiple of this, in bytes.
const ALIGNMENT: usize = size_of::<InotifyEvent>();

/// An event.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Event {
    pub(super) watch: i32,
    pub(super) mask: InotifyMask,
    pub(super) cookie: u32,
    pub(super) name: Vec<u8>,
}

impl Event {
    /// How many bytes a read gives for it.
    fn len(&self) -> usize {
        let name = if self.name.is_empty() { 0 } else { self.name.len() + 1 };
        size_of::<InotifyEvent>() + name.next_multiple_of(ALIGNMENT)
    }

    fn bytes(&self) -> Vec<u8> {
        let head = InotifyEvent {
            watch: self.watch,
            mask: self.mask.bits(),
            cookie: self.cookie,
            // A name is at most NAME_MAX bytes long.
            len: (self.len() - size_of::<InotifyEvent>()) as u32,
        };
        let mut bytes = head.as_bytes().to_vec();
        bytes.extend_from_slice(&self.name);
        bytes.resize(self.len(), 0);
        bytes
    }
}

/// The events of an instance that have not been read.
#[derive(Default)]
pub(super) struct Queue {
    events: VecDeque<Event>,
}

impl Queue {
    /// Adds an event, unless it is the same as the last one. Where there are too many, the last
    /// one says so.
    pub(super) fn push(&mut self, event: Event) {
        if self.events.back() == Some(&event) {
            return;
        }
        let overflow =
            Event { watch: -1, mask: InotifyMask::Q_OVERFLOW, cookie: 0, name: Vec::new() };
        let event = if self.events.len() < MAX_EVENTS { event } else { overflow };
        if self.events.len() <= MAX_EVENTS && self.events.try_reserve(1).is_ok() {
            self.events.push_back(event);
        }
    }

    /// The first event as bytes, where it fits into `room`; `Err` where it does not.
    pub(super) fn take(&mut self, room: usize) -> Result<Option<Vec<u8>>, usize> {
        match self.events.front() {
            None => Ok(None),
            Some(event) if event.len() > room => Err(event.len()),
            Some(_) => Ok(self.events.pop_front().map(|event| event.bytes())),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// How many bytes could be read.
    pub(super) fn bytes(&self) -> usize {
        self.events.iter().map(Event::len).sum()
    }
}

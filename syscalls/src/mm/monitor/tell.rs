//! Changes of watched memory that a monitor hears of.

use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::ops::Range;

use abi::userfault::{Features, Message, RegisterModes, event};

use crate::mm::address_space::{AddressSpace, State};
use crate::mm::area::Area;

use super::{Monitor, Monitored};

/// What happens to watched memory.
#[derive(Clone)]
pub(in crate::mm) enum Change {
    /// It has a copy in a child, with such a monitor.
    Fork(Arc<Monitor>),
    /// It has moved.
    Move {
        /// From this address.
        from: u64,
        /// To this one.
        to: u64,
        /// Its length in bytes.
        len: u64,
    },
    /// Its pages are to be given back.
    Remove(Range<u64>),
    /// It is no longer mapped.
    Unmap(Range<u64>),
}

impl Change {
    /// The feature with which a monitor wants to hear of it.
    fn feature(&self) -> Features {
        match self {
            Self::Fork(_) => Features::EVENT_FORK,
            Self::Move { .. } => Features::EVENT_REMAP,
            Self::Remove(_) => Features::EVENT_REMOVE,
            Self::Unmap(_) => Features::EVENT_UNMAP,
        }
    }

    /// What is read of it; of a child, the descriptor is to be added.
    pub(super) fn message(&self) -> Message {
        let (event, arguments) = match self {
            Self::Fork(_) => (event::FORK, [0; 3]),
            Self::Move { from, to, len } => (event::REMAP, [*from, *to, *len]),
            Self::Remove(range) => (event::REMOVE, [range.start, range.end, 0]),
            Self::Unmap(range) => (event::UNMAP, [range.start, range.end, 0]),
        };
        Message { event, arguments, ..Message::default() }
    }
}

/// Changes of which monitors are to hear. They are told with no lock held; until then they do
/// not fill pages.
#[derive(Default)]
#[must_use]
pub(in crate::mm) struct Told(Vec<(Arc<Monitor>, Change)>);

impl Told {
    /// Adds a change, where the monitor wants to hear of it.
    fn add(&mut self, monitor: &Arc<Monitor>, change: Change) {
        if monitor.has(change.feature()) {
            monitor.queue.lock().begin_change();
            self.0.push((monitor.clone(), change));
        }
    }

    /// Adds what comes after this.
    pub(in crate::mm) fn append(&mut self, mut later: Self) {
        self.0.append(&mut later.0);
    }

    /// Tells the monitors, and waits until they have heard it. Called with no lock held.
    pub(in crate::mm) fn tell(mut self) {
        for (monitor, change) in self.0.drain(..) {
            monitor.tell(change);
            monitor.queue.lock().end_change();
        }
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        // What was not told because it failed after all.
        for (monitor, _) in self.0.drain(..) {
            monitor.queue.lock().end_change();
        }
    }
}

impl Monitor {
    /// Tells of `change`, and waits until that has been read.
    fn tell(&self, change: Change) {
        let child = match &change {
            Change::Fork(child) => Some(child.clone()),
            _ => None,
        };
        if let Some(thread) = self.system.running_thread() {
            let ticket = self.queue.lock().add_change(change, &thread);
            if let Some(ticket) = ticket {
                self.wait(ticket, &thread, || thread.machine().is_to_end() || thread.is_leaving());
            }
        }
        // Where that was not read, nobody will ever read what watches the child.
        if let Some(child) = child
            && !child.has_reader()
        {
            child.release();
        }
    }
}

impl State {
    /// That `range` is unmapped, for those who watch parts of it.
    pub(in crate::mm) fn unmapping(&self, range: &Range<u64>) -> Told {
        self.changing(range, || Change::Unmap(range.clone()))
    }

    /// That the pages of `range` are given back, for those who watch parts of it.
    pub(in crate::mm) fn removing(&self, range: &Range<u64>) -> Told {
        self.changing(range, || Change::Remove(range.clone()))
    }

    fn changing(&self, range: &Range<u64>, change: impl Fn() -> Change) -> Told {
        let mut told = Told::default();
        if !self.is_monitored {
            return told;
        }
        for area in self.areas.overlapping(range.clone()) {
            if let Some(Monitored { monitor, .. }) = area.monitored.as_deref()
                && !told.0.iter().any(|(other, _)| Arc::ptr_eq(other, monitor))
            {
                told.add(monitor, change());
            }
        }
        told
    }

    /// Makes `new`, a part of a watched area that has moved with its pages, what it is at its
    /// new place: watched only where that was agreed on.
    pub(in crate::mm) fn moving(&mut self, new: &mut Area, from: u64, len: u64, told: &mut Told) {
        let Some(Monitored { monitor, .. }) = new.monitored.as_deref() else {
            return;
        };
        if monitor.has(Features::EVENT_REMAP) {
            told.add(monitor, Change::Move { from, to: new.range.start, len });
        } else {
            new.monitored = None;
            self.pages.set_guarded(new.range.clone(), false);
        }
    }

    /// Makes `copy`, an area of a child, watched as the parent's is, where that was agreed on.
    /// `self` is the child's, of which nothing is mapped yet.
    pub(in crate::mm) fn inherit(
        &mut self,
        copy: &mut Area,
        memory: &Weak<AddressSpace>,
        told: &mut Told,
    ) {
        let Some(monitored) = copy.monitored.take() else {
            return;
        };
        let Monitored { monitor, modes } = &*monitored;
        if !monitor.has(Features::EVENT_FORK) {
            if modes.contains(RegisterModes::WP) {
                self.pages.set_guarded(copy.range.clone(), false);
            }
            return;
        }
        let known = told.0.iter().find_map(|(parent, change)| match change {
            Change::Fork(child) if Arc::ptr_eq(parent, monitor) => Some(child.clone()),
            _ => None,
        });
        let child = known.unwrap_or_else(|| {
            let child = Monitor::of(&monitor.system, memory, monitor.scope);
            if let Some(&features) = monitor.features.get() {
                child.features.call_once(|| features);
            }
            told.add(monitor, Change::Fork(child.clone()));
            child
        });
        self.is_monitored = true;
        copy.monitored = Some(Arc::new(Monitored { monitor: child, modes: *modes }));
    }
}

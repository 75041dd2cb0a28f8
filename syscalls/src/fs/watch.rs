//! Waiting for events of several files at once: what poll(2), select(2) and their kin share.

use alloc::sync::Arc;
use alloc::vec::Vec;

use abi::Errno;

use crate::context::Context;
use crate::error::Result;
use crate::wait::{Interruption, WaitQueue};

use super::{Fd, File, OpenFile, PollEvents};

/// Files and the events that are waited for.
#[derive(Default)]
pub(crate) struct Watches {
    watches: Vec<Watch>,
}

/// A file, or none.
pub(crate) struct Watch {
    target: Target,
    wanted: PollEvents,
}

enum Target {
    /// Nothing, for ever: a negative descriptor.
    Nothing,
    /// A descriptor that is not open.
    NotOpen,
    File(Arc<OpenFile>),
    /// A file that the caller sees as this one.
    View(Arc<dyn File>),
}

impl Watches {
    /// No files, with room for `count`.
    ///
    /// # Errors
    /// `ENOMEM`.
    pub(crate) fn with_capacity(count: usize) -> Result<Self> {
        let mut watches = Vec::new();
        watches.try_reserve_exact(count).map_err(|_| Errno::ENOMEM)?;
        Ok(Self { watches })
    }

    /// Adds the file behind a descriptor of the caller. Errors and hang-ups are always
    /// waited for.
    pub(crate) fn add(&mut self, cx: &Context<'_>, fd: i32, wanted: PollEvents) {
        let target = match cx.files().get(Fd(fd)) {
            _ if fd < 0 => Target::Nothing,
            Ok(open) if !open.is_path() => match open.file.seen_by(cx) {
                Some(view) => Target::View(view),
                None => Target::File(open),
            },
            _ => Target::NotOpen,
        };
        self.watches.push(Watch { target, wanted });
    }

    /// Whether one of the descriptors is not open.
    pub(crate) fn has_bad_descriptor(&self) -> bool {
        self.watches.iter().any(|watch| matches!(watch.target, Target::NotOpen))
    }

    /// What is true of each file now, in the order in which they were added.
    pub(crate) fn events(&self) -> impl Iterator<Item = PollEvents> + '_ {
        self.watches.iter().map(Watch::events)
    }

    /// Waits until there is an event or the monotonic `deadline_ns` has come; a deadline that
    /// has passed only looks.
    ///
    /// # Errors
    /// `ERESTARTNOHAND` when a signal is to be delivered first; `ENOMEM`.
    pub(crate) fn wait(&self, cx: &Context<'_>, deadline_ns: Option<u64>) -> Result<()> {
        let mut queues: Vec<&WaitQueue> = Vec::new();
        let has_event = || self.events().any(|events| !events.is_empty());
        if has_event() || deadline_ns == Some(0) {
            return Ok(());
        }
        queues.try_reserve_exact(self.watches.len()).map_err(|_| Errno::ENOMEM)?;
        queues.extend(self.watches.iter().filter_map(Watch::queue));
        cx.wait_until(&queues, deadline_ns, Interruption::NoRestart, || {
            Ok(has_event().then_some(()))
        })?;
        Ok(())
    }
}

impl Watch {
    fn events(&self) -> PollEvents {
        const ALWAYS_REPORTED: PollEvents = PollEvents::ERR.union(PollEvents::HUP);
        match &self.target {
            Target::Nothing => PollEvents::empty(),
            Target::NotOpen => PollEvents::NVAL,
            Target::File(open) => open.file.poll() & (self.wanted | ALWAYS_REPORTED),
            Target::View(file) => file.poll() & (self.wanted | ALWAYS_REPORTED),
        }
    }

    fn queue(&self) -> Option<&WaitQueue> {
        match &self.target {
            Target::File(open) => open.file.wait_queue(),
            Target::View(file) => file.wait_queue(),
            _ => None,
        }
    }
}

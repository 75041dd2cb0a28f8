//! Timers that can be read and waited for: timerfd_create(2).

use alloc::sync::{Arc, Weak};
use core::fmt;

use abi::Errno;
use abi::time::{NS_PER_SECOND, timerfd};
use spin::Mutex;

use crate::context::Context;
use crate::error::{Because, Result};
use crate::fs::{File, Inode, OpenFile, PollEvents, Positions, anonymous};
use crate::io::Sink;
use crate::system::System;
use crate::time::{Again, Interval, Owner, Timer, WallClockWatcher};
use crate::wait::WaitQueue;

/// A timer with a descriptor.
pub struct TimerFile {
    inode: Arc<dyn Inode>,
    /// Number of its clock.
    clock: i32,
    timer: Arc<Timer>,
    state: Mutex<State>,
    /// Woken when it has expired or was cancelled.
    changed: WaitQueue,
}

#[derive(Default)]
struct State {
    /// How often it has expired since it was read or set last.
    expirations: u64,
    /// Flags of the latest timerfd_settime(2).
    flags: u32,
    /// Somebody has set the time of day, and nobody was told.
    is_cancelled: bool,
}

impl TimerFile {
    /// A timer on the clock with this number.
    pub(crate) fn new(system: &Arc<System>, clock: i32) -> Arc<Self> {
        let file = Arc::new_cyclic(|this: &Weak<Self>| Self {
            inode: anonymous::inode("[timerfd]"),
            clock,
            timer: Timer::new(system, this.clone(), Again::WhenTold),
            state: Mutex::default(),
            changed: WaitQueue::new(),
        });
        let watcher: Weak<Self> = Arc::downgrade(&file);
        system.timers.watch_wall_clock(watcher);
        file
    }

    /// The number of its clock.
    pub(crate) fn clock(&self) -> i32 {
        self.clock
    }

    /// How it stands.
    pub(crate) fn stands(&self) -> Interval {
        self.timer.stands()
    }

    /// Lets `set` arm or disarm the timer, as these flags of timerfd_settime(2) say; it has
    /// not expired from then on.
    pub(crate) fn set(&self, flags: u32, set: impl FnOnce(&Timer) -> Interval) -> Interval {
        // The old timer must not expire any more when the count begins anew.
        let stood = self.timer.stands();
        self.timer.stop();
        *self.state.lock() = State { flags, ..State::default() };
        set(&self.timer);
        stood
    }

    /// Takes the number of expirations, if there are any. Only now does a timer with an interval
    /// go on, so that one which nobody reads costs nothing.
    ///
    /// # Errors
    /// `ECANCELED` when somebody has set the time of day.
    fn take(&self) -> Result<Option<u64>> {
        let mut state = self.state.lock();
        if core::mem::take(&mut state.is_cancelled) {
            state.expirations = 0;
            return Err(Errno::ECANCELED.because("somebody has set the time of day"));
        }
        let taken = core::mem::take(&mut state.expirations);
        drop(state);
        Ok((taken > 0).then(|| taken.saturating_add(self.timer.go_on(0))))
    }
}

impl File for TimerFile {
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
        if to.remaining() < size_of::<u64>() {
            return Err(Errno::EINVAL.because("the buffer is shorter than 8 bytes"));
        }
        let taken = cx.block_on(&[&self.changed], open.patience(), || self.take())?;
        to.put(&taken.to_ne_bytes())
    }

    fn poll(&self) -> PollEvents {
        let state = self.state.lock();
        let mut events = PollEvents::empty();
        events.set(PollEvents::IN, state.expirations > 0 || state.is_cancelled);
        events
    }

    fn wait_queue(&self) -> Option<&WaitQueue> {
        Some(&self.changed)
    }

    fn timer(&self) -> Option<&TimerFile> {
        Some(self)
    }

    fn describe(&self, _: &Context<'_>, out: &mut dyn fmt::Write) -> fmt::Result {
        let (expirations, flags) = {
            let state = self.state.lock();
            (state.expirations, state.flags)
        };
        let stands = self.stands();
        writeln!(out, "clockid: {}", self.clock)?;
        writeln!(out, "ticks: {expirations}")?;
        writeln!(out, "settime flags: 0{flags:o}")?;
        for (name, ns) in [("it_value", stands.value_ns), ("it_interval", stands.interval_ns)] {
            writeln!(out, "{name}: ({}, {})", ns / NS_PER_SECOND, ns % NS_PER_SECOND)?;
        }
        Ok(())
    }
}

impl Owner for TimerFile {
    fn expired(&self, count: u64) {
        {
            let mut state = self.state.lock();
            state.expirations = state.expirations.saturating_add(count);
        }
        self.changed.wake(PollEvents::IN);
    }
}

impl WallClockWatcher for TimerFile {
    fn wall_clock_was_set(&self) {
        const CANCELLED: u32 = timerfd::ABSTIME | timerfd::CANCEL_ON_SET;
        {
            let mut state = self.state.lock();
            if state.flags & CANCELLED != CANCELLED {
                return;
            }
            state.is_cancelled = true;
        }
        self.changed.wake(PollEvents::IN);
    }
}

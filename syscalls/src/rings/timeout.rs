//! Requests that end after some time.

use alloc::sync::{Arc, Weak};
use core::mem;

use abi::Errno;
use abi::io_uring::{Submission, TimeoutFlags};
use abi::time::Timespec;
use spin::Mutex;

use crate::context::Context;
use crate::error::{Because, Result};
use crate::time::{Base, Owner, Timer, TimerClock};
use crate::user::UserPtr;

use super::operation::Operation;
use super::request::{Request, Step};
use super::ring::Ring;

/// When the time has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Time {
    ns: u64,
    base: Base,
    /// Whether it is a moment, and not a duration.
    is_moment: bool,
}

impl Time {
    /// The time at `address`, as these flags mean it.
    ///
    /// # Errors
    /// `EINVAL`, `EFAULT`.
    pub(super) fn read(cx: &Context<'_>, address: u64, flags: TimeoutFlags) -> Result<Self> {
        let is_wall = flags.contains(TimeoutFlags::REALTIME);
        if is_wall && flags.contains(TimeoutFlags::BOOTTIME) {
            return Err(Errno::EINVAL.because("two clocks"));
        }
        let time: Timespec = UserPtr::new(address).read(cx)?;
        let ns = time.to_ns().ok_or_else(|| Errno::EINVAL.because("the time is not valid"))?;
        let base = if is_wall { Base::Wall } else { Base::Monotonic };
        Ok(Self { ns, base, is_moment: flags.contains(TimeoutFlags::ABS) })
    }

    /// Lets `timer` expire then.
    pub(super) fn arm(self, cx: &Context<'_>, timer: &Timer) {
        let clock = TimerClock::Moment(self.base);
        if self.is_moment {
            timer.set_to(clock, self.ns, 0);
            return;
        }
        let clock = clock.for_duration();
        let deadline_ns = clock.now_ns(cx.system).saturating_add(self.ns);
        timer.set_to(clock, deadline_ns, 0);
    }
}

/// A timeout.
pub(super) struct Timeout {
    pub(super) time: Time,
    pub(super) flags: TimeoutFlags,
    /// It ends after so many other requests; 0 for none.
    count: u32,
    /// Of one that is linked: what it ends.
    target: Mutex<Weak<Request>>,
}

impl Timeout {
    /// What `TIMEOUT` and `LINK_TIMEOUT` say.
    ///
    /// # Errors
    /// `EINVAL`, `EFAULT`.
    pub(super) fn of(cx: &Context<'_>, entry: &Submission) -> Result<Self> {
        let invalid = || Errno::EINVAL.because("not a timeout");
        let flags = TimeoutFlags::from_bits(entry.operation_flags).ok_or_else(invalid)?;
        let of_updates = TimeoutFlags::UPDATE | TimeoutFlags::LINK_TIMEOUT_UPDATE;
        if entry.len != 1 || entry.buffer_index != 0 || flags.intersects(of_updates) {
            return Err(invalid());
        }
        let count = u32::try_from(entry.offset).map_err(|_| invalid())?;
        let time = Time::read(cx, entry.address, flags)?;
        Ok(Self { time, flags, count, target: Mutex::default() })
    }

    /// Begins to wait.
    pub(super) fn begin(&self, cx: &Context<'_>, ring: &Ring, request: &Request) -> Step {
        if let (1.., Some(this)) = (self.count, request.this.upgrade()) {
            ring.order.lock().count(this, self.count);
        }
        request.begin_timer(cx, |timer| self.time.arm(cx, timer));
        Step::Waits
    }
}

impl Request {
    /// Begins to limit how long `target` takes.
    pub(super) fn begin_limit_of(&self, cx: &Context<'_>, target: &Self) {
        if let Operation::LinkTimeout(timeout) = &self.operation {
            *timeout.target.lock() = target.this.clone();
            self.begin_timer(cx, |timer| timeout.time.arm(cx, timer));
        }
    }
}

impl Owner for Request {
    fn expired(&self, _: u64) {
        let Some(ring) = self.ring.upgrade() else { return };
        ring.end_with(self, Errno::ETIME);
        if let Operation::LinkTimeout(timeout) = &self.operation {
            let target = mem::take(&mut *timeout.target.lock());
            if let Some(target) = target.upgrade() {
                ring.end_with(&target, Errno::ECANCELED);
            }
        }
    }
}

impl Ring {
    /// Ends the timeouts that have waited for as many requests as they wanted.
    pub(super) fn end_counted_timeouts(&self) {
        let reached = self.order.lock().take_counted();
        for timeout in reached {
            self.end(&timeout, 0);
        }
    }
}

/// A timeout that waits for the end of other requests.
pub(super) struct Counted {
    timeout: Arc<Request>,
    /// How many must have ended.
    target: u32,
}

impl Counted {
    /// A timeout that waits until `target` requests have ended.
    pub(super) fn new(timeout: Arc<Request>, target: u32) -> Self {
        Self { timeout, target }
    }

    /// Whether so many have ended, or it has by itself.
    pub(super) fn is_over(&self, ended: u32) -> bool {
        ended.wrapping_sub(self.target) <= i32::MAX as u32 || !self.timeout.is_under_way()
    }

    /// The timeout.
    pub(super) fn into_timeout(self) -> Arc<Request> {
        self.timeout
    }
}

//! Files that stand for events: eventfd(2).

use alloc::sync::Arc;

use abi::Errno;
use abi::events::EventFlags;
use abi::fs::OpenFlags;

use crate::context::Context;
use crate::error::{Because, Result};
use crate::events::Counter;
use crate::events::counter::Take;
use crate::fs::{OnExec, OpenFile};

use super::open;

/// eventfd(2): makes a counter that can be waited for.
///
/// # Differences from Linux
/// None.
pub(crate) fn eventfd(cx: &Context<'_>, value: u32) -> Result<i32> {
    eventfd2(cx, value, EventFlags::empty())
}

/// eventfd2(2): makes a counter that can be waited for, with flags.
///
/// # Differences from Linux
/// None.
pub(crate) fn eventfd2(cx: &Context<'_>, value: u32, flags: EventFlags) -> Result<i32> {
    if !EventFlags::all().contains(flags) {
        return Err(Errno::EINVAL.because("unknown flags"));
    }
    let take = if flags.contains(EventFlags::SEMAPHORE) { Take::One } else { Take::All };
    let status = OpenFlags::from_bits_truncate(flags.difference(EventFlags::SEMAPHORE).bits());
    let counter = Arc::new(Counter::new(value, take));
    let opened = Arc::new(OpenFile::new(
        counter,
        OpenFlags::RDWR | status.intersection(OpenFlags::NONBLOCK),
    ));
    open::add(cx, opened, 0, OnExec::of(status))
}

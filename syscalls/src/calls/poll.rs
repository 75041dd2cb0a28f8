//! poll(2), ppoll(2), select(2), pselect6(2).

use alloc::vec::Vec;

use abi::Errno;
use abi::poll::{PollFd, SizedMask};
use abi::process::Resource;
use abi::process::STICKY_TIMEOUTS;
use abi::time::{Timespec, Timeval};

use crate::context::Context;
use crate::error::{Because, Outcome, Result};
use crate::fs::PollEvents;
use crate::fs::watch::Watches;
use crate::signal::SignalSet;
use crate::user::UserPtr;

/// Size of a signal set, in bytes.
const SET_SIZE: u64 = 8;

const NS_PER_MS: u64 = 1_000_000;

/// poll(2): waits for events of files, up to a time in milliseconds.
///
/// # Differences from Linux
/// None.
pub(crate) fn poll(
    cx: &Context<'_>,
    fds: UserPtr<PollFd>,
    count: u32,
    timeout_ms: i32,
) -> Result<Outcome> {
    poll_until(cx, fds, count, deadline_of_ms(cx, timeout_ms))
}

/// A poll(2) that goes on after a signal without a handler keeps its deadline.
fn poll_until(
    cx: &Context<'_>,
    fds: UserPtr<PollFd>,
    count: u32,
    deadline_ns: Option<u64>,
) -> Result<Outcome> {
    match wait_for_events(cx, fds, count, deadline_ns) {
        Err(error) if error.errno == Errno::ERESTARTNOHAND => {
            Err(cx.restart_with(move |cx| poll_until(cx, fds, count, deadline_ns)))
        }
        result => result.map(Into::into),
    }
}

/// ppoll(2): as poll(2), with a finer timeout, of which what remains is stored, and another
/// signal mask meanwhile.
///
/// # Differences from Linux
/// None.
pub(crate) fn ppoll(
    cx: &Context<'_>,
    fds: UserPtr<PollFd>,
    count: u32,
    timeout: UserPtr<Timespec>,
    mask: UserPtr<u64>,
    mask_size: u64,
) -> Result<usize> {
    let deadline_ns = read_timespec(cx, timeout)?;
    set_mask(cx, SizedMask { mask: mask.address(), size: mask_size })?;
    let result = wait_for_events(cx, fds, count, deadline_ns);
    if let Some(deadline_ns) = told(cx, deadline_ns) {
        // As on Linux, a timeout in memory that cannot be written is no error.
        let _ = timeout.write(cx, &Timespec::from_ns(remaining(cx, deadline_ns)));
    }
    result
}

/// select(2): waits for files to become ready, up to a time of which what remains is stored.
///
/// # Differences from Linux
/// None.
pub(crate) fn select(
    cx: &Context<'_>,
    count: i32,
    reading: UserPtr<u64>,
    writing: UserPtr<u64>,
    exceptional: UserPtr<u64>,
    timeout: UserPtr<Timeval>,
) -> Result<usize> {
    let deadline_ns = match timeout.non_null() {
        Some(timeout) => Some(deadline(cx, timeval_ns(timeout.read(cx)?)?)),
        None => None,
    };
    let result = wait_for_sets(cx, count, [reading, writing, exceptional], deadline_ns);
    if let Some(deadline_ns) = told(cx, deadline_ns) {
        let _ = timeout.write(cx, &Timeval::from_ns(remaining(cx, deadline_ns)));
    }
    result
}

/// pselect6(2): as select(2), with a finer timeout and another signal mask meanwhile.
///
/// # Differences from Linux
/// None.
pub(crate) fn pselect6(
    cx: &Context<'_>,
    count: i32,
    reading: UserPtr<u64>,
    writing: UserPtr<u64>,
    exceptional: UserPtr<u64>,
    timeout: UserPtr<Timespec>,
    mask: UserPtr<SizedMask>,
) -> Result<usize> {
    let mask = mask.non_null().map_or(Ok(SizedMask::default()), |mask| mask.read(cx))?;
    let deadline_ns = read_timespec(cx, timeout)?;
    set_mask(cx, mask)?;
    let result = wait_for_sets(cx, count, [reading, writing, exceptional], deadline_ns);
    if let Some(deadline_ns) = told(cx, deadline_ns) {
        let _ = timeout.write(cx, &Timespec::from_ns(remaining(cx, deadline_ns)));
    }
    result
}

/// The monotonic time in so many milliseconds; `None` for a negative number, which is for ever.
pub(super) fn deadline_of_ms(cx: &Context<'_>, timeout_ms: i32) -> Option<u64> {
    u64::try_from(timeout_ms).ok().map(|ms| deadline(cx, ms * NS_PER_MS))
}

/// The monotonic time `ns` from now; 0 for now itself, which is not to wait at all.
fn deadline(cx: &Context<'_>, ns: u64) -> u64 {
    if ns == 0 { 0 } else { cx.system.machine.monotonic_ns().saturating_add(ns) }
}

/// The deadline whose rest is to be stored: none, where the process wants timeouts left alone
/// (personality(2)).
fn told(cx: &Context<'_>, deadline_ns: Option<u64>) -> Option<u64> {
    let personality = cx.process.properties.lock().personality;
    deadline_ns.filter(|_| personality & STICKY_TIMEOUTS == 0)
}

fn remaining(cx: &Context<'_>, deadline_ns: u64) -> u64 {
    deadline_ns.saturating_sub(cx.system.machine.monotonic_ns())
}

pub(super) fn read_timespec(cx: &Context<'_>, timeout: UserPtr<Timespec>) -> Result<Option<u64>> {
    let Some(timeout) = timeout.non_null() else {
        return Ok(None);
    };
    let ns = timeout.read(cx)?.to_ns();
    let ns = ns.ok_or_else(|| Errno::EINVAL.because("the timeout is not valid"))?;
    Ok(Some(deadline(cx, ns)))
}

/// A timeout of select(2), which may have more microseconds than a second has.
fn timeval_ns(timeout: Timeval) -> Result<u64> {
    const US_PER_SECOND: i64 = 1_000_000;
    let seconds = timeout.seconds.saturating_add(timeout.microseconds / US_PER_SECOND);
    let nanoseconds = timeout.microseconds % US_PER_SECOND * 1000;
    let ns = Timespec { seconds, nanoseconds }.to_ns();
    ns.ok_or_else(|| Errno::EINVAL.because("the timeout is not valid"))
}

/// Blocks what the mask says until the call is over.
pub(super) fn set_mask(cx: &Context<'_>, mask: SizedMask) -> Result<()> {
    if mask.mask == 0 {
        return Ok(());
    }
    if mask.size != SET_SIZE {
        return Err(Errno::EINVAL.because("a signal set has 8 bytes"));
    }
    let bits = UserPtr::<u64>::new(mask.mask).read(cx)?;
    cx.thread.block_during_call(SignalSet::blockable(bits));
    Ok(())
}

/// Waits, stores the events of each descriptor, and returns how many have some.
fn wait_for_events(
    cx: &Context<'_>,
    fds: UserPtr<PollFd>,
    count: u32,
    deadline_ns: Option<u64>,
) -> Result<usize> {
    if u64::from(count) > cx.process.limits().current(Resource::OpenFiles) {
        return Err(Errno::EINVAL.because("more descriptors than can be open"));
    }
    let count = count as usize;
    let mut polled = fds.read_array(cx, count)?;
    let mut watches = Watches::with_capacity(count)?;
    for poll in &polled {
        watches.add(cx, poll.fd, PollEvents::from_bits_truncate(u32::from(poll.events)));
    }
    let result = watches.wait(cx, deadline_ns);
    for (index, (poll, events)) in polled.iter_mut().zip(watches.events()).enumerate() {
        // All events are in the low 16 bits.
        poll.revents = events.bits() as u16;
        fds.element(index).write(cx, poll)?;
    }
    result?;
    Ok(polled.iter().filter(|poll| poll.revents != 0).count())
}

/// The three sets of select(2), in words of 64 descriptors.
struct Sets {
    words: [Option<Vec<u64>>; 3],
}

/// What readiness means for each of the three sets.
const READY: [PollEvents; 3] = [
    PollEvents::IN
        .union(PollEvents::RDNORM)
        .union(PollEvents::RDBAND)
        .union(PollEvents::HUP)
        .union(PollEvents::ERR),
    PollEvents::OUT.union(PollEvents::WRNORM).union(PollEvents::WRBAND).union(PollEvents::ERR),
    PollEvents::PRI,
];

impl Sets {
    fn read(cx: &Context<'_>, addresses: [UserPtr<u64>; 3], words: usize) -> Result<Self> {
        let read = |address: UserPtr<u64>| {
            address.non_null().map(|address| address.read_array(cx, words)).transpose()
        };
        let [reading, writing, exceptional] = addresses;
        Ok(Self { words: [read(reading)?, read(writing)?, read(exceptional)?] })
    }

    fn contains(&self, set: usize, fd: usize) -> bool {
        self.words[set].as_ref().is_some_and(|words| words[fd / 64] & (1 << (fd % 64)) != 0)
    }

    /// What is waited for at `fd`; `None` when it is in no set.
    fn wanted(&self, fd: usize) -> Option<PollEvents> {
        (0..3).filter(|&set| self.contains(set, fd)).map(|set| READY[set]).reduce(|a, b| a | b)
    }

    /// Leaves `fd` in those sets for which it is ready; returns how many.
    fn keep(&mut self, fd: usize, events: PollEvents) -> usize {
        let mut kept = 0;
        for (set, ready) in READY.into_iter().enumerate() {
            if self.contains(set, fd) {
                if events.intersects(ready) {
                    kept += 1;
                } else if let Some(words) = &mut self.words[set] {
                    words[fd / 64] &= !(1 << (fd % 64));
                }
            }
        }
        kept
    }
}

/// Waits, leaves in the sets what is ready, and returns how many bits that are.
fn wait_for_sets(
    cx: &Context<'_>,
    count: i32,
    addresses: [UserPtr<u64>; 3],
    deadline_ns: Option<u64>,
) -> Result<usize> {
    let count = usize::try_from(count)
        .map_err(|_| Errno::EINVAL.because("the number of descriptors is negative"))?;
    let count = count.min(looked_at(cx));
    let words = count.div_ceil(64);
    let mut sets = Sets::read(cx, addresses, words)?;
    let mut watches = Watches::with_capacity(0)?;
    let mut watched = Vec::new();
    for fd in 0..count {
        if let Some(wanted) = sets.wanted(fd) {
            // The count of open descriptors bounds it.
            watches.add(cx, fd as i32, wanted);
            watched.push(fd);
        }
    }
    if watches.has_bad_descriptor() {
        return Err(Errno::EBADF.because("a set has a descriptor that is not open"));
    }
    watches.wait(cx, deadline_ns)?;
    let mut ready = 0;
    for (&fd, events) in watched.iter().zip(watches.events()) {
        ready += sets.keep(fd, events);
    }
    for (address, words) in addresses.iter().zip(&sets.words) {
        for (index, word) in words.iter().flatten().enumerate() {
            address.element(index).write(cx, word)?;
        }
    }
    Ok(ready)
}

/// How many descriptors select(2) looks at: as Linux, no more than the table has room for,
/// which grows in words.
fn looked_at(cx: &Context<'_>) -> usize {
    let highest = cx.files().open_descriptors().last().and_then(|fd| fd.index());
    highest.map_or(64, |highest| (highest + 1).next_multiple_of(64))
}

#[cfg(test)]
mod tests;

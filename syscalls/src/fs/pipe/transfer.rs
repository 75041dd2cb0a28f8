//! From pipe to pipe, by handing over pages: splice(2), tee(2).

use abi::Errno;

use crate::context::Context;
use crate::error::{Because, Result};
use crate::fs::OpenFile;
use crate::io::Source;
use crate::wait::Patience;

use super::{Pipe, PipeFile, READABLE, Slot, WRITABLE, broken};

/// Adds what there is room for of `from`, after waiting for room.
///
/// # Errors
/// Those of write(2).
pub(in crate::fs) fn fill(
    cx: &Context<'_>,
    pipe: &PipeFile,
    open: &OpenFile,
    from: &mut dyn Source,
) -> Result<usize> {
    while from.remaining() > 0 {
        pipe.pipe.wait_for_room(cx, open)?;
        let (added, result) = pipe.put(cx, open, from, false);
        if added > 0 {
            return Ok(added);
        }
        result?;
    }
    Ok(0)
}

/// Moves up to `len` bytes.
///
/// # Errors
/// `EINVAL` when both are ends of the same pipe; `EAGAIN`; `EPIPE`, and the thread gets
/// `SIGPIPE`; `ERESTARTSYS`.
pub(in crate::fs) fn splice(
    cx: &Context<'_>,
    from: &PipeFile,
    to: &PipeFile,
    len: usize,
    patience: Patience,
) -> Result<usize> {
    between(cx, &from.pipe, &to.pipe, patience, || move_slots(&from.pipe, &to.pipe, len))
}

/// Copies up to `len` bytes.
///
/// # Errors
/// As [`splice`].
pub(in crate::fs) fn tee(
    cx: &Context<'_>,
    from: &PipeFile,
    to: &PipeFile,
    len: usize,
    patience: Patience,
) -> Result<usize> {
    between(cx, &from.pipe, &to.pipe, patience, || copy_slots(&from.pipe, &to.pipe, len))
}

/// What is to be done next between two pipes.
enum Next {
    Transfer,
    /// Nothing will come.
    End,
    /// Nobody reads what would be written.
    Broken,
}

/// Waits until there is something in `from` and room in `to`, and calls `transfer` with the
/// turn of both.
fn between(
    cx: &Context<'_>,
    from: &Pipe,
    to: &Pipe,
    patience: Patience,
    mut transfer: impl FnMut() -> Result<usize>,
) -> Result<usize> {
    if core::ptr::eq(from, to) {
        return Err(Errno::EINVAL.because("both are ends of the same pipe"));
    }
    loop {
        let next = wait(cx, from, to, patience)?;
        // Always in the same order, so that nobody waits for who waits for him.
        let from_first = core::ptr::from_ref(from) < core::ptr::from_ref(to);
        let (first, second) = if from_first { (from, to) } else { (to, from) };
        let turns = (first.turn.take(cx)?, second.turn.take(cx)?);
        let done = match next {
            Next::End => return Ok(0),
            Next::Broken => Err(broken(cx)),
            Next::Transfer => transfer(),
        };
        drop(turns);
        if done != Ok(0) {
            from.changed.wake(WRITABLE);
            to.changed.wake(READABLE);
            return done;
        }
    }
}

fn wait(cx: &Context<'_>, from: &Pipe, to: &Pipe, patience: Patience) -> Result<Next> {
    let look = || {
        let (is_empty, has_writers) = {
            let state = from.state.lock();
            (state.slots.is_empty(), state.writers.count > 0)
        };
        let state = to.state.lock();
        match (is_empty, state.slots.len() < state.capacity) {
            _ if state.readers.count == 0 => Some(Next::Broken),
            (true, _) if !has_writers => Some(Next::End),
            (false, true) => Some(Next::Transfer),
            _ => None,
        }
    };
    cx.block_on(&[&from.changed, &to.changed], patience, || Ok(look()))
}

/// Moves slots with both turns taken.
fn move_slots(from: &Pipe, to: &Pipe, len: usize) -> Result<usize> {
    let mut done = 0;
    while done < len && to.has_room() {
        let Some(mut slot) = from.first_slot() else {
            break;
        };
        let part = (slot.end - slot.start).min(len - done);
        let is_whole = part == slot.end - slot.start;
        slot.end = slot.start + part;
        // Neither pipe may fill up or reuse a page that the other may still have.
        slot.is_shared |= !is_whole;
        push(to, slot)?;
        let mut state = from.state.lock();
        if is_whole {
            let moved = state.slots.pop_front();
            drop(state);
            drop(moved);
        } else if let Some(first) = state.slots.front_mut() {
            first.start += part;
            first.is_shared = true;
        }
        done += part;
    }
    Ok(done)
}

/// Copies slots with both turns taken; the pages are the same.
fn copy_slots(from: &Pipe, to: &Pipe, len: usize) -> Result<usize> {
    let (mut done, mut at) = (0, 0);
    while done < len && to.has_room() {
        let slot = {
            let mut state = from.state.lock();
            let Some(slot) = state.slots.get_mut(at) else {
                break;
            };
            slot.is_shared = true;
            slot.clone()
        };
        let part = (slot.end - slot.start).min(len - done);
        push(to, Slot { end: slot.start + part, ..slot })?;
        done += part;
        at += 1;
    }
    Ok(done)
}

fn push(to: &Pipe, slot: Slot) -> Result<()> {
    let mut state = to.state.lock();
    state.slots.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
    state.slots.push_back(slot);
    Ok(())
}

//! Which epoll instances may watch which: no loops, and no long chains, for news go up a chain
//! and questions go down it.

use alloc::sync::Arc;

use abi::Errno;

use crate::error::{Because, Error, Result};

use super::Epoll;

/// How many instances may watch one another in a row, beyond the first (`EP_MAX_NESTS`).
const DEEPEST: usize = 4;

/// Checks that `watcher` may watch `target`.
///
/// # Errors
/// `ELOOP`.
pub(super) fn check(watcher: &Arc<Epoll>, target: &Arc<Epoll>) -> Result<()> {
    let below = depth_below(target, watcher, 0)?;
    if below + 1 + depth_above(watcher, 0)? > DEEPEST {
        return Err(too_deep());
    }
    Ok(())
}

fn too_deep() -> Error {
    Errno::ELOOP.because("instances watch each other, or too many in a row")
}

/// How many instances are below `epoll` in a row, among which `watcher` must not be.
fn depth_below(epoll: &Arc<Epoll>, watcher: &Arc<Epoll>, depth: usize) -> Result<usize> {
    if Arc::ptr_eq(epoll, watcher) || depth > DEEPEST {
        return Err(too_deep());
    }
    let mut deepest = 0;
    for interest in epoll.all() {
        let open = interest.open();
        if let Some(target) = open.as_ref().and_then(|open| open.file.epoll()) {
            deepest = deepest.max(1 + depth_below(target, watcher, depth + 1)?);
        }
    }
    Ok(deepest)
}

/// How many instances are above `epoll` in a row.
fn depth_above(epoll: &Arc<Epoll>, depth: usize) -> Result<usize> {
    if depth > DEEPEST {
        return Err(too_deep());
    }
    let mut highest = 0;
    let open = epoll.open.get().and_then(alloc::sync::Weak::upgrade);
    for interest in open.iter().flat_map(|open| open.watchers()) {
        if let Some(watcher) = interest.epoll() {
            highest = highest.max(1 + depth_above(&watcher, depth + 1)?);
        }
    }
    Ok(highest)
}

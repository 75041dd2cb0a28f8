//! Open files in messages (`SCM_RIGHTS`), and those among them that nobody can receive any more.
//!
//! A socket in a message that lies in its own queue, or in that of another such socket, keeps
//! itself open for ever when no descriptor refers to it. So when descriptors of sockets are
//! closed while sockets are under way, [`InFlight::collect`] looks for those that are kept by
//! messages alone, and empties their queues.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;

use abi::Errno;
use abi::process::Resource;
use spin::Mutex;

use crate::context::Context;
use crate::error::{Because, Result};
use crate::fs::OpenFile;
use crate::process::Capability;

/// The open files in messages of all sockets.
#[derive(Default)]
pub(crate) struct InFlight {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// How many open files are in messages.
    count: usize,
    /// The sockets among them, by address: how often.
    sockets: BTreeMap<usize, (Weak<OpenFile>, usize)>,
}

/// An open file in a message.
pub(super) struct Passed {
    open: Arc<OpenFile>,
    registry: Arc<InFlight>,
}

impl Passed {
    /// The open file, which is still in the message.
    pub(super) fn open(&self) -> Arc<OpenFile> {
        self.open.clone()
    }

    /// The same open file in one more message.
    pub(super) fn again(&self) -> Self {
        self.registry.state.lock().add(&self.open);
        Self { open: self.open.clone(), registry: self.registry.clone() }
    }
}

impl State {
    fn add(&mut self, open: &Arc<OpenFile>) {
        self.count += 1;
        if open.file.socket().is_some() {
            let entry = self.sockets.entry(address(open));
            entry.or_insert_with(|| (Arc::downgrade(open), 0)).1 += 1;
        }
    }
}

impl Drop for Passed {
    fn drop(&mut self) {
        let mut state = self.registry.state.lock();
        state.count -= 1;
        let key = address(&self.open);
        if let Some((_, times)) = state.sockets.get_mut(&key) {
            *times -= 1;
            if *times == 0 {
                state.sockets.remove(&key);
            }
        }
    }
}

impl InFlight {
    /// Puts open files into a message.
    ///
    /// # Errors
    /// `ETOOMANYREFS` when so many are under way as a process may have open.
    pub(super) fn pass(
        self: &Arc<Self>,
        cx: &Context<'_>,
        files: Vec<Arc<OpenFile>>,
    ) -> Result<Vec<Passed>> {
        let limit = cx.process.limits().current(Resource::OpenFiles);
        let who = cx.credentials();
        let is_exempt = who.has(Capability::SysResource) || who.has(Capability::SysAdmin);
        let mut state = self.state.lock();
        if !files.is_empty() && state.count as u64 > limit && !is_exempt {
            return Err(Errno::ETOOMANYREFS.because("too many descriptors are under way"));
        }
        files.iter().for_each(|open| state.add(open));
        drop(state);
        let passed = |open| Passed { open, registry: self.clone() };
        Ok(files.into_iter().map(passed).collect())
    }

    /// Whether a socket is in a message.
    pub(crate) fn has_sockets(&self) -> bool {
        !self.state.lock().sockets.is_empty()
    }

    /// Empties the queues of sockets that nobody can receive from or get at any more.
    /// `closing` is about to be dropped by the caller.
    pub(crate) fn collect(&self, closing: Option<&Arc<OpenFile>>) {
        let candidates: Vec<(Arc<OpenFile>, usize)> = {
            let state = self.state.lock();
            let sockets = state.sockets.values();
            sockets.filter_map(|(open, times)| Some((open.upgrade()?, *times))).collect()
        };
        // Those to which nothing but messages refers, and how often messages in their queues do.
        let mut suspects: BTreeMap<usize, usize> = BTreeMap::new();
        for (open, times) in &candidates {
            // This list refers to each of them, too.
            let released = closing.is_some_and(|closing| Arc::ptr_eq(closing, open));
            if Arc::strong_count(open) - 1 - usize::from(released) == *times {
                suspects.insert(address(open), 0);
            }
        }
        for (open, _) in &candidates {
            if suspects.contains_key(&address(open)) {
                for passed in passed_by(open) {
                    suspects.entry(address(&passed)).and_modify(|times| *times += 1);
                }
            }
        }
        let mut reachable = BTreeSet::new();
        for (open, times) in &candidates {
            if suspects.get(&address(open)) != Some(times) {
                mark(open, &mut reachable);
            }
        }
        let mut garbage = Vec::new();
        for (open, _) in &candidates {
            if !reachable.contains(&address(open))
                && let Some(socket) = open.file.socket().and_then(|socket| socket.unix())
            {
                garbage.append(&mut socket.purge());
            }
        }
        drop(garbage);
    }
}

fn address(open: &Arc<OpenFile>) -> usize {
    Arc::as_ptr(open).addr()
}

/// The sockets in messages that can be received from this one.
fn passed_by(open: &Arc<OpenFile>) -> Vec<Arc<OpenFile>> {
    let socket = open.file.socket().and_then(|socket| socket.unix());
    socket.map_or_else(Vec::new, super::UnixSocket::passed_sockets)
}

/// Marks a socket and those that can be received from it.
fn mark(open: &Arc<OpenFile>, reachable: &mut BTreeSet<usize>) {
    let mut next = alloc::vec![open.clone()];
    while let Some(open) = next.pop() {
        if reachable.insert(address(&open)) {
            next.extend(passed_by(&open));
        }
    }
}

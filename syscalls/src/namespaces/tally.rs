//! How many namespaces there may be: namespaces(7), "The /proc/sys/user directory".

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, Ordering};

use abi::Errno;
use spin::Mutex;

use crate::context::Context;
use crate::error::{Because, Result};
use crate::system::System;

use super::{Kind, UserNamespace};

/// The limits of a user namespace, and how many namespaces of each kind its users have made in
/// it and below it.
pub(crate) struct Tally {
    limits: [AtomicU32; Kind::ALL.len()],
    counts: Mutex<BTreeMap<(u32, Kind), u32>>,
}

impl Tally {
    /// With this limit for each kind.
    pub(crate) fn new(limit: u32) -> Self {
        Self {
            limits: core::array::from_fn(|_| AtomicU32::new(limit)),
            counts: Mutex::new(BTreeMap::new()),
        }
    }

    /// How many namespaces of a kind a user may have.
    pub(crate) fn limit(&self, kind: Kind) -> u32 {
        self.limits[kind as usize].load(Ordering::Relaxed)
    }

    /// Sets how many namespaces of a kind a user may have.
    pub(crate) fn set_limit(&self, kind: Kind, limit: u32) {
        self.limits[kind as usize].store(limit, Ordering::Relaxed);
    }

    fn add(&self, user: u32, kind: Kind) -> Result<()> {
        let mut counts = self.counts.lock();
        let count = counts.entry((user, kind)).or_insert(0);
        if *count >= self.limit(kind) {
            return Err(Errno::ENOSPC.because("the user has too many namespaces of this kind"));
        }
        *count += 1;
        Ok(())
    }

    fn remove(&self, user: u32, kind: Kind) {
        let mut counts = self.counts.lock();
        if let Some(count) = counts.get_mut(&(user, kind)) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&(user, kind));
            }
        }
    }
}

/// One namespace, as long as it exists, in the tallies of all user namespaces around it.
pub(crate) struct Counted {
    kind: Kind,
    held: Vec<(Arc<Tally>, u32)>,
}

impl Counted {
    /// Counts a namespace that the caller makes in `owner`.
    ///
    /// # Errors
    /// `ENOSPC` when its user, or the one of a user namespace around it, has too many.
    pub(crate) fn new(cx: &Context<'_>, kind: Kind, owner: &UserNamespace) -> Result<Self> {
        let mut counted = Self { kind, held: Vec::new() };
        let (mut user, mut at) = (cx.credentials().users.effective, Some(owner));
        while let Some(namespace) = at {
            let tally = tally_of(cx.system, namespace);
            tally.add(user, kind)?;
            counted.held.push((tally, user));
            (user, at) = (namespace.maker(), namespace.parent());
        }
        Ok(counted)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        for (tally, user) in &self.held {
            tally.remove(*user, self.kind);
        }
    }
}

/// The tally of a user namespace.
pub(crate) fn tally_of(system: &System, namespace: &UserNamespace) -> Arc<Tally> {
    namespace.tally().unwrap_or(&system.namespace_tally).clone()
}

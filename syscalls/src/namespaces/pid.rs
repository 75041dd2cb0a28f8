//! Namespaces of numbers of processes and threads: pid_namespaces(7).
//!
//! Inside the kernel every process and thread is known by the number that it has in the first
//! namespace, and so are groups and sessions. Each further namespace keeps what numbers those
//! have in it; what programs say and are told is translated where it comes in and goes out.

use alloc::collections::BTreeMap;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;

use abi::Errno;
use abi::namespaces::{DEPTH_MAX, first};
use spin::Mutex;

use crate::context::Context;
use crate::error::{Because, Result};
use crate::process::Process;
use crate::process::table::PID_MAX;

use super::{Common, Kind, UserNamespace};

/// The number of the first process in each.
const INIT: u32 = 1;

/// Where numbers go on that have all been used once (`RESERVED_PIDS`).
const AGAIN: u32 = 300;

/// A namespace of numbers of processes. A cheap handle: all clones are the same.
#[derive(Clone, Default)]
pub(crate) struct PidNamespace(Option<Arc<Nested>>);

/// One within another.
struct Nested {
    common: Common,
    level: u32,
    parent: PidNamespace,
    numbers: Mutex<Numbers>,
}

struct Numbers {
    /// The number in the first namespace of what has a number here.
    outside: BTreeMap<u32, u32>,
    /// The number here of what has a number in the first namespace.
    inside: BTreeMap<u32, u32>,
    next: u32,
    /// Its first process, once there is one.
    init: Weak<Process>,
    /// That process has ended: there will be no others.
    is_over: bool,
}

impl PartialEq for PidNamespace {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (None, None) => true,
            (Some(one), Some(two)) => Arc::ptr_eq(one, two),
            _ => false,
        }
    }
}

impl PidNamespace {
    /// The first one.
    pub(crate) const FIRST: Self = Self(None);

    /// A new one within `parent`, in which there is no process yet.
    ///
    /// # Errors
    /// `EINVAL` when `owner` does not belong to those who own `parent`; `ENOSPC` when there
    /// are too many, or too many around it.
    pub(super) fn within(cx: &Context<'_>, parent: &Self, owner: &UserNamespace) -> Result<Self> {
        if !parent.owner().surrounds(owner) {
            return Err(Errno::EINVAL.because("the namespace around it belongs to others"));
        }
        if parent.level() >= DEPTH_MAX {
            return Err(Errno::ENOSPC.because("too many namespaces lie around it"));
        }
        let numbers = Numbers {
            outside: BTreeMap::new(),
            inside: BTreeMap::new(),
            next: INIT,
            init: Weak::new(),
            is_over: false,
        };
        Ok(Self(Some(Arc::new(Nested {
            common: Common::new(cx, Kind::Pid, owner)?,
            level: parent.level() + 1,
            parent: parent.clone(),
            numbers: Mutex::new(numbers),
        }))))
    }

    /// Whether it is the first.
    pub(crate) const fn is_first(&self) -> bool {
        self.0.is_none()
    }

    /// The number of its inode.
    pub(crate) fn number(&self) -> u32 {
        self.0.as_ref().map_or(first::PID, |nested| nested.common.number)
    }

    /// How many lie around it.
    pub(crate) fn level(&self) -> u32 {
        self.0.as_ref().map_or(0, |nested| nested.level)
    }

    /// The one around it.
    pub(crate) fn parent(&self) -> Option<&Self> {
        self.0.as_ref().map(|nested| &nested.parent)
    }

    /// The user namespace that owns it.
    pub(crate) fn owner(&self) -> UserNamespace {
        self.0.as_ref().map_or(UserNamespace::FIRST, |nested| nested.common.owner.clone())
    }

    /// Whether it is `other`, or lies around it.
    pub(crate) fn surrounds(&self, other: &Self) -> bool {
        other.outwards().any(|one| one == self)
    }

    /// It and those around it, but for the first.
    fn nested(&self) -> impl Iterator<Item = &Arc<Nested>> {
        core::iter::successors(self.0.as_ref(), |nested| nested.parent.0.as_ref())
    }

    /// It and all those around it.
    pub(crate) fn outwards(&self) -> impl Iterator<Item = &Self> {
        core::iter::successors(Some(self), |one| one.parent())
    }

    /// Gives what has the number `id` in the first namespace a number here and in all
    /// namespaces around; `wanted` are those it shall have, from the innermost on.
    ///
    /// # Errors
    /// `ENOMEM` once the first process here has ended; `EEXIST` when a wanted number is taken;
    /// `EINVAL` for a first process that would not be number 1; `EAGAIN` when there are no
    /// more numbers.
    pub(crate) fn add(&self, id: u32, wanted: &[u32]) -> Result<()> {
        let mut wanted = wanted.iter().copied();
        for nested in self.nested() {
            let added = nested.numbers.lock().add(id, wanted.next());
            if let Err(error) = added {
                self.forget(id);
                return Err(error);
            }
        }
        Ok(())
    }

    /// Takes the numbers here and around from what has the number `id` in the first namespace.
    pub(crate) fn forget(&self, id: u32) {
        for nested in self.nested() {
            let mut numbers = nested.numbers.lock();
            if let Some(inside) = numbers.inside.remove(&id) {
                numbers.outside.remove(&inside);
            }
        }
    }

    /// The number here of what has the number `id` in the first namespace; 0 where it has none.
    pub(crate) fn shown(&self, id: u32) -> u32 {
        match &self.0 {
            None => id,
            Some(nested) => nested.numbers.lock().inside.get(&id).copied().unwrap_or(0),
        }
    }

    /// The numbers that a process of the namespace `inner` has, from this one inwards.
    pub(crate) fn shown_inwards(&self, inner: &Self, id: u32) -> Vec<u32> {
        if !self.surrounds(inner) {
            return Vec::new();
        }
        let to_here = (inner.level() - self.level()) as usize + 1;
        let mut shown: Vec<u32> = inner.outwards().take(to_here).map(|one| one.shown(id)).collect();
        shown.reverse();
        shown
    }

    /// The number in the first namespace of what has the number `id` here.
    pub(crate) fn outside(&self, id: u32) -> Option<u32> {
        match &self.0 {
            None => Some(id),
            Some(nested) => nested.numbers.lock().outside.get(&id).copied(),
        }
    }

    /// The number that was given last here, where it is not the first.
    pub(crate) fn last(&self) -> Option<u32> {
        self.0.as_ref().map(|nested| nested.numbers.lock().next - 1)
    }

    /// Lets the search for a number go on after `last`, where it is not the first.
    pub(crate) fn set_last(&self, last: u32) {
        if let Some(nested) = &self.0 {
            nested.numbers.lock().next = last + 1;
        }
    }

    /// Its first process, as long as that has not ended; the kernel's own is not told.
    pub(crate) fn init(&self) -> Option<Arc<Process>> {
        let init = self.0.as_ref()?.numbers.lock().init.upgrade();
        init.filter(|init| !init.has_ended())
    }

    /// Makes `process` its first process, if it has the number for that.
    pub(crate) fn begin(&self, process: &Arc<Process>) {
        if let Some(nested) = &self.0 {
            let mut numbers = nested.numbers.lock();
            if numbers.inside.get(&process.id()) == Some(&INIT) {
                numbers.init = Arc::downgrade(process);
            }
        }
    }

    /// Whether `process` is its first process.
    pub(crate) fn is_init(&self, process: &Process) -> bool {
        self.0
            .as_ref()
            .is_some_and(|nested| nested.numbers.lock().inside.get(&process.id()) == Some(&INIT))
    }

    /// Nothing gets a number here any more. Returns the numbers in the first namespace of what
    /// has one.
    pub(crate) fn end(&self) -> Vec<u32> {
        let Some(nested) = &self.0 else {
            return Vec::new();
        };
        let mut numbers = nested.numbers.lock();
        numbers.is_over = true;
        numbers.inside.keys().copied().collect()
    }
}

impl Numbers {
    fn add(&mut self, id: u32, wanted: Option<u32>) -> Result<()> {
        if self.is_over {
            return Err(Errno::ENOMEM.because("the first process of the namespace has ended"));
        }
        let inside = match wanted {
            Some(wanted) => self.check_wanted(wanted)?,
            None => self.search()?,
        };
        self.outside.insert(inside, id);
        self.inside.insert(id, inside);
        Ok(())
    }

    fn check_wanted(&self, wanted: u32) -> Result<u32> {
        if !(INIT..PID_MAX).contains(&wanted) {
            return Err(Errno::EINVAL.because("not a number of a process"));
        }
        if wanted != INIT && self.init.strong_count() == 0 {
            return Err(Errno::EINVAL.because("the first process has the number 1"));
        }
        if self.outside.contains_key(&wanted) {
            return Err(Errno::EEXIST.because("the number is taken"));
        }
        Ok(wanted)
    }

    fn search(&mut self) -> Result<u32> {
        for _ in 0..PID_MAX {
            let id = if self.next < PID_MAX { self.next } else { AGAIN };
            self.next = id + 1;
            if !self.outside.contains_key(&id) {
                return Ok(id);
            }
        }
        Err(Errno::EAGAIN.because("all numbers are taken"))
    }
}

impl Context<'_> {
    /// The namespace in which the caller has its numbers.
    pub(crate) fn pid_namespace(&self) -> &PidNamespace {
        &self.process.pid_namespace
    }

    /// The number that the caller knows by which a process, thread, group or session has the
    /// number `id` in the first namespace; 0 for one that it does not see.
    pub(crate) fn shown_id(&self, id: u32) -> u32 {
        self.pid_namespace().shown(id)
    }

    /// The number in the first namespace of what the caller knows as `id`.
    pub(crate) fn outside_id(&self, id: u32) -> Option<u32> {
        self.pid_namespace().outside(id)
    }

    /// As [`Context::outside_id`] for a number as calls have it.
    ///
    /// # Errors
    /// `ESRCH` where there is nothing with it.
    pub(crate) fn known_id(&self, id: i32) -> Result<u32> {
        let outside = u32::try_from(id).ok().and_then(|id| self.outside_id(id));
        outside.ok_or_else(|| Errno::ESRCH.because("nothing has that number"))
    }
}

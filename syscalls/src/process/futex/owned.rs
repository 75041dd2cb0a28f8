//! Words that threads own: a word holds the number of its owner, and the kernel hands it to
//! the next one who waits. futex(2), "Priority-inheritance futexes".
//!
//! All threads have the same priority here, so that there is none to inherit: what is left is
//! who owns what, in the order in which they came, and that nobody waits for himself.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;

use abi::Errno;
use abi::futex::{OWNER_DIED, TID_MASK, WAITERS};

use crate::context::Context;
use crate::error::{Because, Error, Result};
use crate::process::Thread;

use super::{
    ANY, Attempt, Futexes, Key, Legacy, Place, Queue, Queues, Waiter, Word, bring_to_change, sleep,
    waits_to_own,
};

/// Who owns a word that others wait to own.
pub(super) struct Owned {
    /// The number of the thread.
    owner: u32,
    waiters: Queue,
}

/// How a try to own a word went.
enum Try {
    /// The caller owns it.
    Owns,
    /// Another one owns it, and knows that somebody wants it.
    OwnedBy(u32),
}

impl Futexes {
    /// Waits until the caller owns the word: `FUTEX_LOCK_PI`.
    ///
    /// # Errors
    /// `EDEADLK` when it owns it, or its owner waits for it; `ESRCH` when there is no such
    /// owner; `ETIMEDOUT`; `EFAULT`; `ERESTARTNOINTR` when a signal came.
    pub(crate) fn lock(
        &self,
        cx: &Context<'_>,
        word: &Word<'_>,
        deadline_ns: Option<u64>,
    ) -> Result<()> {
        cx.thread.machine();
        let waiter = self.attempt(word, bring_to_change, |queues| {
            let owner = match queues.try_to_own(cx, word)? {
                Ok(Try::OwnedBy(owner)) => owner,
                Ok(Try::Owns) => return Ok(Ok(None)),
                Err(error) => return Ok(Err(error)),
            };
            if queues.waits_for(owner, cx.thread.id()) {
                return Ok(Err(Errno::EDEADLK.because("the owner waits for the caller")));
            }
            let waiter = Waiter::new(cx, ANY, None, Place::WaitsToOwn(word.key));
            queues.owned_by(word.key, owner).push_back(waiter.clone());
            Ok(Ok(Some(waiter)))
        })?;
        let Some(waiter) = waiter else {
            return Ok(());
        };
        let waited = sleep(cx, &waiter, deadline_ns);
        match (self.withdraw(&waiter), waited) {
            (Place::Owns(legacy), _) => self.take_over(cx, word, legacy),
            (_, Err(_)) => Err(Errno::ERESTARTNOINTR.because("interrupted by a signal")),
            (_, Ok(())) => Err(Errno::ETIMEDOUT.because("the word was not free in time")),
        }
    }

    /// Owns the word if nobody else does: `FUTEX_TRYLOCK_PI`.
    ///
    /// # Errors
    /// `EAGAIN` when another thread owns it; otherwise as [`Futexes::lock`].
    pub(crate) fn try_lock(&self, cx: &Context<'_>, word: &Word<'_>) -> Result<()> {
        self.attempt(word, bring_to_change, |queues| {
            Ok(queues.try_to_own(cx, word)?.and_then(|tried| match tried {
                Try::Owns => Ok(()),
                Try::OwnedBy(_) => Err(Errno::EAGAIN.because("another thread owns the word")),
            }))
        })
    }

    /// Gives the word, which the caller owns, to the next one who waits: `FUTEX_UNLOCK_PI`.
    ///
    /// # Errors
    /// `EPERM` when the caller does not own it; `EFAULT`; `EINVAL` when somebody waits for it
    /// in another way.
    pub(crate) fn unlock(&self, cx: &Context<'_>, word: &Word<'_>) -> Result<()> {
        self.attempt(word, bring_to_change, |queues| {
            loop {
                let found = word.load()?;
                if found & TID_MASK != cx.shown_id(cx.thread.id()) {
                    return Ok(Err(Errno::EPERM.because("the caller does not own the word")));
                }
                let next = queues.owned.get(&word.key).and_then(|owned| owned.waiters.front());
                if next.is_none() && queues.waiting.contains_key(&word.key) {
                    return Ok(Err(Errno::EINVAL.because("somebody waits without owning")));
                }
                let new = next.map_or(0, |next| cx.shown_id(next.id) | WAITERS);
                if word.replace(found, new)? {
                    queues.hand_on(word.key, Legacy::Unlocked);
                    return Ok(Ok(()));
                }
            }
        })
    }

    /// Waits to be requeued to `target`, and to own that: `FUTEX_WAIT_REQUEUE_PI`.
    ///
    /// # Errors
    /// `EAGAIN` when the word is another, or the wait ended after the requeueing by a signal;
    /// `EINVAL` when both are the same word; `ETIMEDOUT`; `EFAULT`; `ERESTARTNOINTR`.
    pub(crate) fn wait_to_own(
        &self,
        cx: &Context<'_>,
        word: &Word<'_>,
        expected: u32,
        deadline_ns: Option<u64>,
        bits: u32,
        target: &Word<'_>,
    ) -> Result<()> {
        if word.key == target.key {
            return Err(Errno::EINVAL.because("both are the same word"));
        }
        let waiter = self.enter(cx, word, expected, bits, Some(target.key))?;
        let waited = sleep(cx, &waiter, deadline_ns);
        match (self.withdraw(&waiter), waited) {
            (Place::Owns(legacy), _) => self.take_over(cx, target, legacy),
            (_, Ok(())) => Err(Errno::ETIMEDOUT.because("the word was not free in time")),
            (Place::WaitsToOwn(_), Err(_)) => {
                Err(Errno::EAGAIN.because("interrupted by a signal after the requeueing"))
            }
            (_, Err(_)) => Err(Errno::ERESTARTNOINTR.because("interrupted by a signal")),
        }
    }

    /// Lets the first waiter of `from` own `to`, and it or up to `requeue` others wait to own
    /// it, if `from` is still `expected`: `FUTEX_CMP_REQUEUE_PI`. Returns how many these are.
    ///
    /// # Errors
    /// `EAGAIN` when the word is another; `EINVAL` when both are the same word, or a waiter
    /// waits for something else; `EDEADLK`; `ESRCH`; `EFAULT`.
    pub(crate) fn requeue_to_own(
        &self,
        cx: &Context<'_>,
        from: &Word<'_>,
        to: &Word<'_>,
        requeue: u32,
        expected: u32,
    ) -> Result<u32> {
        if from.key == to.key {
            return Err(Errno::EINVAL.because("both are the same word"));
        }
        self.attempt(to, bring_to_change, |queues| {
            if from.load()? != expected {
                return Ok(Err(Errno::EAGAIN.because("the word has another value")));
            }
            let count = queues.waiting.get(&from.key).map_or(0, VecDeque::len);
            let count = count.min((requeue as usize).saturating_add(1));
            queues.requeue_to_own(cx, from.key, to, count)
        })
    }

    /// The end of a thread: what it owns goes to those who wait.
    pub(in crate::process) fn leave(&self, thread: &Thread) {
        let mut queues = self.queues.lock();
        let id = thread.id();
        let is_own = |(key, owned): (&Key, &Owned)| (owned.owner == id).then_some(*key);
        let own: Vec<Key> = queues.owned.iter().filter_map(is_own).collect();
        for key in own {
            queues.hand_on(key, Legacy::OwnerDied);
        }
    }

    /// Says in the word that the caller owns it, where that is not said yet.
    fn take_over(&self, cx: &Context<'_>, word: &Word<'_>, legacy: Legacy) -> Result<()> {
        if legacy == Legacy::Unlocked {
            return Ok(());
        }
        let new = cx.shown_id(cx.thread.id()) | WAITERS | OWNER_DIED;
        self.attempt(word, bring_to_change, |_| {
            while !word.replace(word.load()?, new)? {}
            Ok(Ok(()))
        })
    }
}

impl Queues {
    /// Lets the caller own the word if nobody does; otherwise marks that somebody wants it.
    fn try_to_own(&mut self, cx: &Context<'_>, word: &Word<'_>) -> Attempt<Try> {
        let (id, own) = (cx.thread.id(), cx.shown_id(cx.thread.id()));
        loop {
            let found = word.load()?;
            match found & TID_MASK {
                0 => {
                    let owned = self.owned.get_mut(&word.key);
                    let waiters = if owned.is_some() { WAITERS } else { 0 };
                    if word.replace(found, own | found & OWNER_DIED | waiters)? {
                        owned.into_iter().for_each(|owned| owned.owner = id);
                        return Ok(Ok(Try::Owns));
                    }
                }
                owner if owner == own => {
                    return Ok(Err(Errno::EDEADLK.because("the caller owns the word")));
                }
                owner => {
                    let owner = match self.check_owner(cx, word.key, owner) {
                        Ok(owner) => owner,
                        Err(error) => return Ok(Err(error)),
                    };
                    if word.replace(found, found | WAITERS)? {
                        return Ok(Ok(Try::OwnedBy(owner)));
                    }
                }
            }
        }
    }

    /// The number in the first namespace of the owner of the word, which says `owner`.
    fn check_owner(&self, cx: &Context<'_>, key: Key, owner: u32) -> Result<u32, Error> {
        if self.waiting.contains_key(&key) {
            return Err(Errno::EINVAL.because("somebody waits without owning"));
        }
        let owner = cx.outside_id(owner).filter(|&owner| cx.system.thread(owner).is_some());
        match owner {
            Some(owner) => Ok(owner),
            None => Err(Errno::ESRCH.because("the owner has ended")),
        }
    }

    /// Those who wait to own a word of `owner`.
    fn owned_by(&mut self, key: Key, owner: u32) -> &mut Queue {
        let new = || Owned { owner, waiters: Queue::new() };
        let owned = self.owned.entry(key).or_insert_with(new);
        owned.owner = owner;
        &mut owned.waiters
    }

    /// Whether the thread `who` waits, also by way of others, for one that `whom` owns.
    fn waits_for(&self, mut who: u32, whom: u32) -> bool {
        // No chain is longer than there are words; one that is another's circle ends too.
        for _ in 0..=self.owned.len() {
            let waits = |owned: &&Owned| owned.waiters.iter().any(|waiter| waiter.id == who);
            match self.owned.values().find(waits) {
                Some(owned) if owned.owner == whom => return true,
                Some(owned) => who = owned.owner,
                None => return false,
            }
        }
        false
    }

    /// Lets the next one own the word, if one waits.
    fn hand_on(&mut self, key: Key, legacy: Legacy) {
        let Some(owned) = self.owned.get_mut(&key) else {
            return;
        };
        if let Some(next) = owned.waiters.pop_front() {
            owned.owner = next.id;
            next.release(Place::Owns(legacy));
        }
        if owned.waiters.is_empty() {
            self.owned.remove(&key);
        }
    }

    pub(super) fn remove_from_owned(&mut self, key: Key, waiter: &Arc<Waiter>) {
        if let Some(owned) = self.owned.get_mut(&key) {
            owned.waiters.retain(|other| !Arc::ptr_eq(other, waiter));
            if owned.waiters.is_empty() {
                self.owned.remove(&key);
            }
        }
    }

    /// Moves the first `count` waiters of `from`; the first one may own the word at once.
    fn requeue_to_own(
        &mut self,
        cx: &Context<'_>,
        from: Key,
        to: &Word<'_>,
        count: usize,
    ) -> Attempt<u32> {
        let Some(queue) = self.waiting.get(&from).filter(|_| count > 0) else {
            return Ok(Ok(0));
        };
        if queue.iter().take(count).any(|waiter| waiter.target != Some(to.key)) {
            return Ok(Err(waits_to_own()));
        }
        let first = queue[0].id;
        let (owner, is_free) = loop {
            let found = to.load()?;
            let owner = match found & TID_MASK {
                0 => 0,
                owner => match self.check_owner(cx, to.key, owner) {
                    Ok(owner) => owner,
                    Err(error) => return Ok(Err(error)),
                },
            };
            let is_free = owner == 0 && !self.owned.contains_key(&to.key);
            let waiters = if is_free && count == 1 { 0 } else { WAITERS };
            let new_owner = if owner == 0 { first } else { owner };
            let shown = cx.shown_id(new_owner);
            if to.replace(found, shown | found & OWNER_DIED | waiters)? {
                break (new_owner, owner == 0);
            }
        };
        let mut moving: Queue = match self.waiting.get_mut(&from) {
            Some(queue) => queue.drain(..count).collect(),
            None => Queue::new(),
        };
        self.waiting.retain(|key, queue| *key != from || !queue.is_empty());
        if is_free && let Some(next) = moving.pop_front() {
            next.release(Place::Owns(Legacy::Unlocked));
        }
        if !moving.is_empty() {
            let waiters = self.owned_by(to.key, owner);
            for waiter in moving {
                waiter.go(Place::WaitsToOwn(to.key), to);
                waiters.push_back(waiter);
            }
        }
        Ok(Ok(count as u32))
    }
}

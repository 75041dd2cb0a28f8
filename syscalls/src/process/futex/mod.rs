//! Futexes: waiting for a word of memory to change. futex(2).
//!
//! - here: which word is meant, who waits for it, waiting and waking
//! - `requeue`: from one word to another
//! - `owned`: words that threads own, with hand-over by the kernel (priority inheritance)
//! - `robust`: what threads own that end
//!
//! # Locks
//! The one lock of the queues is held over accesses to words, which do not fault then: who
//! finds that a word is not in memory lets go, brings it in and tries again. Below it are the
//! table of processes and the machine's own.

mod owned;
mod requeue;
mod robust;
#[cfg(test)]
mod tests;

use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;

use abi::{Errno, TASK_SIZE};
use spin::Mutex;

use crate::context::Context;
use crate::error::{Because, Result};
use crate::machine::{Fault, Page};
use crate::mm::AddressSpace;
use crate::wait::Interruption;

use super::Thread;
use owned::Owned;
pub(crate) use requeue::Change;

/// Wakes every waiter, whatever it waits with.
pub(crate) const ANY: u32 = u32::MAX;

/// Who may wait for a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// The threads of one address space.
    Private,
    /// Also other processes that see the same memory.
    Shared,
}

/// Which word it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    /// An address in an address space, which lives as long as somebody waits.
    Private(usize, u64),
    /// An offset in the page with this frame, which lives as long as somebody waits.
    Shared(u64, u16),
}

/// A word of a caller's memory.
pub(crate) struct Word<'a> {
    memory: &'a Arc<AddressSpace>,
    address: u64,
    key: Key,
    /// The page of a shared word.
    page: Option<Arc<dyn Page>>,
}

impl<'a> Word<'a> {
    /// The word at `address`.
    ///
    /// # Errors
    /// `EINVAL` when it is not aligned; `EFAULT` when it is not the application's, or is to
    /// be shared and not there.
    pub(crate) fn find(memory: &'a Arc<AddressSpace>, address: u64, scope: Scope) -> Result<Self> {
        const OFFSET: u64 = abi::PAGE_SIZE as u64 - 1;
        if !address.is_multiple_of(4) {
            return Err(Errno::EINVAL.because("the word is not aligned"));
        }
        if address >= TASK_SIZE {
            return Err(Errno::EFAULT.because("not an address of the application"));
        }
        let page = match scope {
            Scope::Private => None,
            Scope::Shared => memory.shared_page(address)?,
        };
        let key = match &page {
            None => Key::Private(Arc::as_ptr(memory) as usize, address),
            Some(page) => Key::Shared(page.frame(), (address & OFFSET) as u16),
        };
        Ok(Self { memory, address, key, page })
    }

    fn load(&self) -> Result<u32, Fault> {
        self.memory.space().load_u32(self.address)
    }

    /// Replaces `current` by `new`; returns whether it was `current`.
    fn replace(&self, current: u32, new: u32) -> Result<bool, Fault> {
        let found = self.memory.space().compare_exchange_u32(self.address, current, new)?;
        Ok(found == current)
    }
}

/// A thread that waits for a word.
struct Waiter {
    thread: Weak<Thread>,
    /// Its number.
    id: u32,
    /// It is woken only by a wake that has one of these bits.
    bits: u32,
    /// The word it wants to own after the wait, if it is to be requeued to one.
    target: Option<Key>,
    place: Mutex<Place>,
    /// Keeps the page of a shared word that it was moved to, and so its frame's number; that
    /// of the first one is kept by who waits.
    page: Mutex<Option<Arc<dyn Page>>>,
}

/// Where a waiter is. Changes under the lock of the queues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Among those who wait for a wake.
    Waits(Key),
    /// Among those who wait to own the word.
    WaitsToOwn(Key),
    /// It was woken.
    Woken,
    /// It owns the word it wanted; the owner before may have ended without unlocking.
    Owns(Legacy),
}

/// How a word came to its new owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Legacy {
    /// The word says so already.
    Unlocked,
    /// The new owner must say so in the word.
    OwnerDied,
}

impl Waiter {
    fn new(cx: &Context<'_>, bits: u32, target: Option<Key>, place: Place) -> Arc<Self> {
        Arc::new(Self {
            thread: cx.thread.downgrade(),
            id: cx.thread.id(),
            bits,
            target,
            place: Mutex::new(place),
            page: Mutex::new(None),
        })
    }

    /// Lets it wait for another word.
    fn go(&self, place: Place, to: &Word<'_>) {
        *self.place.lock() = place;
        self.page.lock().clone_from(&to.page);
    }

    /// Ends its wait, which led it to `place`.
    fn release(&self, place: Place) {
        *self.place.lock() = place;
        if let Some(thread) = self.thread.upgrade() {
            thread.unpark();
        }
    }

    fn is_released(&self) -> bool {
        matches!(*self.place.lock(), Place::Woken | Place::Owns(_))
    }
}

/// Waiters in the order in which they came.
type Queue = VecDeque<Arc<Waiter>>;

/// Who waits for what.
#[derive(Default)]
struct Queues {
    waiting: BTreeMap<Key, Queue>,
    owned: BTreeMap<Key, Owned>,
}

/// All futexes somebody waits for.
#[derive(Default)]
pub(crate) struct Futexes {
    queues: Mutex<Queues>,
}

/// What an attempt comes to that finds a word that is not in memory.
type Attempt<T> = Result<Result<T>, Fault>;

impl Futexes {
    /// Makes attempts with the queues locked until one finds all words in memory; `bring`
    /// brings one in.
    fn attempt<T>(
        &self,
        word: &Word<'_>,
        bring: fn(&AddressSpace, u64) -> Result<()>,
        mut attempt: impl FnMut(&mut Queues) -> Attempt<T>,
    ) -> Result<T> {
        loop {
            let attempted = attempt(&mut self.queues.lock());
            match attempted {
                Ok(result) => return result,
                Err(fault) => bring(word.memory, fault.address)?,
            }
        }
    }

    /// Waits for a wake with one of `bits`, if the word is still `expected`. Returns whether it
    /// came before the monotonic deadline.
    ///
    /// # Errors
    /// `EAGAIN` when the word is another; `EFAULT` for a bad address; `ERESTARTSYS` when a
    /// signal came.
    pub(crate) fn wait(
        &self,
        cx: &Context<'_>,
        word: &Word<'_>,
        expected: u32,
        deadline_ns: Option<u64>,
        bits: u32,
    ) -> Result<bool> {
        let waiter = self.enter(cx, word, expected, bits, None)?;
        let woken = sleep(cx, &waiter, deadline_ns);
        match self.withdraw(&waiter) {
            Place::Woken => Ok(true),
            _ => woken.map(|()| false),
        }
    }

    /// Waits for a wake of one of several words that are still as expected. Returns which one
    /// it was that was woken last, or `None` when the monotonic deadline came first.
    ///
    /// # Errors
    /// As [`Futexes::wait`].
    pub(crate) fn wait_for_any(
        &self,
        cx: &Context<'_>,
        words: &[(Word<'_>, u32)],
        deadline_ns: Option<u64>,
    ) -> Result<Option<usize>> {
        let mut waiters = Vec::new();
        waiters.try_reserve_exact(words.len()).map_err(|_| Errno::ENOMEM)?;
        let mut outcome = Ok(());
        for (word, expected) in words {
            match self.enter(cx, word, *expected, ANY, None) {
                Ok(waiter) => waiters.push(waiter),
                Err(error) => {
                    outcome = Err(error);
                    break;
                }
            }
        }
        let is_released = || waiters.iter().any(|waiter| waiter.is_released()).then_some(());
        if outcome.is_ok() {
            outcome = cx
                .wait_until(&[], deadline_ns, Interruption::Restart, || Ok(is_released()))
                .map(drop);
        }
        // All leave their queues, also behind the one that was found.
        let places: Vec<Place> = waiters.iter().map(|waiter| self.withdraw(waiter)).collect();
        match places.iter().rposition(|&place| place == Place::Woken) {
            Some(at) => Ok(Some(at)),
            None => outcome.map(|()| None),
        }
    }

    /// Adds the caller to the waiters of a word that is still `expected`.
    fn enter(
        &self,
        cx: &Context<'_>,
        word: &Word<'_>,
        expected: u32,
        bits: u32,
        target: Option<Key>,
    ) -> Result<Arc<Waiter>> {
        // Whoever wakes must find the machine's side of the waiter.
        cx.thread.machine();
        // The lock is held over the load: a wake that follows a change of the word finds the
        // waiter.
        self.attempt(word, bring_to_load, |queues| {
            if word.load()? != expected {
                return Ok(Err(Errno::EAGAIN.because("the word has another value")));
            }
            let waiter = Waiter::new(cx, bits, target, Place::Waits(word.key));
            queues.waiting.entry(word.key).or_default().push_back(waiter.clone());
            Ok(Ok(waiter))
        })
    }

    /// Takes a waiter out of wherever it waits; returns where it was.
    fn withdraw(&self, waiter: &Arc<Waiter>) -> Place {
        let mut queues = self.queues.lock();
        let place = *waiter.place.lock();
        match place {
            Place::Waits(key) => queues.remove(key, waiter),
            Place::WaitsToOwn(key) => queues.remove_from_owned(key, waiter),
            Place::Woken | Place::Owns(_) => {}
        }
        place
    }

    /// Wakes up to `count` waiters of a word that wait with one of `bits`; returns how many.
    ///
    /// # Errors
    /// `EINVAL` when one of them waits to own a word.
    pub(crate) fn wake(&self, word: &Word<'_>, count: u32, bits: u32) -> Result<u32> {
        self.queues.lock().wake(word.key, count, bits)
    }
}

impl Queues {
    fn remove(&mut self, key: Key, waiter: &Arc<Waiter>) {
        if let Some(queue) = self.waiting.get_mut(&key) {
            queue.retain(|other| !Arc::ptr_eq(other, waiter));
            if queue.is_empty() {
                self.waiting.remove(&key);
            }
        }
    }

    fn wake(&mut self, key: Key, count: u32, bits: u32) -> Result<u32> {
        if self.owned.contains_key(&key) {
            return Err(waits_to_own());
        }
        let Some(queue) = self.waiting.get_mut(&key) else {
            return Ok(0);
        };
        let (mut woken, mut at) = (0, 0);
        while woken < count
            && let Some(waiter) = queue.get(at)
        {
            if waiter.target.is_some() {
                return Err(waits_to_own());
            }
            if waiter.bits & bits == 0 {
                at += 1;
            } else if let Some(waiter) = queue.remove(at) {
                waiter.release(Place::Woken);
                woken += 1;
            }
        }
        if queue.is_empty() {
            self.waiting.remove(&key);
        }
        Ok(woken)
    }
}

/// Waits until the waiter is released or the monotonic deadline comes.
fn sleep(cx: &Context<'_>, waiter: &Waiter, deadline_ns: Option<u64>) -> Result<()> {
    let is_released = || Ok(waiter.is_released().then_some(()));
    cx.wait_until(&[], deadline_ns, Interruption::Restart, is_released).map(drop)
}

fn waits_to_own() -> crate::error::Error {
    Errno::EINVAL.because("somebody waits to own the word")
}

/// Brings a word in that is to be loaded.
fn bring_to_load(memory: &AddressSpace, address: u64) -> Result<()> {
    memory.load_u32(address).map(drop)
}

/// Brings a word in that is to be changed.
fn bring_to_change(memory: &AddressSpace, address: u64) -> Result<()> {
    let value = memory.load_u32(address)?;
    memory.compare_exchange_u32(address, value, value).map(drop)
}

//! Futexes: waiting for a word of memory to change. futex(2).

use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::{Arc, Weak};
use core::sync::atomic::{AtomicBool, Ordering};

use abi::Errno;
use spin::Mutex;

use crate::context::Context;
use crate::error::{Because, Result};
use crate::mm::AddressSpace;
use crate::wait::Interruption;

use super::Thread;

/// Wakes every waiter, whatever it waits with.
pub(crate) const ANY: u32 = u32::MAX;

/// Which word is waited for: the address space, and the address in it.
type Key = (usize, u64);

/// All futexes somebody waits for.
#[derive(Default)]
pub(crate) struct Futexes {
    waiters: Mutex<BTreeMap<Key, VecDeque<Arc<Waiter>>>>,
}

struct Waiter {
    thread: Weak<Thread>,
    /// It is woken only by a wake that has one of these bits.
    bits: u32,
    is_woken: AtomicBool,
}

fn key(memory: &Arc<AddressSpace>, address: u64) -> Key {
    (Arc::as_ptr(memory) as usize, address)
}

/// Checks the address of a futex.
///
/// # Errors
/// `EINVAL` when it is not aligned.
fn check(address: u64) -> Result<()> {
    if address.is_multiple_of(4) {
        Ok(())
    } else {
        Err(Errno::EINVAL.because("the word is not aligned"))
    }
}

impl Futexes {
    /// Waits for a wake with one of `bits`, if the word at `address` is still `expected`.
    /// Returns whether it came before the monotonic deadline.
    ///
    /// # Errors
    /// `EAGAIN` when the word is another; `EFAULT`, `EINVAL` for a bad address;
    /// `ERESTARTSYS` when a signal came.
    pub(crate) fn wait(
        &self,
        cx: &Context<'_>,
        address: u64,
        expected: u32,
        deadline_ns: Option<u64>,
        bits: u32,
    ) -> Result<bool> {
        check(address)?;
        // Whoever wakes must find the machine's side of the waiter.
        cx.thread.machine();
        let waiter = self.enter(cx, address, expected, bits)?;
        let woken = cx.wait_until(&[], deadline_ns, Interruption::Restart, || {
            Ok(waiter.is_woken.load(Ordering::SeqCst).then_some(()))
        });
        self.leave(cx, &waiter);
        if waiter.is_woken.load(Ordering::SeqCst) {
            return Ok(true);
        }
        woken.map(|woken| woken.is_some())
    }

    /// Adds the caller to the waiters of a word that is still `expected`.
    fn enter(
        &self,
        cx: &Context<'_>,
        address: u64,
        expected: u32,
        bits: u32,
    ) -> Result<Arc<Waiter>> {
        let memory = cx.memory();
        loop {
            {
                // The lock is held over a load that does not fault: a wake that follows a
                // change of the word finds the waiter.
                let mut waiters = self.waiters.lock();
                match memory.space().load_u32(address) {
                    Ok(found) if found != expected => {
                        return Err(Errno::EAGAIN.because("the word has another value"));
                    }
                    Ok(_) => {
                        let waiter = Arc::new(Waiter {
                            thread: cx.thread.downgrade(),
                            bits,
                            is_woken: AtomicBool::new(false),
                        });
                        waiters.entry(key(memory, address)).or_default().push_back(waiter.clone());
                        return Ok(waiter);
                    }
                    Err(_) => {}
                }
            }
            memory.load_u32(address)?;
        }
    }

    /// Removes a waiter from wherever it waits: it may have been requeued.
    fn leave(&self, cx: &Context<'_>, waiter: &Arc<Waiter>) {
        let space = key(cx.memory(), 0).0;
        let mut waiters = self.waiters.lock();
        waiters.retain(|key, queue| {
            if key.0 == space {
                queue.retain(|other| !Arc::ptr_eq(other, waiter));
            }
            !queue.is_empty()
        });
    }

    /// Wakes up to `count` waiters of a word that wait with one of `bits`; returns how many.
    ///
    /// # Errors
    /// `EINVAL` when the address is not aligned.
    pub(crate) fn wake(
        &self,
        memory: &Arc<AddressSpace>,
        address: u64,
        count: u32,
        bits: u32,
    ) -> Result<u32> {
        check(address)?;
        let mut woken = 0;
        let mut waiters = self.waiters.lock();
        if let Some(queue) = waiters.get_mut(&key(memory, address)) {
            queue.retain(|waiter| {
                let is_next = woken < count && waiter.bits & bits != 0;
                if is_next {
                    woken += 1;
                    waiter.wake();
                }
                !is_next
            });
        }
        Ok(woken)
    }

    /// Wakes up to `wake` waiters of the word at `from`, and lets up to `requeue` others wait
    /// for the one at `to`. Returns how many were woken and how many requeued. With
    /// `expected`, only if the word at `from` has that value.
    ///
    /// # Errors
    /// `EAGAIN` when the word is another; `EFAULT`, `EINVAL` for a bad address.
    pub(crate) fn requeue(
        &self,
        memory: &Arc<AddressSpace>,
        from: u64,
        to: u64,
        wake: u32,
        requeue: u32,
        expected: Option<u32>,
    ) -> Result<(u32, u32)> {
        check(from)?;
        check(to)?;
        loop {
            {
                let mut waiters = self.waiters.lock();
                let found = expected.map(|_| memory.space().load_u32(from)).transpose();
                match (expected, found) {
                    (Some(expected), Ok(Some(found))) if found != expected => {
                        return Err(Errno::EAGAIN.because("the word has another value"));
                    }
                    (_, Ok(_)) => {
                        return Ok(move_waiters(
                            &mut waiters,
                            key(memory, from),
                            key(memory, to),
                            wake,
                            requeue,
                        ));
                    }
                    (_, Err(_)) => {}
                }
            }
            memory.load_u32(from)?;
        }
    }
}

fn move_waiters(
    waiters: &mut BTreeMap<Key, VecDeque<Arc<Waiter>>>,
    from: Key,
    to: Key,
    wake: u32,
    requeue: u32,
) -> (u32, u32) {
    let mut queue = waiters.remove(&from).unwrap_or_default();
    let count = |wanted: u32, there: usize| there.min(wanted as usize);
    let woken = count(wake, queue.len());
    queue.drain(..woken).for_each(|waiter| waiter.wake());
    let moved = count(requeue, queue.len());
    let moving: VecDeque<_> = queue.drain(..moved).collect();
    if !queue.is_empty() {
        waiters.insert(from, queue);
    }
    if !moving.is_empty() {
        waiters.entry(to).or_default().extend(moving);
    }
    (woken as u32, moved as u32)
}

impl Waiter {
    fn wake(&self) {
        self.is_woken.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.upgrade() {
            thread.unpark();
        }
    }
}

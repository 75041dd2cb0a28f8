//! Taking requests out of their ring.

use alloc::sync::Arc;
use alloc::vec::Vec;

use abi::Errno;
use abi::io_uring::{RequestFlags, SetupFlags, Submission};

use crate::context::Context;
use crate::error::{Because, Result};
use crate::fs::PollEvents;
use crate::process::Attention;

use super::memory::at;
use super::operation::Operation;
use super::order::Chain;
use super::prepare;
use super::request::Request;
use super::ring::Ring;

/// How many requests are taken before others may run and the memory that is left is looked at again.
const PART: u32 = 64;

/// How many pages requests leave to others.
const RESERVE_PAGES: u64 = 512;

/// How many requests of a ring may be under way.
const MAX_REQUESTS: usize = 1 << 16;

impl Ring {
    /// Takes up to `most` requests and begins them; returns how many.
    ///
    /// # Errors
    /// `EAGAIN` where there is no memory for the first, or too many are under way; `EBUSY` where
    /// too many results wait to be taken.
    pub(crate) fn submit(&self, cx: &Context<'_>, most: u32) -> Result<u32> {
        let most = most.min(self.untaken(*self.taken.lock()));
        let (mut done, mut chain) = (0, Vec::<Arc<Request>>::new());
        if most > 0 {
            cx.thread.uses(self);
        }
        while done < most && !cx.thread.attention.has(Attention::EXIT) {
            if done.is_multiple_of(PART) {
                if done > 0 {
                    cx.system.machine.reschedule();
                }
                match self.check_room(cx) {
                    Err(error) if done == 0 => return Err(error),
                    Err(_) => break,
                    Ok(()) => {}
                }
            }
            if chain.try_reserve(1).is_err() {
                break;
            }
            let Some(entry) = self.take() else { break };
            done += 1;
            let request = self.request(cx, entry, chain.last());
            let is_invalid = matches!(request.operation, Operation::Invalid(_));
            let is_linked =
                request.flags.intersects(RequestFlags::IO_LINK | RequestFlags::IO_HARDLINK);
            let is_alone = chain.is_empty() && !is_linked;
            chain.push(request);
            if !is_linked {
                self.begin(cx, core::mem::take(&mut chain));
            }
            if is_invalid && is_alone && !self.flags.contains(SetupFlags::SUBMIT_ALL) {
                break;
            }
        }
        self.begin(cx, chain);
        if done > 0 {
            self.changed.wake(PollEvents::OUT | PollEvents::WRNORM);
        }
        Ok(done)
    }

    /// Fails where no more requests can be taken for now.
    fn check_room(&self, cx: &Context<'_>) -> Result<()> {
        if self.order.lock().under_way() >= MAX_REQUESTS || !has_memory(cx) {
            return Err(Errno::EAGAIN.because("no memory for requests"));
        }
        if self.results.is_behind(&self.memory) {
            return Err(Errno::EBUSY.because("too many results wait to be taken"));
        }
        Ok(())
    }

    /// How many requests the application has put there that are not taken.
    fn untaken(&self, taken: u32) -> u32 {
        let untaken = self.memory.get(at::SQ_TAIL).wrapping_sub(taken);
        untaken.min(self.memory.sq_entries())
    }

    /// Whether there is room for more requests.
    pub(super) fn has_room(&self) -> bool {
        let taken = *self.taken.lock();
        self.untaken(taken) < self.memory.sq_entries()
    }

    fn take(&self) -> Option<Submission> {
        let mut taken = self.taken.lock();
        if self.untaken(*taken) == 0 {
            return None;
        }
        let entry = self.memory.submission(*taken);
        *taken = taken.wrapping_add(1);
        self.memory.set(at::SQ_HEAD, *taken);
        if entry.is_none() {
            self.memory.set(at::SQ_DROPPED, self.memory.get(at::SQ_DROPPED).wrapping_add(1));
        }
        entry
    }

    /// The request that `entry` is, behind `before` in its chain.
    fn request(
        &self,
        cx: &Context<'_>,
        entry: Submission,
        before: Option<&Arc<Request>>,
    ) -> Arc<Request> {
        let operation = prepare::operation(cx, self, &entry).and_then(|operation| {
            let follows = before.is_some_and(|before| !before.operation.is_limit());
            if operation.is_limit() && !follows {
                return Err(Errno::EINVAL.because("a limit of no request"));
            }
            Ok(operation)
        });
        let operation = operation.unwrap_or_else(|error| Operation::Invalid(error.errno));
        let mut order = self.order.lock();
        let number = order.number();
        let request = Request::new(cx, self, number, (entry, operation));
        order.add(&request);
        request
    }

    /// Lets requests that are linked to each other begin as soon as they can: none of them,
    /// where one could not.
    fn begin(&self, cx: &Context<'_>, requests: Vec<Arc<Request>>) {
        let are_many = requests.len() > 1;
        let fails = |one: &Arc<Request>| matches!(one.operation, Operation::Invalid(_));
        let is_broken = are_many && requests.iter().any(fails);
        let Some(chain) = Chain::of(requests) else { return };
        if is_broken {
            self.cancel_chain(chain.into_first());
            return;
        }
        if let Some(first) = self.queue(chain) {
            cx.without_waiting(|| first.run(cx));
        }
    }
}

fn has_memory(cx: &Context<'_>) -> bool {
    cx.system.machine.memory().free_pages >= RESERVE_PAGES
}

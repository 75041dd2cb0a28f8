//! The memory of rings, as [`Params`] tells the application where in it is what.

use alloc::sync::Arc;

use abi::Errno;
use abi::io_uring::{
    Completion, CompletionOffsets, SetupFlags, Submission, SubmissionOffsets, offset,
};
use zerocopy::{FromZeros, IntoBytes};

use crate::error::{Because, Result};
use crate::machine::Machine;
use crate::mm::SharedMemory;

/// Where the numbers are that both sides know: those that one side writes often have a line of
/// the cache of their own.
pub(super) mod at {
    pub(crate) const SQ_HEAD: u32 = 0;
    pub(crate) const SQ_TAIL: u32 = 64;
    pub(crate) const CQ_HEAD: u32 = 128;
    pub(crate) const CQ_TAIL: u32 = 192;
    pub(crate) const SQ_MASK: u32 = 256;
    pub(crate) const SQ_ENTRIES: u32 = 260;
    pub(crate) const SQ_DROPPED: u32 = 264;
    pub(crate) const SQ_FLAGS: u32 = 268;
    pub(crate) const CQ_MASK: u32 = 272;
    pub(crate) const CQ_ENTRIES: u32 = 276;
    pub(crate) const CQ_FLAGS: u32 = 280;
    pub(crate) const CQ_OVERFLOW: u32 = 284;
    pub(crate) const COMPLETIONS: u32 = 320;
}

/// The memory of a pair of rings. What the application writes to it is never trusted.
pub(super) struct RingMemory {
    rings: Arc<SharedMemory>,
    submissions: Arc<SharedMemory>,
    sq_entries: u32,
    cq_entries: u32,
    /// Where the indices of the requests are, unless they are taken in order.
    array: Option<u32>,
}

impl RingMemory {
    /// Memory for so many requests and results, both powers of two.
    ///
    /// # Errors
    /// `ENOMEM`.
    pub(super) fn new(
        machine: &Arc<dyn Machine>,
        [sq_entries, cq_entries]: [u32; 2],
        flags: SetupFlags,
    ) -> Result<Self> {
        let end = at::COMPLETIONS + cq_entries * size_of::<Completion>() as u32;
        let array = (!flags.contains(SetupFlags::NO_SQARRAY)).then_some(end);
        let len = end + array.map_or(0, |_| sq_entries * size_of::<u32>() as u32);
        let submissions_len = u64::from(sq_entries) * size_of::<Submission>() as u64;
        let memory = Self {
            rings: SharedMemory::joint(machine, u64::from(len))?,
            submissions: SharedMemory::joint(machine, submissions_len)?,
            sq_entries,
            cq_entries,
            array,
        };
        memory.set(at::SQ_MASK, sq_entries - 1);
        memory.set(at::SQ_ENTRIES, sq_entries);
        memory.set(at::CQ_MASK, cq_entries - 1);
        memory.set(at::CQ_ENTRIES, cq_entries);
        Ok(memory)
    }

    /// How many requests fit.
    pub(super) fn sq_entries(&self) -> u32 {
        self.sq_entries
    }

    /// How many results fit.
    pub(super) fn cq_entries(&self) -> u32 {
        self.cq_entries
    }

    /// Where is what, for the application.
    pub(super) fn offsets(&self) -> (SubmissionOffsets, CompletionOffsets) {
        let submission = SubmissionOffsets {
            head: at::SQ_HEAD,
            tail: at::SQ_TAIL,
            ring_mask: at::SQ_MASK,
            ring_entries: at::SQ_ENTRIES,
            flags: at::SQ_FLAGS,
            dropped: at::SQ_DROPPED,
            array: self.array.unwrap_or(0),
            ..SubmissionOffsets::default()
        };
        let completion = CompletionOffsets {
            head: at::CQ_HEAD,
            tail: at::CQ_TAIL,
            ring_mask: at::CQ_MASK,
            ring_entries: at::CQ_ENTRIES,
            overflow: at::CQ_OVERFLOW,
            cqes: at::COMPLETIONS,
            flags: at::CQ_FLAGS,
            ..CompletionOffsets::default()
        };
        (submission, completion)
    }

    /// What mmap(2) shows from this offset on.
    ///
    /// # Errors
    /// `EINVAL` for others than those that there are.
    pub(super) fn region(&self, from: u64) -> Result<Arc<SharedMemory>> {
        match from & offset::MASK {
            offset::SQ_RING | offset::CQ_RING => Ok(self.rings.clone()),
            offset::SQES => Ok(self.submissions.clone()),
            _ => Err(Errno::EINVAL.because("nothing of a ring is at this offset")),
        }
    }

    /// A number; 0 where its page has been taken out and there is no other.
    pub(super) fn get(&self, at: u32) -> u32 {
        let mut number = [0; 4];
        let _ = self.rings.read(u64::from(at), &mut number);
        u32::from_ne_bytes(number)
    }

    /// Sets a number.
    pub(super) fn set(&self, at: u32, number: u32) {
        // Pages are there from the beginning: who takes one out gets nothing.
        let _ = self.rings.write(u64::from(at), &number.to_ne_bytes());
    }

    /// Sets or takes back a flag.
    pub(super) fn set_flag(&self, at: u32, flag: u32, is_set: bool) {
        let flags = self.get(at);
        self.set(at, if is_set { flags | flag } else { flags & !flag });
    }

    /// The request that the ring has at `position`; `None` where there can be none.
    pub(super) fn submission(&self, position: u32) -> Option<Submission> {
        let place = position & (self.sq_entries - 1);
        let index = match self.array {
            Some(array) => self.get(array + place * size_of::<u32>() as u32),
            None => place,
        };
        if index >= self.sq_entries {
            return None;
        }
        let mut submission = Submission::new_zeroed();
        let at = u64::from(index) * size_of::<Submission>() as u64;
        self.submissions.read(at, submission.as_mut_bytes()).ok()?;
        Some(submission)
    }

    /// Stores the result that the ring has at `position`.
    pub(super) fn put(&self, position: u32, completion: &Completion) {
        let place = position & (self.cq_entries - 1);
        let at = at::COMPLETIONS + place * size_of::<Completion>() as u32;
        let _ = self.rings.write(u64::from(at), completion.as_bytes());
    }
}

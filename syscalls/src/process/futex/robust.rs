//! Robust futexes: the locks that a thread still holds when it ends are marked, so that the
//! next owner learns of it. set_robust_list(2).

use alloc::sync::Arc;

use abi::futex::{OWNER_DIED, ROBUST_LIST_LIMIT, RobustListHead, TID_MASK, WAITERS};
use zerocopy::{FromZeros, IntoBytes};

use crate::mm::AddressSpace;
use crate::process::Thread;

use super::{ANY, Scope, Word};

/// An entry of a list: its address and whether its lock is handed on by the kernel, in bit 0.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Entry(u64);

impl Entry {
    fn address(self) -> u64 {
        self.0 & !1
    }

    fn is_owned(self) -> bool {
        self.0 & 1 != 0
    }
}

/// Whether an entry was in the list, or about to come in or go.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Membership {
    Listed,
    Pending,
}

/// The list cannot be believed any more.
struct Broken;

impl Thread {
    /// Marks the locks that the thread still holds, and wakes a waiter of each. The list is
    /// the application's: whatever is wrong with it only ends the walk.
    pub(in crate::process) fn release_robust_futexes(&self) {
        let head_at = self.take_robust_list();
        if head_at == 0 {
            return;
        }
        let memory = self.process().memory();
        let mut head = RobustListHead::new_zeroed();
        if memory.read(head_at, head.as_mut_bytes()).is_err() {
            return;
        }
        let word_of = |entry: Entry| entry.address().wrapping_add_signed(head.offset);
        let (mut entry, pending) = (Entry(head.first), Entry(head.pending));
        for _ in 0..ROBUST_LIST_LIMIT {
            if entry.address() == head_at {
                break;
            }
            // The next one is read first: a lock that is free may be given back at once.
            let mut next = [0; 8];
            let is_there = memory.read(entry.address(), &mut next).is_ok();
            if entry.address() != pending.address()
                && self.bury(&memory, word_of(entry), entry, Membership::Listed).is_err()
            {
                return;
            }
            if !is_there {
                return;
            }
            entry = Entry(u64::from_le_bytes(next));
        }
        if pending.address() != 0 {
            let _ = self.bury(&memory, word_of(pending), pending, Membership::Pending);
        }
    }

    /// Marks the lock at `address`, if the thread holds it.
    fn bury(
        &self,
        memory: &Arc<AddressSpace>,
        address: u64,
        entry: Entry,
        membership: Membership,
    ) -> Result<(), Broken> {
        let word = Word::find(memory, address, Scope::Shared).map_err(|_| Broken)?;
        let futexes = &self.system().futexes;
        loop {
            let found = memory.load_u32(address).map_err(|_| Broken)?;
            if membership == Membership::Pending && !entry.is_owned() && found == 0 {
                // It was unlocked, but nobody was woken yet.
                let _ = futexes.wake(&word, 1, ANY);
                return Ok(());
            }
            if found & TID_MASK != self.process().pid_namespace.shown(self.id()) {
                return Ok(());
            }
            let new = found & WAITERS | OWNER_DIED;
            let before = memory.compare_exchange_u32(address, found, new).map_err(|_| Broken)?;
            if before == found {
                if !entry.is_owned() && found & WAITERS != 0 {
                    let _ = futexes.wake(&word, 1, ANY);
                }
                return Ok(());
            }
        }
    }
}

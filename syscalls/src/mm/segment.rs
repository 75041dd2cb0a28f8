//! Segments of System V in an address space: shmdt(2).

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Range;

use abi::Errno;

use crate::error::{Because, Result};

use super::address_space::{AddressSpace, State};
use super::area::{Area, Backing, PAGE};
use super::object::{Object, SharedMemory};

impl AddressSpace {
    /// Takes out the segment that was attached at `address`, as far as it still is; returns
    /// its number.
    ///
    /// # Errors
    /// `EINVAL` when none was.
    pub fn detach(&self, address: u64) -> Result<i32> {
        let mut removed = Vec::new();
        let mut state = self.state.lock();
        let memory = state
            .attached_at(address)
            .ok_or_else(|| Errno::EINVAL.because("no segment is attached there"))?;
        let end = address.saturating_add(memory.pages() * PAGE);
        let parts: Vec<Range<u64>> = state
            .areas
            .overlapping(address..end)
            .filter(|area| is_part(area, address, Some(&memory)))
            .map(|area| area.range.clone())
            .collect();
        for part in parts {
            removed.append(&mut state.clear(&*self.space, &part));
        }
        drop(state);
        drop(removed);
        memory.number().ok_or_else(|| Errno::EINVAL.because("not a segment"))
    }
}

impl State {
    /// The segment of which the first area from `address` on is a part, if it was attached at
    /// `address`.
    fn attached_at(&self, address: u64) -> Option<Arc<SharedMemory>> {
        let area = self
            .areas
            .overlapping(address..abi::TASK_SIZE)
            .find(|area| area.range.start >= address && is_part(area, address, None))?;
        match &area.backing {
            Backing::Object(Object::Memory(memory), _) => Some(memory.clone()),
            _ => None,
        }
    }
}

/// Whether `area` is a part of a segment, of `memory` where that is given, that was attached
/// at `address`.
fn is_part(area: &Area, address: u64, memory: Option<&Arc<SharedMemory>>) -> bool {
    let Backing::Object(Object::Memory(shown), offset) = &area.backing else {
        return false;
    };
    shown.number().is_some()
        && memory.is_none_or(|memory| Arc::ptr_eq(memory, shown))
        && area.range.start.checked_sub(address) == Some(*offset)
}

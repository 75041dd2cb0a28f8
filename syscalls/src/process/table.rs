//! The table of processes.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

use spin::Mutex;

use super::Process;

/// The number of the first program; 1 is the kernel's own.
pub(super) const FIRST: u32 = 2;

/// One more than the highest number of a process or thread (`PID_MAX_LIMIT` of Linux).
pub(crate) const PID_MAX: u32 = 1 << 22;

/// All processes by number.
pub struct ProcessTable {
    state: Mutex<State>,
}

struct State {
    processes: BTreeMap<u32, Arc<Process>>,
    next: u32,
}

impl Default for ProcessTable {
    fn default() -> Self {
        Self::new()
    }
}

impl ProcessTable {
    /// A table without processes.
    #[must_use]
    pub const fn new() -> Self {
        Self { state: Mutex::new(State { processes: BTreeMap::new(), next: FIRST }) }
    }

    /// A number for a new process or thread that no process has.
    pub fn allocate_id(&self) -> u32 {
        let mut state = self.state.lock();
        loop {
            let id = state.next;
            state.next = if id + 1 == PID_MAX { FIRST } else { id + 1 };
            if !state.processes.contains_key(&id) {
                return id;
            }
        }
    }

    /// Adds a process.
    pub fn insert(&self, process: Arc<Process>) {
        self.state.lock().processes.insert(process.id(), process);
    }

    /// Removes a process that has ended.
    pub fn remove(&self, id: u32) -> Option<Arc<Process>> {
        self.state.lock().processes.remove(&id)
    }

    /// The process with this number.
    #[must_use]
    pub fn get(&self, id: u32) -> Option<Arc<Process>> {
        self.state.lock().processes.get(&id).cloned()
    }

    /// All processes, in the order of their numbers.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Process>> {
        self.state.lock().processes.values().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_start_at_two_and_ascend() {
        let table = ProcessTable::new();
        assert_eq!(table.allocate_id(), 2);
        assert_eq!(table.allocate_id(), 3);
        assert!(table.get(2).is_none());
    }
}

//! A process: what its threads share.

use alloc::sync::Arc;

use spin::Mutex;

use crate::mm::AddressSpace;

/// A process: what its threads share.
pub struct Process {
    id: u32,
    memory: Mutex<Arc<AddressSpace>>,
}

impl Process {
    /// A process with this address space.
    #[must_use]
    pub fn new(id: u32, memory: Arc<AddressSpace>) -> Self {
        Self { id, memory: Mutex::new(memory) }
    }

    /// Its number: getpid(2).
    #[must_use]
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Its memory.
    #[must_use]
    pub fn memory(&self) -> Arc<AddressSpace> {
        self.memory.lock().clone()
    }
}

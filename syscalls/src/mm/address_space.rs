//! The address space of a process.

use alloc::sync::Arc;

use abi::Errno;

use crate::error::{Because, Result};
use crate::machine::{Machine, Space};

use super::copy::Direction;

/// The address space of a process: what lies where in its half of memory.
pub struct AddressSpace {
    space: Arc<dyn Space>,
}

impl AddressSpace {
    /// An empty address space.
    ///
    /// # Errors
    /// `ENOMEM`.
    pub fn new(machine: &Arc<dyn Machine>) -> Result<Self> {
        Ok(Self { space: machine.create_space()? })
    }

    /// The machine's side of it.
    #[must_use]
    pub fn space(&self) -> &Arc<dyn Space> {
        &self.space
    }

    /// Fills the page at `address` so that the access works.
    ///
    /// # Errors
    /// `EFAULT` when no area allows that access there; `ENOMEM`; the errors of the file
    /// behind a mapping.
    pub(super) fn resolve(&self, _address: u64, _direction: Direction) -> Result<()> {
        Err(Errno::EFAULT.because("no memory area there"))
    }
}

//! Copies from and to the application, with page faults resolved on the way.
//!
//! The one place where a [`crate::machine::Fault`] of a copy becomes a filled page or
//! `EFAULT`. No lock of the caller may be held: resolving a fault takes the lock of the areas
//! and may read a file.

use alloc::sync::Arc;

use abi::Errno;

use crate::error::{Because, Result};
use crate::machine::{Fault, Page};

use super::area::{Share, page_start};
use super::{AddressSpace, Wanted};

impl AddressSpace {
    /// Copies all of `to` from the application.
    ///
    /// # Errors
    /// `EFAULT` when a part cannot be read; `to` is then partly filled.
    pub fn read(&self, address: u64, to: &mut [u8]) -> Result<()> {
        self.read_partially(address, to).1
    }

    /// Copies all of `from` to the application.
    ///
    /// # Errors
    /// `EFAULT` when a part cannot be written; the part before it has been.
    pub fn write(&self, address: u64, from: &[u8]) -> Result<()> {
        self.write_partially(address, from).1
    }

    /// Copies from the application up to the first bad address: how many bytes, and `EFAULT`
    /// when that was not all.
    pub fn read_partially(&self, address: u64, to: &mut [u8]) -> (usize, Result<()>) {
        self.copy(address, to.len(), Wanted::Read, |done| {
            self.space().read(address + done as u64, &mut to[done..])
        })
    }

    /// Copies to the application up to the first bad address: how many bytes, and `EFAULT`
    /// when that was not all.
    pub fn write_partially(&self, address: u64, from: &[u8]) -> (usize, Result<()>) {
        self.copy(address, from.len(), Wanted::Write, |done| {
            self.space().write(address + done as u64, &from[done..])
        })
    }

    /// Copies `len` bytes from the application into `page` at `offset`, up to the first bad
    /// address.
    pub fn read_to_page(
        &self,
        address: u64,
        page: &dyn Page,
        offset: usize,
        len: usize,
    ) -> (usize, Result<()>) {
        self.copy(address, len, Wanted::Read, |done| {
            self.space().read_to_page(address + done as u64, page, offset + done, len - done)
        })
    }

    /// Copies `len` bytes of `page` from `offset` to the application, up to the first bad
    /// address.
    pub fn write_from_page(
        &self,
        address: u64,
        page: &dyn Page,
        offset: usize,
        len: usize,
    ) -> (usize, Result<()>) {
        self.copy(address, len, Wanted::Write, |done| {
            self.space().write_from_page(address + done as u64, page, offset + done, len - done)
        })
    }

    /// Loads the aligned 32-bit word at `address`.
    ///
    /// # Errors
    /// `EFAULT`.
    pub fn load_u32(&self, address: u64) -> Result<u32> {
        loop {
            match self.space().load_u32(address) {
                Ok(value) => return Ok(value),
                Err(fault) => self.resolve(fault.address, Wanted::Read)?,
            }
        }
    }

    /// Replaces the aligned 32-bit word at `address` by `new` where it is `current`; returns
    /// what it was.
    ///
    /// # Errors
    /// `EFAULT`.
    pub fn compare_exchange_u32(&self, address: u64, current: u32, new: u32) -> Result<u32> {
        loop {
            match self.space().compare_exchange_u32(address, current, new) {
                Ok(found) => return Ok(found),
                Err(fault) => self.resolve(fault.address, Wanted::Write)?,
            }
        }
    }

    /// The page of the object that is shown at `address`, an aligned word, where changes of it
    /// are seen by others; `None` where the memory is the process's own.
    ///
    /// # Errors
    /// `EFAULT` when it cannot be read.
    pub(crate) fn shared_page(&self, address: u64) -> Result<Option<Arc<dyn Page>>> {
        loop {
            self.load_u32(address)?;
            let state = self.state.lock();
            match state.areas.at(address) {
                Some(area) if area.share == Share::Private => return Ok(None),
                Some(_) => {}
                None => return Err(Errno::EFAULT.because("no memory is mapped there")),
            }
            // While the lock was free, the page may have gone: then look again.
            if let Some(resident) = state.pages.get(page_start(address)) {
                return Ok(Some(resident.page.clone()));
            }
        }
    }

    /// Repeats `attempt`, which gets how much is done, resolving its faults.
    fn copy(
        &self,
        address: u64,
        len: usize,
        wanted: Wanted,
        mut attempt: impl FnMut(usize) -> Result<(), Fault>,
    ) -> (usize, Result<()>) {
        let mut done = 0;
        loop {
            if done == len {
                return (done, Ok(()));
            }
            let Err(fault) = attempt(done) else {
                return (len, Ok(()));
            };
            // The fault lies inside what was asked for, whatever the machine says.
            done = done
                .max(usize::try_from(fault.address.wrapping_sub(address)).unwrap_or(0))
                .min(len);
            if let Err(error) = self.resolve(fault.address, wanted) {
                return (done, Err(error));
            }
        }
    }
}

//! A loop device as what a file system is stored in.

use alloc::sync::Arc;
use core::sync::atomic::{AtomicBool, Ordering};

use abi::Errno;

use crate::error::{Because, Result};
use crate::fs::storage::{Bytes, Storage};
use crate::machine::Machine;

use super::device::{Binding, LoopDevice};

/// A loop device that is mounted: it counts as open until it is released.
pub(in crate::fs) struct MountedLoop {
    machine: Arc<dyn Machine>,
    device: Arc<LoopDevice>,
    len: u64,
    released: AtomicBool,
}

impl MountedLoop {
    /// Opens `device` to be mounted.
    ///
    /// # Errors
    /// `EBUSY` when it is mounted; `ENXIO` while it is being let go; `EINVAL` when it is not
    /// bound.
    pub(in crate::fs) fn open(
        machine: &Arc<dyn Machine>,
        device: Arc<LoopDevice>,
    ) -> Result<Arc<Self>> {
        device.begin_mount()?;
        let len = device.size();
        // Dropped, it closes the device again.
        let (machine, released) = (machine.clone(), AtomicBool::new(false));
        let mounted = Arc::new(Self { machine, device, len, released });
        let binding = mounted.device.binding();
        let binding = binding.map_err(|_| Errno::EINVAL.because("nothing is in the device"))?;
        // A file of the host may lose its name, which it is reached by, while it is mounted.
        let _ = binding.file.file.mapping();
        Ok(mounted)
    }

    /// The file, as far as `len` bytes at `offset` lie in the device.
    fn within(&self, offset: u64, len: usize) -> Result<Binding> {
        let binding = self.device.binding()?;
        let end = offset.checked_add(len as u64).filter(|&end| end <= self.len);
        end.ok_or_else(|| Errno::EIO.because("beyond the end of the device"))?;
        Ok(binding)
    }
}

fn bytes(binding: &Binding) -> Result<&dyn Bytes> {
    let bytes = binding.file.file.inode().bytes();
    bytes.ok_or_else(|| Errno::EIO.because("the file cannot be used by the kernel"))
}

impl Storage for MountedLoop {
    fn len(&self) -> u64 {
        self.len
    }

    fn is_read_only(&self) -> bool {
        self.device.is_read_only()
    }

    fn read(&self, offset: u64, to: &mut [u8]) -> Result<()> {
        let binding = self.within(offset, to.len())?;
        let start = self.machine.monotonic_ns();
        let done = bytes(&binding)?.read_at(binding.shape.offset + offset, to)?;
        // Where the file has become shorter, the device has zeros.
        to.get_mut(done..).unwrap_or_default().fill(0);
        self.device.count_read(to.len(), self.machine.monotonic_ns() - start);
        Ok(())
    }

    fn write(&self, offset: u64, from: &[u8]) -> Result<()> {
        if self.is_read_only() {
            return Err(Errno::EIO.because("nothing can be written to the device"));
        }
        let binding = self.within(offset, from.len())?;
        let start = self.machine.monotonic_ns();
        bytes(&binding)?.write_at(binding.shape.offset + offset, from)?;
        self.device.count_write(from.len(), self.machine.monotonic_ns() - start);
        Ok(())
    }

    fn sync(&self) -> Result<()> {
        bytes(&self.device.binding()?)?.store()
    }

    fn release(&self) {
        if !self.released.swap(true, Ordering::SeqCst) {
            self.device.end_mount();
        }
    }
}

impl Drop for MountedLoop {
    fn drop(&mut self) {
        self.release();
    }
}

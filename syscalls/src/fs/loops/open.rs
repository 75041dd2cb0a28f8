//! A loop device that is open.

use alloc::sync::Arc;

use abi::Errno;
use abi::fs::{AccessMode, OpenFlags};

use crate::context::Context;
use crate::error::{Because, Outcome, Result};
use crate::fs::file::{File, Positions};
use crate::fs::inode::Inode;
use crate::fs::open_file::OpenFile;
use crate::io::{Limited, Sink, Source};

use super::device::{Binding, LoopDevice};
use super::requests;

/// A loop device that is open.
pub(super) struct OpenLoop {
    inode: Arc<dyn Inode>,
    pub(super) device: Arc<LoopDevice>,
    /// What it was opened for.
    pub(super) access: AccessMode,
}

impl OpenLoop {
    /// Opens `device`, of which `inode` is a node.
    ///
    /// # Errors
    /// `ENXIO` while it is being let go.
    pub(super) fn new(
        inode: Arc<dyn Inode>,
        device: Arc<LoopDevice>,
        access: AccessMode,
    ) -> Result<Self> {
        device.open()?;
        Ok(Self { inode, device, access })
    }
}

impl Drop for OpenLoop {
    fn drop(&mut self) {
        self.device.close();
    }
}

/// The file and how many of `len` bytes at `offset` lie in the device; none where it is not
/// bound.
fn within(device: &LoopDevice, offset: u64, len: usize) -> Option<(Binding, usize)> {
    let binding = device.binding().ok()?;
    let left = binding.size.checked_sub(offset).filter(|&left| left > 0)?;
    Some((binding, len.min(usize::try_from(left).unwrap_or(len))))
}

/// Without caches, only whole blocks can be transferred.
fn check_alignment(open: &OpenFile, binding: &Binding, offset: u64, len: usize) -> Result<()> {
    let mask = u64::from(binding.shape.block_size) - 1;
    if open.flags().contains(OpenFlags::DIRECT) && (offset | len as u64) & mask != 0 {
        return Err(Errno::EINVAL.because("direct transfers are of whole blocks"));
    }
    Ok(())
}

impl File for OpenLoop {
    fn inode(&self) -> &Arc<dyn Inode> {
        &self.inode
    }

    fn positions(&self) -> Positions {
        Positions::Kept
    }

    fn size(&self) -> Result<u64> {
        Ok(self.device.size())
    }

    fn read(
        &self,
        cx: &Context<'_>,
        open: &OpenFile,
        offset: u64,
        to: &mut dyn Sink,
    ) -> Result<usize> {
        let Some((binding, len)) = within(&self.device, offset, to.remaining()) else {
            return Ok(0);
        };
        check_alignment(open, &binding, offset, len)?;
        let mut to: Limited<'_, dyn Sink> = Limited::new(to, len);
        let at = binding.shape.offset + offset;
        let start = cx.system.machine.monotonic_ns();
        let done = binding.file.file.read(cx, &binding.file, at, &mut to)?;
        self.device.count_read(done, cx.system.machine.monotonic_ns() - start);
        // Where the file has become shorter, the device has zeros.
        Ok(done + to.put_zeros(len - done).unwrap_or(0))
    }

    fn write(
        &self,
        cx: &Context<'_>,
        open: &OpenFile,
        offset: u64,
        from: &mut dyn Source,
    ) -> Result<usize> {
        if self.device.is_read_only() {
            return Err(Errno::EPERM.because("nothing can be written to the device"));
        }
        if from.remaining() == 0 {
            return Ok(0);
        }
        let Some((binding, len)) = within(&self.device, offset, from.remaining()) else {
            return Err(Errno::ENOSPC.because("the end of the device"));
        };
        check_alignment(open, &binding, offset, len)?;
        let mut from: Limited<'_, dyn Source> = Limited::new(from, len);
        let at = binding.shape.offset + offset;
        let start = cx.system.machine.monotonic_ns();
        let done = binding.file.file.write(cx, &binding.file, at, &mut from)?;
        self.device.count_write(done, cx.system.machine.monotonic_ns() - start);
        Ok(done)
    }

    fn ioctl(&self, cx: &Context<'_>, request: u32, argument: u64) -> Result<Outcome> {
        requests::ioctl(cx, self, request, argument)
    }

    fn sync(&self) -> Result<()> {
        match self.device.binding() {
            Ok(binding) => binding.file.file.sync(),
            Err(_) => Ok(()),
        }
    }
}

//! Open files.

use alloc::sync::Arc;
use core::sync::atomic::{AtomicU32, Ordering};

use abi::Errno;
use bitflags::bitflags;
use spin::Mutex;

use crate::context::Context;
use crate::error::{Because, Outcome, Result};
use crate::io::{Sink, Source};
use crate::wait::WaitQueue;

use super::inode::Inode;

bitflags! {
    /// What poll(2) can find: the values of `POLLIN` and its family.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct PollEvents: u32 {
        /// Data can be read.
        const IN = 0x001;
        /// Urgent data can be read.
        const PRI = 0x002;
        /// Data can be written.
        const OUT = 0x004;
        /// An error condition; always reported.
        const ERR = 0x008;
        /// The other side hung up; always reported.
        const HUP = 0x010;
        /// The descriptor is not open; always reported.
        const NVAL = 0x020;
        /// As `IN`.
        const RDNORM = 0x040;
        /// Priority band data can be read.
        const RDBAND = 0x080;
        /// As `OUT`.
        const WRNORM = 0x100;
        /// Priority data can be written.
        const WRBAND = 0x200;
        /// The peer shut down its writing half.
        const RDHUP = 0x2000;
    }
}

impl PollEvents {
    /// What a file reports that can always be read and written.
    pub const ALWAYS: Self = Self::IN.union(Self::OUT).union(Self::RDNORM).union(Self::WRNORM);
}

/// What an [`Inode`] becomes when it is opened.
///
/// Defaults are those of a file that cannot do the thing.
pub trait File: Send + Sync {
    /// What was opened.
    fn inode(&self) -> &Arc<dyn Inode>;

    /// Whether it has a position (regular files, directories, block devices).
    fn is_seekable(&self) -> bool {
        false
    }

    /// Reads at `offset`, which only a seekable file looks at, and returns how many bytes.
    /// Waits for the first byte where there is none, unless `open` is nonblocking.
    ///
    /// # Errors
    /// Those of read(2).
    fn read(
        &self,
        cx: &Context<'_>,
        open: &OpenFile,
        offset: u64,
        to: &mut dyn Sink,
    ) -> Result<usize> {
        let _ = (cx, open, offset, to);
        Err(Errno::EINVAL.because("the file cannot be read"))
    }

    /// Writes at `offset`, which only a seekable file looks at, and returns how many bytes.
    ///
    /// # Errors
    /// Those of write(2).
    fn write(
        &self,
        cx: &Context<'_>,
        open: &OpenFile,
        offset: u64,
        from: &mut dyn Source,
    ) -> Result<usize> {
        let _ = (cx, open, offset, from);
        Err(Errno::EINVAL.because("the file cannot be written"))
    }

    /// Control operations: ioctl(2).
    ///
    /// # Errors
    /// `ENOTTY` when the file does not know the request.
    fn ioctl(&self, cx: &Context<'_>, request: u32, argument: u64) -> Result<Outcome> {
        let _ = (cx, request, argument);
        Err(Errno::ENOTTY.because("the file does not know this request"))
    }

    /// What is true of the file now.
    fn poll(&self) -> PollEvents {
        PollEvents::ALWAYS
    }

    /// Woken when [`File::poll`] may have changed; `None` for a file that is always ready.
    fn wait_queue(&self) -> Option<&WaitQueue> {
        None
    }

    /// Called when a descriptor is closed (close(2), not dup's last), for errors that only
    /// show then.
    ///
    /// # Errors
    /// Those of close(2).
    fn flush(&self) -> Result<()> {
        Ok(())
    }
}

/// An open file description: what descriptors refer to and share after dup(2) and fork(2).
pub struct OpenFile {
    /// The file itself.
    pub file: Arc<dyn File>,
    /// Access mode and status flags (`O_APPEND`, `O_NONBLOCK` …), as in `F_GETFL`.
    flags: AtomicU32,
    /// The position. Held by its thread during a read or write of a seekable file.
    position: Mutex<u64>,
}

impl OpenFile {
    /// A new description of `file` at position 0.
    #[must_use]
    pub fn new(file: Arc<dyn File>, flags: u32) -> Self {
        Self { file, flags: AtomicU32::new(flags), position: Mutex::new(0) }
    }

    /// Access mode and status flags.
    #[must_use]
    pub fn flags(&self) -> u32 {
        self.flags.load(Ordering::Relaxed)
    }
}

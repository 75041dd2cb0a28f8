//! Open files.

use alloc::sync::Arc;
use core::fmt;

use abi::Errno;
use bitflags::bitflags;

use crate::context::Context;
use crate::error::{Because, Outcome, Result};
use crate::events::fanotify::Group;
use crate::events::inotify::Instance;
use crate::events::{Counter, Epoll, SignalFile, TimerFile};
use crate::io::{Sink, Source};
use crate::mm::SharedMemory;
use crate::net::Socket;
use crate::process::Process;
use crate::rings::Ring;
use crate::wait::WaitQueue;

use super::inode::Inode;
use super::mount_setup::MountSetup;
use super::open_file::OpenFile;
use super::pipe::PipeFile;

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
        /// A directory has changed, as signals say it: `F_NOTIFY` of fcntl(2).
        const MSG = 0x400;
        /// The peer shut down its writing half.
        const RDHUP = 0x2000;
    }
}

impl PollEvents {
    /// What a file reports that can always be read and written.
    pub const ALWAYS: Self = Self::IN.union(Self::OUT).union(Self::RDNORM).union(Self::WRNORM);
}

/// What a file makes of offsets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Positions {
    /// It has none: lseek(2) and pread(2) are `ESPIPE` (pipes, sockets, terminals).
    None,
    /// It takes and ignores them; its position is always 0 (/dev/null).
    Ignored,
    /// It has bytes at offsets (regular files, block devices).
    Kept,
}

/// Which end of a hole lseek(2) looks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// The next byte that is stored: `SEEK_DATA`.
    Data,
    /// The next byte that is not: `SEEK_HOLE`. There is one at the end of the file.
    Hole,
}

/// What mmap(2) makes of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mapping {
    /// Its content: [`Inode::page`], [`Inode::shared_page`].
    Pages,
    /// Fresh memory of zeros: `/dev/zero`.
    Zeros,
}

/// What an [`Inode`] becomes when it is opened.
///
/// Defaults are those of a file that cannot do the thing.
pub trait File: Send + Sync {
    /// What was opened.
    fn inode(&self) -> &Arc<dyn Inode>;

    /// What it makes of offsets; never changes.
    fn positions(&self) -> Positions {
        Positions::None
    }

    /// Where it ends, in bytes. Only called where the file keeps positions.
    ///
    /// # Errors
    /// Those of [`Inode::metadata`].
    fn size(&self) -> Result<u64> {
        Ok(self.inode().metadata()?.size)
    }

    /// What mmap(2) makes of it.
    ///
    /// # Errors
    /// `ENODEV` when it cannot be mapped.
    fn mapping(&self) -> Result<Mapping> {
        Err(Errno::ENODEV.because("the file cannot be mapped"))
    }

    /// The memory that mmap(2) shows from this offset on, in bytes, where that is not the
    /// content of a file; `None` where it is.
    ///
    /// # Errors
    /// `EINVAL` where there is no such memory.
    fn memory(&self, offset: u64) -> Option<Result<Arc<SharedMemory>>> {
        let _ = offset;
        None
    }

    /// Brings what was written to shared memory that maps it to where others see it: such
    /// memory is being unmapped. What fails is tried again by [`File::sync`]. Called with no
    /// lock held; waits, but for nobody of this machine.
    fn settle(&self) {}

    /// Whether what is written to shared memory that maps it gets into the file; where it
    /// does not, such memory cannot be written.
    fn shares_writes(&self) -> bool {
        true
    }

    /// Reads at `offset`, where the file keeps positions, and returns how many bytes.
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

    /// Writes at `offset`, where the file keeps positions, and returns how many bytes.
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

    /// Writes at the end, in one piece for all who write, and returns how many bytes and
    /// where the end is then. Only called where the file keeps positions.
    ///
    /// # Errors
    /// Those of write(2).
    fn append(
        &self,
        cx: &Context<'_>,
        open: &OpenFile,
        from: &mut dyn Source,
    ) -> Result<(usize, u64)> {
        let end = self.size()?;
        let written = self.write(cx, open, end, from)?;
        Ok((written, end + written as u64))
    }

    /// The first offset from `offset` that lies in an extent of this kind. Only called where
    /// the file keeps positions.
    ///
    /// # Errors
    /// `ENXIO` when `offset` is past the end, or there is no more data.
    fn find(&self, offset: u64, extent: Extent) -> Result<u64> {
        let end = self.size()?;
        match extent {
            _ if offset >= end => Err(Errno::ENXIO.because("the offset is past the end")),
            Extent::Data => Ok(offset),
            Extent::Hole => Ok(end),
        }
    }

    /// Whether a mapping of it is anonymous memory: /dev/zero.
    fn maps_as_anonymous(&self) -> bool {
        false
    }

    /// How many bytes can be read at once: `FIONREAD`.
    ///
    /// # Errors
    /// `ENOTTY` where that means nothing.
    fn readable_bytes(&self) -> Result<usize> {
        Err(Errno::ENOTTY.because("the file does not know this request"))
    }

    /// The file system on its way to be mounted that it is.
    fn mount_setup(&self) -> Option<&Arc<MountSetup>> {
        None
    }

    /// The end of a pipe that it is.
    fn pipe(&self) -> Option<&PipeFile> {
        None
    }

    /// How many bytes a pipe can hold: `F_GETPIPE_SZ`.
    ///
    /// # Errors
    /// `EBADF` when it is not a pipe.
    fn pipe_size(&self) -> Result<usize> {
        Err(Errno::EBADF.because("not a pipe"))
    }

    /// Sets how many bytes a pipe can hold, and returns that, rounded up: `F_SETPIPE_SZ`.
    ///
    /// # Errors
    /// `EBADF` when it is not a pipe; `EINVAL`; `EPERM` above the limit; `EBUSY` when it holds
    /// more.
    fn set_pipe_size(&self, cx: &Context<'_>, bytes: u64) -> Result<usize> {
        let _ = (cx, bytes);
        self.pipe_size()
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

    /// Woken when [`File::poll`] may have changed, with the events that may have become true;
    /// `None` for a file that is always ready.
    fn wait_queue(&self) -> Option<&WaitQueue> {
        None
    }

    /// Whether epoll(7) takes it: Linux takes what has a poll operation.
    fn can_be_watched(&self) -> bool {
        self.wait_queue().is_some()
    }

    /// What poll finds of it on behalf of this caller; `None` where that is the same for all.
    fn seen_by(&self, cx: &Context<'_>) -> Option<Arc<dyn File>> {
        let _ = cx;
        None
    }

    /// The timer that it is.
    fn timer(&self) -> Option<&TimerFile> {
        None
    }

    /// The epoll instance that it is.
    fn epoll(&self) -> Option<&Arc<Epoll>> {
        None
    }

    /// The signals to read that it is: signalfd(2).
    fn signal_file(&self) -> Option<&SignalFile> {
        None
    }

    /// The counter that it is: eventfd(2).
    fn counter(&self) -> Option<&Counter> {
        None
    }

    /// The instance of inotify(7) that it is.
    fn inotify(&self) -> Option<&Instance> {
        None
    }

    /// The group of fanotify(7) that it is.
    fn fanotify(&self) -> Option<&Group> {
        None
    }

    /// The process that it refers to: pidfd_open(2).
    fn process(&self) -> Option<&Arc<Process>> {
        None
    }

    /// The ring of io_uring(7) that it is.
    fn ring(&self) -> Option<&Arc<Ring>> {
        None
    }

    /// The socket that it is.
    fn socket(&self) -> Option<&Arc<dyn Socket>> {
        None
    }

    /// Writes what /proc/PID/fdinfo shows beside position and flags: whole lines.
    ///
    /// # Errors
    /// Those of `out`.
    fn describe(&self, cx: &Context<'_>, out: &mut dyn fmt::Write) -> fmt::Result {
        let _ = (cx, out);
        Ok(())
    }

    /// Stores what was written for good: fsync(2).
    ///
    /// # Errors
    /// `EINVAL` where there is nothing to store; `EIO`.
    fn sync(&self) -> Result<()> {
        Err(Errno::EINVAL.because("the file cannot be synchronized"))
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

//! What is registered with a ring: io_uring_register(2).

use alloc::sync::Arc;
use alloc::vec::Vec;

use abi::Errno;
use abi::io_uring::{FILES_SKIP, MAX_REGISTERED, Submission};

use crate::context::Context;
use crate::error::{Because, Error, Result};
use crate::fs::{Fd, OpenFile};
use crate::user::Piece;

use super::ring::Ring;

/// What is registered.
#[derive(Default)]
pub(super) struct Registered {
    buffers: Option<Vec<Piece>>,
    files: Option<Vec<Option<Arc<OpenFile>>>>,
    /// The counter that is told of results.
    pub(super) event: Option<(Arc<OpenFile>, Notice)>,
}

/// Of which results a registered eventfd(2) is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Notice {
    /// Of all.
    OfAll,
    /// Of those that come after the submission.
    OfLater,
}

impl Registered {
    /// The registered file with this index.
    ///
    /// # Errors
    /// `EBADF`.
    pub(super) fn file(&self, index: i32) -> Result<Arc<OpenFile>> {
        let files = self.files.as_deref().unwrap_or_default();
        let found = usize::try_from(index).ok().and_then(|index| files.get(index)?.clone());
        found.ok_or_else(|| Errno::EBADF.because("there is no such registered file"))
    }

    /// The part of a registered buffer that a request is about.
    ///
    /// # Errors
    /// `EFAULT` outside of the buffer, or where there is none.
    pub(super) fn buffer(&self, entry: &Submission) -> Result<Piece> {
        let outside = || Errno::EFAULT.because("outside of the registered buffer");
        let buffers = self.buffers.as_deref().unwrap_or_default();
        let buffer = buffers.get(usize::from(entry.buffer_index)).ok_or_else(outside)?;
        let (start, len) = (entry.address, entry.len as usize);
        let end = start.checked_add(len as u64).ok_or_else(outside)?;
        if start < buffer.address || end > buffer.address + buffer.len as u64 {
            return Err(outside());
        }
        Ok(Piece { address: start, len })
    }
}

impl Ring {
    /// Registers buffers, which the caller has checked.
    ///
    /// # Errors
    /// `EBUSY` where there are some.
    pub(crate) fn register_buffers(&self, buffers: Vec<Piece>) -> Result<()> {
        let mut registered = self.registered.lock();
        if registered.buffers.is_some() {
            return Err(busy());
        }
        registered.buffers = Some(buffers);
        Ok(())
    }

    /// Forgets the buffers.
    ///
    /// # Errors
    /// `ENXIO` where there are none.
    pub(crate) fn unregister_buffers(&self) -> Result<()> {
        self.registered.lock().buffers.take().map(drop).ok_or_else(none)
    }

    /// Registers the files of these descriptors, with places for others where that is -1.
    ///
    /// # Errors
    /// `EBUSY` where there are some; `EINVAL`, `EMFILE` for none or too many; `EBADF`.
    pub(crate) fn register_files(&self, cx: &Context<'_>, fds: &[i32]) -> Result<()> {
        if self.registered.lock().files.is_some() {
            return Err(busy());
        }
        if fds.is_empty() {
            return Err(Errno::EINVAL.because("no files"));
        }
        if fds.len() > MAX_REGISTERED as usize {
            return Err(Errno::EMFILE.because("too many files"));
        }
        let files = fds.iter().map(|&fd| registrable(cx, fd)).collect::<Result<Vec<_>>>()?;
        self.registered.lock().files = Some(files);
        Ok(())
    }

    /// Forgets the files.
    ///
    /// # Errors
    /// `ENXIO` where there are none.
    pub(crate) fn unregister_files(&self) -> Result<()> {
        let files = self.registered.lock().files.take();
        files.map(drop).ok_or_else(none)
    }

    /// Replaces registered files from `offset` on; returns how many.
    ///
    /// # Errors
    /// `ENXIO` where there are none; `EINVAL` beyond the last; `EBADF`.
    pub(crate) fn update_files(
        &self,
        cx: &Context<'_>,
        offset: usize,
        fds: &[i32],
    ) -> Result<usize> {
        let count = self.registered.lock().files.as_ref().map(Vec::len).ok_or_else(none)?;
        if offset.checked_add(fds.len()).is_none_or(|end| end > count) {
            return Err(Errno::EINVAL.because("more than are registered"));
        }
        for (done, &fd) in fds.iter().enumerate().filter(|(_, fd)| **fd != FILES_SKIP) {
            match registrable(cx, fd) {
                Ok(file) => self.replace_file(offset + done, file)?,
                Err(error) if done == 0 => return Err(error),
                Err(_) => return Ok(done),
            }
        }
        Ok(fds.len())
    }

    /// Replaces a registered file.
    ///
    /// # Errors
    /// `ENXIO`, `EINVAL` where there is no such place.
    pub(super) fn replace_file(&self, index: usize, file: Option<Arc<OpenFile>>) -> Result<()> {
        let mut registered = self.registered.lock();
        let files = registered.files.as_mut().ok_or_else(none)?;
        let place = files.get_mut(index);
        let place = place.ok_or_else(|| Errno::EINVAL.because("no such registered file"))?;
        let old = core::mem::replace(place, file);
        drop(registered);
        drop(old);
        Ok(())
    }

    /// Lets the counter of a descriptor be told of results.
    ///
    /// # Errors
    /// `EBUSY` where one is; `EBADF`; `EINVAL` for another file.
    pub(crate) fn register_event(&self, cx: &Context<'_>, fd: Fd, notice: Notice) -> Result<()> {
        if self.registered.lock().event.is_some() {
            return Err(busy());
        }
        let open = cx.files().get(fd)?;
        if open.file.counter().is_none() {
            return Err(Errno::EINVAL.because("not a counter"));
        }
        self.registered.lock().event = Some((open, notice));
        Ok(())
    }

    /// Lets it be told no more.
    ///
    /// # Errors
    /// `ENXIO` where there is none.
    pub(crate) fn unregister_event(&self) -> Result<()> {
        let event = self.registered.lock().event.take();
        event.map(drop).ok_or_else(none)
    }
}

/// The file of a descriptor; nothing for -1.
fn registrable(cx: &Context<'_>, fd: i32) -> Result<Option<Arc<OpenFile>>> {
    if fd == -1 {
        return Ok(None);
    }
    let open = cx.files().get(Fd(fd))?;
    if open.is_path() || open.file.ring().is_some() {
        return Err(Errno::EBADF.because("a ring, or only a place"));
    }
    Ok(Some(open))
}

fn busy() -> Error {
    Errno::EBUSY.because("something is registered already")
}

fn none() -> Error {
    Errno::ENXIO.because("nothing is registered")
}

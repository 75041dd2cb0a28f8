//! Descriptors of processes: pidfd_open(2).

use alloc::sync::Arc;
use core::fmt;

use abi::Errno;
use abi::fs::OpenFlags;

use crate::context::Context;
use crate::error::{Because, Result};
use crate::fs::{Fd, File, Inode, OpenFile, PollEvents, anonymous};
use crate::wait::WaitQueue;

use super::Process;

/// A process that descriptors refer to, also when it has ended.
pub(crate) struct ProcessFile {
    inode: Arc<dyn Inode>,
    process: Arc<Process>,
}

impl ProcessFile {
    /// An open file that refers to `process`; `flags` may have `O_NONBLOCK`.
    pub(crate) fn open(process: Arc<Process>, flags: OpenFlags) -> Arc<OpenFile> {
        let file = Self { inode: anonymous::inode("[pidfd]"), process };
        Arc::new(OpenFile::new(Arc::new(file), flags | OpenFlags::RDWR))
    }
}

impl File for ProcessFile {
    fn inode(&self) -> &Arc<dyn Inode> {
        &self.inode
    }

    fn poll(&self) -> PollEvents {
        if self.process.has_ended() {
            PollEvents::IN | PollEvents::RDNORM
        } else {
            PollEvents::empty()
        }
    }

    fn wait_queue(&self) -> Option<&WaitQueue> {
        Some(&self.process.ending)
    }

    fn process(&self) -> Option<&Arc<Process>> {
        Some(&self.process)
    }

    fn describe(&self, cx: &Context<'_>, out: &mut dyn fmt::Write) -> fmt::Result {
        let id = self.process.id();
        // What has been waited for has no number any more.
        let known = cx.system.processes.get(id);
        let is_known = known.is_some_and(|known| Arc::ptr_eq(&known, &self.process));
        let shown = if is_known { id.cast_signed() } else { -1 };
        writeln!(out, "Pid:\t{shown}")?;
        writeln!(out, "NSpid:\t{shown}")
    }
}

/// The process that a descriptor of the caller refers to, and whether waiting for it waits.
///
/// # Errors
/// `EBADF`.
pub(crate) fn process_of(cx: &Context<'_>, fd: Fd) -> Result<(Arc<Process>, Arc<OpenFile>)> {
    let open = cx.files().get(fd)?;
    match open.file.process() {
        Some(process) if !open.is_path() => Ok((process.clone(), open)),
        _ => Err(Errno::EBADF.because("the descriptor refers to no process")),
    }
}

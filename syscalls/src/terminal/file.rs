//! A terminal that has been opened.

use alloc::sync::Arc;

use crate::context::Context;
use crate::error::{Outcome, Result};
use crate::fs::{File, Inode, OpenFile, PollEvents};
use crate::io::{Sink, Source};
use crate::wait::WaitQueue;

use abi::signal::Signal;

use super::Terminal;

/// A terminal that has been opened.
pub struct TerminalFile {
    terminal: Arc<Terminal>,
    inode: Arc<dyn Inode>,
}

impl TerminalFile {
    /// `terminal`, opened as `inode`.
    #[must_use]
    pub fn new(terminal: Arc<Terminal>, inode: Arc<dyn Inode>) -> Self {
        terminal.transport().opened();
        Self { terminal, inode }
    }
}

impl Drop for TerminalFile {
    fn drop(&mut self) {
        self.terminal.transport().closed();
    }
}

impl File for TerminalFile {
    fn inode(&self) -> &Arc<dyn Inode> {
        &self.inode
    }

    fn read(
        &self,
        cx: &Context<'_>,
        open: &OpenFile,
        _offset: u64,
        to: &mut dyn Sink,
    ) -> Result<usize> {
        self.terminal.check_foreground(cx, Signal::SIGTTIN)?;
        self.terminal.read(cx, open.is_nonblocking(), to)
    }

    fn write(
        &self,
        cx: &Context<'_>,
        open: &OpenFile,
        _offset: u64,
        from: &mut dyn Source,
    ) -> Result<usize> {
        self.terminal.write(cx, open.patience(), from)
    }

    fn readable_bytes(&self) -> Result<usize> {
        Ok(self.terminal.readable_len())
    }

    fn ioctl(&self, cx: &Context<'_>, request: u32, argument: u64) -> Result<Outcome> {
        self.terminal.ioctl(cx, request, argument)
    }

    fn poll(&self) -> PollEvents {
        self.terminal.poll()
    }

    fn wait_queue(&self) -> Option<&WaitQueue> {
        Some(self.terminal.changed())
    }
}

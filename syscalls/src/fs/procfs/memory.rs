//! The memory of a process as a file: /proc/PID/mem.

use alloc::sync::Arc;

use abi::{Errno, PAGE_SIZE};

use crate::buffer;
use crate::context::Context;
use crate::error::{Because, Result};
use crate::fs::{File, Inode, OpenFile, Positions};
use crate::io::{Sink, Source};
use crate::mm::AddressSpace;

use super::node::Node;

/// The memory that a process had when it was opened.
struct MemoryFile {
    inode: Arc<dyn Inode>,
    memory: Arc<AddressSpace>,
}

/// Opens the memory of the process in whose directory `node` is.
///
/// # Errors
/// `EACCES` when the caller may not look into it; `ESRCH`.
pub(super) fn open(cx: &Context<'_>, node: Arc<Node>) -> Result<Arc<dyn File>> {
    let process = node.subject(cx)?.process;
    cx.check_access(&process)
        .map_err(|_| Errno::EACCES.because("not the caller's to look into"))?;
    Ok(Arc::new(MemoryFile { memory: process.memory(), inode: node }))
}

impl File for MemoryFile {
    fn inode(&self) -> &Arc<dyn Inode> {
        &self.inode
    }

    fn positions(&self) -> Positions {
        Positions::Kept
    }

    fn read(&self, _: &Context<'_>, _: &OpenFile, offset: u64, to: &mut dyn Sink) -> Result<usize> {
        let mut page = buffer::zeroed(PAGE_SIZE.min(to.remaining()))?;
        let mut done = 0;
        while to.remaining() > 0 {
            let len = page.len().min(to.remaining());
            let (known, result) =
                self.memory.peek(offset.wrapping_add(done as u64), &mut page[..len]);
            let put = if known == 0 { 0 } else { to.put(&page[..known])? };
            done += put;
            match result {
                Err(error) if done == 0 => return Err(error),
                Ok(()) if put == len => {}
                _ => break,
            }
        }
        Ok(done)
    }

    fn write(
        &self,
        _: &Context<'_>,
        _: &OpenFile,
        offset: u64,
        from: &mut dyn Source,
    ) -> Result<usize> {
        let mut page = buffer::zeroed(PAGE_SIZE.min(from.remaining()))?;
        let mut done = 0;
        while from.remaining() > 0 {
            let len = page.len().min(from.remaining());
            let taken = from.take(&mut page[..len])?;
            let (written, result) =
                self.memory.poke(offset.wrapping_add(done as u64), &page[..taken]);
            done += written;
            match result {
                Err(error) if done == 0 => return Err(error),
                Ok(()) if taken > 0 => {}
                _ => break,
            }
        }
        Ok(done)
    }
}

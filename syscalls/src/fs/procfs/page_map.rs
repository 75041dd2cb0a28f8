//! Which pages of a process are in memory: /proc/PID/pagemap, see proc_pid_pagemap(5).

use alloc::sync::{Arc, Weak};

use abi::memory::PageMapFlags;
use abi::{Errno, PAGE_SIZE};
use zerocopy::IntoBytes;

use crate::context::Context;
use crate::error::{Because, Result};
use crate::fs::{File, Inode, OpenFile, Positions};
use crate::io::Sink;
use crate::mm::AddressSpace;
use crate::process::Capability;

use super::node::Node;

/// Length of a word.
const WORD: u64 = size_of::<u64>() as u64;
/// How many words are made at once.
const WORDS: usize = 64;

/// The pages of the memory that a process had when it was opened.
struct PageMap {
    inode: Arc<dyn Inode>,
    memory: Weak<AddressSpace>,
}

/// Opens the map of the pages of the process in whose directory `node` is.
///
/// # Errors
/// `EACCES` when the caller may not look into it; `ESRCH`.
pub(super) fn open(cx: &Context<'_>, node: Arc<Node>) -> Result<Arc<dyn File>> {
    let process = node.subject(cx)?.process;
    cx.check_access(&process)
        .map_err(|_| Errno::EACCES.because("not the caller's to look into"))?;
    Ok(Arc::new(PageMap { memory: Arc::downgrade(&process.memory()), inode: node }))
}

impl File for PageMap {
    fn inode(&self) -> &Arc<dyn Inode> {
        &self.inode
    }

    fn positions(&self) -> Positions {
        Positions::Kept
    }

    fn read(
        &self,
        cx: &Context<'_>,
        _: &OpenFile,
        offset: u64,
        to: &mut dyn Sink,
    ) -> Result<usize> {
        if !offset.is_multiple_of(WORD) || !(to.remaining() as u64).is_multiple_of(WORD) {
            return Err(Errno::EINVAL.because("not whole words"));
        }
        let Some(memory) = self.memory.upgrade() else {
            return Ok(0);
        };
        // Frames are shown to the privileged only.
        let shown = match cx.credentials().has(Capability::SysAdmin) {
            true => u64::MAX,
            false => PageMapFlags::all().bits(),
        };
        let mut done = 0;
        let mut words = [0; WORDS];
        let end = abi::TASK_SIZE / PAGE_SIZE as u64 * WORD;
        while to.remaining() > 0 && offset + (done as u64) < end {
            let at = offset + done as u64;
            let count = (to.remaining().min(usize::try_from(end - at).unwrap_or(usize::MAX)))
                / WORD as usize;
            let words = &mut words[..count.min(WORDS)];
            memory.page_map(at / WORD * PAGE_SIZE as u64, words);
            words.iter_mut().for_each(|word| *word &= shown);
            match to.put(words.as_bytes()) {
                Ok(put) => {
                    done += put;
                    if put < words.len() * WORD as usize {
                        break;
                    }
                }
                Err(error) if done == 0 => return Err(error),
                Err(_) => break,
            }
            cx.system.machine.reschedule();
        }
        Ok(done)
    }
}

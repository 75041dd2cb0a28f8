//! Files and directories of the host that are open.

use alloc::sync::Arc;

use core::ops::Range;

use abi::fs::{AccessMode, Mode, OpenFlags};
use abi::{Errno, PAGE_SIZE};

use crate::context::Context;
use crate::error::{Because, Error, Result};
use crate::fs::file::{File, Mapping, Positions};
use crate::fs::inode::{Change, Inode};
use crate::fs::open_file::OpenFile;
use crate::fs::permission;
use crate::io::{Sink, Source};

use super::fid::Fid;
use super::node::Node;
use super::pages::Pages;

/// Longest file, in bytes: the largest offset.
const MAX_SIZE: u64 = i64::MAX as u64;

/// A regular file that is open.
pub(super) struct HostFile {
    node: Arc<Node>,
    inode: Arc<dyn Inode>,
    fid: Fid,
    can_write: bool,
}

impl HostFile {
    /// The file behind `fid`, which is open for `mode`.
    pub(super) fn open(node: Arc<Node>, fid: Fid, mode: AccessMode) -> Arc<dyn File> {
        Arc::new(Self { inode: node.clone(), node, fid, can_write: mode.can_write() })
    }

    /// Repeats what was written to `range` in pages that mappings have written to as well.
    fn repeat(&self, ahead: &Pages, range: &Range<u64>) -> Result<()> {
        for (index, page) in ahead {
            let start = index * PAGE_SIZE as u64;
            let common = range.start.max(start)..range.end.min(start + PAGE_SIZE as u64);
            let len = (common.end - common.start) as usize;
            self.node.reader()?.read(common.start, len, |bytes| {
                page.write((common.start - start) as usize, bytes);
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Writes at `offset` with the turn taken; returns how many bytes.
    fn write_in_turn(
        &self,
        cx: &Context<'_>,
        open: &OpenFile,
        offset: u64,
        from: &mut dyn Source,
    ) -> Result<usize> {
        if from.remaining() == 0 {
            return Ok(0);
        }
        let end = permission::check_file_size(cx, offset, MAX_SIZE)?;
        self.node.tell_written()?;
        self.fill_gap(offset)?;
        let mut done = 0;
        let result = self.write_pieces(offset, end, from, &mut done);
        if done > 0 {
            let written = offset..offset + done as u64;
            self.node.with_lost(|lost, size| lost.written(size, &written));
            self.node.was_changed();
            self.node.set_stored(false);
            let ahead = self.node.pages.changed(&written);
            self.repeat(&ahead, &written)?;
            self.drop_set_id(cx)?;
            if open.flags().intersects(OpenFlags::DSYNC | OpenFlags::SYNC_BIT) {
                self.fid.sync()?;
            }
            return Ok(done);
        }
        result.map(|()| done)
    }

    /// Writes from `offset` up to `end` at most; `done` counts the bytes.
    fn write_pieces(
        &self,
        offset: u64,
        end: u64,
        from: &mut dyn Source,
        done: &mut usize,
    ) -> Result<()> {
        while from.remaining() > 0 && offset + (*done as u64) < end {
            let at = offset + *done as u64;
            let len = from.remaining().min(self.fid.transfer_len());
            let len = len.min(usize::try_from(end - at).unwrap_or(len));
            let (given, taken) = self.fid.write(at, len, |bytes| from.take(bytes))?;
            *done += taken;
            if taken < given && taken > 0 {
                // What was taken from the application is lost to the rest of this call: it is
                // a short write, as of a disk that is full.
                return Ok(());
            }
            if taken == 0 {
                return Err(Errno::EIO.because("the host takes no bytes"));
            }
            if given < len {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Zeroes what a file without a name must not show of its past before `offset`.
    fn fill_gap(&self, offset: u64) -> Result<()> {
        let gap = self.node.with_lost(|lost, _| lost.gap(offset));
        let Some(mut gap) = gap.filter(|gap| !gap.is_empty()) else { return Ok(()) };
        while !gap.is_empty() {
            let len = (gap.end - gap.start).min(self.fid.transfer_len() as u64) as usize;
            let (_, taken) = self.fid.write(gap.start, len, |bytes| Ok(bytes.len()))?;
            if taken == 0 {
                return Err(Errno::EIO.because("the host takes no bytes"));
            }
            gap.start += taken as u64;
        }
        Ok(())
    }

    /// A write takes the set-ID bits away, unless whoever writes may set them.
    fn drop_set_id(&self, cx: &Context<'_>) -> Result<()> {
        let set_id = Mode::SET_USER_ID | Mode::SET_GROUP_ID;
        if permission::keeps_set_id(cx) {
            return Ok(());
        }
        let mode = self.node.attributes()?.mode;
        if !mode.intersects(set_id) {
            return Ok(());
        }
        let mut kept = mode.difference(Mode::SET_USER_ID);
        if mode.contains(Mode::GROUP_EXECUTE) {
            kept.remove(Mode::SET_GROUP_ID);
        }
        self.node.change_attributes(&Change { mode: Some(kept), ..Change::default() })
    }
}

impl File for HostFile {
    fn inode(&self) -> &Arc<dyn Inode> {
        &self.inode
    }

    fn positions(&self) -> Positions {
        Positions::Kept
    }

    fn mapping(&self) -> Result<Mapping> {
        // Once the name is gone it could not be opened any more.
        self.node.reader()?;
        if self.can_write {
            self.node.writer()?;
        }
        Ok(Mapping::Pages)
    }

    fn settle(&self) {
        // What fails is tried again, and told, by fsync(2).
        let _ = self.node.tell_written();
    }

    fn read(&self, _: &Context<'_>, _: &OpenFile, offset: u64, to: &mut dyn Sink) -> Result<usize> {
        self.node.tell_written()?;
        let mut done = 0;
        while to.remaining() > 0 {
            let at = offset.saturating_add(done as u64);
            let len = to.remaining().min(self.fid.transfer_len());
            let lost = self.node.with_lost(|lost, size| lost.readable(*size, at, len));
            let (len, zeros) = lost.unwrap_or((len, 0));
            let result = match (len, zeros) {
                (0, 0) => break,
                (0, zeros) => to.put_zeros(zeros).map(|put| (put, put == zeros)),
                (len, _) => self.fid.read(at, len, |bytes| {
                    let put = to.put(bytes)?;
                    Ok((put, put == len))
                }),
            };
            match result {
                Ok((put, goes_on)) => {
                    done += put;
                    if !goes_on {
                        break;
                    }
                }
                Err(error) if done == 0 => return Err(error),
                Err(_) => break,
            }
        }
        Ok(done)
    }

    fn write(
        &self,
        cx: &Context<'_>,
        open: &OpenFile,
        offset: u64,
        from: &mut dyn Source,
    ) -> Result<usize> {
        let _turn = self.node.writers.take(cx)?;
        self.write_in_turn(cx, open, offset, from)
    }

    fn append(
        &self,
        cx: &Context<'_>,
        open: &OpenFile,
        from: &mut dyn Source,
    ) -> Result<(usize, u64)> {
        let _turn = self.node.writers.take(cx)?;
        let end = self.node.ask_attributes()?.size;
        let done = self.write_in_turn(cx, open, end, from)?;
        Ok((done, end + done as u64))
    }

    fn sync(&self) -> Result<()> {
        self.node.tell_written()?;
        self.node.set_stored(true);
        self.fid.sync().inspect_err(|_| self.node.set_stored(false))
    }
}

/// A directory that is open. Its entries are the inode's business.
pub(super) struct HostDirectory {
    node: Arc<Node>,
    inode: Arc<dyn Inode>,
}

impl HostDirectory {
    /// Opens `node`, which is a directory.
    pub(super) fn open(node: Arc<Node>) -> Arc<dyn File> {
        Arc::new(Self { inode: node.clone(), node })
    }
}

impl File for HostDirectory {
    fn inode(&self) -> &Arc<dyn Inode> {
        &self.inode
    }

    fn positions(&self) -> Positions {
        Positions::Kept
    }

    fn read(&self, _: &Context<'_>, _: &OpenFile, _: u64, _: &mut dyn Sink) -> Result<usize> {
        Err(is_a_directory())
    }

    fn write(&self, _: &Context<'_>, _: &OpenFile, _: u64, _: &mut dyn Source) -> Result<usize> {
        Err(is_a_directory())
    }

    fn sync(&self) -> Result<()> {
        self.node.listing()?.sync()
    }
}

fn is_a_directory() -> Error {
    Errno::EISDIR.because("a directory")
}

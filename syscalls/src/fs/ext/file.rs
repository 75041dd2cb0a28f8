//! A regular file that is open.

use alloc::sync::Arc;

use abi::fs::OpenFlags;
use abi::{Errno, PAGE_SIZE};

use crate::buffer;
use crate::context::Context;
use crate::error::{Because, Result};
use crate::fs::file::{Extent, File, Mapping, Positions};
use crate::fs::inode::Inode;
use crate::fs::open_file::OpenFile;
use crate::fs::permission;
use crate::fs::storage::Bytes;
use crate::io::{Sink, SliceSink, SliceSource, Source};

use super::content::{PAGE, Piece};
use super::node::Node;
use super::record::Time;

impl Node {
    /// Reads from `offset` on, up to the end.
    fn read_to(&self, offset: u64, to: &mut dyn Sink) -> Result<usize> {
        let mut done = 0;
        while to.remaining() > 0 {
            let at = offset.saturating_add(done as u64);
            let mut volume = self.fs.volume();
            let size = volume.inode(self.number)?.record.size();
            let Some(left) = size.checked_sub(at).filter(|&left| left > 0) else { break };
            let limit = usize::try_from(left).unwrap_or(usize::MAX).min(to.remaining());
            let piece = volume.piece(self.number, at)?;
            drop(volume);
            let within = (at % PAGE) as usize;
            let (len, put) = match piece {
                Piece::Page(page) => {
                    let len = limit.min(PAGE_SIZE - within);
                    (len, to.put_page(&*page, within, len))
                }
                Piece::Hole(hole) => {
                    let len = limit.min(usize::try_from(hole).unwrap_or(limit));
                    (len, to.put_zeros(len))
                }
            };
            match put {
                Ok(put) => {
                    done += put;
                    if put < len {
                        break;
                    }
                }
                Err(error) if done == 0 => return Err(error),
                Err(_) => break,
            }
        }
        Ok(done)
    }

    /// Writes from `offset` up to `end` at most.
    pub(super) fn write_from(&self, offset: u64, end: u64, from: &mut dyn Source) -> Result<usize> {
        self.fs.volume().zero_gap(self.number, offset)?;
        let mut done = 0;
        while from.remaining() > 0 && offset + (done as u64) < end {
            let at = offset + done as u64;
            let within = (at % PAGE) as usize;
            let len = from.remaining().min(PAGE_SIZE - within);
            let len = len.min(usize::try_from(end - at).unwrap_or(len));
            match self.write_piece(at, within, len, from) {
                Ok(taken) => {
                    done += taken;
                    if taken < len {
                        break;
                    }
                }
                Err(error) if done == 0 => return Err(error),
                Err(_) => break,
            }
        }
        let mut volume = self.fs.volume();
        if done > 0 {
            volume.touch(self.number, &[Time::Modified, Time::Changed])?;
        }
        if volume.has_many_changes() {
            self.fs.write_all(&mut volume)?;
        }
        Ok(done)
    }

    fn write_piece(
        &self,
        at: u64,
        within: usize,
        len: usize,
        from: &mut dyn Source,
    ) -> Result<usize> {
        let index = at / PAGE;
        let page = self.fs.volume().page_to_write(self.number, index, within..within + len)?;
        let taken = from.take_to_page(&*page, within, len);
        let mut volume = self.fs.volume();
        let done = taken.unwrap_or(0);
        if done > 0 {
            // Meanwhile the file may have been cut, or got a hole: the bytes go behind that.
            let still = volume.page_to_write(self.number, index, within..within + done)?;
            if !Arc::ptr_eq(&still, &page) {
                let mut bytes = buffer::zeroed(done)?;
                page.read(within, &mut bytes);
                still.write(within, &bytes);
            }
        }
        let end = at + done as u64;
        let old = volume.inode(self.number)?.record.size();
        if end > old {
            volume.set_size(self.number, end)?;
            self.end_moved(old, end);
        }
        if taken.is_err() || taken == Ok(0) {
            // What was taken for bytes that did not come.
            let first = volume.block_of(index * PAGE);
            let blocks = first..first + volume.page_blocks();
            volume.free_behind_end(self.number, blocks)?;
        }
        taken
    }

    /// Stores what is in the file for good.
    fn store_all(&self) -> Result<()> {
        self.fs.store(&mut self.fs.volume())
    }
}

impl Bytes for Node {
    fn read_at(&self, offset: u64, to: &mut [u8]) -> Result<usize> {
        self.read_to(offset, &mut SliceSink::new(to))
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        let end = offset.saturating_add(bytes.len() as u64);
        if self.write_from(offset, end, &mut SliceSource::new(bytes))? < bytes.len() {
            return Err(Errno::ENOSPC.because("the file system is full"));
        }
        Ok(())
    }

    fn store(&self) -> Result<()> {
        self.store_all()
    }
}

/// A regular file that is open.
pub(super) struct RegularFile {
    node: Arc<Node>,
    inode: Arc<dyn Inode>,
}

impl RegularFile {
    /// Opens `node`, which is a regular file.
    pub(super) fn open(node: Arc<Node>) -> Arc<dyn File> {
        Arc::new(Self { inode: node.clone(), node })
    }

    /// Writes at `offset` with the turn taken.
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
        let longest = self.node.fs.volume().longest(self.node.number)?;
        let end = permission::check_file_size(cx, offset, longest)?;
        let done = self.node.write_from(offset, end, from)?;
        if done > 0 {
            if !permission::keeps_set_id(cx) {
                self.node.fs.volume().clear_set_id(self.node.number)?;
            }
            if open.flags().intersects(OpenFlags::DSYNC | OpenFlags::SYNC_BIT) {
                self.node.store_all()?;
            }
        }
        Ok(done)
    }
}

impl File for RegularFile {
    fn inode(&self) -> &Arc<dyn Inode> {
        &self.inode
    }

    fn positions(&self) -> Positions {
        Positions::Kept
    }

    fn mapping(&self) -> Result<Mapping> {
        Ok(Mapping::Pages)
    }

    fn read(
        &self,
        _: &Context<'_>,
        open: &OpenFile,
        offset: u64,
        to: &mut dyn Sink,
    ) -> Result<usize> {
        let done = self.node.read_to(offset, to)?;
        self.node.was_read(&mut self.node.fs.volume(), open.access_times())?;
        Ok(done)
    }

    fn write(
        &self,
        cx: &Context<'_>,
        open: &OpenFile,
        offset: u64,
        from: &mut dyn Source,
    ) -> Result<usize> {
        let _turn = self.node.turn.take(cx)?;
        self.write_in_turn(cx, open, offset, from)
    }

    fn append(
        &self,
        cx: &Context<'_>,
        open: &OpenFile,
        from: &mut dyn Source,
    ) -> Result<(usize, u64)> {
        let _turn = self.node.turn.take(cx)?;
        let end = self.size()?;
        let done = self.write_in_turn(cx, open, end, from)?;
        Ok((done, end + done as u64))
    }

    fn find(&self, offset: u64, extent: Extent) -> Result<u64> {
        let found = self.node.fs.volume().find(self.node.number, offset, extent)?;
        found.ok_or_else(|| Errno::ENXIO.because("there is nothing like that up to the end"))
    }

    fn sync(&self) -> Result<()> {
        self.node.store_all()
    }
}

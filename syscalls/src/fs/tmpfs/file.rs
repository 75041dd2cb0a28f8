//! A regular file that is open.

use alloc::sync::Arc;

use crate::context::Context;
use crate::error::Result;
use crate::fs::file::{Extent, File, Mapping, Positions};
use crate::fs::inode::Inode;
use crate::fs::open_file::OpenFile;
use crate::fs::permission;
use crate::io::{Sink, Source};

use super::content::MAX_SIZE;
use super::node::Node;

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
    fn write_in_turn(&self, cx: &Context<'_>, offset: u64, from: &mut dyn Source) -> Result<usize> {
        if from.remaining() == 0 {
            return Ok(0);
        }
        let end = permission::check_file_size(cx, offset, MAX_SIZE)?;
        let done = self.node.content()?.write(&self.node.fs, offset, end, from)?;
        if done > 0 {
            self.node.was_written(|| permission::keeps_set_id(cx));
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
        let done = self.node.content()?.read(offset, to)?;
        self.node.was_read(open.access_times());
        Ok(done)
    }

    fn write(
        &self,
        cx: &Context<'_>,
        _: &OpenFile,
        offset: u64,
        from: &mut dyn Source,
    ) -> Result<usize> {
        let _turn = self.node.content()?.writers.take(cx)?;
        self.write_in_turn(cx, offset, from)
    }

    fn append(
        &self,
        cx: &Context<'_>,
        _: &OpenFile,
        from: &mut dyn Source,
    ) -> Result<(usize, u64)> {
        let content = self.node.content()?;
        let _turn = content.writers.take(cx)?;
        let end = content.size();
        let done = self.write_in_turn(cx, end, from)?;
        Ok((done, end + done as u64))
    }

    fn find(&self, offset: u64, extent: Extent) -> Result<u64> {
        self.node.content()?.find(offset, extent)
    }

    fn sync(&self) -> Result<()> {
        Ok(())
    }
}

//! The descriptor of a ruleset.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::any::Any;

use abi::Errno;
use abi::fs::{FileType, OpenFlags};

use crate::context::Context;
use crate::error::{Because, Result};
use crate::fs::{File, FileSystem, Inode, Metadata, OpenFile, anonymous};
use crate::io::{Sink, Source};

use super::Ruleset;

/// The inode behind the descriptor, which is as all anonymous ones otherwise.
pub(crate) struct RulesetInode {
    ruleset: Ruleset,
    plain: Arc<dyn Inode>,
}

impl RulesetInode {
    /// Opens a new descriptor of `ruleset`.
    pub(crate) fn open(ruleset: Ruleset) -> Arc<OpenFile> {
        let plain = anonymous::inode("[landlock-ruleset]");
        let inode: Arc<dyn Inode> = Arc::new(Self { ruleset, plain });
        Arc::new(OpenFile::new(Arc::new(RulesetFile { inode }), OpenFlags::RDWR))
    }

    /// The ruleset that an open file is.
    ///
    /// # Errors
    /// `EBADFD` when it is none.
    pub(crate) fn ruleset(open: &OpenFile) -> Result<&Ruleset> {
        let inode: &dyn Any = &**open.file.inode();
        let found = inode.downcast_ref::<Self>().map(|inode| &inode.ruleset);
        found.ok_or_else(|| Errno::EBADFD.because("not a ruleset"))
    }
}

impl Inode for RulesetInode {
    fn kind(&self) -> FileType {
        self.plain.kind()
    }

    fn metadata(&self) -> Result<Metadata> {
        self.plain.metadata()
    }

    fn file_system(&self) -> Arc<dyn FileSystem> {
        self.plain.file_system()
    }

    fn name_without_path(&self) -> Vec<u8> {
        self.plain.name_without_path()
    }
}

struct RulesetFile {
    inode: Arc<dyn Inode>,
}

impl File for RulesetFile {
    fn inode(&self) -> &Arc<dyn Inode> {
        &self.inode
    }

    fn read(&self, _: &Context<'_>, _: &OpenFile, _: u64, _: &mut dyn Sink) -> Result<usize> {
        Err(Errno::EINVAL.because("a ruleset has nothing to read"))
    }

    fn write(&self, _: &Context<'_>, _: &OpenFile, _: u64, _: &mut dyn Source) -> Result<usize> {
        Err(Errno::EINVAL.because("a ruleset is not written"))
    }
}

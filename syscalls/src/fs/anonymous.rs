//! What is behind descriptors of epoll(7), eventfd(2), timerfd_create(2) and their kin: an
//! inode that says no more than their name.

use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;

use abi::fs::{FileType, Mode};

use crate::error::Result;

use super::{FileSystem, Inode, Metadata, PseudoFileSystem};

/// The number that all anonymous inodes share.
const NUMBER: u64 = 1;

/// An inode without path, type or content, which /proc/PID/fd shows as `anon_inode:` and this
/// name.
pub(crate) fn inode(name: &'static str) -> Arc<dyn Inode> {
    Arc::new(AnonymousInode { name })
}

struct AnonymousInode {
    name: &'static str,
}

impl Inode for AnonymousInode {
    fn kind(&self) -> FileType {
        FileType::Anonymous
    }

    fn metadata(&self) -> Result<Metadata> {
        let mode = Mode::OWNER_READ | Mode::OWNER_WRITE;
        Ok(Metadata::new(NUMBER, FileType::Anonymous, mode))
    }

    fn file_system(&self) -> Arc<dyn FileSystem> {
        Arc::new(PseudoFileSystem::ANONYMOUS)
    }

    fn name_without_path(&self) -> Vec<u8> {
        format!("anon_inode:{}", self.name).into_bytes()
    }
}

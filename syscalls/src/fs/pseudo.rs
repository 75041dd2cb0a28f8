//! File systems without a tree: where pipes and other things without a path live.

use abi::fs::{Device, magic};

use super::inode::{FileSystem, Usage};

/// A file system without a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PseudoFileSystem {
    name: &'static str,
    device: Device,
    magic: u32,
}

impl PseudoFileSystem {
    /// Where pipes live.
    pub const PIPES: Self =
        Self { name: "pipefs", device: Device::new(0, 2), magic: magic::PIPEFS_MAGIC };

    /// Where sockets live.
    pub const SOCKETS: Self =
        Self { name: "sockfs", device: Device::new(0, 4), magic: magic::SOCKFS_MAGIC };

    /// Where the inodes of epoll, eventfd and their kin live.
    pub const ANONYMOUS: Self =
        Self { name: "anon_inodefs", device: Device::new(0, 3), magic: magic::ANON_INODE_FS_MAGIC };

    /// Where namespaces live.
    pub const NAMESPACES: Self =
        Self { name: "nsfs", device: Device::new(0, 6), magic: magic::NSFS_MAGIC };

    /// Where message queues of POSIX live.
    pub const MESSAGE_QUEUES: Self =
        Self { name: "mqueue", device: Device::new(0, 5), magic: magic::MQUEUE_MAGIC };
}

impl FileSystem for PseudoFileSystem {
    fn name(&self) -> &'static str {
        self.name
    }

    fn device(&self) -> Device {
        self.device
    }

    fn usage(&self) -> Usage {
        Usage { magic: self.magic, ..Usage::default() }
    }
}

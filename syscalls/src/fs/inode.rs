//! Objects of file systems.

use core::any::Any;

/// An object in a file system: regular file, directory, symbolic link, device, FIFO …
pub trait Inode: Any + Send + Sync {}

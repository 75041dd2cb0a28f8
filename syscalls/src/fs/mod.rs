//! Files: what descriptors, paths and mappings lead to.
//!
//! - [`Inode`]: an object in a file system (or outside of any: a pipe)
//! - [`File`]: what open(2) makes of it: where read, write, seek, ioctl and poll go
//! - [`OpenFile`]: POSIX's "open file description": a [`File`], a position, status flags
//! - [`FdTable`]: a process's descriptors

pub mod file;
pub mod inode;
pub mod pipe;
pub mod procfs;
pub mod stream;

pub use file::{File, OpenFile, PollEvents};
pub use inode::Inode;

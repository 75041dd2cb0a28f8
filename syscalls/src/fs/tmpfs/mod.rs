//! The file system in memory.

//! Directories of the host, by 9P2000.L over the machine's message channels.
//!
//! - [`Share`]: one directory of the host as a file system: what is known of its files
//! - `Node`: a file of it, whatever it is, as an inode; `HostFile` where it is open
//! - `Client`: the conversation with the server: many threads ask, each gets its answer
//! - `Fid`: what can be asked of a file; `wire`: how that is written and read
//! - `PageCache`: pages that are mapped; `Lost`: files that are open and have no name left
//!
//! Everything goes to the server at once: what one side writes, the other sees. Attributes
//! are trusted for the length of a walk along a path only, and opening a file looks whether
//! the host has changed it since it was mapped. Memory that is mapped shared cannot be
//! written; the host's own mappings do not follow what it writes while a file is mapped here.

mod client;
mod fid;
mod file;
mod inode;
mod lost;
mod node;
mod pages;
mod share;
#[cfg(test)]
mod tests;
mod wire;

pub use share::{Owner, Share, Shares};

//! Directories of the host, by 9P2000.L over the machine's message channels.
//!
//! - [`Share`]: one directory of the host as a file system: what is known of its files
//! - `Node`: a file of it, whatever it is, as an inode; `HostFile` where it is open
//! - `Client`: the conversation with the server: many threads ask, each gets its answer
//! - `Fid`: what can be asked of a file; `wire`: how that is written and read
//! - `Names`: what names led to a moment ago
//! - `PageCache`: pages that are mapped; `Lost`: files that are open and have no name left
//!
//! Everything goes to the server at once: what one side writes, the other sees. What is
//! trusted for how long is in [`names::Trust`]: on a share that can be written, attributes for
//! the length of a walk along a path and directories for a tenth of a second; on one that is
//! read only, names and attributes for a second. Opening a file always asks, and looks whether
//! the host has changed it since it was mapped. What is written to shared mappings gets to the
//! server a little later ([`pages`]), and mappings do not follow what the host writes while a
//! file is mapped here.

mod bytes;
mod client;
mod fid;
mod file;
mod inode;
mod lost;
mod names;
mod node;
mod pages;
mod share;
#[cfg(test)]
mod tests;
mod wire;

pub use share::{Owner, Share, Shares};

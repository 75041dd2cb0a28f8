//! System V interprocess communication: objects that processes find by a key.
//!
//! - `registry`: objects by number and by key
//! - `permission`: who may use an object
//! - `segments`: shared memory

mod permission;
mod registry;
mod segments;
#[cfg(test)]
mod segments_tests;

pub(crate) use permission::{Asked, Permission};
pub(crate) use segments::Segments;

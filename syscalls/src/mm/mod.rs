//! Memory of a process: areas, their pages, page faults.
//!
//! [`AddressSpace`] holds what the application may see at which address; the page tables
//! behind [`crate::machine::Space`] are a cache of that, filled by page faults.

mod address_space;
mod copy;

pub use address_space::AddressSpace;

//! Memory of a process: areas, their pages, page faults.
//!
//! [`AddressSpace`] holds what the application may see at which address: [`Area`]s say what
//! is allowed and where content comes from, and a map of resident pages says what has been
//! used. The page tables behind [`crate::machine::Space`] are a cache of both, filled by
//! page faults: an entry may be missing, but one that is there never allows more than the
//! area and the page do.
//!
//! A private page that nobody else holds is written in place; one that is a file's, the
//! common page of zeros, or held by another process is copied first.
//!
//! - `area`, `areas`: one area, and all of them by address; `gaps`: the room between them
//! - `object`: files and shared memory, where pages come from
//! - `mappings`: which address spaces map a file
//! - `pages`: the resident pages
//! - `fault`: what a page fault does; `fork`: a copy for a child; `copy`: copies from and to the application
//! - `map`, `protect`, `remap`, `program_break`, `advise`, `lock`: the system calls
//! - `dump`: what of it a core dump shows
//! - `segment`: System V's shared memory in it
//! - `monitor`: userfaultfd(2)
//! - `vdso`: what programs read the time with
//! - `layout`: where things go

mod address_space;
mod advise;
mod area;
mod areas;
mod arguments;
mod around;
#[cfg(test)]
mod call_tests;
mod copy;
mod dump;
mod fault;
mod force;
mod fork;
#[cfg(test)]
mod fork_tests;
mod gaps;
#[cfg(test)]
mod hostile_tests;
mod layout;
mod lock;
mod map;
mod mappings;
#[cfg(test)]
mod model;
#[cfg(test)]
mod model_tests;
mod monitor;
mod object;
mod pages;
mod program_break;
mod protect;
mod rearrange;
mod remap;
mod segment;
#[cfg(test)]
mod sharing_tests;
mod vdso;

pub(crate) use address_space::MAX_AREAS;
pub use address_space::{AddressSpace, MemoryLimits, Usage};
pub use area::{Area, AreaFlags, Backing, Share};
pub use arguments::Address;
pub use dump::DumpFilter;
pub use fault::{Accessor, FaultSignal, Wanted};
pub use layout::Layout;
pub use map::{MapRequest, MapSource};
pub use mappings::Mappings;
pub(crate) use monitor::{Filling, Holes, Monitor, News, Scope};
pub use object::{Object, Presence, SharedMemory};
pub use remap::RemapRequest;

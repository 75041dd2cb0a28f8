//! A machine of plain Rust, for tests: the seam of [`crate::machine`] without hardware.
//!
//! - [`FakeMachine`]: counted pages with a limit, software page tables with permissions,
//!   virtual time, the host side of the streams; everything it does is deterministic
//! - [`Application`]: what a test program, a closure, does on a thread of the machine
//! - [`FakeLink`]: a network device whose wire ends in the test
//! - [`ninep`]: a server for a directory of the host
//! - [`kit`]: a process on a fresh machine, to call system calls with
//!
//! Threads are threads of the host of which only one runs at a time: it hands the machine on
//! where it parks, yields or ends. Time stands still while any thread can run, and then jumps
//! to the next deadline or scheduled event. When there is none, the test fails with a message
//! instead of waiting for ever.

mod application;
mod frames;
mod host;
pub mod kit;
mod link;
mod machine;
#[cfg(test)]
mod news;
pub mod ninep;
mod schedule;
mod space;
mod thread;

pub use application::Application;
pub use frames::aligned_archive;
pub use host::HostEvent;
pub use link::FakeLink;
pub use machine::FakeMachine;
#[cfg(test)]
pub(crate) use news::NewsOnly;

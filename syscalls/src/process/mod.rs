//! Processes and threads.
//!
//! - [`Process`]: what threads share: memory, descriptors, signals, credentials, limits
//! - [`Thread`]: one flow of control, and the entries that the machine calls
//! - [`ProcessTable`]: all processes by number, and who belongs to whom
//! - [`Credentials`], [`Limits`]: what a process may do
//! - `tracing`: one thread stops another and looks at it

mod access;
pub(crate) mod accounting;
mod answers;
mod apart;
mod attention;
mod core_dump;
pub mod credentials;
pub(crate) mod descriptor;
pub mod exec;
#[cfg(test)]
mod exec_tests;
mod execute;
#[cfg(test)]
mod execute_tests;
mod exhaustion;
mod exit;
#[cfg(test)]
pub(crate) mod family_tests;
pub(crate) mod fork;
pub(crate) mod futex;
mod group;
#[cfg(test)]
mod group_tests;
pub mod limits;
mod rseq;
pub(crate) mod scheduling;
mod shared;
pub(crate) mod table;
mod thread;
pub(crate) mod tracing;
mod usage;
pub(crate) mod wait;

pub(crate) use attention::Attention;
pub(crate) use core_dump::Settings as CoreDumpSettings;
pub use credentials::{Capability, Credentials};
pub use limits::Limits;
pub use shared::Process;
pub(crate) use shared::REAPER;
pub use table::ProcessTable;
pub use thread::Thread;
pub(crate) use usage::Usage;

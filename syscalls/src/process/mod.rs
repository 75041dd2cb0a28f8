//! Processes and threads.

pub mod exec;
mod process;
mod thread;

pub use process::Process;
pub use thread::Thread;

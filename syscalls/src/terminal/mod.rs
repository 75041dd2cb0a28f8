//! Terminals: one line discipline, and the devices that use it.
//!
//! - `discipline`, with `edit`, `input` and `output`: what termios(3) describes, as state
//!   without any transport
//! - [`Terminal`]: that state shared by those who read, write and type, above a [`Transport`]
//! - `requests`: ioctl_tty(2); `job`: process groups and their signals
//! - [`pty`]: pseudoterminals, whose user is a program too
//! - [`console`]: the terminal of the machine; [`TerminalFile`]: what opening it gives

pub mod console;
#[cfg(test)]
mod device_tests;
mod discipline;
mod edit;
mod file;
mod input;
mod job;
mod output;
pub(crate) mod pty;
mod requests;
mod settings;
mod shared;
#[cfg(test)]
mod tests;

pub use file::TerminalFile;
pub use shared::{Terminal, Transport};

//! The parts of the `birgus` command, which runs an unmodified Linux program as a virtual
//! machine of its own.
//!
//! - [`command`]: the command line and what each subcommand does
//! - [`kernel`]: the kernel that is embedded here, and the table inside it
//! - [`image`]: the program and the files around it, as the boot archive
//! - [`engine`]: virtual machines to boot it in
//! - [`vmm`]: our own monitor, in a process of its own
//! - [`session`]: the control channel as a state machine
//! - [`ltp`]: the Linux Test Project run in such machines, and the coverage report
//! - [`host`]: that state machine connected to the program's streams, the terminal and
//!   signals
//!
//! It is a library only so that tests and fuzz targets reach the parts; nothing else is meant
//! to use it.
//!
//! Birgus's own words go to stderr, a line each. Text that comes from the guest or from an
//! ELF file passes through [`escape`] before it is shown.

pub mod command;
pub mod engine;
mod error;
pub mod escape;
pub mod host;
pub mod image;
pub mod kernel;
pub mod ltp;
pub mod session;
pub mod units;
pub mod vmm;

pub use error::Error;

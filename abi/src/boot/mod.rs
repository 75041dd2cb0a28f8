//! The contract between the launcher (the `birgus` command) and the kernel it boots.
//!
//! 1. The kernel is booted by PVH with one module: a newc cpio archive, which becomes the
//!    root file system. An entry called [`config::ENTRY`] is not a file of that file system:
//!    it holds the configuration of the run ([`config`]).
//! 2. The first virtio console is the control channel ([`channel`]): the program's three
//!    streams, its terminal, signals, and at the end its exit status.
//! 3. Without a control channel the kernel talks to the first serial port, and takes its
//!    orders from the command line ([`command_line`]).
//! 4. The kernel's ELF file carries the table of system calls ([`table`]).

pub mod channel;
pub mod command_line;
pub mod config;
pub mod table;

/// Version of this contract. The kernel refuses a launcher of another version, and the
/// launcher a kernel of another version.
pub const VERSION: u16 = 1;

/// Where the kernel's image starts in virtual memory; the kernel's code and data lie in the
/// top 2 GiB, as the `kernel` code model wants.
pub const KERNEL_BASE: u64 = 0xffff_ffff_8000_0000;

/// Where the kernel's image starts in physical memory. Firecracker wants 1 MiB at least.
pub const KERNEL_LOAD_ADDRESS: u64 = 0x20_0000;

/// Where the direct map of all physical memory starts in the kernel's half of the address
/// space: physical address `p` is readable at `DIRECT_MAP + p`.
pub const DIRECT_MAP: u64 = 0xffff_8000_0000_0000;

/// Physical address of the first serial port (COM1), in I/O space.
pub const SERIAL_PORT: u16 = 0x3f8;

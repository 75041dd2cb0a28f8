//! The Linux x86-64 ABI, and the contract between Birgus's launcher and its kernel.
//!
//! Everything here is data: numbers, names, flags and `repr(C)` structs whose sizes are
//! checked at compile time. Behaviour belongs in `syscalls` (Linux), `kernel` (the machine)
//! or `launcher` (the host).
//!
//! - [`number`]: numbers and names of all system calls
//! - [`errno`]: error numbers
//! - [`auxv`]: the auxiliary vector
//! - [`memory`]: memory mappings
//! - [`futex`]: waiting for words of memory
//! - [`keys`]: keys that the kernel keeps
//! - [`ipc`]: System V interprocess communication
//! - [`poll`]: waiting for files
//! - [`terminal`]: terminals and their ioctls
//! - [`fs`]: flags and structures of files
//! - [`signal`], [`time`], [`process`]: the structs and flags of those calls
//! - [`events`]: epoll(7), eventfd(2)
//! - [`fanotify`]: events of files, fanotify(7)
//! - [`io_uring`]: rings of requests and results, io_uring(7)
//! - [`landlock`]: restricting oneself, landlock(7)
//! - [`time_page`]: where applications read the time
//! - [`timex`]: how the clock is kept right
//! - [`namespaces`]: namespaces(7) and their ioctls
//! - [`userfault`]: page faults that the application resolves
//! - [`net`]: sockets and their options
//! - [`boot`]: the guest–host contract: addresses, run configuration, control channel
#![no_std]
#![forbid(unsafe_code)]

pub mod auxv;
pub mod boot;
pub mod core_dump;
pub mod errno;
pub mod events;
pub mod fanotify;
pub mod fs;
pub mod futex;
pub mod io_uring;
pub mod ipc;
pub mod keys;
pub mod landlock;
pub mod memory;
pub mod namespaces;
pub mod net;
pub mod number;
pub mod poll;
pub mod process;
pub mod ptrace;
pub mod signal;
pub mod terminal;
pub mod time;
pub mod time_page;
pub mod timex;
pub mod userfault;

pub use errno::Errno;

/// Size of a page of memory, in bytes.
pub const PAGE_SIZE: usize = 4096;

/// First address that an application may not use (`TASK_SIZE_MAX` of x86-64 with four-level
/// page tables): the lower half less one guard page.
pub const TASK_SIZE: u64 = 0x7fff_ffff_f000;

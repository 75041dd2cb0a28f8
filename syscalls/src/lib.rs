//! The Linux personality of Birgus: everything an application can observe.
//!
//! It stands on one seam, the traits of [`machine`], and reaches the hardware through nothing
//! else; the kernel implements them with page tables and interrupts, [`fake`] with plain Rust,
//! so that all of this crate runs under `cargo test`.
//!
//! # The way of a system call
//! The machine calls [`machine::Task::syscall`], implemented by [`process::Thread`]. It looks
//! the number up in the one table ([`table`]), whose row turns registers into typed arguments
//! ([`args`]) and calls the handler (in `calls`). A handler reads like its manual page and
//! calls one object: files ([`fs`]), memory areas ([`mm`]), processes ([`process`]), signals
//! ([`signal`]), clocks ([`time`]), the terminal ([`terminal`]). Its result is a value, an
//! [`Error`] (errno and reason), or an [`Outcome`] that replaces the registers.
//!
//! # Lock order
//! A lock guards data, not code. A thread that holds one lock may take only those below it;
//! none is held across [`machine::Thread::park`], nor across a copy from or to the
//! application, which may fault. What must be held that long (the position of an open file,
//! the writing end of a file) is a turn, for which a thread waits as for any event.
//!
//! ```text
//! process table
//! └─ process: children, threads
//!    ├─ descriptor table
//!    ├─ mounts → names in use, in the order children → place
//!    │  └─ file system: tree
//!    │     └─ inode, in the order parent directory → entry
//!    │        └─ address space: areas, the parent's before its new child's
//!    │           └─ file pages; who maps a file
//!    ├─ segments of shared memory → their pages
//!    ├─ key, in the order keyring → what it links to → numbers and quotas of keys
//!    ├─ sets of semaphores; queues of messages → what a waiter is given
//!    ├─ signal state
//!    └─ timers
//!       └─ wait queue
//! ```
#![no_std]
#![forbid(unsafe_code)]
// How deep the compiler looks to see that what refers to each other can be sent to threads.
#![recursion_limit = "256"]

extern crate alloc;
#[cfg(any(test, feature = "fake"))]
extern crate std;

pub mod args;
mod boot;
mod buffer;
mod calls;
pub mod context;
mod error;
pub(crate) mod events;
#[cfg(any(test, feature = "fake"))]
pub mod fake;
pub mod fs;
#[cfg(any(test, feature = "fuzz"))]
pub mod fuzz;
pub mod io;
mod ipc;
mod joint;
mod keys;
mod landlock;
pub mod machine;
pub mod mm;
mod named;
pub(crate) mod namespaces;
pub(crate) mod net;
pub mod process;
mod report;
mod rings;
pub mod signal;
pub mod system;
pub mod table;
pub mod terminal;
pub mod time;
mod trace;
pub mod user;
pub mod wait;

pub use boot::boot;
pub use context::Context;
pub use error::{Because, Error, Outcome, Result};
pub use system::System;

//! The handlers of the system calls, by topic. Each is called from its row in
//! [`crate::table`] only.

pub(crate) mod accounting;
pub(crate) mod aio;
pub(crate) mod attributes;
pub(crate) mod cache;
pub(crate) mod capability;
pub(crate) mod compare;
mod control;
pub(crate) mod copy;
pub(crate) mod descriptor;
pub(crate) mod directory;
pub(crate) mod epoll;
pub(crate) mod event;
pub(crate) mod execute;
pub(crate) mod fanotify;
#[cfg(test)]
mod file_argument_tests;
pub(crate) mod file_flags;
#[cfg(test)]
mod file_tests;
pub(crate) mod fork;
pub(crate) mod futex;
pub(crate) mod handle;
pub(crate) mod identity;
pub(crate) mod inotify;
pub(crate) mod key;
pub(crate) mod keyctl;
pub(crate) mod landlock;
pub(crate) mod legacy;
pub(crate) mod limits;
pub(crate) mod lock;
pub(crate) mod memory;
pub(crate) mod message;
pub(crate) mod message_queue;
pub(crate) mod metadata;
pub(crate) mod mount;
pub(crate) mod mount_api;
#[cfg(test)]
mod mount_api_tests;
pub(crate) mod name;
pub(crate) mod namespace;
pub(crate) mod open;
mod owner;
pub(crate) mod pidfd;
pub(crate) mod pipe;
pub(crate) mod poll;
pub(crate) mod prctl;
pub(crate) mod process;
pub(crate) mod process_memory;
pub(crate) mod ptrace;
mod ptrace_registers;
pub(crate) mod schedule;
pub(crate) mod security;
pub(crate) mod semaphore;
pub(crate) mod shm;
pub(crate) mod signal;
pub(crate) mod socket;
pub(crate) mod statmount;
pub(crate) mod storage;
pub(crate) mod system;
pub(crate) mod sysv_message;
pub(crate) mod time;
pub(crate) mod timer;
pub(crate) mod transfer;
pub(crate) mod wait;
pub(crate) mod xattr;

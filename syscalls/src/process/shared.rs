//! A process: what its threads share.

use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, Ordering};

use spin::Mutex;

use crate::fs::{FdTable, FsContext};
use crate::mm::AddressSpace;

use super::{Credentials, Limits, Thread};

/// The number of the kernel's own process, which adopts and reaps orphans.
pub(super) const REAPER: u32 = 1;

/// A process: what its threads share.
pub struct Process {
    id: u32,
    parent: AtomicU32,
    group: AtomicU32,
    session: AtomicU32,
    memory: Mutex<Arc<AddressSpace>>,
    credentials: Mutex<Arc<Credentials>>,
    /// Its descriptors.
    pub files: FdTable,
    /// Its root and working directory, and its umask.
    pub paths: FsContext,
    limits: Limits,
    threads: Mutex<Vec<Weak<Thread>>>,
}

impl Process {
    /// The process of a program that the kernel itself starts: child of the reaper, leader of
    /// a session of its own, with the superuser's credentials and no descriptors. It sees files
    /// from `paths`.
    #[must_use]
    pub fn new(id: u32, memory: Arc<AddressSpace>, paths: FsContext) -> Self {
        Self {
            id,
            parent: AtomicU32::new(REAPER),
            group: AtomicU32::new(id),
            session: AtomicU32::new(id),
            memory: Mutex::new(memory),
            credentials: Mutex::new(Arc::new(Credentials::root())),
            files: FdTable::new(),
            paths,
            limits: Limits::initial(1 << 16),
            threads: Mutex::new(Vec::new()),
        }
    }

    /// Its number: getpid(2).
    #[must_use]
    pub fn id(&self) -> u32 {
        self.id
    }

    /// The number of its parent: getppid(2).
    #[must_use]
    pub fn parent(&self) -> u32 {
        self.parent.load(Ordering::Relaxed)
    }

    /// The number of its process group: getpgrp(2).
    #[must_use]
    pub fn group(&self) -> u32 {
        self.group.load(Ordering::Relaxed)
    }

    /// The number of its session: getsid(2).
    #[must_use]
    pub fn session(&self) -> u32 {
        self.session.load(Ordering::Relaxed)
    }

    /// Its memory.
    #[must_use]
    pub fn memory(&self) -> Arc<AddressSpace> {
        self.memory.lock().clone()
    }

    /// Replaces its memory: execve(2).
    pub fn set_memory(&self, memory: Arc<AddressSpace>) {
        // The old address space is dropped after the lock is free.
        let _old = core::mem::replace(&mut *self.memory.lock(), memory);
    }

    /// Who it is and what it may do.
    #[must_use]
    pub fn credentials(&self) -> Arc<Credentials> {
        self.credentials.lock().clone()
    }

    /// Its limits: `process.limits().current(Resource::OpenFiles)`.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Its threads that live.
    #[must_use]
    pub fn threads(&self) -> Vec<Arc<Thread>> {
        self.threads.lock().iter().filter_map(Weak::upgrade).collect()
    }

    /// Adds a thread that will run.
    pub(super) fn add_thread(&self, thread: &Arc<Thread>) {
        self.threads.lock().push(Arc::downgrade(thread));
    }
}

//! A process: what its threads share.

use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicI32, AtomicU32, AtomicU64, Ordering};

use spin::Mutex;

use crate::error::Result;
use crate::fs::{FdTable, FsContext};
use crate::machine::ExitStatus;
use crate::mm::AddressSpace;
use crate::signal::ProcessSignals;
use crate::time::IntervalTimers;

use super::{Credentials, Limits, Thread};

/// The number of the kernel's own process, which adopts and reaps orphans.
pub(super) const REAPER: u32 = 1;

/// Properties of a process that prctl(2) keeps.
pub(crate) struct Properties {
    /// The signal for it when its parent ends; 0 for none.
    pub(crate) parent_death_signal: u8,
    /// Whether others of the same user may look into it.
    pub(crate) is_dumpable: bool,
    /// Whether it adopts orphans among its descendants.
    pub(crate) is_subreaper: bool,
    /// By how much its timers may be late; 0 for the default.
    pub(crate) timer_slack_ns: u64,
}

impl Default for Properties {
    fn default() -> Self {
        Self { parent_death_signal: 0, is_dumpable: true, is_subreaper: false, timer_slack_ns: 0 }
    }
}

impl Properties {
    /// By how much its timers may be late, in nanoseconds.
    pub(crate) fn timer_slack(&self) -> u64 {
        /// What Linux gives its first process.
        const DEFAULT_NS: u64 = 50_000;
        if self.timer_slack_ns == 0 { DEFAULT_NS } else { self.timer_slack_ns }
    }
}

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
    /// /proc/PID/oom_score_adj, which has no effect.
    pub(crate) oom_adjustment: AtomicI32,
    threads: Mutex<Vec<Weak<Thread>>>,
    /// What it does on signals, and those that wait for it.
    pub signals: ProcessSignals,
    /// Its interval timers.
    pub(crate) timers: IntervalTimers,
    /// How it ends, from the moment when that is clear.
    pub(super) exit: Mutex<Option<ExitStatus>>,
    pub(super) last_status: Mutex<i32>,
    /// What prctl(2) keeps.
    pub(crate) properties: Mutex<Properties>,
    /// The nice value, -20 to 19.
    nice: AtomicI32,
    /// CPU time in nanoseconds of threads that have ended.
    ended_cpu_ns: AtomicU64,
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
            limits: Limits::initial(),
            oom_adjustment: AtomicI32::new(0),
            threads: Mutex::new(Vec::new()),
            signals: ProcessSignals::default(),
            timers: IntervalTimers::default(),
            exit: Mutex::new(None),
            last_status: Mutex::new(0),
            properties: Mutex::new(Properties::default()),
            nice: AtomicI32::new(0),
            ended_cpu_ns: AtomicU64::new(0),
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

    /// Removes a thread that ends; returns whether it was the last one.
    pub(super) fn remove_thread(&self, thread: &Thread) -> bool {
        self.ended_cpu_ns.fetch_add(thread.cpu_time_ns(), Ordering::Relaxed);
        let mut threads = self.threads.lock();
        threads.retain(|other| !core::ptr::eq(other.as_ptr(), thread));
        threads.is_empty()
    }

    /// For how long its threads have computed, in nanoseconds.
    #[must_use]
    pub fn cpu_time_ns(&self) -> u64 {
        let living: u64 = self.threads().iter().map(|thread| thread.cpu_time_ns()).sum();
        living.saturating_add(self.ended_cpu_ns.load(Ordering::Relaxed))
    }

    /// Whether no process outside its group, but in its session, is the parent of a member:
    /// nobody would continue the group once it has stopped (POSIX, 3.264).
    #[must_use]
    pub fn is_in_orphaned_group(&self) -> bool {
        self.parent() == REAPER
    }

    /// Changes who it is and what it may do.
    ///
    /// # Errors
    /// Those of `change`; nothing changes then.
    pub fn change_credentials<T>(
        &self,
        change: impl FnOnce(&mut Credentials) -> Result<T>,
    ) -> Result<T> {
        let mut credentials = self.credentials.lock();
        let mut new = (**credentials).clone();
        let value = change(&mut new)?;
        *credentials = Arc::new(new);
        Ok(value)
    }

    /// Its nice value, -20 to 19.
    #[must_use]
    pub fn nice(&self) -> i32 {
        self.nice.load(Ordering::Relaxed)
    }

    /// Sets its nice value, -20 to 19.
    pub(crate) fn set_nice(&self, nice: i32) {
        self.nice.store(nice, Ordering::Relaxed);
    }

    /// Changes its process group.
    pub(crate) fn set_group(&self, group: u32) {
        self.group.store(group, Ordering::Relaxed);
    }

    /// Changes its session.
    pub(crate) fn set_session(&self, session: u32) {
        self.session.store(session, Ordering::Relaxed);
    }
}

//! A process: what its threads share.

use alloc::sync::{Arc, Weak};
use core::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, AtomicU64, Ordering};

use abi::process::CloneFlags;
use abi::signal::{SIG_IGN, SigAction, Signal};
use spin::{Mutex, Once};

use crate::error::Result;
use crate::fs::aio::IoContexts;
use crate::fs::{FdTable, FsContext};
use crate::ipc::UndoOwner;
use crate::keys::Keyrings;
use crate::machine::{CpuTime, ExitStatus};
use crate::mm::{AddressSpace, DumpFilter};
use crate::namespaces::time::Offsets;
use crate::namespaces::{PidNamespace, UserNamespace};
use crate::signal::ProcessSignals;
use crate::time::{CpuTimers, IntervalTimers, PosixTimers};
use crate::wait::WaitQueue;

use super::core_dump::Dump;
use super::group::ThreadGroup;
use super::tracing::Tracees;
use super::usage::{Counters, Usage};
use super::wait::Report;
use super::{Credentials, Limits, Thread};

/// The number of the kernel's own process, which adopts and reaps orphans.
pub(crate) const REAPER: u32 = 1;

/// Properties of a process that prctl(2) keeps.
#[derive(Clone)]
pub(crate) struct Properties {
    /// The signal for it when its parent ends; 0 for none.
    pub(crate) parent_death_signal: u8,
    /// Whether others of the same user may look into it.
    pub(crate) is_dumpable: bool,
    /// In which user namespace it began to execute its program: who is privileged there may look
    /// into it anyway.
    pub(crate) program_namespace: UserNamespace,
    /// Which parts of its memory go into a core dump.
    pub(crate) dump_filter: DumpFilter,
    /// Whether it adopts orphans among its descendants.
    pub(crate) is_subreaper: bool,
    /// By how much its timers may be late, in nanoseconds.
    pub(crate) timer_slack_ns: u64,
    /// What that is unless it says otherwise.
    pub(crate) default_timer_slack_ns: u64,
    /// What personality(2) sets.
    pub(crate) personality: u32,
}

impl Default for Properties {
    fn default() -> Self {
        /// What Linux gives its first process.
        const TIMER_SLACK_NS: u64 = 50_000;
        Self {
            parent_death_signal: 0,
            is_dumpable: true,
            program_namespace: UserNamespace::FIRST,
            dump_filter: DumpFilter::default(),
            is_subreaper: false,
            timer_slack_ns: TIMER_SLACK_NS,
            default_timer_slack_ns: TIMER_SLACK_NS,
            personality: 0,
        }
    }
}

impl Properties {
    /// Those of a child.
    fn of_child(&self) -> Self {
        Self {
            parent_death_signal: 0,
            is_subreaper: false,
            default_timer_slack_ns: self.timer_slack_ns,
            ..self.clone()
        }
    }
}

/// What a child does not have of its parent.
pub(super) struct OfChild {
    pub(super) id: u32,
    pub(super) memory: Arc<AddressSpace>,
    pub(super) credentials: Arc<Credentials>,
    pub(super) pid_namespace: PidNamespace,
}

/// A process: what its threads share.
pub struct Process {
    id: u32,
    /// Where it has its own numbers.
    pub(crate) pid_namespace: PidNamespace,
    parent: AtomicU32,
    group: AtomicU32,
    session: AtomicU32,
    memory: Mutex<Arc<AddressSpace>>,
    /// Those of its first thread.
    credentials: Mutex<Arc<Credentials>>,
    /// Whether a thread has had descriptors of its own.
    pub(super) has_parted: AtomicBool,
    /// The descriptors of its threads, but for those with some of their own: those of a thread
    /// are [`Thread::files`](super::Thread::files).
    pub(crate) files: FdTable,
    /// The root and working directory and the umask of its threads, but for those with some of
    /// their own: those of a thread are [`Thread::paths`](super::Thread::paths).
    pub(crate) paths: FsContext,
    /// Its contexts of asynchronous input and output.
    pub(crate) aio: IoContexts,
    /// How far its clocks are ahead of the machine's.
    pub(crate) clock_offsets: Offsets,
    limits: Limits,
    /// /proc/PID/oom_score_adj.
    pub(crate) oom_adjustment: AtomicI32,
    pub(super) group_of_threads: Mutex<ThreadGroup>,
    /// Woken when a thread has ended.
    pub(super) threads_changed: WaitQueue,
    /// What it does on signals, and those that wait for it.
    pub signals: ProcessSignals,
    /// What it has to undo of semaphores at its end.
    pub(crate) undo: UndoOwner,
    /// Its keyrings.
    pub(crate) keyrings: Mutex<Keyrings>,
    /// Its interval timers.
    pub(crate) timers: IntervalTimers,
    /// Its timers of timer_create(2).
    pub(crate) posix_timers: PosixTimers,
    /// What waits for its CPU time.
    pub(crate) cpu_timers: CpuTimers,
    /// How it ends, from the moment when that is clear.
    pub(super) exit: Mutex<Option<ExitStatus>>,
    /// Its core dump, from when that begins.
    pub(super) dump: Mutex<Option<Arc<Dump>>>,
    /// Whether there is something in that.
    pub(super) has_core: AtomicBool,
    /// How it has ended; then it only waits to be told of.
    ended: Once<ExitStatus>,
    /// The signal its parent gets when it ends.
    exit_signal: Mutex<Option<Signal>>,
    /// What its parent has not been told of yet.
    pub(super) report: Mutex<Option<Report>>,
    /// The thread that made it, where it is its parent's.
    pub(super) made_by: Once<Weak<Thread>>,
    /// The threads that its own threads trace.
    pub(super) tracees: Mutex<Tracees>,
    /// Whether its parent is told of its end after its tracer.
    is_held: AtomicBool,
    /// Whether `SIGKILL` ends it.
    is_killed: AtomicBool,
    /// Woken when a child has ended, stopped or gone on.
    pub(crate) children_changed: WaitQueue,
    /// Woken when it has ended.
    pub(crate) ending: WaitQueue,
    /// Whether it has called execve(2) since it was made.
    has_executed: AtomicBool,
    /// What it has registered for with membarrier(2).
    pub(crate) barriers: AtomicU32,
    /// What prctl(2) keeps.
    pub(crate) properties: Mutex<Properties>,
    /// CPU time of threads that have ended.
    pub(super) ended_cpu: Mutex<CpuTime>,
    /// Most pages that were resident in an address space it no longer has.
    peak_pages: AtomicU64,
    /// How often something happened to its threads.
    pub(super) counters: Counters,
    /// What the children used that were waited for, and theirs.
    pub(super) children_usage: Mutex<Usage>,
}

impl Process {
    /// The process of a program that the kernel itself starts: child of the reaper, leader of
    /// a session of its own, with the superuser's credentials and no descriptors. It sees files
    /// from `paths`.
    #[must_use]
    pub fn new(id: u32, memory: Arc<AddressSpace>, paths: FsContext) -> Self {
        Self {
            id,
            pid_namespace: PidNamespace::FIRST,
            parent: AtomicU32::new(REAPER),
            group: AtomicU32::new(id),
            session: AtomicU32::new(id),
            memory: Mutex::new(memory),
            credentials: Mutex::new(Arc::new(Credentials::root())),
            has_parted: AtomicBool::new(false),
            files: FdTable::new(),
            paths,
            aio: IoContexts::default(),
            clock_offsets: Offsets::default(),
            limits: Limits::initial(),
            oom_adjustment: AtomicI32::new(0),
            group_of_threads: Mutex::default(),
            threads_changed: WaitQueue::new(),
            signals: ProcessSignals::default(),
            undo: UndoOwner::default(),
            keyrings: Mutex::default(),
            timers: IntervalTimers::default(),
            posix_timers: PosixTimers::default(),
            cpu_timers: CpuTimers::default(),
            exit: Mutex::new(None),
            dump: Mutex::new(None),
            has_core: AtomicBool::new(false),
            ended: Once::new(),
            exit_signal: Mutex::new(Some(Signal::SIGCHLD)),
            report: Mutex::new(None),
            made_by: Once::new(),
            tracees: Mutex::default(),
            is_held: AtomicBool::new(false),
            is_killed: AtomicBool::new(false),
            children_changed: WaitQueue::new(),
            ending: WaitQueue::new(),
            has_executed: AtomicBool::new(false),
            barriers: AtomicU32::new(0),
            properties: Mutex::new(Properties::default()),
            ended_cpu: Mutex::default(),
            peak_pages: AtomicU64::new(0),
            counters: Counters::default(),
            children_usage: Mutex::new(Usage::default()),
        }
    }

    /// The kernel's own process, which has no parent and ignores its children.
    pub(crate) fn reaper(memory: Arc<AddressSpace>, paths: FsContext) -> Self {
        let process = Self { parent: AtomicU32::new(0), ..Self::new(REAPER, memory, paths) };
        let ignored = SigAction { handler: SIG_IGN, ..SigAction::default() };
        process.set_signal_action(Signal::SIGCHLD, ignored);
        process
    }

    /// A child of this process, or with `CLONE_PARENT` of its parent, which shares with the
    /// calling `thread` what `flags` say and has copies of the rest. It is in no table yet.
    pub(super) fn child(&self, thread: &Thread, of_child: OfChild, flags: CloneFlags) -> Self {
        let parent = if flags.contains(CloneFlags::PARENT) { self.parent() } else { self.id };
        let shares = |flag| flags.contains(flag);
        let files = thread.files();
        let files = if shares(CloneFlags::FILES) { files.share() } else { files.duplicate() };
        let paths = thread.paths();
        let paths = if shares(CloneFlags::FS) { paths.share() } else { paths.duplicate() };
        Self {
            parent: AtomicU32::new(parent),
            group: AtomicU32::new(self.group()),
            session: AtomicU32::new(self.session()),
            credentials: Mutex::new(of_child.credentials.clone()),
            pid_namespace: of_child.pid_namespace.clone(),
            clock_offsets: self.clock_offsets.copy(),
            files,
            limits: self.limits.clone(),
            oom_adjustment: AtomicI32::new(self.oom_adjustment.load(Ordering::Relaxed)),
            signals: self.signals.of_child(flags),
            undo: if shares(CloneFlags::SYSVSEM) {
                self.undo.share()
            } else {
                UndoOwner::default()
            },
            keyrings: Mutex::new(self.keyrings.lock().of_child()),
            properties: Mutex::new(self.properties.lock().of_child()),
            ..Self::new(of_child.id, of_child.memory, paths)
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
        let old = core::mem::replace(&mut *self.memory.lock(), memory);
        self.peak_pages.fetch_max(old.usage().resident_peak, Ordering::Relaxed);
        old.release();
    }

    /// Who its first thread is and what it may do: that counts when others look at the process.
    #[must_use]
    pub fn credentials(&self) -> Arc<Credentials> {
        self.credentials.lock().clone()
    }

    /// Its limits: `process.limits().current(Resource::OpenFiles)`.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Changes who its first thread is and what it may do.
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

    /// Replaces who its first thread is and what it may do.
    pub(super) fn set_credentials(&self, new: Arc<Credentials>) {
        *self.credentials.lock() = new;
    }

    /// Changes its parent, under the lock of the table.
    pub(super) fn set_parent(&self, parent: u32) {
        self.parent.store(parent, Ordering::Relaxed);
    }

    /// Changes its process group, under the lock of the table.
    pub(super) fn set_group(&self, group: u32) {
        self.group.store(group, Ordering::Relaxed);
    }

    /// Changes its session, under the lock of the table.
    pub(super) fn set_session(&self, session: u32) {
        self.session.store(session, Ordering::Relaxed);
    }

    /// How it has ended; `None` while it has not.
    #[must_use]
    pub(crate) fn ended(&self) -> Option<ExitStatus> {
        self.ended.get().copied()
    }

    /// Whether it has ended.
    #[must_use]
    pub(crate) fn has_ended(&self) -> bool {
        self.ended.is_completed()
    }

    /// Says how it has ended, under the lock of the table.
    pub(super) fn set_ended(&self, status: ExitStatus) {
        self.ended.call_once(|| status);
    }

    /// Whether its parent is told of its end after its tracer.
    #[must_use]
    pub(super) fn is_held(&self) -> bool {
        self.is_held.load(Ordering::Relaxed)
    }

    /// Says whether its parent is told of its end after its tracer.
    pub(super) fn set_held(&self, is_held: bool) {
        self.is_held.store(is_held, Ordering::Relaxed);
    }

    /// Whether `SIGKILL` ends it.
    #[must_use]
    pub(super) fn is_killed(&self) -> bool {
        self.is_killed.load(Ordering::Relaxed)
    }

    /// Notes that `SIGKILL` ends it.
    pub(super) fn set_killed(&self) {
        self.is_killed.store(true, Ordering::Relaxed);
    }

    /// The signal its parent gets when it ends.
    #[must_use]
    pub(crate) fn exit_signal(&self) -> Option<Signal> {
        *self.exit_signal.lock()
    }

    /// Says which signal its parent gets when it ends.
    pub(super) fn set_exit_signal(&self, signal: Option<Signal>) {
        *self.exit_signal.lock() = signal;
    }

    /// Whether it has called execve(2) since it was made.
    #[must_use]
    pub(crate) fn has_executed(&self) -> bool {
        self.has_executed.load(Ordering::Relaxed)
    }

    /// Notes that it has called execve(2).
    pub(super) fn set_executed(&self) {
        self.has_executed.store(true, Ordering::Relaxed);
    }

    /// What it has used itself, without its children.
    #[must_use]
    pub(crate) fn usage(&self) -> Usage {
        let peak_pages = self.memory().usage().resident_peak;
        Usage {
            cpu: self.cpu_time(),
            counts: self.counters.now(),
            peak_pages: peak_pages.max(self.peak_pages.load(Ordering::Relaxed)),
        }
    }

    /// What its children have used that were waited for, and theirs.
    #[must_use]
    pub(crate) fn children_usage(&self) -> Usage {
        *self.children_usage.lock()
    }
}

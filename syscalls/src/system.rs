//! The personality as a whole: what there is once per machine.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, AtomicU64, AtomicUsize, Ordering};

use abi::fs::{Device, FileType};
use abi::{Errno, number};
use spin::{Mutex, Once};

use crate::context::Context;
use crate::error::{Because, Error, Result};
use crate::events::notifier::Notifier;
use crate::events::userfault;
use crate::fs::fifo::Fifos;
use crate::fs::pipe;
use crate::fs::pipe_inode::PipeNumbers;
use crate::fs::procfs::ProcFs;
use crate::fs::stream::{self, Streams};
use crate::fs::sysfs::SysFs;
use crate::fs::{FsContext, Vfs};
use crate::keys::Keys;
use crate::machine::{Machine, News, Service};
use crate::mm::{AddressSpace, MAX_AREAS, MemoryLimits};
use crate::namespaces::{NamespaceNumbers, Namespaces, Tally};
use crate::net::Sockets;
use crate::net::ip::Stack;
use crate::process::accounting::Accounting;
use crate::process::futex::Futexes;
use crate::process::limits::MAX_OPEN_FILES;
use crate::process::{CoreDumpSettings, Process, ProcessTable, Thread};
use crate::signal::{Signal, info};
use crate::terminal::pty::Ptys;
use crate::terminal::{self, Terminal};
use crate::time::{Discipline, Timers};

/// `sysname` of uname(2).
pub const SYSTEM_NAME: &str = "Linux";
/// `release` of uname(2): the Linux whose calls are meant, and who emulates them.
pub const RELEASE: &str = concat!("6.12.0-birgus-", env!("CARGO_PKG_VERSION"));
/// `version` of uname(2).
pub const VERSION: &str = "#1 SMP Birgus";
/// `machine` of uname(2).
pub const MACHINE: &str = "x86_64";

/// The personality of one machine.
pub struct System {
    /// The machine under it.
    pub machine: Arc<dyn Machine>,
    /// The program's standard streams where they are not the terminal.
    pub streams: Streams,
    /// The numbers of pipes.
    pub(crate) pipe_numbers: PipeNumbers,
    /// The terminal of the machine.
    pub terminal: Arc<Terminal>,
    /// The pseudoterminals.
    pub(crate) ptys: Arc<Ptys>,
    /// The tree of files.
    pub vfs: Vfs,
    /// All processes.
    pub processes: ProcessTable,
    /// Who watches which files.
    pub(crate) notifier: Notifier,
    /// What there is of sockets.
    pub(crate) sockets: Sockets,
    /// The namespaces of the first process.
    pub(crate) first_namespaces: Arc<Namespaces>,
    /// Numbers of new namespaces.
    pub(crate) namespace_numbers: NamespaceNumbers,
    /// How many namespaces there may be.
    pub(crate) namespace_tally: Arc<Tally>,
    /// Keys that the kernel keeps.
    pub(crate) keys: Keys,
    /// The memory of processes that have ended.
    empty_memory: Arc<AddressSpace>,
    /// What waits for a moment to come.
    pub(crate) timers: Arc<Timers>,
    /// What time daemons say of the clock.
    pub(crate) discipline: Discipline,
    /// What is set for core dumps.
    pub(crate) core_dumps: CoreDumpSettings,
    /// The Internet protocols.
    pub(crate) net: Arc<Stack>,
    /// Who waits for a word of memory.
    pub(crate) futexes: Futexes,
    /// The thread that process 1 shows, once there is one.
    reaper: Once<Arc<Thread>>,
    /// The program whose end is the machine's end; 0 before it is known.
    program: AtomicU32,
    traced: AtomicBool,
    /// Where records of processes go.
    pub(crate) accounting: Accounting,
    /// How large who is not privileged may make a pipe: /proc/sys/fs/pipe-max-size.
    pub(crate) max_pipe_size: AtomicU64,
    /// How many descriptors a process may have: /proc/sys/fs/nr_open.
    pub(crate) max_open_files: AtomicU64,
    /// How many areas an address space may have: /proc/sys/vm/max_map_count.
    pub(crate) max_areas: AtomicUsize,
    /// Whether all may watch the faults of system calls: /proc/sys/vm/unprivileged_userfaultfd.
    pub(crate) all_may_watch_faults: AtomicBool,
    /// Who may not make rings (/proc/sys/kernel/io_uring_disabled): 0 nobody, 1 who has no
    /// privilege and is not in the group, 2 all.
    pub(crate) rings_disabled: AtomicU32,
    /// The group that may also then; -1 for none.
    pub(crate) rings_group: AtomicI32,
    /// What the machine was booted with: /proc/cmdline.
    command_line: Once<Vec<u8>>,
    /// Unknown calls that were warned about, one bit each.
    warned: Mutex<[u64; number::COUNT.div_ceil(64)]>,
}

impl System {
    /// The personality on `machine`, with these files.
    ///
    /// # Panics
    /// When there is not even memory for an empty address space.
    #[must_use]
    pub fn new(machine: Arc<dyn Machine>, vfs: Vfs) -> Arc<Self> {
        let empty = AddressSpace::new(&machine, MemoryLimits::default());
        let timers = Arc::<Timers>::default();
        let net = Stack::new(machine.clone(), timers.clone());
        let most = u32::try_from(max_threads(&*machine)).unwrap_or(u32::MAX);
        Arc::new(Self {
            empty_memory: empty.unwrap_or_else(|_| panic!("no memory for an address space")),
            terminal: terminal::console::new(&machine),
            machine,
            ptys: Arc::default(),
            vfs,
            streams: Streams::default(),
            pipe_numbers: PipeNumbers::default(),
            processes: ProcessTable::new(),
            notifier: Notifier::default(),
            sockets: Sockets::default(),
            first_namespaces: Namespaces::first(),
            namespace_numbers: NamespaceNumbers::default(),
            namespace_tally: Arc::new(Tally::new(most / 2)),
            keys: Keys::default(),
            discipline: Discipline::default(),
            core_dumps: CoreDumpSettings::default(),
            net,
            timers,
            futexes: Futexes::default(),
            reaper: Once::new(),
            program: AtomicU32::new(0),
            traced: AtomicBool::new(false),
            accounting: Accounting::default(),
            max_pipe_size: AtomicU64::new(pipe::MAX_SIZE),
            max_open_files: AtomicU64::new(MAX_OPEN_FILES),
            max_areas: AtomicUsize::new(MAX_AREAS),
            all_may_watch_faults: AtomicBool::new(false),
            rings_disabled: AtomicU32::new(0),
            rings_group: AtomicI32::new(-1),
            command_line: Once::new(),
            warned: Mutex::new([0; number::COUNT.div_ceil(64)]),
        })
    }

    /// Adds what stands above the files themselves: the terminal's devices, FIFOs, /proc and /sys.
    ///
    /// # Errors
    /// `EEXIST` when the archive has something else there; `ENOSPC`.
    pub fn equip(&self) -> Result<()> {
        terminal::console::add_devices(&self.vfs)?;
        terminal::pty::add_devices(self)?;
        userfault::add_device(&self.vfs)?;
        let fifos = Arc::new(Fifos::default());
        self.vfs.devices.register(FileType::Fifo, Device::default(), fifos);
        ProcFs::mount(self)?;
        SysFs::mount(self).map(drop)
    }

    /// The controlling terminal of a session.
    #[must_use]
    pub(crate) fn terminal_of(&self, session: u32) -> Option<Arc<Terminal>> {
        if self.terminal.controls(session) {
            return Some(self.terminal.clone());
        }
        self.ptys.controlling(session)
    }

    /// The thread with this number.
    #[must_use]
    pub(crate) fn thread(&self, id: u32) -> Option<Arc<Thread>> {
        self.processes.thread(id)
    }

    /// The thread of the application that runs now. Looks at all of them.
    #[must_use]
    pub(crate) fn running_thread(&self) -> Option<Arc<Thread>> {
        let running = self.machine.current_thread();
        let is_running = |thread: &Arc<Thread>| {
            thread.machine_if_known().is_some_and(|machine| Arc::ptr_eq(&machine, &running))
        };
        self.processes.all().iter().find_map(|one| one.threads().into_iter().find(is_running))
    }

    /// How many processes and threads there may be: as on Linux, an eighth of the memory holds
    /// their kernel stacks.
    #[must_use]
    pub(crate) fn max_threads(&self) -> usize {
        max_threads(&*self.machine)
    }

    /// The process with this number, or the one whose thread has it, where 0 is the caller's.
    ///
    /// # Errors
    /// `ESRCH` when there is none.
    pub(crate) fn process(&self, cx: &Context<'_>, id: i32) -> Result<Arc<Process>> {
        if id == 0 {
            return Ok(cx.process.clone());
        }
        let process = self.processes.of_task(cx.known_id(id)?);
        process.ok_or_else(|| Errno::ESRCH.because("no such process"))
    }

    /// Adds process 1, which never runs: orphans are its children, and it is there to be seen.
    pub fn add_reaper(self: &Arc<Self>) {
        self.reaper.call_once(|| {
            let paths = FsContext::new(self.vfs.root().clone());
            let process = Arc::new(Process::reaper(self.empty_memory.clone(), paths));
            self.processes.insert(process.clone());
            let thread = Thread::new(self.clone(), process);
            thread.set_name(b"init");
            thread.rest();
            thread
        });
    }

    /// The memory of processes that have ended, in which there is nothing.
    pub(crate) fn empty_memory(&self) -> &Arc<AddressSpace> {
        &self.empty_memory
    }

    /// Sends a signal of the kernel to all processes of a group.
    pub fn signal_group(&self, group: u32, signal: Signal) {
        for process in self.processes.group(group) {
            // Standard signals are never refused; a real-time one may be too many.
            let _ = process.send_signal(signal, info::kernel(signal));
        }
    }

    /// The number of the process whose end is the machine's end.
    #[must_use]
    pub fn program(&self) -> u32 {
        self.program.load(Ordering::Relaxed)
    }

    /// Says which process's end is the machine's end.
    pub fn set_program(&self, process: u32) {
        self.program.store(process, Ordering::Relaxed);
    }

    /// Whether system calls are traced.
    #[must_use]
    pub fn is_traced(&self) -> bool {
        self.traced.load(Ordering::Relaxed)
    }

    /// Traces the system calls of all threads that are made from now on.
    pub fn trace(&self) {
        self.traced.store(true, Ordering::Relaxed);
    }

    /// Whole seconds since 1970 UTC.
    #[must_use]
    pub(crate) fn wall_clock_seconds(&self) -> i64 {
        (self.machine.wall_clock_ns() / abi::time::NS_PER_SECOND) as i64
    }

    /// What the machine was booted with; empty where nothing was said.
    #[must_use]
    pub fn command_line(&self) -> &[u8] {
        self.command_line.get().map_or(&[], Vec::as_slice)
    }

    /// Says, once, what the machine was booted with.
    pub fn set_command_line(&self, line: &str) {
        self.command_line.call_once(|| line.as_bytes().to_vec());
    }

    /// The host name of the first process, without a NUL.
    #[must_use]
    pub fn host_name(&self) -> Vec<u8> {
        self.first_namespaces.uts.host_name()
    }

    /// Sets the host name of the first process.
    pub fn set_host_name(&self, name: Vec<u8>) {
        self.first_namespaces.uts.set_host_name(name);
    }

    /// The error of a call that is not implemented; warns the first time.
    pub(crate) fn unknown_call(&self, number: u64) -> Error {
        if let Some(name) = number::name(number) {
            let (word, bit) = (number as usize / 64, number % 64);
            let mut warned = self.warned.lock();
            if warned[word] & (1 << bit) == 0 {
                warned[word] |= 1 << bit;
                log::warn!("the system call {name} ({number}) is not implemented");
            }
        }
        Errno::ENOSYS.because("the system call is not implemented")
    }
}

fn max_threads(machine: &dyn Machine) -> usize {
    const PAGES_PER_THREAD: u64 = 4 * 8;
    const FEWEST: usize = 20;
    let pages = machine.memory().total_pages;
    usize::try_from(pages / PAGES_PER_THREAD).unwrap_or(usize::MAX).max(FEWEST)
}

impl Service for System {
    fn news(&self, news: News) {
        match news {
            News::Signal(number) => {
                let program = self.processes.get(self.program());
                if let (Some(signal), Some(program)) = (Signal::new(number), program) {
                    self.signal_group(program.group(), signal);
                }
            }
            News::Answers => self.vfs.shares.news(),
            News::WallClock => self.timers.wall_clock_was_set(&*self.machine),
            News::Frames => self.net.frames(),
            news => stream::news(self, news),
        }
    }

    fn deadline(&self) {
        self.timers.run(&*self.machine);
    }
}

//! An engine in a process of its own: what QEMU and our own monitor have in common on this
//! side.
//!
//! The process gets none of our descriptors but those it is given, no terminal, and dies with
//! the one that started it. What it says on standard error, and the kernel on the serial port
//! (its standard output), is kept for the report of a machine that is lost.

use super::{PostMortem, Vm, descriptors};
use crate::error::reason;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::FdFlags;
use rustix::process::{self, Pid, Signal};
use std::io::{self, Read};
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, ChildStdout, Command, ExitStatus};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How much of the engine's own words, and of the serial port's, is kept, in bytes: the last
/// ones.
const WORDS_KEPT: usize = 16 * 1024;

/// How long the engine may take to end after it has closed its channel.
const LAST_BREATH: Duration = Duration::from_secs(1);

/// A virtual machine in a process.
#[derive(Debug)]
pub struct Process {
    name: &'static str,
    child: Child,
    control: UnixStream,
    stderr: Option<JoinHandle<Vec<u8>>>,
    serial: Option<JoinHandle<Vec<u8>>>,
    ended: Option<PostMortem>,
    /// A process that ends with the machine: the one that does its networking.
    companion: Option<Child>,
    care: Option<Care>,
}

/// What is put right in a QEMU that has booted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Care {
    /// Its end of the channel, a descriptor of its own.
    pub(super) channel: RawFd,
    /// Connections come to it from the host.
    pub(super) is_public: bool,
}

/// Starts an engine: as a session of its own (so that the terminal's signals do not reach it)
/// that dies with this thread and inherits `descriptors` and no others.
pub(super) fn spawn(command: &mut Command, descriptors: &[BorrowedFd<'_>]) -> io::Result<Child> {
    let parent = process::getpid();
    let descriptors: Vec<RawFd> = descriptors.iter().map(AsRawFd::as_raw_fd).collect();
    let prepare = move || {
        process::setsid()?;
        process::set_parent_process_death_signal(Some(Signal::KILL))?;
        if process::getppid() != Some(parent) {
            // The parent died before it could be watched.
            return Err(io::Error::from(io::ErrorKind::NotFound));
        }
        // SAFETY: close_range(2) with this flag only marks descriptors; it touches no memory.
        let marked = unsafe {
            libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC)
        };
        // Kernels before 5.11 do not have it. All of our own descriptors are marked anyway.
        let _ = marked;
        for &descriptor in &descriptors {
            // SAFETY: the caller's descriptors are open until the child has been started.
            let descriptor = unsafe { BorrowedFd::borrow_raw(descriptor) };
            rustix::io::fcntl_setfd(descriptor, FdFlags::empty())?;
        }
        Ok(())
    };
    // SAFETY: between fork and exec the closure makes system calls only: it allocates
    // nothing and takes no lock.
    unsafe { command.pre_exec(prepare) };
    command.spawn()
}

/// Reads to the end on a thread of its own, and keeps what came last.
fn keep_last_words(mut from: impl Read + Send + 'static) -> JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let (mut kept, mut buffer) = (Vec::new(), [0; 4096]);
        while let Ok(len @ 1..) = from.read(&mut buffer) {
            kept.extend_from_slice(&buffer[..len]);
            if kept.len() > 2 * WORDS_KEPT {
                kept.drain(..kept.len() - WORDS_KEPT);
            }
        }
        kept.drain(..kept.len().saturating_sub(WORDS_KEPT));
        kept
    })
}

impl Process {
    /// The machine in the process `child`, whose serial port writes to `serial`.
    pub(super) fn new(
        name: &'static str,
        mut child: Child,
        control: UnixStream,
        serial: Option<ChildStdout>,
    ) -> Self {
        let stderr = child.stderr.take().map(keep_last_words);
        let serial = serial.map(keep_last_words);
        Self { name, child, control, stderr, serial, ended: None, companion: None, care: None }
    }

    /// Takes care of the process when its machine has booted.
    pub(super) fn with_care(mut self, care: Care) -> Self {
        self.care = Some(care);
        self
    }

    /// Ends `companion` with the machine.
    pub(super) fn with_companion(mut self, companion: Option<Child>) -> Self {
        self.companion = companion;
        self
    }

    /// The id of the process.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    fn pid(&self) -> Option<Pid> {
        i32::try_from(self.child.id()).ok().and_then(Pid::from_raw)
    }

    fn send(&self, signal: Signal) {
        if self.ended.is_none()
            && let Some(pid) = self.pid()
        {
            // It can only fail when it is dead already, which its channel tells.
            let _ = process::kill_process(pid, signal);
        }
    }

    /// How the engine ended by itself, if it did. Its channel closes a moment before it can be
    /// waited for.
    fn own_end(&mut self) -> Option<String> {
        let gone =
            poll(&mut [PollFd::new(&self.control, PollFlags::empty())], Some(&Timespec::default()))
                .is_ok_and(|hung_up| hung_up > 0);
        let until = Instant::now() + if gone { LAST_BREATH } else { Duration::ZERO };
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) => return Some(words_for(status)),
                Ok(None) if Instant::now() < until => thread::sleep(Duration::from_millis(2)),
                Ok(None) => return None,
                Err(error) => return Some(reason(&error)),
            }
        }
    }
}

/// Ends the process beside the machine; its words, where it had failed before.
fn end_companion(mut companion: Child) -> Option<Vec<u8>> {
    let failed = companion.try_wait().is_ok_and(|status| status.is_some_and(|s| !s.success()));
    // Killing fails only where there is nothing to kill.
    let _ = companion.kill();
    let _ = companion.wait();
    let mut words = Vec::new();
    if let Some(from) = companion.stderr.take() {
        // It is a pipe that nobody writes to any more.
        let _ = from.take(WORDS_KEPT as u64).read_to_end(&mut words);
    }
    failed.then_some(words)
}

fn words_for(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(signal)) => format!("killed by signal {signal}"),
        (None, None) => "ended".to_owned(),
    }
}

impl Vm for Process {
    fn name(&self) -> &'static str {
        self.name
    }

    fn control(&self) -> io::Result<UnixStream> {
        self.control.try_clone()
    }

    fn has_booted(&mut self) {
        let (Some(pid), Some(care)) = (self.pid(), self.care) else { return };
        // Where the host does not allow these, a busy one may lose output, and bursts of
        // connections take longer.
        let _ = descriptors::let_wait(pid, care.channel);
        if care.is_public {
            let _ = descriptors::widen_backlogs(pid);
        }
    }

    fn suspend(&mut self) {
        self.send(Signal::STOP);
    }

    fn resume(&mut self) {
        self.send(Signal::CONT);
    }

    fn end(&mut self) -> PostMortem {
        if let Some(known) = &self.ended {
            return known.clone();
        }
        let status = self.own_end();
        // Killing fails only where there is nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let companion = self.companion.take().and_then(end_companion);
        let words = |thread: Option<JoinHandle<Vec<u8>>>| {
            thread.and_then(|thread| thread.join().ok()).unwrap_or_default()
        };
        let known = PostMortem {
            status,
            engine: words(self.stderr.take()),
            serial: words(self.serial.take()),
            companion,
        };
        self.ended.insert(known).clone()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}

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
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
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
    companion: Option<Companion>,
    /// What is put right when it has booted.
    pub(super) care: Option<Care>,
}

/// What is put right in a QEMU that has booted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Care {
    /// Its end of the channel, a descriptor of its own.
    pub(super) channel: RawFd,
    /// Connections come to it from the host.
    pub(super) is_public: bool,
}

/// A process beside the machine, whose last words are kept as well.
#[derive(Debug)]
struct Companion {
    child: Child,
    words: Option<JoinHandle<Vec<u8>>>,
}

/// Starts an engine: as a session of its own (so that the terminal's signals do not reach it)
/// that dies with this thread and inherits `descriptors` and no others.
pub(super) fn spawn(command: &mut Command, descriptors: &[BorrowedFd<'_>]) -> io::Result<Child> {
    command.current_dir("/").env_clear().stdin(Stdio::null()).stderr(Stdio::piped());
    let parent = process::getpid();
    let descriptors: Vec<RawFd> = descriptors.iter().map(AsRawFd::as_raw_fd).collect();
    let prepare = move || {
        process::setsid()?;
        process::set_parent_process_death_signal(Some(Signal::KILL))?;
        if process::getppid() != Some(parent) {
            // The parent died before it could be watched.
            return Err(io::Error::from(io::ErrorKind::NotFound));
        }
        // Kernels before 5.11 do not have it. All of our own descriptors are marked anyway.
        // SAFETY: close_range(2) with this flag only marks descriptors; it touches no memory.
        let _ =
            unsafe { libc::syscall(libc::SYS_close_range, 3, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) };
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
    /// The machine in the process `child`, whose serial port writes to its standard output.
    pub(super) fn new(name: &'static str, mut child: Child, control: UnixStream) -> Self {
        let stderr = child.stderr.take().map(keep_last_words);
        let serial = child.stdout.take().map(keep_last_words);
        Self { name, child, control, stderr, serial, ended: None, companion: None, care: None }
    }

    /// Ends `child` with the machine.
    pub(super) fn accompany(&mut self, mut child: Child) {
        let words = child.stderr.take().map(keep_last_words);
        self.companion = Some(Companion { child, words });
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
                Ok(Some(status)) => return Some(status.to_string()),
                Ok(None) if Instant::now() < until => thread::sleep(Duration::from_millis(2)),
                Ok(None) => return None,
                Err(error) => return Some(reason(&error)),
            }
        }
    }
}

impl Companion {
    /// Ends the process; its words, where it had failed before.
    fn end(mut self) -> Option<Vec<u8>> {
        let failed = self.child.try_wait().is_ok_and(|status| status.is_some_and(|s| !s.success()));
        // Killing fails only where there is nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
        failed.then(|| words(self.words))
    }
}

/// What a thread has kept.
fn words(thread: Option<JoinHandle<Vec<u8>>>) -> Vec<u8> {
    thread.and_then(|thread| thread.join().ok()).unwrap_or_default()
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
        let companion = self.companion.take().and_then(Companion::end);
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

//! The running virtual machine connected to the host: the program's streams, the terminal,
//! signals and time.
//!
//! One thread, [`attend`], owns all state, among it the [`Session`]. Whatever can block is
//! done by a thread of its own, which tells it by a [`Notice`]: reading and writing the
//! control channel ([`wire`]), reading standard input ([`reader`]), writing each of the output
//! files ([`output`]), waiting for signals ([`signals`]). So no stream ever holds up another.
//!
//! Memory is bounded: streams by the credit that each side grants, the kernel's log and
//! the trace by not reading from the guest while too much of them waits.

mod attendant;
mod input;
mod output;
mod reader;
mod signals;
mod terminal;
mod wire;

pub use signals::Caught;
pub use terminal::Terminal;

use crate::engine::Vm;
use crate::session::{Session, Terminals};
use crate::vmm::verdict::now_ns;
use abi::boot::channel::ExitStatus;
use attendant::Attendant;
use output::Origin;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::fmt;
use std::io::{self, IsTerminal};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What the threads tell the one that attends to the virtual machine.
#[derive(Debug)]
enum Notice {
    /// Bytes from the guest.
    Received(Vec<u8>),
    /// The control channel is closed, or has failed.
    Disconnected(Option<io::Error>),
    /// So many bytes went to the guest.
    Sent(usize),
    /// Bytes of the program's input; none at its end.
    Read(Result<Vec<u8>, Errno>),
    /// So many bytes are dealt with.
    Written(Origin, usize),
    /// A file cannot be written to any more.
    WriteFailed(Origin, Errno),
    /// This process received a signal.
    Signal(i32),
}

/// The host's files for the program's streams.
pub struct Streams {
    /// Which of the descriptors 0, 1 and 2 are the terminal.
    pub terminals: Terminals,
    /// The terminal, if any of them is.
    pub terminal: Option<Terminal>,
    /// The file for descriptor 0.
    pub stdin: OwnedFd,
    /// The file for descriptor 1.
    pub stdout: OwnedFd,
    /// The file for descriptor 2, where Birgus's own words go, too.
    pub stderr: OwnedFd,
}

impl Streams {
    /// The standard streams of this process. Its descriptor 1 leads to `/dev/null` from now
    /// on, so that the program's standard output closes when the guest closes it.
    ///
    /// # Errors
    /// Descriptors cannot be duplicated, or there is no `/dev/null`.
    pub fn of_process() -> io::Result<Self> {
        let terminals =
            [io::stdin().is_terminal(), io::stdout().is_terminal(), io::stderr().is_terminal()];
        let terminal = Terminal::of_process(terminals)?;
        let streams = Self {
            terminals,
            terminal,
            stdin: rustix::stdio::stdin().try_clone_to_owned()?,
            stdout: rustix::stdio::stdout().try_clone_to_owned()?,
            stderr: rustix::stdio::stderr().try_clone_to_owned()?,
        };
        let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
        rustix::stdio::dup2_stdout(null.as_fd())?;
        Ok(streams)
    }
}

/// A limit that is more than a length of time: one that moves while the machine runs, or
/// that counts what the machine had and not what the clock says.
pub trait Limit: fmt::Debug + Send + Sync {
    /// Whether the run has had what it may. Asked a few times a second.
    fn is_over(&self) -> bool;
}

/// When things happened in a run, in nanoseconds of `CLOCK_MONOTONIC`; 0 where they did not.
#[derive(Debug, Default)]
pub struct Moments {
    /// The kernel said hello: its devices work.
    pub booted: AtomicU64,
    /// The program's first instruction was the next one.
    pub entered: AtomicU64,
    /// The program's first output arrived.
    pub first_output: AtomicU64,
    /// The program ended.
    pub exited: AtomicU64,
}

/// Takes note of the first time.
fn note(moment: &AtomicU64) {
    let _ = moment.compare_exchange(0, now_ns(), Ordering::Relaxed, Ordering::Relaxed);
}

/// How to attend to a run.
#[derive(Debug, Default)]
pub struct Manner {
    /// Show all that the kernel says, not only errors and warnings.
    pub verbose: bool,
    /// The file for the trace; `None`: to stderr.
    pub trace: Option<OwnedFd>,
    /// How long the run may take.
    pub timeout: Option<Duration>,
    /// Another limit, beside that time.
    pub limit: Option<Arc<dyn Limit>>,
    /// The file for Birgus's own words; `None`: where the program's stderr goes.
    pub report: Option<OwnedFd>,
    /// Signals of this process to pass on.
    pub signals: Option<Caught>,
    /// Where it is noted when things happen.
    pub moments: Arc<Moments>,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The guest said so.
    Exit(ExitStatus),
    /// It took longer than it may.
    TimedOut,
    /// A signal to this process, which the guest did not answer.
    Signal(u8),
    /// The virtual machine ended without a word, or did not keep to the contract.
    Lost(String),
}

/// Attends to a virtual machine until its end, which is also the end of `vm`.
///
/// When this returns, all that the program wrote has been written, unless nobody read it in
/// time, and the terminal is as it was before.
///
/// # Errors
/// The threads or descriptors that it takes cannot be had.
pub fn attend(vm: &mut dyn Vm, streams: Streams, manner: Manner) -> io::Result<Ending> {
    let session = Session::new(streams.terminals);
    let ending = Attendant::new(vm, session, streams, manner)?.attend();
    vm.end();
    Ok(ending)
}

#[cfg(test)]
mod tests;

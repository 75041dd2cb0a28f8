//! Our own monitor as the engine: [`crate::vmm`] in a process of its own.
//!
//! What the monitor needs is opened here and inherited: it gives up its rights before the
//! guest runs. It first tries whether KVM really executes ([`crate::vmm::probe`]) and says so
//! over a pipe; only then does it boot the kernel.

use super::link;
use super::process::{self, Process};
use super::{Machine, PostMortem, Started, Vm};
use crate::Error;
use crate::escape::{escaped, escaped_os};
use crate::image::Mount;
use crate::units::MIB;
use crate::vmm::PROBE_MEMORY;
use crate::vmm::options::{COMMAND, Options, Share};
use crate::vmm::verdict::{self, Phases};
use rustix::fs::{Mode, OFlags};
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// What it is called in messages.
const NAME: &str = "the KVM monitor";

/// How long the monitor may take to say that KVM works, where there is another engine.
pub const PATIENCE: Duration = Duration::from_millis(700);

/// The same, where there is none.
pub const LONG_PATIENCE: Duration = Duration::from_secs(20);

/// Longest verdict, in bytes.
const VERDICT_MAX: usize = 1024;

/// Starts the machine. The inner error says why KVM cannot be used on this host. To be called
/// on the main thread, with whose end the monitor ends.
///
/// # Errors
/// What the machine needs cannot be had.
pub fn start(machine: &Machine, patience: Duration) -> Result<Started, Error> {
    let cannot = |error| Error::io("cannot start the KVM monitor", &error);
    let (control, theirs) = UnixStream::pair().map_err(cannot)?;
    let theirs = OwnedFd::from(theirs);
    let shared = machine.mounts.iter().map(open).collect::<Result<Vec<_>, _>>()?;
    let network = link::prepare(machine)?;
    let device = network.device.as_ref();
    let shares = machine.mounts.iter().zip(&shared).map(|(mount, directory)| Share {
        tag: mount.tag.clone(),
        read_only: mount.read_only,
        directory: directory.as_raw_fd(),
    });
    let options = Options {
        memory: machine.memory.next_multiple_of(MIB),
        kernel: machine.kernel.as_raw_fd(),
        archive: machine.archive.as_raw_fd(),
        control: theirs.as_raw_fd(),
        shares: shares.collect(),
        link: device.map(|(kind, fd)| (*kind, fd.as_raw_fd())),
        sandbox: machine.sandbox,
        // Whoever has no other engine takes a slow one.
        patient: patience == LONG_PATIENCE,
        command_line: machine.command_line.clone(),
    };
    let mut inherited = vec![machine.kernel.as_fd(), machine.archive.as_fd(), theirs.as_fd()];
    inherited.extend(shared.iter().map(AsFd::as_fd));
    inherited.extend(device.map(|(_, fd)| fd.as_fd()));
    let mut vm = spawn(&options, &inherited, control).map_err(cannot)?;
    drop(theirs);
    // Where there is no use for the process, it ends here.
    let (phases, lacking) = read_verdict(&mut vm, patience)?;
    let lacks =
        || format!("the sandbox of the machine lacks what this host does not have: {lacking}");
    let remarks = Vec::from_iter((!lacking.is_empty()).then(lacks));
    if let Some(helper) = network.helper {
        vm.accompany(helper.start()?);
    }
    Ok(Started { vm, remarks, note: network.note, phases: Some(phases) })
}

/// Whether KVM works on this host, without a machine.
///
/// # Errors
/// Why it does not.
pub fn examine() -> Result<(), Error> {
    let cannot = |error| Error::io("cannot start the KVM monitor", &error);
    let (control, theirs) = UnixStream::pair().map_err(cannot)?;
    let control_number = theirs.as_raw_fd();
    let options = Options { memory: PROBE_MEMORY, control: control_number, ..Options::default() };
    let mut monitor = spawn(&options, &[theirs.as_fd()], control).map_err(cannot)?;
    drop(theirs);
    read_verdict(&mut monitor, PATIENCE).map(drop)
}

/// The monitor is this very program, also after its file was replaced.
fn spawn(
    options: &Options,
    inherited: &[BorrowedFd<'_>],
    control: UnixStream,
) -> io::Result<Process> {
    let mut command = Command::new("/proc/self/exe");
    command.arg0("birgus").arg(COMMAND).args(options.to_arguments()).stdout(Stdio::piped());
    Ok(Process::new(NAME, process::spawn(&mut command, inherited)?, control))
}

/// Opens a directory that is to be served.
fn open(mount: &Mount) -> Result<OwnedFd, Error> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    rustix::fs::open(&mount.host, flags, Mode::empty()).map_err(|error| {
        Error::io(format_args!("cannot open {}", escaped_os(&mount.host)), &error.into())
    })
}

/// Waits for the monitor's verdict, byte by byte: what follows is the guest's.
fn read_verdict(monitor: &mut Process, patience: Duration) -> Result<(Phases, String), Error> {
    let cannot = |error| Error::io("cannot hear the KVM monitor", &error);
    let mut control = monitor.control().map_err(cannot)?;
    let until = Instant::now() + patience;
    let (mut line, mut byte) = (Vec::new(), [0]);
    while line.len() < VERDICT_MAX && byte != *b"\n" {
        let left = until.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        match control.set_read_timeout(Some(left)).and_then(|()| control.read(&mut byte)) {
            Ok(1) => line.extend(byte),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let patience = patience.as_millis();
                return Err(Error::NoKvm(format!("no sign of life in {patience} ms")));
            }
            _ => break,
        }
    }
    control.set_read_timeout(None).map_err(cannot)?;
    let line = escaped(line.strip_suffix(b"\n").unwrap_or_default()).to_string();
    let words = |monitor: &mut Process| {
        let PostMortem { status, engine, .. } = monitor.end();
        let engine = escaped(engine.trim_ascii());
        Error::Failed(format!("the KVM monitor ended ({}): {engine}", status.unwrap_or_default()))
    };
    verdict::parse(&line).ok_or_else(|| words(monitor))?.map_err(Error::NoKvm)
}

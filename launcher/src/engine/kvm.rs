//! Our own monitor as the engine: [`crate::vmm`] in a process of its own.
//!
//! What the monitor needs is opened here and inherited: it gives up its rights before the
//! guest runs. It first tries whether KVM really executes ([`crate::vmm::probe`]) and says so
//! over a pipe; only then does it boot the kernel.

use super::link;
use super::process::{self, Process};
use super::{Machine, Started};
use crate::Error;
use crate::escape::{escaped, escaped_os};
use crate::image::Mount;
use crate::units::MIB;
use crate::vmm::options::{COMMAND, Options, Share};
use crate::vmm::verdict::{Phases, Verdict};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::pipe::PipeFlags;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
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
pub fn start(machine: &Machine, patience: Duration) -> Result<Result<Started, String>, Error> {
    let cannot = |error| Error::io("cannot start the KVM monitor", &error);
    let (control, theirs) = UnixStream::pair().map_err(cannot)?;
    let theirs = OwnedFd::from(theirs);
    let (verdict, tell) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)
        .map_err(|error| cannot(io::Error::from(error)))?;
    let shared = machine.mounts.iter().map(open).collect::<Result<Vec<_>, _>>()?;
    let network = match link::prepare(machine)? {
        Ok(network) => network,
        Err(why) => return Ok(Err(why)),
    };
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
        verdict: tell.as_raw_fd(),
        shares: shares.collect(),
        link: device.map(|(kind, fd)| (*kind, fd.as_raw_fd())),
        sandbox: machine.sandbox,
        // Whoever has no other engine takes a slow one.
        patient: patience == LONG_PATIENCE,
        command_line: machine.command_line.clone(),
    };
    let mut inherited = vec![machine.kernel.as_fd(), machine.archive.as_fd()];
    inherited.extend([theirs.as_fd(), tell.as_fd()]);
    inherited.extend(shared.iter().map(AsFd::as_fd));
    inherited.extend(device.map(|(_, fd)| fd.as_fd()));
    let mut child =
        process::spawn(&mut command(&options.to_arguments()), &inherited).map_err(cannot)?;
    drop((theirs, tell));
    let verdict = read_verdict(&File::from(verdict), patience);
    let serial = child.stdout.take();
    // Where there is no use for the process, it ends here.
    let process = Process::new(NAME, child, control, serial);
    let (phases, lacking) = match verdict {
        Ok(ready) => ready,
        Err(why) => return Ok(Err(why)),
    };
    let remarks = match lacking.is_empty() {
        true => Vec::new(),
        false => vec![format!(
            "the sandbox of the machine lacks what this host does not have: {lacking}"
        )],
    };
    let vm = process.with_companion(network.helper.map(link::Helper::start).transpose()?);
    Ok(Ok(Started { vm, remarks, note: network.note, phases: Some(phases) }))
}

/// Whether KVM works on this host, without a machine.
///
/// # Errors
/// Why it does not.
pub fn examine() -> Result<(), String> {
    let cannot = |error: io::Error| format!("the KVM monitor cannot be started: {error}");
    let (verdict, tell) =
        rustix::pipe::pipe_with(PipeFlags::CLOEXEC).map_err(|error| cannot(error.into()))?;
    let arguments = Options::examination(tell.as_raw_fd());
    let child = process::spawn(&mut command(&arguments), &[tell.as_fd()]).map_err(cannot)?;
    drop(tell);
    let found = read_verdict(&File::from(verdict), PATIENCE);
    let (control, _) = UnixStream::pair().map_err(cannot)?;
    drop(Process::new(NAME, child, control, None));
    found.map(drop)
}

/// The monitor is this very program, also after its file was replaced.
fn command(arguments: &[String]) -> Command {
    let mut command = Command::new("/proc/self/exe");
    command
        .arg0("birgus")
        .arg(COMMAND)
        .args(arguments)
        .current_dir("/")
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Opens a directory that is to be served.
fn open(mount: &Mount) -> Result<OwnedFd, Error> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    rustix::fs::open(&mount.host, flags, Mode::empty()).map_err(|error| {
        Error::io(format_args!("cannot open {}", escaped_os(&mount.host)), &error.into())
    })
}

/// Waits for the monitor's verdict.
fn read_verdict(mut from: &File, patience: Duration) -> Result<(Phases, String), String> {
    let until = Instant::now() + patience;
    let mut line = Vec::new();
    while line.len() < VERDICT_MAX && !line.ends_with(b"\n") {
        let left = until.saturating_duration_since(Instant::now());
        let left = Timespec::try_from(left).unwrap_or_default();
        match poll(&mut [PollFd::new(from, PollFlags::IN)], Some(&left)) {
            Err(rustix::io::Errno::INTR) => continue,
            Ok(1..) => {}
            _ => return Err(format!("no sign of life in {} ms", patience.as_millis())),
        }
        let mut part = [0; 256];
        match from.read(&mut part) {
            Ok(len @ 1..) => line.extend_from_slice(&part[..len]),
            _ => break,
        }
    }
    match Verdict::parse(line.strip_suffix(b"\n").unwrap_or_default()) {
        Some(Verdict::Ready(phases, lacking)) => {
            Ok((phases, escaped(lacking.as_bytes()).to_string()))
        }
        Some(Verdict::Unusable(why)) => Err(escaped(why.as_bytes()).to_string()),
        None => Err("the monitor ended without a word".to_owned()),
    }
}

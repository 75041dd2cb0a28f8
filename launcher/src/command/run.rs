//! `birgus run`

use super::options::{Network, Publish, RunOptions, TraceTo};
use super::say;
use super::timings::Timings;
use crate::Error;
use crate::engine::{self, Machine, Started, Vm};
use crate::escape::{escaped, escaped_os};
use crate::host::{self, Caught, Ending, Manner, Moments, Streams, Terminal};
use crate::image::{self, Archive, View};
use crate::kernel;
use crate::units::{KIB, MIB};
use crate::vmm::verdict::now_ns;
use abi::boot::command_line::{LOG_LEVEL, WALL_TIME};
use rustix::fs::MemfdFlags;
use std::fs::File;
use std::io::Write;
use std::net::{TcpListener, UdpSocket};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// Memory for the kernel and the program where the user states none, in bytes.
const DEFAULT_MEMORY: u64 = 256 * MIB;

/// Memory below which the kernel cannot boot, in bytes: what lies below its image, the image,
/// and a little for its first tables.
const LEAST_MEMORY: u64 = 7 * MIB / 2;

/// Lines of the engine's and the kernel's last words to show when a run is lost.
const LAST_LINES: usize = 20;

/// Runs a program; its exit status.
pub(super) fn run(options: &RunOptions) -> Result<u8, Error> {
    let mut timings = Timings::begin();
    check_network(options)?;
    let trace = match &options.trace {
        TraceTo::File(path) => Some(File::create(path).map_err(|error| {
            Error::io(format_args!("cannot write the trace to {}", escaped_os(path)), &error)
        })?),
        TraceTo::Off | TraceTo::Stderr => None,
    };
    let streams =
        Streams::of_process().map_err(|error| Error::io("cannot take the streams", &error))?;
    let window = streams.terminal.as_ref().map(Terminal::size);
    let mut archive = image::build(options, View { terminals: streams.terminals, window })?;
    let hint = archive.hint.take();
    let files = archive.len;
    let machine = machine(options, archive)?;
    // From here on there is something to be tidied up.
    let signals = Caught::now().map_err(|error| Error::io("cannot catch signals", &error))?;
    let Started { mut vm, remarks, note, phases } = engine::start(options.engine, &machine)?;
    (timings.started, timings.phases) = (now_ns(), phases);
    // A person should know why it is slow; a program that reads these words need not.
    if options.verbose || streams.terminals[2] {
        remarks.iter().for_each(|remark| say(remark));
    }
    if options.verbose {
        let (name, files, memory) = (vm.name(), files / KIB, machine.memory / MIB);
        say(&format!("{name}, {memory} MiB of memory, {files} KiB of files"));
    }
    if let Some(note) = note.filter(|_| options.verbose) {
        say(&note);
    }
    // What it got are copies.
    drop(machine);
    let moments = Arc::<Moments>::default();
    let manner = Manner {
        verbose: options.verbose,
        trace: trace.map(OwnedFd::from),
        timeout: options.timeout,
        signals: Some(signals),
        moments: moments.clone(),
        ..Manner::default()
    };
    let ending = host::attend(&mut vm, streams, manner)
        .map_err(|error| Error::io("cannot attend to the virtual machine", &error))?;
    let status = conclude(options, &ending, &mut vm);
    if options.timings {
        // Alone on its line, for a program to read. Where stderr is gone there is nobody.
        let _ = writeln!(std::io::stderr(), "{}", timings.line(vm.name(), &moments));
    }
    if let (Ending::Exit(_), 1.., Some(hint)) = (&ending, status, hint) {
        say(&hint);
    }
    Ok(status)
}

/// Whether the ports that are to be passed on are free, and there is a network for them.
///
/// # Errors
/// [`Error::Failed`] names what is wrong.
fn check_network(options: &RunOptions) -> Result<(), Error> {
    if options.network != Network::User && !options.published.is_empty() {
        let words = "--publish passes ports on only with --net user: with a TAP device, others \
                     reach the machine by its address";
        return Err(Error::Usage(words.into()));
    }
    if !matches!(options.network, Network::Tap(_)) && options.fixed_address.address.is_some() {
        return Err(Error::Usage("--ip is for --net tap=NAME".into()));
    }
    for Publish { host, udp, .. } in &options.published {
        let taken = match udp {
            true => UdpSocket::bind(host).err(),
            false => TcpListener::bind(host).err(),
        };
        if let Some(error) = taken {
            return Err(Error::io(format_args!("--publish: cannot listen on {host}"), &error));
        }
    }
    Ok(())
}

/// The machine for a run with this archive.
///
/// # Errors
/// [`Error::Failed`] when its memory is too little, or the kernel cannot be handed over.
pub(crate) fn machine(options: &RunOptions, archive: Archive) -> Result<Machine, Error> {
    let memory = options.memory.unwrap_or(DEFAULT_MEMORY + archive.len.next_multiple_of(MIB));
    if memory < archive.len + LEAST_MEMORY {
        return Err(Error::Failed(format!(
            "{} KiB of memory are too little: the kernel needs {} KiB and the files {} KiB",
            memory / KIB,
            LEAST_MEMORY / KIB,
            archive.len / KIB
        )));
    }
    Ok(Machine {
        kind: options.machine,
        memory,
        kernel: kernel_file(options)?,
        archive: archive.file,
        mounts: archive.mounts,
        network: archive.network,
        published: options.published.clone(),
        command_line: command_line(options),
        sandbox: !options.without_sandbox,
    })
}

/// The kernel's command line; of words that are there twice, the last one counts.
fn command_line(options: &RunOptions) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut words = vec![format!("{WALL_TIME}{}", now.as_nanos())];
    words.extend(options.verbose.then(|| format!("{LOG_LEVEL}info")));
    words.extend(options.kernel_arguments.iter().cloned());
    words.join(" ")
}

/// The kernel in a memory file, which the engine can open by name.
fn kernel_file(options: &RunOptions) -> Result<OwnedFd, Error> {
    let cannot = |error| Error::io("cannot hand the kernel over", &error);
    let other = options.kernel.as_deref().map(kernel::read).transpose()?;
    let file = rustix::fs::memfd_create("birgus-kernel", MemfdFlags::CLOEXEC)
        .map_err(|error| cannot(error.into()))?;
    let mut file = File::from(file);
    file.write_all(other.as_deref().unwrap_or(kernel::embedded())).map_err(cannot)?;
    Ok(file.into())
}

/// Says how the run ended, where the program does not say it itself; the exit status.
fn conclude(options: &RunOptions, ending: &Ending, vm: &mut dyn Vm) -> u8 {
    let (engine, found) = (vm.name(), vm.end());
    let name = escaped_os(&options.program);
    let (status, lost) = match ending {
        Ending::Exit(status) => (status.shell_status(), false),
        Ending::TimedOut => {
            let seconds = options.timeout.unwrap_or_default().as_secs_f64();
            say(&format!("{name}: still running after {seconds} s, ended"));
            (124, false)
        }
        Ending::Signal(signal) => {
            say(&format!("{name}: the virtual machine was ended by signal {signal}"));
            (128_u8.saturating_add(*signal), false)
        }
        Ending::Lost(reason) => {
            let reason = match &found.status {
                Some(status) => format!("{engine} ended: {status}"),
                None => reason.clone(),
            };
            say(&format!("{name}: the virtual machine is lost: {reason}"));
            (Error::Failed(String::new()).status(), true)
        }
    };
    // A host without a network has none to give, which only matters to who asked for it.
    let wants_network = lost || options.verbose || !options.published.is_empty();
    if let Some(words) = found.companion.as_ref().filter(|_| wants_network) {
        say("the network was lost: passt ended");
        say_last_words("passt", words);
    }
    if lost || options.verbose {
        say_last_words(engine, &found.engine);
        say_last_words("serial port", &found.serial);
    }
    status
}

fn say_last_words(whose: &str, words: &[u8]) {
    let lines: Vec<&[u8]> =
        words.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()).collect();
    for line in &lines[lines.len().saturating_sub(LAST_LINES)..] {
        say(&format!("{whose}: {}", escaped(line.strip_suffix(b"\r").unwrap_or(line))));
    }
}

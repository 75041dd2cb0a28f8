//! One entry in a machine of its own.

use super::entry::Entry;
use super::files::Suite;
use super::options::LtpOptions;
use super::output::Counts;
use super::results::Outcome;
use super::verdict::{Verdict, judge};
use crate::Error;
use crate::command::run::machine;
use crate::engine::{Vm, qemu};
use crate::escape::escaped;
use crate::host::{self, Ending, Manner, Streams};
use crate::image::{self, View};
use rustix::fs::{Mode, OFlags};
use rustix::pipe::PipeFlags;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// By how much the tests' own limits are longer than on a processor that is not emulated.
pub const TIMEOUT_MULTIPLIER: u32 = 4;

/// How long tests that are to run for a while do so, as a part of what they would.
pub const RUNTIME_MULTIPLIER: &str = "0.02";

/// The limit that LTP's library gives a test of its own.
const OWN_LIMIT: Duration = Duration::from_secs(30);

/// What the machine may take besides the test.
const MACHINE_LIMIT: Duration = Duration::from_secs(30);

/// By how much a test may be slower than on Linux.
const SLOWDOWN: f64 = 10.0;

/// Of longer output, so much of the beginning and as much of the end is kept, in bytes.
const KEPT: usize = 512 << 10;

/// What an entry left.
#[derive(Debug)]
pub struct Run {
    /// What came of it.
    pub outcome: Outcome,
    /// What the test and Birgus wrote, for the user to read.
    pub output: String,
}

/// The limit for an entry: what LTP's library would allow it, and more for one that takes
/// long on Linux, too.
#[must_use]
pub fn limit(entry: &Entry) -> Duration {
    let slow = Duration::try_from_secs_f64(entry.linux_seconds * SLOWDOWN).unwrap_or_default();
    MACHINE_LIMIT + slow.max(OWN_LIMIT * TIMEOUT_MULTIPLIER)
}

/// Runs an entry in a machine of its own. The calling thread outlives the machine.
///
/// # Errors
/// No machine can be started.
pub fn run(options: &LtpOptions, suite: &Suite, entry: &Entry) -> Result<Run, Error> {
    let (program, arguments) =
        entry.argv.split_first().map_or(("", &[][..]), |(name, rest)| (name, rest));
    if !suite.has(program) {
        let message = format!("the suite has no program {program}");
        let outcome = Outcome::new(Verdict::Missing, message);
        return Ok(Run { outcome, output: String::new() });
    }
    let path = suite.programs().join(program).into_os_string();
    let limit = options.timeout.unwrap_or_else(|| limit(entry));
    let run = options.for_program(path, arguments, environment(suite), limit);
    let files = suite
        .files_for(program)
        .map_err(|error| Error::io(format_args!("cannot read the files of {program}"), &error))?;
    let start = Instant::now();
    let archive = match image::build_upon(files, &run, View::default()) {
        Ok(archive) => archive,
        // One program that cannot be run is no reason to end the others.
        Err(error) => {
            let outcome = Outcome::new(Verdict::Brok, error.to_string());
            return Ok(Run { outcome, output: format!("{error}\n") });
        }
    };
    let mut vm = qemu::start(machine(&run, archive)?)?;
    let cannot = |error| Error::io("cannot attend to the virtual machine", &error);
    let (ending, output, own) = attend(&mut vm, limit).map_err(cannot)?;
    let seconds = start.elapsed().as_secs_f64();
    let serial = vm.end().serial;
    Ok(conclude(&ending, &output, &own, &serial, seconds))
}

/// The environment that LTP's library reads (LTP, doc/users/setup_tests).
fn environment(suite: &Suite) -> Vec<(OsString, Option<OsString>)> {
    let programs = suite.programs();
    let mut path = programs.into_os_string();
    path.push(":/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    let multiplier = TIMEOUT_MULTIPLIER.to_string();
    let words: [(&str, OsString); 8] = [
        ("LTPROOT", suite.root().as_os_str().to_owned()),
        ("PATH", path),
        ("TMPDIR", "/tmp".into()),
        ("LTP_TIMEOUT_MUL", multiplier.into()),
        ("LTP_RUNTIME_MUL", RUNTIME_MULTIPLIER.into()),
        ("LTP_COLORIZE_OUTPUT", "n".into()),
        ("KCONFIG_SKIP_CHECK", "1".into()),
        // Where a test asks for one file system, it gets the one that there is.
        ("LTP_DEV_FS_TYPE", "tmpfs".into()),
    ];
    words.into_iter().map(|(name, value)| (name.into(), Some(value))).collect()
}

/// Attends to the machine until its end; what the test wrote, and what Birgus said.
fn attend(vm: &mut dyn Vm, limit: Duration) -> io::Result<(Ending, Vec<u8>, Vec<u8>)> {
    let (output, written) = pipe()?;
    let (report, said) = pipe()?;
    let null = rustix::fs::open("/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let streams = Streams {
        terminals: [false; 3],
        terminal: None,
        stdin: null,
        // One pipe for both, so that the lines keep their order.
        stdout: written.try_clone()?,
        stderr: written,
    };
    let manner = Manner { timeout: Some(limit), report: Some(said), ..Manner::default() };
    let (output, report) = (collect(output), collect(report));
    let ending = host::attend(vm, streams, manner)?;
    let bytes = |thread: JoinHandle<Vec<u8>>| thread.join().unwrap_or_default();
    Ok((ending, bytes(output), bytes(report)))
}

fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?)
}

/// Reads to the end on a thread of its own.
fn collect(from: OwnedFd) -> JoinHandle<Vec<u8>> {
    let mut from = File::from(from);
    thread::spawn(move || {
        let (mut kept, mut buffer) = (Vec::new(), [0; 16 * 1024]);
        while let Ok(len @ 1..) = from.read(&mut buffer) {
            kept.extend_from_slice(&buffer[..len]);
            if kept.len() > 4 * KEPT {
                kept.drain(KEPT..kept.len() - KEPT);
            }
        }
        kept
    })
}

fn conclude(ending: &Ending, output: &[u8], own: &[u8], serial: &[u8], seconds: f64) -> Run {
    let (output, own) = (String::from_utf8_lossy(output), String::from_utf8_lossy(own));
    let (verdict, message) = judge(ending, &output, &own);
    let outcome = Outcome {
        counts: Counts::read(&output),
        seconds,
        calls: missing_calls(&own),
        ..Outcome::new(verdict, message)
    };
    let mut text = format!("{output}\n--- {} in {seconds:.1} s\n{own}", verdict.name());
    if verdict == Verdict::Crash && !serial.is_empty() {
        for line in serial.split(|&byte| byte == b'\n') {
            text.push_str(&format!("serial port: {}\n", escaped(line)));
        }
    }
    Run { outcome, output: text }
}

/// The system calls that the kernel said it does not have.
fn missing_calls(own: &str) -> Vec<String> {
    let mut calls: Vec<String> = own
        .lines()
        .filter_map(|line| {
            let (_, rest) = line.split_once("the system call ")?;
            let (name, rest) = rest.split_once(' ')?;
            let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
            (rest.ends_with("is not implemented") && plain).then(|| name.to_owned())
        })
        .collect();
    calls.sort_unstable();
    calls.dedup();
    calls
}

#[cfg(test)]
mod tests {
    use super::super::entry::read_baseline;
    use super::*;

    #[test]
    fn missing_calls_are_those_that_the_kernel_names() {
        let own = "birgus: kernel: the system call fork (57) is not implemented\n\
            birgus: kernel: something else\n\
            birgus: kernel: the system call bpf (321) is not implemented\n\
            birgus: kernel: the system call fork (57) is not implemented\n";
        assert_eq!(missing_calls(own), ["bpf", "fork"]);
    }

    #[test]
    fn entries_that_take_long_on_linux_have_more_time() {
        let text = "\na\ta\td\tx\tPASS\t1\t0.1\tPASS\nb\tb\td\tx\tPASS\t1\t40\tPASS\n";
        let entries = read_baseline("b", text).unwrap();
        assert_eq!(limit(&entries[0]), Duration::from_secs(150));
        assert_eq!(limit(&entries[1]), Duration::from_secs(430));
    }

    #[test]
    fn long_output_keeps_its_beginning_and_its_end() {
        let (from, to) = pipe().unwrap();
        let thread = collect(from);
        let mut to = File::from(to);
        let text = [vec![b'a'; KEPT], vec![b'b'; 9 * KEPT], b"end".to_vec()].concat();
        io::Write::write_all(&mut to, &text).unwrap();
        drop(to);
        let kept = thread.join().unwrap();
        assert!(kept.len() <= 4 * KEPT + 16 * 1024);
        assert!(kept[..KEPT].iter().all(|&byte| byte == b'a') && kept.ends_with(b"end"));
    }
}

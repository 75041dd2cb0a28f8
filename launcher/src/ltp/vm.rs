//! A machine and the tests in it: one entry in a machine of its own.

use super::entry::Entry;
use super::files::{CONFIGURATION_PATH, Kind, Suite};
use super::options::LtpOptions;
use super::output::{Counts, is_out_of_time};
use super::results::{Machine, Outcome};
use super::verdict::{Verdict, judge};
use super::watch::{Allowance, Watch};
use crate::Error;
use crate::command::options::RunOptions;
use crate::command::run::machine;
use crate::engine;
use crate::engine::Vm;
use crate::engine::process::Process;
use crate::escape::escaped;
use crate::host::{self, Ending, Manner, Streams};
use crate::image::{self, Tree, View};
use rustix::fs::{Mode, OFlags};
use rustix::pipe::PipeFlags;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// By how much the tests' own limits are longer than on a processor that is not emulated.
pub const TIMEOUT_MULTIPLIER: u32 = 4;

/// How long tests that are to run for a while do so, as a part of what they would.
pub const RUNTIME_MULTIPLIER: &str = "0.02";

/// The limit that LTP's library gives a test of its own.
const OWN_LIMIT: Duration = Duration::from_secs(30);

/// What the machine may take besides the test.
pub(super) const MACHINE_LIMIT: Duration = Duration::from_secs(30);

/// By how much a test may be slower than on Linux.
const SLOWDOWN: f64 = 10.0;

/// How long a test may do nothing, besides what it takes on Linux.
const IDLE_LIMIT: Duration = Duration::from_secs(20);

/// Of the time that a test takes on Linux, how much it may do nothing here.
const IDLE_FACTOR: f64 = 2.0;

/// Of longer output, so much of the beginning and as much of the end is kept, in bytes.
const KEPT: usize = 512 << 10;

/// What an entry left.
#[derive(Debug)]
pub struct Run {
    /// What came of it.
    pub outcome: Outcome,
    /// What the test and Birgus wrote, for the user to read.
    pub output: String,
    /// Whether it ran out of time while its machine had to wait for the host's processors.
    pub is_disturbed: bool,
}

impl Run {
    /// Something that kept the entry from being run.
    #[must_use]
    pub fn not_run(verdict: Verdict, message: &str) -> Self {
        let output = format!("{message}\n");
        Self { outcome: Outcome::new(verdict, message), output, is_disturbed: false }
    }

    /// An entry whose program the suite does not have.
    #[must_use]
    pub fn missing(program: &str) -> Self {
        Self::not_run(Verdict::Missing, &format!("the suite has no program {program}"))
    }
}

/// What an entry may take: the time that the user or LTP's library would allow it, and more
/// for one that takes long on Linux, too.
#[must_use]
pub fn allowance(options: &LtpOptions, entry: &Entry) -> Allowance {
    let linux =
        |factor| Duration::try_from_secs_f64(entry.linux_seconds * factor).unwrap_or_default();
    let usual = OWN_LIMIT * TIMEOUT_MULTIPLIER + MACHINE_LIMIT;
    let limit = options.timeout.unwrap_or(usual).max(linux(SLOWDOWN));
    Allowance { limit, idle: IDLE_LIMIT + linux(IDLE_FACTOR) }
}

/// Runs an entry in a machine of its own. The calling thread outlives the machine.
///
/// # Errors
/// No machine can be started.
pub fn run(options: &LtpOptions, suite: &Suite, entry: &Entry) -> Result<Run, Error> {
    let (program, arguments) =
        entry.argv.split_first().map_or(("", &[][..]), |(name, rest)| (name, rest));
    if !suite.has(program) {
        return Ok(Run::missing(program));
    }
    let needed = suite
        .needed([program].into_iter())
        .map_err(|error| Error::io(format_args!("cannot read the files of {program}"), &error))?;
    let run = RunOptions {
        arguments: arguments.iter().map(OsString::from).collect(),
        environment: environment(suite),
        working_directory: Some("/tmp".into()),
        companions: needed.tools.into_iter().collect(),
        ..options.for_program(suite.path(program).into_os_string())
    };
    let start = Instant::now();
    let mut machine = match start_machine(needed.tree, &run, allowance(options, entry))? {
        Ok(machine) => machine,
        // One program that cannot be run is no reason to end the others.
        Err(error) => return Ok(Run::not_run(Verdict::Brok, &error.to_string())),
    };
    let mut output = Kept::default();
    let (ending, own) = machine.attend(&mut |bytes| output.push(bytes))?;
    let seconds = start.elapsed().as_secs_f64();
    let is_disturbed = machine.watch.is_disturbed();
    let serial = machine.vm.end().serial;
    let said = Said { output: &output.bytes, own: &own, serial: &serial };
    Ok(conclude(suite.kind(), &ending, &said, seconds, is_disturbed))
}

/// The environment that LTP's library reads (LTP, doc/users/setup_tests).
pub(super) fn environment(suite: &Suite) -> Vec<(OsString, Option<OsString>)> {
    let mut words: Vec<(&str, OsString)> =
        vec![("PATH", suite.search_path()), ("TMPDIR", "/tmp".into())];
    if suite.kind() == Kind::Ltp {
        words.extend([
            ("LTPROOT", suite.root().as_os_str().to_owned()),
            ("LTP_TIMEOUT_MUL", TIMEOUT_MULTIPLIER.to_string().into()),
            ("LTP_RUNTIME_MUL", RUNTIME_MULTIPLIER.into()),
            ("LTP_COLORIZE_OUTPUT", "n".into()),
            ("KCONFIG_SKIP_CHECK", "1".into()),
            ("KCONFIG_PATH", CONFIGURATION_PATH.into()),
        ]);
    }
    words.into_iter().map(|(name, value)| (name.into(), Some(value))).collect()
}

/// A machine that runs, and what watches it.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) vm: Process,
    pub(super) watch: Arc<Watch>,
    /// What Birgus said since it was last taken.
    pub(super) own: Arc<Mutex<Kept>>,
}

/// Starts a machine with these files; the inner error is that of the program.
pub(super) fn start_machine(
    files: Tree,
    options: &RunOptions,
    allowance: Allowance,
) -> Result<Result<Running, Error>, Error> {
    let archive = match image::build_upon(files, options, View::default()) {
        Ok(archive) => archive,
        Err(error) => return Ok(Err(error)),
    };
    let vm = engine::start(options.engine, &machine(options, archive)?)?.vm;
    let watch = Arc::new(Watch::new(vm.id(), allowance));
    Ok(Ok(Running { vm, watch, own: Arc::default() }))
}

impl Running {
    /// Attends to the machine until its end, and gives away what the test writes as it comes;
    /// what Birgus said and nobody took.
    pub(super) fn attend(
        &mut self,
        take: &mut (dyn FnMut(&[u8]) + Send),
    ) -> Result<(Ending, Vec<u8>), Error> {
        let Self { vm, watch, own } = self;
        let attended = (|| {
            let (output, written) = pipe()?;
            let (report, said) = pipe()?;
            let null =
                rustix::fs::open("/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
            let streams = Streams {
                terminals: [false; 3],
                terminal: None,
                stdin: null,
                // One pipe for both, so that the lines keep their order.
                stdout: written.try_clone()?,
                stderr: written,
            };
            let limit = Some(watch.clone() as Arc<dyn host::Limit>);
            let manner = Manner { limit, report: Some(said), ..Manner::default() };
            thread::scope(|scope| {
                scope.spawn(move || read_all(output, take));
                scope.spawn(|| read_all(report, &mut |bytes| push(own, bytes)));
                host::attend(vm, streams, manner)
            })
        })();
        let ending = attended.map_err(|error: io::Error| {
            Error::io("cannot attend to the virtual machine", &error)
        })?;
        Ok((ending, take_own(own)))
    }
}

fn push(own: &Mutex<Kept>, bytes: &[u8]) {
    own.lock().unwrap_or_else(PoisonError::into_inner).push(bytes);
}

/// What Birgus said since this was last asked.
pub(super) fn take_own(own: &Mutex<Kept>) -> Vec<u8> {
    std::mem::take(&mut own.lock().unwrap_or_else(PoisonError::into_inner).bytes)
}

fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?)
}

/// Reads to the end.
fn read_all(from: OwnedFd, take: &mut (dyn FnMut(&[u8]) + Send)) {
    let (mut from, mut buffer) = (File::from(from), [0; 16 * 1024]);
    while let Ok(len @ 1..) = from.read(&mut buffer) {
        take(&buffer[..len]);
    }
}

/// The beginning and the end of what may be long.
#[derive(Debug, Default)]
pub(super) struct Kept {
    pub(super) bytes: Vec<u8>,
}

impl Kept {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        if self.bytes.len() > 4 * KEPT {
            self.bytes.drain(KEPT..self.bytes.len() - KEPT);
        }
    }
}

/// What was said in a run.
#[derive(Debug)]
pub(super) struct Said<'a> {
    /// By the test.
    pub(super) output: &'a [u8],
    /// By Birgus.
    pub(super) own: &'a [u8],
    /// By the kernel on its serial port.
    pub(super) serial: &'a [u8],
}

/// What came of an entry that ended so.
pub(super) fn conclude(
    suite: Kind,
    ending: &Ending,
    said: &Said<'_>,
    seconds: f64,
    is_disturbed: bool,
) -> Run {
    let (output, own) = (String::from_utf8_lossy(said.output), String::from_utf8_lossy(said.own));
    let (verdict, message) = judge(suite, ending, &output, &own);
    let outcome = Outcome {
        counts: Counts::read(&output),
        seconds,
        calls: missing_calls(&own),
        machine: Machine::Own,
        ..Outcome::new(verdict, message)
    };
    let mut text = format!("{output}\n--- {} in {seconds:.1} s\n{own}", verdict.name());
    if verdict == Verdict::Crash && !said.serial.is_empty() {
        for line in said.serial.split(|&byte| byte == b'\n') {
            text.push_str(&format!("serial port: {}\n", escaped(line)));
        }
    }
    let late = verdict == Verdict::Timeout || verdict != Verdict::Pass && is_out_of_time(&output);
    Run { outcome, output: text, is_disturbed: late && is_disturbed }
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
    use abi::boot::channel::ExitStatus;

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
        let options = LtpOptions::default();
        let s = Duration::from_secs;
        let short = allowance(&options, &entries[0]);
        assert_eq!((short.limit, short.idle), (s(150), Duration::from_millis(20_200)));
        let long = allowance(&options, &entries[1]);
        assert_eq!((long.limit, long.idle), (s(400), s(100)));
        let own = LtpOptions { timeout: Some(s(7)), ..options };
        assert_eq!(allowance(&own, &entries[0]).limit, s(7));
        assert_eq!(allowance(&own, &entries[1]).limit, s(400));
    }

    #[test]
    fn long_output_keeps_its_beginning_and_its_end() {
        let mut kept = Kept::default();
        kept.push(&vec![b'a'; KEPT]);
        (0..9).for_each(|_| kept.push(&vec![b'b'; KEPT]));
        kept.push(b"end");
        assert!(kept.bytes.len() <= 4 * KEPT);
        assert!(
            kept.bytes[..KEPT].iter().all(|&byte| byte == b'a') && kept.bytes.ends_with(b"end")
        );
    }

    #[test]
    fn only_what_ran_out_of_time_is_disturbed() {
        let judged = |ending: &Ending, output: &[u8], is_disturbed| {
            let said = Said { output, own: b"", serial: b"" };
            conclude(Kind::Ltp, ending, &said, 1.0, is_disturbed).is_disturbed
        };
        let exited = |status| Ending::Exit(ExitStatus::Exited(status));
        assert!(judged(&Ending::TimedOut, b"", true));
        assert!(!judged(&Ending::TimedOut, b"", false));
        assert!(judged(&exited(2), b"t.c:1: TBROK: Test killed! (timeout?)\n", true));
        assert!(!judged(&exited(1), b"t.c:1: TFAIL: no\n", true));
    }
}

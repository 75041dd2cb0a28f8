//! The baseline measured on the host: every entry natively, in namespaces of its own.
//!
//! A test gets its own mounts, processes, network, host name and IPC, and fresh directories
//! for temporary files and shared memory. What it could still harm, such as the clock, is never run.

use super::entry::{Entry, Reference, baseline_text};
use super::files::Suite;
use super::options::LtpOptions;
use super::output::Counts;
use super::results::{Machine, Outcome, ResultsFile};
use super::runner::{self, Plan, Record, RunEntries};
use super::verdict::{Verdict, judge_end};
use super::vm::{RUNTIME_MULTIPLIER, Run};
use crate::Error;
use crate::escape::escaped_os;
use std::fs;
use std::io;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How the names of programs begin that could harm the host, and why. More are left out by
/// the baseline that comes with Birgus.
const HARMFUL: [(&str, &str); 24] = [
    ("acct", "accounting"),
    ("adjtimex", "time"),
    ("bpf", "kernel state"),
    ("clock_adjtime", "time"),
    ("clock_settime", "time"),
    ("delete_module", "module"),
    ("fanotify", "kernel state"),
    ("finit_module", "module"),
    ("init_module", "module"),
    ("ioctl_loop", "block device"),
    ("ioperm", "ports"),
    ("iopl", "ports"),
    ("kexec", "reboot"),
    ("leapsec", "time"),
    ("migrate_pages", "kernel state"),
    ("move_pages", "kernel state"),
    ("quotactl", "quota"),
    ("reboot", "reboot"),
    ("sethostname", "name"),
    ("settimeofday", "time"),
    ("stime", "time"),
    ("swapo", "swap"),
    ("syslog", "syslog"),
    ("userfaultfd", "kernel state"),
];

/// How long a test may take.
const LIMIT: Duration = Duration::from_secs(90);

/// What timeout(1) ends with when the time is over.
const TIMED_OUT: i32 = 124;

/// Gives a test a directory for temporary files and a `/dev/shm` of its own. The shell stays,
/// because a test must not be process 1.
const INSIDE: &str = "mount -t tmpfs tmpfs \"$TMPDIR\" && mount -t tmpfs tmpfs /dev/shm && \
                      cd \"$TMPDIR\" || exit 125; \"$@\"; exit $?";

/// Where its temporary files are: the first that does not hide the suite.
const TEMPORARY: [&str; 3] = ["/tmp", "/var/tmp", "/mnt"];

/// Takes directories, areas and gVisor's verdicts from the known baseline, and leaves out what
/// could harm the host.
#[must_use]
pub fn prepare(entries: Vec<Entry>, known: &[Entry]) -> Vec<Entry> {
    let prepared = entries.into_iter().map(|mut entry| {
        if let Some(known) = known.iter().find(|known| known.name == entry.name) {
            entry.directory.clone_from(&known.directory);
            entry.area.clone_from(&known.area);
            entry.gvisor = known.gvisor;
            if let Reference::Excluded(reason) = &known.linux {
                entry.linux = Reference::Excluded(reason.clone());
            }
        }
        // In the other suite the folder has the name of the call.
        let program = entry.argv[0].rsplit('/').next().unwrap_or_default();
        if let Some((_, reason)) = HARMFUL.iter().find(|(name, _)| program.starts_with(name)) {
            entry.linux = Reference::Excluded((*reason).to_owned());
        }
        entry
    });
    prepared.collect()
}

/// Runs the entries on the host, for their verdicts on Linux; `None` when it was interrupted.
///
/// # Errors
/// Files cannot be written, or unshare(1) cannot be started.
pub fn measure(
    options: &LtpOptions,
    suite: &Arc<Suite>,
    mut entries: Vec<Entry>,
) -> Result<Option<Vec<Entry>>, Error> {
    let directory = options.output.join("linux");
    let logs = directory.join("output");
    fs::create_dir_all(&logs)
        .map_err(|error| Error::io(format_args!("cannot make {}", escaped_os(&logs)), &error))?;
    let (mut file, mut results) =
        ResultsFile::open(&directory, "linux", Machine::Own, options.resume)?;
    let to_run: Vec<&Entry> = entries.iter().filter(|entry| entry.excluded().is_none()).collect();
    let shared = suite.clone();
    let run: Arc<RunEntries> = Arc::new(move |entries, ended| {
        for entry in entries {
            ended(entry, run(&shared, entry)?);
        }
        Ok(())
    });
    let plan = Plan { jobs: options.jobs, portion: 1 };
    let mut record = Record { file: &mut file, results: &mut results, logs: &logs };
    let complete = runner::run_all(&to_run, plan, &run, &mut record)?;
    for entry in &mut entries {
        if let Some(outcome) = results.get(&entry.name) {
            entry.linux = Reference::Verdict(outcome.verdict);
            entry.linux_tpass = outcome.counts.passed;
            entry.linux_seconds = outcome.seconds;
        }
    }
    // For `--baseline FILE` another time.
    let path = options.output.join("linux.tsv");
    fs::write(&path, baseline_text(&entries))
        .map_err(|error| Error::io(format_args!("cannot write {}", escaped_os(&path)), &error))?;
    Ok(complete.then_some(entries))
}

fn run(suite: &Suite, entry: &Entry) -> Result<Run, Error> {
    let program = entry.argv.first().map_or("", String::as_str);
    if !suite.has(program) {
        return Ok(Run::missing(program));
    }
    let start = Instant::now();
    let (status, output) = execute(suite, entry)
        .map_err(|error| Error::io("cannot run unshare (of util-linux)", &error))?;
    let seconds = start.elapsed().as_secs_f64();
    let (verdict, message) = match status {
        Some(TIMED_OUT) => (Verdict::Timeout, String::new()),
        Some(status) => judge_end(suite.kind(), status, &output),
        None => (Verdict::Brok, "ended by a signal".to_owned()),
    };
    let counts = Counts::read(&output);
    let outcome = Outcome { counts, seconds, ..Outcome::new(verdict, message) };
    Ok(Run { outcome, output, is_disturbed: false })
}

/// The exit status and the output of an entry.
fn execute(suite: &Suite, entry: &Entry) -> io::Result<(Option<i32>, String)> {
    let (program, arguments) = entry.argv.split_first().map_or(("", &[][..]), |(a, b)| (a, b));
    let visible = |place: &&&str| !suite.root().starts_with(place);
    let temporary = TEMPORARY.iter().find(visible).unwrap_or(&TEMPORARY[0]);
    let mut command = Command::new("unshare");
    if !rustix::process::geteuid().is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    let output = command
        .args(["--mount", "--pid", "--fork", "--kill-child", "--mount-proc"])
        .args(["--ipc", "--uts", "--net", "--", "sh", "-c", INSIDE, "sh"])
        .args(["timeout", "--kill-after=5", &LIMIT.as_secs().to_string()])
        .arg(suite.path(program))
        .args(arguments)
        .env_clear()
        .env("PATH", suite.search_path())
        .env("LTPROOT", suite.root())
        .env("TMPDIR", temporary)
        .env("LTP_RUNTIME_MUL", RUNTIME_MULTIPLIER)
        .env("LTP_COLORIZE_OUTPUT", "n")
        .env("KCONFIG_SKIP_CHECK", "1")
        .stdin(Stdio::null())
        .output()?;
    let both = [output.stdout, output.stderr].concat();
    Ok((output.status.code(), String::from_utf8_lossy(&both).into_owned()))
}

#[cfg(test)]
mod tests {
    use super::super::entry::read_baseline;
    use super::*;

    #[test]
    fn what_could_harm_the_host_is_never_run() {
        let line = |name: &str, linux: &str| format!("{name}\t{name}\td\tx\t{linux}\t\t\tPASS\n");
        let suite: String =
            ["swapon01", "settimeofday02", "dup01", "odd01"].map(|name| line(name, "-")).concat();
        let known = format!("\n{}{}", line("odd01", "EXCLUDED(hwpoison)"), line("dup01", "PASS"));
        let entries = prepare(
            read_baseline("s", &format!("\n{suite}")).unwrap(),
            &read_baseline("k", &known).unwrap(),
        );
        let excluded: Vec<_> = entries.iter().map(|entry| entry.excluded()).collect();
        assert_eq!(excluded, [Some("swap"), Some("time"), None, Some("hwpoison")]);
        assert_eq!(entries[2].gvisor, Some(Verdict::Pass));
    }
}

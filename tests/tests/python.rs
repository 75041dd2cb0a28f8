//! CPython's own regression tests, as Debian packages them in `libpython3.11-testsuite`: what
//! fails in Birgus and passes on Linux is a difference. They take minutes: only with
//! `BIRGUS_TEST_FULL`.
//!
//! Both sides run as root with temporary files in a tmpfs. Which tests are skipped is not
//! compared: that depends on the limits, the terminals and the networks of each side.

use std::collections::BTreeSet;
use std::time::Duration;

use birgus_tests::run::{Outcome, Status};
use birgus_tests::sides::{Setting, in_birgus, on_linux};

/// Memory for the largest files and the most threads, and a tmpfs on both sides.
const SETTING: Setting = Setting {
    stdin: b"",
    directory: None,
    environment: &[("TMPDIR", "/dev/shm")],
    options: &["--memory", "1G"],
    limit: Some(Duration::from_secs(900)),
};

/// What the tests of a module said.
#[derive(Debug)]
struct Verdict {
    /// How many tests there were, where they came to their end.
    run: Option<u32>,
    /// Those that did not pass, with the traces that they left.
    failed: BTreeSet<String>,
    traces: String,
    status: Status,
}

impl Verdict {
    fn of(outcome: &Outcome) -> Self {
        let text = outcome.text() + &outcome.errors();
        // Where a test left a trace: "FAIL: test_name (module.Class.test_name)".
        let failed = text.lines().filter(|line| {
            (line.starts_with("FAIL: ") || line.starts_with("ERROR: ")) && line.contains(" (")
        });
        // "Ran 316 tests in 2.706s"
        let mut counts =
            text.lines().rev().filter_map(|line| line.strip_prefix("Ran ")?.split(' ').next());
        let traces = text.find("\n=====").map_or(&*text, |at| &text[at..]);
        Self {
            run: counts.next().and_then(|count| count.parse().ok()),
            failed: failed.map(str::to_owned).collect(),
            traces: traces.to_owned(),
            status: outcome.status,
        }
    }

    /// Whether there is nothing that `linux` did better.
    fn is_as_good_as(&self, linux: &Self) -> bool {
        self.run == linux.run
            && self.failed.is_subset(&linux.failed)
            && (self.status == linux.status || !linux.failed.is_empty())
    }
}

/// Runs the tests of a module on both sides; what is different, if anything.
fn difference(module: &str) -> Option<String> {
    let arguments = ["-m", "test", "-v", module];
    let linux = Verdict::of(&on_linux("/usr/bin/python3", &arguments, &SETTING));
    assert!(linux.run.is_some(), "{module} on Linux: {}", linux.traces);
    let (outcome, own) = in_birgus("/usr/bin/python3", &arguments, &SETTING);
    let birgus = Verdict::of(&outcome);
    if birgus.is_as_good_as(&linux) {
        return None;
    }
    let only_here: Vec<_> = birgus.failed.difference(&linux.failed).collect();
    Some(format!(
        "{module}: {:?}, ran {:?}, on Linux {:?}; failed here only: {only_here:#?}\n{own:#?}\n{}",
        birgus.status, birgus.run, linux.run, birgus.traces
    ))
}

#[track_caller]
fn agree_on_modules(modules: &[&str]) {
    if !birgus_tests::full() {
        return;
    }
    let differences: Vec<_> = modules.iter().filter_map(|module| difference(module)).collect();
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[test]
fn modules_of_the_operating_system() {
    agree_on_modules(&["test_os", "test_posix", "test_fcntl", "test_resource", "test_pty"]);
}

#[test]
fn modules_of_files() {
    agree_on_modules(&["test_io", "test_fileio", "test_mmap", "test_tempfile", "test_shutil"]);
}

#[test]
fn modules_of_processes() {
    agree_on_modules(&["test_subprocess", "test_fork1", "test_wait3", "test_wait4", "test_popen"]);
}

#[test]
fn modules_of_threads() {
    agree_on_modules(&["test_threading", "test_thread", "test_threadsignals", "test_queue"]);
}

#[test]
fn modules_of_signals_and_time() {
    agree_on_modules(&["test_signal", "test_eintr", "test_time", "test_faulthandler"]);
}

#[test]
fn modules_of_waiting() {
    agree_on_modules(&["test_select", "test_selectors", "test_poll", "test_epoll"]);
}

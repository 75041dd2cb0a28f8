//! `birgus ltp`, proven without LTP: with a small suite made of a program that speaks LTP's
//! protocol, one entry for every way that a test can end.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use birgus_tests::birgus::{birgus, path};
use birgus_tests::process::wait_until;
use birgus_tests::program::Program;
use birgus_tests::run::{Given, Outcome, Status};
use birgus_tests::scratch::Scratch;
use serde_json::Value;

/// For a whole run of the small suite.
const LIMIT: Duration = Duration::from_secs(240);

/// Entries: name, words, and in the baseline area, Linux's verdict and its passed checks.
const ENTRIES: [(&str, &str, &str, &str, &str); 14] = [
    ("pass01", "protocol pass", "good", "PASS", "2"),
    ("pass02", "protocol old-pass", "good", "PASS", "1"),
    ("fewer01", "protocol pass", "good", "PASS", "3"),
    ("helper01", "protocol helper", "good", "PASS", "1"),
    ("fail01", "protocol fail", "bad", "PASS", "2"),
    ("brok01", "protocol brok", "bad", "PASS", "1"),
    ("warn01", "protocol warn", "bad", "PASS", "1"),
    ("conf01", "protocol conf", "bad", "PASS", "1"),
    ("conf02", "protocol conf", "bad", "CONF", "0"),
    ("lie01", "protocol lie", "bad", "PASS", "1"),
    ("silent01", "protocol", "bad", "PASS", "1"),
    ("signal01", "protocol signal", "bad", "PASS", "1"),
    ("missing01", "protocol_that_is_not_there", "bad", "PASS", "1"),
    ("excluded01", "protocol hang", "bad", "EXCLUDED(never ends)", ""),
];

/// A suite and its baseline in a directory of their own.
struct Suite {
    scratch: Scratch,
}

impl Suite {
    fn new() -> Self {
        let scratch = Scratch::new().expect("there is a temporary directory");
        let suite = Self { scratch };
        let bin = suite.at("suite/testcases/bin");
        fs::create_dir_all(&bin).unwrap();
        fs::create_dir_all(suite.at("suite/runtest")).unwrap();
        let program = Program::for_ltp("protocol").and_then(|program| program.build()).unwrap();
        fs::copy(&program, bin.join("protocol")).unwrap();
        fs::copy(&program, bin.join("protocol_child")).unwrap();
        suite.describe(&ENTRIES);
        suite
    }

    fn at(&self, path: &str) -> PathBuf {
        self.scratch.path().join(path)
    }

    fn describe(&self, entries: &[(&str, &str, &str, &str, &str)]) {
        let mut suite = String::from("# entries\n");
        let mut baseline = String::from(
            "entry\targv\tdirectory\tarea\tlinux\tlinux_tpass\tlinux_seconds\tgvisor\n",
        );
        for (name, words, area, linux, passed) in entries {
            suite += &format!("{name} {words}\n");
            baseline += &format!("{name}\t{words}\tuname\t{area}\t{linux}\t{passed}\t0.1\tFAIL\n");
        }
        fs::write(self.at("suite/runtest/syscalls"), suite).unwrap();
        fs::write(self.at("baseline.tsv"), baseline).unwrap();
    }

    /// The command line of a run into the directory `report`.
    fn words(&self, more: &str) -> Vec<String> {
        let path = |name: &str| self.at(name).into_os_string().into_string().unwrap();
        let mut words: Vec<String> = ["ltp", "--suite"].map(String::from).into();
        words.extend([path("suite"), "--baseline".into(), path("baseline.tsv")]);
        words.extend(["--output".into(), path("report")]);
        words.extend(more.split_whitespace().map(String::from));
        words
    }

    fn run(&self, more: &str) -> Outcome {
        birgus(self.words(more), Given::limit(LIMIT)).expect("birgus starts")
    }

    fn report(&self) -> Value {
        let text = fs::read_to_string(self.at("report/report.json")).expect("there is a report");
        serde_json::from_str(&text).expect("the report is JSON")
    }
}

fn entry<'a>(report: &'a Value, name: &str) -> &'a Value {
    let entries = report["entries"].as_array().unwrap();
    entries.iter().find(|entry| entry["entry"] == name).unwrap_or_else(|| panic!("no {name}"))
}

#[track_caller]
fn assert_status(outcome: &Outcome, status: i32) {
    assert_eq!(outcome.status, Status::Ended(status), "{}\n{}", outcome.text(), outcome.errors());
}

#[test]
fn every_way_to_end_has_its_verdict_and_the_score_is_honest() {
    let suite = Suite::new();
    let outcome = suite.run("");
    assert_status(&outcome, 0);
    let report = suite.report();
    let verdicts = [
        ("pass01", "PASS", "covered"),
        ("pass02", "PASS", "covered"),
        ("helper01", "PASS", "covered"),
        ("fewer01", "PASS", "fewer checks"),
        ("fail01", "FAIL", "FAIL"),
        ("brok01", "BROK", "BROK"),
        ("warn01", "WARN", "WARN"),
        ("conf01", "CONF", "CONF"),
        ("conf02", "CONF", "not scored"),
        ("lie01", "FAIL", "FAIL"),
        ("silent01", "BROK", "BROK"),
        ("signal01", "BROK", "BROK"),
        ("missing01", "MISSING", "MISSING"),
    ];
    for (name, verdict, state) in verdicts {
        let entry = entry(&report, name);
        assert_eq!(
            (&entry["verdict"], &entry["state"]),
            (&verdict.into(), &state.into()),
            "{name}"
        );
    }
    assert!(entry(&report, "excluded01")["verdict"].is_null());
    assert_eq!(entry(&report, "brok01")["message"], "no memory information");
    assert_eq!((&report["total"]["linux"], &report["total"]["covered"]), (&12.into(), &3.into()));
    assert_eq!(report["areas"]["good"]["covered"], 3);
    assert!(outcome.text().contains("12 entries that pass on Linux, Birgus covers 3 (25.0 %)"));
    check_page(&suite.at("report"));
}

fn check_page(directory: &Path) {
    let page = fs::read_to_string(directory.join("report.html")).unwrap();
    assert!(page.contains("&lt;b&gt;second&lt;/b&gt; &amp; \\x1b[31mred"));
    assert!(!page.contains("<b>") && !page.contains('\x1b'));
    for foreign in ["http://", "https://", "src=", "@import"] {
        assert!(!page.contains(foreign), "the page loads something: {foreign}");
    }
    let output = fs::read_to_string(directory.join("output/fail01.txt")).unwrap();
    assert!(output.contains("TFAIL: <b>second</b>"));
}

#[test]
fn a_time_out_and_a_crash_of_the_kernel_are_told_apart() {
    let suite = Suite::new();
    suite.describe(&[("hang01", "protocol hang", "bad", "PASS", "1")]);
    assert_status(&suite.run("--timeout 4"), 0);
    let report = suite.report();
    assert_eq!(entry(&report, "hang01")["verdict"], "TIMEOUT");
    fs::remove_dir_all(suite.at("report")).unwrap();
    assert_status(&suite.run("--kernel-arg birgus.debug=panic"), 0);
    let report = suite.report();
    assert_eq!(entry(&report, "hang01")["verdict"], "CRASH");
    let message = entry(&report, "hang01")["message"].as_str().unwrap();
    assert!(message.contains("panic"), "{message}");
}

#[test]
fn a_batch_goes_on_after_an_entry_that_ends_its_machine() {
    let suite = Suite::new();
    suite.describe(&[
        ("pass01", "protocol pass", "good", "PASS", "2"),
        ("litter01", "protocol litter", "good", "PASS", "1"),
        ("fail01", "protocol fail", "bad", "PASS", "2"),
        ("hang01", "protocol hang", "bad", "PASS", "1"),
        ("killer01", "protocol kill-all", "bad", "PASS", "1"),
        ("missing01", "protocol_that_is_not_there", "bad", "PASS", "1"),
        ("pass02", "protocol old-pass", "good", "PASS", "1"),
        ("signal01", "protocol signal", "bad", "PASS", "1"),
        ("litter02", "protocol litter", "good", "PASS", "1"),
    ]);
    let outcome = suite.run("--jobs 1 --batch 9 --timeout 4");
    assert_status(&outcome, 0);
    let report = suite.report();
    let verdicts = [
        ("pass01", "PASS", "shared"),
        ("litter01", "PASS", "shared"),
        ("fail01", "FAIL", "shared"),
        ("hang01", "TIMEOUT", "shared"),
        // What ends the whole batch is looked at alone.
        ("killer01", "PASS", "own"),
        ("missing01", "MISSING", "own"),
        ("pass02", "PASS", "shared"),
        ("signal01", "BROK", "shared"),
        ("litter02", "PASS", "shared"),
    ];
    for (name, verdict, machine) in verdicts {
        let entry = entry(&report, name);
        let found = (&entry["verdict"], &entry["machine"]);
        assert_eq!(found, (&verdict.into(), &machine.into()), "{name}: {}", entry["message"]);
    }
    let page = fs::read_to_string(suite.at("report/report.html")).unwrap();
    assert_eq!(page.matches("<small>batch</small>").count(), 7);
    // Where every entry is to have its own machine, verdicts from batches do not stay.
    assert_status(&suite.run("--resume --filter pass*"), 0);
    assert_eq!(entry(&suite.report(), "pass01")["machine"], "own");
}

#[test]
fn tools_of_the_host_that_a_test_names_are_brought() {
    let suite = Suite::new();
    suite.describe(&[("tool01", "protocol tool", "good", "PASS", "1")]);
    assert_status(&suite.run(""), 0);
    let report = suite.report();
    assert_eq!(entry(&report, "tool01")["verdict"], "PASS", "{}", entry(&report, "tool01"));
}

/// A folder as the open_posix_testsuite is installed: programs that are named after what they
/// end with.
#[test]
fn the_posix_suite_is_judged_by_its_exit_status() {
    let scratch = Scratch::new().unwrap();
    let page = scratch.path().join("suite/conformance/interfaces/fork");
    fs::create_dir_all(&page).unwrap();
    let program = Program::for_ltp("status").and_then(|program| program.build()).unwrap();
    for status in ["0", "1", "2", "4", "5"] {
        fs::copy(&program, page.join(format!("fork_{status}-1.run-test"))).unwrap();
    }
    let line = |status: &str| {
        let path = format!("conformance/interfaces/fork/fork_{status}-1.run-test");
        format!("fork_{status}-1\t{path}\tfork\tprocesses\tPASS\t0\t0.1\t-\n")
    };
    let lines: String = ["0", "1", "2", "4", "5"].map(line).concat();
    let baseline = scratch.path().join("baseline.tsv");
    fs::write(&baseline, format!("entry\n{lines}")).unwrap();
    for more in ["", "--batch 5"] {
        let report = scratch.path().join(format!("report{}", more.len()));
        let mut words: Vec<OsString> = vec!["ltp".into(), "--posix".into()];
        words.extend([scratch.path().join("suite").into(), "--baseline".into()]);
        words.extend([baseline.clone().into(), "--output".into(), report.clone().into()]);
        words.extend(more.split_whitespace().map(OsString::from));
        assert_status(&birgus(words, Given::limit(LIMIT)).unwrap(), 0);
        let text = fs::read_to_string(report.join("report.json")).unwrap();
        let report: Value = serde_json::from_str(&text).unwrap();
        let verdicts = [("0", "PASS"), ("1", "FAIL"), ("2", "BROK"), ("4", "CONF"), ("5", "CONF")];
        for (status, verdict) in verdicts {
            let entry = entry(&report, &format!("fork_{status}-1"));
            assert_eq!(entry["verdict"], verdict, "{more} {status}: {entry}");
        }
        assert_eq!(report["total"]["covered"], 1);
        assert_eq!(entry(&report, "fork_1-1")["message"], "Test fork_1-1.run-test ends with 1");
    }
}

#[test]
fn missing_calls_are_named_as_the_cause() {
    let suite = Suite::new();
    suite.describe(&[("call01", "protocol missing-call", "bad", "PASS", "1")]);
    assert_status(&suite.run(""), 0);
    let report = suite.report();
    assert_eq!(entry(&report, "call01")["calls"][0], "create_module");
    assert_eq!(report["causes"][0]["cause"], "create_module is not implemented");
}

#[test]
fn results_are_kept_gone_on_with_and_compared() {
    let suite = Suite::new();
    assert_status(&suite.run("--filter pass01,fail01"), 0);
    assert_eq!(suite.report()["entries"].as_array().unwrap().len(), 2);
    let refused = suite.run("--filter pass01");
    assert_status(&refused, 125);
    assert!(refused.errors().contains("--resume"), "{}", refused.errors());
    let before = suite.at("before.tsv");
    let results = fs::read_to_string(suite.at("report/results.tsv")).unwrap();
    fs::write(&before, results.replace("fail01\tFAIL\t1", "fail01\tPASS\t2")).unwrap();
    let compare = format!("--resume --check --compare {}", before.display());
    let outcome = suite.run(&format!("--filter pass*,fail01 {compare}"));
    assert_status(&outcome, 1);
    assert!(outcome.text().contains("newly failing: fail01"), "{}", outcome.text());
    // Of the three only the one without a result was run.
    let lines: Vec<String> = outcome.errors().lines().map(str::to_owned).collect();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains("PASS") && lines[0].contains("pass02"), "{lines:?}");
}

#[test]
fn an_interrupt_keeps_what_is_done_and_writes_the_report() {
    let suite = Suite::new();
    suite.describe(&[
        ("pass01", "protocol pass", "good", "PASS", "2"),
        ("hang01", "protocol hang", "bad", "PASS", "1"),
    ]);
    let mut child = Command::new(path())
        .args(suite.words("--jobs 1"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let results = suite.at("report/results.tsv");
    let done = wait_until(LIMIT, || {
        fs::read_to_string(&results).is_ok_and(|text| text.contains("pass01"))
    });
    assert!(done, "the first entry never ends");
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let report = suite.report();
    assert_eq!(entry(&report, "pass01")["state"], "covered");
    assert_eq!(entry(&report, "hang01")["state"], "not run");
}

#[test]
fn the_baseline_can_be_measured_here() {
    let inside = Command::new("unshare").args(["--mount", "--pid", "--fork", "true"]).status();
    if !inside.is_ok_and(|status| status.success()) {
        eprintln!("skipped: this machine gives no namespaces");
        return;
    }
    let suite = Suite::new();
    suite.describe(&[
        ("pass01", "protocol pass", "", "-", ""),
        ("fail01", "protocol fail", "", "-", ""),
    ]);
    let mut words = suite.words("");
    let at = words.iter().position(|word| word == "--baseline").unwrap();
    words[at + 1] = "run".into();
    let outcome = birgus(words, Given::limit(LIMIT)).unwrap();
    assert_status(&outcome, 0);
    let report = suite.report();
    assert_eq!(entry(&report, "pass01")["linux"], "PASS");
    assert_eq!(entry(&report, "pass01")["linux_tpass"], 2);
    assert_eq!(entry(&report, "fail01")["linux"], "FAIL");
    assert_eq!(report["total"]["linux"], 1);
}

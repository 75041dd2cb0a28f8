//! Machines, exit statuses, and failures of all kinds: what `birgus run` says and returns.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use birgus_tests::birgus::{OWN_PREFIX, birgus, birgus_with, path};
use birgus_tests::process::{Process, descendants, wait_until};
use birgus_tests::program::Program;
use birgus_tests::run::{Given, Outcome, Status};
use birgus_tests::scratch::Scratch;

const LIMIT: Duration = Duration::from_secs(60);

fn helper(name: &str) -> PathBuf {
    Program::for_boot(name).and_then(|program| program.build()).expect("the program builds")
}

/// `birgus run` with these options and words.
fn run<A: AsRef<OsStr>>(words: impl IntoIterator<Item = A>) -> Outcome {
    let words = words.into_iter().map(|word| word.as_ref().to_owned());
    let words = [OsStr::new("run").to_owned()].into_iter().chain(words);
    birgus(words, Given::limit(LIMIT)).expect("birgus starts")
}

/// `birgus run OPTIONS PROGRAM ARGUMENTS`, options and arguments separated by spaces.
fn run_program(options: &str, program: &Path, arguments: &str) -> Outcome {
    let options = options.split_whitespace().map(OsStr::new);
    let arguments = arguments.split_whitespace().map(OsStr::new);
    run(options.chain([program.as_os_str()]).chain(arguments))
}

/// The only line on standard error, which is Birgus's own, and nothing on standard output.
fn own_line(outcome: &Outcome) -> String {
    let errors = outcome.errors();
    assert!(errors.starts_with(OWN_PREFIX), "{outcome:?}");
    assert_eq!(errors.lines().count(), 1, "more than one line: {errors}");
    assert!(outcome.stdout.is_empty(), "{outcome:?}");
    errors
}

#[track_caller]
fn assert_status(outcome: &Outcome, status: i32) {
    assert_eq!(outcome.status, Status::Ended(status), "{}", outcome.errors());
}

#[test]
fn the_same_kernel_boots_on_microvm_and_on_q35() {
    for machine in ["microvm", "q35"] {
        let program = helper("touch_memory");
        let outcome = run_program(&format!("--machine {machine}"), &program, "1");
        assert_status(&outcome, 0);
        assert_eq!(outcome.text(), "begins\ndone\n", "{machine}");
        assert_eq!(outcome.errors(), "", "{machine}");
    }
}

#[test]
fn all_bits_of_an_exit_status_arrive() {
    let program = helper("exit_with");
    for status in [0, 1, 77, 127, 128, 139, 255] {
        let outcome = run_program("", &program, &status.to_string());
        assert_status(&outcome, status);
        assert_eq!((outcome.text(), outcome.errors()), (String::new(), String::new()));
    }
    assert_status(&run_program("--machine q35", &program, "200"), 200);
}

#[test]
fn a_time_out_is_status_124_for_sleeping_and_busy_programs() {
    for argument in ["", "busy"] {
        let start = Instant::now();
        let outcome = run_program("--timeout 2", &helper("never_ends"), argument);
        assert_status(&outcome, 124);
        assert_eq!(outcome.text(), "begins\n");
        assert!(start.elapsed() >= Duration::from_secs(2));
        assert!(outcome.errors().starts_with(OWN_PREFIX), "{outcome:?}");
    }
}

#[test]
fn a_hanging_kernel_is_timed_out_too() {
    let options = "--timeout 2 --kernel-arg birgus.debug=hang";
    assert_status(&run_program(options, &helper("exit_with"), "0"), 124);
}

#[test]
fn a_kernel_panic_is_status_125_and_says_so() {
    let outcome = run_program("--kernel-arg birgus.debug=panic", &helper("exit_with"), "0");
    assert_status(&outcome, 125);
    assert!(outcome.stdout.is_empty(), "{outcome:?}");
    let errors = outcome.errors();
    assert!(errors.lines().all(|line| line.starts_with(OWN_PREFIX)), "{errors}");
    assert!(errors.contains("panic"), "{errors}");
}

#[test]
fn a_program_that_uses_more_memory_than_there_is_is_killed_with_one_line() {
    let outcome = run_program("--memory 32M", &helper("touch_memory"), "1024");
    assert_status(&outcome, 137);
    assert_eq!(outcome.text(), "begins\n");
    let errors = outcome.errors();
    assert_eq!(errors.lines().count(), 1, "{errors}");
    assert!(errors.starts_with(OWN_PREFIX) && errors.contains("memory"), "{errors}");
}

#[test]
fn memory_has_the_size_that_was_asked_for() {
    let program = helper("touch_memory");
    assert_status(&run_program("--memory 64M", &program, "32"), 0);
    assert_status(&run_program("--memory 512M", &program, "400"), 0);
}

/// Starts a program that never ends, lets `end` end birgus, and sees that nothing is left.
fn leaves_nothing(options: &[&str], end: impl FnOnce(u32)) {
    let mut child = Command::new(path())
        .arg("run")
        .args(options)
        .arg(helper("never_ends"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("birgus starts");
    let birgus = Process::find(child.id()).expect("birgus runs");
    let mut started = Vec::new();
    let found = wait_until(Duration::from_secs(10), || {
        started = descendants(child.id());
        !started.is_empty()
    });
    assert!(found, "birgus starts no process");
    end(child.id());
    let reaped = wait_until(LIMIT, || child.try_wait().is_ok_and(|status| status.is_some()));
    assert!(reaped, "birgus does not end");
    let gone = wait_until(Duration::from_secs(5), || {
        !birgus.is_running() && !started.iter().any(|process| process.is_running())
    });
    assert!(gone, "processes are left: {started:?}");
}

fn send(signal: &str, pid: u32) {
    let status = Command::new("/bin/kill").args([signal, &pid.to_string()]).status();
    assert!(status.is_ok_and(|status| status.success()));
}

#[test]
fn a_time_out_leaves_no_process() {
    leaves_nothing(&["--timeout", "1"], |_| ());
}

#[test]
fn killing_birgus_leaves_no_process() {
    leaves_nothing(&[], |pid| send("-KILL", pid));
}

#[test]
fn terminating_birgus_leaves_no_process() {
    leaves_nothing(&[], |pid| send("-TERM", pid));
}

#[test]
fn a_missing_program_is_status_127() {
    let outcome = run(["/none/such-program"]);
    assert_status(&outcome, 127);
    assert!(own_line(&outcome).contains("/none/such-program"));
}

/// A program file made from a good one.
fn spoilt(scratch: &Scratch, name: &str, spoil: impl FnOnce(&mut Vec<u8>)) -> PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let mut bytes = fs::read(helper("exit_with")).unwrap();
    spoil(&mut bytes);
    let path = scratch.file(name, bytes).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

/// Byte offsets in an ELF header (System V ABI, chapter 4).
const EI_CLASS: usize = 4;
const EI_DATA: usize = 5;
const E_MACHINE: usize = 18;
const E_ENTRY: usize = 24;
const E_PHOFF: usize = 32;
const E_PHNUM: usize = 56;

#[test]
fn files_that_are_no_programs_for_this_machine_are_status_126() {
    let scratch = Scratch::new().unwrap();
    let files = [
        spoilt(&scratch, "empty", Vec::clear),
        spoilt(&scratch, "short", |bytes| bytes.truncate(3)),
        spoilt(&scratch, "half-a-header", |bytes| bytes.truncate(40)),
        spoilt(&scratch, "truncated", |bytes| bytes.truncate(5000)),
        spoilt(&scratch, "text", |bytes| *bytes = b"echo hello\n".to_vec()),
        spoilt(&scratch, "zeros", |bytes| bytes.fill(0)),
        spoilt(&scratch, "thirty-two-bits", |bytes| bytes[EI_CLASS] = 1),
        spoilt(&scratch, "big-endian", |bytes| bytes[EI_DATA] = 2),
        spoilt(&scratch, "arm", |bytes| bytes[E_MACHINE] = 183),
        spoilt(&scratch, "no-segments", |bytes| bytes[E_PHNUM..][..2].fill(0)),
        spoilt(&scratch, "many-segments", |bytes| bytes[E_PHNUM..][..2].fill(0xff)),
        spoilt(&scratch, "far-segments", |bytes| bytes[E_PHOFF..][..8].fill(0xff)),
        spoilt(&scratch, "entry-nowhere", |bytes| bytes[E_ENTRY..][..8].fill(0x7f)),
    ];
    for file in &files {
        let outcome = run([file]);
        assert_status(&outcome, 126);
        let line = own_line(&outcome);
        let name = file.file_name().unwrap().to_str().unwrap();
        assert!(line.contains(name), "{line}");
    }
    let outcome = run([scratch.path()]);
    assert_status(&outcome, 126);
    own_line(&outcome);
}

#[test]
fn wrong_options_are_status_125_and_named() {
    let program = helper("exit_with");
    for (options, named) in [
        ("--nonsense", "--nonsense"),
        ("--memory much", "much"),
        ("--timeout never", "never"),
        ("--machine pdp11", "pdp11"),
        ("--engine xen", "xen"),
        ("-v nothing", "nothing"),
    ] {
        let outcome = run_program(options, &program, "");
        assert_status(&outcome, 125);
        assert!(own_line(&outcome).contains(named), "{options}");
    }
    assert_status(&run([""; 0]), 125);
}

#[test]
fn hostile_names_are_escaped_before_they_are_shown() {
    let outcome = run(["/none/\x1b[2J\nbirgus: all is well"]);
    assert_status(&outcome, 127);
    assert!(!own_line(&outcome).contains('\x1b'));
}

#[test]
fn missing_qemu_is_status_125_and_names_the_package() {
    let nothing = Scratch::new().unwrap();
    let program = helper("exit_with");
    let words = [OsStr::new("run"), OsStr::new("--engine=qemu"), program.as_os_str()];
    let outcome = birgus_with(words, Given::limit(LIMIT), |command| {
        command.env("PATH", nothing.path());
    })
    .unwrap();
    assert_status(&outcome, 125);
    assert!(own_line(&outcome).contains("qemu-system-x86"));
}

#[test]
fn the_table_of_system_calls_is_json_and_every_call_is_linux_s() {
    let outcome = birgus(["syscalls", "--json"], Given::limit(LIMIT)).unwrap();
    assert_status(&outcome, 0);
    let table: serde_json::Value = serde_json::from_slice(&outcome.stdout).expect("JSON");
    let rows = table.as_array().expect("an array");
    assert_eq!(rows.len(), abi::number::SYSTEM_CALLS.len());
    for row in rows {
        let number = row["number"].as_u64().expect("a number");
        let name = row["name"].as_str().expect("a name");
        let known = abi::number::SYSTEM_CALLS
            .iter()
            .any(|&(known, known_name)| u64::from(known) == number && known_name == name);
        assert!(known, "{row}");
        let support = row["support"].as_str().expect("a support level");
        assert!(["full", "partial", "none"].contains(&support), "{row}");
        let note = row["note"].as_str().expect("a note");
        assert!(support != "partial" || !note.is_empty(), "{row}");
    }
}

#[test]
fn the_help_names_every_option_that_the_tests_use() {
    let outcome = birgus(["run", "--help"], Given::limit(LIMIT)).unwrap();
    assert_status(&outcome, 0);
    let text = outcome.text();
    for option in ["--memory", "--env", "--workdir", "--timeout", "--verbose", "--trace", "-v"] {
        assert!(text.contains(option), "{option} is not in the help:\n{text}");
    }
}

#[test]
fn the_environment_is_small_and_what_was_given() {
    let program = "/bin/busybox";
    let outcome = run(["-e", "CRAB=coconut", "-e", "EMPTY=", program, "env"]);
    assert_status(&outcome, 0);
    let text = outcome.text();
    let names: Vec<_> =
        text.lines().filter_map(|line| line.split_once('=')).map(|(name, _)| name).collect();
    assert!(text.contains("CRAB=coconut\n") && text.contains("EMPTY=\n"), "{text}");
    for name in &names {
        assert!(["CRAB", "EMPTY", "HOME", "PATH", "TERM"].contains(name), "{text}");
    }
    assert!(names.contains(&"PATH") && names.contains(&"HOME"), "{text}");
}

#[test]
fn the_working_directory_is_the_root_or_what_was_given() {
    assert_eq!(run(["/bin/busybox", "pwd"]).text(), "/\n");
    assert_eq!(run(["-w", "/tmp", "/bin/busybox", "pwd"]).text(), "/tmp\n");
}

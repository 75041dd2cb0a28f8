//! The three streams in a shell's hands: `birgus run prog` stands in pipelines and behind
//! redirections as `prog` does. Each script runs twice, once with `$RUN` empty and once with
//! `birgus run`, and has to print the same.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use birgus_tests::birgus::path;
use birgus_tests::compare::compare;
use birgus_tests::program::Program;
use birgus_tests::run::{Given, Outcome, run};
use birgus_tests::scratch::Scratch;

const LIMIT: Duration = Duration::from_secs(60);

fn shell(script: &str, prefix: &str, directory: &Path) -> Outcome {
    let build = |name| Program::for_boot(name).and_then(|program| program.build());
    let mut command = Command::new("/bin/bash");
    command.args(["-c", script]).current_dir(directory).env("RUN", prefix);
    command.env("BUSYBOX", "/bin/busybox");
    command.env("ALTERNATE", build("alternate").expect("the program builds"));
    command.env("EXIT_WITH", build("exit_with").expect("the program builds"));
    run(command, Given::limit(LIMIT)).expect("the shell starts")
}

#[track_caller]
fn agree(script: &str) {
    let (here, there) = (Scratch::new().unwrap(), Scratch::new().unwrap());
    let linux = shell(script, "", here.path());
    let birgus = shell(script, &format!("{} run", path().display()), there.path());
    if let Err(difference) = compare(&linux, &birgus, &[]) {
        panic!("{script}\n{difference}");
    }
}

#[test]
fn output_and_errors_go_where_the_shell_sends_them() {
    agree("$RUN $ALTERNATE 100 >out 2>err; echo $?; cat out; cat err");
    agree("$RUN $ALTERNATE 3 >/dev/null");
    agree("$RUN $ALTERNATE 3 2>/dev/null");
    agree("echo before >file; $RUN $ALTERNATE 3 >>file 2>&1; echo after >>file; cat file");
}

#[test]
fn output_and_errors_in_one_pipe_keep_their_order() {
    agree("$RUN $ALTERNATE 200 2>&1 | cat");
}

#[test]
fn input_comes_from_files_pipes_and_nowhere() {
    agree("seq 1 1000 >file; $RUN $BUSYBOX tail -n 2 <file");
    agree("$RUN $BUSYBOX wc -c </dev/null");
    agree("(echo one; sleep 0.3; echo two) | $RUN $BUSYBOX cat");
    agree("echo first | $RUN $BUSYBOX cat | $RUN $BUSYBOX cat -n");
}

#[test]
fn a_program_that_does_not_read_leaves_its_input_alone() {
    agree("exec 3< <(sleep 50); $RUN $EXIT_WITH 3 <&3; echo $?; kill $!");
    agree("yes | $RUN $EXIT_WITH 4; echo ${PIPESTATUS[1]}");
    agree("yes | $RUN $BUSYBOX head -n 2; echo ${PIPESTATUS[1]}");
}

#[test]
fn a_reader_that_goes_away_ends_the_program() {
    agree("$RUN $BUSYBOX yes | head -n 3; echo ${PIPESTATUS[0]}");
    agree("$RUN $BUSYBOX yes crab 2>&1 | sed 2q; echo ${PIPESTATUS[0]}");
}

#[test]
fn a_slow_reader_gets_everything() {
    agree("$RUN $BUSYBOX seq 1 100000 | (sleep 1; cksum)");
}

#[test]
fn closed_streams_are_no_failure_of_birgus() {
    agree("$RUN $EXIT_WITH 5 <&-; echo $?");
    agree("$RUN $EXIT_WITH 6 >&-; echo $?");
    agree("$RUN $EXIT_WITH 7 2>&-; echo $?");
}

#[test]
fn programs_are_found_by_relative_paths_links_and_names() {
    let directory = Scratch::new().unwrap();
    let program = directory.path().join("busybox-here");
    fs::copy("/bin/busybox", &program).unwrap();
    std::os::unix::fs::symlink("busybox-here", directory.path().join("busybox-link")).unwrap();
    let birgus = format!("{} run", path().display());
    for script in [
        "$RUN ./busybox-here echo found",
        "$RUN ./busybox-link echo found",
        "$RUN ../$(basename $PWD)/busybox-here echo found",
        "PATH=$PWD:$PATH; $RUN busybox-here echo found",
    ] {
        let outcome = shell(script, &birgus, directory.path());
        assert_eq!(
            (outcome.text().as_str(), outcome.errors().as_str()),
            ("found\n", ""),
            "{script}"
        );
    }
}

#[test]
fn a_root_directory_replaces_everything() {
    let root = Scratch::new().unwrap();
    fs::create_dir_all(root.path().join("bin")).unwrap();
    fs::copy("/bin/busybox", root.path().join("bin/busybox")).unwrap();
    root.file("bin/data", "from the root\n").unwrap();
    let birgus = format!("{} run --rootfs .", path().display());
    let outcome = shell("$RUN /bin/busybox cat /bin/data", &birgus, root.path());
    assert_eq!((outcome.text().as_str(), outcome.errors().as_str()), ("from the root\n", ""));
}

#[test]
fn the_trace_names_the_calls_on_stderr_or_in_a_file() {
    let directory = Scratch::new().unwrap();
    let birgus = path().display();
    let outcome = shell("$RUN $EXIT_WITH 3", &format!("{birgus} run --trace"), directory.path());
    assert!(outcome.errors().contains("exit_group(3)"), "{}", outcome.errors());
    assert!(outcome.stdout.is_empty());
    let outcome =
        shell("$RUN $EXIT_WITH 3", &format!("{birgus} run --trace=calls"), directory.path());
    assert!(outcome.stderr.is_empty(), "{}", outcome.errors());
    let calls = fs::read_to_string(directory.path().join("calls")).unwrap();
    assert!(calls.contains("exit_group(3)"), "{calls}");
}

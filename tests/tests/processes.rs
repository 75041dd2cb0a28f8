//! Processes as `birgus run` shows them: running out of memory, and
//! the machine's end.

use std::path::PathBuf;
use std::time::Duration;

use birgus_tests::birgus::{OWN_PREFIX, birgus_with};
use birgus_tests::program::Program;
use birgus_tests::run::{Given, Outcome, Status};

const LIMIT: Duration = Duration::from_secs(120);

fn helper(name: &str) -> PathBuf {
    Program::for_boot(name).and_then(|program| program.build()).expect("the program builds")
}

/// `birgus run` with these options and words, separated by spaces.
fn run(words: &str) -> Outcome {
    birgus_with(["run"], Given::limit(LIMIT), |command| {
        command.args(words.split_whitespace());
    })
    .expect("birgus starts")
}

#[test]
fn a_child_that_uses_up_memory_dies_alone() {
    let outcome = run(&format!("--memory 48M {}", helper("memory_hog").display()));
    assert_eq!(
        outcome.text(),
        "child: signal 9\nchild: signal 9\nchild: signal 9\nthe parent has 20971520\n"
    );
    assert_eq!(outcome.status, Status::Ended(0), "{}", outcome.errors());
    let errors = outcome.errors();
    assert!(errors.contains("memory"), "nothing was said: {errors}");
    assert!(errors.lines().all(|line| line.starts_with(OWN_PREFIX)), "{errors}");
}

#[test]
fn the_machine_ends_with_the_first_program_whatever_its_children_do() {
    let shell = "/bin/busybox sh -c";
    let outcome = birgus_with(["run"], Given::limit(LIMIT), |command| {
        command.args(shell.split(' ')).arg("(while :; do :; done) & echo started; exit 7");
    })
    .expect("birgus starts");
    assert_eq!(outcome.status, Status::Ended(7), "{}", outcome.errors());
    assert_eq!((outcome.text().as_str(), outcome.errors().as_str()), ("started\n", ""));
}

//! Every program of `tests/programs` runs natively and in Birgus: standard output, standard
//! error and exit status must be equal.
//!
//! Those of `tests/programs/open` find differences that are known and still open: they run
//! with `--ignored`, and move to the others once they pass.
//!
//! A test is called like its program, `files_open`, or `files_open::musl` where the program
//! is built with several libraries; arguments are those of every Rust test.

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use birgus_tests::birgus::{birgus_with, take_own_lines};
use birgus_tests::compare::compare;
use birgus_tests::program::{DEFAULT_LIMIT, Program};
use birgus_tests::run::{Outcome, Status, run};
use birgus_tests::scratch::Scratch;
use birgus_tests::sides::natively;
use libtest_mimic::{Arguments, Failed, Trial};

/// Time for a run on Linux.
const NATIVE_LIMIT: Duration = Duration::from_secs(30);

/// What a program exits with when it could not even begin.
const STATUS_BROKEN: [i32; 2] = [98, 99];

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let arguments = Arguments::from_args();
    let trial = |program: Program| {
        Trial::test(program.test_name(), move || conforms(&program).map_err(Failed::from))
    };
    let mut trials: Vec<Trial> = Program::all()?.into_iter().map(trial).collect();
    trials.extend(Program::open()?.into_iter().map(|open| trial(open).with_ignored_flag(true)));
    Ok(libtest_mimic::run(&arguments, trials).exit_code())
}

fn conforms(program: &Program) -> Result<(), Box<dyn Error>> {
    let path = program.build()?;
    let linux = on_linux(program, &path)?;
    match linux.status {
        Status::TimedOut => return Err("the program does not end on Linux either".into()),
        Status::Ended(status) if STATUS_BROKEN.contains(&status) => {
            return Err(format!("the program cannot run on Linux: {}", linux.text()).into());
        }
        Status::Ended(_) => {}
    }
    let (birgus, own) = in_birgus(program, &path)?;
    Ok(compare(&linux, &birgus, &own)?)
}

fn on_linux(program: &Program, path: &Path) -> Result<Outcome, Box<dyn Error>> {
    let (directory, scratch) = (Scratch::new()?, Scratch::on_tmpfs()?);
    let mut command = natively(path);
    command.args(&program.directives.arguments).current_dir(directory.path());
    command.env("SCRATCH", scratch.path());
    for variable in &program.directives.environment {
        let (name, value) = variable.split_once('=').unwrap_or((variable, ""));
        command.env(name, value);
    }
    Ok(run(command, program.given(NATIVE_LIMIT)?)?)
}

/// The outcome, without Birgus's own lines, and these.
fn in_birgus(program: &Program, path: &Path) -> Result<(Outcome, Vec<String>), Box<dyn Error>> {
    let limit = program.directives.limit.unwrap_or(DEFAULT_LIMIT);
    let given = program.given(limit)?;
    let mut outcome = birgus_with(["run", "-e", "SCRATCH=/tmp"], given, |command| {
        for variable in &program.directives.environment {
            command.args(["-e", variable]);
        }
        command.arg(path).args(&program.directives.arguments);
    })?;
    let own = take_own_lines(&mut outcome.stderr);
    Ok((outcome, own))
}

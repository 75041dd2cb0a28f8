//! The KVM engine in the nested rig: programs of `tests/programs` behave as on Linux; machines
//! end, share and stand what they should. Always a few programs, with `BIRGUS_TEST_FULL=1` all
//! of them, and applications.

use std::error::Error;
use std::fmt::Write;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use birgus_tests::birgus::take_own_lines;
use birgus_tests::compare::compare;
use birgus_tests::full;
use birgus_tests::program::Program;
use birgus_tests::rig::{self, Brought};
use birgus_tests::run::{Outcome, Status, run};
use birgus_tests::scratch::Scratch;
use birgus_tests::sides::natively;

/// Time for a run on Linux.
const NATIVE_LIMIT: Duration = Duration::from_secs(30);

/// Seconds of the rig's clock for a program.
const RIG_SECONDS: u32 = 60;

/// Time for the whole rig.
const LIMIT: Duration = Duration::from_secs(3600);

/// Programs that run in one boot of the rig: their files are in its memory twice.
const PER_BOOT: usize = 48;

/// What always runs: a program for each of the areas.
const ALWAYS: [&str; 15] = [
    "end_null",
    "events_epoll::glibc",
    "files_io",
    "hello_musl",
    "language_rust",
    "machine_interrupts",
    "memory_map::glibc",
    "pipe::glibc",
    "process_fork::glibc",
    "signals_basic::glibc",
    "signals_interrupt",
    "sockets_inet::glibc",
    "terminal_pty::glibc",
    "thread_basics::glibc",
    "time_timers::glibc",
];

/// What the rig says before the parts of what came of a program, in [`TRY`].
const MARK: char = '\u{2}';

/// Runs a program whose files are in `/cases`, and says whether that went as on Linux, or what
/// came of it: the status, and the lengths of what it wrote, which follows.
const TRY: &str = r#"
mkfifo /tmp/nobody
try() {
    number=$1 reader=$2; shift 2
    cd /cases
    if [ $reader = closed ]; then
        # Once the only reader has gone, there is nobody to write to.
        sleep 0 </tmp/nobody & exec 4>/tmp/nobody; wait $!
        birgus run --engine kvm "$@" <$number.in >&4 2>/tmp/err 4>&-; status=$?
        exec 4>&-; : >/tmp/out
    else
        birgus run --engine kvm "$@" <$number.in >/tmp/out 2>/tmp/err; status=$?
    fi
    if [ $status = $(cat $number.status) ] && cmp -s /tmp/out $number.out && cmp -s /tmp/err $number.err
    then printf '\002%d same\n' $number
    else
        printf '\002%d %d %d %d\n' $number $status $(stat -c %s /tmp/out /tmp/err)
        cat /tmp/out /tmp/err
    fi
}
"#;

/// A program, and what it does on Linux.
struct Case {
    program: Program,
    path: PathBuf,
    input: Vec<u8>,
    linux: Outcome,
}

#[test]
fn machines_and_programs_on_kvm_are_as_they_should_be() -> Result<(), Box<dyn Error>> {
    let helper = |name: &str| -> io::Result<Brought> {
        Ok((Program::for_boot(name)?.build()?, format!("/programs/{name}")))
    };
    let files = ["exit_with", "never_ends", "hostile", "triple_fault"].map(helper);
    let mut files = files.into_iter().collect::<io::Result<Vec<_>>>()?;
    files.push(("/usr/bin/passt".into(), "/bin/passt".into()));
    let cases = prepare(|name| ALWAYS.contains(&name))?;
    assert_eq!(cases.len(), ALWAYS.len(), "a program has another name");
    let machines = include_str!("rig/machines.sh");
    let (said, differences) = differing(&cases, files, machines)?;
    assert_eq!((said.as_str(), differences.join("\n").as_str()), ("", ""));
    Ok(())
}

#[test]
fn all_programs_behave_under_kvm_as_on_linux() -> Result<(), Box<dyn Error>> {
    if !full() {
        return Ok(());
    }
    let cases = prepare(|_| true)?;
    let mut all = Vec::new();
    for part in cases.chunks(PER_BOOT) {
        let (said, differences) = differing(part, Vec::new(), "")?;
        assert_eq!(said, "");
        differences.iter().for_each(|difference| eprintln!("{difference}"));
        all.extend(differences);
        eprintln!("up to {}: {} differ", part[part.len() - 1].program.test_name(), all.len());
    }
    assert!(all.is_empty(), "{} of {} differ", all.len(), cases.len());
    Ok(())
}

#[test]
fn applications_work_under_kvm() -> Result<(), Box<dyn Error>> {
    if !full() {
        return Ok(());
    }
    let scratch = Scratch::new()?;
    let program = scratch.path().join("program.go");
    fs::write(&program, include_str!("rig/program.go"))?;
    let static_go = scratch.path().join("program");
    let built = Command::new("go")
        .args(["build", "-o"])
        .args([&static_go, &program])
        .env("CGO_ENABLED", "0")
        .env("GOCACHE", scratch.path().join("cache"))
        .status()?;
    assert!(built.success(), "the program in Go does not build");
    let mut files = vec![(static_go, "/programs/go".to_owned())];
    let paths = ["passt", "python3.11", "redis-server", "redis-cli", "redis-benchmark"];
    files.extend(paths.map(|name| (Path::new("/usr/bin").join(name), format!("/usr/bin/{name}"))));
    files.push(("/usr/lib/python3.11".into(), "/usr/lib/python3.11".to_owned()));
    let (said, _) = differing(&[], files, include_str!("rig/applications.sh"))?;
    assert_eq!(said, "");
    Ok(())
}

/// Runs a script and then programs in the rig; what the script said, and which programs behave
/// in another way than on Linux.
fn differing(
    cases: &[Case],
    mut files: Vec<Brought>,
    script: &str,
) -> Result<(String, Vec<String>), Box<dyn Error>> {
    let scratch = Scratch::new()?;
    let mut script = [script, TRY].concat();
    for (number, case) in cases.iter().enumerate() {
        let Status::Ended(status) = case.linux.status else {
            return Err(format!("{} does not end on Linux", case.program.test_name()).into());
        };
        let status = status.to_string();
        let parts: [(&str, &[u8]); 4] = [
            ("in", &case.input),
            ("status", status.as_bytes()),
            ("out", &case.linux.stdout),
            ("err", &case.linux.stderr),
        ];
        for (name, bytes) in parts {
            let file = scratch.path().join(format!("{number}.{name}"));
            fs::write(&file, bytes)?;
            files.push((file, format!("/cases/{number}.{name}")));
        }
        files.push((case.path.clone(), case.path.to_string_lossy().into_owned()));
        writeln!(script, "{}", command(number, case))?;
    }
    let output = rig::run(&files, &script, LIMIT, &mut io::sink())?.output;
    let start = output.iter().position(|&byte| byte == MARK as u8).unwrap_or(output.len());
    let (said, mut rest) = output.split_at(start);
    let said = String::from_utf8_lossy(said).into_owned();
    let mut found = Vec::new();
    for (number, case) in cases.iter().enumerate() {
        if let Some(outcome) = outcome(&mut rest, number)? {
            let Outcome { status, stdout, mut stderr } = outcome;
            let own = take_own_lines(&mut stderr);
            let here = Outcome { status, stdout, stderr };
            if let Err(difference) = compare(&case.linux, &here, &own) {
                found.push(format!("{}: {difference}", case.program.test_name()));
            }
        }
    }
    Ok((said, found))
}

/// What the rig says of a program, off the beginning of `rest`; none when it is as on Linux.
fn outcome(rest: &mut &[u8], number: usize) -> Result<Option<Outcome>, String> {
    let lost = || format!("the rig says of program {number}: {}", rest.escape_ascii());
    let line = rest.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let after = rest.get(line.len() + 1..).ok_or_else(lost)?;
    let words = str::from_utf8(line).ok().and_then(|line| line.strip_prefix(MARK));
    let words = words.and_then(|words| words.strip_prefix(&format!("{number} ")));
    let words: Vec<&str> = words.ok_or_else(lost)?.split(' ').collect();
    let numbers: Option<Vec<usize>> = words.iter().map(|word| word.parse().ok()).collect();
    match (&words[..], numbers.as_deref()) {
        (["same"], _) => {
            *rest = after;
            Ok(None)
        }
        (_, Some(&[status, out, err])) if out + err <= after.len() => {
            let (stdout, after) = after.split_at(out);
            let (stderr, after) = after.split_at(err);
            *rest = after;
            let status = Status::Ended(status as i32);
            Ok(Some(Outcome { status, stdout: stdout.to_vec(), stderr: stderr.to_vec() }))
        }
        _ => Err(lost()),
    }
}

/// The programs with such names, built and run on Linux.
fn prepare(wanted: impl Fn(&str) -> bool) -> Result<Vec<Case>, Box<dyn Error>> {
    let programs = Program::all()?.into_iter();
    programs.filter(|program| wanted(&program.test_name())).map(on_linux).collect()
}

fn on_linux(program: Program) -> Result<Case, Box<dyn Error>> {
    let path = program.build()?;
    let given = program.given(NATIVE_LIMIT)?;
    let input = given.stdin.clone();
    let (directory, scratch) = (Scratch::new()?, Scratch::on_tmpfs()?);
    let mut command = natively(&path);
    command.args(&program.directives.arguments).current_dir(directory.path());
    command.env("SCRATCH", scratch.path());
    for variable in &program.directives.environment {
        let (name, value) = variable.split_once('=').unwrap_or((variable, ""));
        command.env(name, value);
    }
    let linux = run(command, given)?;
    Ok(Case { program, path, input, linux })
}

/// What runs a program in the rig.
fn command(number: usize, case: &Case) -> String {
    let directives = &case.program.directives;
    let quoted = |word: &str| format!("'{}'", word.replace('\'', r"'\''"));
    let reader = if directives.stdout_closed { "closed" } else { "there" };
    let mut words = format!("try {number} {reader} --timeout {RIG_SECONDS} -e SCRATCH=/tmp");
    for variable in &directives.environment {
        words.extend([" -e ", &quoted(variable)]);
    }
    for word in [&*case.path.to_string_lossy()]
        .into_iter()
        .chain(directives.arguments.iter().map(|word| word.as_str()))
    {
        words.extend([" ", &quoted(word)]);
    }
    words
}

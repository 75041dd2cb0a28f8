//! Languages and tools of Debian that start programs, use what is installed beside them, and
//! work on many files: Perl, Lua, Python, Ruby, Tcl, make, the C compiler, git, sqlite3 and archives.
//! Only the program is named; what it needs of `/usr` it sees there.
//!
//! The scripts are in `tests/languages`, given as an argument, so that both sides need no
//! files. The long ones run with `BIRGUS_TEST_FULL=1`.

use std::fs;
use std::path::Path;
use std::time::Duration;

use birgus_tests::birgus::birgus;
use birgus_tests::repository;
use birgus_tests::run::{Given, Status};
use birgus_tests::scratch::Scratch;
use birgus_tests::sides::{DEFAULT_LIMIT, Setting, agree};

/// For what takes a compiler.
const LONG: Setting = Setting {
    stdin: b"",
    directory: None,
    environment: &[],
    options: &[],
    limit: Some(Duration::from_secs(600)),
};

/// The text of a script of this test.
fn script(name: &str) -> String {
    let path = repository().join("tests/languages").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Runs `program OPTION TEXT` on both sides, where TEXT is that of a script.
#[track_caller]
fn agree_on_script(program: &str, option: &str, name: &str, setting: &Setting) {
    agree(program, &[option, &script(name)], setting);
}

#[test]
fn programs_find_what_is_installed_with_them() {
    let plain = Setting::default();
    agree("/usr/bin/python3", &["-c", "import json; print(json.dumps([1, None]))"], &plain);
    agree("/usr/bin/perl", &["-e", "use POSIX qw(floor); print floor(2.5), qq(\\n)"], &plain);
    agree("/bin/sh", &["-c", "seq 3 | sed 's/$/!/' | sort -r"], &plain);
}

#[test]
fn what_is_installed_can_be_hidden() {
    let outcome =
        birgus(["run", "--no-usr", "/bin/sh", "-c", "seq 3"], Given::limit(DEFAULT_LIMIT))
            .expect("birgus starts");
    assert_eq!(outcome.status, Status::Ended(127), "{}", outcome.errors());
    assert_eq!(outcome.errors(), "/bin/sh: 1: seq: not found\n");
}

#[test]
fn what_is_installed_cannot_be_changed() {
    let outcome = birgus(
        ["run", "/bin/sh", "-c", "touch /usr/new; rm /usr/bin/env; ls /usr/bin/env"],
        Given::limit(DEFAULT_LIMIT),
    )
    .expect("birgus starts");
    assert_eq!(outcome.text(), "/usr/bin/env\n");
    assert_eq!(outcome.errors().matches("Read-only file system").count(), 2);
    assert!(Path::new("/usr/bin/env").exists());
}

#[test]
fn perl_with_processes_pipes_signals_and_modules() {
    agree_on_script("/usr/bin/perl", "-e", "processes.pl", &Setting::default());
}

#[test]
fn lua_starts_programs_and_writes_files() {
    agree_on_script("/usr/bin/lua5.4", "-e", "processes.lua", &Setting::default());
}

#[test]
fn python_with_processes_maps_and_modules() {
    agree_on_script("/usr/bin/python3", "-c", "processes.py", &Setting::default());
}

#[test]
fn python_with_threads_pools_and_event_loops() {
    agree_on_script("/usr/bin/python3", "-c", "threads.py", &Setting::default());
}

#[test]
fn ruby_with_processes_threads_and_modules() {
    agree_on_script("/usr/bin/ruby", "-e", "processes.rb", &Setting::default());
}

#[test]
fn tcl_reads_its_script_and_waits_for_events() {
    let text = script("processes.tcl");
    agree("/usr/bin/tclsh", &[], &Setting { stdin: text.as_bytes(), ..Setting::default() });
}

#[test]
fn shells_with_coreutils() {
    agree_on_script("/usr/bin/dash", "-c", "coreutils.sh", &Setting::default());
}

#[test]
fn git_on_a_file_system_in_memory() {
    if birgus_tests::full() {
        agree_on_script("/bin/sh", "-c", "git.sh", &LONG);
    }
}

#[test]
fn git_on_a_directory_of_the_host() {
    if !birgus_tests::full() {
        return;
    }
    let volume = Scratch::new().expect("a scratch directory");
    let path = volume.path().to_str().expect("a path of plain letters");
    let share = format!("{path}:{path}");
    let setting = Setting { environment: &[("WHERE", path)], options: &["-v", &share], ..LONG };
    agree_on_script("/bin/sh", "-c", "git.sh", &setting);
}

#[test]
fn a_program_is_compiled_and_run() {
    agree_on_script("/bin/sh", "-c", "hello.sh", &LONG);
}

#[test]
fn make_builds_a_project_in_parallel() {
    if birgus_tests::full() {
        agree_on_script("/bin/sh", "-c", "project.sh", &LONG);
    }
}

#[test]
fn compilers_with_optimisation_of_whole_programs() {
    if birgus_tests::full() {
        agree_on_script("/bin/sh", "-c", "compilers.sh", &LONG);
    }
}

#[test]
fn text_tools_archives_and_generators() {
    if birgus_tests::full() {
        agree_on_script("/bin/sh", "-c", "tools.sh", &LONG);
    }
}

//! Runtimes with several threads, unmodified, on Linux and in Birgus: Go, Python, Java, Node,
//! and tools that compute with several threads. They take minutes: only with
//! `BIRGUS_TEST_FULL`.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use birgus_tests::program::pattern;
use birgus_tests::repository;
use birgus_tests::run::Status;
use birgus_tests::scratch::Scratch;
use birgus_tests::sides::{Setting, agree, in_birgus};

/// A machine that sees the host's programs and has memory for large runtimes.
const LARGE: &[&str] = &["--rootfs", "/", "--memory", "1500M"];

/// A setting for a large runtime, with this directory.
fn large(directory: &Path) -> Setting<'_> {
    Setting {
        directory: Some(directory),
        environment: &[("PYTHONUNBUFFERED", "1")],
        options: LARGE,
        limit: Some(Duration::from_secs(300)),
        ..Setting::default()
    }
}

/// Runs an interpreter with a script of `tests/scripts` on both sides.
#[track_caller]
fn agree_on_script(interpreter: &str, script: &str) {
    let scripts = repository().join("tests/scripts");
    let path = scripts.join(script);
    let path = path.to_str().expect("a readable path");
    assert_eq!(agree(interpreter, &[path], &large(&scripts)).status, Status::Ended(0));
}

#[track_caller]
fn build(command: &mut Command) {
    let built = command.output().expect("the compiler is installed");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
}

#[test]
fn go_schedules_collects_preempts_and_executes() {
    if !birgus_tests::full() {
        return;
    }
    let scratch = Scratch::new().unwrap();
    let program = scratch.path().join("threads");
    let source = repository().join("tests/scripts/threads.go");
    build(
        Command::new("go")
            .args(["build", "-o"])
            .args([&program, &source])
            .env("CGO_ENABLED", "0")
            .env("GOCACHE", scratch.path().join("cache"))
            .current_dir(scratch.path()),
    );
    let setting = Setting { limit: Some(Duration::from_secs(300)), ..Setting::default() };
    let program = program.to_str().expect("a readable path");
    assert_eq!(agree(program, &[], &setting).status, Status::Ended(0));
}

#[test]
fn python_threads_wait_count_and_start_processes() {
    if birgus_tests::full() {
        agree_on_script("/usr/bin/python3", "threads.py");
    }
}

#[test]
fn node_has_workers_and_a_pool() {
    if birgus_tests::full() {
        agree_on_script("/usr/bin/node", "threads.js");
    }
}

#[test]
fn node_serves_itself_and_starts_processes() {
    if birgus_tests::full() {
        agree_on_script("/usr/bin/node", "services.js");
    }
}

/// Compiles a class of `tests/scripts` and runs it on both sides, until it ends with `status`.
#[track_caller]
fn agree_on_class(class: &str, status: i32) {
    let scratch = Scratch::new().unwrap();
    let source = repository().join("tests/scripts").join(class).with_extension("java");
    build(Command::new("javac").arg("-d").arg(scratch.path()).arg(source));
    let classes = scratch.path().to_str().expect("a readable path");
    let arguments = ["-Xmx64m", "-cp", classes, class];
    let outcome = agree("/usr/bin/java", &arguments, &large(scratch.path()));
    assert_eq!(outcome.status, Status::Ended(status));
}

#[test]
fn java_has_a_pool_and_collects() {
    if birgus_tests::full() {
        agree_on_class("Threads", 0);
    }
}

#[test]
fn java_serves_itself_starts_processes_and_survives_faults() {
    if birgus_tests::full() {
        agree_on_class("Services", 5);
    }
}

#[test]
fn restic_backs_up_and_restores() {
    if birgus_tests::full() {
        agree_on_script("/bin/sh", "restic.sh");
    }
}

#[test]
fn hugo_builds_a_site() {
    if birgus_tests::full() {
        agree_on_script("/bin/sh", "hugo.sh");
    }
}

#[test]
fn tools_walk_search_and_copy_many_files() {
    if birgus_tests::full() {
        agree_on_script("/bin/sh", "tools.sh");
    }
}

#[test]
fn compressors_use_several_threads() {
    if !birgus_tests::full() {
        return;
    }
    let scratch = Scratch::new().unwrap();
    scratch.file("data", pattern(3_000_000)).unwrap();
    let data = scratch.path().join("data");
    let data = data.to_str().expect("a readable path");
    for script in [
        "xz -T2 --block-size=300KiB -0 -c \"$0\" | xz -T2 -dc | md5sum",
        "zstd -T2 -3 -q -c \"$0\" | zstd -dcq | md5sum",
    ] {
        agree("/bin/sh", &["-c", script, data], &large(scratch.path()));
    }
}

#[test]
fn stress_ng_finds_nothing_wrong() {
    if !birgus_tests::full() {
        return;
    }
    let scratch = Scratch::new().unwrap();
    for stressor in ["pthread", "futex", "mutex", "sem", "switch", "signal", "membarrier"] {
        let arguments =
            ["--temp-path", "/tmp", &format!("--{stressor}"), "2", "--timeout", "10", "--verify"];
        let (outcome, _) = in_birgus("/usr/bin/stress-ng", &arguments, &large(scratch.path()));
        let text = outcome.errors() + &outcome.text();
        assert_eq!(outcome.status, Status::Ended(0), "{stressor}: {text}");
        assert!(text.contains("successful run completed"), "{stressor}: {text}");
    }
}

//! Dynamically linked programs of Debian, and scripts: only the program is named, and its
//! interpreter and its libraries come along. Both sides agree on output and status.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use birgus_tests::scratch::Scratch;
use birgus_tests::sides::{Setting, agree};

#[track_caller]
fn agree_on(program: &str, arguments: &[&str]) {
    agree(program, arguments, &Setting::default());
}

/// A directory with a text of many lines.
fn texts() -> (Scratch, String) {
    let scratch = Scratch::new().expect("a scratch directory");
    let path = scratch.path().join("text");
    let lines: String = (0..300).map(|i| format!("{} line {i}\n", i * 7919 % 101)).collect();
    fs::write(&path, lines).expect("room for a text");
    let path = path.to_str().expect("a path of plain letters").to_owned();
    (scratch, path)
}

#[test]
fn coreutils() {
    let (scratch, text) = texts();
    let setting = Setting { directory: Some(scratch.path()), ..Setting::default() };
    agree("/usr/bin/sort", &["-n", &text], &setting);
    agree("/usr/bin/wc", &[&text], &setting);
    agree("/usr/bin/sha256sum", &[&text], &setting);
    agree("/usr/bin/stat", &["-c", "%a %s %n", &text], &setting);
    agree_on("/usr/bin/cat", &["/no/such/file"]);
    agree_on("/usr/bin/date", &["-u", "-d", "@86400"]);
    agree_on("/usr/bin/seq", &["-s", ",", "5"]);
}

#[test]
fn text_tools() {
    let (scratch, text) = texts();
    let setting = Setting { directory: Some(scratch.path()), ..Setting::default() };
    agree("/usr/bin/grep", &["-c", "line 1", &text], &setting);
    agree("/usr/bin/sed", &["-n", "s/line/x/p;5q", &text], &setting);
    agree("/usr/bin/awk", &["{ sum += $1 } END { print sum }", &text], &setting);
    agree("/usr/bin/gzip", &["-nc", &text], &setting);
}

#[test]
fn shells_with_pipelines_and_substitution() {
    let script = "x=$(echo inner | { read y; echo \"$y!\"; }); echo $x; (exit 4); echo $?; exit 3";
    agree_on("/usr/bin/dash", &["-c", script]);
    agree_on("/usr/bin/bash", &["-c", script]);
    agree_on(
        "/usr/bin/bash",
        &["-c", "a=(1 2 3); echo ${#a[@]}; read x <<< text || exit 5; echo $x"],
    );
}

#[test]
fn perl_forks() {
    let program = "my $p = fork; exit 7 unless $p; wait; print $? >> 8, qq(\\n)";
    agree_on("/usr/bin/perl", &["-e", program]);
}

#[test]
fn the_interpreter_itself_loads_a_program() {
    let echo = "/usr/bin/echo:/usr/bin/echo:ro";
    let setting = Setting { options: &["-v", echo], ..Setting::default() };
    agree("/lib64/ld-linux-x86-64.so.2", &["/usr/bin/echo", "loaded"], &setting);
}

/// An executable script.
fn script(scratch: &Scratch, name: &str, text: &str) -> PathBuf {
    let path = scratch.path().join(name);
    fs::write(&path, text).expect("room for a script");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("my own file");
    path
}

#[test]
fn scripts_come_with_their_interpreters() {
    let scratch = Scratch::new().expect("a scratch directory");
    let inner = script(&scratch, "inner", "#!/bin/sh -e\necho \"$#: $1 $2\"\nfalse\necho never\n");
    let outer = script(&scratch, "outer", &format!("#!{}", inner.display()));
    let by_env = script(&scratch, "by-env", "#!/usr/bin/env perl\nprint \"@ARGV\\n\";\n");
    for path in [inner, outer, by_env] {
        agree_on(path.to_str().expect("a path of plain letters"), &["first", "second"]);
    }
}

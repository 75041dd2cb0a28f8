//! Shells that fork: the project's own script and smaller ones, by Debian's static shells
//! and, as their commands, busybox; on Linux and in Birgus.

use std::time::Duration;

use birgus_tests::repository;
use birgus_tests::run::Status;
use birgus_tests::sides::{Setting, Tools, agree};

const BUSYBOX: &str = "/bin/busybox";
const BASH: &str = "/bin/bash-static";
const ZSH: &str = "/bin/zsh-static";

/// Runs `program` with busybox's commands in `PATH`.
#[track_caller]
fn with_tools(program: &str, arguments: &[&str]) -> Status {
    let tools = Tools::new().expect("busybox is installed");
    let path = tools.path().to_str().expect("a readable path");
    let setting = Setting {
        directory: Some(tools.path()),
        environment: &[("PATH", path)],
        limit: Some(Duration::from_secs(300)),
        ..Setting::default()
    };
    agree(program, arguments, &setting).status
}

/// The script of `tests/scripts`, given as an argument: it needs no file in the guest.
#[track_caller]
fn session(shell: &str, arguments: &[&str]) {
    let script = repository().join("tests/scripts/session.sh");
    let script = std::fs::read_to_string(script).expect("the script is there");
    let arguments = [arguments, &["-c", &script]].concat();
    assert_eq!(with_tools(shell, &arguments), Status::Ended(6), "the script's own status");
}

#[test]
fn busybox_runs_a_session() {
    session(BUSYBOX, &["sh"]);
}

#[test]
fn bash_runs_a_session() {
    session(BASH, &[]);
}

#[test]
fn zsh_runs_a_session() {
    session(ZSH, &["--emulate", "sh"]);
}

#[test]
fn busybox_pipelines() {
    let scripts = [
        "seq 1 5000 | sort -r | uniq | wc -l",
        "yes crab | head -n 1000 | uniq -c",
        "seq 1 100 | xargs -n 7 echo | awk '{ print NF }' | sort -n | uniq -c",
        "seq 1 20 | xargs -I {} -n 1 expr {} \\* 2",
        "echo / /dev /none | xargs -n 1 ls -d; echo $?",
        "mkdir -p /tmp/a/b/c; touch /tmp/a/1 /tmp/a/b/2; \
         find /tmp/a -exec basename {} ';' | sort; find /tmp/a -type f -exec ls {} + | sort; \
         rm -r /tmp/a",
        "time -p true 2>&1 | cut -d ' ' -f 1",
        "timeout 0.3 sleep 20; echo $?; timeout 20 false; echo $?",
        "timeout -s KILL 0.3 sh -c 'trap \"\" TERM; while :; do :; done'; echo $?",
        "seq 1 30000 | gzip | gunzip | md5sum; seq 1 30000 | md5sum",
        "cd /tmp; mkdir t; seq 1 100 >t/n; tar cf - t | (mkdir u; cd u; tar xf -; cmp t/n ../t/n) \
         && echo same; rm -r t u",
        "dd if=/dev/zero bs=4096 count=100 2>/dev/null | tee /tmp/copy | wc -c; wc -c </tmp/copy",
        "mkfifo /tmp/f; (cat /tmp/f | tr a-z A-Z) & echo through >/tmp/f; wait; rm /tmp/f",
        "nohup echo kept </dev/null; setsid sh -c 'echo session'; nice -n 5 nice",
        "i=0; while [ $i -lt 200 ]; do $(true); i=$((i + 1)); done; echo $i",
        "for i in 1 2 3 4 5 6 7 8; do (exit $i) & done; wait; echo all",
        "sh -c 'exit 3' | sh -c 'cat; exit 4'; echo $?",
        "(sleep 0.2; echo slow) & echo fast; wait",
        "cat /proc/self/comm; tr '\\0' ' ' </proc/self/cmdline; sh -c 'ls /proc/$$/task | wc -l'",
    ];
    for script in scripts {
        with_tools(BUSYBOX, &["sh", "-c", script]);
    }
}

#[test]
fn bash_and_zsh_fork_in_their_own_ways() {
    let scripts = [
        "paste <(seq 1 5) <(seq 2 6); echo $?",
        "echo hello > >(tr a-z A-Z); wait; sleep 0.2",
        "set -o pipefail; false | true; echo $?; echo $(seq 1 3 | tac)",
        "for i in {1..20}; do echo $i | cat & done | sort -n | paste -sd ,",
        "a=($(seq 1 50)); echo ${#a[@]}; (( ${a[10]} )) && echo yes",
        "exec 3< <(echo from; echo coproc); read x <&3; read y <&3; echo $x $y",
        "f() { echo in; return 4; }; f | cat; x=$(f); echo $x $?",
        "trap 'echo exit' EXIT; (exit 7); echo $?; exit 8",
        "kill -KILL $$",
    ];
    for script in scripts {
        with_tools(BASH, &["-c", script]);
        with_tools(ZSH, &["-fc", script]);
    }
    with_tools(BASH, &["-c", "true | false | true; echo ${PIPESTATUS[@]}"]);
    with_tools(BASH, &["-c", "coproc cat; echo x >&${COPROC[1]}; read -u ${COPROC[0]} y; echo $y"]);
    with_tools(ZSH, &["-fc", "true | false | true; echo $pipestatus"]);
}

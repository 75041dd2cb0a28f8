//! Debian's stress-ng: its stressors check their own results. A machine goes through them
//! without a message of its own but of calls that it does not have, and has as much free
//! memory after one more run as before.
//!
//! Only under `BIRGUS_TEST_FULL=1`.

use std::process::Command;
use std::time::Duration;

use birgus_tests::birgus::{path, take_own_lines};
use birgus_tests::full;
use birgus_tests::run::{Given, Status, run};
use birgus_tests::scratch::Scratch;

const STRESS: &str = "/usr/bin/stress-ng";
const LIMIT: Duration = Duration::from_secs(300);

/// How much less memory may be free after one more run, in KiB.
const KEPT: i64 = 128;

/// Lines that stress-ng prints, less what changes.
const SUCCESS: &str = "successful run completed";

/// Runs `stress-ng` with these words for that long, as a child of a shell and as `user`.
fn stress_as(user: u32, words: &str, seconds: u32) {
    let scratch = Scratch::new().unwrap();
    let script = format!(
        "export PATH=/usr/bin
        stress() {{
            /usr/bin/setpriv --reuid {user} --regid {user} --clear-groups {STRESS} --temp-path /tmp $*
        }}
        chmod 1777 /tmp
        free() {{ awk '/MemFree/ {{ print $2 }}' /proc/meminfo; }}
        stress {words} --timeout {seconds} 2>&1
        echo \"status $?\"
        # The kernel's heap and the pages of files grow to what is needed, and then no more.
        for i in 1 2 3 4 5 6; do
            before=$(free)
            stress {words} --timeout 1 >/dev/null 2>&1
            lost=$((before - $(free)))
            [ $lost -le {KEPT} ] && break
        done
        echo \"memory $lost\""
    );
    scratch.file("script", script).unwrap();
    let mut command = Command::new(path());
    command.args(["run", "-m", "512M", "-v", "/usr:/usr:ro", "-v", ".:/data:ro"]);
    command.args(["/bin/busybox", "sh", "/data/script"]).current_dir(scratch.path());
    let mut outcome = run(command, Given::limit(LIMIT)).unwrap();
    let own = take_own_lines(&mut outcome.stderr);
    let text = outcome.text();
    let unknown = |line: &&String| !line.ends_with("is not implemented");
    let warnings: Vec<_> = own.iter().filter(unknown).collect();
    assert!(warnings.is_empty(), "{words}: {warnings:#?}");
    assert_eq!(outcome.status, Status::Ended(0), "{words}: {text}");
    let good = text.contains(SUCCESS) && text.contains("status 0\n") && !text.contains("fail:");
    assert!(good, "{words}: {text}");
    let lost = text.lines().find_map(|line| line.strip_prefix("memory ")?.parse::<i64>().ok());
    assert!(lost.is_some_and(|lost| lost <= KEPT), "{words}: each run takes {lost:?} KiB");
}

/// One of those that are looked at for longer.
fn long(words: &str) {
    if full() {
        stress_as(0, &format!("{words} --verify"), 10);
    }
}

fn each(names: &[&str]) {
    if full() {
        names.iter().for_each(|name| stress_as(0, &format!("--{name} 1 --verify"), 2));
    }
}

#[test]
fn fork() {
    long("--fork 2");
}

#[test]
fn vm() {
    long("--vm 1 --vm-bytes 128M");
}

#[test]
fn mmap() {
    long("--mmap 1");
}

#[test]
fn pipe() {
    long("--pipe 1");
}

#[test]
fn exec() {
    // It refuses to run as root.
    if full() {
        stress_as(65534, "--exec 2 --verify", 10);
    }
}

#[test]
fn cpu() {
    long("--cpu 1");
}

#[test]
fn pthread() {
    long("--pthread 1");
}

#[test]
fn futex() {
    long("--futex 1");
}

#[test]
fn signal() {
    long("--signal 1");
}

#[test]
fn timer() {
    long("--timer 1");
}

#[test]
fn epoll() {
    long("--epoll 1");
}

#[test]
fn eventfd() {
    long("--eventfd 1");
}

#[test]
fn poll() {
    long("--poll 1");
}

#[test]
fn pty() {
    long("--pty 1");
}

#[test]
fn sem() {
    long("--sem 1");
    long("--sem-sysv 1");
}

#[test]
fn msg() {
    long("--msg 1");
    long("--mq 1");
}

#[test]
fn processes() {
    each(&["vfork", "wait", "zombie", "daemon", "switch", "yield", "nice", "clone"]);
}

#[test]
fn memory() {
    each(&["brk", "madvise", "mincore", "mlock", "mmapfork", "mmapmany", "mmapaddr", "mmapfixed"]);
    each(&["mprotect", "mremap", "msync", "munmap", "pagemove", "stack", "tlb-shootdown"]);
    each(&["vm-splice"]);
}

#[test]
fn shared_memory() {
    // Where memory is too little it would be killed, as on Linux.
    each(&["shm", "shm-sysv", "memfd-bytes 64M --memfd", "dev-shm", "tmpfs"]);
}

#[test]
fn files() {
    each(&["access", "chmod", "chown", "copy-file", "dentry", "dir", "dup", "fallocate", "fcntl"]);
    // The temporary file system is half of the memory large, and it wants 1 GiB.
    each(&["iomix-bytes 64M --iomix"]);
    each(&["fifo", "flock", "fpunch", "full", "hdd", "link", "lockf", "null", "open"]);
    each(&["pipeherd", "procfs", "rename", "seek", "sendfile", "splice", "symlink"]);
    each(&["tee", "touch", "utime", "zero"]);
}

#[test]
fn timers() {
    each(&["itimer", "timerfd", "hrtimers", "alarm", "nanosleep", "clock"]);
}

#[test]
fn signals() {
    each(&["sigabrt", "sigfd", "signest", "sigpending"]);
    each(&["kill", "sigfpe", "sigpipe", "sigq", "sigrt", "sigsegv", "sigsuspend", "sigtrap"]);
}

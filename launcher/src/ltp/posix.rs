//! The open_posix_testsuite, which comes with LTP: one program for each assertion of a page
//! of POSIX. The exit status is all that a test says.
//!
//! The programs are `conformance/*/PAGE/*.run-test` below the folder where it is built or
//! installed. There is no list of them: the folder is the list.

use super::entry::{Entry, Reference};
use super::files::{POSIX_TEST, Suite};
use super::verdict::{Judged, Verdict};

/// How the names of pages begin that are about one thing, and what that is.
const AREAS: [(&str, &str); 26] = [
    ("pthread_mutex", "mutexes"),
    ("pthread_cond", "conditions"),
    ("pthread_rwlock", "read-write locks"),
    ("pthread_barrier", "barriers and spin locks"),
    ("pthread_spin", "barriers and spin locks"),
    ("pthread_attr", "thread attributes"),
    ("pthread_", "threads"),
    ("sched_", "scheduling"),
    ("sem_", "semaphores"),
    ("mq_", "message queues"),
    ("aio_", "asynchronous files"),
    ("lio_", "asynchronous files"),
    ("sig", "signals"),
    ("kill", "signals"),
    ("raise", "signals"),
    ("timer", "timers"),
    ("clock", "time"),
    ("nanosleep", "time"),
    ("time", "time"),
    ("mmap", "memory"),
    ("mun", "memory"),
    ("mlock", "memory"),
    ("shm_", "memory"),
    ("fork", "processes"),
    ("getpid", "processes"),
    ("WIFEXITED", "processes"),
];

/// Where pages belong that are about nothing of these.
const OTHER_AREA: &str = "library";

/// What tests end with (open_posix_testsuite, include/posixtest.h).
const PASS: i32 = 0;
const FAIL: i32 = 1;
const UNRESOLVED: i32 = 2;
const UNSUPPORTED: i32 = 4;
const UNTESTED: i32 = 5;

/// The entries of the suite, in order.
#[must_use]
pub fn entries(suite: &Suite) -> Vec<Entry> {
    suite.programs().into_iter().filter_map(entry).collect()
}

fn entry(program: String) -> Option<Entry> {
    let ending = std::str::from_utf8(POSIX_TEST).ok()?;
    let mut parts = program.strip_suffix(ending)?.rsplit('/');
    let name = parts.next()?.to_owned();
    // Folders below a page's own are parts of it.
    let page = program.split('/').nth(2).filter(|page| page.len() < program.len())?.to_owned();
    let area = AREAS.iter().find(|(start, _)| page.starts_with(start));
    let plain = !program.contains(|c: char| c.is_whitespace() || c.is_control());
    plain.then(|| Entry {
        name,
        directory: page.clone(),
        area: area.map_or(OTHER_AREA, |(_, area)| area).to_owned(),
        argv: vec![program.clone()],
        linux: Reference::Unknown,
        linux_tpass: 0,
        linux_seconds: 0.0,
        gvisor: None,
    })
}

/// Judges a test that ended by itself: UNRESOLVED as BROK, UNSUPPORTED and UNTESTED as CONF.
#[must_use]
pub fn judge_status(status: i32, output: &str) -> Judged {
    let plain = |line: &'_ str| line.trim().trim_start_matches([':', ' ']).to_owned();
    let said = output.lines().map(plain).rfind(|line| !line.is_empty()).unwrap_or_default();
    let words = |what: &str| format!("{what}: {said}").trim_end_matches([':', ' ']).to_owned();
    match status {
        PASS => (Verdict::Pass, String::new()),
        FAIL => (Verdict::Fail, said.clone()),
        UNRESOLVED => (Verdict::Brok, words("unresolved")),
        UNSUPPORTED => (Verdict::Conf, words("unsupported")),
        UNTESTED => (Verdict::Conf, words("untested")),
        other => (Verdict::Brok, words(&format!("ended with status {other}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_an_entry_of_its_page() {
        let named = |path: &str| entry(path.to_owned()).unwrap();
        let plain = named(
            "conformance/interfaces/pthread_condattr_init/pthread_condattr_init_1-1.run-test",
        );
        assert_eq!(plain.name, "pthread_condattr_init_1-1");
        assert_eq!((&*plain.directory, &*plain.area), ("pthread_condattr_init", "conditions"));
        let deeper = named("conformance/interfaces/sigaction/speculative/x_1-1.run-test");
        assert_eq!((&*deeper.directory, &*deeper.area), ("sigaction", "signals"));
        assert_eq!(named("conformance/definitions/errno_h/errno_h_3-2.run-test").area, "library");
        assert_eq!(entry("conformance/x.run-test".into()), None);
        assert_eq!(entry("conformance/interfaces/fork/fork_1-1.test".into()), None);
        assert_eq!(entry("conformance/interfaces/a b/a_1-1.run-test".into()), None);
    }

    #[test]
    fn the_status_is_the_verdict() {
        let said = "step\nTest FAILED: no\n\n";
        assert_eq!(judge_status(0, said), (Verdict::Pass, String::new()));
        assert_eq!(judge_status(1, said), (Verdict::Fail, "Test FAILED: no".into()));
        assert_eq!(judge_status(2, said), (Verdict::Brok, "unresolved: Test FAILED: no".into()));
        assert_eq!(judge_status(4, ""), (Verdict::Conf, "unsupported".into()));
        assert_eq!(judge_status(5, ": \n: x\n"), (Verdict::Conf, "untested: x".into()));
        assert_eq!(judge_status(139, ""), (Verdict::Brok, "ended with status 139".into()));
    }
}

//! From the end of a test to its verdict.
//!
//! The exit status decides: its bits say FAIL 1, BROK 2, WARN 4, CONF 32. A test that ends
//! with 0 has to have said that something passed, and nothing that contradicts it.

use super::files;
use super::output::{Counts, Kind, first};
use super::posix;
use crate::host::Ending;
use abi::boot::channel::ExitStatus;

/// What came of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// All its checks passed.
    Pass,
    /// Something around the test went wrong.
    Warn,
    /// The system does not have what it needs.
    Conf,
    /// A check failed.
    Fail,
    /// It could not be carried out to its end.
    Brok,
    /// It, or its machine, had not ended in time.
    Timeout,
    /// The kernel failed, or the machine was lost.
    Crash,
    /// The suite does not have the program.
    Missing,
}

impl Verdict {
    /// All of them, the best first.
    pub const ALL: [Self; 8] = [
        Self::Pass,
        Self::Warn,
        Self::Conf,
        Self::Fail,
        Self::Brok,
        Self::Timeout,
        Self::Crash,
        Self::Missing,
    ];

    /// Its name in files and reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pass => "PASS",
            Self::Warn => "WARN",
            Self::Conf => "CONF",
            Self::Fail => "FAIL",
            Self::Brok => "BROK",
            Self::Timeout => "TIMEOUT",
            Self::Crash => "CRASH",
            Self::Missing => "MISSING",
        }
    }

    /// The verdict with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|verdict| verdict.name() == name)
    }
}

/// A verdict with its reason, in the words of the test or the machine; empty for a pass.
pub type Judged = (Verdict, String);

const FAIL: i32 = 1;
const BROK: i32 = 2;
const WARN: i32 = 4;
const CONF: i32 = 32;

/// Judges a test of a suite by the status that it ended with and what it wrote.
#[must_use]
pub fn judge_end(suite: files::Kind, status: i32, output: &str) -> Judged {
    match suite {
        files::Kind::Ltp => judge_status(status, output),
        files::Kind::Posix => posix::judge_status(status, output),
    }
}

/// Judges a run by how it ended and what the test (`output`) and Birgus (`own`) said.
#[must_use]
pub fn judge(suite: files::Kind, ending: &Ending, output: &str, own: &str) -> Judged {
    match ending {
        Ending::Exit(ExitStatus::Exited(status)) => judge_end(suite, status & 0xff, output),
        Ending::Exit(ExitStatus::Killed(signal)) => {
            let said = first(output, Kind::Fail).or(first(output, Kind::Brok));
            let said = said.map(|words| format!(": {words}")).unwrap_or_default();
            (Verdict::Brok, format!("killed by signal {signal}{said}"))
        }
        Ending::Exit(ExitStatus::NotStarted(errno)) => {
            (Verdict::Brok, format!("could not be started (errno {errno})"))
        }
        Ending::Exit(ExitStatus::KernelFailure) => {
            let said = own.lines().find(|line| line.contains("panic")).or(own.lines().next());
            (Verdict::Crash, said.unwrap_or("the kernel failed").to_owned())
        }
        Ending::Lost(reason) => (Verdict::Crash, format!("the machine is lost: {reason}")),
        Ending::TimedOut => {
            let last = output.lines().rfind(|line| !line.trim().is_empty());
            (Verdict::Timeout, last.map(|line| format!("after: {line}")).unwrap_or_default())
        }
        Ending::Signal(signal) => (Verdict::Timeout, format!("ended by signal {signal}")),
    }
}

/// Judges a test that ended by itself.
#[must_use]
pub fn judge_status(status: i32, output: &str) -> Judged {
    let counts = Counts::read(output);
    let known = FAIL | BROK | WARN | CONF;
    let said = |kind| first(output, kind).map(str::to_owned);
    if status & !known != 0 {
        let words = said(Kind::Brok).or(said(Kind::Fail)).unwrap_or_default();
        return (
            Verdict::Brok,
            format!("ended with status {status} {words}").trim_end().to_owned(),
        );
    }
    let bits = [
        (FAIL, Kind::Fail, Verdict::Fail),
        (BROK, Kind::Brok, Verdict::Brok),
        (WARN, Kind::Warn, Verdict::Warn),
        (CONF, Kind::Conf, Verdict::Conf),
    ];
    for (bit, kind, verdict) in bits {
        if status & bit != 0 {
            let words = said(kind).or_else(|| said(Kind::Fail)).or_else(|| said(Kind::Brok));
            return (verdict, words.unwrap_or_else(|| format!("status {status}, without a word")));
        }
    }
    for (kind, verdict) in [(Kind::Fail, Verdict::Fail), (Kind::Brok, Verdict::Brok)] {
        if counts.of(kind) > 0 {
            let words = said(kind).unwrap_or_default();
            return (verdict, format!("status 0 in spite of: {words}"));
        }
    }
    if counts.passed == 0 {
        return (Verdict::Brok, "status 0, but nothing was said to have passed".into());
    }
    (Verdict::Pass, String::new())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exited(status: i32, output: &str) -> Judged {
        judge(files::Kind::Ltp, &Ending::Exit(ExitStatus::Exited(status)), output, "")
    }

    #[test]
    fn the_bits_of_the_status_decide() {
        let said = "a.c:1: TPASS: x\na.c:2: TFAIL: f\na.c:3: TBROK: b\na.c:4: TCONF: c\n";
        assert_eq!(exited(1, said), (Verdict::Fail, "f".into()));
        assert_eq!(exited(33, said), (Verdict::Fail, "f".into()));
        assert_eq!(exited(2, said), (Verdict::Brok, "b".into()));
        assert_eq!(exited(32, said), (Verdict::Conf, "c".into()));
        assert_eq!(exited(4, "").0, Verdict::Warn);
        assert_eq!(exited(36, "").0, Verdict::Warn);
        assert_eq!(exited(127, said), (Verdict::Brok, "ended with status 127 b".into()));
        assert_eq!(exited(256, "a.c:1: TPASS: x\n").0, Verdict::Pass);
    }

    #[test]
    fn a_status_of_0_needs_a_pass_and_no_failure() {
        assert_eq!(exited(0, "a.c:1: TPASS: x\n"), (Verdict::Pass, String::new()));
        assert_eq!(exited(0, "hello\n").0, Verdict::Brok);
        let lie = exited(0, "a.c:1: TPASS: x\na.c:2: TFAIL: f\n");
        assert_eq!(lie, (Verdict::Fail, "status 0 in spite of: f".into()));
        assert_eq!(exited(0, "a  1  TPASS : x\na  2  TBROK : b\n").0, Verdict::Brok);
    }

    #[test]
    fn ends_of_the_machine_are_told_apart() {
        let panic = judge(
            files::Kind::Ltp,
            &Ending::Exit(ExitStatus::KernelFailure),
            "",
            "x\nkernel panic: y\n",
        );
        assert_eq!(panic, (Verdict::Crash, "kernel panic: y".into()));
        assert_eq!(judge(files::Kind::Ltp, &Ending::Lost("gone".into()), "", "").0, Verdict::Crash);
        let late = judge(files::Kind::Ltp, &Ending::TimedOut, "one\ntwo\n\n", "");
        assert_eq!(late, (Verdict::Timeout, "after: two".into()));
        let killed = judge(files::Kind::Ltp, &Ending::Exit(ExitStatus::Killed(11)), "", "");
        assert_eq!(killed, (Verdict::Brok, "killed by signal 11".into()));
    }

    #[test]
    fn names_lead_back() {
        for verdict in Verdict::ALL {
            assert_eq!(Verdict::from_name(verdict.name()), Some(verdict));
        }
        assert_eq!(Verdict::from_name("pass"), None);
    }
}

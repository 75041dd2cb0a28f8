//! What a test said: LTP's result lines and its summary.
//!
//! Two forms are in use: `file.c:12: TPASS: words`, followed at the end by a summary, and the
//! older `name  1  TPASS  :  words` without one.

/// How many results of each kind a test reported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// `TPASS`
    pub passed: u32,
    /// `TFAIL`
    pub failed: u32,
    /// `TBROK`
    pub broken: u32,
    /// `TWARN`
    pub warnings: u32,
    /// `TCONF`
    pub skipped: u32,
}

/// A kind of result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A check that passed.
    Pass,
    /// A check that failed.
    Fail,
    /// The test could not go on.
    Brok,
    /// Something around the test went wrong.
    Warn,
    /// The system does not have what the test needs.
    Conf,
}

const KINDS: [(&str, Kind); 5] = [
    ("TPASS", Kind::Pass),
    ("TFAIL", Kind::Fail),
    ("TBROK", Kind::Brok),
    ("TWARN", Kind::Warn),
    ("TCONF", Kind::Conf),
];

const SUMMARY: [(&str, Kind); 5] = [
    ("passed", Kind::Pass),
    ("failed", Kind::Fail),
    ("broken", Kind::Brok),
    ("warnings", Kind::Warn),
    ("skipped", Kind::Conf),
];

impl Counts {
    /// The number of results of one kind.
    #[must_use]
    pub fn of(&self, kind: Kind) -> u32 {
        match kind {
            Kind::Pass => self.passed,
            Kind::Fail => self.failed,
            Kind::Brok => self.broken,
            Kind::Warn => self.warnings,
            Kind::Conf => self.skipped,
        }
    }

    fn of_mut(&mut self, kind: Kind) -> &mut u32 {
        match kind {
            Kind::Pass => &mut self.passed,
            Kind::Fail => &mut self.failed,
            Kind::Brok => &mut self.broken,
            Kind::Warn => &mut self.warnings,
            Kind::Conf => &mut self.skipped,
        }
    }

    /// Reads what a test wrote: its last summary, or its lines where it wrote none.
    #[must_use]
    pub fn read(output: &str) -> Self {
        if let Some(counts) = output.rsplit_once("Summary:\n").and_then(|(_, rest)| summary(rest)) {
            return counts;
        }
        let mut counts = Self::default();
        for (kind, _) in output.lines().filter_map(result) {
            let count = counts.of_mut(kind);
            *count = count.saturating_add(1);
        }
        counts
    }
}

/// The summary, when all of its lines are there.
fn summary(text: &str) -> Option<Counts> {
    let mut counts = Counts::default();
    let mut lines = text.lines();
    for _ in SUMMARY {
        let (name, number) = lines.next()?.split_once(' ')?;
        let (_, kind) = SUMMARY.into_iter().find(|(known, _)| *known == name)?;
        *counts.of_mut(kind) = number.trim().parse().ok()?;
    }
    Some(counts)
}

/// The kind and the words of a result line.
fn result(line: &str) -> Option<(Kind, &str)> {
    let (at, kind) = KINDS
        .into_iter()
        .filter_map(|(word, kind)| Some((line.find(&format!(" {word}"))? + 1, kind)))
        .min_by_key(|(at, _)| *at)?;
    let words = line.get(at + "TPASS".len()..)?.trim_start().strip_prefix(':')?;
    Some((kind, words.trim()))
}

/// The words of the first result of a kind.
#[must_use]
pub fn first(output: &str, kind: Kind) -> Option<&str> {
    output.lines().filter_map(result).find(|(found, _)| *found == kind).map(|(_, words)| words)
}

/// What LTP's library says when a test ran out of time, or slept longer than it was to.
const OUT_OF_TIME: [&str; 3] = ["Test killed! (timeout?)", "Test timeouted", "slept for too long"];

/// Whether the test's time was the reason of its failure, by its own words.
#[must_use]
pub fn is_out_of_time(output: &str) -> bool {
    OUT_OF_TIME.iter().any(|words| output.contains(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEW: &str = "tst_test.c:1953: TINFO: Timeout per run is 0h 02m 00s\n\
        abort01.c:60: TPASS: abort() dumped core\nabort01.c:63: TFAIL: no signal: ENOSYS (38)\n\n\
        Summary:\npassed   2\nfailed   1\nbroken   0\nskipped  3\nwarnings 0\n";

    #[test]
    fn the_summary_counts() {
        let counts = Counts::read(NEW);
        let expected = Counts { passed: 2, failed: 1, skipped: 3, ..Counts::default() };
        assert_eq!(counts, expected);
        assert_eq!(first(NEW, Kind::Fail), Some("no signal: ENOSYS (38)"));
        assert_eq!(first(NEW, Kind::Brok), None);
    }

    #[test]
    fn without_a_summary_the_lines_count() {
        let old = "dup01       1  TPASS  :  dup returned 4\ndup01       2  TFAIL  :  dup.c:9: no\n";
        let expected = Counts { passed: 1, failed: 1, ..Counts::default() };
        assert_eq!(Counts::read(old), expected);
        assert_eq!(first(old, Kind::Fail), Some("dup.c:9: no"));
        let cut = NEW.replace("warnings 0\n", "");
        assert_eq!(Counts::read(&cut), expected);
    }

    #[test]
    fn tests_say_when_they_ran_out_of_time() {
        assert!(is_out_of_time("tst_test.c:1950: TBROK: Test killed! (timeout?)\n"));
        assert!(is_out_of_time("x.c:1: TFAIL: nanosleep() slept for too long\n"));
        assert!(!is_out_of_time(NEW));
    }

    #[test]
    fn words_about_results_are_no_results() {
        assert_eq!(
            Counts::read("x.c:1: TINFO: expects TPASS\nTPASS\nXTPASS: a\n"),
            Counts::default()
        );
        assert_eq!(Counts::read("Summary:\npassed 99999999999\n"), Counts::default());
        assert_eq!(Counts::read(""), Counts::default());
    }
}

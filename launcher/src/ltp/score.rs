//! What the results amount to.
//!
//! The denominator is always the entries that pass on Linux. An entry is covered when it
//! passes here, too, with at least as many passed checks: a test that skips (`TCONF`) what it
//! does on Linux is not covered, or a missing call would be a free pass.

use super::entry::{Entry, Reference};
use super::results::{Machine, Outcome, Results};
use super::verdict::Verdict;
use crate::kernel::Row;
use abi::boot::table::Support;
use std::collections::BTreeMap;

/// Where an entry stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// As on Linux.
    Covered,
    /// It passes, with fewer checks than on Linux.
    Fewer,
    /// It does not pass.
    Open(Verdict),
    /// It was not run.
    NotRun,
    /// It does not pass on Linux, or is left out: it does not count.
    Unscored,
}

/// An entry with what came of it.
#[derive(Clone, Debug)]
pub struct Line<'a> {
    /// The entry.
    pub entry: &'a Entry,
    /// What came of it, if it was run.
    pub outcome: Option<&'a Outcome>,
    /// Where it stands.
    pub state: State,
}

/// Counts of entries that pass on Linux.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Those that pass on Linux.
    pub linux: usize,
    /// Those that are covered.
    pub covered: usize,
    /// Those that pass with fewer checks.
    pub fewer: usize,
    /// Those that do not pass, by verdict.
    pub open: [usize; 8],
    /// Those that were not run.
    pub not_run: usize,
    /// Those whose machine had other entries, too.
    pub shared: usize,
    /// Those that pass on gVisor.
    pub gvisor: usize,
    /// Those of which gVisor's verdict is known.
    pub gvisor_known: usize,
}

/// How much of a directory is covered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coverage {
    /// All of it.
    Full,
    /// Some of it.
    Partial,
    /// Nothing.
    None,
    /// Nothing of it passes on Linux.
    Unscored,
}

/// A directory of the suite: in most cases a system call.
#[derive(Clone, Debug)]
pub struct Directory {
    /// Its name.
    pub name: String,
    /// The area it belongs to.
    pub area: String,
    /// Its entries, counted.
    pub tally: Tally,
    /// What the kernel's table says of the call, if it is one.
    pub table: Option<Row>,
    /// In what the table and the results contradict each other.
    pub contradiction: Option<String>,
}

/// Entries that are open for one reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// The reason.
    pub words: String,
    /// The names of the entries.
    pub entries: Vec<String>,
}

/// All that the results amount to.
#[derive(Debug)]
pub struct Score<'a> {
    /// Every entry.
    pub lines: Vec<Line<'a>>,
    /// All of them together.
    pub total: Tally,
    /// By area.
    pub areas: BTreeMap<String, Tally>,
    /// By directory.
    pub directories: Vec<Directory>,
    /// Why entries are open, the most frequent reason first.
    pub causes: Vec<Cause>,
}

impl Line<'_> {
    /// What Linux made of it, in words.
    #[must_use]
    pub fn linux(&self) -> String {
        match &self.entry.linux {
            Reference::Verdict(verdict) => verdict.name().to_owned(),
            Reference::Excluded(reason) => format!("left out: {reason}"),
            Reference::Unknown => String::new(),
        }
    }
}

impl Coverage {
    /// Its name in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Full => "covered",
            Self::Partial => "partial",
            Self::None => "none",
            Self::Unscored => "not scored",
        }
    }
}

impl State {
    /// Its name in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Covered => "covered",
            Self::Fewer => "fewer checks",
            Self::Open(verdict) => verdict.name(),
            Self::NotRun => "not run",
            Self::Unscored => "not scored",
        }
    }

    fn of(entry: &Entry, outcome: Option<&Outcome>) -> Self {
        match outcome {
            _ if !entry.is_scored() => Self::Unscored,
            None => Self::NotRun,
            Some(outcome) if outcome.verdict != Verdict::Pass => Self::Open(outcome.verdict),
            Some(outcome) if outcome.counts.passed < entry.linux_tpass => Self::Fewer,
            Some(_) => Self::Covered,
        }
    }
}

impl Tally {
    fn add(&mut self, line: &Line<'_>) {
        match line.state {
            State::Unscored => return,
            State::Covered => self.covered += 1,
            State::Fewer => self.fewer += 1,
            State::Open(verdict) => self.open[verdict as usize] += 1,
            State::NotRun => self.not_run += 1,
        }
        self.linux += 1;
        let machine = line.outcome.map(|outcome| outcome.machine);
        self.shared += usize::from(machine == Some(Machine::Shared));
        self.gvisor_known += usize::from(line.entry.gvisor.is_some());
        self.gvisor += usize::from(line.entry.gvisor == Some(Verdict::Pass));
    }

    /// How much is covered.
    #[must_use]
    pub fn coverage(&self) -> Coverage {
        match (self.linux, self.covered) {
            (0, _) => Coverage::Unscored,
            (linux, covered) if linux == covered => Coverage::Full,
            (_, 0) => Coverage::None,
            _ => Coverage::Partial,
        }
    }

    /// How many pass on gVisor; nothing where that is not known.
    #[must_use]
    pub fn gvisor_words(&self) -> String {
        if self.gvisor_known > 0 { self.gvisor.to_string() } else { String::new() }
    }

    /// The covered part, in percent.
    #[must_use]
    pub fn percent(&self) -> f64 {
        percent(self.covered, self.linux)
    }
}

/// A part in percent; 0 of nothing.
#[must_use]
pub fn percent(part: usize, whole: usize) -> f64 {
    100.0 * part as f64 / whole.max(1) as f64
}

/// Adds everything up. `table` is the kernel's own.
#[must_use]
pub fn score<'a>(entries: &[&'a Entry], results: &'a Results, table: &[Row]) -> Score<'a> {
    let lines: Vec<Line<'_>> = entries
        .iter()
        .map(|&entry| {
            let outcome = results.get(&entry.name);
            Line { entry, outcome, state: State::of(entry, outcome) }
        })
        .collect();
    let (mut total, mut areas) = (Tally::default(), BTreeMap::<String, Tally>::new());
    let mut directories = BTreeMap::<(&str, &str), Tally>::new();
    for line in &lines {
        total.add(line);
        areas.entry(line.entry.area.clone()).or_default().add(line);
        let (name, area) = (line.entry.directory.as_str(), line.entry.area.as_str());
        directories.entry((name, area)).or_default().add(line);
    }
    let directories = directories
        .into_iter()
        .map(|((name, area), tally)| directory(name, area, tally, table))
        .collect();
    let causes = causes(&lines);
    Score { lines, total, areas, directories, causes }
}

fn directory(name: &str, area: &str, tally: Tally, table: &[Row]) -> Directory {
    let plain = name.trim_end_matches(|c: char| c.is_ascii_digit());
    let row = |name: &str| table.iter().find(|row| row.name == name);
    let table = row(name).or_else(|| row(plain)).cloned();
    let contradiction = table.as_ref().and_then(|row| contradiction(row.support, &tally));
    Directory { name: name.into(), area: area.into(), tally, table, contradiction }
}

fn contradiction(support: Support, tally: &Tally) -> Option<String> {
    let run = tally.linux - tally.not_run - tally.open[Verdict::Missing as usize];
    let open = run - tally.covered;
    match support {
        Support::Full if open > 0 => {
            Some(format!("the table says full, but {open} of {run} entries are not covered"))
        }
        Support::None if tally.covered > 0 => {
            Some(format!("the table says none, but {} entries are covered", tally.covered))
        }
        _ => None,
    }
}

/// Groups open entries by their reasons.
fn causes(lines: &[Line<'_>]) -> Vec<Cause> {
    let mut groups: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in lines {
        if let Some(outcome) = line.outcome
            && matches!(line.state, State::Open(_) | State::Fewer)
        {
            groups.entry(cause(line.state, outcome)).or_default().push(line.entry.name.clone());
        }
    }
    let mut causes: Vec<Cause> =
        groups.into_iter().map(|(words, entries)| Cause { words, entries }).collect();
    causes.sort_by_key(|cause| std::cmp::Reverse(cause.entries.len()));
    causes
}

/// The reason in words that other entries with the same reason have, too: the missing call, or
/// the message without what is particular to the entry.
fn cause(state: State, outcome: &Outcome) -> String {
    let verdict = outcome.verdict.name();
    match (state, missing_call(outcome)) {
        (State::Fewer, _) => "passes with fewer checks than on Linux".into(),
        (_, Some(call)) => format!("{call} is not implemented"),
        (State::Open(Verdict::Timeout), None) => "has not ended in time".into(),
        _ => format!("{verdict}: {}", general(&outcome.message)),
    }
}

/// The missing call that the message is about. A test may well get along without the others.
fn missing_call(outcome: &Outcome) -> Option<&String> {
    let message = &outcome.message;
    let named = outcome.calls.iter().filter(|call| message.contains(call.as_str()));
    // The longest, because `mount` is also in `umount2`.
    let named = named.max_by_key(|call| call.len());
    let about_one = message.contains("ENOSYS") || message.contains("__NR_");
    named.or_else(|| outcome.calls.first().filter(|_| about_one))
}

/// A message with its numbers and names of files taken out.
fn general(message: &str) -> String {
    let mut words = Vec::new();
    for word in message.split_whitespace().take(16) {
        let named = word.contains(".c:") || word.contains('/') && word.len() > 1;
        let mut plain = String::new();
        for character in word.chars() {
            let digit = character.is_ascii_digit();
            if !digit {
                plain.push(character);
            } else if !plain.ends_with('N') {
                plain.push('N');
            }
        }
        words.push(if named { "…".to_owned() } else { plain });
    }
    words.dedup();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::super::entry::read_baseline;
    use super::super::output::Counts;
    use super::*;

    fn outcome(verdict: Verdict, passed: u32) -> Outcome {
        let counts = Counts { passed, ..Counts::default() };
        Outcome { counts, ..Outcome::new(verdict, "open(/tmp/x1) failed: ENOSYS (38)") }
    }

    fn row(name: &str, support: Support) -> Row {
        Row { number: 0, name: name.into(), support, note: String::new() }
    }

    const BASELINE: &str = "\n\
        a1\ta1\tdup\tfd\tPASS\t2\t0\tPASS\n\
        a2\ta2\tdup\tfd\tPASS\t2\t0\tFAIL\n\
        a3\ta3\tdup\tfd\tCONF\t0\t0\tCONF\n\
        b1\tb1\tpipe2\tfd\tPASS\t1\t0\tPASS\n\
        c1\tc1\tbpf\tid\tPASS\t1\t0\tPASS\n\
        d1\td1\treboot\tid\tEXCLUDED(reboot)\t\t\t-\n";

    #[test]
    fn only_what_passes_on_linux_counts_and_fewer_checks_do_not_cover() {
        let entries = read_baseline("b", BASELINE).unwrap();
        let entries: Vec<&Entry> = entries.iter().collect();
        let results = Results::from([
            ("a1".into(), outcome(Verdict::Pass, 2)),
            ("a2".into(), outcome(Verdict::Pass, 1)),
            ("a3".into(), outcome(Verdict::Pass, 9)),
            ("b1".into(), outcome(Verdict::Conf, 0)),
        ]);
        let table = [row("dup", Support::Full), row("pipe2", Support::Partial)];
        let score = score(&entries, &results, &table);
        let total = &score.total;
        assert_eq!((total.linux, total.covered, total.fewer, total.not_run), (4, 1, 1, 1));
        assert_eq!(total.open[Verdict::Conf as usize], 1);
        assert_eq!((total.gvisor, total.gvisor_known), (3, 4));
        assert_eq!(score.areas["fd"].covered, 1);
        let dup = score.directories.iter().find(|found| found.name == "dup").unwrap();
        assert_eq!(dup.tally.coverage(), Coverage::Partial);
        assert!(dup.contradiction.as_ref().unwrap().contains("1 of 2"));
        let reboot = score.directories.iter().find(|found| found.name == "reboot").unwrap();
        assert_eq!(reboot.tally.coverage(), Coverage::Unscored);
    }

    #[test]
    fn a_covered_call_that_the_table_denies_is_a_contradiction() {
        let tally = Tally { linux: 1, covered: 1, ..Tally::default() };
        assert!(contradiction(Support::None, &tally).is_some());
        assert!(contradiction(Support::Full, &tally).is_none());
        let not_run = Tally { linux: 3, not_run: 3, ..Tally::default() };
        assert!(contradiction(Support::Full, &not_run).is_none());
    }

    #[test]
    fn entries_with_one_reason_are_grouped() {
        assert_eq!(
            general("x01.c:12: open(/tmp/LTP_a) failed: ENOSYS (38)"),
            "… failed: ENOSYS (N)"
        );
        let mut missing = outcome(Verdict::Brok, 0);
        missing.calls = vec!["bpf".into()];
        assert_eq!(cause(State::Open(Verdict::Brok), &missing), "bpf is not implemented");
        missing.calls = vec!["bpf".into(), "open".into()];
        assert_eq!(cause(State::Open(Verdict::Brok), &missing), "open is not implemented");
        missing.message = "no block device".into();
        assert_eq!(cause(State::Open(Verdict::Brok), &missing), "BROK: no block device");
    }
}

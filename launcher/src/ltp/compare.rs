//! What has changed since earlier results.

use super::entry::Entry;
use super::report;
use super::results::{self, Results};
use super::score::{Line, State, score};
use crate::Error;
use crate::escape::escaped_os;
use std::fs;
use std::path::Path;

/// Entries that changed, by their names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// Those that are covered now and were not.
    pub newly_passing: Vec<String>,
    /// Those that were covered and are not any more.
    pub newly_failing: Vec<String>,
}

/// Reads earlier results: a `report.json` or a `results.tsv`.
///
/// # Errors
/// The file cannot be read, or has no results.
pub fn read(path: &Path) -> Result<Results, Error> {
    let shown = escaped_os(path);
    let text = fs::read_to_string(path)
        .map_err(|error| Error::io(format_args!("cannot read {shown}"), &error))?;
    let found =
        if text.starts_with('{') { report::read(&text) } else { Some(results::parse(&text)) };
    found
        .filter(|results| !results.is_empty())
        .ok_or_else(|| Error::Failed(format!("{shown} has no results of birgus ltp")))
}

/// Compares entries that were run both times.
#[must_use]
pub fn compare(entries: &[&Entry], before: &Results, now: &Results) -> Difference {
    let (before, now) = (score(entries, before, &[]), score(entries, now, &[]));
    let mut difference = Difference::default();
    for (old, new) in before.lines.iter().zip(&now.lines) {
        match (passes(old), passes(new)) {
            (Some(false), Some(true)) => difference.newly_passing.push(new.entry.name.clone()),
            (Some(true), Some(false)) => difference.newly_failing.push(new.entry.name.clone()),
            _ => {}
        }
    }
    difference
}

fn passes(line: &Line<'_>) -> Option<bool> {
    match line.state {
        State::Covered => Some(true),
        State::Fewer | State::Open(_) => Some(false),
        State::NotRun | State::Unscored => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::entry::read_baseline;
    use super::super::results::Outcome;
    use super::super::verdict::Verdict;
    use super::*;

    #[test]
    fn only_what_ran_both_times_can_differ() {
        let text: String = ["a", "b", "c", "d"]
            .map(|name| format!("{name}\tp\td\tx\tPASS\t1\t0\tPASS\n"))
            .concat();
        let entries = read_baseline("b", &format!("\n{text}")).unwrap();
        let entries: Vec<&Entry> = entries.iter().collect();
        let outcome = |verdict| {
            let mut outcome = Outcome::new(verdict, "");
            outcome.counts.passed = 1;
            outcome
        };
        let before = Results::from([
            ("a".into(), outcome(Verdict::Pass)),
            ("b".into(), outcome(Verdict::Fail)),
            ("c".into(), outcome(Verdict::Pass)),
        ]);
        let now = Results::from([
            ("a".into(), outcome(Verdict::Crash)),
            ("b".into(), outcome(Verdict::Pass)),
            ("d".into(), outcome(Verdict::Fail)),
        ]);
        let found = compare(&entries, &before, &now);
        assert_eq!(found.newly_passing, ["b"]);
        assert_eq!(found.newly_failing, ["a"]);
    }
}

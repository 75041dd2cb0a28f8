//! The report for programs.

use super::Report;
use crate::ltp::results::{Machine, Outcome, Results};
use crate::ltp::score::{Coverage, Directory, Line, Tally};
use crate::ltp::verdict::Verdict;
use serde_json::{Map, Value, json};

/// The version of the form, so that later programs can read earlier reports.
const FORMAT: u32 = 1;

/// The report as JSON.
pub(super) fn text(report: &Report<'_>) -> String {
    let score = report.score;
    let circumstances: Map<String, Value> = report
        .circumstances
        .iter()
        .map(|(name, value)| ((*name).to_owned(), json!(value)))
        .collect();
    let areas: Map<String, Value> =
        score.areas.iter().map(|(name, found)| (name.clone(), tally(found))).collect();
    let causes: Vec<Value> = score
        .causes
        .iter()
        .map(|cause| json!({ "cause": cause.words, "entries": cause.entries }))
        .collect();
    let value = json!({
        "format": FORMAT,
        "measured": circumstances,
        "total": tally(&score.total),
        "areas": areas,
        "directories": score.directories.iter().map(directory).collect::<Vec<_>>(),
        "causes": causes,
        "difference": report.difference.as_ref().map(|found| json!({
            "newly_passing": found.newly_passing,
            "newly_failing": found.newly_failing,
        })),
        "entries": score.lines.iter().map(entry).collect::<Vec<_>>(),
    });
    format!("{value:#}\n")
}

fn tally(tally: &Tally) -> Value {
    let open: Map<String, Value> = Verdict::ALL
        .into_iter()
        .filter(|verdict| *verdict != Verdict::Pass)
        .map(|verdict| (verdict.name().to_owned(), json!(tally.open[verdict as usize])))
        .collect();
    json!({
        "linux": tally.linux,
        "covered": tally.covered,
        "fewer_checks": tally.fewer,
        "open": open,
        "not_run": tally.not_run,
        "shared": tally.shared,
        "gvisor": tally.gvisor,
        "gvisor_known": tally.gvisor_known,
    })
}

fn directory(directory: &Directory) -> Value {
    let coverage: Coverage = directory.tally.coverage();
    json!({
        "directory": directory.name,
        "area": directory.area,
        "coverage": coverage.name(),
        "linux": directory.tally.linux,
        "covered": directory.tally.covered,
        "not_run": directory.tally.not_run,
        "gvisor": directory.tally.gvisor,
        "table": directory.table.as_ref().map(|row| row.support.name()),
        "contradiction": directory.contradiction,
    })
}

fn entry(line: &Line<'_>) -> Value {
    let outcome = line.outcome;
    json!({
        "entry": line.entry.name,
        "directory": line.entry.directory,
        "area": line.entry.area,
        "linux": line.linux(),
        "linux_tpass": line.entry.linux_tpass,
        "gvisor": line.entry.gvisor.map(Verdict::name),
        "verdict": outcome.map(|found| found.verdict.name()),
        "tpass": outcome.map(|found| found.counts.passed),
        "state": line.state.name(),
        "seconds": outcome.map(|found| found.seconds),
        "message": outcome.map(|found| &found.message),
        "calls": outcome.map(|found| &found.calls),
        "machine": outcome.map(|found| found.machine.name()),
    })
}

/// The results in an earlier report; `None` when it is none.
#[must_use]
pub fn read(text: &str) -> Option<Results> {
    let value: Value = serde_json::from_str(text).ok()?;
    if value.get("format")?.as_u64()? != u64::from(FORMAT) {
        return None;
    }
    let mut results = Results::new();
    for entry in value.get("entries")?.as_array()? {
        let Some(verdict) = entry.get("verdict").and_then(Value::as_str) else { continue };
        let name = entry.get("entry")?.as_str()?.to_owned();
        let mut outcome = Outcome::new(Verdict::from_name(verdict)?, "");
        let passed = entry.get("tpass").and_then(Value::as_u64).unwrap_or(0);
        outcome.counts.passed = u32::try_from(passed).ok()?;
        let machine = entry.get("machine").and_then(Value::as_str);
        outcome.machine = machine.and_then(Machine::from_name).unwrap_or_default();
        results.insert(name, outcome);
    }
    Some(results)
}

//! The report as Markdown, for reading in a terminal or in a change request.

use super::Report;
use crate::ltp::score::{Cause, Coverage, Tally, percent};
use crate::ltp::verdict::Verdict;

/// Reasons that are listed.
pub(super) const CAUSES: usize = 10;

/// Entries that are listed for one reason.
const EXAMPLES: usize = 5;

/// The report.
pub(super) fn text(report: &Report<'_>) -> String {
    let score = report.score;
    let mut text = format!("# {}\n\n", report.title());
    text.push_str(&totals(&score.total));
    let count =
        |level| score.directories.iter().filter(|found| found.tally.coverage() == level).count();
    text.push_str(&format!(
        "\nDirectories: {} covered, {} partial, {} none; {} do not count.\n",
        count(Coverage::Full),
        count(Coverage::Partial),
        count(Coverage::None),
        count(Coverage::Unscored)
    ));
    text.push_str("\n## Areas\n\n| area | Linux | Birgus | | gVisor |\n|---|--:|--:|--:|--:|\n");
    for (name, tally) in &score.areas {
        text.push_str(&format!(
            "| {} | {} | {} | {:.1} % | {} |\n",
            plain(name),
            tally.linux,
            tally.covered,
            tally.percent(),
            tally.gvisor_words()
        ));
    }
    text.push_str(&causes(&score.causes));
    text.push_str("\n## Contradictions\n\n");
    for directory in &score.directories {
        if let Some(words) = &directory.contradiction {
            text.push_str(&format!("- {}: {words}\n", plain(&directory.name)));
        }
    }
    if let Some(found) = &report.difference {
        for (title, names) in
            [("Newly passing", &found.newly_passing), ("Newly failing", &found.newly_failing)]
        {
            let names: Vec<String> = names.iter().map(|name| plain(name)).collect();
            text.push_str(&format!("\n## {title} ({})\n\n{}\n", names.len(), names.join(" ")));
        }
    }
    text.push_str("\n## Measured\n\n");
    for (name, value) in &report.circumstances {
        text.push_str(&format!("- {name}: {}\n", plain(value)));
    }
    text
}

/// The totals, beside Linux and gVisor.
#[must_use]
pub fn totals(total: &Tally) -> String {
    let mut text = format!(
        "Of {} entries that pass on Linux, Birgus covers {} ({:.1} %)",
        total.linux,
        total.covered,
        total.percent()
    );
    if total.gvisor_known > 0 {
        let part = percent(total.gvisor, total.linux);
        text.push_str(&format!(", gVisor passes {} ({part:.1} %)", total.gvisor));
    }
    text.push_str(".\n\n");
    let mut rest: Vec<String> = Verdict::ALL
        .into_iter()
        .filter(|verdict| total.open[*verdict as usize] > 0)
        .map(|verdict| format!("{} {}", total.open[verdict as usize], verdict.name()))
        .collect();
    if total.fewer > 0 {
        rest.push(format!("{} pass with fewer checks", total.fewer));
    }
    if total.not_run > 0 {
        rest.push(format!("{} not run", total.not_run));
    }
    if !rest.is_empty() {
        text.push_str(&format!("The others: {}.\n", rest.join(", ")));
    }
    if total.shared > 0 {
        text.push_str(&format!(
            "The verdicts of {} are from batches: those of record need a machine each.\n",
            total.shared
        ));
    }
    text
}

fn causes(causes: &[Cause]) -> String {
    let mut text =
        String::from("\n## Largest causes\n\n| entries | cause | such as |\n|--:|---|---|\n");
    for cause in causes.iter().take(CAUSES) {
        let examples: Vec<String> =
            cause.entries.iter().take(EXAMPLES).map(|name| plain(name)).collect();
        text.push_str(&format!(
            "| {} | {} | {} |\n",
            cause.entries.len(),
            plain(&cause.words),
            examples.join(", ")
        ));
    }
    text
}

/// Foreign text without Markdown's marks and HTML.
fn plain(text: &str) -> String {
    let mut out = String::new();
    for character in text.chars() {
        if matches!(character, '|' | '`' | '*' | '_' | '<' | '[' | ']' | '\\' | '#' | '&') {
            out.push('\\');
        }
        out.push(character);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_totals_stand_beside_those_of_others() {
        let mut total = Tally {
            linux: 4,
            covered: 1,
            fewer: 1,
            gvisor: 3,
            gvisor_known: 4,
            ..Tally::default()
        };
        total.open[Verdict::Fail as usize] = 2;
        let text = totals(&total);
        assert!(text.starts_with(
            "Of 4 entries that pass on Linux, Birgus covers 1 (25.0 %), gVisor passes 3 (75.0 %)."
        ));
        assert!(text.contains("2 FAIL, 1 pass with fewer checks.") && !text.contains("batches"));
        let shared = totals(&Tally { shared: 2, ..total });
        assert!(shared.contains("The verdicts of 2 are from batches"));
    }

    #[test]
    fn foreign_text_makes_no_tables() {
        assert_eq!(plain("a|b<c>`"), r"a\|b\<c>\`");
    }
}

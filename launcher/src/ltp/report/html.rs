//! The report as one HTML page. It loads nothing and works from a file.
//!
//! Everything that is not written here goes through [`safe`].

use super::Report;
use super::markdown::CAUSES;
use super::picture;
use crate::escape::escaped;
use crate::ltp::results::Machine;
use crate::ltp::runner::log_name;
use crate::ltp::score::{Coverage, Directory, Line, Score, State, Tally, percent};

const STYLE: &str = include_str!("style.css");

const SCRIPT: &str = include_str!("filter.js");

/// Text as HTML shows it, on one line.
pub(super) fn safe(text: &str) -> String {
    let mut out = String::new();
    for character in escaped(text).to_string().chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            _ => out.push(character),
        }
    }
    out
}

/// The page.
pub(super) fn page(report: &Report<'_>) -> String {
    let score = report.score;
    [
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n",
        &format!(
            "<title>{0}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n<h1>{0}</h1>\n",
            report.title()
        ),
        &totals(score),
        &difference(report),
        "<section><h2>By area</h2>\n",
        &legend(&score.total),
        &picture::by_area(&score.areas),
        &areas(score),
        "</section>\n",
        &causes(score),
        &contradictions(score),
        "<section><label class=\"filter\">Filter <input id=\"filter\" type=\"search\" \
         placeholder=\"name, directory, area, verdict or message\"></label>\
         <span id=\"matches\"></span></section>\n",
        &directories(score),
        &entries(score),
        &circumstances(report),
        &format!("</main>\n<script>\n{SCRIPT}</script>\n</body>\n</html>\n"),
    ]
    .concat()
}

fn totals(score: &Score<'_>) -> String {
    let total = &score.total;
    let card = |class: &str, name: &str, count: usize, note: String| {
        format!(
            "<div class=\"card {class}\"><div>{name}</div><strong>{count}</strong>\
             <div>{note}</div></div>\n"
        )
    };
    let part = |count| format!("{:.1} %", percent(count, total.linux));
    let count =
        |level| score.directories.iter().filter(|found| found.tally.coverage() == level).count();
    let mut html = String::from("<section class=\"cards\">\n");
    html += &card("own", "Birgus covers", total.covered, part(total.covered));
    html += &card("", "pass on Linux", total.linux, "what counts".into());
    if total.gvisor_known > 0 {
        html += &card("", "pass on gVisor", total.gvisor, part(total.gvisor));
    }
    html += &card(
        "",
        "directories covered",
        count(Coverage::Full),
        format!("{} partial, {} none", count(Coverage::Partial), count(Coverage::None)),
    );
    if total.shared > 0 {
        html += &card("", "from batches", total.shared, "no verdicts of record".into());
    }
    if total.not_run > 0 {
        html += &card("", "not run", total.not_run, "counted as not covered".into());
    }
    html + "</section>\n"
}

fn difference(report: &Report<'_>) -> String {
    let Some(found) = &report.difference else { return String::new() };
    let list = |title: &str, names: &[String]| {
        let names: Vec<String> =
            names.iter().map(|name| format!("<code>{}</code>", safe(name))).collect();
        format!("<h3>{title} ({})</h3>\n<p>{}</p>\n", names.len(), names.join(" "))
    };
    format!(
        "<section><h2>Since the earlier report</h2>\n{}{}</section>\n",
        list("Newly passing", &found.newly_passing),
        list("Newly failing", &found.newly_failing)
    )
}

fn legend(total: &Tally) -> String {
    let items: String = picture::parts(total)
        .into_iter()
        .filter(|(_, _, count)| *count > 0)
        .map(|(class, words, count)| {
            format!("<span><i class=\"{class}\"></i>{words} {count}</span>\n")
        })
        .collect();
    format!("<p class=\"legend\">{items}</p>\n")
}

/// A table. Names of columns that hold numbers begin with `#`.
fn table(head: &[&str], id: &str, rows: impl Iterator<Item = String>) -> String {
    let head: String = head
        .iter()
        .map(|name| match name.strip_prefix('#') {
            Some(name) => format!("<th class=\"n\">{name}</th>"),
            None => format!("<th>{name}</th>"),
        })
        .collect();
    format!(
        "<div class=\"table\"><table{id}>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{}</tbody>\
         </table></div>\n",
        rows.collect::<String>()
    )
}

/// The cells of a column about gVisor, where anything is known of it.
fn gvisor<'a>(total: &Tally, cell: &'a str) -> Option<&'a str> {
    (total.gvisor_known > 0).then_some(cell)
}

fn areas(score: &Score<'_>) -> String {
    let rows = score.areas.iter().map(|(name, tally)| {
        let cell = format!("<td class=\"n\">{}</td>", tally.gvisor_words());
        format!(
            "<tr><td>{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td>\
             <td class=\"n\">{:.1} %</td>{}</tr>\n",
            safe(name),
            tally.linux,
            tally.covered,
            tally.percent(),
            gvisor(&score.total, &cell).unwrap_or_default()
        )
    });
    let head = ["area", "#Linux", "#Birgus", "#covered"];
    let head: Vec<&str> = head.into_iter().chain(gvisor(&score.total, "#gVisor")).collect();
    table(&head, "", rows)
}

fn causes(score: &Score<'_>) -> String {
    let rows = score.causes.iter().take(CAUSES).map(|cause| {
        let names: Vec<String> = cause.entries.iter().map(|name| safe(name)).collect();
        format!(
            "<tr><td class=\"n\">{}</td><td class=\"words\">{}</td><td><details><summary>{}</summary>{}</details>\
             </td></tr>\n",
            names.len(),
            safe(&cause.words),
            names.first().map_or("", String::as_str),
            names.join(" ")
        )
    });
    let table = table(&["#entries", "cause", "which"], "", rows);
    format!("<section><h2>Largest causes</h2>\n{table}</section>\n")
}

fn contradictions(score: &Score<'_>) -> String {
    let items: String = score
        .directories
        .iter()
        .filter_map(|found| {
            let words = found.contradiction.as_ref()?;
            Some(format!("<li><code>{}</code>: {}</li>\n", safe(&found.name), safe(words)))
        })
        .collect();
    let count = items.matches("<li>").count();
    format!(
        "<section><h2>Contradictions</h2>\n<p>The kernel's own table of system calls beside what \
         was measured.</p>\n<details><summary>{count} contradictions</summary><ul>\n{items}</ul>\
         </details></section>\n"
    )
}

fn directories(score: &Score<'_>) -> String {
    let head = ["directory", "area", "coverage", "#covered", "#Linux"].into_iter();
    let head: Vec<&str> = head.chain(gvisor(&score.total, "#gVisor")).chain(["table"]).collect();
    let rows = score.directories.iter().map(|found| directory(found, &score.total));
    let table = table(&head, " class=\"filtered\"", rows);
    format!("<section><h2>Directories</h2>\n{table}</section>\n")
}

fn directory(found: &Directory, total: &Tally) -> String {
    let level = found.tally.coverage();
    let class = match level {
        Coverage::Full => "covered",
        Coverage::Partial => "fewer",
        Coverage::None => "fail",
        Coverage::Unscored => "none",
    };
    let support = found.table.as_ref().map_or("", |row| row.support.name());
    let mark = if found.contradiction.is_some() { " ⚠" } else { "" };
    let cell = format!("<td class=\"n\">{}</td>", found.tally.gvisor_words());
    let notes = found.table.as_ref().map_or("", |row| &row.note);
    let notes = found.contradiction.as_deref().unwrap_or(notes);
    format!(
        "<tr><td>{}</td><td>{}</td><td><i class=\"{class}\"></i>{}</td><td class=\"n\">{}</td>\
         <td class=\"n\">{}</td>{}<td title=\"{}\">{support}{mark}</td></tr>\n",
        safe(&found.name),
        safe(&found.area),
        level.name(),
        found.tally.covered,
        found.tally.linux,
        gvisor(total, &cell).unwrap_or_default(),
        safe(notes)
    )
}

fn entries(score: &Score<'_>) -> String {
    let before = ["entry", "area", "state", "Birgus", "Linux"].into_iter();
    let after = ["#checks", "#seconds", "message"];
    let head: Vec<&str> = before.chain(gvisor(&score.total, "gVisor")).chain(after).collect();
    let rows = score.lines.iter().map(|line| entry(line, &score.total));
    let table = table(&head, " class=\"filtered\"", rows);
    format!("<section><h2>Entries</h2>\n{table}</section>\n")
}

fn entry(line: &Line<'_>, total: &Tally) -> String {
    let class = match line.state {
        State::Covered => "covered",
        State::Fewer => "fewer",
        State::NotRun | State::Unscored => "none",
        State::Open(verdict) => match verdict.name() {
            "TIMEOUT" => "timeout",
            "CRASH" => "crash",
            "CONF" | "WARN" => "conf",
            "BROK" => "brok",
            _ => "fail",
        },
    };
    let name = safe(&line.entry.name);
    let cell = format!("<td>{}</td>", line.entry.gvisor.map_or("", |verdict| verdict.name()));
    let (verdict, checks, seconds, message) = match line.outcome {
        Some(outcome) => (
            format!(
                "<a href=\"output/{}\">{}</a>{}",
                log_name(&line.entry.name),
                outcome.verdict.name(),
                match outcome.machine {
                    Machine::Own => "",
                    Machine::Shared => " <small>batch</small>",
                }
            ),
            format!("{}/{}", outcome.counts.passed, line.entry.linux_tpass),
            format!("{:.1}", outcome.seconds),
            message(&outcome.message, &outcome.calls),
        ),
        None => (String::new(), String::new(), String::new(), String::new()),
    };
    format!(
        "<tr><td>{name}</td><td>{}</td><td><i class=\"{class}\"></i>{}</td><td>{verdict}</td>\
         <td>{}</td>{}<td class=\"n\">{checks}</td><td class=\"n\">{seconds}</td>\
         <td class=\"words\">{message}</td></tr>\n",
        safe(&line.entry.area),
        line.state.name(),
        safe(&line.linux()),
        gvisor(total, &cell).unwrap_or_default()
    )
}

fn message(words: &str, calls: &[String]) -> String {
    let calls: String = calls.iter().map(|call| format!(" <code>{}</code>", safe(call))).collect();
    let missing = if calls.is_empty() { "" } else { " Not implemented:" };
    format!("{}{missing}{calls}", safe(words))
}

fn circumstances(report: &Report<'_>) -> String {
    let rows = report
        .circumstances
        .iter()
        .map(|(name, value)| format!("<tr><td>{name}</td><td>{}</td></tr>\n", safe(value)));
    let table = table(&["", ""], "", rows);
    format!("<section><h2>How it was measured</h2>\n{table}</section>\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ltp::compare::Difference;
    use crate::ltp::entry::{Entry, read_baseline};
    use crate::ltp::files::Kind;
    use crate::ltp::results::{Outcome, Results};
    use crate::ltp::score::score;
    use crate::ltp::verdict::Verdict;

    #[test]
    fn foreign_text_stays_text() {
        let evil = "<script>alert(1)</script>\x1b[2J\"'";
        let baseline = format!("\n{0}\tp\t{0}\t{0}\tPASS\t1\t0\tFAIL\n", evil.replace('\x1b', ""));
        let entries = read_baseline("b", &baseline).unwrap();
        let entries: Vec<&Entry> = entries.iter().collect();
        let mut outcome = Outcome::new(Verdict::Fail, evil);
        outcome.calls = vec![evil.into()];
        let results = Results::from([(entries[0].name.clone(), outcome)]);
        let score = score(&entries, &results, &[]);
        let difference = Difference { newly_failing: vec![evil.into()], ..Difference::default() };
        let report = Report {
            suite: Kind::Ltp,
            score: &score,
            circumstances: vec![("suite", evil.into())],
            difference: Some(difference),
        };
        let page = page(&report);
        assert_eq!(page.matches("<script>").count(), 1);
        assert!(page.contains("&lt;script&gt;alert(1)"));
        assert!(!page.contains('\x1b') && !page.contains("href=\"http"));
    }
}

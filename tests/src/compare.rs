//! The first difference between a native run and one in Birgus, in words.

use std::fmt::Write;

use crate::run::{Outcome, Status};

/// Characters of a line that are shown.
const SHOWN: usize = 300;

/// Compares the two runs; `own` are Birgus's own lines, shown with a difference.
///
/// # Errors
/// The first differing line of each stream, and both statuses.
pub fn compare(linux: &Outcome, birgus: &Outcome, own: &[String]) -> Result<(), String> {
    let mut report = String::new();
    if linux.status != birgus.status {
        let _ = writeln!(
            report,
            "status: linux {}, birgus {}",
            words(linux.status),
            words(birgus.status)
        );
    }
    for (name, expected, found) in
        [("stdout", &linux.stdout, &birgus.stdout), ("stderr", &linux.stderr, &birgus.stderr)]
    {
        if let Some(difference) = first_difference(expected, found) {
            let _ = write!(report, "{name} differs {difference}");
        }
    }
    if report.is_empty() {
        return Ok(());
    }
    for line in own {
        let _ = writeln!(report, "  said: {line}");
    }
    Err(report)
}

fn words(status: Status) -> String {
    match status {
        Status::Ended(status @ 129..=192) => format!("{status} (signal {})", status - 128),
        Status::Ended(status) => status.to_string(),
        Status::TimedOut => "none: it took too long and was killed".to_owned(),
    }
}

fn first_difference(linux: &[u8], birgus: &[u8]) -> Option<String> {
    if linux == birgus {
        return None;
    }
    let mut expected = linux.split_inclusive(|&byte| byte == b'\n');
    let mut found = birgus.split_inclusive(|&byte| byte == b'\n');
    let mut number = 1;
    loop {
        let (line, other) = (expected.next(), found.next());
        if line != other {
            let (line, other) = (show(line), show(other));
            return Some(format!("at line {number}\n  linux:  {line}\n  birgus: {other}\n"));
        }
        number += 1;
    }
}

fn show(line: Option<&[u8]>) -> String {
    let Some(line) = line else { return "(ends here)".to_owned() };
    let (text, end) = match line.strip_suffix(b"\n") {
        Some(text) => (text, ""),
        None => (line, " (no line feed)"),
    };
    let escaped: String = text.escape_ascii().map(char::from).take(SHOWN).collect();
    // Quotes and backslashes are frequent in expressions, and harmless.
    escaped.replace("\\\"", "\"").replace("\\'", "'").replace("\\\\", "\\") + end
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(status: i32, stdout: &str) -> Outcome {
        Outcome { status: Status::Ended(status), stdout: stdout.into(), stderr: Vec::new() }
    }

    #[test]
    fn equal_runs_agree_whatever_birgus_said() {
        let run = outcome(3, "a\n");
        assert_eq!(compare(&run, &run, &["birgus: hint".to_owned()]), Ok(()));
    }

    #[test]
    fn the_first_differing_line_is_named() {
        let report = compare(&outcome(0, "a\nb\nc\n"), &outcome(0, "a\n\"x\"\nd\n"), &[]);
        assert_eq!(
            report,
            Err("stdout differs at line 2\n  linux:  b\n  birgus: \"x\"\n".to_owned())
        );
    }

    #[test]
    fn a_missing_line_feed_and_a_missing_line_are_differences() {
        let report = compare(&outcome(0, "a\nb"), &outcome(0, "a\nb\n"), &[]).unwrap_err();
        assert!(report.contains("linux:  b (no line feed)\n"), "{report}");
        let report = compare(&outcome(0, "a\n"), &outcome(0, ""), &[]).unwrap_err();
        assert!(report.contains("birgus: (ends here)\n"), "{report}");
    }

    #[test]
    fn statuses_are_compared() {
        let report = compare(&outcome(0, ""), &outcome(139, ""), &[]);
        assert_eq!(report, Err("status: linux 0, birgus 139 (signal 11)\n".to_owned()));
    }
}

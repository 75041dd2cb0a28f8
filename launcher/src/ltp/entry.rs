//! What there is to run: the entries of a suite, and what is known of them elsewhere.

use super::verdict::Verdict;
use crate::Error;
use crate::error::reason;
use crate::escape::{escaped, escaped_os};
use std::fs;
use std::path::Path;

/// One entry of the suite: a test program with its arguments.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Its name, unlike all others.
    pub name: String,
    /// The program in `testcases/bin` and its arguments; never empty.
    pub argv: Vec<String>,
    /// The directory of its source, in most cases a system call.
    pub directory: String,
    /// The area of the directory, such as `memory`.
    pub area: String,
    /// What Linux made of it.
    pub linux: Reference,
    /// The number of passed checks on Linux.
    pub linux_tpass: u32,
    /// How long it took on Linux, in seconds.
    pub linux_seconds: f64,
    /// What gVisor made of it, where that is known.
    pub gvisor: Option<Verdict>,
}

/// The first line of a baseline. More columns may follow.
const HEAD: &str = "entry\targv\tdirectory\tarea\tlinux\tlinux_tpass\tlinux_seconds\tgvisor";

/// What is known of an entry on Linux.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reference {
    /// It was run.
    Verdict(Verdict),
    /// It is left out, for this reason.
    Excluded(String),
    /// Nothing.
    Unknown,
}

impl Entry {
    /// Whether it counts: whether it passes on Linux.
    #[must_use]
    pub fn is_scored(&self) -> bool {
        self.linux == Reference::Verdict(Verdict::Pass)
    }

    /// Why it is never run.
    #[must_use]
    pub fn excluded(&self) -> Option<&str> {
        match &self.linux {
            Reference::Excluded(reason) => Some(reason),
            Reference::Verdict(_) | Reference::Unknown => None,
        }
    }

    /// Whether a pattern selects it: by its name, where `*` stands for anything, or by the
    /// name of its directory or area.
    #[must_use]
    pub fn is_selected_by(&self, pattern: &str) -> bool {
        matches(pattern.as_bytes(), self.name.as_bytes())
            || self.directory == pattern
            || self.area == pattern
    }
}

/// Reads a baseline: entries with the verdicts of Linux, as `tests/ltp/linux.tsv` has them.
///
/// # Errors
/// [`Error::Failed`] names the first line that is no such entry.
pub fn read_baseline(name: &str, text: &str) -> Result<Vec<Entry>, Error> {
    let mut entries: Vec<Entry> = Vec::new();
    for (index, line) in text.lines().enumerate().skip(1) {
        let bad =
            |what: &str| Error::Failed(format!("{}, line {}: {what}", escaped(name), index + 1));
        let entry = baseline_entry(line).ok_or_else(|| bad("not an entry with its verdicts"))?;
        entries.push(entry);
    }
    let mut names: Vec<&str> = entries.iter().map(|entry| entry.name.as_str()).collect();
    names.sort_unstable();
    if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        let twice = escaped(pair[0]);
        return Err(Error::Failed(format!("{}: {twice} is there twice", escaped(name))));
    }
    Ok(entries)
}

fn baseline_entry(line: &str) -> Option<Entry> {
    let fields: Vec<&str> = line.split('\t').collect();
    let [name, argv, directory, area, linux, tpass, seconds, gvisor, ..] = fields[..] else {
        return None;
    };
    let reason = linux.strip_prefix("EXCLUDED(").and_then(|rest| rest.strip_suffix(')'));
    let linux = match (reason, linux) {
        (Some(reason), _) => Reference::Excluded(reason.to_owned()),
        (None, "-" | "") => Reference::Unknown,
        (None, word) => Reference::Verdict(Verdict::from_name(word)?),
    };
    let argv: Vec<String> = argv.split_whitespace().map(str::to_owned).collect();
    let is_below = |program: &String| !program.split('/').any(|part| matches!(part, "" | ".."));
    if name.is_empty() || !argv.first().is_some_and(is_below) {
        return None;
    }
    Some(Entry {
        name: name.to_owned(),
        argv,
        directory: directory.to_owned(),
        area: area.to_owned(),
        linux,
        linux_tpass: number(tpass)?,
        linux_seconds: number(seconds)?,
        gvisor: Verdict::from_name(gvisor),
    })
}

/// Entries as a baseline, which [`read_baseline`] reads.
#[must_use]
pub fn baseline_text(entries: &[Entry]) -> String {
    let mut text = format!("{HEAD}\n");
    for entry in entries {
        let (linux, measured) = match &entry.linux {
            Reference::Verdict(verdict) => (verdict.name().to_owned(), true),
            Reference::Excluded(reason) => (format!("EXCLUDED({reason})"), false),
            Reference::Unknown => ("-".to_owned(), false),
        };
        let number = |text: String| if measured { text } else { String::new() };
        text.push_str(&format!(
            "{}\t{}\t{}\t{}\t{linux}\t{}\t{}\t{}\n",
            entry.name,
            entry.argv.join(" "),
            entry.directory,
            entry.area,
            number(entry.linux_tpass.to_string()),
            number(format!("{:.2}", entry.linux_seconds)),
            entry.gvisor.map_or("-", Verdict::name),
        ));
    }
    text
}

/// A number; none where the field is empty.
fn number<T: std::str::FromStr + Default>(field: &str) -> Option<T> {
    if field.is_empty() { Some(T::default()) } else { field.parse().ok() }
}

/// Reads `runtest/syscalls` of an installed suite: a line for each entry, its name before its
/// words. Nothing is known of them.
///
/// # Errors
/// The file cannot be read.
pub fn read_suite(suite: &Path) -> Result<Vec<Entry>, Error> {
    let path = suite.join("runtest/syscalls");
    let text = fs::read_to_string(&path).map_err(|error| {
        Error::Failed(format!("cannot read {}: {}", escaped_os(&path), reason(&error)))
    })?;
    Ok(text.lines().filter_map(suite_entry).collect())
}

fn suite_entry(line: &str) -> Option<Entry> {
    let mut words = line.split_whitespace().map(str::to_owned);
    let name = words.next().filter(|name| !name.starts_with('#'))?;
    let argv: Vec<String> = words.collect();
    let program = argv.first().filter(|program| !program.contains('/'))?;
    let directory = program.trim_end_matches(|c: char| c.is_ascii_digit() || c == '_');
    Some(Entry {
        directory: if directory.is_empty() { program.clone() } else { directory.to_owned() },
        area: "all".into(),
        name,
        argv,
        linux: Reference::Unknown,
        linux_tpass: 0,
        linux_seconds: 0.0,
        gvisor: None,
    })
}

/// Whether `text` is as `pattern` says, in which `*` stands for any text.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    // Where to go on after the last `*` was too short.
    let mut retry = None;
    while t < text.len() {
        if pattern.get(p) == Some(&b'*') {
            retry = Some((p + 1, t));
            p += 1;
        } else if pattern.get(p) == Some(&text[t]) {
            (p, t) = (p + 1, t + 1);
        } else if let Some((after, from)) = retry {
            retry = Some((after, from + 1));
            (p, t) = (after, from + 1);
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|&byte| byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_baseline_says_what_linux_and_gvisor_made_of_it() {
        let text = format!(
            "{HEAD}\nmlock03\tmlock03 -i 20\tmlock\tmemory\tPASS\t20\t0.05\tFAIL\tBROK\n\
             reboot01\treboot01\treboot\tprocess\tEXCLUDED(reboot)\t\t\t-\t-\n"
        );
        let entries = read_baseline("b", &text).unwrap();
        assert_eq!(entries[0].argv, ["mlock03", "-i", "20"]);
        assert!(entries[0].is_scored());
        assert_eq!((entries[0].linux_tpass, entries[0].gvisor), (20, Some(Verdict::Fail)));
        assert_eq!(entries[1].excluded(), Some("reboot"));
        assert!(!entries[1].is_scored());
        assert_eq!(read_baseline("b", &baseline_text(&entries)).unwrap(), entries);
    }

    #[test]
    fn a_bad_line_and_a_doubled_entry_are_named() {
        let line = "a\ta\td\tx\tPASS\t1\t0.1\tPASS\tBROK\n";
        let refusal = |text: &str| read_baseline("b.tsv", text).unwrap_err().to_string();
        assert!(refusal(&format!("{HEAD}\n{line}a\tb\n")).contains("b.tsv, line 3"));
        assert!(refusal(&format!("{HEAD}\n{line}{line}")).contains("a is there twice"));
        assert!(refusal(&format!("{HEAD}\n{}", line.replace("\t1\t", "\tx\t"))).contains("line 2"));
        for path in ["../a", "/bin/a", "a/../b"] {
            let line = line.replace("a\ta", &format!("a\t{path}"));
            assert!(refusal(&format!("{HEAD}\n{line}")).contains("line 2"), "{path}");
        }
    }

    #[test]
    fn a_line_of_the_suite_is_a_name_and_words() {
        let entry = suite_entry("mmap21_01 mmap21 -m 1").unwrap();
        assert_eq!((entry.name.as_str(), entry.directory.as_str()), ("mmap21_01", "mmap"));
        assert_eq!(entry.argv, ["mmap21", "-m", "1"]);
        assert_eq!(suite_entry("# comment here"), None);
        assert_eq!(suite_entry(""), None);
        assert_eq!(suite_entry("alone"), None);
    }

    #[test]
    fn patterns_select_by_name_directory_and_area() {
        let entry = suite_entry("mmap21_01 mmap21").unwrap();
        for pattern in ["mmap21_01", "mmap*", "*_01", "m*2*1", "*", "mmap", "all"] {
            assert!(entry.is_selected_by(pattern), "{pattern}");
        }
        for pattern in ["mmap2", "map*", "*_02", "", "m*x*1", "mem"] {
            assert!(!entry.is_selected_by(pattern), "{pattern}");
        }
    }
}

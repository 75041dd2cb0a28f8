//! The results file: a line for each entry, written as the results come, so that nothing that
//! is done is ever lost.

use super::output::Counts;
use super::verdict::Verdict;
use crate::Error;
use crate::escape::{escaped, escaped_os};
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

/// What came of one entry.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// The verdict.
    pub verdict: Verdict,
    /// How many results of each kind it reported.
    pub counts: Counts,
    /// How long it took, with its machine, in seconds.
    pub seconds: f64,
    /// The reason of the verdict, safe to show.
    pub message: String,
    /// The system calls that it wanted and the kernel does not have.
    pub calls: Vec<String>,
    /// In what machine it ran.
    pub machine: Machine,
}

/// In what machine an entry ran.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Machine {
    /// In one of its own: the verdict of record.
    #[default]
    Own,
    /// In one with other entries, before or after it.
    Shared,
}

impl Machine {
    /// Its name in files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::Shared => "shared",
        }
    }

    /// The machine with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Own, Self::Shared].into_iter().find(|machine| machine.name() == name)
    }
}

/// Results by the names of their entries.
pub type Results = BTreeMap<String, Outcome>;

/// Longest reason that is kept, in characters.
const MAX_MESSAGE: usize = 300;

const HEAD: &str =
    "entry\tverdict\ttpass\ttfail\ttbrok\ttwarn\ttconf\tseconds\tkernel\tmessage\tcalls\tmachine";

impl Outcome {
    /// An outcome without counts. The message may be foreign text.
    #[must_use]
    pub fn new(verdict: Verdict, message: impl AsRef<str>) -> Self {
        let message: String =
            escaped(message.as_ref()).to_string().chars().take(MAX_MESSAGE).collect();
        let (counts, calls, machine) = (Counts::default(), Vec::new(), Machine::Own);
        Self { verdict, counts, seconds: 0.0, message, calls, machine }
    }
}

/// The results file of one kernel.
#[derive(Debug)]
pub struct ResultsFile {
    file: File,
    path: PathBuf,
    kernel: String,
}

impl ResultsFile {
    /// Opens the file in a directory, with the results of this kernel that are in it. Those
    /// of shared machines do not stay where each entry is to have its own.
    ///
    /// # Errors
    /// It cannot be read or written, or has results although none are to be gone on with.
    pub fn open(
        directory: &Path,
        kernel: &str,
        machine: Machine,
        resume: bool,
    ) -> Result<(Self, Results), Error> {
        let path = directory.join("results.tsv");
        let cannot = |error| Error::io(format_args!("cannot write {}", escaped_os(&path)), &error);
        let old = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => {
                return Err(Error::io(format_args!("cannot read {}", escaped_os(&path)), &error));
            }
        };
        let complete = old.rfind('\n').map_or("", |end| &old[..end]);
        let rows: Vec<(&str, &str, Outcome)> = complete.lines().filter_map(row).collect();
        if !rows.is_empty() && !resume {
            return Err(Error::Failed(format!(
                "{} has results: go on with them (--resume), or name another place (--output)",
                escaped_os(&path)
            )));
        }
        // A program that was missing may be there by now.
        let stay = |of: &str, outcome: &Outcome| {
            let as_wanted = machine == Machine::Shared || outcome.machine == Machine::Own;
            of == kernel && as_wanted && outcome.verdict != Verdict::Missing
        };
        let rows = rows.into_iter().filter(|(_, of, outcome)| stay(of, outcome));
        let results: Results = rows.map(|(name, _, outcome)| (name.to_owned(), outcome)).collect();
        // Written anew, because the last line may be half of one; the old file is there until
        // the new one is complete.
        let fresh = path.with_extension("tsv.new");
        fs::write(&fresh, text(&results, kernel)).map_err(cannot)?;
        fs::rename(&fresh, &path).map_err(cannot)?;
        let file = OpenOptions::new().append(true).open(&path).map_err(cannot)?;
        Ok((Self { file, path, kernel: kernel.to_owned() }, results))
    }

    /// Adds a result.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn add(&mut self, name: &str, outcome: &Outcome) -> Result<(), Error> {
        let line = line(name, &self.kernel, outcome);
        self.file.write_all(line.as_bytes()).map_err(|error| {
            Error::io(format_args!("cannot write {}", escaped_os(&self.path)), &error)
        })
    }
}

/// All results as the file has them.
#[must_use]
pub fn text(results: &Results, kernel: &str) -> String {
    let lines: String = results.iter().map(|(name, outcome)| line(name, kernel, outcome)).collect();
    format!("{HEAD}\n{lines}")
}

/// Reads results of any kernel; lines that are none are passed over.
#[must_use]
pub fn parse(text: &str) -> Results {
    text.lines().filter_map(row).map(|(name, _, outcome)| (name.to_owned(), outcome)).collect()
}

fn line(name: &str, kernel: &str, outcome: &Outcome) -> String {
    let Counts { passed, failed, broken, warnings, skipped } = outcome.counts;
    format!(
        "{name}\t{}\t{passed}\t{failed}\t{broken}\t{warnings}\t{skipped}\t{:.2}\t{kernel}\t{}\t{}\t{}\n",
        outcome.verdict.name(),
        outcome.seconds,
        outcome.message,
        outcome.calls.join(","),
        outcome.machine.name()
    )
}

fn row(line: &str) -> Option<(&str, &str, Outcome)> {
    let fields: Vec<&str> = line.split('\t').collect();
    let [
        name,
        verdict,
        passed,
        failed,
        broken,
        warnings,
        skipped,
        seconds,
        kernel,
        message,
        calls,
        ref machine @ ..,
    ] = fields[..]
    else {
        return None;
    };
    // The first files did not have this column.
    let machine = match machine {
        [] => Machine::Own,
        [machine] => Machine::from_name(machine)?,
        _ => return None,
    };
    let number = |text: &str| text.parse().ok();
    let counts = Counts {
        passed: number(passed)?,
        failed: number(failed)?,
        broken: number(broken)?,
        warnings: number(warnings)?,
        skipped: number(skipped)?,
    };
    let calls = calls.split(',').filter(|call| !call.is_empty()).map(str::to_owned).collect();
    let outcome = Outcome {
        counts,
        seconds: seconds.parse().ok()?,
        calls,
        machine,
        ..Outcome::new(Verdict::from_name(verdict)?, "")
    };
    // What is in the file is escaped already.
    Some((name, kernel, Outcome { message: message.to_owned(), ..outcome }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome() -> Outcome {
        Outcome {
            counts: Counts { passed: 3, skipped: 1, ..Counts::default() },
            seconds: 1.25,
            calls: vec!["bpf".into(), "fork".into()],
            machine: Machine::Shared,
            ..Outcome::new(Verdict::Fail, "a\tb\n\x1b\\")
        }
    }

    fn scratch(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("birgus-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        path
    }

    #[test]
    fn a_result_is_read_as_it_was_written() {
        let text = text(&Results::from([("x01".into(), outcome())]), "k");
        assert_eq!(text.lines().count(), 2);
        assert_eq!(parse(&text), Results::from([("x01".into(), outcome())]));
        let first = text.replace("\tshared\n", "\n");
        assert_eq!(parse(&first)["x01"].machine, Machine::Own);
        assert!(parse(&text.replace("\tshared\n", "\todd\n")).is_empty());
    }

    #[test]
    fn results_of_this_kernel_stay_and_half_a_line_is_dropped() {
        let directory = scratch("ltp-resume");
        let (mut file, found) =
            ResultsFile::open(&directory, "k1", Machine::Shared, false).unwrap();
        assert!(found.is_empty());
        file.add("a", &outcome()).unwrap();
        file.add("gone", &Outcome::new(Verdict::Missing, "")).unwrap();
        file.add("b", &outcome()).unwrap();
        let path = directory.join("results.tsv");
        let whole = fs::read_to_string(&path).unwrap();
        fs::write(&path, &whole[..whole.len() - 30]).unwrap();
        let refused =
            ResultsFile::open(&directory, "k1", Machine::Shared, false).unwrap_err().to_string();
        assert!(refused.contains("--resume"), "{refused}");
        let (mut file, found) = ResultsFile::open(&directory, "k1", Machine::Shared, true).unwrap();
        assert_eq!(found.keys().collect::<Vec<_>>(), ["a"]);
        file.add("b", &outcome()).unwrap();
        assert_eq!(parse(&fs::read_to_string(&path).unwrap()).len(), 2);
        let (_, other) = ResultsFile::open(&directory, "k2", Machine::Shared, true).unwrap();
        assert!(other.is_empty());
        fs::write(&path, text(&Results::from([("a".into(), outcome())]), "k1")).unwrap();
        let (_, own) = ResultsFile::open(&directory, "k1", Machine::Own, true).unwrap();
        assert!(own.is_empty());
        fs::remove_dir_all(&directory).unwrap();
    }
}

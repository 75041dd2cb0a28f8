//! Many entries, some of them at the same time.

use super::batch::Ended;
use super::entry::Entry;
use super::progress::Progress;
use super::results::{Outcome, Results, ResultsFile};
use super::vm::Run;
use crate::Error;
use crate::error::reason;
use crate::escape::escaped_os;
use signal_hook::consts::signal::{SIGHUP, SIGINT, SIGTERM};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

/// How often the progress is shown while nothing ends.
const TICK: Duration = Duration::from_millis(250);

/// Runs some entries, in one machine or in several, and gives away what comes of each;
/// shared by the threads.
pub type RunEntries = dyn Fn(&[Entry], &mut Ended<'_>) -> Result<(), Error> + Send + Sync;

/// How many entries are run at the same time, and in what portions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Portions at the same time, at least 1.
    pub jobs: usize,
    /// Entries in a portion, at least 1.
    pub portion: usize,
}

/// What has come of the entries so far, in memory and on disk.
#[derive(Debug)]
pub struct Record<'a> {
    /// The results file.
    pub file: &'a mut ResultsFile,
    /// The results.
    pub results: &'a mut Results,
    /// The folder for outputs.
    pub logs: &'a Path,
}

impl Record<'_> {
    fn add(&mut self, name: String, run: Run) -> Result<(), Error> {
        self.file.add(&name, &run.outcome)?;
        write_log(self.logs, &name, &run.output)?;
        self.results.insert(name, run.outcome);
        Ok(())
    }
}

/// Runs all entries that have no result yet. What comes of each is recorded as it comes.
/// Whether all were run: a signal, such as Ctrl-C sends, ends this early, and the machines end
/// with this process.
///
/// An entry that ran out of time while others had the host's processors is run once more at
/// the end, with nothing of this process beside it, and that counts.
///
/// # Errors
/// Machines cannot be started, or results cannot be written.
pub fn run_all(
    entries: &[&Entry],
    plan: Plan,
    run: &Arc<RunEntries>,
    record: &mut Record<'_>,
) -> Result<bool, Error> {
    let stop = stop_flag()?;
    let pending: Vec<Entry> = entries
        .iter()
        .filter(|entry| !record.results.contains_key(&entry.name))
        .map(|&entry| entry.clone())
        .collect();
    let mut progress = Progress::new(entries.len(), pending.len(), record.results.values());
    let disturbed = run_round(pending, plan, run, record, &mut progress, &stop)?;
    let Some(disturbed) = disturbed else { return Ok(false) };
    progress.again(disturbed.iter().map(|entry| &record.results[&entry.name]));
    let alone = Plan { jobs: 1, portion: 1 };
    let rest = run_round(disturbed, alone, run, record, &mut progress, &stop)?;
    progress.finish();
    Ok(rest.is_some())
}

/// Runs entries; those that were disturbed, or `None` when not all were run.
fn run_round(
    entries: Vec<Entry>,
    plan: Plan,
    run: &Arc<RunEntries>,
    record: &mut Record<'_>,
    progress: &mut Progress,
    stop: &Arc<AtomicBool>,
) -> Result<Option<Vec<Entry>>, Error> {
    let mut left = entries.len();
    let ends = start(entries, plan, run, stop);
    let mut disturbed = Vec::new();
    while left > 0 && !stop.load(Ordering::Relaxed) {
        match ends.recv_timeout(TICK) {
            Ok(ended) => {
                let (entry, run) = ended?;
                progress.ended(&entry.name, &run.outcome);
                let name = entry.name.clone();
                if run.is_disturbed {
                    disturbed.push(entry);
                }
                record.add(name, run)?;
                left -= 1;
            }
            Err(RecvTimeoutError::Timeout) => progress.tick(),
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    Ok((left == 0).then_some(disturbed))
}

/// What comes from the threads.
type Ends = mpsc::Receiver<Result<(Entry, Run), Error>>;

/// Starts the threads that run the entries. They are not waited for when a signal comes: what
/// they run ends with the process.
fn start(entries: Vec<Entry>, plan: Plan, run: &Arc<RunEntries>, stop: &Arc<AtomicBool>) -> Ends {
    let (sender, ends) = mpsc::channel();
    let portion = plan.portion.max(1);
    let jobs = plan.jobs.clamp(1, entries.len().div_ceil(portion).max(1));
    let (entries, next) = (Arc::new(entries), Arc::new(AtomicUsize::new(0)));
    for _ in 0..jobs {
        let (entries, next, run) = (entries.clone(), next.clone(), run.clone());
        let (sender, stop) = (sender.clone(), stop.clone());
        thread::spawn(move || {
            while !stop.load(Ordering::Relaxed)
                && let Some(some) =
                    entries.chunks(portion).nth(next.fetch_add(1, Ordering::Relaxed))
            {
                let mut ended = |entry: &Entry, run: Run| {
                    // Nobody hears it when the run was ended early.
                    let _ = sender.send(Ok((entry.clone(), run)));
                };
                if let Err(error) = run(some, &mut ended) {
                    let _ = sender.send(Err(error));
                    return;
                }
            }
        });
    }
    ends
}

/// A flag that the first signal to end sets; the second one ends the process.
fn stop_flag() -> Result<Arc<AtomicBool>, Error> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        signal_hook::flag::register_conditional_shutdown(signal, 128 + signal, stop.clone())
            .and_then(|_| signal_hook::flag::register(signal, stop.clone()))
            .map_err(|error| Error::io("cannot catch signals", &error))?;
    }
    Ok(stop)
}

/// The file of `logs` for an entry's output.
#[must_use]
pub fn log_name(entry: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' };
    format!("{}.txt", entry.chars().map(plain).collect::<String>())
}

fn write_log(logs: &Path, name: &str, output: &str) -> Result<(), Error> {
    let path = logs.join(log_name(name));
    fs::write(&path, output).map_err(|error| {
        Error::Failed(format!("cannot write {}: {}", escaped_os(&path), reason(&error)))
    })
}

/// What came of entries, counted by verdict.
#[must_use]
pub fn count<'a>(outcomes: impl Iterator<Item = &'a Outcome>) -> [usize; 8] {
    let mut counts = [0; 8];
    for outcome in outcomes {
        counts[outcome.verdict as usize] += 1;
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::super::entry::read_baseline;
    use super::super::results::Machine;
    use super::super::verdict::Verdict;
    use super::*;
    use std::sync::Mutex;

    /// Runs 20 entries, of which one has a result; how often each was run, and in what
    /// portions.
    fn run_twenty(name: &str, plan: Plan) -> (Vec<String>, Vec<usize>) {
        let directory = std::env::temp_dir().join(format!("birgus-{name}-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let lines: String = (0..20).map(|n| format!("e{n}\tp\td\tx\tPASS\t1\t0\tPASS\n")).collect();
        let entries = read_baseline("b", &format!("\n{lines}")).unwrap();
        let entries: Vec<&Entry> = entries.iter().collect();
        let (mut file, mut results) =
            ResultsFile::open(&directory, "k", Machine::Own, false).unwrap();
        results.insert("e7".into(), Outcome::new(Verdict::Fail, "before"));
        let seen = Arc::new(Mutex::new((Vec::new(), Vec::new())));
        let notes = seen.clone();
        let run: Arc<RunEntries> = Arc::new(move |entries, ended| {
            notes.lock().unwrap().1.push(entries.len());
            for entry in entries {
                let mut run = Run::not_run(Verdict::Pass, "out");
                let mut notes = notes.lock().unwrap();
                // The first try of this one is a late one.
                run.is_disturbed = entry.name == "e5" && !notes.0.contains(&entry.name);
                notes.0.push(entry.name.clone());
                ended(entry, run);
            }
            Ok(())
        });
        let mut record = Record { file: &mut file, results: &mut results, logs: &directory };
        let complete = run_all(&entries, plan, &run, &mut record).unwrap();
        let log = fs::read_to_string(directory.join("e3.txt")).unwrap();
        fs::remove_dir_all(&directory).unwrap();
        assert!(complete);
        assert_eq!(log, "out\n");
        assert_eq!(results.len(), 20);
        assert_eq!(results["e7"].message, "before");
        let (mut names, portions) = seen.lock().unwrap().clone();
        names.sort();
        (names, portions)
    }

    #[test]
    fn every_entry_without_a_result_is_run_and_a_disturbed_one_again() {
        let (names, portions) = run_twenty("ltp-runner", Plan { jobs: 3, portion: 1 });
        assert_eq!(names.len(), 20);
        assert_eq!(names.iter().filter(|name| *name == "e5").count(), 2);
        assert!(!names.contains(&"e7".to_owned()));
        assert_eq!(portions.len(), 20);
    }

    #[test]
    fn portions_are_as_large_as_planned() {
        let (names, mut portions) = run_twenty("ltp-portions", Plan { jobs: 2, portion: 8 });
        assert_eq!(names.len(), 20);
        portions.sort_unstable();
        assert_eq!(portions, [1, 3, 8, 8]);
    }

    #[test]
    fn names_of_entries_are_safe_as_names_of_files() {
        assert_eq!(log_name("a/../b c.1_2-3"), "a_.._b_c.1_2-3.txt");
    }
}

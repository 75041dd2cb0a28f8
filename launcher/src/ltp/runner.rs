//! Many entries, some of them at the same time.

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

/// Runs one entry; shared by the threads.
pub type RunEntry = dyn Fn(&Entry) -> Result<Run, Error> + Send + Sync;

/// Runs all entries that have no result yet, `jobs` at a time. Each result goes to the file
/// and to `results` as it comes, each output to a file of `logs`. Whether all were run: a
/// signal, such as Ctrl-C sends, ends this early, and the machines end with this process.
///
/// # Errors
/// Machines cannot be started, or results cannot be written.
pub fn run_all(
    entries: &[&Entry],
    jobs: usize,
    run: Arc<RunEntry>,
    file: &mut ResultsFile,
    results: &mut Results,
    logs: &Path,
) -> Result<bool, Error> {
    let stop = stop_flag()?;
    let pending: Arc<Vec<Entry>> = Arc::new(
        entries
            .iter()
            .filter(|entry| !results.contains_key(&entry.name))
            .map(|&entry| entry.clone())
            .collect(),
    );
    let mut progress = Progress::new(entries.len(), pending.len(), results.values());
    let (sender, ends) = mpsc::channel();
    let next = Arc::new(AtomicUsize::new(0));
    for _ in 0..jobs.clamp(1, pending.len().max(1)) {
        let (pending, next, run) = (pending.clone(), next.clone(), run.clone());
        let (sender, stop) = (sender.clone(), stop.clone());
        // Not waited for when a signal comes: what it runs ends with the process.
        thread::spawn(move || {
            while !stop.load(Ordering::Relaxed)
                && let Some(entry) = pending.get(next.fetch_add(1, Ordering::Relaxed))
            {
                if sender.send((entry.name.clone(), run(entry))).is_err() {
                    return;
                }
            }
        });
    }
    drop(sender);
    let mut left = pending.len();
    while left > 0 {
        match ends.recv_timeout(TICK) {
            Ok((name, run)) => {
                let run = run?;
                file.add(&name, &run.outcome)?;
                write_log(logs, &name, &run.output)?;
                progress.ended(&name, &run.outcome);
                results.insert(name, run.outcome);
                left -= 1;
            }
            Err(RecvTimeoutError::Timeout) => progress.tick(),
            Err(RecvTimeoutError::Disconnected) => break,
        }
        if stop.load(Ordering::Relaxed) {
            break;
        }
    }
    progress.finish();
    Ok(left == 0)
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
    use super::super::verdict::Verdict;
    use super::*;
    use std::sync::Mutex;

    #[test]
    fn every_entry_without_a_result_is_run_once() {
        let directory = std::env::temp_dir().join(format!("birgus-runner-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let lines: String = (0..20).map(|n| format!("e{n}\tp\td\tx\tPASS\t1\t0\tPASS\n")).collect();
        let entries = read_baseline("b", &format!("\n{lines}")).unwrap();
        let entries: Vec<&Entry> = entries.iter().collect();
        let (mut file, mut results) = ResultsFile::open(&directory, "k", false).unwrap();
        results.insert("e7".into(), Outcome::new(Verdict::Fail, "before"));
        let seen = Arc::new(Mutex::new(Vec::new()));
        let notes = seen.clone();
        let run: Arc<RunEntry> = Arc::new(move |entry| {
            notes.lock().unwrap().push(entry.name.clone());
            Ok(Run { outcome: Outcome::new(Verdict::Pass, ""), output: "out".into() })
        });
        let complete = run_all(&entries, 3, run, &mut file, &mut results, &directory).unwrap();
        let log = fs::read_to_string(directory.join("e3.txt")).unwrap();
        fs::remove_dir_all(&directory).unwrap();
        assert!(complete);
        assert_eq!(results.len(), 20);
        assert_eq!(results["e7"].message, "before");
        let mut seen = seen.lock().unwrap().clone();
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), 19);
        assert_eq!(log, "out");
    }

    #[test]
    fn names_of_entries_are_safe_as_names_of_files() {
        assert_eq!(log_name("a/../b c.1_2-3"), "a_.._b_c.1_2-3.txt");
    }
}

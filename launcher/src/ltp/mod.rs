//! `birgus ltp`: the system call tests of the Linux Test Project, each in a machine of its
//! own, compared with Linux.
//!
//! - [`entry`]: what there is to run, and what Linux and gVisor made of it
//! - [`files`]: the files that an entry needs; [`tools`]: programs of the host among them
//! - [`vm`]: one entry in its machine; [`native`]: one entry on the host
//! - [`batch`]: several entries in one machine, with [`sequence`] inside it and [`marks`]
//!   between them
//! - [`watch`]: when a test has had its time
//! - [`posix`]: the open_posix_testsuite in place of LTP's own tests
//! - [`output`]: what a test said; [`verdict`]: what that means
//! - [`runner`]: many entries; [`progress`]: how far they are; [`results`]: what came of them
//! - [`score`]: what the results amount to; [`compare`]: what has changed
//! - [`report`]: all of it for people and programs
//!
//! The suite is neither part of Birgus nor downloaded by it. `tests/ltp/linux.tsv` has the
//! verdicts of Linux, as facts.

pub mod batch;
pub mod compare;
pub mod entry;
pub mod files;
pub mod marks;
pub mod native;
pub mod options;
pub mod output;
pub mod posix;
pub mod progress;
pub mod report;
pub mod results;
pub mod runner;
pub mod score;
pub mod sequence;
pub mod tools;
pub mod verdict;
pub mod vm;
pub mod watch;

use crate::Error;
use crate::engine;
use crate::escape::escaped_os;
use crate::kernel;
use compare::Difference;
use entry::{Entry, read_baseline, read_suite};
use files::{Kind, Suite};
use options::{Baseline, LtpOptions};
use report::Report;
use results::{Machine, ResultsFile};
use runner::{Plan, Record, RunEntries};
use score::Score;
use std::fs;
use std::sync::Arc;
use std::time::Instant;

/// The verdicts of Linux that come with Birgus.
const LINUX: &str = include_str!("../../../tests/ltp/linux.tsv");

/// Those for the open_posix_testsuite.
const LINUX_POSIX: &str = include_str!("../../../tests/ltp/posix-linux.tsv");

/// When an entry has had its time, in the words of the report.
const LIMIT_RULE: &str = "time that the machine waited for a processor of the host does not; \
    doing nothing for 20 s and twice Linux's time ends it, too; what ran out of time on a busy \
    host is run once more, alone";

/// What `birgus ltp` came to.
#[derive(Debug)]
pub struct Summary {
    /// A few lines for the user.
    pub words: String,
    /// 0; 1 when entries that passed do so no longer and that was to be checked; 130 when it
    /// was interrupted.
    pub status: u8,
}

/// Runs what is asked for and writes the report.
///
/// # Errors
/// The suite, the baseline or the earlier results cannot be read, no machine can be started,
/// or files cannot be written.
pub fn run(options: &LtpOptions) -> Result<Summary, Error> {
    // Once, not for each machine.
    let options = &LtpOptions { engine: engine::resolve(options.engine), ..options.clone() };
    let suite = Arc::new(Suite::open(&options.suite, options.kind)?);
    let before = options.compare.as_deref().map(compare::read).transpose()?;
    let logs = options.output.join("output");
    fs::create_dir_all(&logs)
        .map_err(|error| Error::io(format_args!("cannot make {}", escaped_os(&logs)), &error))?;
    let Some(all) = baseline(options, &suite)? else {
        return Ok(Summary { words: "interrupted\n".into(), status: 130 });
    };
    let selected: Vec<&Entry> = all.iter().filter(|entry| is_selected(options, entry)).collect();
    if selected.is_empty() {
        return Err(Error::Failed("no entry of the suite is selected".into()));
    }
    let image = match &options.kernel {
        Some(path) => kernel::read(path)?,
        None => kernel::embedded().to_vec(),
    };
    let id = identity(&image);
    let machine = if options.batch > 1 { Machine::Shared } else { Machine::Own };
    let (mut file, mut results) = ResultsFile::open(&options.output, &id, machine, options.resume)?;
    let (start, known) = (Instant::now(), results.len());
    let to_run: Vec<&Entry> =
        selected.iter().copied().filter(|entry| entry.excluded().is_none()).collect();
    let run: Arc<RunEntries> = {
        let (suite, options) = (suite.clone(), options.clone());
        Arc::new(move |entries, ended| batch::run(&options, &suite, entries, ended))
    };
    let plan = Plan { jobs: options.jobs, portion: options.batch };
    let mut record = Record { file: &mut file, results: &mut results, logs: &logs };
    let complete = runner::run_all(&to_run, plan, &run, &mut record)?;
    let table = kernel::table(&image).unwrap_or_default();
    let score = score::score(&selected, &results, &table);
    let difference = before.map(|before| compare::compare(&selected, &before, &results));
    let seconds = start.elapsed().as_secs_f64();
    let time = format!("{} for {} entries", progress::words(seconds), results.len() - known);
    let report = Report {
        suite: options.kind,
        score: &score,
        circumstances: circumstances(options, &id, &score, time),
        difference,
    };
    report::write(&report, &options.output)?;
    Ok(summary(options, &score, report.difference.as_ref(), complete))
}

fn is_selected(options: &LtpOptions, entry: &Entry) -> bool {
    let filters = &options.filters;
    filters.is_empty() || filters.iter().any(|filter| entry.is_selected_by(filter))
}

/// The entries with the verdicts of Linux; `None` when finding those out was interrupted.
fn baseline(options: &LtpOptions, suite: &Arc<Suite>) -> Result<Option<Vec<Entry>>, Error> {
    let embedded = || match options.kind {
        Kind::Ltp => read_baseline("the embedded baseline", LINUX),
        Kind::Posix => read_baseline("the embedded baseline", LINUX_POSIX),
    };
    match &options.baseline {
        Baseline::Embedded => embedded().map(Some),
        Baseline::File(path) => {
            let shown = escaped_os(path).to_string();
            let text = fs::read_to_string(path)
                .map_err(|error| Error::io(format_args!("cannot read {shown}"), &error))?;
            read_baseline(&shown, &text).map(Some)
        }
        Baseline::Run => {
            let all = match options.kind {
                Kind::Ltp => read_suite(suite.root())?,
                Kind::Posix => posix::entries(suite),
            };
            let mut entries = native::prepare(all, &embedded()?);
            entries.retain(|entry| is_selected(options, entry));
            native::measure(options, suite, entries)
        }
    }
}

/// What tells this kernel from others: a hash of its image (FNV-1a, 64 bits).
fn identity(image: &[u8]) -> String {
    let hash = image.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    });
    format!("{hash:016x}")
}

fn circumstances(
    options: &LtpOptions,
    kernel: &str,
    score: &Score<'_>,
    time: String,
) -> Vec<(&'static str, String)> {
    let baseline = match &options.baseline {
        Baseline::Embedded => "as it comes with Birgus".to_owned(),
        Baseline::File(path) => escaped_os(path).to_string(),
        Baseline::Run => "measured on this machine".to_owned(),
    };
    let limit = match options.timeout {
        Some(limit) => {
            format!("{} s, or ten times what Linux took, if that is longer", limit.as_secs_f64())
        }
        None => "150 s (what LTP's library allows, and 30 s for the machine), or ten times what \
                 Linux took, if that is longer"
            .to_owned(),
    };
    let verdicts = match score.total.shared {
        0 => "one machine per entry".to_owned(),
        shared => format!(
            "{shared} of {} from batches of up to {} entries in a machine: not of record",
            score.total.linux, options.batch
        ),
    };
    let mut all = vec![
        ("verdicts", verdicts),
        ("kernel", kernel.to_owned()),
        ("machines at a time", options.jobs.to_string()),
        ("memory of each", format!("{} MiB", options.memory / crate::units::MIB)),
        ("limit", limit),
        ("what counts for it", LIMIT_RULE.to_owned()),
    ];
    if options.kind == Kind::Ltp {
        let processor = format!("{} (the processor is emulated)", vm::TIMEOUT_MULTIPLIER);
        let configuration = "1 (tests do not ask for the kernel's configuration, but for details)";
        all.extend([
            ("LTP_TIMEOUT_MUL", processor),
            ("LTP_RUNTIME_MUL", vm::RUNTIME_MULTIPLIER.to_owned()),
            ("KCONFIG_SKIP_CHECK", configuration.to_owned()),
        ]);
    }
    let selected =
        if options.filters.is_empty() { "all".into() } else { options.filters.join(" ") };
    all.extend([("baseline", baseline), ("selected", selected), ("this run", time)]);
    all
}

fn summary(
    options: &LtpOptions,
    score: &Score<'_>,
    difference: Option<&Difference>,
    complete: bool,
) -> Summary {
    let mut words = report::totals(&score.total);
    let lost = difference.map_or(&[][..], |found| &found.newly_failing);
    if let Some(found) = difference {
        let (more, less) = (found.newly_passing.len(), lost.len());
        words.push_str(&format!("\nNewly passing: {more}, newly failing: {less}\n"));
        for name in lost {
            words.push_str(&format!("newly failing: {}\n", crate::escape::escaped(name)));
        }
    }
    let page = options.output.join("report.html");
    words.push_str(&format!("\nReport: {}\n", escaped_os(&page)));
    let status = match complete {
        false => 130,
        true => u8::from(options.check && !lost.is_empty()),
    };
    Summary { words, status }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_baseline_has_entries_that_count() {
        let entries = read_baseline("embedded", LINUX).unwrap();
        assert!(entries.iter().filter(|entry| entry.is_scored()).count() > 1000);
        assert!(entries.iter().any(|entry| entry.excluded().is_some()));
        let posix = read_baseline("embedded", LINUX_POSIX).unwrap();
        assert!(posix.iter().filter(|entry| entry.is_scored()).count() > 1000);
    }

    #[test]
    fn kernels_are_told_apart() {
        assert_eq!(identity(b""), "cbf29ce484222325");
        assert_eq!(identity(b"a"), "af63dc4c8601ec8c");
    }
}

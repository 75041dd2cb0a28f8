//! Several entries in one machine, one after the other.
//!
//! Inside, `birgus` itself is the program, and [`sequence`](super::sequence) starts the
//! entries; the [marks](super::marks) in what comes out say which of them it is from. Where
//! the machine is lost, or has to be ended, the entry that ran gets the verdict, and the
//! others go on in the next machine.
//!
//! A batch is quicker than a machine for each entry, but an entry may find what an earlier
//! one has left, such as the settings of the system: its verdict is none of record.

use super::entry::Entry;
use super::files::{Kind, Suite, add};
use super::marks::{Mark, Piece, Splitter};
use super::options::LtpOptions;
use super::results::Machine;
use super::sequence;
use super::vm::{self, Kept, MACHINE_LIMIT, Run, Said, allowance, take_own};
use super::watch::{Allowance, Watch};
use crate::Error;
use crate::command::options::RunOptions;
use crate::engine::Vm;
use crate::host::Ending;
use crate::image::{Node, Tree};
use abi::boot::channel::ExitStatus;
use std::collections::BTreeSet;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// Takes what came of an entry.
pub type Ended<'a> = dyn FnMut(&Entry, Run) + Send + 'a;

/// Between two entries, and before the first.
const BETWEEN: Allowance = Allowance { limit: MACHINE_LIMIT, idle: MACHINE_LIMIT };

/// Runs entries in as few machines as can be, in their order. The calling thread outlives the
/// machines.
///
/// # Errors
/// No machine can be started.
pub fn run(
    options: &LtpOptions,
    suite: &Suite,
    entries: &[Entry],
    ended: &mut Ended<'_>,
) -> Result<(), Error> {
    let program = |entry: &Entry| entry.argv.first().cloned().unwrap_or_default();
    let (there, missing): (Vec<&Entry>, Vec<&Entry>) =
        entries.iter().partition(|entry| suite.has(&program(entry)));
    for entry in missing {
        ended(entry, Run::missing(&program(entry)));
    }
    let mut left = &there[..];
    while let Some((first, rest)) = left.split_first() {
        let done = if rest.is_empty() { 0 } else { in_one_machine(options, suite, left, ended)? };
        if done == 0 {
            // Nothing came of the first one: that is looked at without the others.
            ended(first, vm::run(options, suite, first)?);
        }
        left = &left[done.max(1)..];
    }
    Ok(())
}

/// Runs entries in one machine until its end; how many of them have their verdicts.
fn in_one_machine(
    options: &LtpOptions,
    suite: &Suite,
    entries: &[&Entry],
    ended: &mut Ended<'_>,
) -> Result<usize, Error> {
    let word = format!("{:016x}", RandomState::new().build_hasher().finish());
    let (files, run) = describe(options, suite, entries, &word)?;
    let mut machine = match vm::start_machine(files, &run, BETWEEN)? {
        Ok(machine) => machine,
        // One of the programs cannot be brought; which one, running them singly tells.
        Err(_) => return Ok(0),
    };
    let mut course = Course {
        kind: suite.kind(),
        allowance: &|entry| allowance(options, entry),
        entries,
        done: 0,
        current: None,
        calls: BTreeSet::new(),
        watch: machine.watch.clone(),
        own: machine.own.clone(),
        ended,
    };
    let mut splitter = Splitter::new(word);
    let (ending, own) =
        machine.attend(&mut |bytes| splitter.feed(bytes, &mut |piece| course.take(piece)))?;
    splitter.finish(&mut |piece| course.take(piece));
    let serial = machine.vm.end().serial;
    Ok(course.finish(&ending, &own, &serial))
}

/// The files of a machine for these entries, and what runs in it.
fn describe(
    options: &LtpOptions,
    suite: &Suite,
    entries: &[&Entry],
    word: &str,
) -> Result<(Tree, RunOptions), Error> {
    let cannot = |error| Error::io("cannot read the files of a batch", &error);
    let mut needed =
        suite.needed(entries.iter().map(|entry| entry.argv[0].as_str())).map_err(cannot)?;
    let commands: Vec<Vec<String>> = entries.iter().map(|entry| command(suite, entry)).collect();
    let list = sequence::list(word, commands.iter().map(Vec::as_slice));
    add(&mut needed.tree, Path::new(sequence::LIST), Node::file(0o600, list)).map_err(cannot)?;
    let program = std::env::current_exe().map_err(cannot)?.into_os_string();
    let run = RunOptions {
        arguments: vec![sequence::COMMAND.into()],
        environment: vm::environment(suite),
        companions: needed.tools.into_iter().collect(),
        ..options.for_program(program)
    };
    Ok((needed.tree, run))
}

/// The words of an entry's command, its program with its path.
fn command(suite: &Suite, entry: &Entry) -> Vec<String> {
    let path = suite.path(&entry.argv[0]).to_string_lossy().into_owned();
    std::iter::once(path).chain(entry.argv[1..].iter().cloned()).collect()
}

/// The course of a batch in one machine.
struct Course<'a> {
    kind: Kind,
    allowance: &'a (dyn Fn(&Entry) -> Allowance + Sync),
    entries: &'a [&'a Entry],
    /// How many have their verdicts.
    done: usize,
    /// The entry that runs: since when, and what it wrote.
    current: Option<(Instant, Kept)>,
    /// What is missing says the kernel only once.
    calls: BTreeSet<String>,
    watch: Arc<Watch>,
    own: Arc<Mutex<Kept>>,
    ended: &'a mut Ended<'a>,
}

impl Course<'_> {
    fn take(&mut self, piece: Piece<'_>) {
        match piece {
            Piece::Output(bytes) => {
                if let Some((_, output)) = &mut self.current {
                    output.push(bytes);
                }
            }
            Piece::Mark(Mark::Begin(number)) => {
                if let Some(entry) = self.entries.get(number).filter(|_| number == self.done) {
                    self.current = Some((Instant::now(), Kept::default()));
                    self.watch.restart((self.allowance)(entry));
                }
            }
            Piece::Mark(Mark::End(number, status)) => {
                if number == self.done {
                    let own = take_own(&self.own);
                    self.conclude(&Ending::Exit(status), &own, b"");
                    self.watch.restart(BETWEEN);
                }
            }
        }
    }

    /// The verdict of the entry that runs.
    fn conclude(&mut self, ending: &Ending, own: &[u8], serial: &[u8]) {
        let Some((start, output)) = self.current.take() else { return };
        let said = Said { output: &output.bytes, own, serial };
        let seconds = start.elapsed().as_secs_f64();
        let mut run = vm::conclude(self.kind, ending, &said, seconds, self.watch.is_disturbed());
        run.outcome.machine = Machine::Shared;
        self.add_earlier_calls(&mut run);
        (self.ended)(self.entries[self.done], run);
        self.done += 1;
    }

    /// Adds the missing calls that an earlier entry met, where the message is about them.
    fn add_earlier_calls(&mut self, run: &mut Run) {
        let outcome = &mut run.outcome;
        let earlier = self.calls.iter().filter(|call| outcome.message.contains(call.as_str()));
        let all: BTreeSet<String> = earlier.chain(&outcome.calls).cloned().collect();
        self.calls.extend(all.iter().cloned());
        outcome.calls = all.into_iter().collect();
    }

    /// Looks at the end of the machine: the entry that ran is the one that ended it. How many
    /// entries have their verdicts.
    fn finish(mut self, ending: &Ending, own: &[u8], serial: &[u8]) -> usize {
        // A program that only ended what was to start the next one shows that alone, too.
        let by_the_sequence = matches!(
            ending,
            Ending::Exit(ExitStatus::Exited(_) | ExitStatus::Killed(_) | ExitStatus::NotStarted(_))
        );
        if !by_the_sequence {
            self.conclude(ending, own, serial);
        }
        self.done
    }
}

#[cfg(test)]
mod tests {
    use super::super::entry::read_baseline;
    use super::super::verdict::Verdict;
    use super::*;

    /// What came of the entries `a`, `b` and `c`, and how many have their verdicts.
    fn course(pieces: Vec<Piece<'_>>, ending: &Ending) -> (Vec<(String, Run)>, usize) {
        let text: String =
            ["a", "b", "c"].map(|name| format!("{name}\tp\td\tx\tPASS\t1\t0\tPASS\n")).concat();
        let entries = read_baseline("b", &format!("\n{text}")).unwrap();
        let entries: Vec<&Entry> = entries.iter().collect();
        let mut runs = Vec::new();
        let mut ended = |entry: &Entry, run: Run| runs.push((entry.name.clone(), run));
        let own: Arc<Mutex<Kept>> = Arc::default();
        let mut course = Course {
            kind: Kind::Ltp,
            allowance: &|_| BETWEEN,
            entries: &entries,
            done: 0,
            current: None,
            calls: BTreeSet::from(["bpf".to_owned(), "openat2".to_owned()]),
            watch: Arc::new(Watch::new(u32::MAX, BETWEEN)),
            own: own.clone(),
            ended: &mut ended,
        };
        for piece in pieces {
            course.take(piece);
        }
        let done = course.finish(ending, b"kernel panic: x", b"");
        (runs, done)
    }

    const PASS: &[u8] = b"a.c:1: TPASS: x\n";

    fn begin(number: usize) -> Piece<'static> {
        Piece::Mark(Mark::Begin(number))
    }

    fn end(number: usize, status: i32) -> Piece<'static> {
        Piece::Mark(Mark::End(number, ExitStatus::Exited(status)))
    }

    #[test]
    fn each_entry_has_its_own_output_and_status() {
        let fail = b"a.c:1: TFAIL: openat2() failed: ENOSYS\n";
        let (runs, done) = course(
            vec![
                begin(0),
                Piece::Output(PASS),
                end(0, 0),
                Piece::Output(b"late words\n"),
                begin(1),
                Piece::Output(fail),
                end(1, 1),
            ],
            &Ending::Exit(ExitStatus::Exited(0)),
        );
        assert_eq!(done, 2);
        let outcomes: Vec<_> = runs.iter().map(|(name, run)| (&**name, &run.outcome)).collect();
        assert_eq!((outcomes[0].0, outcomes[0].1.verdict), ("a", Verdict::Pass));
        assert_eq!((outcomes[1].0, outcomes[1].1.verdict), ("b", Verdict::Fail));
        assert_eq!(outcomes[1].1.calls, ["openat2"]);
        assert!(outcomes.iter().all(|(_, outcome)| outcome.machine == Machine::Shared));
    }

    #[test]
    fn the_entry_that_ran_has_the_verdict_of_the_machine() {
        let pieces = || vec![begin(0), Piece::Output(PASS), end(0, 0), begin(1)];
        let (runs, done) = course(pieces(), &Ending::Exit(ExitStatus::KernelFailure));
        assert_eq!((done, runs[1].1.outcome.verdict), (2, Verdict::Crash));
        assert_eq!(runs[1].1.outcome.message, "kernel panic: x");
        let (runs, done) = course(pieces(), &Ending::TimedOut);
        assert_eq!((done, runs[1].1.outcome.verdict), (2, Verdict::Timeout));
        // The sequence itself was killed: by whom, only a machine of its own can tell.
        let (runs, done) = course(pieces(), &Ending::Exit(ExitStatus::Killed(15)));
        assert_eq!((done, runs.len()), (1, 1));
        // Between two entries nobody is guilty.
        let (runs, done) = course(vec![begin(0), end(0, 32)], &Ending::Lost("gone".into()));
        assert_eq!((done, runs.len()), (1, 1));
    }

    #[test]
    fn marks_out_of_their_order_say_nothing() {
        let (runs, done) = course(
            vec![begin(2), end(2, 0), end(0, 0), begin(7), end(7, 0)],
            &Ending::Exit(ExitStatus::Exited(0)),
        );
        assert_eq!((done, runs.len()), (0, 0));
    }
}

//! `birgus ltp`

use super::options::{Command, EngineChoice, MachineKind, Topic};
use super::values::{choice, memory, text, timeout, usage, value};
use crate::Error;
use crate::escape::escaped_os;
use crate::ltp;
use crate::ltp::files::Kind;
use crate::ltp::options::{Baseline, LtpOptions};
use lexopt::prelude::*;

/// Reads the options of `birgus ltp`.
///
/// # Errors
/// [`Error::Usage`] says what is wrong with them.
pub(super) fn parse(parser: &mut lexopt::Parser) -> Result<Command, Error> {
    let mut options = LtpOptions::default();
    while let Some(argument) = parser.next().map_err(usage)? {
        let name = match argument {
            Short('h') | Long("help") => return Ok(Command::Help(Topic::Ltp)),
            // The name borrows from the parser, which then has to give the value.
            Long(name) => format!("--{name}"),
            Short('j') => "--jobs".to_owned(),
            Short('m') => "--memory".to_owned(),
            other => return Err(usage(other.unexpected())),
        };
        take(parser, &name, &mut options)?;
    }
    if options.suite.as_os_str().is_empty() {
        return Err(Error::Usage(
            "where is the suite? birgus ltp --suite DIR, or --posix DIR".into(),
        ));
    }
    if options.check && options.compare.is_none() {
        return Err(Error::Usage("--check wants earlier results: --compare FILE".into()));
    }
    Ok(Command::Ltp(Box::new(options)))
}

/// Takes one option and its value.
fn take(parser: &mut lexopt::Parser, name: &str, options: &mut LtpOptions) -> Result<(), Error> {
    match name {
        "--suite" | "--posix" => {
            if !options.suite.as_os_str().is_empty() {
                return Err(Error::Usage("one suite at a time: --suite DIR or --posix DIR".into()));
            }
            options.suite = value(parser)?.into();
            options.kind = if name == "--posix" { Kind::Posix } else { Kind::Ltp };
        }
        "--output" => options.output = value(parser)?.into(),
        "--filter" => {
            let words = text(name, parser)?;
            options.filters.extend(words.split([',', ' ']).map(str::to_owned));
        }
        "--jobs" => options.jobs = number(name, parser, MAX_JOBS)?,
        "--batch" => options.batch = number(name, parser, MAX_BATCH)?,
        "--resume" => options.resume = true,
        "--baseline" => {
            let word = value(parser)?;
            let file = || Baseline::File(word.clone().into());
            options.baseline = if word == "run" { Baseline::Run } else { file() };
        }
        "--compare" => options.compare = Some(value(parser)?.into()),
        "--check" => options.check = true,
        "--timeout" => options.timeout = Some(timeout(parser)?),
        "--memory" => options.memory = memory(parser)?,
        "--engine" => options.engine = choice(name, parser, &EngineChoice::NAMES)?,
        "--machine" => options.machine = choice(name, parser, &MachineKind::NAMES)?,
        "--kernel" => options.kernel = Some(value(parser)?.into()),
        "--kernel-arg" => options.kernel_arguments.push(text(name, parser)?),
        _ => return Err(Error::Usage(format!("no such option: {}", escaped_os(name)))),
    }
    Ok(())
}

/// Most machines at the same time.
const MAX_JOBS: usize = 1024;

/// Most entries in one machine, whose programs all have to be in it.
const MAX_BATCH: usize = 200;

fn number(name: &str, parser: &mut lexopt::Parser, most: usize) -> Result<usize, Error> {
    let word = text(name, parser)?;
    word.parse().ok().filter(|number| (1..=most).contains(number)).ok_or_else(|| {
        let word = escaped_os(&word);
        Error::Usage(format!("{name} wants a number from 1 to {most}, not `{word}`"))
    })
}

/// Runs the suite and says where the report is.
pub(super) fn run(options: &LtpOptions) -> Result<u8, Error> {
    let summary = ltp::run(options)?;
    super::print(&summary.words)?;
    Ok(summary.status)
}

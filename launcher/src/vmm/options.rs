//! What the monitor is started with: numbers of descriptors that it inherited, and the
//! machine's size, as words of a command line.

use crate::Error;
use lexopt::prelude::*;
use std::ffi::OsString;
use std::os::fd::RawFd;

/// The hidden command of `birgus`.
pub const COMMAND: &str = "monitor";

/// A machine in the monitor's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Memory in bytes; whole MiB.
    pub memory: u64,
    /// The kernel's ELF file.
    pub kernel: RawFd,
    /// The boot archive.
    pub archive: RawFd,
    /// The control channel.
    pub control: RawFd,
    /// Where the verdict goes.
    pub verdict: RawFd,
    /// The directories that are served.
    pub shares: Vec<Share>,
    /// The network, if there is one.
    pub link: Option<(LinkKind, RawFd)>,
    /// Whether rights are given up.
    pub sandbox: bool,
    /// Whether KVM may be slow.
    pub patient: bool,
    /// The kernel's command line.
    pub command_line: String,
}

/// A directory that is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    /// Its name in the guest.
    pub tag: String,
    /// Whether nothing in it changes.
    pub read_only: bool,
    /// The directory.
    pub directory: RawFd,
}

/// How frames are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkKind {
    /// A stream, with their length before them (4 bytes, big-endian).
    Stream,
    /// A device: one for each read and write.
    Tap,
}

/// What the monitor is asked to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Task {
    /// Run a machine.
    Run(Options),
    /// Say whether KVM works, to this descriptor.
    Examine(RawFd),
}

impl Options {
    /// The words for an examination.
    #[must_use]
    pub fn examination(verdict: RawFd) -> Vec<String> {
        vec!["--verdict".to_owned(), verdict.to_string(), "--examine".to_owned()]
    }

    /// The words for this machine.
    #[must_use]
    pub fn to_arguments(&self) -> Vec<String> {
        let numbers = [
            ("--kernel", self.kernel),
            ("--archive", self.archive),
            ("--control", self.control),
            ("--verdict", self.verdict),
        ];
        let mut words = vec!["--memory".to_owned(), self.memory.to_string()];
        words.extend(numbers.iter().flat_map(|(name, fd)| [(*name).to_owned(), fd.to_string()]));
        for Share { tag, read_only, directory } in &self.shares {
            let mode = if *read_only { "ro" } else { "rw" };
            words.extend(["--share".to_owned(), format!("{directory}:{mode}:{tag}")]);
        }
        match self.link {
            Some((LinkKind::Stream, fd)) => words.extend(["--stream".to_owned(), fd.to_string()]),
            Some((LinkKind::Tap, fd)) => words.extend(["--tap".to_owned(), fd.to_string()]),
            None => {}
        }
        if !self.sandbox {
            words.push("--no-sandbox".to_owned());
        }
        if self.patient {
            words.push("--patient".to_owned());
        }
        words.extend(["--append".to_owned(), self.command_line.clone()]);
        words
    }
}

/// Reads the words; nobody but `birgus` itself writes them.
///
/// # Errors
/// [`Error::Usage`] says what is wrong with them.
pub fn parse(parser: &mut lexopt::Parser) -> Result<Task, Error> {
    let mut examine = false;
    let mut options = Options {
        memory: 0,
        kernel: -1,
        archive: -1,
        control: -1,
        verdict: -1,
        shares: Vec::new(),
        link: None,
        sandbox: true,
        patient: false,
        command_line: String::new(),
    };
    let wrong = |error: lexopt::Error| Error::Usage(error.to_string());
    while let Some(argument) = parser.next().map_err(wrong)? {
        let number = |parser: &mut lexopt::Parser| parser.value()?.parse();
        match argument {
            Long("memory") => {
                options.memory = parser.value().and_then(|word| word.parse()).map_err(wrong)?;
            }
            Long("kernel") => options.kernel = number(parser).map_err(wrong)?,
            Long("archive") => options.archive = number(parser).map_err(wrong)?,
            Long("control") => options.control = number(parser).map_err(wrong)?,
            Long("verdict") => options.verdict = number(parser).map_err(wrong)?,
            Long("stream") => {
                options.link = Some((LinkKind::Stream, number(parser).map_err(wrong)?));
            }
            Long("tap") => options.link = Some((LinkKind::Tap, number(parser).map_err(wrong)?)),
            Long("share") => options.shares.push(share(&parser.value().map_err(wrong)?)?),
            Long("append") => {
                options.command_line = parser.value().and_then(ValueExt::string).map_err(wrong)?;
            }
            Long("no-sandbox") => options.sandbox = false,
            Long("patient") => options.patient = true,
            Long("examine") => examine = true,
            other => return Err(wrong(other.unexpected())),
        }
    }
    let needed = [options.kernel, options.archive, options.control, options.verdict];
    match examine {
        true if options.verdict >= 0 => Ok(Task::Examine(options.verdict)),
        false if needed.iter().all(|&fd| fd >= 0) => Ok(Task::Run(options)),
        _ => Err(Error::Usage(format!("{COMMAND} is for birgus itself"))),
    }
}

fn share(word: &OsString) -> Result<Share, Error> {
    let parsed = word.to_str().and_then(|word| {
        let (fd, rest) = word.split_once(':')?;
        let (mode, tag) = rest.split_once(':')?;
        let read_only = match mode {
            "ro" => true,
            "rw" => false,
            _ => return None,
        };
        Some(Share { tag: tag.to_owned(), read_only, directory: fd.parse().ok()? })
    });
    parsed.ok_or_else(|| Error::Usage("--share is FD:MODE:TAG".into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_words(words: &[String]) -> Result<Task, Error> {
        parse(&mut lexopt::Parser::from_args(words))
    }

    #[test]
    fn a_machine_survives_the_way() {
        let share = Share { tag: "v0".into(), read_only: true, directory: 9 };
        let options = Options {
            memory: 1 << 30,
            kernel: 3,
            archive: 4,
            control: 5,
            verdict: 6,
            shares: vec![share.clone(), Share { read_only: false, ..share }],
            link: Some((LinkKind::Tap, 7)),
            sandbox: false,
            patient: true,
            command_line: "--a=b -- c".into(),
        };
        assert_eq!(parse_words(&options.to_arguments()).unwrap(), Task::Run(options));
        assert_eq!(parse_words(&Options::examination(3)).unwrap(), Task::Examine(3));
    }

    #[test]
    fn words_that_are_not_birguss_are_refused() {
        for bad in ["", "--memory=1", "--share=1:xx:t --verdict=1", "--examine", "--kernel=x"] {
            let words: Vec<String> = bad.split_whitespace().map(str::to_owned).collect();
            assert!(parse_words(&words).is_err(), "{bad}");
        }
    }
}

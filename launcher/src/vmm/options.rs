//! What the monitor is started with: numbers of descriptors that it inherited, and the
//! machine's size, as words of a command line.

use crate::Error;
use lexopt::prelude::*;
use std::os::fd::RawFd;

/// The hidden command of `birgus`.
pub const COMMAND: &str = "monitor";

/// A machine in the monitor's words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Memory in bytes; whole MiB.
    pub memory: u64,
    /// The kernel's ELF file; 0 where it is only to say whether KVM works.
    pub kernel: RawFd,
    /// The boot archive.
    pub archive: RawFd,
    /// The control channel, over which the verdict goes first.
    pub control: RawFd,
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

impl Options {
    /// The words for this machine.
    #[must_use]
    pub fn to_arguments(&self) -> Vec<String> {
        let Self { memory, kernel, archive, control, .. } = self;
        let mut words = vec![
            format!("--memory={memory}"),
            format!("--kernel={kernel}"),
            format!("--archive={archive}"),
            format!("--control={control}"),
            format!("--append={}", self.command_line),
        ];
        words.extend(self.shares.iter().map(|Share { tag, read_only, directory }| {
            format!("--share={directory}:{}:{tag}", if *read_only { "ro" } else { "rw" })
        }));
        words.extend(self.link.map(|(kind, fd)| match kind {
            LinkKind::Stream => format!("--stream={fd}"),
            LinkKind::Tap => format!("--tap={fd}"),
        }));
        words.extend(self.sandbox.then(|| "--sandbox".to_owned()));
        words.extend(self.patient.then(|| "--patient".to_owned()));
        words
    }
}

/// Reads the words; nobody but `birgus` itself writes them.
///
/// # Errors
/// [`Error::Usage`] says what is wrong with them.
pub fn parse(parser: &mut lexopt::Parser) -> Result<Options, Error> {
    let options = read(parser).map_err(|error| Error::Usage(error.to_string()))?;
    // The streams are none of its descriptors.
    match (options.control, options.kernel, options.archive) {
        (3.., 0, 0) | (3.., 3.., 3..) => Ok(options),
        _ => Err(Error::Usage(format!("{COMMAND} is for birgus itself"))),
    }
}

fn read(parser: &mut lexopt::Parser) -> Result<Options, lexopt::Error> {
    let mut options = Options::default();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("memory") => options.memory = parser.value()?.parse()?,
            Long("kernel") => options.kernel = parser.value()?.parse()?,
            Long("archive") => options.archive = parser.value()?.parse()?,
            Long("control") => options.control = parser.value()?.parse()?,
            Long("append") => options.command_line = parser.value()?.string()?,
            Long("share") => options.shares.push(parser.value()?.parse_with(share)?),
            Long("stream") => options.link = Some((LinkKind::Stream, parser.value()?.parse()?)),
            Long("tap") => options.link = Some((LinkKind::Tap, parser.value()?.parse()?)),
            Long("sandbox") => options.sandbox = true,
            Long("patient") => options.patient = true,
            other => return Err(other.unexpected()),
        }
    }
    Ok(options)
}

fn share(word: &str) -> Result<Share, &'static str> {
    let parts: Vec<&str> = word.splitn(3, ':').collect();
    match (&parts[..], parts[0].parse()) {
        ([_, mode @ ("ro" | "rw"), tag], Ok(directory)) => {
            Ok(Share { tag: (*tag).to_owned(), read_only: *mode == "ro", directory })
        }
        _ => Err("it is not FD:MODE:TAG"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_words(words: &[String]) -> Result<Options, Error> {
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
            shares: vec![share.clone(), Share { read_only: false, ..share }],
            link: Some((LinkKind::Tap, 7)),
            sandbox: true,
            patient: true,
            command_line: "--a=b -- c".into(),
        };
        assert_eq!(parse_words(&options.to_arguments()).unwrap(), options);
    }

    #[test]
    fn words_that_are_not_birguss_are_refused() {
        for bad in ["", "--memory=1", "--share=1:xx:t --control=3", "--control=1", "--kernel=x"] {
            let words: Vec<String> = bad.split_whitespace().map(str::to_owned).collect();
            assert!(parse_words(&words).is_err(), "{bad}");
        }
    }
}

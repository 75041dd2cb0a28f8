//! Why `birgus` could not do what it was asked for, and the exit status that says so.

use std::{fmt, io};

/// A failure of `birgus` itself, or of finding the program. Each is told in one line.
#[derive(Debug)]
pub enum Error {
    /// The command line is wrong.
    Usage(String),
    /// There is no such program.
    NotFound(String),
    /// The program is there and cannot be executed.
    NotExecutable(String),
    /// KVM cannot be used on this host; another engine may do.
    NoKvm(String),
    /// Anything else that kept the program from running to its end.
    Failed(String),
}

impl Error {
    /// An operation of the host that failed: `what` names it and its object, as in
    /// `cannot read /etc/passwd`.
    pub(crate) fn io(what: impl fmt::Display, error: &io::Error) -> Self {
        Self::Failed(format!("{what}: {}", reason(error)))
    }

    /// The exit status: 127, 126 or 125, as of env(1) and docker-run(1).
    #[must_use]
    pub fn status(&self) -> u8 {
        match self {
            Self::NotFound(_) => 127,
            Self::NotExecutable(_) => 126,
            Self::Usage(_) | Self::NoKvm(_) | Self::Failed(_) => 125,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(text) => write!(f, "{text} (see `birgus --help`)"),
            Self::NoKvm(why) => write!(f, "KVM cannot be used here: {why}"),
            Self::NotFound(text) | Self::NotExecutable(text) | Self::Failed(text) => {
                f.write_str(text)
            }
        }
    }
}

impl std::error::Error for Error {}

/// The words for an error of the host, without the number that the standard library appends.
pub(crate) fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    match text.split_once(" (os error") {
        Some((words, _)) => words.to_owned(),
        None => text,
    }
}

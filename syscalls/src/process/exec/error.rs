//! Why a program cannot be executed.

use alloc::vec::Vec;
use core::fmt;

use abi::Errno;
use loader::elf::{ElfError, ReadError};
use loader::script::{MAX_SCRIPTS, NoInterpreter};
use loader::stack::StackError;

use crate::error::{Because, Error};

/// Why a program cannot be executed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExecError {
    /// The file is not a program that can be started.
    File(ElfError),
    /// The interpreter of a program or a script, at this path, cannot be opened.
    Interpreter(Vec<u8>, Error),
    /// The interpreter of a dynamically linked program, at this path, is not one.
    InterpreterFile(Vec<u8>, ElfError),
    /// It is a script without an interpreter.
    Script(NoInterpreter),
    /// It is a script of a script, and so on.
    TooManyScripts,
    /// Its arguments or its environment do not fit.
    Stack(StackError),
    /// Something else failed: reading the file, making the mappings.
    Other(Error),
}

impl ExecError {
    /// What execve(2) fails with.
    #[must_use]
    pub const fn errno(&self) -> Errno {
        match self {
            Self::File(error) => error.errno(),
            Self::Interpreter(_, error) => error.errno,
            Self::InterpreterFile(_, error) => error.interpreter_errno(),
            Self::Script(error) => error.errno(),
            Self::TooManyScripts => Errno::ELOOP,
            Self::Stack(error) => error.errno(),
            Self::Other(error) => error.errno,
        }
    }

    /// Whether Linux finds it only after the old program is gone.
    pub(crate) const fn is_found_late(&self) -> bool {
        match self {
            Self::File(error) | Self::InterpreterFile(_, error) => error.is_found_late(),
            _ => false,
        }
    }

    /// The failure of `file`, as that of an interpreter at `path`.
    pub(super) fn of_interpreter(self, path: &[u8]) -> Self {
        match self {
            Self::File(error) => Self::InterpreterFile(path.to_vec(), error),
            other => other,
        }
    }
}

impl fmt::Display for ExecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(error) => error.fmt(f),
            Self::Interpreter(path, error) => {
                write!(f, "its interpreter {} cannot be used: ", path.escape_ascii())?;
                fmt_error(error, f)
            }
            Self::InterpreterFile(path, error) => {
                write!(f, "its interpreter {}: {error}", path.escape_ascii())
            }
            Self::Script(error) => error.fmt(f),
            Self::TooManyScripts => {
                write!(f, "more than {MAX_SCRIPTS} scripts that are executed by scripts")
            }
            Self::Stack(error) => error.fmt(f),
            Self::Other(error) => fmt_error(error, f),
        }
    }
}

fn fmt_error(error: &Error, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match (error.reason, error.errno.name()) {
        ("", name) => f.write_str(name),
        (reason, name) => write!(f, "{reason} ({name})"),
    }
}

impl core::error::Error for ExecError {}

impl From<ExecError> for Error {
    fn from(error: ExecError) -> Self {
        let reason = match &error {
            ExecError::File(_) => "not a program that can be started",
            ExecError::Interpreter(..) => "the interpreter cannot be used",
            ExecError::InterpreterFile(..) => "the interpreter is not one",
            ExecError::Script(_) => "the script names no interpreter",
            ExecError::TooManyScripts => "too many scripts that are executed by scripts",
            ExecError::Stack(_) => "arguments or environment do not fit",
            ExecError::Other(error) => error.reason,
        };
        error.errno().because(reason)
    }
}

impl From<Error> for ExecError {
    fn from(error: Error) -> Self {
        Self::Other(error)
    }
}

impl From<ElfError> for ExecError {
    fn from(error: ElfError) -> Self {
        Self::File(error)
    }
}

impl From<StackError> for ExecError {
    fn from(error: StackError) -> Self {
        Self::Stack(error)
    }
}

impl From<ReadError<Error>> for ExecError {
    fn from(error: ReadError<Error>) -> Self {
        match error {
            ReadError::Elf(error) => Self::File(error),
            ReadError::Io(error) => Self::Other(error),
        }
    }
}

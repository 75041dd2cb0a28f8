//! What a system call can come to: a value, an error with its reason, or new registers.

use abi::Errno;

use crate::machine::{Fault, OutOfMemory};

/// An errno and, for the tracer, the reason in the words of the manual page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Error {
    /// The error number.
    pub errno: Errno,
    /// Why; may be empty where the errno says it all.
    pub reason: &'static str,
}

/// A result of the personality.
pub type Result<T, E = Error> = core::result::Result<T, E>;

/// Gives an [`Errno`] its reason.
pub trait Because {
    /// This error, and why.
    fn because(self, reason: &'static str) -> Error;
}

impl Because for Errno {
    fn because(self, reason: &'static str) -> Error {
        Error { errno: self, reason }
    }
}

impl From<Errno> for Error {
    fn from(errno: Errno) -> Self {
        Self { errno, reason: "" }
    }
}

impl From<OutOfMemory> for Error {
    fn from(_: OutOfMemory) -> Self {
        Errno::ENOMEM.because("out of memory")
    }
}

impl From<Fault> for Error {
    fn from(_: Fault) -> Self {
        Errno::EFAULT.because("bad address")
    }
}

/// What a successful system call does to its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It returns this value.
    Value(u64),
    /// All registers have been replaced ([`crate::Context::set_registers`]): rt_sigreturn,
    /// execve.
    Replaced,
    /// The thread ends.
    Ended,
}

impl From<()> for Outcome {
    fn from((): ()) -> Self {
        Self::Value(0)
    }
}

impl From<u64> for Outcome {
    fn from(value: u64) -> Self {
        Self::Value(value)
    }
}

impl From<usize> for Outcome {
    fn from(value: usize) -> Self {
        Self::Value(value as u64)
    }
}

impl From<u32> for Outcome {
    fn from(value: u32) -> Self {
        Self::Value(u64::from(value))
    }
}

impl From<i32> for Outcome {
    fn from(value: i32) -> Self {
        Self::Value(i64::from(value) as u64)
    }
}

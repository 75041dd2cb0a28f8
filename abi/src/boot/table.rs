//! The table of system calls inside the kernel's ELF file.
//!
//! The section [`SECTION`] is not loaded into memory. It holds text, a line for each system
//! call of Linux, fields separated by tabs: number, name, support level ([`Support::name`]),
//! and a note in one sentence (what is missing, or why the call is not there; may be empty).
//! The text may be followed by NUL bytes. Whoever speaks about the table (`birgus syscalls`,
//! the coverage report) reads it there, so as to speak of the kernel that runs.

/// Name of the ELF section.
pub const SECTION: &str = ".birgus.syscalls";

/// How much of a system call is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Support {
    /// Everything the manual page describes that makes sense in a unikernel.
    Full,
    /// It works, and something is missing: the note says what.
    Partial,
    /// The call returns `ENOSYS`.
    None,
}

impl Support {
    /// The word in the table: `full`, `partial` or `none`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Partial => "partial",
            Self::None => "none",
        }
    }

    /// The support level with this [`Support::name`].
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Full, Self::Partial, Self::None].into_iter().find(|level| level.name() == name)
    }
}

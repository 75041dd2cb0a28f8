//! Restricting oneself: landlock(7).
//!
//! - [`Ruleset`]: what a program allows itself, while it is put together; [`file`] is the
//!   descriptor of one
//! - [`Domain`]: the rulesets that hold for a thread, each on top of those before, kept in its
//!   credentials. A thread without any pays for one look at a pointer.
//! - [`path`]: what a domain says of files, by the place where they are; [`refer`] of links and
//!   renames from one directory to another
//! - [`net`]: what it says of ports; [`scope`]: of other processes
//!
//! Something is allowed where every layer of the domain allows it: a layer that says nothing of
//! a right allows it everywhere, one that handles it only where one of its rules does.

mod domain;
mod file;
mod masks;
mod net;
mod path;
mod refer;
mod ruleset;
mod scope;
#[cfg(test)]
mod tests;

pub(crate) use domain::Domain;
pub(crate) use file::RulesetInode;
pub(crate) use net::{check_bind, check_connect};
pub(crate) use path::{Opening, check, check_mounts, open, right_to_make};
pub(crate) use refer::{Reference, check_reference};
pub(crate) use ruleset::{Handled, Ruleset};

use abi::Errno;

use crate::error::{Because, Error};

fn denied() -> Error {
    Errno::EACCES.because("no rule of the caller's domain allows it")
}

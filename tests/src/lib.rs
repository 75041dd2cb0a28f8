//! The runner of Birgus's tests: builds programs with the machine's compilers, runs them
//! natively and in a virtual machine, and compares what came out.
//!
//! - [`program`]: the programs of `tests/programs` and how to build them
//! - [`run`]: one run of a process, with its streams and a time limit
//! - [`birgus`]: finds the `birgus` command and runs programs in it, at most
//!   [`birgus::MAX_MACHINES`] at a time
//! - [`rig`]: a machine in which KVM works
//! - [`compare`]: the first difference between two runs, in words
//! - [`process`]: the processes that another one started
//! - [`sides`]: one command on both sides
//! - [`scratch`]: temporary directories
//! - [`server`]: a server in a machine, with ports of this host
//!
//! The tests themselves are in `tests/tests`: `conformance` (the programs), `boot` (machines,
//! exit statuses, failures of all kinds), `debian` (unmodified programs of Debian), `ltp` (the
//! runner of the Linux Test Project, without it), `streams` (pipelines and redirections) and
//! `terminal` (programs on a terminal, driven by tmux).

pub mod birgus;
pub mod compare;
pub mod process;
pub mod program;
pub mod rig;
pub mod run;
pub mod scratch;
pub mod server;
pub mod sides;

use std::path::{Path, PathBuf};

/// The repository's root directory.
#[must_use]
pub fn repository() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// Cargo's target directory, in which the running test lies.
///
/// # Panics
/// When the running executable is not in a target directory.
#[must_use]
pub fn target_directory() -> PathBuf {
    let test = std::env::current_exe().expect("the test knows its own path");
    // TARGET/PROFILE/deps/TEST, or TARGET/PROFILE/PROGRAM
    let folder = test.parent().expect("a file lies in a directory");
    let profile = if folder.ends_with("deps") { folder.parent() } else { Some(folder) };
    let target = profile.and_then(Path::parent);
    target.expect("the test lies in a target directory").to_owned()
}

/// Whether the slow tests are wanted as well: `BIRGUS_TEST_FULL=1`.
#[must_use]
pub fn full() -> bool {
    std::env::var_os("BIRGUS_TEST_FULL").is_some_and(|value| value == "1")
}

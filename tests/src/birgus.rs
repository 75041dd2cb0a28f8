//! The `birgus` command under test.
//!
//! `BIRGUS` names one; otherwise it is built, in release mode, from this repository: so what
//! is tested is never older than its source.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Condvar, Mutex, OnceLock};

use crate::run::{Given, Outcome, run};
use crate::{repository, target_directory};

/// Virtual machines that run at the same time: each takes a processor to itself.
pub const MAX_MACHINES: usize = 2;

/// How the lines begin that are Birgus's own, not the program's.
pub const OWN_PREFIX: &str = "birgus: ";

/// The command's path.
///
/// # Panics
/// When it cannot be built: no test makes sense then.
pub fn path() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| {
        let named = std::env::var_os("BIRGUS").map(PathBuf::from);
        named.map_or_else(build, |path| path.canonicalize().expect("BIRGUS names a file"))
    })
}

fn build() -> PathBuf {
    let target = target_directory();
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["build", "--quiet", "--release", "--locked", "--package", "birgus"])
        .arg("--target-dir")
        .arg(&target)
        .current_dir(repository())
        .status();
    assert!(status.is_ok_and(|status| status.success()), "birgus does not build");
    target.join("release/birgus")
}

/// A run of `birgus` with these arguments, and whatever else `prepare` sets, once fewer than
/// [`MAX_MACHINES`] are running.
///
/// # Errors
/// As [`run`].
pub fn birgus_with<A: AsRef<OsStr>>(
    arguments: impl IntoIterator<Item = A>,
    given: Given,
    prepare: impl FnOnce(&mut Command),
) -> io::Result<Outcome> {
    let mut command = Command::new(path());
    command.args(arguments);
    prepare(&mut command);
    let _turn = Turn::take();
    run(command, given)
}

/// A run of `birgus` with these arguments, once fewer than [`MAX_MACHINES`] are running.
///
/// # Errors
/// As [`run`].
pub fn birgus<A: AsRef<OsStr>>(
    arguments: impl IntoIterator<Item = A>,
    given: Given,
) -> io::Result<Outcome> {
    birgus_with(arguments, given, |_| {})
}

/// Takes Birgus's own lines out of a program's standard error and returns them.
pub fn take_own_lines(stderr: &mut Vec<u8>) -> Vec<String> {
    let mut own = Vec::new();
    let mut rest = Vec::new();
    for line in stderr.split_inclusive(|&byte| byte == b'\n') {
        if line.starts_with(OWN_PREFIX.as_bytes()) {
            own.push(String::from_utf8_lossy(line).trim_end().to_owned());
        } else {
            rest.extend_from_slice(line);
        }
    }
    *stderr = rest;
    own
}

static RUNNING: Mutex<usize> = Mutex::new(0);
static ENDED: Condvar = Condvar::new();

/// The right to run one virtual machine.
struct Turn;

impl Turn {
    fn take() -> Self {
        let running = RUNNING.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let mut running = ENDED
            .wait_while(running, |running| *running >= MAX_MACHINES)
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        *running += 1;
        Self
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        *RUNNING.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) -= 1;
        ENDED.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_own_lines_are_taken() {
        let mut stderr = b"one\nbirgus: two\n birgus: three\nfour".to_vec();
        assert_eq!(take_own_lines(&mut stderr), ["birgus: two"]);
        assert_eq!(stderr, b"one\n birgus: three\nfour");
    }
}

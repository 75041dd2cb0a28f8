//! One command on both sides: the same binary with the same arguments, files and input on
//! Linux and in Birgus, and the comparison of what came out.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::birgus::{birgus_with, take_own_lines};
use crate::compare::compare;
use crate::run::{Given, Outcome, run};
use crate::scratch::Scratch;

/// Time for a run, where the setting does not say otherwise.
pub const DEFAULT_LIMIT: Duration = Duration::from_secs(120);

/// What a program gets besides its arguments.
#[derive(Clone, Copy, Debug, Default)]
pub struct Setting<'a> {
    /// Bytes on standard input.
    pub stdin: &'a [u8],
    /// A directory that is at the same path in the guest, read-only.
    pub directory: Option<&'a Path>,
    /// Variables that replace or join `PATH`, `HOME` and `TERM`.
    pub environment: &'a [(&'a str, &'a str)],
    /// More options for `birgus run`.
    pub options: &'a [&'a str],
    /// Time for the run in Birgus, [`DEFAULT_LIMIT`] otherwise.
    pub limit: Option<Duration>,
}

impl Setting<'_> {
    fn given(&self) -> Given {
        Given::limit(self.limit.unwrap_or(DEFAULT_LIMIT)).with_stdin(self.stdin)
    }
}

/// A command that starts `program` on Linux as Birgus starts it: with its small environment,
/// and as the leader of a session (in a container, the session of the tests may have no number).
#[must_use]
pub fn natively(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("setsid");
    command.arg(program);
    command.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", "/root").env("TERM", "dumb");
    command
}

/// The outcome of `program` on Linux, in the root directory and a small environment.
///
/// # Panics
/// When the program cannot be started.
#[must_use]
pub fn on_linux(program: &str, arguments: &[&str], setting: &Setting) -> Outcome {
    let mut command = natively(program);
    command.args(arguments).current_dir("/");
    command.envs(setting.environment.iter().copied());
    run(command, setting.given()).unwrap_or_else(|error| panic!("{program}: {error}"))
}

/// The outcome of `program` in Birgus without Birgus's own lines, and these.
///
/// # Panics
/// When `birgus` cannot be started.
#[must_use]
pub fn in_birgus(program: &str, arguments: &[&str], setting: &Setting) -> (Outcome, Vec<String>) {
    let mut outcome = birgus_with(["run"], setting.given(), |command| {
        command.args(setting.options);
        for (name, value) in setting.environment {
            command.arg("-e").arg(format!("{name}={value}"));
        }
        if let Some(directory) = setting.directory {
            let path = directory.display();
            command.arg("-v").arg(format!("{path}:{path}:ro"));
        }
        command.arg(program).args(arguments);
    })
    .expect("birgus starts");
    let own = take_own_lines(&mut outcome.stderr);
    (outcome, own)
}

/// Runs `program` on both sides; its outcome on Linux.
///
/// # Panics
/// When the outcomes differ.
#[track_caller]
pub fn agree(program: &str, arguments: &[&str], setting: &Setting) -> Outcome {
    let linux = on_linux(program, arguments, setting);
    let (birgus, own) = in_birgus(program, arguments, setting);
    if let Err(difference) = compare(&linux, &birgus, &own) {
        panic!("{program} {arguments:?}\n{difference}");
    }
    linux
}

/// A directory with busybox under the name of each of its commands, for `PATH`.
#[derive(Debug)]
pub struct Tools {
    scratch: Scratch,
}

impl Tools {
    /// Makes the directory.
    ///
    /// # Errors
    /// When busybox is not installed or the directory cannot be made.
    pub fn new() -> io::Result<Self> {
        let scratch = Scratch::new()?;
        std::fs::copy("/bin/busybox", scratch.path().join("busybox"))?;
        let list = Command::new("/bin/busybox").arg("--list").output()?;
        for name in String::from_utf8_lossy(&list.stdout).lines() {
            if name != "busybox" {
                std::os::unix::fs::symlink("busybox", scratch.path().join(name))?;
            }
        }
        Ok(Self { scratch })
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.scratch.path()
    }

    /// The path of one command.
    #[must_use]
    pub fn command(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }
}

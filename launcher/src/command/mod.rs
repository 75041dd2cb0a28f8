//! The command line: what `birgus` is asked to do, and what it says about that.
//!
//! Its own words are one line each on stderr, after `birgus: `. Only what was asked for
//! (`--help`, the table, the doctor's report) goes to stdout, where a program's output goes.

mod doctor;
mod help;
mod ltp;
pub mod options;
pub(crate) mod run;
mod syscalls;
mod timings;
mod values;

use crate::Error;
use crate::escape::escaped_os;
use options::Command;
use std::ffi::OsString;
use std::io::{self, Write};
use std::path::Path;

/// Does what the command line (without the name of the command) says; the exit status.
///
/// To be called on the main thread, because virtual machines end with the thread that
/// started them.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> u8 {
    let done = options::parse(arguments).and_then(|command| match command {
        Command::Run(options) => run::run(&options),
        Command::Doctor => doctor::doctor(),
        Command::Kernel(path) => write_kernel(&path),
        Command::Syscalls { json } => syscalls::print(json),
        Command::Ltp(options) => ltp::run(&options),
        Command::LtpSequence => crate::ltp::sequence::run(),
        Command::Monitor(task) => crate::vmm::main(&task),
        Command::Help(topic) => print(help::text(topic)),
        Command::Version => print(&format!("birgus {}\n", env!("CARGO_PKG_VERSION"))),
    });
    done.unwrap_or_else(|error| {
        say(&error.to_string());
        error.status()
    })
}

/// Writes the embedded kernel to a file; status 0.
fn write_kernel(path: &Path) -> Result<u8, Error> {
    std::fs::write(path, crate::kernel::embedded())
        .map_err(|error| Error::io(format_args!("cannot write {}", escaped_os(path)), &error))?;
    Ok(0)
}

/// Says one line on stderr. The text is safe to show: foreign parts of it are escaped.
fn say(text: &str) {
    // Where stderr is gone there is nobody to tell.
    let _ = writeln!(io::stderr().lock(), "birgus: {text}");
}

/// Prints what was asked for; status 0. A reader that went away is no failure.
fn print(text: &str) -> Result<u8, Error> {
    match io::stdout().lock().write_all(text.as_bytes()).and_then(|()| io::stdout().flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Error::io("cannot write to stdout", &error))
        }
        _ => Ok(0),
    }
}

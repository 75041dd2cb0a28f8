//! `scripts/rig`: runs a command in the nested rig, where `/dev/kvm` works.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use birgus_tests::rig::{self, Brought};

/// Time for the command, with the boot of the rig.
const LIMIT: Duration = Duration::from_secs(600);

const USAGE: &str = "usage: scripts/rig [-f FILE[:PATH]]... COMMAND...
Boots Debian's cloud kernel in QEMU with a working /dev/kvm, `birgus`, busybox and the FILEs
in it, and runs COMMAND in its shell.";

fn main() -> ExitCode {
    let mut files: Vec<Brought> = Vec::new();
    let mut arguments = std::env::args().skip(1).peekable();
    while arguments.next_if(|word| word == "-f").is_some() {
        let word = arguments.next().unwrap_or_default();
        let (host, path) = word.split_once(':').unwrap_or((&word, &word));
        files.push((PathBuf::from(host), path.to_owned()));
    }
    let command = arguments.collect::<Vec<_>>().join(" ");
    if command.is_empty() {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    }
    match rig::run(&files, &command, LIMIT, &mut io::stdout()) {
        Ok(ended) => ExitCode::from(u8::try_from(ended.status).unwrap_or(u8::MAX)),
        Err(error) => {
            eprintln!("rig: {error}");
            ExitCode::from(125)
        }
    }
}

//! The command line, in Linux's own words: bootparam(7), [`abi::boot::command_line`].

use alloc::vec::Vec;

use abi::boot::command_line::{ARGUMENTS, DEBUG, INIT, IP, LOG_LEVEL, VIRTIO_MMIO_DEVICE};

use crate::net::ip::Addressing;
use crate::user::PATH_MAX;

use super::run::{BadRun, Run};

/// Words of Linux that mean nothing here and are no business of the program.
const LINUX_WORDS: &[&str] = &[
    "acpi",
    "console",
    "debug",
    "earlyprintk",
    "loglevel",
    "nokaslr",
    "panic",
    "pci",
    "quiet",
    "reboot",
    "ro",
    "root",
    "rw",
];

/// What the environment holds before the words of the command line, as on Linux.
const ENVIRONMENT: &[&str] = &["HOME=/", "TERM=linux"];

impl Run {
    /// What the command line says; the program's streams are the terminal.
    ///
    /// # Errors
    /// [`BadRun::NoProgram`] without `init=`, [`BadRun::PathTooLong`].
    pub(super) fn from_command_line(line: &str) -> Result<Self, BadRun> {
        let mut words = words(line);
        while words.last().is_some_and(|word| word.starts_with(VIRTIO_MMIO_DEVICE)) {
            words.pop();
        }
        let end = words.iter().position(|word| word == ARGUMENTS).unwrap_or(words.len());
        let arguments = words.split_off(end).into_iter().skip(1);
        let mut run = Self::new(b"");
        run.terminal = [true; 3];
        run.environment = ENVIRONMENT.iter().map(|one| one.as_bytes().to_vec()).collect();
        for word in &words {
            run.take_word(word);
        }
        match run.program.len() {
            0 => return Err(BadRun::NoProgram),
            PATH_MAX.. => return Err(BadRun::PathTooLong),
            _ => {}
        }
        run.arguments.push(run.program.clone());
        run.arguments.extend(arguments.map(alloc::string::String::into_bytes));
        Ok(run)
    }

    fn take_word(&mut self, word: &str) {
        let name = word.split_once('=').map_or(word, |(name, _)| name);
        if let Some(program) = word.strip_prefix(INIT) {
            self.program = program.as_bytes().to_vec();
        } else if let Some(address) = word.strip_prefix(IP) {
            match Addressing::parse(address) {
                Some(addressing) => self.addressing = addressing,
                None => log::warn!("ip={} makes no sense", address.escape_debug()),
            }
        } else if LINUX_WORDS.contains(&name)
            || word.starts_with(LOG_LEVEL)
            || word.starts_with(DEBUG)
            || word.starts_with(VIRTIO_MMIO_DEVICE)
        {
            // Meant for others.
        } else if name.len() == word.len() || name.contains('.') {
            log::warn!("the word {} of the command line is not known", word.escape_debug());
        } else {
            let prefix = [name.as_bytes(), b"="].concat();
            self.environment.retain(|one| !one.starts_with(&prefix));
            self.environment.push(word.as_bytes().to_vec());
        }
    }
}

/// The words of a line, which are separated by spaces; a space between double quotes does
/// not separate, and the quotes are no part of the word.
fn words(line: &str) -> Vec<alloc::string::String> {
    let mut words = Vec::new();
    let mut word = None::<alloc::string::String>;
    let mut is_quoted = false;
    for character in line.chars() {
        match character {
            '"' => {
                is_quoted = !is_quoted;
                word.get_or_insert_default();
            }
            character if character.is_ascii_whitespace() && !is_quoted => words.extend(word.take()),
            character => word.get_or_insert_default().push(character),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(line: &str) -> Run {
        Run::from_command_line(line).unwrap()
    }

    #[test]
    fn init_and_what_follows_the_dashes_are_the_command() {
        let run = run("console=ttyS0 init=/bin/busybox birgus.log=debug -- echo \"a  b\" -- x=1");
        assert_eq!(run.program, b"/bin/busybox");
        assert_eq!(run.arguments, [&b"/bin/busybox"[..], b"echo", b"a  b", b"--", b"x=1"]);
        assert_eq!(run.terminal, [true; 3]);
        assert_eq!(run.environment, [&b"HOME=/"[..], b"TERM=linux"]);
    }

    #[test]
    fn devices_that_qemu_appends_are_no_arguments() {
        let run = run("init=/x -- a virtio_mmio.device=1 \
                       virtio_mmio.device=512@0xfeb00e00:12 virtio_mmio.device=512@0xfeb00c00:11");
        assert_eq!(run.arguments, [&b"/x"[..], b"a"]);
        let run = self::run("init=/x virtio_mmio.device=512@0xfeb00e00:12");
        assert_eq!(run.arguments, [b"/x"]);
    }

    #[test]
    fn assignments_without_a_dot_are_the_environment() {
        let run = run("A=1 TERM=vt100 module.parameter=1 init=/x");
        assert_eq!(run.environment, [&b"HOME=/"[..], b"A=1", b"TERM=vt100"]);
    }

    #[test]
    fn without_init_there_is_nothing_to_run() {
        assert_eq!(Run::from_command_line("quiet"), Err(BadRun::NoProgram));
        let long = alloc::format!("init=/{}", "a".repeat(PATH_MAX));
        assert_eq!(Run::from_command_line(&long), Err(BadRun::PathTooLong));
    }
}

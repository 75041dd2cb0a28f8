//! The entries of a batch, one after the other: the part of `birgus` that runs inside the
//! machine, where it is the program.
//!
//! Each entry gets a session and a directory of its own. What it leaves is ended and removed;
//! where that does not succeed the machine is not fit for the next one, and ends. Limits are
//! the host's business.

use super::marks::Mark;
use crate::Error;
use crate::escape::escaped;
use abi::boot::channel::ExitStatus;
use rustix::process::{self, Pid, WaitOptions};
use std::env;
use std::ffi::CString;
use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::ptr;
use std::time::{Duration, Instant};

/// The name of the command, which only the machines of a batch use.
pub const COMMAND: &str = "ltp-sequence";

/// Where the entries are named in the machine.
pub const LIST: &str = "/.birgus-sequence";

/// The status when something stayed behind, so that the machine must not be used again.
pub const NOT_FIT: u8 = 76;

/// What only a kernel of Birgus says of itself.
const KERNEL: &str = "birgus";

/// What a child ends with that could not execute its program, as that of a shell does.
const NOT_EXECUTED: i32 = 127;

/// How long processes have to end after they were killed.
const LAST_BREATH: Duration = Duration::from_secs(5);

/// The list of the entries, as [`run`] reads it. `commands` have words without spaces.
#[must_use]
pub fn list<'a>(word: &str, commands: impl Iterator<Item = &'a [String]>) -> String {
    let mut text = format!("{word}\n");
    for command in commands {
        let _ = writeln!(text, "{}", command.join(" "));
    }
    text
}

/// Runs the entries of [`LIST`]; the exit status.
///
/// # Errors
/// This is no machine of Birgus, or there is no such list.
pub fn run() -> Result<u8, Error> {
    // It kills every process but its own, which nobody wants on a host.
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    if !release.contains(KERNEL) {
        return Err(Error::Failed(format!("{COMMAND} is only for the machines of birgus ltp")));
    }
    let cannot = |error| Error::io(format_args!("cannot read {LIST}"), &error);
    let text = fs::read_to_string(LIST).map_err(cannot)?;
    let mut lines = text.lines();
    let word = lines.next().unwrap_or_default();
    for (number, line) in lines.enumerate() {
        write_mark(&Mark::Begin(number), word)?;
        let directory = format!("/tmp/{number}");
        let status = execute(line, &directory);
        let clean = kill_others() && fs::remove_dir_all(&directory).is_ok();
        write_mark(&Mark::End(number, status), word)?;
        if !clean {
            return Ok(NOT_FIT);
        }
    }
    Ok(0)
}

fn write_mark(mark: &Mark, word: &str) -> Result<(), Error> {
    let mut stdout = io::stdout().lock();
    let written = stdout.write_all(mark.text(word).as_bytes()).and_then(|()| stdout.flush());
    written.map_err(|error| Error::io("cannot write to stdout", &error))
}

/// Runs one entry to its end, in a new directory.
fn execute(line: &str, directory: &str) -> ExitStatus {
    let ended = fs::create_dir(directory)
        .and_then(|()| Child::prepare(line, directory))
        .and_then(|child| wait_for(child.start()?));
    ended.unwrap_or_else(|error| {
        eprintln!("birgus: cannot run {}: {error}", escaped(line));
        let errno = error.raw_os_error().and_then(|errno| u16::try_from(errno).ok());
        ExitStatus::NotStarted(errno.unwrap_or_default())
    })
}

/// All that the child needs, so that it allocates nothing.
struct Child {
    directory: CString,
    words: Vec<CString>,
    environment: Vec<CString>,
}

impl Child {
    fn prepare(line: &str, directory: &str) -> io::Result<Self> {
        let mut environment = vec![CString::new(format!("TMPDIR={directory}"))?];
        for (name, value) in env::vars_os().filter(|(name, _)| name != "TMPDIR") {
            environment.push(CString::new([name.as_bytes(), b"=", value.as_bytes()].concat())?);
        }
        let words: Result<Vec<CString>, _> = line.split(' ').map(CString::new).collect();
        Ok(Self { directory: CString::new(directory)?, words: words?, environment })
    }

    /// Starts it. The standard library would ask the kernel for sockets, and what this kernel
    /// does not have is what the tests are to find out.
    fn start(&self) -> io::Result<Pid> {
        let pointers = |texts: &[CString]| -> Vec<*const libc::c_char> {
            texts.iter().map(|text| text.as_ptr()).chain([ptr::null()]).collect()
        };
        let (words, environment) = (pointers(&self.words), pointers(&self.environment));
        // SAFETY: this process has one thread. The child makes system calls only, with
        // pointers into `self` that end with a null one, and does not return.
        let id = unsafe {
            let id = libc::fork();
            if id == 0 {
                libc::signal(libc::SIGPIPE, libc::SIG_DFL);
                libc::setsid();
                if libc::chdir(self.directory.as_ptr()) == 0 {
                    libc::execve(words[0], words.as_ptr(), environment.as_ptr());
                }
                libc::_exit(NOT_EXECUTED);
            }
            id
        };
        if id < 0 { Err(io::Error::last_os_error()) } else { Pid::from_raw(id).ok_or_else(none) }
    }
}

fn none() -> io::Error {
    io::ErrorKind::NotFound.into()
}

fn wait_for(child: Pid) -> io::Result<ExitStatus> {
    let (_, status) = process::waitpid(Some(child), WaitOptions::empty())?.ok_or_else(none)?;
    let signal = status.terminating_signal().and_then(|signal| u8::try_from(signal).ok());
    Ok(match status.exit_status() {
        Some(code) => ExitStatus::Exited(code),
        None => ExitStatus::Killed(signal.unwrap_or_default()),
    })
}

/// Kills every process but this one and the first; whether none is left.
fn kill_others() -> bool {
    let until = Instant::now() + LAST_BREATH;
    loop {
        // SAFETY: kill(2) touches no memory.
        let nobody = unsafe { libc::kill(-1, libc::SIGKILL) } != 0;
        // Orphans are the first process's; what became a child of this one is waited for here.
        while let Ok(Some(_)) = process::wait(WaitOptions::NOHANG) {}
        if nobody {
            return true;
        }
        if Instant::now() >= until {
            return false;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_refuses_to_run_on_a_host() {
        let refusal = run().unwrap_err().to_string();
        assert!(refusal.contains("only for the machines"), "{refusal}");
    }

    #[test]
    fn the_list_has_the_word_and_a_line_for_each_entry() {
        let commands = [vec!["/x/a01".to_owned(), "-n".into()], vec!["/x/b".into()]];
        let text = list("w", commands.iter().map(Vec::as_slice));
        assert_eq!(text, "w\n/x/a01 -n\n/x/b\n");
    }
}

//! One run of a process: its streams are fed and collected, and its time is limited.

use std::io::{self, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

/// How often a running process is looked at.
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// How long the streams may stay open after the process has ended: another process that
/// inherited them would keep them open for ever.
const STREAM_GRACE: Duration = Duration::from_secs(5);

/// What becomes of the process's standard output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stdout {
    /// Collected.
    Collected,
    /// A pipe that nobody reads.
    Closed,
}

/// What a process gets.
#[derive(Clone, Debug)]
pub struct Given {
    /// Bytes on standard input, a pipe.
    pub stdin: Vec<u8>,
    /// Standard output.
    pub stdout: Stdout,
    /// After this time the process is killed.
    pub limit: Duration,
}

impl Given {
    /// An empty standard input, and `limit` of time.
    #[must_use]
    pub fn limit(limit: Duration) -> Self {
        Self { stdin: Vec::new(), stdout: Stdout::Collected, limit }
    }

    /// The same with `stdin` on standard input.
    #[must_use]
    pub fn with_stdin(self, stdin: impl Into<Vec<u8>>) -> Self {
        Self { stdin: stdin.into(), ..self }
    }
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// As a shell shows it: the exit status, or 128 + signal.
    Ended(i32),
    /// It took too long and was killed.
    TimedOut,
}

impl From<ExitStatus> for Status {
    fn from(status: ExitStatus) -> Self {
        let signal = status.signal().map(|signal| 128 + signal);
        Self::Ended(status.code().or(signal).unwrap_or(-1))
    }
}

/// What came out of a run.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// How it ended.
    pub status: Status,
    /// Bytes of standard output.
    pub stdout: Vec<u8>,
    /// Bytes of standard error.
    pub stderr: Vec<u8>,
}

impl Outcome {
    /// Standard output as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Standard error as text.
    #[must_use]
    pub fn errors(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }
}

/// Runs `command` to its end, or to the end of its time.
///
/// # Errors
/// When the process cannot be started or its streams do not end after it.
pub fn run(mut command: Command, given: Given) -> io::Result<Outcome> {
    command.stdin(Stdio::piped()).stderr(Stdio::piped());
    match given.stdout {
        Stdout::Collected => command.stdout(Stdio::piped()),
        Stdout::Closed => {
            let (reader, writer) = io::pipe()?;
            drop(reader);
            command.stdout(writer)
        }
    };
    let mut child = command.spawn()?;
    // The command keeps its own copy of the pipe's writing end.
    drop(command);
    let mut input = child.stdin.take().expect("standard input is a pipe");
    // A process need not read all it gets.
    thread::spawn(move || drop(input.write_all(&given.stdin)));
    let stdout = child.stdout.take().map(collect);
    let stderr = child.stderr.take().map(collect);
    let status = wait(&mut child, given.limit)?;
    Ok(Outcome { status, stdout: finish(stdout)?, stderr: finish(stderr)? })
}

fn wait(child: &mut Child, limit: Duration) -> io::Result<Status> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status.into());
        }
        if Instant::now() >= deadline {
            child.kill()?;
            child.wait()?;
            return Ok(Status::TimedOut);
        }
        thread::sleep(POLL_INTERVAL);
    }
}

fn collect(mut stream: impl Read + Send + 'static) -> Receiver<io::Result<Vec<u8>>> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let result = stream.read_to_end(&mut bytes).map(|_| bytes);
        // Nobody listens any more when the grace is over.
        let _ = sender.send(result);
    });
    receiver
}

fn finish(stream: Option<Receiver<io::Result<Vec<u8>>>>) -> io::Result<Vec<u8>> {
    let Some(stream) = stream else { return Ok(Vec::new()) };
    stream.recv_timeout(STREAM_GRACE).unwrap_or_else(|_| {
        Err(io::Error::new(io::ErrorKind::TimedOut, "a stream is still open after the end"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, given: Given) -> Outcome {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        run(command, given).unwrap()
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn streams_and_status_come_back() {
        let outcome = shell("cat; echo e >&2; exit 3", Given::limit(10 * SECOND).with_stdin("in"));
        assert_eq!(outcome.status, Status::Ended(3));
        assert_eq!((outcome.text().as_str(), outcome.errors().as_str()), ("in", "e\n"));
    }

    #[test]
    fn death_by_a_signal_shows_as_in_a_shell() {
        assert_eq!(
            shell("kill -TERM $$", Given::limit(10 * SECOND)).status,
            Status::Ended(128 + 15)
        );
    }

    #[test]
    fn too_long_a_run_is_killed() {
        let start = Instant::now();
        let outcome = shell("exec sleep 60", Given::limit(SECOND / 5));
        assert_eq!(outcome.status, Status::TimedOut);
        assert!(start.elapsed() < 30 * SECOND);
    }

    #[test]
    fn a_closed_output_breaks_the_pipe() {
        let given = Given { stdout: Stdout::Closed, ..Given::limit(10 * SECOND) };
        assert_eq!(shell("exec yes", given).status, Status::Ended(128 + 13));
    }
}

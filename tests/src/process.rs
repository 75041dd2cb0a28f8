//! The processes that another process started: so that tests see that none is left.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

/// One process, told from a later one with the same number by its start time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    parent: u32,
    /// In clock ticks since the machine's start.
    start: u64,
}

impl Process {
    /// The running process with this number; not a zombie.
    #[must_use]
    pub fn find(pid: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name, in parentheses, may contain anything (proc(5)).
        let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
        let state = fields.next()?;
        let parent = fields.next()?.parse().ok()?;
        let start = fields.nth(17)?.parse().ok()?;
        (state != "Z" && state != "X").then_some(Self { pid, parent, start })
    }

    /// Whether it still runs.
    #[must_use]
    pub fn is_running(self) -> bool {
        Self::find(self.pid).is_some_and(|now| now.start == self.start)
    }
}

/// The processes that `ancestor` started, and those that they started.
#[must_use]
pub fn descendants(ancestor: u32) -> Vec<Process> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let numbers = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let all: Vec<_> = numbers.filter_map(Process::find).collect();
    let mut found: Vec<Process> = Vec::new();
    loop {
        let known = |pid| pid == ancestor || found.iter().any(|process| process.pid == pid);
        let more: Vec<_> = all
            .iter()
            .filter(|process| known(process.parent) && !known(process.pid))
            .copied()
            .collect();
        if more.is_empty() {
            return found;
        }
        found.extend(more);
    }
}

/// Waits until `condition` holds, at most `limit`; whether it does.
pub fn wait_until(limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + limit;
    while !condition() {
        if Instant::now() >= deadline {
            return false;
        }
        thread::sleep(Duration::from_millis(10));
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, id};

    #[test]
    fn a_child_is_a_descendant_until_it_ends() {
        let mut child = Command::new("/bin/sleep").arg("60").spawn().unwrap();
        let found = descendants(id()).into_iter().find(|process| process.pid == child.id());
        let process = found.expect("the child is found");
        assert!(process.is_running());
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!process.is_running());
    }
}

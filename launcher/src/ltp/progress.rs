//! How far a run is, on stderr: one line that changes on a terminal, a line for each entry
//! elsewhere.

use super::results::Outcome;
use super::runner::count;
use super::verdict::Verdict;
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

/// The progress of a run.
#[derive(Debug)]
pub struct Progress {
    /// All entries, those with earlier results included.
    total: usize,
    /// Those to be run.
    pending: usize,
    /// Those that have been run.
    done: usize,
    counts: [usize; 8],
    start: Instant,
    terminal: bool,
    last: String,
}

impl Progress {
    /// A run that begins now.
    pub fn new<'a>(total: usize, pending: usize, known: impl Iterator<Item = &'a Outcome>) -> Self {
        Self {
            total,
            pending,
            done: 0,
            counts: count(known),
            start: Instant::now(),
            terminal: io::stderr().is_terminal(),
            last: String::new(),
        }
    }

    /// An entry has ended.
    pub fn ended(&mut self, name: &str, outcome: &Outcome) {
        self.done += 1;
        self.counts[outcome.verdict as usize] += 1;
        self.last = format!("{} {name}", outcome.verdict.name());
        if self.terminal {
            self.tick();
        } else {
            let at = self.total - self.pending + self.done;
            let verdict = outcome.verdict.name();
            let line =
                format!("{at}/{} {verdict:<7} {name} ({:.1} s)", self.total, outcome.seconds);
            let line = format!("{line} {}", outcome.message);
            show(&format!("{}\n", line.trim_end()));
        }
    }

    /// These entries will be run once more.
    pub fn again<'a>(&mut self, known: impl Iterator<Item = &'a Outcome>) {
        for outcome in known {
            self.done -= 1;
            self.counts[outcome.verdict as usize] -= 1;
        }
    }

    /// Shows the line anew on a terminal.
    pub fn tick(&self) {
        if self.terminal {
            show(&format!("\r\x1b[K{}", self.line(self.start.elapsed(), width())));
        }
    }

    /// Ends the line on a terminal.
    pub fn finish(&self) {
        if self.terminal && self.pending > 0 {
            self.tick();
            show("\n");
        }
    }

    fn line(&self, elapsed: Duration, width: usize) -> String {
        let at = self.total - self.pending + self.done;
        let percent = 100 * at / self.total.max(1);
        let filled = 20 * at / self.total.max(1);
        let bar = format!("[{}{}]", "#".repeat(filled), "-".repeat(20 - filled));
        let mut line = format!("{bar} {at}/{} {percent} %", self.total);
        for verdict in Verdict::ALL {
            let count = self.counts[verdict as usize];
            if count > 0 {
                line.push_str(&format!("  {} {count}", verdict.name().to_ascii_lowercase()));
            }
        }
        if self.done > 0 {
            let each = elapsed.as_secs_f64() / self.done as f64;
            let left = each * (self.pending - self.done) as f64;
            line.push_str(&format!("  {} left", words(left)));
        }
        line.push_str(&format!("  {}", self.last));
        line.chars().take(width.saturating_sub(1)).collect()
    }
}

fn show(text: &str) {
    // Where stderr is gone there is nobody to tell.
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// Columns of the terminal on stderr.
fn width() -> usize {
    rustix::termios::tcgetwinsize(io::stderr())
        .map(|size| usize::from(size.ws_col))
        .ok()
        .filter(|&columns| columns > 0)
        .unwrap_or(80)
}

/// A time in seconds, in words: `1 h 05 min`, `7 min`, `12 s`.
#[must_use]
pub fn words(seconds: f64) -> String {
    let seconds = seconds.max(0.0).round() as u64;
    match seconds {
        0..=99 => format!("{seconds} s"),
        100..=5999 => format!("{} min", seconds.div_ceil(60)),
        _ => format!("{} h {:02} min", seconds / 3600, seconds % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_counts_and_says_how_long_it_takes() {
        let known = [Outcome::new(Verdict::Pass, "")];
        let mut progress = Progress::new(10, 9, known.iter());
        progress.terminal = true;
        progress.done = 3;
        progress.counts[Verdict::Fail as usize] = 3;
        progress.last = "FAIL x01".into();
        let line = progress.line(Duration::from_secs(3), 200);
        let expected = "[########------------] 4/10 40 %  pass 1  fail 3  6 s left  FAIL x01";
        assert_eq!(line, expected);
        assert_eq!(progress.line(Duration::from_secs(3), 30).len(), 29);
    }

    #[test]
    fn an_empty_run_has_a_line() {
        let progress = Progress::new(0, 0, [].iter());
        assert!(progress.line(Duration::ZERO, 80).contains("0/0"));
    }

    #[test]
    fn times_are_told_in_round_words() {
        assert_eq!(words(12.4), "12 s");
        assert_eq!(words(400.0), "7 min");
        assert_eq!(words(7500.0), "2 h 05 min");
    }
}

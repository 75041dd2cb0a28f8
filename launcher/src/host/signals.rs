//! Signals that `birgus` receives and passes on to the program.

use super::Notice;
use signal_hook::consts::signal::{
    SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGUSR1, SIGUSR2, SIGWINCH,
};
use signal_hook::iterator::Signals;
use std::io;
use std::sync::mpsc::SyncSender;
use std::thread;
use std::time::{Duration, Instant};

/// Signals that are caught, unless somebody made `birgus` ignore them (as nohup(1) does).
const CAUGHT: [i32; 9] =
    [SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGUSR1, SIGUSR2, SIGWINCH];

/// Signals by which somebody wants the program to end, or to be interrupted.
const ENDING: [i32; 4] = [SIGHUP, SIGINT, SIGQUIT, SIGTERM];

/// How long the guest may take to answer one of them by any frame before it counts as dead.
const PATIENCE: Duration = Duration::from_secs(5);

/// The signals of this process, caught: those that arrive wait here until the run takes them.
#[derive(Debug)]
pub struct Caught(Signals);

impl Caught {
    /// Catches signals from now on.
    ///
    /// # Errors
    /// The descriptors that it takes cannot be had.
    pub fn now() -> io::Result<Self> {
        let ignored = ignored();
        let wanted = CAUGHT.into_iter().filter(|signal| ignored & (1 << (signal - 1)) == 0);
        Signals::new(wanted).map(Self)
    }

    /// Tells each with [`Notice::Signal`], from a thread of its own.
    pub(super) fn tell(mut self, notices: SyncSender<Notice>) {
        thread::spawn(move || {
            for signal in self.0.forever() {
                if notices.send(Notice::Signal(signal)).is_err() {
                    return;
                }
            }
        });
    }
}

/// The set of signals that this process ignores (`SigIgn` of proc(5)).
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    line.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

/// Within this time a further signal belongs to the same wish: timeout(1) sends one to the
/// process and one to its group, and a user who presses the interrupt key may press it twice.
const REPETITION: Duration = Duration::from_secs(1);

/// What to do about a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reaction {
    /// Pass it on to the program.
    Forward(u8),
    /// The guest does not answer: end the virtual machine.
    End(u8),
    /// The terminal's size changed.
    Resize,
    /// Stop, as a job of a shell does.
    Stop,
    /// Go on after a stop.
    Continue,
}

/// Decides what becomes of signals. A signal is the program's business as long as the guest
/// is alive, that is, answers with a frame (of whatever kind). A guest that does not answer one
/// of the [`ENDING`] signals is ended after [`PATIENCE`], or by
/// another one that comes after [`REPETITION`].
#[derive(Debug, Default)]
pub(super) struct Policy {
    unanswered: Option<(u8, Instant)>,
}

impl Policy {
    /// A signal arrived. `running`: the guest has said hello and so can take one.
    pub(super) fn react(&mut self, signal: i32, running: bool, now: Instant) -> Reaction {
        match signal {
            SIGWINCH => return Reaction::Resize,
            SIGTSTP => return Reaction::Stop,
            SIGCONT => return Reaction::Continue,
            _ => {}
        }
        // The signals that are caught have numbers below 32.
        let number = u8::try_from(signal).unwrap_or(SIGTERM as u8);
        if !running {
            return Reaction::End(number);
        }
        if ENDING.contains(&signal) {
            match self.unanswered {
                Some((_, since)) if now >= since + REPETITION => return Reaction::End(number),
                Some(_) => {}
                None => self.unanswered = Some((number, now)),
            }
        }
        Reaction::Forward(number)
    }

    /// The guest sent something.
    pub(super) fn answered(&mut self) {
        self.unanswered = None;
    }

    /// Until when the guest has to answer.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.unanswered.map(|(_, since)| since + PATIENCE)
    }

    /// The signal that was not answered in time.
    pub(super) fn overdue(&self, now: Instant) -> Option<u8> {
        let (signal, since) = self.unanswered?;
        (now >= since + PATIENCE).then_some(signal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_that_answers_gets_every_signal() {
        let (mut policy, now) = (Policy::default(), Instant::now());
        for _ in 0..3 {
            assert_eq!(policy.react(SIGINT, true, now), Reaction::Forward(2));
            policy.answered();
        }
        assert_eq!(policy.overdue(now + PATIENCE), None);
    }

    #[test]
    fn a_silent_guest_ends_with_a_later_signal_or_when_patience_does() {
        let (mut policy, now) = (Policy::default(), Instant::now());
        assert_eq!(policy.react(SIGTERM, true, now), Reaction::Forward(15));
        assert_eq!(policy.deadline(), Some(now + PATIENCE));
        assert_eq!(policy.overdue(now + PATIENCE / 2), None);
        assert_eq!(policy.overdue(now + PATIENCE), Some(15));
        assert_eq!(policy.react(SIGTERM, true, now), Reaction::Forward(15));
        let later = now + REPETITION;
        assert_eq!(policy.react(SIGUSR1, true, later), Reaction::Forward(10));
        assert_eq!(policy.react(SIGINT, true, later), Reaction::End(2));
    }

    #[test]
    fn a_signal_that_need_not_end_anything_needs_no_answer() {
        let (mut policy, now) = (Policy::default(), Instant::now());
        assert_eq!(policy.react(SIGUSR1, true, now), Reaction::Forward(10));
        assert_eq!(policy.deadline(), None);
        assert_eq!(policy.react(SIGTERM, true, now), Reaction::Forward(15));
    }

    #[test]
    fn before_the_guest_is_there_a_signal_ends_it() {
        let (mut policy, now) = (Policy::default(), Instant::now());
        assert_eq!(policy.react(SIGWINCH, false, now), Reaction::Resize);
        assert_eq!(policy.react(SIGHUP, false, now), Reaction::End(1));
    }
}

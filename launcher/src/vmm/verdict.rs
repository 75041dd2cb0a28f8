//! What the monitor tells its parent before the kernel runs: whether KVM works.

use std::fmt;

/// When things happened, in nanoseconds of `CLOCK_MONOTONIC`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Phases {
    /// The virtual machine was there.
    pub created: u64,
    /// Its memory held the kernel and the files.
    pub loaded: u64,
    /// The kernel's first instruction was about to run.
    pub entered: u64,
}

/// The one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// KVM works, and the kernel is about to run; what of the sandbox this host does not have.
    Ready(Phases, String),
    /// KVM cannot be used, and why.
    Unusable(String),
}

const READY: &str = "ready";
const UNUSABLE: &str = "unusable";

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready(Phases { created, loaded, entered }, lacking) => {
                write!(f, "{READY} {created} {loaded} {entered} {lacking}")
            }
            Self::Unusable(why) => write!(f, "{UNUSABLE} {why}"),
        }
    }
}

impl Verdict {
    /// Reads the line, without its end.
    #[must_use]
    pub fn parse(line: &[u8]) -> Option<Self> {
        let (word, rest) = std::str::from_utf8(line).ok()?.split_once(' ')?;
        match word {
            READY => {
                let mut words = rest.splitn(4, ' ');
                let mut time = || words.next()?.parse().ok();
                let phases = Phases { created: time()?, loaded: time()?, entered: time()? };
                Some(Self::Ready(phases, words.next()?.to_owned()))
            }
            UNUSABLE => Some(Self::Unusable(rest.to_owned())),
            _ => None,
        }
    }
}

/// Now, in nanoseconds of `CLOCK_MONOTONIC`.
#[must_use]
pub fn now_ns() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    // This clock begins at 0, when the host starts.
    now.tv_sec.unsigned_abs() * 1_000_000_000 + now.tv_nsec.unsigned_abs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_survives_the_way() {
        let phases = Phases { created: 1, loaded: 2, entered: u64::MAX };
        let verdicts = [
            Verdict::Ready(phases, String::new()),
            Verdict::Ready(phases, "this, and that".into()),
            Verdict::Unusable("it is not there".into()),
        ];
        for verdict in verdicts {
            assert_eq!(Verdict::parse(verdict.to_string().as_bytes()), Some(verdict));
        }
        for bad in ["", "ready", "ready 1 2", "ready 1 2 x", "fine 1 2 3", "unusable"] {
            assert_eq!(Verdict::parse(bad.as_bytes()), None, "{bad}");
        }
    }
}

//! What the monitor tells its parent before the kernel runs: whether KVM works.

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

/// The one line: KVM works, the kernel is about to run, and what of the sandbox this host does
/// not have; or why KVM cannot be used.
pub type Verdict = Result<(Phases, String), String>;

/// Writes the line, without its end.
#[must_use]
pub fn line(verdict: &Verdict) -> String {
    match verdict {
        Ok((Phases { created, loaded, entered }, lacking)) => {
            format!("ready {created} {loaded} {entered} {lacking}")
        }
        Err(why) => format!("unusable {why}"),
    }
}

/// Reads the line, without its end.
#[must_use]
pub fn parse(line: &str) -> Option<Verdict> {
    let mut words = line.splitn(5, ' ');
    if words.next()? != "ready" {
        return line.strip_prefix("unusable ").map(|why| Err(why.to_owned()));
    }
    let mut time = || words.next()?.parse().ok();
    let phases = Phases { created: time()?, loaded: time()?, entered: time()? };
    Some(Ok((phases, words.next()?.to_owned())))
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
            Ok((phases, String::new())),
            Ok((phases, "this, and that".into())),
            Err("it is not there".into()),
        ];
        for verdict in verdicts {
            assert_eq!(parse(&line(&verdict)), Some(verdict));
        }
        for bad in ["", "ready", "ready 1 2", "ready 1 2 x", "fine 1 2 3", "unusable"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}

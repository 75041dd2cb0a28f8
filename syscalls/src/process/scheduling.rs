//! How threads ask to be scheduled: sched(7). It is kept and told; all threads take turns alike.

use abi::Errno;
use abi::process::{Resource, SCHED_RESET_ON_FORK};

use crate::error::{Because, Result};

use super::{Capability, Credentials, Limits};

/// A scheduling policy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Policy {
    /// The usual one.
    #[default]
    Other,
    /// First in, first out.
    Fifo,
    /// In turns.
    RoundRobin,
    /// Without regard to interactivity.
    Batch,
    /// When nobody else runs.
    Idle,
}

impl Policy {
    /// The policy with this number.
    ///
    /// # Errors
    /// `EINVAL`, also for `SCHED_DEADLINE`.
    pub(crate) fn from_number(number: i32) -> Result<Self> {
        Ok(match number {
            0 => Self::Other,
            1 => Self::Fifo,
            2 => Self::RoundRobin,
            3 => Self::Batch,
            5 => Self::Idle,
            _ => return Err(Errno::EINVAL.because("no such policy")),
        })
    }

    /// Its number.
    pub(crate) const fn number(self) -> i32 {
        match self {
            Self::Other => 0,
            Self::Fifo => 1,
            Self::RoundRobin => 2,
            Self::Batch => 3,
            Self::Idle => 5,
        }
    }

    /// Whether it has priorities.
    pub(crate) const fn is_real_time(self) -> bool {
        matches!(self, Self::Fifo | Self::RoundRobin)
    }
}

/// What a thread has asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Scheduling {
    /// The policy.
    pub(crate) policy: Policy,
    /// The priority, 1 to 99 for a policy that has them, otherwise 0.
    pub(crate) priority: i32,
    /// Whether new threads and processes start with the usual policy.
    pub(crate) resets_on_fork: bool,
}

impl Scheduling {
    /// What sched_setscheduler(2) asks for.
    ///
    /// # Errors
    /// `EINVAL` for an unknown policy or a priority that it does not have.
    pub(crate) fn new(policy: i32, priority: i32) -> Result<Self> {
        let resets_on_fork = policy & SCHED_RESET_ON_FORK != 0;
        let policy = Policy::from_number(policy & !SCHED_RESET_ON_FORK)?;
        let priorities = if policy.is_real_time() { 1..=99 } else { 0..=0 };
        if !priorities.contains(&priority) {
            return Err(Errno::EINVAL.because("the policy has no such priority"));
        }
        Ok(Self { policy, priority, resets_on_fork })
    }

    /// The policy as sched_getscheduler(2) tells it.
    pub(crate) const fn number(self) -> i32 {
        let flag = if self.resets_on_fork { SCHED_RESET_ON_FORK } else { 0 };
        self.policy.number() | flag
    }

    /// What a new thread or process has.
    pub(crate) fn of_child(self) -> Self {
        match (self.resets_on_fork, self.policy.is_real_time()) {
            (true, true) => Self::default(),
            (true, false) => Self { resets_on_fork: false, ..self },
            (false, _) => self,
        }
    }

    /// Checks that who has these credentials and limits may replace this by `new`.
    ///
    /// # Errors
    /// `EPERM`.
    pub(crate) fn permit(self, new: Self, who: &Credentials, limits: &Limits) -> Result<()> {
        if who.has(Capability::SysNice) {
            return Ok(());
        }
        let highest = limits.current(Resource::RealTimePriority);
        let wants = new.priority.unsigned_abs();
        if new.policy.is_real_time()
            && ((new.policy != self.policy && highest == 0)
                || (new.priority > self.priority && u64::from(wants) > highest))
        {
            return Err(Errno::EPERM.because("RLIMIT_RTPRIO is reached"));
        }
        if self.resets_on_fork && !new.resets_on_fork {
            return Err(Errno::EPERM.because("SCHED_RESET_ON_FORK stays"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_have_their_priorities() {
        assert!(Scheduling::new(0, 0).is_ok() && Scheduling::new(0, 1).is_err());
        assert!(Scheduling::new(1, 1).is_ok() && Scheduling::new(1, 0).is_err());
        assert!(Scheduling::new(2, 99).is_ok() && Scheduling::new(2, 100).is_err());
        assert!(Scheduling::new(4, 0).is_err() && Scheduling::new(6, 0).is_err());
    }

    #[test]
    fn a_real_time_policy_ends_with_its_thread_where_that_is_wanted() {
        let fifo = Scheduling::new(1 | SCHED_RESET_ON_FORK, 5).unwrap();
        assert_eq!(fifo.number(), 1 | SCHED_RESET_ON_FORK);
        assert_eq!(fifo.of_child(), Scheduling::default());
        let kept = Scheduling::new(2, 5).unwrap();
        assert_eq!(kept.of_child(), kept);
    }
}

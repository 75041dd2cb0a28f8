//! How threads ask to be scheduled: sched(7). The nice value weighs; all else is kept and told.

use abi::Errno;
use abi::process::{Resource, SCHED_RESET_ON_FORK};

use crate::error::{Because, Result};

use super::{Capability, Credentials, Limits};
use crate::machine::USUAL_WEIGHT;

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
    /// So much time within each period.
    Deadline,
}

impl Policy {
    /// The policy with this number.
    ///
    /// # Errors
    /// `EINVAL`.
    pub(crate) fn from_number(number: i32) -> Result<Self> {
        Ok(match number {
            0 => Self::Other,
            1 => Self::Fifo,
            2 => Self::RoundRobin,
            3 => Self::Batch,
            5 => Self::Idle,
            6 => Self::Deadline,
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
            Self::Deadline => 6,
        }
    }

    /// Whether it has priorities.
    pub(crate) const fn is_real_time(self) -> bool {
        matches!(self, Self::Fifo | Self::RoundRobin)
    }
}

/// What a thread with the policy [`Policy::Deadline`] has asked for, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reservation {
    /// How long it may run in each period.
    pub(crate) runtime_ns: u64,
    /// Until when, from the beginning of the period.
    pub(crate) deadline_ns: u64,
    /// How long a period is; 0 for as long as the deadline.
    pub(crate) period_ns: u64,
}

impl Reservation {
    /// Checks what sched_setattr(2) asks for.
    ///
    /// # Errors
    /// `EINVAL` unless 1024 <= runtime <= deadline <= period, with a period of 100 microseconds
    /// to about 4 seconds.
    fn check(self) -> Result<Self> {
        const LEAST_RUNTIME_NS: u64 = 1024;
        const PERIODS_NS: core::ops::RangeInclusive<u64> = 100_000..=(1 << 22) * 1000;
        let Self { runtime_ns, deadline_ns, .. } = self;
        let period_ns = if self.period_ns == 0 { deadline_ns } else { self.period_ns };
        let is_ordered = runtime_ns <= deadline_ns && deadline_ns <= period_ns;
        if runtime_ns < LEAST_RUNTIME_NS || !is_ordered || !PERIODS_NS.contains(&period_ns) {
            return Err(Errno::EINVAL.because("not a runtime, a deadline and a period"));
        }
        Ok(Self { period_ns, ..self })
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
    /// Of [`Policy::Deadline`].
    pub(crate) reservation: Reservation,
    /// The nice value, -20 to 19, which other policies than the usual ones keep and ignore.
    pub(crate) nice: i32,
}

impl Scheduling {
    /// What sched_setscheduler(2) asks for, with a nice value of 0.
    ///
    /// # Errors
    /// `EINVAL` for an unknown policy or a priority that it does not have.
    pub(crate) fn new(policy: i32, priority: i32) -> Result<Self> {
        Self::with_reservation(policy, priority, Reservation::default())
    }

    /// What sched_setattr(2) asks for, with a nice value of 0.
    ///
    /// # Errors
    /// As [`Scheduling::new`]; `EINVAL` for a reservation that cannot be.
    pub(crate) fn with_reservation(
        policy: i32,
        priority: i32,
        reservation: Reservation,
    ) -> Result<Self> {
        let resets_on_fork = policy & SCHED_RESET_ON_FORK != 0;
        let policy = Policy::from_number(policy & !SCHED_RESET_ON_FORK)?;
        let priorities = if policy.is_real_time() { 1..=99 } else { 0..=0 };
        if !priorities.contains(&priority) {
            return Err(Errno::EINVAL.because("the policy has no such priority"));
        }
        let reservation = match policy {
            Policy::Deadline => reservation.check()?,
            _ => Reservation::default(),
        };
        Ok(Self { policy, priority, resets_on_fork, reservation, nice: 0 })
    }

    /// The policy as sched_getscheduler(2) tells it.
    pub(crate) const fn number(self) -> i32 {
        let flag = if self.resets_on_fork { SCHED_RESET_ON_FORK } else { 0 };
        self.policy.number() | flag
    }

    /// How much of a processor it gets beside others: nice values are steps of a quarter, and
    /// who is idle runs hardly at all (sched(7)).
    pub(crate) fn weight(self) -> u32 {
        /// Parts of which each step is rounded.
        const FINE: u64 = 1 << 16;
        const IDLE: u32 = 3;
        if self.policy == Policy::Idle {
            return IDLE;
        }
        let step = |weight, _| if self.nice > 0 { weight * 4 / 5 } else { weight * 5 / 4 };
        let fine = (0..self.nice.unsigned_abs()).fold(u64::from(USUAL_WEIGHT) * FINE, step);
        (fine / FINE) as u32
    }

    /// The priority as proc_pid_stat(5) tells it: the lower, the sooner it runs.
    pub(crate) const fn told_priority(self) -> i32 {
        match self.policy {
            Policy::Deadline => -101,
            policy if policy.is_real_time() => -1 - self.priority,
            _ => 20 + self.nice,
        }
    }

    /// What a new thread or process has.
    pub(crate) fn of_child(self) -> Self {
        let is_special = self.policy.is_real_time() || self.policy == Policy::Deadline;
        match (self.resets_on_fork, is_special) {
            (true, true) => Self::default(),
            (true, false) => Self { resets_on_fork: false, nice: self.nice.max(0), ..self },
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
        if new.policy == Policy::Deadline {
            return Err(Errno::EPERM.because("deadlines need CAP_SYS_NICE"));
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
        assert!(Scheduling::new(4, 0).is_err() && Scheduling::new(7, 0).is_err());
    }

    #[test]
    fn a_step_of_the_nice_value_is_a_quarter() {
        let weight = |nice| Scheduling { nice, ..Scheduling::default() }.weight();
        assert_eq!([-1, 0, 1].map(weight), [1280, 1024, 819]);
        assert!((88_000..90_000).contains(&weight(-20)) && (14..16).contains(&weight(19)));
        let idle = Scheduling { nice: -20, ..Scheduling::new(5, 0).unwrap() };
        assert_eq!(idle.weight(), 3);
    }

    #[test]
    fn reservations_are_ordered() {
        let with = |runtime_ns, deadline_ns, period_ns| {
            let reservation = Reservation { runtime_ns, deadline_ns, period_ns };
            Scheduling::with_reservation(6, 0, reservation)
        };
        assert_eq!(with(1024, 100_000, 0).unwrap().reservation.period_ns, 100_000);
        assert!(with(1023, 100_000, 0).is_err() && with(2048, 1024, 100_000).is_err());
        assert!(with(1024, 2_000_000, 1_000_000).is_err() && with(1024, 2048, 4096).is_err());
        assert!(Scheduling::new(6, 0).is_err());
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

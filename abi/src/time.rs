//! Time: clock_gettime(2), setitimer(2), `linux/time.h`.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Nanoseconds of a second.
pub const NS_PER_SECOND: u64 = 1_000_000_000;

/// Clock ticks of a second, as times(2) counts (`USER_HZ`, `AT_CLKTCK`).
pub const TICKS_PER_SECOND: u64 = 100;

/// `struct timespec`.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    FromBytes,
    IntoBytes,
    Immutable,
    KnownLayout,
)]
#[repr(C)]
pub struct Timespec {
    /// Seconds.
    pub seconds: i64,
    /// Nanoseconds, 0 to 999,999,999.
    pub nanoseconds: i64,
}

impl Timespec {
    /// `ns` nanoseconds.
    #[must_use]
    pub const fn from_ns(ns: u64) -> Self {
        Self { seconds: (ns / NS_PER_SECOND) as i64, nanoseconds: (ns % NS_PER_SECOND) as i64 }
    }

    /// In nanoseconds, at most `u64::MAX`; `None` when a part is negative or there are more
    /// nanoseconds than a second has.
    #[must_use]
    pub const fn to_ns(self) -> Option<u64> {
        if self.seconds < 0 || self.nanoseconds < 0 || self.nanoseconds >= NS_PER_SECOND as i64 {
            return None;
        }
        let seconds = (self.seconds as u64).saturating_mul(NS_PER_SECOND);
        Some(seconds.saturating_add(self.nanoseconds as u64))
    }
}

/// `struct timeval`.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    FromBytes,
    IntoBytes,
    Immutable,
    KnownLayout,
)]
#[repr(C)]
pub struct Timeval {
    /// Seconds.
    pub seconds: i64,
    /// Microseconds, 0 to 999,999.
    pub microseconds: i64,
}

impl Timeval {
    /// `ns` nanoseconds, rounded down to microseconds.
    #[must_use]
    pub const fn from_ns(ns: u64) -> Self {
        Self {
            seconds: (ns / NS_PER_SECOND) as i64,
            microseconds: (ns % NS_PER_SECOND / 1000) as i64,
        }
    }

    /// In nanoseconds, at most `u64::MAX`; `None` when a part is negative or there are more
    /// microseconds than a second has.
    #[must_use]
    pub const fn to_ns(self) -> Option<u64> {
        if self.microseconds < 0 || self.microseconds >= 1_000_000 {
            return None;
        }
        Timespec { seconds: self.seconds, nanoseconds: self.microseconds * 1000 }.to_ns()
    }
}

/// `struct itimerval`.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Itimerval {
    /// Time between expirations; zero for a single one.
    pub interval: Timeval,
    /// Time to the next expiration; zero when the timer is not armed.
    pub value: Timeval,
}

/// `struct itimerspec`.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Itimerspec {
    /// Time between expirations; zero for a single one.
    pub interval: Timespec,
    /// Time to the next expiration, or when it is; zero when the timer is not armed.
    pub value: Timespec,
}

/// `struct timezone`.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Timezone {
    /// Minutes west of Greenwich.
    pub minutes_west: i32,
    /// Type of daylight saving correction; not used.
    pub dst_time: i32,
}

/// `struct tms`: times(2), in ticks.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Tms {
    /// Time in the application.
    pub user: i64,
    /// Time in the kernel.
    pub system: i64,
    /// Time of waited-for children in the application.
    pub children_user: i64,
    /// Time of waited-for children in the kernel.
    pub children_system: i64,
}

/// Numbers of clocks.
pub mod clock {
    /// Time of day.
    pub const REALTIME: i32 = 0;
    /// Time since boot.
    pub const MONOTONIC: i32 = 1;
    /// Time that this process computed.
    pub const PROCESS_CPUTIME_ID: i32 = 2;
    /// Time that this thread computed.
    pub const THREAD_CPUTIME_ID: i32 = 3;
    /// [`MONOTONIC`] that nobody adjusts.
    pub const MONOTONIC_RAW: i32 = 4;
    /// [`REALTIME`] of the last tick.
    pub const REALTIME_COARSE: i32 = 5;
    /// [`MONOTONIC`] of the last tick.
    pub const MONOTONIC_COARSE: i32 = 6;
    /// [`MONOTONIC`] with the time of suspension.
    pub const BOOTTIME: i32 = 7;
    /// [`REALTIME`] that wakes a suspended system.
    pub const REALTIME_ALARM: i32 = 8;
    /// [`BOOTTIME`] that wakes a suspended system.
    pub const BOOTTIME_ALARM: i32 = 9;
    /// International atomic time.
    pub const TAI: i32 = 11;
}

/// Flag of clock_nanosleep(2) and others: the time is a moment, not a duration.
pub const TIMER_ABSTIME: i32 = 1;

/// Flags of timerfd_create(2) and timerfd_settime(2).
pub mod timerfd {
    /// Reads do not wait.
    pub const NONBLOCK: u32 = linux_raw_sys::general::O_NONBLOCK;
    /// The descriptor closes on execve(2).
    pub const CLOEXEC: u32 = linux_raw_sys::general::O_CLOEXEC;
    /// The time is a moment, not a duration.
    pub const ABSTIME: u32 = 1;
    /// Reads fail when somebody sets the time of day.
    pub const CANCEL_ON_SET: u32 = 2;
}

/// Numbers of interval timers: setitimer(2).
pub mod itimer {
    /// Counts time as it passes; `SIGALRM`.
    pub const REAL: i32 = 0;
    /// Counts the process's time in the application; `SIGVTALRM`.
    pub const VIRTUAL: i32 = 1;
    /// Counts the process's time; `SIGPROF`.
    pub const PROF: i32 = 2;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_outside_their_range_are_refused_and_huge_ones_saturate() {
        assert_eq!(Timespec { seconds: 1, nanoseconds: 5 }.to_ns(), Some(1_000_000_005));
        assert_eq!(Timespec { seconds: 0, nanoseconds: 1_000_000_000 }.to_ns(), None);
        assert_eq!(Timespec { seconds: -1, nanoseconds: 0 }.to_ns(), None);
        assert_eq!(Timespec { seconds: i64::MAX, nanoseconds: 1 }.to_ns(), Some(u64::MAX));
        assert_eq!(Timeval { seconds: 1, microseconds: 1 }.to_ns(), Some(1_000_001_000));
        assert_eq!(Timeval { seconds: 1, microseconds: 1_000_000 }.to_ns(), None);
        assert_eq!(Timespec::from_ns(1_500_000_000).nanoseconds, 500_000_000);
    }
}

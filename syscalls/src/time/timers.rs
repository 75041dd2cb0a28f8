//! What waits for a moment to come: queues ordered by deadline, of which the machine is told
//! the first.

use alloc::collections::BTreeMap;
use alloc::sync::Weak;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};

use spin::Mutex;

use crate::machine::Machine;
use crate::wait::WaitQueue;

/// What happens when its moment has come.
pub(crate) trait Expire: Send + Sync {
    /// The deadline was `deadline_ns`, the time is `now_ns`, by the clock it waits on. Called
    /// with no lock held.
    fn expire(&self, deadline_ns: u64, now_ns: u64);
}

/// Who wants to know when somebody sets the time of day.
pub(crate) trait WallClockWatcher: Send + Sync {
    /// Somebody has. Called with no lock held.
    fn wall_clock_was_set(&self);
}

/// What moments are counted from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Base {
    /// The boot.
    Monotonic,
    /// 1970, UTC: a moment comes earlier or later when somebody sets the clock.
    Wall,
}

impl Base {
    /// What time it is, in nanoseconds.
    pub(crate) fn now_ns(self, machine: &dyn Machine) -> u64 {
        match self {
            Self::Monotonic => machine.monotonic_ns(),
            Self::Wall => machine.wall_clock_ns(),
        }
    }
}

/// One entry: its deadline, and a number that no other entry ever has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TimerId {
    base: Base,
    deadline_ns: u64,
    serial: u64,
}

/// All timers.
#[derive(Default)]
pub(crate) struct Timers {
    queue: Mutex<Queue>,
    watchers: Mutex<Vec<Weak<dyn WallClockWatcher>>>,
    /// Woken when somebody has set the time of day.
    pub(crate) wall_clock_set: WaitQueue,
    wall_clock_sets: AtomicU64,
}

#[derive(Default)]
struct Queue {
    /// Those of one base are neighbours.
    entries: BTreeMap<TimerId, Weak<dyn Expire>>,
    next_serial: u64,
}

impl Timers {
    /// Lets `what` expire when the clock of `base` is at `deadline_ns`.
    pub(crate) fn arm(
        &self,
        machine: &dyn Machine,
        base: Base,
        deadline_ns: u64,
        what: Weak<dyn Expire>,
    ) -> TimerId {
        let mut queue = self.queue.lock();
        let id = TimerId { base, deadline_ns, serial: queue.next_serial };
        queue.next_serial += 1;
        queue.entries.insert(id, what);
        queue.tell(machine);
        id
    }

    /// Takes a timer back, if it has not expired.
    pub(crate) fn disarm(&self, machine: &dyn Machine, id: TimerId) {
        let mut queue = self.queue.lock();
        if queue.entries.remove(&id).is_some() {
            queue.tell(machine);
        }
    }

    /// Lets everything expire whose moment has come.
    pub(crate) fn run(&self, machine: &dyn Machine) {
        for base in [Base::Monotonic, Base::Wall] {
            let now_ns = base.now_ns(machine);
            let due: Vec<_> = {
                let mut queue = self.queue.lock();
                queue.entries.extract_if(due_at(base, now_ns), |_, _| true).collect()
            };
            for (id, what) in due {
                if let Some(what) = what.upgrade() {
                    what.expire(id.deadline_ns, now_ns);
                }
            }
        }
        self.queue.lock().tell(machine);
    }

    /// Tells `watcher` when somebody sets the time of day, as long as it is there.
    pub(crate) fn watch_wall_clock(&self, watcher: Weak<dyn WallClockWatcher>) {
        let mut watchers = self.watchers.lock();
        watchers.retain(|one| one.strong_count() > 0 && !one.ptr_eq(&watcher));
        watchers.push(watcher);
    }

    /// Somebody has set the time of day: what waits for one may have to wait less or longer.
    pub(crate) fn wall_clock_was_set(&self, machine: &dyn Machine) {
        self.wall_clock_sets.fetch_add(1, Ordering::SeqCst);
        self.queue.lock().tell(machine);
        let watchers = self.watchers.lock().clone();
        for watcher in watchers.iter().filter_map(Weak::upgrade) {
            watcher.wall_clock_was_set();
        }
        self.wall_clock_set.wake_all();
    }

    /// How often somebody has set the time of day.
    pub(crate) fn wall_clock_sets(&self) -> u64 {
        self.wall_clock_sets.load(Ordering::SeqCst)
    }
}

/// What of one base is due at `now_ns`.
fn due_at(base: Base, now_ns: u64) -> core::ops::RangeInclusive<TimerId> {
    let first = TimerId { base, deadline_ns: 0, serial: 0 };
    first..=TimerId { base, deadline_ns: now_ns, serial: u64::MAX }
}

impl Queue {
    /// Asks the machine for the first deadline. With the lock held, so that the latest
    /// request is that of the latest queue.
    fn tell(&self, machine: &dyn Machine) {
        let first = |base| {
            let id = self.entries.range(due_at(base, u64::MAX)).next()?.0;
            Some(id.deadline_ns)
        };
        let wall = first(Base::Wall).map(|deadline_ns| {
            let left_ns = deadline_ns.saturating_sub(machine.wall_clock_ns());
            machine.monotonic_ns().saturating_add(left_ns)
        });
        machine.set_deadline(first(Base::Monotonic).into_iter().chain(wall).min());
    }
}

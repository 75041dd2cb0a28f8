//! What waits for a moment to come: one queue, ordered by deadline, of which the machine is
//! told the first.

use alloc::collections::BTreeMap;
use alloc::sync::Weak;
use alloc::vec::Vec;

use spin::Mutex;

use crate::machine::Machine;

/// What happens when its moment has come.
pub(crate) trait Expire: Send + Sync {
    /// The deadline was `deadline_ns`, the time is `now_ns`. Called with no lock held, in a
    /// service thread of the machine.
    fn expire(&self, deadline_ns: u64, now_ns: u64);
}

/// One entry of the queue: its deadline, and a number that no other entry ever has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TimerId {
    deadline_ns: u64,
    serial: u64,
}

impl TimerId {
    /// When it expires, in monotonic nanoseconds.
    pub(crate) fn deadline_ns(self) -> u64 {
        self.deadline_ns
    }
}

/// All timers.
#[derive(Default)]
pub(crate) struct Timers {
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    entries: BTreeMap<TimerId, Weak<dyn Expire>>,
    next_serial: u64,
}

impl Timers {
    /// Lets `what` expire at the monotonic time `deadline_ns`.
    pub(crate) fn arm(
        &self,
        machine: &dyn Machine,
        deadline_ns: u64,
        what: Weak<dyn Expire>,
    ) -> TimerId {
        let mut queue = self.queue.lock();
        let id = TimerId { deadline_ns, serial: queue.next_serial };
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
        let now_ns = machine.monotonic_ns();
        let expired: Vec<_> = {
            let mut queue = self.queue.lock();
            let after = TimerId { deadline_ns: now_ns.saturating_add(1), serial: 0 };
            let later = queue.entries.split_off(&after);
            let due = core::mem::replace(&mut queue.entries, later);
            queue.tell(machine);
            due.into_iter().collect()
        };
        for (id, what) in expired {
            if let Some(what) = what.upgrade() {
                what.expire(id.deadline_ns, now_ns);
            }
        }
    }
}

impl Queue {
    /// Asks the machine for the first deadline. With the lock held, so that the latest
    /// request is that of the latest queue.
    fn tell(&self, machine: &dyn Machine) {
        machine.set_deadline(self.entries.keys().next().map(|id| id.deadline_ns));
    }
}

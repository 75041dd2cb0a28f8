//! What happens when memory is out: one process is ended, and the others go on.
//!
//! The rule: the process ends whose end gives back most memory, counted as the resident pages
//! that only it holds, plus its /proc/PID/oom_score_adj in thousandths of all memory. A process
//! with -1000 is spared. Where several are equal, or none has anything to give, it is the one
//! that asks. All processes that share the victim's memory end with it. While a process ends
//! already, no other is chosen.

use alloc::sync::Arc;
use core::sync::atomic::Ordering;

use abi::signal::Signal;

use crate::machine::ExitStatus;
use crate::report;
use crate::system::System;

use super::{Process, Thread};

/// The oom_score_adj of a process that is never chosen.
const SPARED: i32 = -1000;

impl Thread {
    /// Ends the process that must go because memory is out, and waits until it has gone; the
    /// caller may be of that process. Called with no lock held.
    pub(crate) fn relieve_memory(&self) {
        let (system, own) = (self.system(), self.process());
        let victim = match dying(system) {
            Some(victim) => victim,
            None => end_largest(system, own),
        };
        while !victim.has_ended() && !own.is_ending() {
            system.machine.yield_now();
        }
    }
}

/// A process that ends already, but still has its memory.
fn dying(system: &System) -> Option<Arc<Process>> {
    system.processes.all().into_iter().find(|one| one.is_ending() && !one.has_ended())
}

/// Ends the process that gives back most; `asker` is the one that wants memory.
fn end_largest(system: &System, asker: &Arc<Process>) -> Arc<Process> {
    let victim = victim(system, asker);
    report::of_memory(&victim);
    let memory = victim.memory();
    for one in system.processes.all() {
        if !one.has_ended() && Arc::ptr_eq(&one.memory(), &memory) {
            one.begin_exit(ExitStatus::Killed(Signal::SIGKILL.number()));
        }
    }
    victim
}

/// The process that gives back most.
fn victim(system: &System, asker: &Arc<Process>) -> Arc<Process> {
    let total = i64::try_from(system.machine.memory().total_pages).unwrap_or(i64::MAX);
    let (mut victim, mut most) = (asker.clone(), points(asker, total).unwrap_or(0).max(0));
    for one in system.processes.all() {
        if let Some(points) = points(&one, total)
            && points > most
        {
            (victim, most) = (one, points);
        }
    }
    victim
}

/// What a process's end gives back, in pages; `None` for one that is spared or has ended.
fn points(process: &Process, total_pages: i64) -> Option<i64> {
    let adjustment = process.oom_adjustment.load(Ordering::Relaxed);
    if adjustment == SPARED || process.has_ended() {
        return None;
    }
    let own = i64::try_from(process.memory().private_pages()).unwrap_or(i64::MAX);
    Some(own.saturating_add(total_pages.saturating_mul(adjustment.into()) / 1000))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::kit::{self, AREA, Kit};
    use abi::PAGE_SIZE;

    /// A child of the kit's process that has so many pages of its own.
    fn child(kit: &Kit, id: u32, pages: u64) -> Arc<Process> {
        let memory = kit.process.memory().fork().unwrap();
        for page in 0..pages {
            memory.write(AREA + page * PAGE_SIZE as u64, b"x").unwrap();
        }
        let child = Arc::new(Process::new(id, memory, kit.process.paths.duplicate()));
        kit.system.processes.insert(child.clone());
        child
    }

    #[test]
    fn who_gives_back_most_is_ended() {
        let kit = kit::process();
        kit.system.processes.insert(kit.process.clone());
        let small = child(&kit, 3, 2);
        let large = child(&kit, 4, 9);
        let chosen = |asker| victim(&kit.system, asker).id();
        assert_eq!((chosen(&small), chosen(&large)), (4, 4));
        // What is shared with a child would not come back.
        let shared = large.memory().fork().unwrap();
        assert_eq!(chosen(&large), 3);
        drop(shared);
        large.oom_adjustment.store(SPARED, Ordering::Relaxed);
        assert_eq!(chosen(&large), 3);
        kit.process.oom_adjustment.store(1000, Ordering::Relaxed);
        assert_eq!(chosen(&small), kit.process.id());
    }

    #[test]
    fn the_one_that_asks_is_ended_where_all_are_alike() {
        let kit = kit::process();
        kit.system.processes.insert(kit.process.clone());
        let (one, other) = (child(&kit, 3, 4), child(&kit, 4, 4));
        assert_eq!(victim(&kit.system, &one).id(), 3);
        assert_eq!(victim(&kit.system, &other).id(), 4);
        assert!(dying(&kit.system).is_none());
        assert_eq!(end_largest(&kit.system, &other).id(), 4);
        assert_eq!(dying(&kit.system).map(|one| one.id()), Some(4));
        assert!(!one.is_ending());
    }
}

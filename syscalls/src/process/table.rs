//! The table of processes: all by number, and who belongs to whom.
//!
//! Parents, groups and sessions change only under the lock of the table, so that a child that
//! ends while its parent ends finds one parent or the other, and always one that looks.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;

use abi::Errno;
use spin::Mutex;

use crate::error::{Because, Result};
use crate::machine::ExitStatus;

use super::shared::REAPER;
use super::{Process, Thread};

/// The number of the first program; 1 is the kernel's own.
pub(super) const FIRST: u32 = 2;

/// One more than the highest number of a process or thread (`PID_MAX_LIMIT` of Linux).
pub(crate) const PID_MAX: u32 = 1 << 22;

/// All processes by number.
pub struct ProcessTable {
    state: Mutex<State>,
}

struct State {
    processes: BTreeMap<u32, Arc<Process>>,
    /// Threads by number, but for those that have the number of their process.
    threads: BTreeMap<u32, Weak<Thread>>,
    children: Members,
    groups: Members,
    sessions: Members,
    next: u32,
}

/// Which processes belong to a parent, a group or a session: pairs of its number and theirs.
struct Members(BTreeSet<(u32, u32)>);

impl Members {
    fn of(&self, whole: u32) -> impl Iterator<Item = u32> {
        self.0.range((whole, 0)..=(whole, u32::MAX)).map(|&(_, member)| member)
    }

    fn has_any(&self, whole: u32) -> bool {
        self.of(whole).next().is_some()
    }

    fn change(&mut self, member: u32, from: u32, to: u32) {
        self.0.remove(&(from, member));
        self.0.insert((to, member));
    }
}

impl State {
    fn get(&self, id: u32) -> Option<&Arc<Process>> {
        self.processes.get(&id)
    }

    fn all(&self, members: impl Iterator<Item = u32>) -> Vec<Arc<Process>> {
        members.filter_map(|id| self.get(id).cloned()).collect()
    }

    /// Whether a process, a thread, a group or a session has this number.
    fn is_taken(&self, id: u32) -> bool {
        self.processes.contains_key(&id)
            || self.threads.contains_key(&id)
            || self.groups.has_any(id)
            || self.sessions.has_any(id)
    }

    /// Takes the numbers of what has gone from the namespaces of `process`.
    fn forget_free(&self, process: &Process, ids: &[u32]) {
        if process.pid_namespace.is_first() {
            return;
        }
        for &id in ids {
            if !self.is_taken(id) {
                process.pid_namespace.forget(id);
            }
        }
    }

    fn set_group(&mut self, process: &Process, group: u32) {
        let old = process.group();
        self.groups.change(process.id(), old, group);
        process.set_group(group);
        self.forget_free(process, &[old]);
    }

    /// Whether the parent of `member` is in its session, but not in its group.
    fn has_guardian(&self, member: &Process) -> bool {
        self.get(member.parent()).is_some_and(|parent| {
            parent.group() != member.group() && parent.session() == member.session()
        })
    }
}

impl Default for ProcessTable {
    fn default() -> Self {
        Self::new()
    }
}

impl ProcessTable {
    /// A table without processes.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            state: Mutex::new(State {
                processes: BTreeMap::new(),
                threads: BTreeMap::new(),
                children: Members(BTreeSet::new()),
                groups: Members(BTreeSet::new()),
                sessions: Members(BTreeSet::new()),
                next: FIRST,
            }),
        }
    }

    /// A number for a new process or thread that no process, group or session has.
    pub fn allocate_id(&self) -> u32 {
        let mut state = self.state.lock();
        loop {
            let id = state.next;
            state.next = if id + 1 == PID_MAX { FIRST } else { id + 1 };
            if !state.is_taken(id) {
                return id;
            }
        }
    }

    /// This number for a new process or thread.
    ///
    /// # Errors
    /// `EINVAL` for what is none; `EEXIST` when something has it.
    pub(crate) fn claim_id(&self, id: u32) -> Result<u32> {
        if !(1..PID_MAX).contains(&id) {
            return Err(Errno::EINVAL.because("not a number of a process"));
        }
        if id < FIRST || self.state.lock().is_taken(id) {
            return Err(Errno::EEXIST.because("the number is taken"));
        }
        Ok(id)
    }

    /// The number before the next one that is tried.
    pub(crate) fn last_id(&self) -> u32 {
        self.state.lock().next - 1
    }

    /// Lets the search for a number go on after `last`, which is below [`PID_MAX`].
    pub(crate) fn set_last_id(&self, last: u32) {
        self.state.lock().next = if last + 1 < PID_MAX { (last + 1).max(FIRST) } else { FIRST };
    }

    /// Adds a process, with the parent, group and session it says it has.
    pub fn insert(&self, process: Arc<Process>) {
        let mut state = self.state.lock();
        let id = process.id();
        state.children.0.insert((process.parent(), id));
        state.groups.0.insert((process.group(), id));
        state.sessions.0.insert((process.session(), id));
        state.processes.insert(id, process);
    }

    /// Removes a process that has ended; of several who try, one gets it.
    pub fn remove(&self, id: u32) -> Option<Arc<Process>> {
        let mut state = self.state.lock();
        let process = state.processes.remove(&id)?;
        state.children.0.remove(&(process.parent(), id));
        state.groups.0.remove(&(process.group(), id));
        state.sessions.0.remove(&(process.session(), id));
        state.forget_free(&process, &[id, process.group(), process.session()]);
        drop(state);
        process.forget_remains();
        Some(process)
    }

    /// The process with this number.
    #[must_use]
    pub fn get(&self, id: u32) -> Option<Arc<Process>> {
        self.state.lock().get(id).cloned()
    }

    /// Adds a thread whose number is not that of its process.
    pub(super) fn insert_thread(&self, thread: &Arc<Thread>) {
        self.state.lock().threads.insert(thread.id(), Arc::downgrade(thread));
    }

    /// Removes a thread that ends or takes the number of its process.
    pub(super) fn remove_thread(&self, thread: &Thread) {
        let mut state = self.state.lock();
        state.threads.remove(&thread.id());
        state.forget_free(thread.process(), &[thread.id()]);
    }

    /// The thread with this number.
    #[must_use]
    pub(crate) fn thread(&self, id: u32) -> Option<Arc<Thread>> {
        let process = {
            let state = self.state.lock();
            if let Some(thread) = state.threads.get(&id) {
                return thread.upgrade();
            }
            state.get(id).cloned()
        };
        process?.threads().into_iter().find(|thread| thread.id() == id)
    }

    /// How many processes and further threads there are.
    pub(crate) fn task_count(&self) -> usize {
        let state = self.state.lock();
        state.processes.len() + state.threads.len()
    }

    /// The process with this number, or the one whose thread has it.
    #[must_use]
    pub(crate) fn of_task(&self, id: u32) -> Option<Arc<Process>> {
        self.get(id).or_else(|| self.thread(id).map(|thread| thread.process().clone()))
    }

    /// All processes, in the order of their numbers.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Process>> {
        self.state.lock().processes.values().cloned().collect()
    }

    /// The processes of a group.
    #[must_use]
    pub(crate) fn group(&self, group: u32) -> Vec<Arc<Process>> {
        let state = self.state.lock();
        state.all(state.groups.of(group))
    }

    /// The children of a process.
    #[must_use]
    pub(crate) fn children(&self, parent: u32) -> Vec<Arc<Process>> {
        let state = self.state.lock();
        state.all(state.children.of(parent))
    }

    /// The first value that `look` has for a child of `parent`. It is called with the lock
    /// held.
    pub(super) fn find_child<T>(
        &self,
        parent: u32,
        look: impl FnMut(&Arc<Process>) -> Option<T>,
    ) -> Option<T> {
        let state = self.state.lock();
        state.children.of(parent).filter_map(|id| state.get(id)).find_map(look)
    }

    /// Puts a process into a group of its session, or a new one with its own number.
    ///
    /// # Errors
    /// `EPERM` when it leads its session, or there is no such group in it.
    pub(crate) fn join_group(&self, process: &Process, group: u32) -> Result<()> {
        let mut state = self.state.lock();
        if process.session() == process.id() {
            return Err(Errno::EPERM.because("the process leads a session"));
        }
        let is_in_session =
            |id| state.get(id).is_some_and(|other| other.session() == process.session());
        if group != process.id() && !state.groups.of(group).any(is_in_session) {
            return Err(Errno::EPERM.because("no such group in the session"));
        }
        state.set_group(process, group);
        Ok(())
    }

    /// Makes a process the leader of a new session and of a group in it.
    ///
    /// # Errors
    /// `EPERM` when a group has its number.
    pub(crate) fn lead_session(&self, process: &Process) -> Result<()> {
        let mut state = self.state.lock();
        let id = process.id();
        if state.groups.has_any(id) {
            return Err(Errno::EPERM.because("the process leads a group"));
        }
        let old = process.session();
        state.sessions.change(id, old, id);
        process.set_session(id);
        state.set_group(process, id);
        state.forget_free(process, &[old]);
        Ok(())
    }

    /// Whether nobody could continue the group once it has stopped: no parent of a member is
    /// in its session, but outside of the group (POSIX, 3.264).
    #[must_use]
    pub(crate) fn is_orphaned(&self, group: u32) -> bool {
        let state = self.state.lock();
        let members = state.groups.of(group).filter_map(|id| state.get(id));
        !members.filter(|member| !member.has_ended()).any(|member| state.has_guardian(member))
    }

    /// Notes how a process has ended, with its children given to the next of its ancestors
    /// that adopts orphans, or else to the reaper. Returns the children.
    pub(super) fn end(&self, process: &Process, status: ExitStatus) -> Vec<Arc<Process>> {
        let mut state = self.state.lock();
        process.set_ended(status);
        let init = process.pid_namespace.init().map_or(REAPER, |init| init.id());
        let heir = {
            let parent_of = |one: &Arc<Process>| state.get(one.parent());
            let ancestors =
                core::iter::successors(state.get(process.parent()), |&one| parent_of(one));
            let is_inside = |one: &&Arc<Process>| one.pid_namespace == process.pid_namespace;
            let inside = ancestors.take_while(is_inside);
            let mut heirs = inside.filter(|one| one.properties.lock().is_subreaper);
            heirs.find(|one| !one.has_ended()).map_or(init, |heir| heir.id())
        };
        let orphans = state.all(state.children.of(process.id()));
        for orphan in &orphans {
            state.children.change(orphan.id(), process.id(), heir);
            orphan.set_parent(heir);
        }
        orphans
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_start_at_two_and_ascend() {
        let table = ProcessTable::new();
        assert_eq!(table.allocate_id(), 2);
        assert_eq!(table.allocate_id(), 3);
        assert!(table.get(2).is_none());
    }
}

//! The end of threads and processes: exit(2), exit_group(2), death by a signal.

use alloc::sync::Arc;
use alloc::vec::Vec;

use abi::signal::{Signal, si};

use crate::fs::PollEvents;
use crate::machine::{ExitStatus, Flow};
use crate::signal::info;
use crate::system::System;

use super::{Process, Thread};

impl Process {
    /// Lets all threads end, and the process with this status. The first call counts.
    pub(crate) fn begin_exit(&self, status: ExitStatus) {
        if status == ExitStatus::Killed(Signal::SIGKILL.number()) {
            self.set_killed();
        }
        self.exit.lock().get_or_insert(status);
        for thread in self.threads() {
            thread.end_soon();
        }
    }

    /// Whether it is clear how it ends.
    pub(super) fn is_ending(&self) -> bool {
        self.exit.lock().is_some()
    }
}

impl Thread {
    /// Ends the thread, which is the one that runs now; with its last thread the process
    /// ends.
    pub(crate) fn end(&self) -> Flow {
        self.begin_to_leave();
        self.leave_tracees();
        self.cancel_requests();
        self.leave_memory();
        let (system, process) = (self.system(), self.process());
        let own_status = ExitStatus::Exited(self.exit_status());
        let status = process.exit.lock().unwrap_or(own_status);
        crate::trace::exit(self, status);
        self.set_ended();
        if self.is_leader() {
            process.set_remains(self);
        }
        let is_last = process.remove_thread(self);
        self.leave_own();
        if !self.is_leader() {
            system.processes.remove_thread(self);
            self.tell_tracer_of_end();
        }
        if is_last {
            self.account(status);
            self.release(process);
            self.end_namespace();
            end_process(system, process, status);
        } else {
            self.leave_signals();
        }
        self.detach();
        Flow::End
    }

    /// The end of the first process of a namespace is the end of all in it, and waits for them:
    /// pid_namespaces(7), "The namespace init process".
    fn end_namespace(&self) {
        let (system, process) = (self.system(), self.process());
        let namespace = &process.pid_namespace;
        if !namespace.is_init(process) {
            return;
        }
        let find = |id: &u32| system.processes.get(*id).filter(|one| one.id() != process.id());
        for other in namespace.end().iter().filter_map(find) {
            other.begin_exit(ExitStatus::Killed(Signal::SIGKILL.number()));
        }
        let lives = |other: Arc<Process>| !other.has_ended();
        let is_empty = || !namespace.end().iter().filter_map(find).any(lives);
        self.wait_at_end(&process.children_changed, is_empty);
        for child in system.processes.children(process.id()) {
            if child.has_ended() {
                system.processes.remove(child.id());
            }
        }
    }

    /// Gives back what the process has: all that is left is what its parent may ask for.
    fn release(&self, process: &Process) {
        let system = self.system();
        process.timers.disarm_all();
        process.posix_timers.clear();
        self.ipc().semaphores.leave(process, system.wall_clock_seconds());
        self.close_all(&process.files);
        process.paths.leave(system.vfs.root().clone());
        let nothing = system.empty_memory();
        if let Some(machine) = self.machine_if_known() {
            machine.set_space(nothing.space().clone());
        }
        process.set_memory(nothing.clone());
    }
}

/// Tells everybody concerned that a process has ended. The end of the program that the kernel
/// started is the end of the machine.
fn end_process(system: &System, process: &Arc<Process>, status: ExitStatus) {
    if system.program() == process.id() {
        for other in system.processes.all() {
            other.begin_exit(ExitStatus::Killed(Signal::SIGKILL.number()));
        }
        system.processes.remove(process.id());
        system.vfs.disks.end();
        system.vfs.shares.settle();
        system.machine.power_off(status);
        return;
    }
    if process.session() == process.id()
        && let Some(terminal) = system.terminal_of(process.session())
    {
        terminal.lose_session(system, process.session());
    }
    let guarded = guarded_groups(system, process);
    let orphans = system.processes.end(process, status);
    process.ending.wake(PollEvents::IN | PollEvents::RDNORM);
    if let Some(init) = process.pid_namespace.init() {
        // It may wait for the end of all.
        init.children_changed.wake_all();
    }
    for orphan in orphans {
        tell_orphan(system, process, &orphan);
    }
    for group in guarded {
        if system.processes.is_orphaned(group) {
            system.release_orphaned_group(group);
        }
    }
    if !process.tell_tracer_of_end(status) {
        process.report_end(system, status);
    }
}

/// The groups that the end of `process` may orphan: its own and its children's.
fn guarded_groups(system: &System, process: &Process) -> Vec<u32> {
    let children = system.processes.children(process.id());
    let mut groups: Vec<u32> = children.iter().map(|child| child.group()).collect();
    groups.push(process.group());
    groups.sort_unstable();
    groups.dedup();
    groups.retain(|&group| !system.processes.is_orphaned(group));
    groups
}

/// Tells a child that its parent has ended, and the new parent if the child has ended too.
fn tell_orphan(system: &System, parent: &Process, orphan: &Process) {
    orphan.publish_answers();
    orphan.set_exit_signal(Some(Signal::SIGCHLD));
    if let Some(status) = orphan.ended() {
        if !orphan.is_held() {
            orphan.report_end(system, status);
        }
        return;
    }
    let signal = orphan.properties.lock().parent_death_signal;
    if let Some(signal) = Signal::new(signal) {
        let id = orphan.pid_namespace.shown(parent.id());
        let user = parent.credentials().users.real;
        let user = orphan.credentials().namespace.shown_user(user);
        // Standard signals are never refused; a real-time one may be too many.
        let _ = orphan.send_signal(signal, info::user(signal, si::USER, id, user));
    }
}

//! What parents learn of their children: wait4(2), waitid(2), `SIGCHLD`.

use abi::Errno;
use abi::process::WaitOptions;
use abi::signal::{SIG_IGN, Signal, sa, si};

use crate::context::Context;
use crate::error::{Because, Result};
use crate::machine::ExitStatus;
use crate::signal::info;
use crate::system::System;
use crate::wait::Interruption;

use super::usage::Usage;
use super::{Process, Thread};

/// What has happened to a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Report {
    /// It has ended.
    Ended(ExitStatus),
    /// This signal has ended it, and left a core dump.
    Dumped(u8),
    /// This signal has stopped it.
    Stopped(Signal),
    /// It goes on after it was stopped.
    Continued,
    /// It has stopped for its tracer: what the upper bytes of the status of wait4(2) tell.
    Trapped(u32),
}

impl Report {
    /// The status of wait4(2), as the macros of wait(2) take it apart.
    #[must_use]
    pub(crate) fn wait_status(self) -> u32 {
        const STOPPED: u32 = 0x7f;
        const CONTINUED: u32 = 0xffff;
        const WITH_CORE: u32 = 0x80;
        match self {
            Self::Ended(ExitStatus::Killed(signal)) => u32::from(signal),
            Self::Dumped(signal) => u32::from(signal) | WITH_CORE,
            Self::Ended(_) => self.code_and_status().1.cast_unsigned() << 8,
            Self::Stopped(signal) => u32::from(signal.number()) << 8 | STOPPED,
            Self::Continued => CONTINUED,
            Self::Trapped(code) => code << 8 | STOPPED,
        }
    }

    /// `si_code` and `si_status`.
    #[must_use]
    pub(crate) fn code_and_status(self) -> (i32, i32) {
        match self {
            Self::Ended(ExitStatus::Exited(status)) => (si::CLD_EXITED, status & 0xff),
            Self::Ended(ExitStatus::Killed(signal)) => (si::CLD_KILLED, i32::from(signal)),
            Self::Dumped(signal) => (si::CLD_DUMPED, i32::from(signal)),
            // Processes do not end so; machines do.
            Self::Ended(ExitStatus::NotStarted(_) | ExitStatus::KernelFailure) => {
                (si::CLD_EXITED, 0xff)
            }
            Self::Stopped(signal) => (si::CLD_STOPPED, i32::from(signal.number())),
            Self::Continued => (si::CLD_CONTINUED, i32::from(Signal::SIGCONT.number())),
            Self::Trapped(code) => (si::CLD_TRAPPED, code.cast_signed()),
        }
    }
}

/// Which children a wait is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whom {
    /// Any.
    Any,
    /// The one with this number.
    Process(u32),
    /// Those of this process group.
    Group(u32),
}

impl Whom {
    /// Whether the process or thread `id` in process group `of` is meant.
    pub(super) fn names(self, id: u32, of: u32) -> bool {
        match self {
            Self::Any => true,
            Self::Process(one) => one == id,
            Self::Group(group) => group == of,
        }
    }

    fn includes(self, child: &Process, options: WaitOptions) -> bool {
        let is_clone = child.exit_signal() != Some(Signal::SIGCHLD);
        let wants_clones = options.contains(WaitOptions::CLONE);
        self.names(child.id(), child.group())
            && (options.contains(WaitOptions::ALL) || is_clone == wants_clones)
    }
}

/// What a wait tells of a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Waited {
    /// The child's number.
    pub(super) id: u32,
    /// The number by which the caller knows it.
    pub(crate) shown: u32,
    /// Its real user ID.
    pub(crate) user: u32,
    /// What has happened.
    pub(crate) report: Report,
    /// What it has used, with its children.
    pub(crate) usage: Usage,
}

impl Waited {
    fn new(cx: &Context<'_>, child: &Process, report: Report) -> Self {
        let user = child.credentials().users.real;
        let usage = child.usage().with(child.children_usage());
        let id = child.id();
        // Once it is removed, its number leads nowhere.
        Self { id, shown: cx.shown_id(id), user, report, usage }
    }

    /// What `tracer` is told of a thread.
    pub(super) fn of_thread(thread: &Thread, tracer: &Process, report: Report) -> Self {
        let user = thread.credentials().users.real;
        let (id, usage) = (thread.id(), thread.process().usage());
        Self { id, shown: tracer.pid_namespace.shown(id), user, report, usage }
    }
}

impl Context<'_> {
    /// Waits for a change of a child. `None` with `WNOHANG` when there is none yet.
    ///
    /// # Errors
    /// `ECHILD` when there is no such child; `ERESTARTSYS` when a signal came.
    pub(crate) fn wait_for_child(
        &self,
        whom: Whom,
        options: WaitOptions,
    ) -> Result<Option<Waited>> {
        let queues = [&self.process.children_changed];
        let found = self.wait_until(&queues, None, Interruption::Restart, || {
            let found = self.look_for_child(whom, options)?;
            let is_enough = found.is_some() || options.contains(WaitOptions::NOHANG);
            Ok(is_enough.then_some(found))
        })?;
        Ok(found.flatten())
    }

    fn look_for_child(&self, whom: Whom, options: WaitOptions) -> Result<Option<Waited>> {
        let processes = &self.system.processes;
        loop {
            let mut has_any = false;
            if let Some(told) = self.look_for_tracee(whom, options, &mut has_any) {
                return Ok(Some(told));
            }
            let found = processes.find_child(self.process.id(), |child| {
                if !whom.includes(child, options) {
                    return None;
                }
                has_any = true;
                child.take_report(options).map(|report| Waited::new(self, child, report))
            });
            match found {
                None if has_any => return Ok(None),
                None => return Err(Errno::ECHILD.because("no such child")),
                Some(Waited {
                    report: Report::Ended(_) | Report::Dumped(_), id, usage, ..
                }) if !options.contains(WaitOptions::NOWAIT) => {
                    // Of several threads that found it, one gets it.
                    if processes.remove(id).is_some() {
                        let mut used = self.process.children_usage.lock();
                        *used = used.with(usage);
                        return Ok(found);
                    }
                }
                Some(_) => return Ok(found),
            }
        }
    }
}

impl Process {
    /// What is told of its end with this status.
    pub(super) fn end_report(&self, status: ExitStatus) -> Report {
        match status {
            ExitStatus::Killed(signal) if self.has_core() => Report::Dumped(signal),
            status => Report::Ended(status),
        }
    }

    /// What there is to tell to a parent that asks with `options`; but for the end, it is told
    /// once.
    fn take_report(&self, options: WaitOptions) -> Option<Report> {
        if let Some(status) = self.ended() {
            let is_to_be_told = options.contains(WaitOptions::EXITED) && !self.is_held();
            return is_to_be_told.then_some(self.end_report(status));
        }
        let mut report = self.report.lock();
        let wanted = match *report {
            Some(Report::Stopped(_)) => WaitOptions::STOPPED,
            Some(Report::Continued) => WaitOptions::CONTINUED,
            Some(Report::Ended(_) | Report::Dumped(_) | Report::Trapped(_)) | None => return None,
        };
        if !options.contains(wanted) {
            return None;
        }
        if options.contains(WaitOptions::NOWAIT) { *report } else { report.take() }
    }

    /// Tells the parent that this child has stopped or gone on.
    pub(crate) fn report(&self, system: &System, report: Report) {
        if matches!(report, Report::Stopped(_)) && self.is_traced_by_parent(system) {
            // It learns of it as the tracer.
            return;
        }
        *self.report.lock() = Some(report);
        let Some(parent) = system.processes.get(self.parent()) else {
            return;
        };
        let action = parent.signal_action(Signal::SIGCHLD);
        if action.handler != SIG_IGN && action.flags & sa::NOCLDSTOP == 0 {
            // Standard signals are never refused.
            let _ = parent
                .send_signal(Signal::SIGCHLD, info::child(Signal::SIGCHLD, self, &parent, report));
        }
        parent.children_changed.wake_all();
    }

    /// Whether its parent traces its first thread.
    fn is_traced_by_parent(&self, system: &System) -> bool {
        let first = self.first_thread().filter(|first| first.is_traced());
        let parent = system.processes.get(self.parent());
        first.zip(parent).is_some_and(|(first, parent)| first.is_traced_by(&parent))
    }

    /// Tells the parent that this child has ended. Nobody waits for it when the parent is the
    /// reaper, or ignores its children: wait(2), "Linux notes".
    pub(super) fn report_end(&self, system: &System, status: ExitStatus) {
        let Some(parent) = system.processes.get(self.parent()) else {
            system.processes.remove(self.id());
            return;
        };
        let signal = self.exit_signal();
        let is_child = signal == Some(Signal::SIGCHLD);
        let action = parent.signal_action(Signal::SIGCHLD);
        let is_ignored = is_child && action.handler == SIG_IGN;
        if let Some(signal) = signal.filter(|_| !is_ignored) {
            let info = info::child(signal, self, &parent, self.end_report(status));
            // Standard signals are never refused; a real-time one may be too many.
            let _ = parent.send_signal(signal, info);
        }
        // The end of the first process of a namespace waits for nothing but the end of others.
        let is_over = parent.is_ending() && parent.pid_namespace.is_init(&parent);
        if is_ignored || is_over || (is_child && action.flags & sa::NOCLDWAIT != 0) {
            system.processes.remove(self.id());
        }
        parent.children_changed.wake_all();
    }
}

impl System {
    /// Continues the stopped processes of a group that nobody else could continue any more,
    /// after telling them (POSIX, _exit, "Consequences of process termination").
    pub(super) fn release_orphaned_group(&self, group: u32) {
        let members = self.processes.group(group);
        if members.iter().any(|member| member.signals.is_stopped()) {
            self.signal_group(group, Signal::SIGHUP);
            self.signal_group(group, Signal::SIGCONT);
        }
    }
}

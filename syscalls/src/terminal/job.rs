//! Job control: which session a terminal controls, and which process group is in the
//! foreground (credentials(7), setpgid(2), tcsetpgrp(3)).

use abi::Errno;
use abi::signal::Signal;

use crate::context::Context;
use crate::error::{Because, Result};
use crate::process::Capability;
use crate::system::System;

use super::Terminal;

/// Whom a terminal controls; 0 is nobody.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Job {
    /// The session whose controlling terminal it is.
    pub(super) session: u32,
    /// The process group in the foreground.
    pub(super) foreground: u32,
}

impl Job {
    pub(super) fn controls(&self, session: u32) -> bool {
        session != 0 && self.session == session
    }
}

/// Sends a signal to all processes of a group.
pub(super) fn signal_group(system: &System, group: u32, signal: Signal) {
    system.signal_group(group, signal);
}

impl Terminal {
    /// Lets a caller that is in the background of this terminal stop with `signal`: `SIGTTIN`
    /// before it reads, `SIGTTOU` before it writes or changes something.
    ///
    /// # Errors
    /// `ERESTARTSYS` when the signal has been sent; `EIO` when nobody could continue the
    /// process, and for a reader also when it would not notice the signal.
    pub(super) fn check_foreground(&self, cx: &Context<'_>, signal: Signal) -> Result<()> {
        let job = self.state().job;
        let group = cx.process.group();
        if !job.controls(cx.process.session()) || job.foreground == 0 || job.foreground == group {
            return Ok(());
        }
        let (ignored, _) = cx.process.signals.ignored_and_handled();
        if ignored.or(cx.thread.signals.blocked()).contains(signal) {
            return match signal {
                Signal::SIGTTIN => Err(Errno::EIO.because("SIGTTIN is blocked or ignored")),
                _ => Ok(()),
            };
        }
        if cx.system.processes.is_orphaned(group) {
            return Err(Errno::EIO.because("the process group is orphaned"));
        }
        signal_group(cx.system, group, signal);
        Err(Errno::ERESTARTSYS.because("the process is in the background"))
    }

    /// `TIOCSCTTY`: makes it the controlling terminal of the caller's session. With `steals`, a
    /// superuser takes it from another session.
    pub(super) fn acquire(&self, cx: &Context<'_>, steals: bool) -> Result<()> {
        let session = cx.process.session();
        if self.controls(session) {
            return Ok(());
        }
        if session != cx.process.id() {
            return Err(Errno::EPERM.because("the caller does not lead its session"));
        }
        if cx.system.terminal_of(session).is_some() {
            return Err(Errno::EPERM.because("the session has a controlling terminal"));
        }
        let may_steal = steals && cx.credentials().has(Capability::SysAdmin);
        let mut state = self.state();
        if state.job.session != 0 && !may_steal {
            return Err(Errno::EPERM.because("the terminal controls another session"));
        }
        state.job = Job { session, foreground: cx.process.group() };
        Ok(())
    }

    /// Makes it the controlling terminal of a session leader that has none, if it is nobody's:
    /// open(2) without `O_NOCTTY`.
    ///
    /// # Errors
    /// As `TIOCSCTTY`.
    pub(super) fn acquire_if_free(&self, cx: &Context<'_>) -> Result<()> {
        self.acquire(cx, false)
    }

    /// Fails when `TIOCEXCL` keeps others from opening it.
    ///
    /// # Errors
    /// `EBUSY`.
    pub(super) fn check_exclusive(&self, cx: &Context<'_>) -> Result<()> {
        if self.state().is_exclusive && !cx.credentials().has(Capability::SysAdmin) {
            return Err(Errno::EBUSY.because("the terminal is in exclusive use"));
        }
        Ok(())
    }

    /// `TIOCNOTTY`: gives the controlling terminal up.
    pub(super) fn release(&self, cx: &Context<'_>) -> Result<()> {
        let job = self.check_controlling(cx)?;
        if cx.process.session() != cx.process.id() {
            return Err(Errno::EPERM.because("the caller does not lead its session"));
        }
        self.leave(cx.system, job);
        Ok(())
    }

    /// The leader of `session` has ended: if it is the controlling terminal, it is nobody's
    /// now.
    pub(crate) fn lose_session(&self, system: &System, session: u32) {
        let job = self.state().job;
        if job.controls(session) {
            self.leave(system, job);
        }
    }

    fn leave(&self, system: &System, job: Job) {
        self.state().job = Job::default();
        signal_group(system, job.foreground, Signal::SIGHUP);
        signal_group(system, job.foreground, Signal::SIGCONT);
    }

    /// `TIOCSPGRP`: puts a process group of the caller's session into the foreground.
    pub(super) fn set_foreground(&self, cx: &Context<'_>, group: i32) -> Result<()> {
        self.check_controlling(cx)?;
        self.check_foreground(cx, Signal::SIGTTOU)?;
        let group = u32::try_from(group)
            .map_err(|_| Errno::EINVAL.because("the process group is negative"))?;
        let group = cx.known_id(group.cast_signed())?;
        let processes = cx.system.processes.all();
        let member = processes
            .iter()
            .find(|process| process.group() == group)
            .ok_or_else(|| Errno::ESRCH.because("there is no such process group"))?;
        if member.session() != cx.process.session() {
            return Err(Errno::EPERM.because("the process group is of another session"));
        }
        self.state().job.foreground = group;
        Ok(())
    }

    /// The job, for a caller whose controlling terminal this is.
    ///
    /// # Errors
    /// `ENOTTY` when it is not.
    pub(super) fn check_controlling(&self, cx: &Context<'_>) -> Result<Job> {
        let job = self.state().job;
        if job.controls(cx.process.session()) {
            return Ok(job);
        }
        Err(Errno::ENOTTY.because("not the caller's controlling terminal"))
    }
}

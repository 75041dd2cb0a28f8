//! Descriptors of processes: pidfd_open(2).

use alloc::sync::Arc;
use core::fmt;

use abi::Errno;
use abi::fs::OpenFlags;
use abi::process::{PidfdInfo, pidfd};
use zerocopy::{FromZeros, IntoBytes};

use crate::context::Context;
use crate::error::{Because, Outcome, Result};
use crate::fs::{Fd, File, Inode, OpenFile, PollEvents, anonymous};
use crate::user::UserPtr;
use crate::wait::WaitQueue;

use super::Process;

/// A process that descriptors refer to, also when it has ended.
pub(crate) struct ProcessFile {
    inode: Arc<dyn Inode>,
    process: Arc<Process>,
}

impl ProcessFile {
    /// An open file that refers to `process`; `flags` may have `O_NONBLOCK`.
    pub(crate) fn open(process: Arc<Process>, flags: OpenFlags) -> Arc<OpenFile> {
        let file = Self { inode: anonymous::inode("[pidfd]"), process };
        Arc::new(OpenFile::new(Arc::new(file), flags | OpenFlags::RDWR))
    }
}

impl File for ProcessFile {
    fn inode(&self) -> &Arc<dyn Inode> {
        &self.inode
    }

    fn poll(&self) -> PollEvents {
        if self.process.has_ended() {
            PollEvents::IN | PollEvents::RDNORM
        } else {
            PollEvents::empty()
        }
    }

    fn wait_queue(&self) -> Option<&WaitQueue> {
        Some(&self.process.ending)
    }

    fn process(&self) -> Option<&Arc<Process>> {
        Some(&self.process)
    }

    fn ioctl(&self, cx: &Context<'_>, request: u32, argument: u64) -> Result<Outcome> {
        if request & !pidfd::SIZE_OF_REQUEST != pidfd::GET_INFO {
            return Err(Errno::ENOTTY.because("the file does not know this request"));
        }
        let size = (request >> pidfd::SIZE_SHIFT) as usize & pidfd::SIZE_MAX;
        if argument == 0 || size < pidfd::INFO_SIZE_VER0 {
            return Err(Errno::EINVAL.because("no room for the information"));
        }
        let wanted = UserPtr::<u64>::new(argument).read(cx)?;
        let info = self.info(cx, wanted)?;
        let known = &info.as_bytes()[..size.min(size_of::<PidfdInfo>())];
        cx.memory().write(argument, known)?;
        Ok(().into())
    }

    fn describe(&self, cx: &Context<'_>, out: &mut dyn fmt::Write) -> fmt::Result {
        let id = self.process.id();
        // What has been waited for has no number any more.
        let known = cx.system.processes.get(id);
        let is_known = known.is_some_and(|known| Arc::ptr_eq(&known, &self.process));
        if !is_known {
            return writeln!(out, "Pid:\t-1\nNSpid:\t-1");
        }
        let here = cx.pid_namespace();
        writeln!(out, "Pid:\t{}", here.shown(id))?;
        write!(out, "NSpid:")?;
        let shown = here.shown_inwards(&self.process.pid_namespace, id);
        if shown.is_empty() {
            write!(out, "\t0")?;
        }
        shown.iter().try_for_each(|id| write!(out, "\t{id}"))?;
        writeln!(out)
    }
}

impl ProcessFile {
    /// What is known of the process: of one that was waited for, only how it ended.
    ///
    /// # Errors
    /// `ESRCH` for a process that is gone, unless its end is asked for.
    fn info(&self, cx: &Context<'_>, wanted: u64) -> Result<PidfdInfo> {
        let process = &self.process;
        if !cx.pid_namespace().surrounds(&process.pid_namespace) {
            return Err(Errno::ESRCH.because("the process is out of the caller's sight"));
        }
        let known = cx.system.processes.get(process.id());
        let is_known = known.is_some_and(|known| Arc::ptr_eq(&known, process));
        let mut info = PidfdInfo::new_zeroed();
        if !is_known {
            let status = process.ended().filter(|_| wanted & pidfd::INFO_EXIT != 0);
            let status = status.ok_or_else(|| Errno::ESRCH.because("the process is gone"))?;
            info.mask = pidfd::INFO_EXIT;
            info.exit_code = process.end_report(status).wait_status().cast_signed();
            return Ok(info);
        }
        let who = process.credentials();
        info.mask = pidfd::INFO_PID | pidfd::INFO_CREDS;
        info.pid = cx.shown_id(process.id());
        info.tgid = info.pid;
        info.ppid = cx.shown_id(process.parent());
        let here = cx.user_namespace();
        let users = who.users.map(|id| here.shown_user(id));
        let groups = who.groups.map(|id| here.shown_group(id));
        (info.ruid, info.euid, info.suid) = (users.real, users.effective, users.saved);
        (info.rgid, info.egid, info.sgid) = (groups.real, groups.effective, groups.saved);
        (info.fsuid, info.fsgid) = (users.file_system, groups.file_system);
        Ok(info)
    }
}

/// The process that a descriptor of the caller refers to, and whether waiting for it waits.
///
/// # Errors
/// `EBADF`.
pub(crate) fn process_of(cx: &Context<'_>, fd: Fd) -> Result<(Arc<Process>, Arc<OpenFile>)> {
    let open = cx.files().get(fd)?;
    match open.file.process() {
        Some(process) if !open.is_path() => Ok((process.clone(), open)),
        _ => Err(Errno::EBADF.because("the descriptor refers to no process")),
    }
}

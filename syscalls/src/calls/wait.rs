//! Waiting for children.

use abi::Errno;
use abi::process::{Rusage, WaitOptions};
use abi::signal::{SigInfo, Signal};
use zerocopy::FromZeros;

use crate::context::Context;
use crate::error::{Because, Result};
use crate::fs::Fd;
use crate::named::ChildKind;
use crate::process::descriptor::process_of;
use crate::process::wait::{Waited, Whom};
use crate::user::UserPtr;

/// Options that say which children count.
const CHILDREN: WaitOptions =
    WaitOptions::NOTHREAD.union(WaitOptions::ALL).union(WaitOptions::CLONE);

/// Changes of children.
const CHANGES: WaitOptions =
    WaitOptions::EXITED.union(WaitOptions::STOPPED).union(WaitOptions::CONTINUED);

/// wait4(2): waits for a child; returns its number, and 0 with `WNOHANG` when none has
/// changed.
///
/// # Differences from Linux
/// Of the usage, only CPU time, all of it as time in the application, and peak memory are
/// counted.
pub(crate) fn wait4(
    cx: &Context<'_>,
    pid: i32,
    status: UserPtr<u32>,
    options: u32,
    usage: UserPtr<Rusage>,
) -> Result<u32> {
    let options = WaitOptions::from_bits_retain(options);
    let known = WaitOptions::NOHANG | WaitOptions::STOPPED | WaitOptions::CONTINUED | CHILDREN;
    if !known.contains(options) {
        return Err(Errno::EINVAL.because("unknown options"));
    }
    let whom = match pid {
        i32::MIN => return Err(Errno::ESRCH.because("no such process group")),
        -1 => Whom::Any,
        0 => Whom::Group(cx.process.group()),
        // Nothing has the number 0.
        _ if pid < 0 => Whom::Group(cx.outside_id(pid.unsigned_abs()).unwrap_or(0)),
        _ => Whom::Process(cx.outside_id(pid.unsigned_abs()).unwrap_or(0)),
    };
    let Some(waited) = cx.wait_for_child(whom, options | WaitOptions::EXITED)? else {
        return Ok(0);
    };
    if let Some(status) = status.non_null() {
        status.write(cx, &waited.report.wait_status())?;
    }
    write_usage(cx, usage, &waited)?;
    Ok(waited.shown)
}

/// waitid(2): waits for a child.
///
/// # Differences from Linux
/// Of the usage, only CPU time, all of it as time in the application, and peak
/// memory are counted.
pub(crate) fn waitid(
    cx: &Context<'_>,
    kind: ChildKind,
    id: i32,
    to: UserPtr<SigInfo>,
    options: u32,
    usage: UserPtr<Rusage>,
) -> Result<()> {
    let options = WaitOptions::from_bits_retain(options);
    let known = CHANGES | WaitOptions::NOHANG | WaitOptions::NOWAIT | CHILDREN;
    if !known.contains(options) || !options.intersects(CHANGES) {
        return Err(Errno::EINVAL.because("unknown options, or no change to wait for"));
    }
    let (whom, without_waiting) = whom(cx, kind, id)?;
    let waited = cx.wait_for_child(whom, options | without_waiting)?;
    if waited.is_none() && !without_waiting.is_empty() && !options.contains(WaitOptions::NOHANG) {
        return Err(Errno::EAGAIN.because("the descriptor does not wait"));
    }
    if let Some(waited) = &waited {
        write_usage(cx, usage, waited)?;
    }
    if let Some(to) = to.non_null() {
        write_info(cx, to, waited.as_ref())?;
    }
    Ok(())
}

/// Whom a wait is for, and `WNOHANG` for a descriptor that does not wait.
fn whom(cx: &Context<'_>, kind: ChildKind, id: i32) -> Result<(Whom, WaitOptions)> {
    const P_ALL: i32 = 0;
    const P_PID: i32 = 1;
    const P_PGID: i32 = 2;
    const P_PIDFD: i32 = 3;
    let waits = WaitOptions::empty();
    match (kind.0, id) {
        (P_ALL, _) => Ok((Whom::Any, waits)),
        (P_PID, 1..) => Ok((Whom::Process(cx.outside_id(id.unsigned_abs()).unwrap_or(0)), waits)),
        (P_PGID, 0) => Ok((Whom::Group(cx.process.group()), waits)),
        (P_PGID, 1..) => Ok((Whom::Group(cx.outside_id(id.unsigned_abs()).unwrap_or(0)), waits)),
        (P_PIDFD, 0..) => {
            let (process, open) = process_of(cx, Fd(id))?;
            let options = if open.is_nonblocking() { WaitOptions::NOHANG } else { waits };
            Ok((Whom::Process(process.id()), options))
        }
        _ => Err(Errno::EINVAL.because("no such kind of number, or no such number")),
    }
}

fn write_usage(cx: &Context<'_>, to: UserPtr<Rusage>, waited: &Waited) -> Result<()> {
    to.non_null().map_or(Ok(()), |to| to.write(cx, &waited.usage.describe()))
}

/// Writes the fields that waitid(2) fills, and zeros where there is nothing to tell. Linux
/// leaves the rest of the structure alone.
fn write_info(cx: &Context<'_>, to: UserPtr<SigInfo>, waited: Option<&Waited>) -> Result<()> {
    let mut info = SigInfo::new_zeroed();
    if let Some(waited) = waited {
        let (code, status) = waited.report.code_and_status();
        info.signo = i32::from(Signal::SIGCHLD.number());
        info.code = code;
        let user = cx.user_namespace().shown_user(waited.user);
        info.fields[0] = u64::from(waited.shown) | u64::from(user) << 32;
        info.fields[1] = u64::from(status.cast_unsigned());
    }
    let head = [info.signo.cast_unsigned(), info.errno.cast_unsigned(), info.code.cast_unsigned()];
    UserPtr::new(to.address()).write(cx, &head)?;
    // The sender's number and user, and the low half of the next field.
    let [sender, status] = [info.fields[0], info.fields[1]];
    let rest = [sender as u32, (sender >> 32) as u32, status as u32];
    UserPtr::new(to.address().wrapping_add(16)).write(cx, &rest)
}

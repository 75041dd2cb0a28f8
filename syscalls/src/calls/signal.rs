//! Signals: who sends, blocks, handles and waits for them.

use abi::Errno;
use abi::signal::{SigAction, SigInfo, StackT, sa, si};
use abi::time::Timespec;

use crate::args::SignalNumber;
use crate::context::Context;
use crate::error::{Because, Outcome, Result};
use crate::named::MaskChange;
use crate::process::REAPER;
use crate::signal::{SignalSet, Target, frame, info};
use crate::user::UserPtr;
use crate::wait::Interruption;

/// Size of a signal set, in bytes.
const SET_SIZE: usize = size_of::<u64>();

/// `how` of rt_sigprocmask(2).
const SIG_BLOCK: i32 = 0;
const SIG_UNBLOCK: i32 = 1;
const SIG_SETMASK: i32 = 2;

fn check_set_size(size: usize) -> Result<()> {
    if size == SET_SIZE { Ok(()) } else { Err(Errno::EINVAL.because("a signal set has 8 bytes")) }
}

/// rt_sigaction(2): looks at and replaces the action of a signal.
///
/// # Differences from Linux
/// None.
pub(crate) fn rt_sigaction(
    cx: &Context<'_>,
    number: SignalNumber,
    new: UserPtr<SigAction>,
    old: UserPtr<SigAction>,
    set_size: usize,
) -> Result<()> {
    check_set_size(set_size)?;
    let signal = number.signal()?;
    let before = match new.non_null() {
        None => cx.process.signal_action(signal),
        Some(_) if SignalSet::UNBLOCKABLE.contains(signal) => {
            return Err(Errno::EINVAL.because("SIGKILL and SIGSTOP cannot be handled"));
        }
        Some(new) => {
            let mut action = new.read(cx)?;
            action.flags &= sa::KNOWN;
            action.mask = SignalSet::blockable(action.mask).bits();
            cx.process.set_signal_action(signal, action)
        }
    };
    old.non_null().map_or(Ok(()), |old| old.write(cx, &before))
}

/// rt_sigprocmask(2): looks at and changes which signals the thread blocks.
///
/// # Differences from Linux
/// None.
pub(crate) fn rt_sigprocmask(
    cx: &Context<'_>,
    how: MaskChange,
    new: UserPtr<u64>,
    old: UserPtr<u64>,
    set_size: usize,
) -> Result<()> {
    check_set_size(set_size)?;
    let before = cx.thread.signals.blocked();
    if let Some(new) = new.non_null() {
        let set = SignalSet::blockable(new.read(cx)?);
        let blocked = match how.0 {
            SIG_BLOCK => before.or(set),
            SIG_UNBLOCK => before.without(set),
            SIG_SETMASK => set,
            _ => return Err(Errno::EINVAL.because("unknown way to change the mask")),
        };
        cx.thread.set_blocked(blocked);
    }
    old.non_null().map_or(Ok(()), |old| old.write(cx, &before.bits()))
}

/// rt_sigpending(2): which blocked signals wait.
///
/// # Differences from Linux
/// None.
pub(crate) fn rt_sigpending(cx: &Context<'_>, set: UserPtr<u64>, set_size: usize) -> Result<()> {
    if set_size > SET_SIZE {
        return Err(Errno::EINVAL.because("a signal set has 8 bytes"));
    }
    let waiting = cx.thread.signals.pending().or(cx.process.signals.pending());
    let blocked = waiting.and(cx.thread.signals.blocked());
    cx.memory().write(set.address(), &blocked.bits().to_le_bytes()[..set_size])
}

/// rt_sigsuspend(2): waits for a signal, with another mask meanwhile.
///
/// # Differences from Linux
/// None.
pub(crate) fn rt_sigsuspend(
    cx: &Context<'_>,
    set: UserPtr<u64>,
    set_size: usize,
) -> Result<Outcome> {
    check_set_size(set_size)?;
    let set = SignalSet::blockable(set.read(cx)?);
    cx.thread.block_during_call(set);
    pause(cx)
}

/// pause(2): waits for a signal.
///
/// # Differences from Linux
/// None.
pub(crate) fn pause(cx: &Context<'_>) -> Result<Outcome> {
    cx.wait_until::<()>(&[], None, Interruption::NoRestart, || Ok(None))?;
    Err(Errno::EINTR.into())
}

/// rt_sigtimedwait(2): waits for one of some signals and takes it.
///
/// # Differences from Linux
/// None.
pub(crate) fn rt_sigtimedwait(
    cx: &Context<'_>,
    set: UserPtr<u64>,
    to: UserPtr<SigInfo>,
    timeout: UserPtr<Timespec>,
    set_size: usize,
) -> Result<u32> {
    check_set_size(set_size)?;
    let set = SignalSet::blockable(set.read(cx)?);
    let deadline_ns = match timeout.non_null() {
        None => None,
        Some(timeout) => {
            let timeout_ns = timeout.read(cx)?.to_ns();
            let timeout_ns = timeout_ns.ok_or_else(|| Errno::EINVAL.because("invalid time"))?;
            Some(cx.system.machine.monotonic_ns().saturating_add(timeout_ns))
        }
    };
    cx.thread.set_waited(set);
    let result =
        cx.wait_until(&[], deadline_ns, Interruption::NoRestart, || Ok(cx.thread.take_signal(set)));
    cx.thread.set_waited(SignalSet::EMPTY);
    let taken = result.map_err(|_| Errno::EINTR.because("interrupted by another signal"))?;
    let taken = taken.ok_or_else(|| Errno::EAGAIN.because("no such signal came in time"))?;
    if let Some(to) = to.non_null() {
        to.write(cx, &taken)?;
    }
    Ok(taken.signo.unsigned_abs())
}

/// kill(2): sends a signal to a process, a group or all processes.
///
/// # Differences from Linux
/// None. Process 1 is the kernel's own: it takes every signal without an effect.
pub(crate) fn kill(cx: &Context<'_>, pid: i32, number: SignalNumber) -> Result<()> {
    let sender = cx.credentials().users.real;
    let send = |target: Target<'_>| -> Result<()> {
        // As on Linux, the number counts only where there is somebody to send to.
        let signal = number.signal_if_any()?;
        target.permit(cx, signal)?;
        let Some(signal) = signal else {
            return Ok(());
        };
        let info = info::user(signal, si::USER, cx.process.id(), sender);
        Ok(target.send(signal, target.translated(info))?)
    };
    if pid > 0 {
        let process = cx.system.process(cx, pid)?;
        return send(Target::Process(&process));
    }
    // The first process of the namespace, those that it does not show, and the caller.
    let is_spared = |id| id == cx.process.id() || cx.shown_id(id) <= REAPER;
    let group = match pid {
        0 => cx.process.group(),
        -1 => 0,
        _ => cx.outside_id(pid.unsigned_abs()).unwrap_or(0),
    };
    let mut outcome = Err(Errno::ESRCH.because("no such process or group"));
    for process in cx.system.processes.all() {
        let is_meant = if pid == -1 { !is_spared(process.id()) } else { process.group() == group };
        if is_meant {
            // One that could be sent to makes it a success.
            let sent = send(Target::Process(&process));
            outcome = if outcome.is_ok() { Ok(()) } else { sent };
        }
    }
    outcome
}

/// tkill(2): sends a signal to a thread.
///
/// # Differences from Linux
/// None.
pub(crate) fn tkill(cx: &Context<'_>, tid: i32, number: SignalNumber) -> Result<()> {
    if tid <= 0 {
        return Err(Errno::EINVAL.because("not the number of a thread"));
    }
    send_to_thread(cx, None, tid, number)
}

/// tgkill(2): sends a signal to a thread of a process.
///
/// # Differences from Linux
/// None.
pub(crate) fn tgkill(cx: &Context<'_>, tgid: i32, tid: i32, number: SignalNumber) -> Result<()> {
    if tgid <= 0 || tid <= 0 {
        return Err(Errno::EINVAL.because("not the numbers of a process and a thread"));
    }
    send_to_thread(cx, Some(tgid), tid, number)
}

fn send_to_thread(
    cx: &Context<'_>,
    tgid: Option<i32>,
    tid: i32,
    number: SignalNumber,
) -> Result<()> {
    let (id, tgid) = (cx.known_id(tid)?, tgid.map(|tgid| cx.known_id(tgid)).transpose()?);
    let is_meant = |process: u32| tgid.is_none_or(|tgid| process == tgid);
    let thread = cx.system.thread(id);
    let Some(thread) = thread.filter(|thread| is_meant(thread.process().id())) else {
        // A first thread that has ended is there as long as its process, and takes nothing.
        let process = cx.system.processes.get(id);
        let process = process.filter(|process| is_meant(process.id()));
        let process = process.ok_or_else(|| Errno::ESRCH.because("no such thread"))?;
        return Target::Process(&process).permit(cx, number.signal_if_any()?);
    };
    let signal = number.signal_if_any()?;
    let target = Target::Thread(&thread);
    target.permit(cx, signal)?;
    let Some(signal) = signal else {
        return Ok(());
    };
    let sender = cx.credentials().users.real;
    let info = info::user(signal, si::TKILL, cx.process.id(), sender);
    Ok(target.send(signal, target.translated(info))?)
}

/// rt_sigqueueinfo(2): sends a signal with information to a process.
///
/// # Differences from Linux
/// `RLIMIT_SIGPENDING` counts the signals that wait for a process, not those of its user.
pub(crate) fn rt_sigqueueinfo(
    cx: &Context<'_>,
    pid: i32,
    number: SignalNumber,
    from: UserPtr<SigInfo>,
) -> Result<()> {
    let own = cx.shown_id(cx.process.id()).cast_signed();
    let info = read_info(cx, number, from, pid == own)?;
    let process = cx.system.processes.of_task(cx.known_id(pid)?);
    let process = process.ok_or_else(|| Errno::ESRCH.because("no such process"))?;
    let signal = number.signal_if_any()?;
    let target = Target::Process(&process);
    target.permit(cx, signal)?;
    signal.map_or(Ok(()), |signal| Ok(target.send(signal, target.claimed(cx, info))?))
}

/// rt_tgsigqueueinfo(2): sends a signal with information to a thread.
///
/// # Differences from Linux
/// None.
pub(crate) fn rt_tgsigqueueinfo(
    cx: &Context<'_>,
    tgid: i32,
    tid: i32,
    number: SignalNumber,
    from: UserPtr<SigInfo>,
) -> Result<()> {
    if tgid <= 0 || tid <= 0 {
        return Err(Errno::EINVAL.because("not the numbers of a process and a thread"));
    }
    let own = cx.shown_id(cx.process.id()).cast_signed();
    let info = read_info(cx, number, from, tgid == own)?;
    let (tgid, tid) = (cx.known_id(tgid)?, cx.known_id(tid)?);
    let thread = cx.system.thread(tid);
    let thread = thread
        .filter(|thread| thread.process().id() == tgid)
        .ok_or_else(|| Errno::ESRCH.because("no such thread"))?;
    let signal = number.signal_if_any()?;
    let target = Target::Thread(&thread);
    target.permit(cx, signal)?;
    signal.map_or(Ok(()), |signal| Ok(target.send(signal, target.claimed(cx, info))?))
}

/// The information of a signal to send, which may not claim to come from the kernel or from
/// kill(2) unless the process writes to itself.
fn read_info(
    cx: &Context<'_>,
    number: SignalNumber,
    from: UserPtr<SigInfo>,
    is_to_self: bool,
) -> Result<SigInfo> {
    let mut info = from.read(cx)?;
    info.signo = number.0;
    if (info.code >= 0 || info.code == si::TKILL) && !is_to_self {
        return Err(Errno::EPERM.because("only the kernel may use this code"));
    }
    Ok(info)
}

/// sigaltstack(2): looks at and replaces the alternate signal stack.
///
/// # Differences from Linux
/// None.
pub(crate) fn sigaltstack(
    cx: &Context<'_>,
    new: UserPtr<StackT>,
    old: UserPtr<StackT>,
) -> Result<()> {
    let new = new.non_null().map(|new| new.read(cx)).transpose()?;
    let before = cx.thread.change_alternate_stack(new, cx.registers().rsp)?;
    old.non_null().map_or(Ok(()), |old| old.write(cx, &before))
}

/// rt_sigreturn(2): goes back to what a signal interrupted.
///
/// # Differences from Linux
/// The segment registers of the frame are not looked at; NT, RF and ID are not restored.
pub(crate) fn rt_sigreturn(cx: &Context<'_>) -> Result<Outcome> {
    Ok(frame::pop(cx))
}

/// restart_syscall(2): goes on with a call that a signal without a handler interrupted.
///
/// # Differences from Linux
/// None.
pub(crate) fn restart_syscall(cx: &Context<'_>) -> Result<Outcome> {
    match cx.thread.take_restart_block() {
        Some(rest) => rest(cx),
        None => Err(Errno::EINTR.because("no call was interrupted")),
    }
}

#[cfg(test)]
mod tests;

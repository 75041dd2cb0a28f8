//! Tracing of other threads.

use alloc::vec::Vec;

use abi::Errno;
use abi::ptrace::{PEEK_SHARED, PeekSigInfo, RseqConfiguration, TraceOptions, request};
use abi::signal::{SigInfo, Signal};
use zerocopy::IntoBytes;

use crate::context::Context;
use crate::error::{Because, Outcome, Result};
use crate::named::TraceRequest;
use crate::process::Thread;
use crate::process::tracing::{Pace, Seizure, Tracee};
use crate::signal::{SignalSet, Target, info};
use crate::user::UserPtr;

use super::ptrace_registers as registers;

/// ptrace(2): traces another thread: stops it, looks at it, and changes it.
///
/// # Differences from Linux
/// There are no filters of seccomp(2), no dispatch of system calls to the program and no programs
/// of 32 bits, nor what is asked about them. `PTRACE_SET_SYSCALL_INFO` is missing.
/// A segment other than the present one cannot be set. Pages that nothing may access are read
/// as what is there, and not written. The kernel's own process cannot be traced.
pub(crate) fn ptrace(
    cx: &Context<'_>,
    request: TraceRequest,
    pid: i32,
    address: u64,
    data: u64,
) -> Result<Outcome> {
    if request.0 == request::TRACEME {
        return cx.trace_me().map(Into::into);
    }
    let thread = cx.system.thread(cx.known_id(pid)?);
    let thread = thread.ok_or_else(|| Errno::ESRCH.because("there is no such thread"))?;
    match request.0 {
        request::ATTACH => {
            cx.attach_to(&thread, Seizure::Attached, TraceOptions::empty()).map(Into::into)
        }
        request::SEIZE => {
            if address != 0 {
                return Err(Errno::EIO.because("the address is not 0"));
            }
            // As on Linux, the error is another one than that of PTRACE_SETOPTIONS.
            let options = options(data).map_err(|_| Errno::EIO.because("unknown options"))?;
            cx.attach_to(&thread, Seizure::Seized, options).map(Into::into)
        }
        request::KILL => kill(&cx.tracee(thread)?).map(Into::into),
        request::INTERRUPT => cx.tracee(thread)?.interrupt().map(Into::into),
        _ => {
            let tracee = cx.stopped_tracee(thread)?;
            match going_on(&tracee, request, data) {
                Some(result) => result.map(Into::into),
                None => looking(cx, &tracee, request, address, data),
            }
        }
    }
}

fn options(raw: u64) -> Result<TraceOptions> {
    let options = TraceOptions::from_bits(raw);
    let options = options.ok_or_else(|| Errno::EINVAL.because("unknown options"))?;
    if options.contains(TraceOptions::SUSPEND_SECCOMP) {
        return Err(Errno::EINVAL.because("there are no filters to suspend"));
    }
    Ok(options)
}

fn kill(tracee: &Tracee) -> Result<()> {
    let target = Target::Process(tracee.thread().process());
    Ok(target.send(Signal::SIGKILL, info::kernel(Signal::SIGKILL))?)
}

/// The signal with this number; none for 0.
///
/// # Errors
/// `EIO` for numbers that no signal has.
fn signal(number: u64) -> Result<Option<Signal>> {
    if number == 0 {
        return Ok(None);
    }
    let signal = u8::try_from(number).ok().and_then(Signal::new);
    signal.map(Some).ok_or_else(|| Errno::EIO.because("no such signal"))
}

/// The requests that let a thread go on; `None` for others.
fn going_on(tracee: &Tracee, request: TraceRequest, data: u64) -> Option<Result<()>> {
    let pace = match request.0 {
        request::CONT => Pace::Free,
        request::SYSCALL => Pace::ToCall,
        request::SINGLESTEP => Pace::Step,
        request::SYSEMU => Pace::Emulate,
        request::SYSEMU_SINGLESTEP => Pace::EmulateStep,
        request::DETACH => return Some(signal(data).map(|signal| tracee.detach(signal))),
        request::LISTEN => return Some(tracee.listen()),
        _ => return None,
    };
    Some(signal(data).map(|signal| tracee.go_on(pace, signal)))
}

/// The requests that look at a thread, or change it.
fn looking(
    cx: &Context<'_>,
    tracee: &Tracee,
    request: TraceRequest,
    address: u64,
    data: u64,
) -> Result<Outcome> {
    match request.0 {
        request::PEEKTEXT | request::PEEKDATA => {
            let mut word = 0_u64;
            let memory = tracee.thread().process().memory();
            memory.peek(address, word.as_mut_bytes()).1?;
            UserPtr::new(data).write(cx, &word).map(Into::into)
        }
        request::POKETEXT | request::POKEDATA => {
            let memory = tracee.thread().process().memory();
            memory.poke(address, data.as_bytes()).1.map(Into::into)
        }
        request::SETOPTIONS | request::OLDSETOPTIONS => {
            tracee.set_options(options(data)?);
            Ok(0_u64.into())
        }
        request::GETEVENTMSG => UserPtr::new(data).write(cx, &tracee.message()).map(Into::into),
        request::GETSIGINFO => UserPtr::new(data).write(cx, &tracee.info()?).map(Into::into),
        request::SETSIGINFO => {
            let info = UserPtr::<SigInfo>::new(data).read(cx)?;
            tracee.set_info(info).map(Into::into)
        }
        request::PEEKSIGINFO => peek_signals(cx, tracee, address, data),
        request::GETSIGMASK => {
            check_mask_size(address)?;
            UserPtr::new(data).write(cx, &tracee.blocked().bits()).map(Into::into)
        }
        request::SETSIGMASK => {
            check_mask_size(address)?;
            let blocked = SignalSet::from_bits(UserPtr::<u64>::new(data).read(cx)?);
            tracee.set_blocked(blocked).map(Into::into)
        }
        request::GET_SYSCALL_INFO => {
            let (info, len) = tracee.call_info();
            let wanted = usize::try_from(address).map_or(len, |room| room.min(len));
            cx.memory().write(data, &info.as_bytes()[..wanted])?;
            Ok((len as u64).into())
        }
        request::GET_RSEQ_CONFIGURATION => rseq(cx, tracee.thread(), address, data),
        _ => registers::access(cx, tracee, request, address, data),
    }
}

fn check_mask_size(size: u64) -> Result<()> {
    if size != size_of::<u64>() as u64 {
        return Err(Errno::EINVAL.because("a set of signals has eight bytes"));
    }
    Ok(())
}

/// `PTRACE_PEEKSIGINFO`: copies of signals that wait.
fn peek_signals(cx: &Context<'_>, tracee: &Tracee, address: u64, data: u64) -> Result<Outcome> {
    /// How many are copied at a time.
    const AT_ONCE: usize = 16;
    let wanted = UserPtr::<PeekSigInfo>::new(address).read(cx)?;
    let Ok(count) = u64::try_from(wanted.count) else {
        return Err(Errno::EINVAL.because("less than no signals"));
    };
    if wanted.flags & !PEEK_SHARED != 0 {
        return Err(Errno::EINVAL.because("unknown flags"));
    }
    let thread = tracee.thread();
    let to = UserPtr::<SigInfo>::new(data);
    let mut done = 0_u64;
    while done < count {
        let mut found: Vec<SigInfo> = Vec::with_capacity(AT_ONCE);
        let at_most = usize::try_from(count - done).map_or(AT_ONCE, |left| left.min(AT_ONCE));
        let from = wanted.offset.saturating_add(done);
        let mut take = |info: &SigInfo| {
            found.push(*info);
            found.len() < at_most
        };
        if wanted.flags & PEEK_SHARED != 0 {
            thread.process().signals.peek(from, &mut take);
        } else {
            thread.signals.peek(from, &mut take);
        }
        if found.is_empty() {
            break;
        }
        for info in &found {
            match to.element(done as usize).write(cx, info) {
                Ok(()) => done += 1,
                Err(error) if done == 0 => return Err(error),
                Err(_) => return Ok(done.into()),
            }
        }
    }
    Ok(done.into())
}

fn rseq(cx: &Context<'_>, thread: &Thread, size: u64, to: u64) -> Result<Outcome> {
    let (address, size_of_it, signature) = thread.rseq.registered().unwrap_or_default();
    let told =
        RseqConfiguration { address, size: size_of_it, signature, ..RseqConfiguration::default() };
    let len = size_of::<RseqConfiguration>();
    let room = usize::try_from(size).map_or(len, |size| size.min(len));
    cx.memory().write(to, &told.as_bytes()[..room])?;
    Ok((len as u64).into())
}

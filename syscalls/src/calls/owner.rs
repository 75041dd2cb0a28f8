//! Who hears by signals of files that become ready: fcntl(2), "Managing signals", and the same
//! by ioctl(2).

use abi::Errno;
use abi::fs::{FileType, fcntl as command, ioctl as request};

use crate::args::SignalNumber;
use crate::context::Context;
use crate::error::{Because, Outcome, Result};
use crate::fs::file::PollEvents;
use crate::fs::ready_signal::Owner;
use crate::fs::{Fd, OpenFile};
use crate::user::UserPtr;

/// Commands of fcntl(2).
///
/// # Errors
/// `EINVAL`, `ESRCH`, `EFAULT`.
pub(super) fn fcntl(
    cx: &Context<'_>,
    open: &OpenFile,
    number: u32,
    argument: u64,
) -> Result<Outcome> {
    match number {
        command::F_SETOWN => set_owner(cx, open, argument as i32)?,
        command::F_GETOWN => return Ok(number_of(owner(cx, open)).into()),
        command::F_SETOWN_EX => {
            let [kind, id]: [i32; 2] = UserPtr::new(argument).read(cx)?;
            let id = id.cast_unsigned();
            let owner = match kind.cast_unsigned() {
                _ if id == 0 => Owner::Nobody,
                command::F_OWNER_TID => Owner::Thread(cx.known_id(id.cast_signed())?),
                command::F_OWNER_PID => Owner::Process(cx.known_id(id.cast_signed())?),
                command::F_OWNER_PGRP => Owner::Group(cx.known_id(id.cast_signed())?),
                _ => return Err(Errno::EINVAL.because("an owner is none of these kinds")),
            };
            set(cx, open, owner)?;
        }
        command::F_GETOWN_EX => {
            let (kind, id) = match owner(cx, open) {
                Owner::Nobody => (command::F_OWNER_TID, 0),
                Owner::Thread(id) => (command::F_OWNER_TID, id),
                Owner::Process(id) => (command::F_OWNER_PID, id),
                Owner::Group(id) => (command::F_OWNER_PGRP, id),
            };
            UserPtr::new(argument).write(cx, &[kind, id])?;
        }
        command::F_SETSIG => {
            let signal = SignalNumber(argument as i32).signal_if_any()?;
            open.ready_signal_of(cx.system).set_signal(signal);
        }
        command::F_GETSIG => {
            let signal = open.ready_signal().and_then(|one| one.signal());
            return Ok(signal.map_or(0, |signal| u32::from(signal.number())).into());
        }
        _ => return Err(Errno::EINVAL.because("the command is not known")),
    }
    Ok(0_u32.into())
}

/// Requests of ioctl(2) about sockets.
///
/// # Errors
/// As [`fcntl`].
pub(super) fn ioctl(cx: &Context<'_>, open: &OpenFile, number: u32, argument: u64) -> Result<()> {
    if matches!(number, request::FIOSETOWN | request::SIOCSPGRP) {
        return set_owner(cx, open, UserPtr::new(argument).read(cx)?);
    }
    UserPtr::new(argument).write(cx, &number_of(owner(cx, open)))
}

/// Fails for a file of which no signals can tell.
///
/// # Errors
/// `ENOTTY`.
pub(super) fn check_signals(open: &OpenFile) -> Result<()> {
    if can_signal(open) {
        return Ok(());
    }
    Err(Errno::ENOTTY.because("no signals tell of such a file"))
}

/// Begins or ends the signals of a file that can have them.
pub(super) fn set_signals(cx: &Context<'_>, (fd, open): (Fd, &OpenFile), wanted: bool) {
    let Some(queue) = open.file.wait_queue().filter(|_| can_signal(open)) else { return };
    let mode = open.access_mode();
    let mut events = PollEvents::ERR | PollEvents::HUP;
    events.set(PollEvents::IN | PollEvents::RDNORM, mode.can_read());
    events.set(PollEvents::OUT | PollEvents::WRNORM, mode.can_write());
    match (wanted, open.ready_signal()) {
        (true, _) => open.ready_signal_of(cx.system).begin(queue, fd.0, events),
        (false, Some(signal)) => signal.end(queue),
        (false, None) => {}
    }
}

fn can_signal(open: &OpenFile) -> bool {
    let kind = open.file.inode().kind();
    let may = matches!(kind, FileType::Fifo | FileType::Socket | FileType::CharacterDevice);
    may && open.file.wait_queue().is_some()
}

/// The owner, with the number that the caller knows.
fn owner(cx: &Context<'_>, open: &OpenFile) -> Owner {
    let owner = open.ready_signal().map_or(Owner::Nobody, |one| one.owner());
    match owner.if_alive(cx.system) {
        Owner::Nobody => Owner::Nobody,
        Owner::Thread(id) => Owner::Thread(cx.shown_id(id)),
        Owner::Process(id) => Owner::Process(cx.shown_id(id)),
        Owner::Group(id) => Owner::Group(cx.shown_id(id)),
    }
}

/// The number for `F_GETOWN`: that of a group is negative.
fn number_of(owner: Owner) -> i32 {
    match owner {
        Owner::Nobody => 0,
        Owner::Thread(id) | Owner::Process(id) => id.cast_signed(),
        Owner::Group(id) => -id.cast_signed(),
    }
}

/// Sets the owner from its number: a group's is negative.
fn set_owner(cx: &Context<'_>, open: &OpenFile, number: i32) -> Result<()> {
    let owner = match number {
        0 => Owner::Nobody,
        i32::MIN => return Err(Errno::EINVAL.because("no group has this number")),
        number if number < 0 => Owner::Group(cx.known_id(-number)?),
        _ => Owner::Process(cx.known_id(number)?),
    };
    set(cx, open, owner)
}

fn set(cx: &Context<'_>, open: &OpenFile, owner: Owner) -> Result<()> {
    if owner.if_alive(cx.system) != owner {
        return Err(Errno::ESRCH.because("no such process or group"));
    }
    open.ready_signal_of(cx.system).set_owner(owner, cx.process);
    Ok(())
}

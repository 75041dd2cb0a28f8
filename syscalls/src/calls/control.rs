//! Control messages: cmsg(3).

use alloc::sync::Arc;
use alloc::vec::Vec;

use abi::Errno;
use abi::net::{ControlHeader, MessageFlags, MessageHeader, Ucred, control, level};
use zerocopy::{FromBytes, IntoBytes};

use crate::context::Context;
use crate::error::{Because, Error, Result};
use crate::fs::{Fd, OnExec, OpenFile};
use crate::net::{Control, Incoming, Outgoing};
use crate::process::Capability;
use crate::user::UserPtr;

use super::open;

/// Most bytes of control messages that can be sent (/proc/sys/net/core/optmem_max).
const LONGEST: u64 = 128 * 1024;

/// Each control message begins at a multiple of this.
const ALIGNMENT: usize = 8;

const HEAD: usize = size_of::<ControlHeader>();

/// What the control messages of a message say that is sent.
///
/// # Errors
/// `EINVAL` for messages that are malformed; `EBADF`, `EPERM`, `ENOBUFS`, `EFAULT`.
pub(super) fn read(cx: &Context<'_>, header: &MessageHeader) -> Result<Outgoing> {
    let mut how = Outgoing::default();
    if header.control == 0 || header.control_len == 0 {
        return Ok(how);
    }
    if header.control_len > LONGEST {
        return Err(Errno::ENOBUFS.because("too many control messages"));
    }
    let len = header.control_len as usize;
    let bytes: Vec<u8> = UserPtr::new(header.control).read_array(cx, len)?;
    let mut rest = &bytes[..];
    while let Ok((head, _)) = ControlHeader::read_from_prefix(rest) {
        let len = usize::try_from(head.len).unwrap_or(usize::MAX);
        let data = rest.get(HEAD..len).ok_or_else(malformed)?;
        if head.level == level::SOCKET {
            read_one(cx, head.kind, data, &mut how)?;
        } else {
            let (level, kind, data) = (head.level, head.kind, data.to_vec());
            how.controls.push(Control { level, kind, data });
        }
        rest = rest.get(len.next_multiple_of(ALIGNMENT)..).unwrap_or_default();
    }
    Ok(how)
}

fn malformed() -> Error {
    Errno::EINVAL.because("a control message is malformed")
}

fn read_one(cx: &Context<'_>, kind: u32, data: &[u8], how: &mut Outgoing) -> Result<()> {
    match kind {
        control::RIGHTS => {
            let (descriptors, _) = data.as_chunks::<4>();
            if how.files.len() + descriptors.len() > control::MAX_RIGHTS {
                return Err(Errno::EINVAL.because("too many descriptors"));
            }
            for descriptor in descriptors {
                let file = cx.files().get(Fd(i32::from_ne_bytes(*descriptor)))?;
                if file.file.ring().is_some() {
                    // It may hold the very socket, and nobody would free either.
                    return Err(Errno::EINVAL.because("a ring cannot be passed on"));
                }
                how.files.push(file);
            }
            Ok(())
        }
        control::CREDENTIALS => {
            let claimed = Ucred::read_from_bytes(data).map_err(|_| malformed())?;
            how.credentials = Some(check(cx, &claimed)?);
            Ok(())
        }
        _ => Err(Errno::EINVAL.because("no such control message")),
    }
}

/// What the caller says that it is, if it may: unix(7), `SCM_CREDENTIALS`.
fn check(cx: &Context<'_>, claimed: &Ucred) -> Result<Ucred> {
    let who = cx.credentials();
    let (user, group) = (&who.users, &who.groups);
    let own = cx.shown_id(cx.process.id());
    let owner = cx.pid_namespace().owner();
    let is_process = claimed.process == own || who.has_in(Capability::SysAdmin, &owner);
    let claimed = Ucred {
        process: claimed.process,
        user: who.namespace.user(claimed.user)?,
        group: who.namespace.group(claimed.group)?,
    };
    let is_user = [user.real, user.effective, user.saved].contains(&claimed.user)
        || who.has_within(Capability::SetUid);
    let is_group = [group.real, group.effective, group.saved].contains(&claimed.group)
        || who.has_within(Capability::SetGid);
    if !(is_process && is_user && is_group) {
        return Err(Errno::EPERM.because("somebody else's credentials"));
    }
    let process = cx.outside_id(claimed.process).unwrap_or(0);
    if process != cx.process.id() && cx.system.processes.get(process).is_none() {
        return Err(Errno::ESRCH.because("no such process"));
    }
    Ok(Ucred { process, ..claimed })
}

/// Stores what came with a message as control messages; returns their length, and whether
/// there was no room for all.
///
/// # Errors
/// `EFAULT`.
pub(super) fn write(
    cx: &Context<'_>,
    header: &MessageHeader,
    received: Incoming,
    flags: MessageFlags,
) -> Result<(u64, bool)> {
    let room = if header.control == 0 { 0 } else { header.control_len };
    let mut out = Out {
        cx,
        at: header.control,
        room: usize::try_from(room).unwrap_or(usize::MAX),
        is_cut: false,
    };
    let start = out.room;
    if let Some(credentials) = received.credentials {
        out.put((level::SOCKET, control::CREDENTIALS), shown(cx, credentials).as_bytes())?;
    }
    for Control { level, kind, data } in &received.controls {
        out.put((*level, *kind), data)?;
    }
    if !received.files.is_empty() {
        let closes = flags.contains(MessageFlags::CMSG_CLOEXEC);
        let on_exec = if closes { OnExec::Close } else { OnExec::Keep };
        out.put_files(received.files, on_exec)?;
    }
    Ok(((start - out.room) as u64, out.is_cut))
}

/// Somebody as the caller sees them.
pub(super) fn shown(cx: &Context<'_>, one: Ucred) -> Ucred {
    let here = cx.user_namespace();
    Ucred {
        process: cx.shown_id(one.process),
        user: here.shown_user(one.user),
        group: here.shown_group(one.group),
    }
}

/// Where control messages go.
struct Out<'a> {
    cx: &'a Context<'a>,
    at: u64,
    room: usize,
    is_cut: bool,
}

impl Out<'_> {
    /// Stores a control message, cut to the room there is.
    fn put(&mut self, (level, kind): (u32, u32), data: &[u8]) -> Result<()> {
        if self.room < HEAD {
            self.is_cut = true;
            return Ok(());
        }
        let cut = &data[..data.len().min(self.room - HEAD)];
        self.is_cut |= cut.len() < data.len();
        let len = HEAD + cut.len();
        let head = ControlHeader { len: len as u64, level, kind };
        let memory = self.cx.memory();
        memory.write(self.at, head.as_bytes())?;
        memory.write(self.at.wrapping_add(HEAD as u64), cut)?;
        let taken = len.next_multiple_of(ALIGNMENT).min(self.room);
        self.at = self.at.wrapping_add(taken as u64);
        self.room -= taken;
        Ok(())
    }

    /// Gives the caller descriptors of as many files as there is room for, and closes the
    /// others.
    fn put_files(&mut self, files: Vec<Arc<OpenFile>>, on_exec: OnExec) -> Result<()> {
        let fits = self.room.saturating_sub(HEAD) / size_of::<i32>();
        let mut descriptors = Vec::new();
        let count = files.len();
        for open in files.into_iter().take(fits) {
            match open::add(self.cx, open, 0, on_exec) {
                Ok(fd) => descriptors.extend_from_slice(&fd.to_ne_bytes()),
                Err(_) => break,
            }
        }
        self.is_cut |= descriptors.len() < count * size_of::<i32>();
        if descriptors.is_empty() {
            return Ok(());
        }
        self.put((level::SOCKET, control::RIGHTS), &descriptors)
    }
}

//! Changes of attributes: what chmod(2), chown(2) and utimensat(2) check and imply.

use abi::Errno;
use abi::events::InotifyMask;
use abi::fs::{AccessRequest, FileType, InodeFlags, Mode};

use crate::context::Context;
use crate::error::{Because, Result};
use crate::process::{Capability, Credentials};

use super::inode::{Change, Metadata, Timestamp};
use super::mount::Location;
use super::permission;

/// Sets the permission bits.
///
/// # Errors
/// `EPERM`, `EROFS`; those of [`crate::fs::Inode::change`].
pub(crate) fn mode(cx: &Context<'_>, found: &Location, mode: Mode) -> Result<()> {
    found.mount.check_writable()?;
    let who = cx.credentials();
    let metadata = found.inode().metadata()?;
    permission::check_changeable(&metadata)?;
    permission::check_owner(&who, &metadata)?;
    let mut mode = mode;
    let keeps = who.has_over(Capability::FileSetId, metadata.owner, metadata.group);
    if !who.is_in_group(metadata.group) && !keeps {
        mode.remove(Mode::SET_GROUP_ID);
    }
    found.inode().change(&Change { mode: Some(mode), ..Change::default() })?;
    cx.system.notifier.happened(cx.into(), found, InotifyMask::ATTRIB);
    Ok(())
}

/// Sets owner and group, where they are given. Whoever may run the file as its owner loses
/// that.
///
/// # Errors
/// `EPERM`, `EROFS`; those of [`crate::fs::Inode::change`].
pub(crate) fn owner(
    cx: &Context<'_>,
    found: &Location,
    owner: Option<u32>,
    group: Option<u32>,
) -> Result<()> {
    found.mount.check_writable()?;
    let who = cx.credentials();
    let metadata = found.inode().metadata()?;
    permission::check_changeable(&metadata)?;
    check_new_owner(&who, &metadata, owner, group)?;
    let mut change = Change { owner, group, ..Change::default() };
    let set_id = Mode::SET_USER_ID | Mode::SET_GROUP_ID;
    if metadata.kind != FileType::Directory && metadata.mode.intersects(set_id) {
        change.mode = Some(without_set_id(metadata.mode));
    }
    found.inode().change(&change)?;
    cx.system.notifier.happened(cx.into(), found, InotifyMask::ATTRIB);
    Ok(())
}

fn check_new_owner(
    who: &Credentials,
    file: &Metadata,
    owner: Option<u32>,
    group: Option<u32>,
) -> Result<()> {
    if who.has_over(Capability::Chown, file.owner, file.group) {
        return Ok(());
    }
    let is_owner = who.users.file_system == file.owner;
    let keeps_owner = owner.is_none_or(|owner| is_owner && owner == file.owner);
    let own_group =
        group.is_none_or(|group| is_owner && (group == file.group || who.is_in_group(group)));
    if keeps_owner && own_group {
        return Ok(());
    }
    Err(Errno::EPERM.because("changing the owner needs CAP_CHOWN"))
}

/// A set-group-ID bit without execution by the group means something else, and stays.
fn without_set_id(mode: Mode) -> Mode {
    let mut mode = mode.difference(Mode::SET_USER_ID);
    if mode.contains(Mode::GROUP_EXECUTE) {
        mode.remove(Mode::SET_GROUP_ID);
    }
    mode
}

/// What a time becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NewTime {
    /// The time now.
    Now,
    /// What it is.
    Unchanged,
    /// This.
    At(Timestamp),
}

impl NewTime {
    /// This time.
    pub(crate) const fn at(seconds: i64, nanoseconds: u32) -> Self {
        Self::At(Timestamp { seconds, nanoseconds })
    }
}

/// Sets the times of access and of modification.
///
/// # Errors
/// `EACCES` when both become now and the caller may neither write nor owns the file; `EPERM`
/// when a time is given by somebody else; `EROFS`.
pub(crate) fn times(cx: &Context<'_>, found: &Location, times: [NewTime; 2]) -> Result<()> {
    found.mount.check_writable()?;
    let who = cx.credentials();
    let metadata = found.inode().metadata()?;
    let owns = permission::check_owner(&who, &metadata);
    if times != [NewTime::Now; 2] {
        permission::check_changeable(&metadata)?;
        owns?;
    } else if owns.is_err() || metadata.has_flag(InodeFlags::IMMUTABLE) {
        permission::check(&who, &metadata, AccessRequest::WRITE)?;
    }
    let now = Timestamp::from_ns(cx.system.machine.wall_clock_ns());
    let [accessed, modified] = times.map(|time| match time {
        NewTime::Now => Some(now),
        NewTime::Unchanged => None,
        NewTime::At(time) => Some(time),
    });
    found.inode().change(&Change { accessed, modified, ..Change::default() })?;
    let event = match (accessed, modified) {
        (Some(_), Some(_)) => InotifyMask::ATTRIB,
        (Some(_), None) => InotifyMask::ACCESS,
        (None, Some(_)) => InotifyMask::MODIFY,
        (None, None) => return Ok(()),
    };
    cx.system.notifier.happened(cx.into(), found, event);
    Ok(())
}

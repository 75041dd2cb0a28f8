//! Who the caller is.

use alloc::vec::Vec;

use abi::Errno;

use crate::context::Context;
use crate::error::{Because, Result};
use crate::process::Capability;
use crate::process::credentials::{Ids, NGROUPS_MAX};
use crate::user::UserPtr;

/// getpid(2): the number of the process.
///
/// # Differences from Linux
/// None.
pub(crate) fn getpid(cx: &Context<'_>) -> Result<u32> {
    Ok(cx.shown_id(cx.process.id()))
}

/// gettid(2): the number of the thread.
///
/// # Differences from Linux
/// None.
pub(crate) fn gettid(cx: &Context<'_>) -> Result<u32> {
    Ok(cx.shown_id(cx.thread.id()))
}

/// getppid(2): the number of the parent.
///
/// # Differences from Linux
/// None.
pub(crate) fn getppid(cx: &Context<'_>) -> Result<u32> {
    Ok(cx.shown_id(cx.process.parent()))
}

/// getuid(2): the real user ID.
///
/// # Differences from Linux
/// None.
pub(crate) fn getuid(cx: &Context<'_>) -> Result<u32> {
    let who = cx.credentials();
    Ok(who.namespace.shown_user(who.users.real))
}

/// geteuid(2): the effective user ID.
///
/// # Differences from Linux
/// None.
pub(crate) fn geteuid(cx: &Context<'_>) -> Result<u32> {
    let who = cx.credentials();
    Ok(who.namespace.shown_user(who.users.effective))
}

/// getgid(2): the real group ID.
///
/// # Differences from Linux
/// None.
pub(crate) fn getgid(cx: &Context<'_>) -> Result<u32> {
    let who = cx.credentials();
    Ok(who.namespace.shown_group(who.groups.real))
}

/// getegid(2): the effective group ID.
///
/// # Differences from Linux
/// None.
pub(crate) fn getegid(cx: &Context<'_>) -> Result<u32> {
    let who = cx.credentials();
    Ok(who.namespace.shown_group(who.groups.effective))
}

/// getresuid(2): the real, effective and saved user IDs.
///
/// # Differences from Linux
/// None.
pub(crate) fn getresuid(
    cx: &Context<'_>,
    real: UserPtr<u32>,
    effective: UserPtr<u32>,
    saved: UserPtr<u32>,
) -> Result<()> {
    let here = cx.user_namespace();
    let users = cx.credentials().users.map(|id| here.shown_user(id));
    write_ids(cx, users, [real, effective, saved])
}

/// getresgid(2): the real, effective and saved group IDs.
///
/// # Differences from Linux
/// None.
pub(crate) fn getresgid(
    cx: &Context<'_>,
    real: UserPtr<u32>,
    effective: UserPtr<u32>,
    saved: UserPtr<u32>,
) -> Result<()> {
    let here = cx.user_namespace();
    let groups = cx.credentials().groups.map(|id| here.shown_group(id));
    write_ids(cx, groups, [real, effective, saved])
}

fn write_ids(cx: &Context<'_>, ids: Ids, to: [UserPtr<u32>; 3]) -> Result<()> {
    to[0].write(cx, &ids.real)?;
    to[1].write(cx, &ids.effective)?;
    to[2].write(cx, &ids.saved)
}

/// These users as the first user namespace knows them; -1 stays.
///
/// # Errors
/// `EINVAL` for who is not in the caller's.
fn users<const N: usize>(cx: &Context<'_>, mut ids: [u32; N]) -> Result<[u32; N]> {
    let here = cx.user_namespace();
    for id in ids.iter_mut().filter(|id| **id != u32::MAX) {
        *id = here.user(*id)?;
    }
    Ok(ids)
}

/// As [`users`], for groups.
fn groups<const N: usize>(cx: &Context<'_>, mut ids: [u32; N]) -> Result<[u32; N]> {
    let here = cx.user_namespace();
    for id in ids.iter_mut().filter(|id| **id != u32::MAX) {
        *id = here.group(*id)?;
    }
    Ok(ids)
}

/// Changes the user IDs by `change`, which gets the old ones and whether any may be taken.
fn change_users(
    cx: &Context<'_>,
    change: impl FnOnce(Ids, Capability, &dyn Fn(Capability) -> bool) -> Result<Ids>,
) -> Result<()> {
    cx.change_credentials(|credentials| {
        let effective = credentials.effective;
        let has = move |capability| effective.contains(capability);
        let users = change(credentials.users, Capability::SetUid, &has)?;
        credentials.set_users(users);
        Ok(())
    })?;
    cx.thread.publish_answers();
    Ok(())
}

/// Changes the group IDs; see [`change_users`].
fn change_groups(
    cx: &Context<'_>,
    change: impl FnOnce(Ids, Capability, &dyn Fn(Capability) -> bool) -> Result<Ids>,
) -> Result<()> {
    cx.change_credentials(|credentials| {
        let effective = credentials.effective;
        let has = move |capability| effective.contains(capability);
        credentials.groups = change(credentials.groups, Capability::SetGid, &has)?;
        Ok(())
    })?;
    cx.thread.publish_answers();
    Ok(())
}

/// setuid(2): sets the effective user ID, or with privilege all of them.
///
/// # Differences from Linux
/// None.
pub(crate) fn setuid(cx: &Context<'_>, id: u32) -> Result<()> {
    let [id] = users(cx, [id])?;
    change_users(cx, |old, capability, has| old.set(id, has(capability).into()))
}

/// setgid(2): sets the effective group ID, or with privilege all of them.
///
/// # Differences from Linux
/// None.
pub(crate) fn setgid(cx: &Context<'_>, id: u32) -> Result<()> {
    let [id] = groups(cx, [id])?;
    change_groups(cx, |old, capability, has| old.set(id, has(capability).into()))
}

/// setreuid(2): sets the real and the effective user ID.
///
/// # Differences from Linux
/// None.
pub(crate) fn setreuid(cx: &Context<'_>, real: u32, effective: u32) -> Result<()> {
    let [real, effective] = users(cx, [real, effective])?;
    change_users(cx, |old, capability, has| old.set_two(real, effective, has(capability).into()))
}

/// setregid(2): sets the real and the effective group ID.
///
/// # Differences from Linux
/// None.
pub(crate) fn setregid(cx: &Context<'_>, real: u32, effective: u32) -> Result<()> {
    let [real, effective] = groups(cx, [real, effective])?;
    change_groups(cx, |old, capability, has| old.set_two(real, effective, has(capability).into()))
}

/// setresuid(2): sets the real, the effective and the saved user ID.
///
/// # Differences from Linux
/// None.
pub(crate) fn setresuid(cx: &Context<'_>, real: u32, effective: u32, saved: u32) -> Result<()> {
    let ids = users(cx, [real, effective, saved])?;
    change_users(cx, |old, capability, has| old.set_three(ids, has(capability).into()))
}

/// setresgid(2): sets the real, the effective and the saved group ID.
///
/// # Differences from Linux
/// None.
pub(crate) fn setresgid(cx: &Context<'_>, real: u32, effective: u32, saved: u32) -> Result<()> {
    let ids = groups(cx, [real, effective, saved])?;
    change_groups(cx, |old, capability, has| old.set_three(ids, has(capability).into()))
}

/// setfsuid(2): sets the user ID for files; returns the old one, also when nothing changed.
///
/// # Differences from Linux
/// None.
pub(crate) fn setfsuid(cx: &Context<'_>, id: u32) -> Result<u32> {
    let here = cx.user_namespace();
    let new = here.user(id).ok();
    let old = cx.change_credentials(|credentials| {
        let (old, has) = (credentials.users, credentials.has_within(Capability::SetUid));
        let may = |id: &u32| has || old.include(*id) || old.file_system == *id;
        if let Some(id) = new.filter(may) {
            credentials.set_file_system_user(id);
        }
        Ok(old.file_system)
    })?;
    Ok(here.shown_user(old))
}

/// setfsgid(2): sets the group ID for files; returns the old one, also when nothing changed.
///
/// # Differences from Linux
/// None.
pub(crate) fn setfsgid(cx: &Context<'_>, id: u32) -> Result<u32> {
    let here = cx.user_namespace();
    let new = here.group(id).ok();
    let old = cx.change_credentials(|credentials| {
        let (old, has) = (credentials.groups, credentials.has_within(Capability::SetGid));
        let may = |id: &u32| has || old.include(*id) || old.file_system == *id;
        if let Some(id) = new.filter(may) {
            credentials.groups.file_system = id;
        }
        Ok(old.file_system)
    })?;
    Ok(here.shown_group(old))
}

/// getgroups(2): the supplementary group IDs.
///
/// # Differences from Linux
/// None.
pub(crate) fn getgroups(cx: &Context<'_>, size: i32, to: UserPtr<u32>) -> Result<usize> {
    let credentials = cx.credentials();
    let groups = &credentials.supplementary;
    let size = usize::try_from(size).map_err(|_| Errno::EINVAL.because("negative size"))?;
    if size == 0 {
        return Ok(groups.len());
    }
    if size < groups.len() {
        return Err(Errno::EINVAL.because("there are more groups than that"));
    }
    for (index, group) in groups.iter().enumerate() {
        to.element(index).write(cx, &credentials.namespace.shown_group(*group))?;
    }
    Ok(groups.len())
}

/// setgroups(2): sets the supplementary group IDs.
///
/// # Differences from Linux
/// None.
pub(crate) fn setgroups(cx: &Context<'_>, size: usize, from: UserPtr<u32>) -> Result<()> {
    let here = cx.user_namespace();
    if !cx.credentials().has_within(Capability::SetGid) || !here.allows_setgroups() {
        return Err(Errno::EPERM.because("setting groups needs CAP_SETGID"));
    }
    // The register's upper half does not count: the parameter is an int.
    let size = size & 0xffff_ffff;
    if size > NGROUPS_MAX {
        return Err(Errno::EINVAL.because("too many groups"));
    }
    let groups: Vec<u32> = from.read_array(cx, size)?;
    let groups = groups.into_iter().map(|id| here.group(id)).collect::<Result<Vec<u32>>>()?;
    cx.change_credentials(|credentials| {
        credentials.supplementary = groups;
        Ok(())
    })
}

/// getpgrp(2): the process group.
///
/// # Differences from Linux
/// None.
pub(crate) fn getpgrp(cx: &Context<'_>) -> Result<u32> {
    Ok(cx.shown_id(cx.process.group()))
}

/// getpgid(2): the process group of a process.
///
/// # Differences from Linux
/// None.
pub(crate) fn getpgid(cx: &Context<'_>, pid: i32) -> Result<u32> {
    Ok(cx.shown_id(cx.system.process(cx, pid)?.group()))
}

/// getsid(2): the session of a process.
///
/// # Differences from Linux
/// None.
pub(crate) fn getsid(cx: &Context<'_>, pid: i32) -> Result<u32> {
    Ok(cx.shown_id(cx.system.process(cx, pid)?.session()))
}

/// setsid(2): makes the process the leader of a new session without a terminal.
///
/// # Differences from Linux
/// None.
pub(crate) fn setsid(cx: &Context<'_>) -> Result<u32> {
    cx.system.processes.lead_session(cx.process)?;
    cx.process.publish_answers();
    Ok(cx.shown_id(cx.process.id()))
}

/// setpgid(2): puts a process into a group.
///
/// # Differences from Linux
/// None.
pub(crate) fn setpgid(cx: &Context<'_>, pid: i32, group: i32) -> Result<()> {
    let group = if group == 0 { pid } else { group };
    let group = u32::try_from(group).map_err(|_| Errno::EINVAL.because("negative group"))?;
    let process = cx.system.process(cx, pid)?;
    if pid != 0 && process.id() != cx.known_id(pid)? {
        return Err(Errno::EINVAL.because("the number of a thread"));
    }
    if process.id() != cx.process.id() {
        if process.parent() != cx.process.id() {
            return Err(Errno::ESRCH.because("the process is neither the caller nor its child"));
        }
        if process.session() != cx.process.session() {
            return Err(Errno::EPERM.because("the process is in another session"));
        }
        if process.has_executed() {
            return Err(Errno::EACCES.because("the child runs a program of its own already"));
        }
    }
    // No group has the number 0, which is EPERM.
    let group = if group == 0 { process.id() } else { cx.outside_id(group).unwrap_or(0) };
    cx.system.processes.join_group(&process, group)?;
    process.publish_answers();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::kit;

    fn own(kit: &kit::Kit) -> [u32; 3] {
        let to = kit.room(16);
        kit.call("getresuid", [to, to + 4, to + 8, 0, 0, 0]).unwrap();
        kit.get_value(to)
    }

    #[test]
    fn root_becomes_anybody_and_anybody_only_what_they_are() {
        let kit = kit::process();
        assert_eq!(kit.call("setresuid", [1, 2, 3, 0, 0, 0]), Ok(0));
        assert_eq!(own(&kit), [1, 2, 3]);
        assert_eq!(kit.call("setuid", [5, 0, 0, 0, 0, 0]), Err(Errno::EPERM));
        assert_eq!(kit.call("setuid", [3, 0, 0, 0, 0, 0]), Ok(0));
        assert_eq!(own(&kit), [1, 3, 3]);
        let keep = u64::from(u32::MAX);
        assert_eq!(kit.call("setreuid", [keep, 1, 0, 0, 0, 0]), Ok(0));
        assert_eq!(own(&kit), [1, 1, 3]);
        assert_eq!(kit.call("geteuid", [0; 6]), Ok(1));
        assert_eq!(kit.call("setfsuid", [99, 0, 0, 0, 0, 0]), Ok(1));
        assert_eq!(kit.call("setfsuid", [keep, 0, 0, 0, 0, 0]), Ok(1));
    }

    #[test]
    fn groups_are_kept_and_counted() {
        let kit = kit::process();
        let (from, to) = (kit.put_value(&[7_u32, 8, 9]), kit.room(16));
        assert_eq!(kit.call("setgroups", [3, from, 0, 0, 0, 0]), Ok(0));
        assert_eq!(kit.call("getgroups", [0, 0, 0, 0, 0, 0]), Ok(3));
        assert_eq!(kit.call("getgroups", [2, to, 0, 0, 0, 0]), Err(Errno::EINVAL));
        assert_eq!(kit.call("getgroups", [3, to, 0, 0, 0, 0]), Ok(3));
        assert_eq!(kit.get_value::<[u32; 3]>(to), [7, 8, 9]);
        assert_eq!(kit.call("setgroups", [65_537, from, 0, 0, 0, 0]), Err(Errno::EINVAL));
    }

    #[test]
    fn the_leader_of_a_session_stays_in_its_group() {
        let kit = kit::process();
        kit.system.processes.insert(kit.process.clone());
        assert_eq!(kit.call("getpgid", [0; 6]), Ok(2));
        assert_eq!(kit.call("getsid", [2, 0, 0, 0, 0, 0]), Ok(2));
        assert_eq!(kit.call("setpgid", [0; 6]), Err(Errno::EPERM));
        assert_eq!(kit.call("setsid", [0; 6]), Err(Errno::EPERM));
        assert_eq!(kit.call("getpgid", [77, 0, 0, 0, 0, 0]), Err(Errno::ESRCH));
        kit.system.processes.remove(2);
    }
}

//! /proc/PID/ns, the maps of user namespaces and the offsets of clocks: namespaces(7),
//! user_namespaces(7), time_namespaces(7).

use alloc::vec::Vec;

use abi::Errno;
use abi::namespaces::MAP_EXTENTS_MAX;
use abi::time::{NS_PER_SECOND, clock};

use crate::error::{Because, Error, Result};
use crate::fs::Link;
use crate::namespaces::file::{NamespaceInode, of_thread};
use crate::namespaces::tally::tally_of;
use crate::namespaces::user::{Extent, Ids};
use crate::namespaces::{Kind as NamespaceKind, TimeNamespace, UserNamespace};
use crate::process::Capability;

use super::entry::{Entry, Kind, Subject};
use super::sysvipc::{INT_MAX, in_range, numbers};
use super::text::{Text, put};

/// /proc/PID/ns.
pub(super) const NS: Entry = Entry { name: "ns", mode: 0o511, kind: Kind::Directory(LINKS) };

/// An entry that leads to a namespace of the thread.
macro_rules! link {
    ($name:literal, $kind:ident, $children:literal) => {
        Entry::link($name, |subject| leads_to(subject, NamespaceKind::$kind, $children))
    };
}

static LINKS: &[Entry] = &[
    link!("cgroup", Cgroup, false),
    link!("ipc", Ipc, false),
    link!("mnt", Mounts, false),
    link!("net", Net, false),
    link!("pid", Pid, false),
    link!("pid_for_children", Pid, true),
    link!("time", Time, false),
    link!("time_for_children", Time, true),
    link!("user", User, false),
    link!("uts", Uts, false),
];

fn leads_to(subject: &Subject<'_>, kind: NamespaceKind, children: bool) -> Result<Link> {
    if subject.thread.has_ended() {
        return Err(Errno::ENOENT.because("the process has ended"));
    }
    if subject.cx.check_access(&subject.process).is_err() {
        return Err(Errno::EACCES.because("the process is not the caller's to look into"));
    }
    let namespace = of_thread(&subject.thread, kind, children);
    let namespace = namespace.ok_or_else(|| Errno::ENOENT.because("the process has ended"))?;
    Ok(Link::Location(NamespaceInode::location(namespace)))
}

/// /proc/PID/uid_map.
pub(super) const UID_MAP: Entry = Entry::setting(
    "uid_map",
    |subject, text| show_map(subject, Ids::Users, text),
    |subject, value| set_map(subject, Ids::Users, value),
);

/// /proc/PID/gid_map.
pub(super) const GID_MAP: Entry = Entry::setting(
    "gid_map",
    |subject, text| show_map(subject, Ids::Groups, text),
    |subject, value| set_map(subject, Ids::Groups, value),
);

fn users_of(subject: &Subject<'_>) -> UserNamespace {
    subject.thread.credentials().namespace.clone()
}

fn show_map(subject: &Subject<'_>, ids: Ids, text: &mut Text) -> Result<()> {
    let reader = subject.cx.user_namespace();
    for Extent { inside, outside, count } in users_of(subject).map_for(ids, &reader) {
        put!(text, "{inside:10} {outside:10} {count:10}\n");
    }
    Ok(())
}

fn set_map(subject: &Subject<'_>, ids: Ids, value: &[u8]) -> Result<()> {
    let users = users_of(subject);
    let own = subject.cx.user_namespace();
    let may_write = own == users || users.parent() == Some(&own);
    if !may_write {
        return Err(Errno::EPERM.because("neither in the user namespace nor in its parent"));
    }
    let lines = lines(value)?;
    let extents: Result<Vec<Extent>> = lines.map(extent).collect();
    let extents = extents?;
    if extents.len() > MAP_EXTENTS_MAX {
        return Err(Errno::EINVAL.because("the map has too many lines"));
    }
    if !subject.cx.credentials().has_in(Capability::SysAdmin, &users) {
        return Err(Errno::EPERM.because("setting a map needs CAP_SYS_ADMIN"));
    }
    users.set_map(ids, extents, &subject.cx.credentials())?;
    // Those in it are somebody else from now on, to themselves.
    for process in subject.cx.system.processes.all() {
        if users.surrounds(&process.credentials().namespace) {
            process.publish_answers();
        }
    }
    Ok(())
}

/// The lines of what is written; the last may lack its end.
fn lines(value: &[u8]) -> Result<impl Iterator<Item = &str>> {
    let text = core::str::from_utf8(value).map_err(|_| malformed())?;
    let text = text.trim_end_matches('\0');
    Ok(text.strip_suffix('\n').unwrap_or(text).split('\n'))
}

fn malformed() -> Error {
    Errno::EINVAL.because("not the numbers that belong here")
}

fn extent(line: &str) -> Result<Extent> {
    let numbers: Vec<u32> = line
        .split_ascii_whitespace()
        .map(|word| word.parse().map_err(|_| malformed()))
        .collect::<Result<_>>()?;
    match *numbers {
        [inside, outside, count] => Ok(Extent { inside, outside, count }),
        _ => Err(malformed()),
    }
}

/// /proc/PID/setgroups.
pub(super) const SETGROUPS: Entry = Entry::setting(
    "setgroups",
    |subject, text| {
        let denies = users_of(subject).denies_setgroups();
        text.put(if denies { b"deny\n" } else { b"allow\n" });
        Ok(())
    },
    |subject, value| {
        let users = users_of(subject);
        if !subject.cx.credentials().has_in(Capability::SysAdmin, &users) {
            return Err(Errno::EACCES.because("that needs CAP_SYS_ADMIN"));
        }
        match value.trim_ascii_end() {
            b"allow" => users.set_setgroups(false),
            b"deny" => users.set_setgroups(true),
            _ => Err(Errno::EINVAL.because("neither allow nor deny")),
        }
    },
);

/// /proc/PID/timens_offsets.
pub(super) const TIME_OFFSETS: Entry = Entry::setting("timens_offsets", show_offsets, set_offsets);

fn show_offsets(subject: &Subject<'_>, text: &mut Text) -> Result<()> {
    let children = subject.thread.namespaces().time_for_children.clone();
    for (name, number) in [("monotonic", clock::MONOTONIC), ("boottime", clock::BOOTTIME)] {
        let ns = children.offsets().of_clock(number);
        let second = NS_PER_SECOND.cast_signed();
        put!(text, "{name:<10} {:10} {:9}\n", ns.div_euclid(second), ns.rem_euclid(second));
    }
    Ok(())
}

fn set_offsets(subject: &Subject<'_>, value: &[u8]) -> Result<()> {
    let offsets: Result<Vec<_>> = lines(value)?.map(offset).collect();
    let offsets = offsets?;
    let children = subject.thread.namespaces().time_for_children.clone();
    let who = subject.cx.credentials();
    let owner = &children.common.owner;
    if !who.has_in(Capability::SysTime, owner) {
        return Err(Errno::EPERM.because("setting a clock needs CAP_SYS_TIME"));
    }
    TimeNamespace::set_offsets(&children, subject.cx, &offsets)
}

/// A line: the name or number of a clock, seconds and nanoseconds.
fn offset(line: &str) -> Result<(i32, i64, u32)> {
    let mut words = line.split_ascii_whitespace();
    let mut word = || words.next().ok_or_else(malformed);
    let number = match word()? {
        "monotonic" | "1" => clock::MONOTONIC,
        "boottime" | "7" => clock::BOOTTIME,
        _ => return Err(malformed()),
    };
    let seconds = word()?.parse().map_err(|_| malformed())?;
    let fraction: u32 = word()?.parse().map_err(|_| malformed())?;
    if u64::from(fraction) >= NS_PER_SECOND || words.next().is_some() {
        return Err(malformed());
    }
    Ok((number, seconds, fraction))
}

/// An entry that shows and sets how many namespaces of a kind a user may have.
macro_rules! limit {
    ($name:literal, $kind:ident) => {
        Entry::setting(
            $name,
            |subject, text| {
                let own = tally_of(subject.cx.system, &subject.cx.user_namespace());
                put!(text, "{}\n", own.limit(NamespaceKind::$kind));
                Ok(())
            },
            |subject, value| {
                let [wanted] = numbers::<u64, 1>(value)?;
                let wanted = in_range(wanted, &(0..=INT_MAX))?;
                let own = subject.cx.user_namespace();
                if !subject.cx.credentials().has_in(Capability::SysResource, &own) {
                    return Err(Errno::EPERM.because("limits need CAP_SYS_RESOURCE"));
                }
                tally_of(subject.cx.system, &own).set_limit(NamespaceKind::$kind, wanted as u32);
                Ok(())
            },
        )
    };
}

/// /proc/sys/user.
pub(super) static LIMITS: &[Entry] = &[
    limit!("max_cgroup_namespaces", Cgroup),
    limit!("max_ipc_namespaces", Ipc),
    limit!("max_mnt_namespaces", Mounts),
    limit!("max_net_namespaces", Net),
    limit!("max_pid_namespaces", Pid),
    limit!("max_time_namespaces", Time),
    limit!("max_user_namespaces", User),
    limit!("max_uts_namespaces", Uts),
];

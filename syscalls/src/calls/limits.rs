//! Limits of resources, their use, and priorities.

use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::sync::atomic::Ordering;

use abi::Errno;
use abi::process::{Resource, Rlimit, Rusage};

use crate::calls::schedule;
use crate::context::Context;
use crate::error::{Because, Result};
use crate::mm::MemoryLimits;
use crate::named::ResourceNumber;
use crate::process::credentials::Ids;
use crate::process::{Capability, Process, Thread, Usage};
use crate::user::UserPtr;

/// `who` of getrusage(2).
const RUSAGE_SELF: i32 = 0;
const RUSAGE_CHILDREN: i32 = -1;
const RUSAGE_THREAD: i32 = 1;

fn resource(number: ResourceNumber) -> Result<Resource> {
    let resource = usize::try_from(number.0).ok().and_then(|at| Resource::ALL.get(at));
    resource.copied().ok_or_else(|| Errno::EINVAL.because("no such resource"))
}

/// getrlimit(2): the limits of a resource.
///
/// # Differences from Linux
/// None.
pub(crate) fn getrlimit(
    cx: &Context<'_>,
    number: ResourceNumber,
    to: UserPtr<Rlimit>,
) -> Result<()> {
    to.write(cx, &cx.process.limits().get(resource(number)?))
}

/// setrlimit(2): changes the limits of a resource.
///
/// # Differences from Linux
/// `RLIMIT_RSS`, `RLIMIT_LOCKS`, `RLIMIT_MSGQUEUE`, `RLIMIT_RTPRIO` and
/// `RLIMIT_RTTIME` are kept and told, and limit nothing.
pub(crate) fn setrlimit(
    cx: &Context<'_>,
    number: ResourceNumber,
    from: UserPtr<Rlimit>,
) -> Result<()> {
    let new = from.read(cx)?;
    set(cx, cx.process, resource(number)?, new).map(drop)
}

fn set(cx: &Context<'_>, process: &Process, resource: Resource, new: Rlimit) -> Result<Rlimit> {
    let most = cx.system.max_open_files.load(Ordering::Relaxed);
    if resource == Resource::OpenFiles && new.maximum > most {
        return Err(Errno::EPERM.because("more descriptors than a process may have"));
    }
    let limits = process.limits();
    let old = limits.set(resource, new, &cx.credentials())?;
    if resource == Resource::Cpu {
        process.tell_cpu_deadlines();
    }
    // The stack also grows where there is no process to ask: in the middle of a copy.
    process.memory().set_limits(MemoryLimits::of(limits, cx.system));
    Ok(old)
}

/// prlimit64(2): the limits of a resource of a process, and new ones.
///
/// # Differences from Linux
/// As setrlimit(2).
pub(crate) fn prlimit64(
    cx: &Context<'_>,
    pid: i32,
    number: ResourceNumber,
    new: UserPtr<Rlimit>,
    old: UserPtr<Rlimit>,
) -> Result<()> {
    let resource = resource(number)?;
    let new = new.non_null().map(|new| new.read(cx)).transpose()?;
    let process = cx.system.process(cx, pid)?;
    check_access(cx, &process)?;
    let before = match new {
        None => process.limits().get(resource),
        Some(new) => set(cx, &process, resource, new)?,
    };
    old.non_null().map_or(Ok(()), |old| old.write(cx, &before))
}

/// Whether the caller may look at and change the limits of `process`: all its IDs are the
/// caller's real ones, or the caller has `CAP_SYS_RESOURCE`.
fn check_access(cx: &Context<'_>, process: &Process) -> Result<()> {
    let (own, other) = (cx.credentials(), process.credentials());
    let are_all = |ids: &Ids, id| [ids.real, ids.effective, ids.saved] == [id; 3];
    let is_same = are_all(&other.users, own.users.real) && are_all(&other.groups, own.groups.real);
    if process.id() == cx.process.id()
        || is_same
        || own.has_in(Capability::SysResource, &other.namespace)
    {
        return Ok(());
    }
    Err(Errno::EPERM.because("the process belongs to another user"))
}

/// getrusage(2): what was used.
///
/// # Differences from Linux
/// Preemptions, blocks of input and output, and page faults in system calls are not counted; a
/// page fault that waits for a file counts as one that does not. How much of the time is the kernel's is
/// an estimate: of the entries into the kernel, one of 13 is measured.
pub(crate) fn getrusage(cx: &Context<'_>, who: i32, to: UserPtr<Rusage>) -> Result<()> {
    let usage = match who {
        RUSAGE_SELF => cx.process.usage(),
        RUSAGE_THREAD => {
            Usage { cpu: cx.thread.cpu_time(), counts: cx.thread.counts(), ..cx.process.usage() }
        }
        RUSAGE_CHILDREN => cx.process.children_usage(),
        _ => return Err(Errno::EINVAL.because("neither a process nor a thread nor children")),
    };
    to.write(cx, &usage.describe())
}

/// Whose priority getpriority(2) and setpriority(2) mean.
const PRIO_PROCESS: i32 = 0;
const PRIO_PGRP: i32 = 1;
const PRIO_USER: i32 = 2;

/// The threads that are meant: one, those of a group or a user's, where 0 is the caller or its.
/// A process that has ended and was not waited for has none.
fn threads_of(cx: &Context<'_>, which: i32, who: i32) -> Result<Vec<Arc<Thread>>> {
    let id = who.cast_unsigned();
    let processes = match which {
        PRIO_PROCESS => {
            if let Ok(thread) = schedule::thread(cx, who) {
                return Ok(vec![thread]);
            }
            cx.outside_id(id).and_then(|id| cx.system.processes.get(id)).into_iter().collect()
        }
        PRIO_PGRP if who == 0 => cx.system.processes.group(cx.process.group()),
        PRIO_PGRP => cx.outside_id(id).map_or_else(Vec::new, |id| cx.system.processes.group(id)),
        PRIO_USER => cx.system.processes.all(),
        _ => return Err(Errno::EINVAL.because("neither a process nor a group nor a user")),
    };
    let mut threads: Vec<_> = processes.iter().flat_map(|process| process.threads()).collect();
    if which == PRIO_USER {
        let own = cx.credentials();
        let user = if who == 0 { Ok(own.users.real) } else { own.namespace.user(id) };
        threads.retain(|thread| user.as_ref() == Ok(&thread.credentials().users.real));
    }
    let is_found = if which == PRIO_USER { !threads.is_empty() } else { !processes.is_empty() };
    if is_found { Ok(threads) } else { Err(Errno::ESRCH.because("no such process")) }
}

/// getpriority(2): 20 less the nice value, of several threads the highest.
///
/// # Differences from Linux
/// What has ended and was not waited for has the nice value 0.
pub(crate) fn getpriority(cx: &Context<'_>, which: i32, who: i32) -> Result<i32> {
    let threads = threads_of(cx, which, who)?;
    Ok(threads.iter().map(|thread| 20 - thread.scheduling().nice).max().unwrap_or(20))
}

/// setpriority(2): sets the nice value of threads.
///
/// # Differences from Linux
/// None.
pub(crate) fn setpriority(cx: &Context<'_>, which: i32, who: i32, nice: i32) -> Result<()> {
    let nice = nice.clamp(-20, 19);
    let mut outcome = Ok(());
    for thread in threads_of(cx, which, who)? {
        match check_nice(cx, &thread, nice) {
            Ok(()) => thread.set_nice(nice),
            refused => outcome = refused,
        }
    }
    outcome
}

/// Whether `thread` is the caller's to place: one of the same user, or with `CAP_SYS_NICE` in
/// its user namespace.
///
/// # Errors
/// `EPERM`.
pub(super) fn check_owner(cx: &Context<'_>, thread: &Thread) -> Result<()> {
    let (own, other) = (cx.credentials(), thread.credentials());
    let is_own = [other.users.real, other.users.effective].contains(&own.users.effective);
    if is_own || own.has_in(Capability::SysNice, &other.namespace) {
        return Ok(());
    }
    Err(Errno::EPERM.because("the thread belongs to another user"))
}

/// Whether the caller may give `thread` this nice value.
pub(super) fn check_nice(cx: &Context<'_>, thread: &Thread, nice: i32) -> Result<()> {
    check_owner(cx, thread)?;
    if cx.credentials().has(Capability::SysNice) {
        return Ok(());
    }
    let floor = 20 - thread.process().limits().current(Resource::Nice).min(40) as i32;
    if nice < thread.scheduling().nice.min(floor) {
        return Err(Errno::EACCES.because("raising the priority needs CAP_SYS_NICE"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::kit::{self, BAD_ADDRESS};
    use crate::namespaces::UserNamespace;
    use crate::process::Credentials;

    #[test]
    fn limits_are_told_and_changed() {
        let kit = kit::process();
        let (old, new) = (kit.room(16), kit.put_value(&Rlimit { current: 10, maximum: 20 }));
        assert_eq!(kit.call("getrlimit", [3, old, 0, 0, 0, 0]), Ok(0));
        let stack: Rlimit = kit.get_value(old);
        assert_eq!(stack, Rlimit { current: 8 << 20, maximum: u64::MAX });
        assert_eq!(kit.call("prlimit64", [0, 7, new, old, 0, 0]), Ok(0));
        assert_eq!(kit.get_value::<Rlimit>(old), Rlimit { current: 1024, maximum: 4096 });
        assert_eq!(kit.process.limits().current(Resource::OpenFiles), 10);
        assert_eq!(kit.call("setrlimit", [16, new, 0, 0, 0, 0]), Err(Errno::EINVAL));
        assert_eq!(kit.call("setrlimit", [7, BAD_ADDRESS, 0, 0, 0, 0]), Err(Errno::EFAULT));
        assert_eq!(kit.call("prlimit64", [99, 7, 0, old, 0, 0]), Err(Errno::ESRCH));
    }

    #[test]
    fn the_nice_value_is_kept_within_its_range() {
        let kit = kit::process();
        assert_eq!(kit.call("getpriority", [0; 6]), Ok(20));
        assert_eq!(kit.call("setpriority", [0, 0, 99, 0, 0, 0]), Ok(0));
        assert_eq!(kit.call("getpriority", [0; 6]), Ok(1));
        assert_eq!(kit.call("setpriority", [0, 0, -30_i64 as u64, 0, 0, 0]), Ok(0));
        assert_eq!(kit.call("getpriority", [0; 6]), Ok(40));
        assert_eq!(kit.call("getpriority", [3, 0, 0, 0, 0, 0]), Err(Errno::EINVAL));
        assert_eq!(kit.call("getpriority", [2, u64::MAX, 0, 0, 0, 0]), Err(Errno::ESRCH));
    }

    #[test]
    fn only_who_owns_a_thread_or_its_namespace_places_it() {
        let kit = kit::process();
        let cx = kit.context();
        let (memory, paths) = (kit.process.memory(), kit.process.paths.duplicate());
        let process = Arc::new(Process::new(3, memory, paths));
        let other = Thread::new(kit.system.clone(), process.clone());
        kit.system.processes.insert(process);
        let mask = kit.put_value(&1_u64);
        let places = || {
            let nice = check_nice(&cx, &other, 5).map_err(|error| error.errno);
            (nice, kit.call("sched_setaffinity", [3, 8, mask, 0, 0, 0]).map(drop))
        };
        assert_eq!(places(), (Ok(()), Ok(())));
        let become_user = |credentials: &mut Credentials| {
            credentials.set_users(Ids::all(7));
            Ok(())
        };
        kit.thread.change_credentials(become_user).unwrap();
        assert_eq!(places(), (Err(Errno::EPERM), Err(Errno::EPERM)));
        let own = UserNamespace::within(&cx, &kit.thread.credentials()).unwrap();
        let enter = |credentials: &mut Credentials| {
            credentials.enter(own);
            Ok(())
        };
        other.change_credentials(enter).unwrap();
        assert_eq!(places(), (Ok(()), Ok(())));
        // Raising a priority is a privilege of the machine.
        assert_eq!(check_nice(&cx, &other, -5).unwrap_err().errno, Errno::EACCES);
    }

    #[test]
    fn usage_is_that_of_a_process_a_thread_or_children() {
        let kit = kit::process();
        let to = kit.room(144);
        kit.machine.compute(2_000_000);
        assert_eq!(kit.call("getrusage", [0, to, 0, 0, 0, 0]), Ok(0));
        assert_eq!(kit.get_value::<Rusage>(to).user.microseconds, 2000);
        assert_eq!(kit.call("getrusage", [u64::MAX, to, 0, 0, 0, 0]), Ok(0));
        assert_eq!(kit.get_value::<Rusage>(to).user.microseconds, 0);
        assert_eq!(kit.call("getrusage", [7, to, 0, 0, 0, 0]), Err(Errno::EINVAL));
    }
}

//! Limits of resources, their use, and priorities.

use abi::Errno;
use abi::process::{Resource, Rlimit, Rusage};
use abi::time::Timeval;

use crate::context::Context;
use crate::error::{Because, Result};
use crate::mm::MemoryLimits;
use crate::named::ResourceNumber;
use crate::process::Capability;
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
/// `RLIMIT_CPU`, `RLIMIT_RSS`, `RLIMIT_LOCKS`, `RLIMIT_MSGQUEUE`, `RLIMIT_RTPRIO` and
/// `RLIMIT_RTTIME` are kept and told, and limit nothing.
pub(crate) fn setrlimit(
    cx: &Context<'_>,
    number: ResourceNumber,
    from: UserPtr<Rlimit>,
) -> Result<()> {
    let new = from.read(cx)?;
    set(cx, resource(number)?, new).map(drop)
}

fn set(cx: &Context<'_>, resource: Resource, new: Rlimit) -> Result<Rlimit> {
    let limits = cx.process.limits();
    let old = limits.set(resource, new, &cx.process.credentials())?;
    // The stack also grows where there is no process to ask: in the middle of a copy.
    cx.memory().set_limits(MemoryLimits::of(limits));
    Ok(old)
}

/// prlimit64(2): the limits of a resource of a process, and new ones.
///
/// # Differences from Linux
/// As setrlimit(2); only the calling process can be changed.
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
    let before = match new {
        None => process.limits().get(resource),
        Some(_) if process.id() != cx.process.id() => {
            return Err(Errno::EPERM.because("the limits of another process"));
        }
        Some(new) => set(cx, resource, new)?,
    };
    old.non_null().map_or(Ok(()), |old| old.write(cx, &before))
}

/// getrusage(2): what was used.
///
/// # Differences from Linux
/// Only the CPU time is counted, all of it as time in the application.
pub(crate) fn getrusage(cx: &Context<'_>, who: i32, to: UserPtr<Rusage>) -> Result<()> {
    let cpu_ns = match who {
        RUSAGE_SELF => cx.process.cpu_time_ns(),
        RUSAGE_THREAD => cx.thread.cpu_time_ns(),
        RUSAGE_CHILDREN => 0,
        _ => return Err(Errno::EINVAL.because("neither a process nor a thread nor children")),
    };
    to.write(cx, &Rusage { user: Timeval::from_ns(cpu_ns), ..Rusage::default() })
}

/// `which` of getpriority(2).
const PRIO_PROCESS: i32 = 0;
const PRIO_USER: i32 = 2;

/// Checks whose priority is meant: the calling process, its group or its user.
fn check_whom(cx: &Context<'_>, which: i32, who: i32) -> Result<()> {
    let own = match which {
        PRIO_PROCESS => cx.process.id(),
        1 => cx.process.group(),
        PRIO_USER => cx.process.credentials().users.real,
        _ => return Err(Errno::EINVAL.because("neither a process nor a group nor a user")),
    };
    if who == 0 || who == own.cast_signed() {
        Ok(())
    } else {
        Err(Errno::ESRCH.because("no such process"))
    }
}

/// getpriority(2): 20 less the nice value.
///
/// # Differences from Linux
/// Only the calling process can be asked for.
pub(crate) fn getpriority(cx: &Context<'_>, which: i32, who: i32) -> Result<i32> {
    check_whom(cx, which, who)?;
    Ok(20 - cx.process.nice())
}

/// setpriority(2): sets the nice value.
///
/// # Differences from Linux
/// The nice value is kept and told, and does not change how threads are scheduled; only the
/// calling process can be changed.
pub(crate) fn setpriority(cx: &Context<'_>, which: i32, who: i32, nice: i32) -> Result<()> {
    check_whom(cx, which, who)?;
    let nice = nice.clamp(-20, 19);
    let floor = 20 - cx.process.limits().current(Resource::Nice).min(40) as i32;
    let may =
        nice >= cx.process.nice().min(floor) || cx.process.credentials().has(Capability::SysNice);
    if !may {
        return Err(Errno::EACCES.because("raising the priority needs CAP_SYS_NICE"));
    }
    cx.process.set_nice(nice);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::kit::{self, BAD_ADDRESS};

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
    }

    #[test]
    fn usage_is_that_of_a_process_a_thread_or_children() {
        let kit = kit::process();
        let to = kit.room(144);
        kit.machine.advance(2_000_000);
        assert_eq!(kit.call("getrusage", [0, to, 0, 0, 0, 0]), Ok(0));
        assert_eq!(kit.get_value::<Rusage>(to).user.microseconds, 2000);
        assert_eq!(kit.call("getrusage", [u64::MAX, to, 0, 0, 0, 0]), Ok(0));
        assert_eq!(kit.get_value::<Rusage>(to).user.microseconds, 0);
        assert_eq!(kit.call("getrusage", [7, to, 0, 0, 0, 0]), Err(Errno::EINVAL));
    }
}

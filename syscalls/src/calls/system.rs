//! The system as a whole.

use core::sync::atomic::Ordering;

use abi::process::{Sysinfo, UTSNAME_LEN, Utsname};
use abi::time::{NS_PER_SECOND, clock};
use abi::{Errno, PAGE_SIZE};

use crate::context::Context;
use crate::error::{Because, Result};
use crate::process::Capability;
use crate::system::{MACHINE, RELEASE, SYSTEM_NAME, VERSION};
use crate::user::UserPtr;

/// uname(2): names of the system.
///
/// # Differences from Linux
/// None.
pub(crate) fn uname(cx: &Context<'_>, to: UserPtr<Utsname>) -> Result<()> {
    let uts = cx.thread.namespaces().uts.clone();
    let names = Utsname {
        sysname: field(SYSTEM_NAME.as_bytes()),
        nodename: field(&uts.host_name()),
        release: field(RELEASE.as_bytes()),
        version: field(VERSION.as_bytes()),
        machine: field(MACHINE.as_bytes()),
        domainname: field(&uts.domain_name()),
    };
    to.write(cx, &names)
}

fn field(name: &[u8]) -> [u8; UTSNAME_LEN] {
    let mut field = [0; UTSNAME_LEN];
    let len = name.len().min(UTSNAME_LEN - 1);
    field[..len].copy_from_slice(&name[..len]);
    field
}

/// sethostname(2): sets the host name.
///
/// # Differences from Linux
/// None.
pub(crate) fn sethostname(cx: &Context<'_>, from: UserPtr<u8>, len: usize) -> Result<()> {
    let name = read_name(cx, from, len)?;
    cx.thread.namespaces().uts.set_host_name(name);
    Ok(())
}

/// setdomainname(2): sets the NIS domain name.
///
/// # Differences from Linux
/// None.
pub(crate) fn setdomainname(cx: &Context<'_>, from: UserPtr<u8>, len: usize) -> Result<()> {
    let name = read_name(cx, from, len)?;
    cx.thread.namespaces().uts.set_domain_name(name);
    Ok(())
}

fn read_name(cx: &Context<'_>, from: UserPtr<u8>, len: usize) -> Result<alloc::vec::Vec<u8>> {
    let owner = cx.thread.namespaces().uts.common.owner.clone();
    if !cx.credentials().has_in(Capability::SysAdmin, &owner) {
        return Err(Errno::EPERM.because("setting a name of the system needs CAP_SYS_ADMIN"));
    }
    if len >= UTSNAME_LEN {
        return Err(Errno::EINVAL.because("a name of the system has at most 64 bytes"));
    }
    from.read_array(cx, len)
}

/// sysinfo(2): memory, load and uptime.
///
/// # Differences from Linux
/// The load averages are 0; there is no swap space.
pub(crate) fn sysinfo(cx: &Context<'_>, to: UserPtr<Sysinfo>) -> Result<()> {
    let machine = &cx.system.machine;
    let memory = machine.memory();
    let offset_ns = cx.clock_offset_ns(clock::BOOTTIME);
    let uptime_ns = machine.monotonic_ns().saturating_add_signed(offset_ns);
    let threads: usize = cx.system.processes.all().iter().map(|one| one.threads().len()).sum();
    let info = Sysinfo {
        // As on Linux, a second that has begun counts.
        uptime: uptime_ns.div_ceil(NS_PER_SECOND).cast_signed(),
        totalram: memory.total_pages.saturating_mul(PAGE_SIZE as u64),
        freeram: memory.free_pages.saturating_mul(PAGE_SIZE as u64),
        procs: u16::try_from(threads).unwrap_or(u16::MAX),
        mem_unit: 1,
        ..Sysinfo::default()
    };
    to.write(cx, &info)
}

/// Flags of getrandom(2).
const GRND_NONBLOCK: u32 = 1;
const GRND_RANDOM: u32 = 2;
const GRND_INSECURE: u32 = 4;

/// getrandom(2): unpredictable bytes.
///
/// # Differences from Linux
/// None: the machine has randomness from its first moment.
pub(crate) fn getrandom(
    cx: &Context<'_>,
    to: UserPtr<u8>,
    len: usize,
    flags: u32,
) -> Result<usize> {
    if flags & !(GRND_NONBLOCK | GRND_RANDOM | GRND_INSECURE) != 0 {
        return Err(Errno::EINVAL.because("unknown flags"));
    }
    if flags & GRND_RANDOM != 0 && flags & GRND_INSECURE != 0 {
        return Err(Errno::EINVAL.because("GRND_RANDOM and GRND_INSECURE exclude each other"));
    }
    let len = len.min(i32::MAX as usize);
    let mut done = 0;
    let mut chunk = [0; 256];
    while done < len {
        let chunk = &mut chunk[..(len - done).min(256)];
        cx.system.machine.fill_random(chunk);
        let (written, result) =
            cx.memory().write_partially(to.address().wrapping_add(done as u64), chunk);
        done += written;
        match result {
            Err(error) if done == 0 => return Err(error),
            Err(_) => break,
            // A long one ends early for a signal.
            Ok(()) if done % PAGE_SIZE == 0 && cx.thread.has_deliverable_signal() => break,
            Ok(()) => {}
        }
    }
    Ok(done)
}

/// getcpu(2): the processor and the node the thread runs on.
///
/// # Differences from Linux
/// Always processor 0.
pub(crate) fn getcpu(cx: &Context<'_>, cpu: UserPtr<u32>, node: UserPtr<u32>) -> Result<()> {
    for to in [cpu, node].into_iter().filter_map(UserPtr::non_null) {
        to.write(cx, &0)?;
    }
    Ok(())
}

/// Commands of membarrier(2) that ask for a barrier, and those that register for one.
mod barrier {
    pub(super) const QUERY: i32 = 0;
    pub(super) const GLOBAL: u32 = 1;
    pub(super) const GLOBAL_EXPEDITED: u32 = 1 << 1;
    pub(super) const REGISTER_GLOBAL_EXPEDITED: u32 = 1 << 2;
    pub(super) const PRIVATE_EXPEDITED: u32 = 1 << 3;
    pub(super) const REGISTER_PRIVATE_EXPEDITED: u32 = 1 << 4;
    pub(super) const PRIVATE_EXPEDITED_SYNC_CORE: u32 = 1 << 5;
    pub(super) const REGISTER_PRIVATE_EXPEDITED_SYNC_CORE: u32 = 1 << 6;
    pub(super) const PRIVATE_EXPEDITED_RSEQ: u32 = 1 << 7;
    pub(super) const REGISTER_PRIVATE_EXPEDITED_RSEQ: u32 = 1 << 8;
    pub(super) const GET_REGISTRATIONS: u32 = 1 << 9;
    /// All of them.
    pub(super) const ALL: u32 = (GET_REGISTRATIONS << 1) - 1;
    /// A processor is named: only with `PRIVATE_EXPEDITED_RSEQ`.
    pub(super) const FLAG_CPU: u32 = 1;
}

/// membarrier(2): makes all threads of the process pass a memory barrier.
///
/// With a single processor, the other threads have passed one when they gave it up, and who was
/// in a restartable sequence then does not go on in it.
///
/// # Differences from Linux
/// None.
pub(crate) fn membarrier(cx: &Context<'_>, command: i32, flags: u32, cpu: i32) -> Result<u32> {
    use barrier::*;
    let names_processor = command.cast_unsigned() == PRIVATE_EXPEDITED_RSEQ;
    if flags & !FLAG_CPU != 0 || (flags != 0 && !names_processor) {
        return Err(Errno::EINVAL.because("unknown flags"));
    }
    let _ = cpu;
    let registered = &cx.process.barriers;
    let is_registered = |with: u32| registered.load(Ordering::Relaxed) & with != 0;
    if command == QUERY {
        return Ok(ALL);
    }
    let needed = match command.cast_unsigned() {
        GLOBAL | GLOBAL_EXPEDITED => return Ok(0),
        GET_REGISTRATIONS => return Ok(registered.load(Ordering::Relaxed)),
        register @ (REGISTER_GLOBAL_EXPEDITED
        | REGISTER_PRIVATE_EXPEDITED
        | REGISTER_PRIVATE_EXPEDITED_SYNC_CORE
        | REGISTER_PRIVATE_EXPEDITED_RSEQ) => {
            registered.fetch_or(register, Ordering::Relaxed);
            return Ok(0);
        }
        PRIVATE_EXPEDITED => REGISTER_PRIVATE_EXPEDITED,
        PRIVATE_EXPEDITED_SYNC_CORE => REGISTER_PRIVATE_EXPEDITED_SYNC_CORE,
        PRIVATE_EXPEDITED_RSEQ => REGISTER_PRIVATE_EXPEDITED_RSEQ,
        _ => return Err(Errno::EINVAL.because("no such command")),
    };
    match is_registered(needed) {
        true => Ok(0),
        false => Err(Errno::EPERM.because("the process has not registered for it")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::kit::{self, BAD_ADDRESS};

    #[test]
    fn uname_tells_names_that_can_be_set() {
        let kit = kit::process();
        let (to, name) = (kit.room(390), kit.string("crab"));
        assert_eq!(kit.call("sethostname", [name, 4, 0, 0, 0, 0]), Ok(0));
        assert_eq!(kit.call("sethostname", [name, 65, 0, 0, 0, 0]), Err(Errno::EINVAL));
        assert_eq!(kit.call("uname", [to, 0, 0, 0, 0, 0]), Ok(0));
        let names: Utsname = kit.get_value(to);
        assert!(names.sysname.starts_with(b"Linux\0"));
        assert!(names.nodename.starts_with(b"crab\0"));
        assert!(names.machine.starts_with(b"x86_64\0"));
        assert_eq!(kit.call("uname", [BAD_ADDRESS, 0, 0, 0, 0, 0]), Err(Errno::EFAULT));
    }

    #[test]
    fn random_bytes_come_in_any_number_and_without_strange_flags() {
        let kit = kit::process();
        let to = kit.room(1000);
        assert_eq!(kit.call("getrandom", [to, 1000, 0, 0, 0, 0]), Ok(1000));
        assert!(kit.get(to, 1000).iter().any(|&byte| byte != 0));
        assert_eq!(kit.call("getrandom", [to, 0, 0, 0, 0, 0]), Ok(0));
        assert_eq!(kit.call("getrandom", [to, 1, 6, 0, 0, 0]), Err(Errno::EINVAL));
        assert_eq!(kit.call("getrandom", [to, 1, 8, 0, 0, 0]), Err(Errno::EINVAL));
        assert_eq!(kit.call("getrandom", [BAD_ADDRESS, 1, 0, 0, 0, 0]), Err(Errno::EFAULT));
    }

    #[test]
    fn sysinfo_tells_the_machines_memory() {
        let kit = kit::process();
        let to = kit.room(112);
        assert_eq!(kit.call("sysinfo", [to, 0, 0, 0, 0, 0]), Ok(0));
        let info: Sysinfo = kit.get_value(to);
        assert_eq!(info.totalram, kit.system.machine.memory().total_pages * 4096);
        assert_eq!(info.mem_unit, 1);
    }
}

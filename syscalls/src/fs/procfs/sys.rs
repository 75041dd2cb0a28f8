//! /proc/sys: settings of the system, of which few can be changed.

use alloc::vec::Vec;
use core::sync::atomic::Ordering;

use abi::Errno;
use abi::namespaces::OVERFLOW_ID;
use abi::process::CAP_LAST;

use crate::error::{Because, Result};
use crate::events::{fanotify, inotify};
use crate::fs::memory_device::ENTROPY_BITS;
use crate::fs::{aio, pipe};
use crate::mm::MemoryLimits;
use crate::process::Capability;
use crate::process::credentials::NGROUPS_MAX;
use crate::process::limits::MAX_OPEN_FILES_RANGE;
use crate::process::table::PID_MAX;
use crate::system::{RELEASE, SYSTEM_NAME, VERSION};
use crate::terminal::pty;

use super::entry::{Entry, Subject};
use super::keys;
use super::sysvipc::{self, INT_MAX, in_range, numbers};
use super::text::{Text, parse, put};

/// Longest host name, in bytes.
const HOST_NAME_MAX: usize = 64;

pub(super) static SYS: &[Entry] = &[
    Entry::directory("kernel", KERNEL),
    Entry::directory("vm", VM),
    Entry::directory("fs", FS),
    Entry::directory("user", super::namespaces::LIMITS),
];

static KERNEL: &[Entry] = &[
    Entry::file("ostype", |_, text| line(text, SYSTEM_NAME)),
    Entry::file("osrelease", |_, text| line(text, RELEASE)),
    Entry::file("version", |_, text| line(text, VERSION)),
    Entry::setting("hostname", host_name, set_host_name),
    Entry::setting("domainname", domain_name, set_domain_name),
    Entry::setting("core_pattern", core_pattern, set_core_pattern),
    Entry::setting("core_uses_pid", core_uses_pid, set_core_uses_pid),
    Entry::file("threads-max", |subject, text| {
        number(text, subject.cx.system.max_threads() as u64)
    }),
    Entry::file("pid_max", |_, text| number(text, u64::from(PID_MAX))),
    Entry::setting("ns_last_pid", last_pid, set_last_pid),
    Entry::file("tainted", |_, text| number(text, 0)),
    Entry::file("ngroups_max", |_, text| number(text, NGROUPS_MAX as u64)),
    Entry::file("overflowuid", |_, text| number(text, u64::from(OVERFLOW_ID))),
    Entry::file("overflowgid", |_, text| number(text, u64::from(OVERFLOW_ID))),
    Entry::file("cap_last_cap", |_, text| number(text, u64::from(CAP_LAST))),
    sysvipc::MSGMAX,
    sysvipc::MSGMNB,
    sysvipc::MSGMNI,
    sysvipc::MSG_NEXT_ID,
    sysvipc::SEM,
    sysvipc::SEM_NEXT_ID,
    sysvipc::SHMALL,
    sysvipc::SHMMAX,
    sysvipc::SHMMNI,
    sysvipc::SHM_NEXT_ID,
    Entry::setting("io_uring_disabled", rings_disabled, set_rings_disabled),
    Entry::setting("io_uring_group", rings_group, set_rings_group),
    Entry::directory("random", RANDOM),
    Entry::directory("keys", keys::LIMITS),
    Entry::directory("pty", PTY),
];

static RANDOM: &[Entry] = &[
    Entry::file("boot_id", |subject, text| uuid(text, subject.file_system.boot_id)),
    Entry::file("uuid", fresh_uuid),
    Entry::file("entropy_avail", |_, text| number(text, u64::from(ENTROPY_BITS))),
    Entry::file("poolsize", |_, text| number(text, u64::from(ENTROPY_BITS))),
];

static VM: &[Entry] = &[
    // Pages are given out when they are used, as long as there are any: "always".
    Entry::file("overcommit_memory", |_, text| number(text, 1)),
    Entry::file("mmap_min_addr", |_, text| number(text, loader::MMAP_MIN_ADDR)),
    Entry::setting("max_map_count", max_areas, set_max_areas),
    Entry::setting("unprivileged_userfaultfd", watches_faults, set_watches_faults),
];

static FS: &[Entry] = &[
    // Only memory limits how many files all processes have open.
    Entry::file("file-max", |_, text| number(text, i64::MAX as u64)),
    Entry::file("aio-max-nr", |_, text| number(text, aio::EVENTS_MAX)),
    Entry::setting("nr_open", max_open_files, set_max_open_files),
    Entry::setting("pipe-max-size", max_pipe_size, set_max_pipe_size),
    Entry::directory("mqueue", sysvipc::MQUEUE),
    Entry::directory("inotify", INOTIFY),
    Entry::directory("fanotify", FANOTIFY),
];

/// An entry that shows and sets one limit of inotify.
macro_rules! inotify_limit {
    ($name:literal, $field:ident) => {
        Entry::setting(
            $name,
            |subject, text| {
                let limit = &subject.cx.system.notifier.$field;
                number(text, limit.load(Ordering::Relaxed) as u64)
            },
            |subject, value| {
                let [wanted] = numbers::<u64, 1>(value)?;
                let wanted = in_range(wanted, &(0..=INT_MAX))?;
                subject.cx.system.notifier.$field.store(wanted as usize, Ordering::Relaxed);
                Ok(())
            },
        )
    };
}

static INOTIFY: &[Entry] = &[
    Entry::file("max_queued_events", |_, text| number(text, inotify::MAX_EVENTS as u64)),
    inotify_limit!("max_user_instances", max_instances),
    inotify_limit!("max_user_watches", max_watches),
];

static FANOTIFY: &[Entry] = &[
    Entry::file("max_queued_events", |_, text| number(text, fanotify::MAX_EVENTS as u64)),
    Entry::file("max_user_groups", |_, text| number(text, fanotify::MAX_GROUPS as u64)),
    Entry::file("max_user_marks", |_, text| number(text, fanotify::MAX_MARKS as u64)),
];

static PTY: &[Entry] = &[
    Entry::file("max", |_, text| number(text, u64::from(pty::MAX))),
    Entry::file("nr", |subject, text| number(text, subject.cx.system.ptys.count() as u64)),
];

fn line(text: &mut Text, line: &str) -> Result<()> {
    put!(text, "{line}\n");
    Ok(())
}

fn number(text: &mut Text, number: u64) -> Result<()> {
    put!(text, "{number}\n");
    Ok(())
}

fn host_name(subject: &Subject<'_>, text: &mut Text) -> Result<()> {
    text.put(&subject.cx.thread.namespaces().uts.host_name());
    text.put(b"\n");
    Ok(())
}

fn domain_name(subject: &Subject<'_>, text: &mut Text) -> Result<()> {
    text.put(&subject.cx.thread.namespaces().uts.domain_name());
    text.put(b"\n");
    Ok(())
}

fn max_pipe_size(subject: &Subject<'_>, text: &mut Text) -> Result<()> {
    number(text, subject.cx.system.max_pipe_size.load(Ordering::Relaxed))
}

fn set_max_pipe_size(subject: &Subject<'_>, value: &[u8]) -> Result<()> {
    let [wanted] = numbers::<u64, 1>(value)?;
    let wanted = in_range(wanted, &(1..=pipe::SIZE_LIMIT))?.next_power_of_two();
    let wanted = wanted.max(abi::PAGE_SIZE as u64);
    subject.cx.system.max_pipe_size.store(wanted, Ordering::Relaxed);
    Ok(())
}

fn rings_disabled(subject: &Subject<'_>, text: &mut Text) -> Result<()> {
    number(text, subject.cx.system.rings_disabled.load(Ordering::Relaxed).into())
}

fn set_rings_disabled(subject: &Subject<'_>, value: &[u8]) -> Result<()> {
    let [wanted] = numbers::<u32, 1>(value)?;
    let wanted = in_range(wanted, &(0..=2))?;
    subject.cx.system.rings_disabled.store(wanted, Ordering::Relaxed);
    Ok(())
}

fn rings_group(subject: &Subject<'_>, text: &mut Text) -> Result<()> {
    let group = subject.cx.system.rings_group.load(Ordering::Relaxed);
    put!(text, "{group}\n");
    Ok(())
}

fn set_rings_group(subject: &Subject<'_>, value: &[u8]) -> Result<()> {
    let [wanted] = numbers::<i32, 1>(value)?;
    let wanted = in_range(wanted, &(-1..=i32::MAX))?;
    subject.cx.system.rings_group.store(wanted, Ordering::Relaxed);
    Ok(())
}

fn max_open_files(subject: &Subject<'_>, text: &mut Text) -> Result<()> {
    number(text, subject.cx.system.max_open_files.load(Ordering::Relaxed))
}

fn set_max_open_files(subject: &Subject<'_>, value: &[u8]) -> Result<()> {
    let [wanted] = numbers::<u64, 1>(value)?;
    let wanted = in_range(wanted, &MAX_OPEN_FILES_RANGE)?;
    subject.cx.system.max_open_files.store(wanted, Ordering::Relaxed);
    Ok(())
}

fn max_areas(subject: &Subject<'_>, text: &mut Text) -> Result<()> {
    number(text, subject.cx.system.max_areas.load(Ordering::Relaxed) as u64)
}

fn set_max_areas(subject: &Subject<'_>, value: &[u8]) -> Result<()> {
    let [wanted] = numbers::<u64, 1>(value)?;
    let wanted = in_range(wanted, &(0..=INT_MAX))?;
    let system = subject.cx.system;
    system.max_areas.store(wanted as usize, Ordering::Relaxed);
    for process in system.processes.all() {
        process.memory().set_limits(MemoryLimits::of(process.limits(), system));
    }
    Ok(())
}

fn watches_faults(subject: &Subject<'_>, text: &mut Text) -> Result<()> {
    number(text, subject.cx.system.all_may_watch_faults.load(Ordering::Relaxed).into())
}

fn set_watches_faults(subject: &Subject<'_>, value: &[u8]) -> Result<()> {
    let [wanted] = numbers::<u64, 1>(value)?;
    let wanted = in_range(wanted, &(0..=1))?;
    subject.cx.system.all_may_watch_faults.store(wanted == 1, Ordering::Relaxed);
    Ok(())
}

fn last_pid(subject: &Subject<'_>, text: &mut Text) -> Result<()> {
    let own = subject.cx.pid_namespace().last();
    number(text, u64::from(own.unwrap_or_else(|| subject.cx.system.processes.last_id())))
}

fn set_last_pid(subject: &Subject<'_>, value: &[u8]) -> Result<()> {
    let here = subject.cx.pid_namespace();
    if !subject.cx.credentials().has_in(Capability::SysAdmin, &here.owner()) {
        return Err(Errno::EPERM.because("numbers of processes need CAP_SYS_ADMIN"));
    }
    let [last] = numbers::<u32, 1>(value)?;
    let last = in_range(u64::from(last), &(0..=u64::from(PID_MAX - 1)))?;
    // In range, it is below PID_MAX.
    match here.is_first() {
        true => subject.cx.system.processes.set_last_id(last as u32),
        false => here.set_last(last as u32),
    }
    Ok(())
}

/// What a name is set to: a line.
fn name_in(value: &[u8]) -> Result<Vec<u8>> {
    let name = value.split(|&byte| byte == b'\n' || byte == 0).next().unwrap_or_default();
    if name.len() > HOST_NAME_MAX {
        return Err(Errno::EINVAL.because("the name is too long"));
    }
    Ok(name.to_vec())
}

fn set_domain_name(subject: &Subject<'_>, name: &[u8]) -> Result<()> {
    let name = name_in(name)?;
    subject.cx.thread.namespaces().uts.set_domain_name(name);
    Ok(())
}

fn set_host_name(subject: &Subject<'_>, name: &[u8]) -> Result<()> {
    let name = name_in(name)?;
    subject.cx.thread.namespaces().uts.set_host_name(name);
    Ok(())
}

fn core_pattern(subject: &Subject<'_>, text: &mut Text) -> Result<()> {
    text.put(&subject.cx.system.core_dumps.pattern());
    text.put(b"\n");
    Ok(())
}

fn set_core_pattern(subject: &Subject<'_>, pattern: &[u8]) -> Result<()> {
    let pattern = pattern.split(|&byte| byte == b'\n' || byte == 0).next().unwrap_or_default();
    subject.cx.system.core_dumps.set_pattern(pattern)
}

fn core_uses_pid(subject: &Subject<'_>, text: &mut Text) -> Result<()> {
    number(text, u64::from(subject.cx.system.core_dumps.adds_id()))
}

fn set_core_uses_pid(subject: &Subject<'_>, value: &[u8]) -> Result<()> {
    let value = parse(value)?;
    subject.cx.system.core_dumps.set_adds_id(value != 0);
    Ok(())
}

fn fresh_uuid(subject: &Subject<'_>, text: &mut Text) -> Result<()> {
    let mut bytes = [0; 16];
    subject.cx.system.machine.fill_random(&mut bytes);
    uuid(text, bytes)
}

/// Writes random bytes as a UUID of version 4 (RFC 9562, 5.4).
fn uuid(text: &mut Text, mut bytes: [u8; 16]) -> Result<()> {
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    for (index, byte) in bytes.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            text.put(b"-");
        }
        put!(text, "{byte:02x}");
    }
    text.put(b"\n");
    Ok(())
}

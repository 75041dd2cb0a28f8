//! The directory of a process, and those of its threads: proc_pid(5).

use core::ops::Range;
use core::sync::atomic::Ordering;

use abi::process::{RLIM_INFINITY, Resource};
use abi::{Errno, PAGE_SIZE};

use crate::error::{Because, Result};
use crate::fs::Link;
use crate::mm::{Backing, DumpFilter, Object};
use crate::process::exec::Places;

use super::entry::{Descriptors, Entry, Kind, Subject};
use super::maps::{MAPS, smaps};
use super::mounts::{mount_info, mounts};
use super::namespaces;
use super::net::NET;
use super::stat::{stat, statm};
use super::status::status;
use super::text::{Text, parse, put};

/// The directory of a process.
pub(super) static PROCESS: Entry =
    Entry { name: "", mode: 0o555, kind: Kind::Directory(IN_PROCESS) };

/// The directory of a thread.
pub(super) static THREAD: Entry = Entry { name: "", mode: 0o555, kind: Kind::Directory(IN_THREAD) };

const FD: Entry = Entry { name: "fd", mode: 0o500, kind: Kind::Descriptors(Descriptors::Links) };
const FDINFO: Entry =
    Entry { name: "fdinfo", mode: 0o555, kind: Kind::Descriptors(Descriptors::States) };

static IN_PROCESS: &[Entry] = &[
    Entry { name: "task", mode: 0o555, kind: Kind::Tasks },
    FD,
    FDINFO,
    namespaces::NS,
    namespaces::UID_MAP,
    namespaces::GID_MAP,
    namespaces::SETGROUPS,
    Entry { name: "environ", mode: 0o400, kind: Kind::File(environ) },
    Entry { name: "auxv", mode: 0o400, kind: Kind::File(auxv) },
    Entry::file("status", status),
    Entry::file("limits", limits),
    Entry::setting("comm", comm, set_comm),
    Entry::setting("coredump_filter", dump_filter, set_dump_filter),
    Entry::file("cmdline", cmdline),
    Entry::file("stat", stat),
    Entry::file("statm", statm),
    MAPS,
    Entry { name: "mem", mode: 0o600, kind: Kind::Memory },
    Entry { name: "pagemap", mode: 0o400, kind: Kind::PageMap },
    Entry::file("smaps", smaps),
    Entry::link("cwd", cwd),
    Entry::link("root", root),
    Entry::link("exe", exe),
    Entry::mounts("mounts", mounts),
    Entry::mounts("mountinfo", mount_info),
    Entry { name: "io", mode: 0o400, kind: Kind::File(io) },
    Entry::directory("net", NET),
    namespaces::TIME_OFFSETS,
    Entry::file("oom_score", oom_score),
    Entry::setting("oom_score_adj", oom_score_adj, set_oom_score_adj),
];

static IN_THREAD: &[Entry] = &[
    FD,
    FDINFO,
    namespaces::NS,
    namespaces::UID_MAP,
    namespaces::GID_MAP,
    namespaces::SETGROUPS,
    Entry { name: "environ", mode: 0o400, kind: Kind::File(environ) },
    Entry { name: "auxv", mode: 0o400, kind: Kind::File(auxv) },
    Entry::file("status", status),
    Entry::file("limits", limits),
    Entry::setting("comm", comm, set_comm),
    Entry::file("cmdline", cmdline),
    Entry::file("stat", stat),
    Entry::file("statm", statm),
    MAPS,
    Entry { name: "mem", mode: 0o600, kind: Kind::Memory },
    Entry { name: "pagemap", mode: 0o400, kind: Kind::PageMap },
    Entry::file("smaps", smaps),
    Entry::link("cwd", cwd),
    Entry::link("root", root),
    Entry::link("exe", exe),
    Entry::mounts("mounts", mounts),
    Entry::mounts("mountinfo", mount_info),
    Entry { name: "io", mode: 0o400, kind: Kind::File(io) },
    Entry::directory("net", NET),
];

fn environ(subject: &Subject<'_>, text: &mut Text) -> Result<()> {
    put_memory(subject, text, |places| places.environment.clone())
}

fn auxv(subject: &Subject<'_>, text: &mut Text) -> Result<()> {
    put_memory(subject, text, |places| places.auxiliary.clone())
}

fn cmdline(subject: &Subject<'_>, text: &mut Text) -> Result<()> {
    put_memory(subject, text, |places| places.arguments.clone())
}

/// What the process has now at the place that its program was started with; as on Linux, a
/// part that it has unmapped is missing.
fn put_memory(
    subject: &Subject<'_>,
    text: &mut Text,
    which: fn(&Places) -> Range<u64>,
) -> Result<()> {
    let memory = subject.process.memory();
    let Some(range) = memory.places().map(which) else {
        return Ok(());
    };
    let mut chunk = [0; PAGE_SIZE / 8];
    let mut at = range.start;
    while at < range.end {
        let len = chunk.len().min(usize::try_from(range.end - at).unwrap_or(usize::MAX));
        let (done, result) = memory.read_partially(at, &mut chunk[..len]);
        text.put(&chunk[..done]);
        if result.is_err() {
            break;
        }
        at += done as u64;
    }
    Ok(())
}

fn comm(subject: &Subject<'_>, text: &mut Text) -> Result<()> {
    text.put(&subject.thread.name());
    text.put(b"\n");
    Ok(())
}

fn set_comm(subject: &Subject<'_>, name: &[u8]) -> Result<()> {
    subject.thread.set_name(name.strip_suffix(b"\n").unwrap_or(name));
    Ok(())
}

fn dump_filter(subject: &Subject<'_>, text: &mut Text) -> Result<()> {
    let filter = subject.process.properties.lock().dump_filter;
    put!(text, "{:08x}\n", filter.bits());
    Ok(())
}

fn set_dump_filter(subject: &Subject<'_>, value: &[u8]) -> Result<()> {
    let filter = DumpFilter::from_bits_truncate(parse(value)? as u32);
    subject.process.properties.lock().dump_filter = filter;
    Ok(())
}

fn cwd(subject: &Subject<'_>) -> Result<Link> {
    check_not_ended(subject)?;
    Ok(Link::Location(subject.thread.paths().working_directory()))
}

fn root(subject: &Subject<'_>) -> Result<Link> {
    check_not_ended(subject)?;
    Ok(Link::Location(subject.thread.paths().root()))
}

/// Fails for a process that only waits to be told of: it has no directories any more.
fn check_not_ended(subject: &Subject<'_>) -> Result<()> {
    if subject.thread.has_ended() {
        return Err(Errno::ENOENT.because("the process has ended"));
    }
    Ok(())
}

/// The file that the program was loaded from: the one mapped where its image begins.
fn exe(subject: &Subject<'_>) -> Result<Link> {
    let memory = subject.process.memory();
    let image = memory.places().map_or(0..0, |places| places.image.clone());
    let file = memory.areas().into_iter().find_map(|area| match area.backing {
        Backing::Object(Object::File { open, .. }, _) if image.contains(&area.range.start) => {
            Some(open.location().clone())
        }
        _ => None,
    });
    file.map(Link::Location).ok_or_else(|| Errno::ENOENT.because("no file is behind the program"))
}

/// Transfers are not counted.
fn io(_: &Subject<'_>, text: &mut Text) -> Result<()> {
    for name in
        ["rchar", "wchar", "syscr", "syscw", "read_bytes", "write_bytes", "cancelled_write_bytes"]
    {
        put!(text, "{name}: 0\n");
    }
    Ok(())
}

/// Nobody is chosen by a score: the application is all there is to end.
fn oom_score(_: &Subject<'_>, text: &mut Text) -> Result<()> {
    text.put(b"0\n");
    Ok(())
}

fn oom_score_adj(subject: &Subject<'_>, text: &mut Text) -> Result<()> {
    put!(text, "{}\n", subject.process.oom_adjustment.load(Ordering::Relaxed));
    Ok(())
}

fn set_oom_score_adj(subject: &Subject<'_>, value: &[u8]) -> Result<()> {
    let value = core::str::from_utf8(value.trim_ascii()).ok().and_then(|text| text.parse().ok());
    match value {
        Some(value @ -1000..=1000) => {
            subject.process.oom_adjustment.store(value, Ordering::Relaxed);
            Ok(())
        }
        _ => Err(Errno::EINVAL.because("not a number from -1000 to 1000")),
    }
}

/// Names and units of the limits, in the order of /proc/PID/limits.
const LIMITS: [(Resource, &str, &str); 16] = [
    (Resource::Cpu, "Max cpu time", "seconds"),
    (Resource::FileSize, "Max file size", "bytes"),
    (Resource::Data, "Max data size", "bytes"),
    (Resource::Stack, "Max stack size", "bytes"),
    (Resource::Core, "Max core file size", "bytes"),
    (Resource::ResidentSet, "Max resident set", "bytes"),
    (Resource::Processes, "Max processes", "processes"),
    (Resource::OpenFiles, "Max open files", "files"),
    (Resource::LockedMemory, "Max locked memory", "bytes"),
    (Resource::AddressSpace, "Max address space", "bytes"),
    (Resource::Locks, "Max file locks", "locks"),
    (Resource::PendingSignals, "Max pending signals", "signals"),
    (Resource::MessageQueues, "Max msgqueue size", "bytes"),
    (Resource::Nice, "Max nice priority", ""),
    (Resource::RealTimePriority, "Max realtime priority", ""),
    (Resource::RealTimeRun, "Max realtime timeout", "us"),
];

fn limits(subject: &Subject<'_>, text: &mut Text) -> Result<()> {
    let (name, soft, hard) = ("Limit", "Soft Limit", "Hard Limit");
    put!(text, "{name:25} {soft:20} {hard:20} Units     \n");
    for (resource, name, unit) in LIMITS {
        let limit = subject.process.limits().get(resource);
        put!(text, "{name:25} ");
        for value in [limit.current, limit.maximum] {
            match value {
                RLIM_INFINITY => put!(text, "{:20} ", "unlimited"),
                value => put!(text, "{value:<20} "),
            }
        }
        if unit.is_empty() {
            text.put(b"\n");
        } else {
            put!(text, "{unit:10}\n");
        }
    }
    Ok(())
}

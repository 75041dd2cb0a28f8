//! The root directory: what concerns the system as a whole.

use alloc::format;

use abi::fs::block::loops::MAJOR;
use abi::time::{NS_PER_SECOND, TICKS_PER_SECOND, clock};
use abi::{Errno, PAGE_SIZE};

use crate::error::{Because, Error, Result};
use crate::fs::{Link, ext, mount_type};
use crate::process::Process;
use crate::system::{RELEASE, SYSTEM_NAME, VERSION};

use super::entry::{Entry, Kind, Subject};
use super::keys;
use super::sys::SYS;
use super::sysvipc::SYSVIPC;
use super::text::{Text, put};

/// The root directory.
pub(super) static ROOT: Entry = Entry { name: "", mode: 0o555, kind: Kind::Root(IN_ROOT) };

static IN_ROOT: &[Entry] = &[
    Entry::link("self", own_directory),
    Entry::link("thread-self", thread_self),
    Entry::link("mounts", |_| Ok(Link::Path(b"self/mounts".to_vec()))),
    Entry::file("meminfo", meminfo),
    Entry::file("vmstat", vmstat),
    Entry::file("cpuinfo", cpuinfo),
    Entry::file("stat", stat),
    Entry::file("uptime", uptime),
    Entry::file("loadavg", loadavg),
    Entry::file("version", version),
    Entry::file("filesystems", filesystems),
    Entry::file("cmdline", cmdline),
    Entry::file("devices", devices),
    Entry::file("partitions", partitions),
    Entry::link("net", |_| Ok(Link::Path(b"self/net".to_vec()))),
    Entry::directory("sys", SYS),
    Entry::directory("sysvipc", SYSVIPC),
    Entry::file("keys", keys::keys),
    Entry::file("key-users", keys::users),
];

fn own_directory(subject: &Subject<'_>) -> Result<Link> {
    match subject.shown(subject.process.id()) {
        0 => Err(not_shown()),
        id => Ok(Link::Path(format!("{id}").into())),
    }
}

fn not_shown() -> Error {
    Errno::ENOENT.because("the file system does not show the caller")
}

fn thread_self(subject: &Subject<'_>) -> Result<Link> {
    let process = subject.shown(subject.process.id());
    let thread = subject.shown(subject.thread.id());
    if thread == 0 {
        return Err(not_shown());
    }
    Ok(Link::Path(format!("{process}/task/{thread}").into()))
}

/// Memory that files occupy is not told from other memory.
fn meminfo(subject: &Subject<'_>, text: &mut Text) -> Result<()> {
    let memory = subject.cx.system.machine.memory();
    for (name, pages) in [
        ("MemTotal:", memory.total_pages),
        ("MemFree:", memory.free_pages),
        ("MemAvailable:", memory.free_pages),
        ("Buffers:", 0),
        ("Cached:", 0),
        ("SwapCached:", 0),
        ("SwapTotal:", 0),
        ("SwapFree:", 0),
    ] {
        put!(text, "{name:15} {:8} kB\n", pages * (PAGE_SIZE as u64 / 1024));
    }
    Ok(())
}

/// /proc/vmstat. Transfers and page faults are not counted.
fn vmstat(subject: &Subject<'_>, text: &mut Text) -> Result<()> {
    put!(text, "nr_free_pages {}\n", subject.cx.system.machine.memory().free_pages);
    Ok(())
}

/// Names of the bits of CPUID leaf 1, EDX, as /proc/cpuinfo shows them; empty where there is
/// none.
const FLAGS: [&str; 32] = [
    "fpu", "vme", "de", "pse", "tsc", "msr", "pae", "mce", "cx8", "apic", "", "sep", "mtrr", "pge",
    "mca", "cmov", "pat", "pse36", "pn", "clflush", "", "dts", "acpi", "mmx", "fxsr", "sse",
    "sse2", "ss", "ht", "tm", "ia64", "pbe",
];

/// Bit of `AT_HWCAP2` that says that applications may use `rdfsbase` and its family.
const FSGSBASE: u64 = 2;

fn cpuinfo(subject: &Subject<'_>, text: &mut Text) -> Result<()> {
    let processor = subject.cx.system.machine.processor();
    for number in 0..processor.count.max(1) {
        put!(text, "processor\t: {number}\nflags\t\t:");
        for (bit, name) in FLAGS.iter().enumerate() {
            if processor.hwcap & (1 << bit) != 0 && !name.is_empty() {
                put!(text, " {name}");
            }
        }
        if processor.hwcap2 & FSGSBASE != 0 {
            text.put(b" fsgsbase");
        }
        text.put(b"\n\n");
    }
    Ok(())
}

/// Time since boot, and how much of it all processes have computed, in nanoseconds.
fn times(subject: &Subject<'_>) -> (u64, u64) {
    let system = subject.cx.system;
    let busy_ns = |process: &Process| process.cpu_time().total_ns;
    let mut busy: u64 = system.processes.all().iter().map(|process| busy_ns(process)).sum();
    if system.processes.get(subject.cx.process.id()).is_none() {
        busy += busy_ns(subject.cx.process);
    }
    (system.machine.monotonic_ns(), busy)
}

/// /proc/stat. Time is counted for all processors together, and shown for one only where
/// there is one; interrupts and context switches are not counted.
fn stat(subject: &Subject<'_>, text: &mut Text) -> Result<()> {
    const NS_PER_TICK: u64 = NS_PER_SECOND / TICKS_PER_SECOND;
    let system = subject.cx.system;
    let count = system.machine.processor().count.max(1);
    let (now, busy) = times(subject);
    let all = now.saturating_mul(u64::from(count));
    let (user, idle) = (busy / NS_PER_TICK, all.saturating_sub(busy) / NS_PER_TICK);
    put!(text, "cpu  {user} 0 0 {idle} 0 0 0 0 0 0\n");
    for number in 0..count {
        let (user, idle) = if count == 1 { (user, idle) } else { (0, 0) };
        put!(text, "cpu{number} {user} 0 0 {idle} 0 0 0 0 0 0\n");
    }
    let booted = system.machine.wall_clock_ns().saturating_sub(now) / NS_PER_SECOND;
    let processes = system.processes.all().len().max(1);
    put!(text, "intr 0\nctxt 0\nbtime {booted}\nprocesses {processes}\n");
    put!(text, "procs_running 1\nprocs_blocked 0\n");
    Ok(())
}

fn uptime(subject: &Subject<'_>, text: &mut Text) -> Result<()> {
    const NS_PER_HUNDREDTH: u64 = NS_PER_SECOND / 100;
    let count = u64::from(subject.cx.system.machine.processor().count.max(1));
    let (now, busy) = times(subject);
    let now = now.saturating_add_signed(subject.cx.clock_offset_ns(clock::BOOTTIME));
    let idle = now.saturating_mul(count).saturating_sub(busy);
    let [now, idle] = [now, idle].map(|ns| ns / NS_PER_HUNDREDTH);
    put!(text, "{}.{:02} {}.{:02}\n", now / 100, now % 100, idle / 100, idle % 100);
    Ok(())
}

/// The load is not averaged.
fn loadavg(subject: &Subject<'_>, text: &mut Text) -> Result<()> {
    let processes = subject.cx.system.processes.all();
    let threads: usize = processes.iter().map(|process| process.threads().len().max(1)).sum();
    let latest = processes.last().map_or(subject.cx.process.id(), |process| process.id());
    let latest = subject.shown(latest);
    put!(text, "0.00 0.00 0.00 1/{} {latest}\n", threads.max(1));
    Ok(())
}

fn version(_: &Subject<'_>, text: &mut Text) -> Result<()> {
    put!(text, "{SYSTEM_NAME} version {RELEASE} {VERSION}\n");
    Ok(())
}

fn filesystems(_: &Subject<'_>, text: &mut Text) -> Result<()> {
    for name in mount_type::NAMES.iter().chain(&["pipefs"]) {
        put!(text, "nodev\t{name}\n");
    }
    for name in ext::NAMES {
        put!(text, "\t{name}\n");
    }
    Ok(())
}

fn cmdline(subject: &Subject<'_>, text: &mut Text) -> Result<()> {
    text.put(subject.cx.system.command_line());
    text.put(b"\n");
    Ok(())
}

/// Block devices with something in them.
fn partitions(subject: &Subject<'_>, text: &mut Text) -> Result<()> {
    text.put(b"major minor  #blocks  name\n\n");
    for device in subject.cx.system.vfs.loops.all() {
        let (number, size) = (device.number(), device.size());
        if size > 0 {
            put!(text, "{MAJOR:4}  {number:7} {:10} loop{number}\n", size / 1024);
        }
    }
    Ok(())
}

fn devices(_: &Subject<'_>, text: &mut Text) -> Result<()> {
    text.put(b"Character devices:\n  1 mem\n  5 /dev/tty\n  5 /dev/console\n 10 misc\n");
    text.put(b"\nBlock devices:\n  7 loop\n");
    Ok(())
}

//! /proc/sys: settings of the system, of which few can be changed.

use abi::Errno;
use abi::process::CAP_LAST;

use crate::error::{Because, Result};
use crate::events::inotify;
use crate::fs::{aio, pipe};
use crate::process::credentials::NGROUPS_MAX;
use crate::process::limits::MAX_OPEN_FILES;
use crate::process::table::PID_MAX;
use crate::system::{RELEASE, SYSTEM_NAME, VERSION};
use crate::terminal::pty;

use super::entry::{Entry, Subject};
use super::keys;
use super::sysvipc;
use super::text::{Text, parse, put};

/// Longest host name, in bytes.
const HOST_NAME_MAX: usize = 64;

/// Bits in the entropy pool of Linux, which is always full.
const ENTROPY_BITS: u32 = 256;

pub(super) static SYS: &[Entry] =
    &[Entry::directory("kernel", KERNEL), Entry::directory("vm", VM), Entry::directory("fs", FS)];

static KERNEL: &[Entry] = &[
    Entry::file("ostype", |_, text| line(text, SYSTEM_NAME)),
    Entry::file("osrelease", |_, text| line(text, RELEASE)),
    Entry::file("version", |_, text| line(text, VERSION)),
    Entry::setting("hostname", host_name, set_host_name),
    Entry::file("domainname", domain_name),
    Entry::setting("core_pattern", core_pattern, set_core_pattern),
    Entry::setting("core_uses_pid", core_uses_pid, set_core_uses_pid),
    Entry::file("threads-max", |subject, text| {
        number(text, subject.cx.system.max_threads() as u64)
    }),
    Entry::file("pid_max", |_, text| number(text, u64::from(PID_MAX))),
    Entry::file("tainted", |_, text| number(text, 0)),
    Entry::file("ngroups_max", |_, text| number(text, NGROUPS_MAX as u64)),
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
    Entry::file("max_map_count", |_, text| number(text, crate::mm::MAX_AREAS as u64)),
];

static FS: &[Entry] = &[
    // Only memory limits how many files all processes have open.
    Entry::file("file-max", |_, text| number(text, i64::MAX as u64)),
    Entry::file("aio-max-nr", |_, text| number(text, aio::EVENTS_MAX)),
    Entry::file("nr_open", |_, text| number(text, MAX_OPEN_FILES)),
    Entry::file("pipe-max-size", |_, text| number(text, pipe::MAX_SIZE)),
    Entry::directory("mqueue", sysvipc::MQUEUE),
    Entry::directory("inotify", INOTIFY),
];

static INOTIFY: &[Entry] = &[
    Entry::file("max_queued_events", |_, text| number(text, inotify::MAX_EVENTS as u64)),
    Entry::file("max_user_instances", |_, text| number(text, inotify::MAX_INSTANCES as u64)),
    Entry::file("max_user_watches", |_, text| number(text, inotify::MAX_WATCHES as u64)),
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
    text.put(&subject.cx.system.host_name());
    text.put(b"\n");
    Ok(())
}

fn domain_name(subject: &Subject<'_>, text: &mut Text) -> Result<()> {
    text.put(&subject.cx.system.domain_name());
    text.put(b"\n");
    Ok(())
}

fn set_host_name(subject: &Subject<'_>, name: &[u8]) -> Result<()> {
    let name = name.split(|&byte| byte == b'\n' || byte == 0).next().unwrap_or_default();
    if name.len() > HOST_NAME_MAX {
        return Err(Errno::EINVAL.because("the host name is too long"));
    }
    subject.cx.system.set_host_name(name.to_vec());
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

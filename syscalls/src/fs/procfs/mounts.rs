//! /proc/PID/mounts and /proc/PID/mountinfo.

use alloc::vec::Vec;

use abi::fs::mount_flags;

use crate::error::Result;
use crate::fs::{Location, Mount};

use super::entry::Subject;
use super::text::{Text, put};

/// What is escaped in the path of a mount point.
fn is_special(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\\' | b'#')
}

/// Options in the order in which Linux shows them.
const OPTIONS: [(u64, &str); 7] = [
    (mount_flags::ST_NOSUID, ",nosuid"),
    (mount_flags::ST_NODEV, ",nodev"),
    (mount_flags::ST_NOEXEC, ",noexec"),
    (mount_flags::ST_NOATIME, ",noatime"),
    (mount_flags::ST_NODIRATIME, ",nodiratime"),
    (mount_flags::ST_RELATIME, ",relatime"),
    (mount_flags::ST_NOSYMFOLLOW, ",nosymfollow"),
];

/// Calls `show` for each mount that the process sees, with its path.
fn each(subject: &Subject<'_>, mut show: impl FnMut(&Mount, &[u8])) {
    let root = subject.thread.paths().root();
    let mounts = subject.thread.paths().mounts();
    for mount in mounts.map_or_else(Vec::new, |mounts| mounts.mounts()) {
        let top = Location { dentry: mount.root().clone(), mount };
        if let Some(path) = top.path_below(&root) {
            show(&top.mount, &path);
        }
    }
}

fn put_options(text: &mut Text, flags: u64) {
    text.put(if flags & mount_flags::ST_RDONLY == 0 { b"rw" } else { b"ro" });
    for (flag, name) in OPTIONS {
        if flags & flag != 0 {
            text.put(name.as_bytes());
        }
    }
}

/// /proc/PID/mounts: fstab(5).
pub(super) fn mounts(subject: &Subject<'_>, text: &mut Text) -> Result<()> {
    each(subject, |mount, path| {
        text.put_path(mount.source(), is_special);
        text.put(b" ");
        text.put_path(path, is_special);
        put!(text, " {} ", mount.file_system().name());
        put_options(text, mount.flags());
        put!(text, "{} 0 0\n", mount.file_system().options());
    });
    Ok(())
}

/// /proc/PID/mountinfo: proc_pid_mountinfo(5).
pub(super) fn mount_info(subject: &Subject<'_>, text: &mut Text) -> Result<()> {
    each(subject, |mount, path| {
        // The root is its own parent, as where an initramfs is never replaced.
        let parent = mount.point().map_or(mount.id(), |point| point.mount.id());
        let device = mount.file_system().device();
        put!(text, "{} {parent} {}:{} ", mount.id(), device.major, device.minor);
        text.put_path(&mount.root().path(), is_special);
        text.put(b" ");
        text.put_path(path, is_special);
        text.put(b" ");
        put_options(text, mount.own_flags());
        if let Some(group) = mount.peer_group() {
            put!(text, " shared:{}", group.id());
        }
        if let Some(master) = mount.master() {
            put!(text, " master:{}", master.id());
        }
        if mount.is_unbindable() {
            text.put(b" unbindable");
        }
        put!(text, " - {} ", mount.file_system().name());
        text.put_path(mount.source(), is_special);
        text.put(b" ");
        text.put(if mount.super_block().is_read_only() { b"ro" } else { b"rw" });
        put!(text, "{}\n", mount.file_system().options());
    });
    Ok(())
}

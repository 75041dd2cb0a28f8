//! /proc/PID/mounts and /proc/PID/mountinfo.

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
const OPTIONS: [(u64, &str); 4] = [
    (mount_flags::ST_NOSUID, ",nosuid"),
    (mount_flags::ST_NODEV, ",nodev"),
    (mount_flags::ST_NOEXEC, ",noexec"),
    (mount_flags::ST_RELATIME, ",relatime"),
];

/// Calls `show` for each mount that the process sees, with its path.
fn each(subject: &Subject<'_>, mut show: impl FnMut(&Mount, &[u8])) {
    let root = subject.process.paths.root();
    for mount in subject.cx.system.vfs.mounts.mounts() {
        let top = Location { dentry: mount.root().clone(), mount };
        if let Some(path) = top.path_below(&root) {
            show(&top.mount, &path);
        }
    }
}

fn put_options(text: &mut Text, mount: &Mount) {
    text.put(if mount.is_read_only() { b"ro" } else { b"rw" });
    for (flag, name) in OPTIONS {
        if mount.flags() & flag != 0 {
            text.put(name.as_bytes());
        }
    }
}

/// /proc/PID/mounts: fstab(5).
pub(super) fn mounts(subject: &Subject<'_>, text: &mut Text) -> Result<()> {
    each(subject, |mount, path| {
        put!(text, "{} ", mount.source());
        text.put_path(path, is_special);
        put!(text, " {} ", mount.file_system().name());
        put_options(text, mount);
        text.put(b" 0 0\n");
    });
    Ok(())
}

/// /proc/PID/mountinfo: proc_pid_mountinfo(5).
pub(super) fn mount_info(subject: &Subject<'_>, text: &mut Text) -> Result<()> {
    each(subject, |mount, path| {
        // The root is its own parent, as where an initramfs is never replaced.
        let parent = mount.point().map_or(mount.id(), |point| point.mount.id());
        let device = mount.file_system().device();
        put!(text, "{} {parent} {}:{} / ", mount.id(), device.major, device.minor);
        text.put_path(path, is_special);
        text.put(b" ");
        put_options(text, mount);
        put!(text, " - {} {} ", mount.file_system().name(), mount.source());
        text.put(if mount.is_read_only() { b"ro\n" } else { b"rw\n" });
    });
    Ok(())
}

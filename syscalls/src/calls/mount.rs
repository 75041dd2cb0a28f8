//! Mounts: mount(2), umount2(2).

use alloc::sync::Arc;

use abi::Errno;
use abi::fs::{AT_FDCWD, MountFlags, UnmountFlags, mount_flags as flag};

use crate::context::Context;
use crate::error::{Because, Result};
use crate::fs::mount::MountAccess;
use crate::fs::mount_table::Depth;
use crate::fs::path::{self, Follow};
use crate::fs::peers::Propagation;
use crate::fs::unmount::Unmount;
use crate::fs::{Fd, Location, mount_type};
use crate::landlock;
use crate::process::Capability;
use crate::user::{UserPath, UserPtr, read_c_string};

/// mount(2).
///
/// # Differences from Linux
/// File systems are `tmpfs`, `ramfs`, `proc`, `sysfs` and `devtmpfs`, and `ext2`, `ext3` and `ext4` on loop devices: nothing is
/// written to their journals, so that e2fsck(8) has to check what was not unmounted. `MS_SYNCHRONOUS`, `MS_DIRSYNC`, `MS_LAZYTIME`, `MS_MANDLOCK`,
/// `MS_POSIXACL` and `MS_I_VERSION` are taken and have no effect. Whatever they are, times of access of symbolic links are
/// relative. Whoever may mount a `proc` may do so also where another one is covered in
/// part.
pub(crate) fn mount(
    cx: &Context<'_>,
    source: UserPath,
    target: UserPath,
    kind: UserPath,
    flags: MountFlags,
    data: UserPtr<u8>,
) -> Result<()> {
    let kind = kind.read_if_any(cx)?;
    let source = source.read_if_any(cx)?;
    let target = path::resolve(cx, Fd(AT_FDCWD), target.read(cx)?, Follow::Last)?;
    check_move(cx)?;
    let flags = known_flags(flags)?;
    let options = match data.non_null() {
        Some(data) => read_options(cx, data)?,
        None => alloc::vec::Vec::new(),
    };
    let mounts = &cx.mounts();
    let from = || -> Result<Location> {
        let path = source.clone().filter(|path| !path.is_empty());
        let path = path.ok_or_else(|| Errno::EINVAL.because("there is no source"))?;
        path::resolve(cx, Fd(AT_FDCWD), path, Follow::Last)
    };
    if flags.contains(MountFlags::REMOUNT) {
        remount(cx, &target, flags, &options)
    } else if flags.contains(MountFlags::BIND) {
        let all = flags.contains(MountFlags::REC);
        mounts.bind(&from()?, target, if all { Depth::All } else { Depth::One })
    } else if flags.intersects(MountFlags::PROPAGATION) {
        propagate(cx, &target, flags)
    } else if flags.contains(MountFlags::MOVE) {
        mounts.move_to(&from()?, target)
    } else {
        let kind = kind.ok_or_else(|| Errno::EINVAL.because("the type is missing"))?;
        if !target.is_directory() {
            return Err(Errno::ENOTDIR.because("the mount point is not a directory"));
        }
        let source = source.as_deref().unwrap_or(mount_type::default_source(&kind));
        let super_block = mount_type::create(cx, &kind, source, (access(flags), &options))?;
        mounts.add(target, &super_block, own_flags(flags)).map(drop)
    }
}

pub(super) fn check_privilege(cx: &Context<'_>) -> Result<()> {
    if cx.credentials().has_in(Capability::SysAdmin, &cx.mounts().owner()) {
        return Ok(());
    }
    Err(Errno::EPERM.because("mounting needs CAP_SYS_ADMIN"))
}

/// Fails unless the caller may change which mounts are where.
pub(super) fn check_move(cx: &Context<'_>) -> Result<()> {
    check_privilege(cx)?;
    landlock::check_mounts(cx)
}

fn known_flags(flags: MountFlags) -> Result<MountFlags> {
    let mut flags = flags.bits();
    if flags & MountFlags::MAGIC_MASK == MountFlags::MAGIC {
        flags &= !MountFlags::MAGIC_MASK;
    }
    MountFlags::from_bits(flags).ok_or_else(|| Errno::EINVAL.because("flags are not known"))
}

fn read_options(cx: &Context<'_>, data: UserPtr<u8>) -> Result<alloc::vec::Vec<u8>> {
    let options = read_c_string(cx.memory(), data.address(), abi::PAGE_SIZE)?;
    options.ok_or_else(|| Errno::EINVAL.because("the options are too long"))
}

fn access(flags: MountFlags) -> MountAccess {
    match flags.contains(MountFlags::RDONLY) {
        true => MountAccess::ReadOnly,
        false => MountAccess::ReadWrite,
    }
}

/// The flags of the mount itself.
fn own_flags(flags: MountFlags) -> u64 {
    use MountFlags as M;
    let pairs = [
        (M::RDONLY, flag::ST_RDONLY),
        (M::NOSUID, flag::ST_NOSUID),
        (M::NODEV, flag::ST_NODEV),
        (M::NOEXEC, flag::ST_NOEXEC),
        (M::NOSYMFOLLOW, flag::ST_NOSYMFOLLOW),
        (M::NOATIME, flag::ST_NOATIME),
        (M::NODIRATIME, flag::ST_NODIRATIME),
    ];
    let set = pairs.iter().filter(|(mount, _)| flags.contains(*mount));
    let own = set.fold(0, |own, (_, bit)| own | bit);
    let relative = !flags.intersects(M::NOATIME | M::STRICTATIME);
    if relative { own | flag::ST_RELATIME } else { own }
}

/// pivot_root(2).
///
/// # Differences from Linux
/// The root that the machine began with cannot be replaced, as where it is an initramfs.
pub(crate) fn pivot_root(cx: &Context<'_>, new: UserPath, old: UserPath) -> Result<()> {
    check_move(cx)?;
    let directory = |path: UserPath| -> Result<Location> {
        let found = path::resolve(cx, Fd(AT_FDCWD), path.read(cx)?, Follow::Last)?;
        if found.is_directory() {
            return Ok(found);
        }
        Err(Errno::ENOTDIR.because("not a directory"))
    };
    let (new, old) = (directory(new)?, directory(old)?);
    let root = cx.paths().root();
    cx.mounts().pivot(&root, &new, &old)?;
    for process in cx.system.processes.all() {
        process.paths.pivot(&root, &new);
        process.threads().iter().for_each(|thread| thread.paths().pivot(&root, &new));
    }
    cx.paths().pivot(&root, &new);
    Ok(())
}

/// `MS_REMOUNT`: the flags of the mount, and without `MS_BIND` also of the file system.
fn remount(cx: &Context<'_>, target: &Location, flags: MountFlags, options: &[u8]) -> Result<()> {
    const TIMES: u64 = flag::ST_NOATIME | flag::ST_NODIRATIME | flag::ST_RELATIME;
    let mount = &target.mount;
    if !target.is_mount_root() || !cx.mounts().has(mount) {
        return Err(Errno::EINVAL.because("nothing is mounted there, or not here"));
    }
    let mut own = own_flags(flags);
    if !flags.intersects(MountFlags::ACCESS_TIMES) {
        own = own & !TIMES | mount.own_flags() & TIMES;
    }
    mount.check_flags(own)?;
    if !flags.contains(MountFlags::BIND) {
        mount.super_block().check_privilege(&cx.credentials())?;
        mount.file_system().remount(options)?;
        mount.super_block().set_access(access(flags))?;
    }
    mount.set_flags(own)
}

/// Says what becomes of mounts on a mount, and with `MS_REC` on those below it.
fn propagate(cx: &Context<'_>, target: &Location, flags: MountFlags) -> Result<()> {
    use MountFlags as M;
    let kind = flags.intersection(M::PROPAGATION);
    let others = flags.difference(kind | M::REC | M::SILENT);
    if kind.bits().count_ones() != 1 || !others.is_empty() || !target.is_mount_root() {
        return Err(Errno::EINVAL.because("more than one kind, or nothing is mounted there"));
    }
    let mounts = cx.mounts();
    mounts.check_own_or_anonymous(&target.mount)?;
    let propagation = propagation(kind)?;
    let which = match flags.contains(M::REC) {
        true => mounts.all_below(&target.mount),
        false => alloc::vec![target.mount.clone()],
    };
    which.iter().for_each(|mount| mounts.set_propagation(mount, propagation));
    Ok(())
}

/// What one of the flags says.
///
/// # Errors
/// `EINVAL` for none of them, or more than one.
pub(super) fn propagation(flags: MountFlags) -> Result<Propagation> {
    use MountFlags as M;
    Ok(match flags {
        M::UNBINDABLE => Propagation::Unbindable,
        M::PRIVATE => Propagation::Private,
        M::SLAVE => Propagation::Slave,
        M::SHARED => Propagation::Shared,
        _ => return Err(Errno::EINVAL.because("no kind of propagation, or more than one")),
    })
}

/// umount2(2).
///
/// # Differences from Linux
/// The root file system of the machine cannot be detached.
pub(crate) fn umount2(cx: &Context<'_>, target: UserPath, flags: UnmountFlags) -> Result<()> {
    use UnmountFlags as U;
    if !U::all().contains(flags) {
        return Err(Errno::EINVAL.because("flags are not known"));
    }
    let follow = if flags.contains(U::NOFOLLOW) { Follow::NotLast } else { Follow::Last };
    let target = path::resolve(cx, Fd(AT_FDCWD), target.read(cx)?, follow)?.enter_mounts();
    check_privilege(cx)?;
    let how = match flags.difference(U::NOFOLLOW) {
        U::EXPIRE => Unmount::Expired,
        flags if flags.contains(U::EXPIRE) => {
            return Err(Errno::EINVAL.because("MNT_EXPIRE goes alone"));
        }
        flags if flags.contains(U::DETACH) => Unmount::Detached,
        _ => Unmount::Unused,
    };
    if target.is_mount_root() {
        landlock::check_mounts(cx)?;
    }
    let is_root = Arc::ptr_eq(&target.mount, &cx.paths().root().mount);
    if how == Unmount::Unused && is_root && target.is_mount_root() {
        target.mount.super_block().check_privilege(&cx.credentials())?;
        return target.mount.super_block().set_access(MountAccess::ReadOnly);
    }
    cx.mounts().unmount(target, how)
}

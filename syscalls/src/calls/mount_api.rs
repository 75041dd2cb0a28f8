//! Mounting step by step: fsopen(2), fsconfig(2), fsmount(2), fspick(2), move_mount(2),
//! open_tree(2), mount_setattr(2).

use alloc::sync::Arc;
use alloc::vec::Vec;

use abi::Errno;
use abi::fs::mount_api::{MountAttr, MountAttributes, MoveMountFlags, fsconfig as command};
use abi::fs::{AT_FDCWD, MountFlags, OpenFlags, mount_flags as flag};
use zerocopy::FromBytes;

use crate::context::Context;
use crate::error::{Because, Error, Result};
use crate::fs::mount_setup::{MountSetup, OpenSetup};
use crate::fs::mount_table::Depth;
use crate::fs::open::{How, open_location, open_tree as open_mounts};
use crate::fs::path::{self, Follow};
use crate::fs::{Fd, Location, Mount, OnExec, OpenFile};
use crate::user::{UserPath, UserPtr, read_c_string};

use super::mount::{check_move, check_privilege, propagation};
use super::open::add;

/// `FSOPEN_CLOEXEC`, `FSMOUNT_CLOEXEC` and `FSPICK_CLOEXEC`.
const CLOEXEC: u32 = 1;

/// Longest key and value of an option, in bytes.
const STRING_MAX: usize = 256;

fn unknown_flags() -> Error {
    Errno::EINVAL.because("flags are not known")
}

fn on_exec(flags: u32, closes: u32) -> OnExec {
    if flags & closes != 0 { OnExec::Close } else { OnExec::Keep }
}

/// fsopen(2).
///
/// # Differences from Linux
/// No messages can be read. Types as for mount(2).
pub(crate) fn fsopen(cx: &Context<'_>, name: UserPath, flags: u32) -> Result<i32> {
    check_privilege(cx)?;
    if flags & !CLOEXEC != 0 {
        return Err(unknown_flags());
    }
    add_setup(cx, MountSetup::create(name.read(cx)?)?, on_exec(flags, CLOEXEC))
}

fn add_setup(cx: &Context<'_>, setup: Arc<MountSetup>, on_exec: OnExec) -> Result<i32> {
    let open = OpenFile::new(Arc::new(OpenSetup(setup)), OpenFlags::RDWR);
    add(cx, Arc::new(open), 0, on_exec)
}

/// fspick(2).
///
/// # Differences from Linux
/// As [`fsopen`].
pub(crate) fn fspick(cx: &Context<'_>, directory: Fd, file: UserPath, flags: u32) -> Result<i32> {
    const NOFOLLOW: u32 = 2;
    const EMPTY_PATH: u32 = 8;
    check_privilege(cx)?;
    if flags & !0xf != 0 {
        return Err(unknown_flags());
    }
    let follow = if flags & NOFOLLOW != 0 { Follow::NotLast } else { Follow::Last };
    let found = place(cx, directory, file, follow, flags & EMPTY_PATH != 0)?;
    if !found.is_mount_root() {
        return Err(Errno::EINVAL.because("nothing is mounted there"));
    }
    add_setup(cx, MountSetup::pick(found.mount.super_block()), on_exec(flags, CLOEXEC))
}

/// The place of a path, or of the descriptor where it may be empty and is.
fn place(
    cx: &Context<'_>,
    directory: Fd,
    file: UserPath,
    follow: Follow,
    may_be_empty: bool,
) -> Result<Location> {
    let file = file.read(cx)?;
    if file.is_empty() && may_be_empty {
        return path::base(cx, directory);
    }
    path::resolve(cx, directory, file, follow)
}

/// fsconfig(2).
///
/// # Differences from Linux
/// No type of file system takes descriptors, paths or binary values.
pub(crate) fn fsconfig(
    cx: &Context<'_>,
    fd: Fd,
    number: u32,
    key: UserPath,
    value: UserPtr<u8>,
    auxiliary: i32,
) -> Result<()> {
    if fd.0 < 0 {
        return Err(Errno::EINVAL.because("the descriptor is negative"));
    }
    check_arguments(number, !key.is_null(), !value.is_null(), auxiliary)?;
    let setup = setup(cx, fd)?;
    match number {
        command::CMD_CREATE | command::CMD_CREATE_EXCL => {
            check_privilege(cx)?;
            setup.finish(cx)
        }
        command::CMD_RECONFIGURE => {
            check_move(cx)?;
            setup.change(cx)
        }
        _ => {
            let key = short_string(cx, key.address())?;
            match number {
                command::SET_FLAG => setup.set(&key, None),
                command::SET_STRING => {
                    let value = short_string(cx, value.address())?;
                    setup.set(&key, Some(&value))
                }
                // Of what every file system takes, nothing has a value.
                _ if MountSetup::is_flag(&key) => setup.set(&key, None),
                _ => Err(Errno::EINVAL.because("no option has such a value")),
            }
        }
    }
}

fn check_arguments(number: u32, has_key: bool, has_value: bool, auxiliary: i32) -> Result<()> {
    /// Longest binary value, in bytes.
    const BINARY_MAX: i32 = 1024 * 1024;
    let fits = match number {
        command::SET_FLAG => has_key && !has_value && auxiliary == 0,
        command::SET_STRING => has_key && has_value && auxiliary == 0,
        command::SET_BINARY => has_key && has_value && (1..=BINARY_MAX).contains(&auxiliary),
        command::SET_PATH | command::SET_PATH_EMPTY => {
            has_key && has_value && (auxiliary == AT_FDCWD || auxiliary >= 0)
        }
        command::SET_FD => has_key && !has_value && auxiliary >= 0,
        command::CMD_CREATE | command::CMD_CREATE_EXCL | command::CMD_RECONFIGURE => {
            !has_key && !has_value && auxiliary == 0
        }
        _ => return Err(Errno::EOPNOTSUPP.because("the command is not known")),
    };
    if fits {
        return Ok(());
    }
    Err(Errno::EINVAL.because("the arguments do not fit the command"))
}

fn short_string(cx: &Context<'_>, address: u64) -> Result<Vec<u8>> {
    let string = read_c_string(cx.memory(), address, STRING_MAX)?;
    string.ok_or_else(|| Errno::EINVAL.because("the string is too long"))
}

fn setup(cx: &Context<'_>, fd: Fd) -> Result<Arc<MountSetup>> {
    let open = cx.files().get(fd)?;
    let setup = open.file.mount_setup().cloned();
    setup.ok_or_else(|| Errno::EINVAL.because("not a descriptor of fsopen or fspick"))
}

/// The flags of a mount that these attributes are.
///
/// # Errors
/// `EINVAL` for more than one way to update access times.
fn own_flags(attributes: MountAttributes) -> Result<u64> {
    use MountAttributes as A;
    let times = match attributes & A::ATIME {
        times if times.is_empty() => flag::ST_RELATIME,
        A::NOATIME => flag::ST_NOATIME,
        A::STRICTATIME => 0,
        _ => return Err(Errno::EINVAL.because("more than one kind of access times")),
    };
    let set = PAIRS.iter().filter(|(attribute, _)| attributes.contains(*attribute));
    Ok(set.fold(times, |flags, (_, bit)| flags | bit))
}

const PAIRS: [(MountAttributes, u64); 6] = [
    (MountAttributes::RDONLY, flag::ST_RDONLY),
    (MountAttributes::NOSUID, flag::ST_NOSUID),
    (MountAttributes::NODEV, flag::ST_NODEV),
    (MountAttributes::NOEXEC, flag::ST_NOEXEC),
    (MountAttributes::NOSYMFOLLOW, flag::ST_NOSYMFOLLOW),
    (MountAttributes::NODIRATIME, flag::ST_NODIRATIME),
];

/// The attributes that the flags of a mount are.
pub(super) fn attributes(flags: u64) -> MountAttributes {
    use MountAttributes as A;
    let times = match flags & (flag::ST_NOATIME | flag::ST_RELATIME) {
        0 => A::STRICTATIME,
        flag::ST_RELATIME => A::empty(),
        _ => A::NOATIME,
    };
    let set = PAIRS.iter().filter(|(_, bit)| flags & bit != 0);
    set.fold(times, |attributes, (attribute, _)| attributes | *attribute)
}

/// fsmount(2).
///
/// # Differences from Linux
/// None.
pub(crate) fn fsmount(cx: &Context<'_>, fd: Fd, flags: u32, attributes: u32) -> Result<i32> {
    check_privilege(cx)?;
    if flags & !CLOEXEC != 0 {
        return Err(unknown_flags());
    }
    let attributes = MountAttributes::from_bits(attributes.into()).ok_or_else(unknown_flags)?;
    let own = own_flags(attributes)?;
    let super_block = setup(cx, fd)?.take()?;
    let tree = cx.mounts().detached(&super_block, own);
    add(cx, open_mounts(tree)?, 0, on_exec(flags, CLOEXEC))
}

/// move_mount(2).
///
/// # Differences from Linux
/// `MOVE_MOUNT_SET_GROUP` is refused.
pub(crate) fn move_mount(
    cx: &Context<'_>,
    from: Fd,
    from_path: UserPath,
    to: Fd,
    to_path: UserPath,
    flags: u32,
) -> Result<()> {
    use MoveMountFlags as F;
    check_move(cx)?;
    let flags = F::from_bits(flags).ok_or_else(unknown_flags)?;
    if flags.contains(F::SET_GROUP) {
        return Err(Errno::EINVAL.because("groups are not set this way"));
    }
    let follow = |last: F| if flags.contains(last) { Follow::Last } else { Follow::NotLast };
    let source = flags.contains(F::F_EMPTY_PATH);
    let source = place(cx, from, from_path, follow(F::F_SYMLINKS), source)?;
    let target = flags.contains(F::T_EMPTY_PATH);
    let target = place(cx, to, to_path, follow(F::T_SYMLINKS), target)?;
    match flags.contains(F::BENEATH) {
        true => cx.mounts().move_beneath(&source, &target),
        false => cx.mounts().move_to(&source, target),
    }
}

/// Flags of open_tree(2) and mount_setattr(2).
const SYMLINK_NOFOLLOW: u32 = 0x100;
const NO_AUTOMOUNT: u32 = 0x800;
const EMPTY_PATH: u32 = 0x1000;
const RECURSIVE: u32 = 0x8000;
const TREE_CLONE: u32 = 1;
const TREE_CLOEXEC: u32 = 0x8_0000;
const LOOKUP: u32 = SYMLINK_NOFOLLOW | NO_AUTOMOUNT | EMPTY_PATH | RECURSIVE;

fn tree_place(cx: &Context<'_>, directory: Fd, file: UserPath, flags: u32) -> Result<Location> {
    let follow = if flags & SYMLINK_NOFOLLOW != 0 { Follow::NotLast } else { Follow::Last };
    place(cx, directory, file, follow, flags & EMPTY_PATH != 0)
}

/// open_tree(2).
///
/// # Differences from Linux
/// None.
pub(crate) fn open_tree(
    cx: &Context<'_>,
    directory: Fd,
    file: UserPath,
    flags: u32,
) -> Result<i32> {
    let open = open_place(cx, directory, file, flags)?;
    add(cx, open, 0, on_exec(flags, TREE_CLOEXEC))
}

fn open_place(
    cx: &Context<'_>,
    directory: Fd,
    file: UserPath,
    flags: u32,
) -> Result<Arc<OpenFile>> {
    let clones = flags & TREE_CLONE != 0;
    let known = LOOKUP | TREE_CLONE | TREE_CLOEXEC;
    if flags & !known != 0 || flags & RECURSIVE != 0 && !clones {
        return Err(unknown_flags());
    }
    if clones {
        check_privilege(cx)?;
    }
    let found = tree_place(cx, directory, file, flags)?;
    if !clones {
        return open_location(cx, found, How::existing(OpenFlags::PATH));
    }
    let depth = if flags & RECURSIVE != 0 { Depth::All } else { Depth::One };
    open_mounts(cx.mounts().detached_copy(&found, depth)?)
}

/// open_tree_attr(2).
///
/// # Differences from Linux
/// As [`mount_setattr`].
pub(crate) fn open_tree_attr(
    cx: &Context<'_>,
    directory: Fd,
    file: UserPath,
    flags: u32,
    attributes: UserPtr<u8>,
    size: usize,
) -> Result<i32> {
    let open = open_place(cx, directory, file, flags)?;
    if !attributes.is_null() || size != 0 {
        let change = read_change(cx, attributes, size)?;
        apply(cx, open.location(), &change, flags & RECURSIVE != 0)?;
    }
    add(cx, open, 0, on_exec(flags, TREE_CLOEXEC))
}

/// mount_setattr(2).
///
/// # Differences from Linux
/// Mounts whose users are mapped are refused.
pub(crate) fn mount_setattr(
    cx: &Context<'_>,
    directory: Fd,
    file: UserPath,
    flags: u32,
    attributes: UserPtr<u8>,
    size: usize,
) -> Result<()> {
    if flags & !LOOKUP != 0 {
        return Err(unknown_flags());
    }
    let change = read_change(cx, attributes, size)?;
    if (change.attr_set, change.attr_clr, change.propagation) == (0, 0, 0) {
        return Ok(());
    }
    check_change(&change)?;
    let found = tree_place(cx, directory, file, flags)?;
    apply(cx, &found, &change, flags & RECURSIVE != 0)
}

fn read_change(cx: &Context<'_>, from: UserPtr<u8>, size: usize) -> Result<MountAttr> {
    const LEN: usize = size_of::<MountAttr>();
    if size > abi::PAGE_SIZE {
        return Err(Errno::E2BIG.because("the structure is too long"));
    }
    if size < LEN {
        return Err(Errno::EINVAL.because("the structure is too short"));
    }
    check_privilege(cx)?;
    let bytes = from.read_array(cx, size)?;
    if bytes[LEN..].iter().any(|&byte| byte != 0) {
        return Err(Errno::E2BIG.because("the structure has fields that are not known"));
    }
    MountAttr::read_from_bytes(&bytes[..LEN]).map_err(|_| Errno::EINVAL.into())
}

/// What the flags of mounts become.
fn check_change(change: &MountAttr) -> Result<(MountAttributes, MountAttributes)> {
    let known = |bits| MountAttributes::from_bits(bits).ok_or_else(unknown_flags);
    let (set, clear) = (known(change.attr_set)?, known(change.attr_clr)?);
    let times = MountAttributes::ATIME;
    let all_or_none = clear & times;
    if !all_or_none.is_empty() && all_or_none != times
        || set.intersects(times) && all_or_none.is_empty()
    {
        return Err(Errno::EINVAL.because("access times are cleared as a whole"));
    }
    if change.propagation != 0 {
        let flags = u32::try_from(change.propagation).map_err(|_| unknown_flags())?;
        propagation(MountFlags::from_bits_retain(flags))?;
    }
    Ok((set, clear))
}

fn apply(cx: &Context<'_>, found: &Location, change: &MountAttr, all: bool) -> Result<()> {
    let (set, clear) = check_change(change)?;
    if !found.is_mount_root() {
        return Err(Errno::EINVAL.because("nothing is mounted there"));
    }
    cx.mounts().check_own_or_anonymous(&found.mount)?;
    let home = found.mount.table();
    let home = home.ok_or_else(|| Errno::EINVAL.because("it is not mounted any more"))?;
    let mounts = match all {
        true => home.all_below(&found.mount),
        false => alloc::vec![found.mount.clone()],
    };
    let flags = |mount: &Mount| {
        let new = attributes(mount.own_flags()).difference(clear) | set;
        own_flags(new)
    };
    let mut done: Vec<(&Arc<Mount>, u64)> = Vec::new();
    for mount in &mounts {
        let (old, new) = (mount.own_flags(), flags(mount)?);
        if let Err(error) = mount.set_flags(new) {
            // All of them, or none.
            for (mount, old) in done {
                let _ = mount.set_flags(old);
            }
            return Err(error);
        }
        done.push((mount, old));
    }
    if change.propagation != 0 {
        let kind = propagation(MountFlags::from_bits_retain(change.propagation as u32))?;
        mounts.iter().for_each(|mount| home.set_propagation(mount, kind));
    }
    Ok(())
}

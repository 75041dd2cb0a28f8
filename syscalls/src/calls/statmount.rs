//! What mounts are: statmount(2), listmount(2).

use alloc::sync::Arc;
use alloc::vec::Vec;

use abi::Errno;
use abi::fs::MountFlags;
use abi::fs::mount_api::{LSMT_ROOT, MountIdRequest, Statmount, StatmountMask};
use zerocopy::{FromBytes, FromZeros, IntoBytes};

use crate::context::Context;
use crate::error::{Because, Error, Result};
use crate::fs::mount_table::UNIQUE_BASE;
use crate::fs::{Fd, Location, Mount};
use crate::process::Capability;
use crate::user::UserPtr;

use super::mount_api::attributes;

/// Length of the first request, in bytes.
const FIRST: usize = size_of::<MountIdRequest>();

fn read_request(cx: &Context<'_>, from: UserPtr<u8>) -> Result<MountIdRequest> {
    let size: u32 = UserPtr::new(from.address()).read(cx)?;
    let size = size as usize;
    if size > abi::PAGE_SIZE {
        return Err(Errno::E2BIG.because("the structure is too long"));
    }
    if size < FIRST {
        return Err(Errno::EINVAL.because("the structure is too short"));
    }
    let bytes = from.read_array(cx, size)?;
    if bytes[FIRST..].iter().any(|&byte| byte != 0) {
        return Err(Errno::E2BIG.because("other namespaces cannot be asked for"));
    }
    let request = MountIdRequest::read_from_bytes(&bytes[..FIRST]);
    let request = request.map_err(|_| Error::from(Errno::EINVAL))?;
    if request.mnt_ns_fd != 0 {
        cx.files().get(Fd(request.mnt_ns_fd as i32))?;
        return Err(Errno::EINVAL.because("not a descriptor of a namespace"));
    }
    if request.mnt_id <= UNIQUE_BASE {
        return Err(Errno::EINVAL.because("no mount has such a number"));
    }
    Ok(request)
}

fn find(cx: &Context<'_>, id: u64) -> Result<Arc<Mount>> {
    let found = cx.mounts().mounts().into_iter().find(|mount| mount.unique_id() == id);
    found.ok_or_else(|| Errno::ENOENT.because("there is no such mount"))
}

fn top_of(mount: &Arc<Mount>) -> Location {
    Location { dentry: mount.root().clone(), mount: mount.clone() }
}

/// Whoever cannot reach a mount by a path must be privileged.
fn check_reachable(cx: &Context<'_>, place: &Location, root: &Location) -> Result<()> {
    let owner = cx.mounts().owner();
    let privileged = cx.credentials().has_in(Capability::SysAdmin, &owner);
    if privileged || place.path_below(root).is_some() {
        return Ok(());
    }
    Err(Errno::EPERM.because("the mount does not lie below the root directory"))
}

/// listmount(2).
///
/// # Differences from Linux
/// Only of the namespace of the caller.
pub(crate) fn listmount(
    cx: &Context<'_>,
    request: UserPtr<u8>,
    to: UserPtr<u64>,
    count: usize,
    flags: u32,
) -> Result<usize> {
    /// `LISTMOUNT_REVERSE`.
    const REVERSE: u32 = 1;
    /// Most numbers at a time.
    const COUNT_MAX: usize = 1_000_000;
    if flags & !REVERSE != 0 {
        return Err(Errno::EINVAL.because("flags are not known"));
    }
    if count > COUNT_MAX {
        return Err(Errno::EOVERFLOW.because("too many numbers"));
    }
    let request = read_request(cx, request)?;
    let last = request.param;
    if last != 0 && last <= UNIQUE_BASE {
        return Err(Errno::EINVAL.because("no mount has such a number"));
    }
    let root = cx.paths().root();
    let top = match request.mnt_id {
        LSMT_ROOT => root.clone(),
        id => top_of(&find(cx, id)?),
    };
    check_reachable(cx, &top, &root)?;
    let mut ids: Vec<u64> = cx
        .mounts()
        .mounts()
        .iter()
        .filter(|mount| top_of(mount).path_below(&top).is_some())
        .map(|mount| mount.unique_id())
        .filter(|&id| id != request.mnt_id)
        .collect();
    ids.sort_unstable();
    if flags & REVERSE != 0 {
        ids.reverse();
        ids.retain(|&id| last == 0 || id < last);
    } else {
        ids.retain(|&id| id > last);
    }
    ids.truncate(count);
    cx.memory().write(to.address(), ids.as_bytes())?;
    Ok(ids.len())
}

/// statmount(2).
///
/// # Differences from Linux
/// Only of the namespace of the caller; no subtypes, options as arrays, or maps of users.
pub(crate) fn statmount(
    cx: &Context<'_>,
    request: UserPtr<u8>,
    to: UserPtr<u8>,
    size: usize,
    flags: u32,
) -> Result<()> {
    if flags != 0 {
        return Err(Errno::EINVAL.because("flags are not known"));
    }
    let request = read_request(cx, request)?;
    let mount = find(cx, request.mnt_id)?;
    let root = cx.paths().root();
    check_reachable(cx, &top_of(&mount), &root)?;
    let mask = StatmountMask::from_bits_truncate(request.param);
    let mut answer = Answer { fields: Statmount::new_zeroed(), strings: Vec::new() };
    answer.fields.mask = mask.bits();
    answer.put_numbers(cx, &mount, mask);
    answer.put_strings(&mount, &root, mask)?;
    let Answer { mut fields, strings } = answer;
    const LEN: usize = size_of::<Statmount>();
    if !strings.is_empty() && size < LEN + strings.len() {
        return Err(Errno::EOVERFLOW.because("the buffer is too small"));
    }
    fields.size = (LEN + strings.len()) as u32;
    cx.memory().write(to.address(), &fields.as_bytes()[..LEN.min(size)])?;
    cx.memory().write(to.address().wrapping_add(LEN as u64), &strings)
}

struct Answer {
    fields: Statmount,
    strings: Vec<u8>,
}

impl Answer {
    fn put_numbers(&mut self, cx: &Context<'_>, mount: &Arc<Mount>, mask: StatmountMask) {
        let fields = &mut self.fields;
        if mask.contains(StatmountMask::SB_BASIC) {
            let device = mount.file_system().device();
            (fields.sb_dev_major, fields.sb_dev_minor) = (device.major, device.minor);
            fields.sb_magic = mount.file_system().usage().magic.into();
            let read_only = mount.super_block().is_read_only();
            fields.sb_flags = if read_only { MountFlags::RDONLY.bits() } else { 0 };
        }
        if mask.contains(StatmountMask::MNT_BASIC) {
            let parent = mount.point().map_or_else(|| mount.clone(), |point| point.mount);
            (fields.mnt_id, fields.mnt_id_old) = (mount.unique_id(), mount.id());
            (fields.mnt_parent_id, fields.mnt_parent_id_old) = (parent.unique_id(), parent.id());
            fields.mnt_attr = attributes(mount.own_flags()).bits();
            let (group, master) = (mount.peer_group(), mount.master());
            let kinds = [
                (group.is_some(), MountFlags::SHARED),
                (master.is_some(), MountFlags::SLAVE),
                (mount.is_unbindable(), MountFlags::UNBINDABLE),
            ];
            let kinds = kinds.into_iter().filter(|(is, _)| *is);
            let kinds = kinds.fold(MountFlags::empty(), |all, (_, kind)| all | kind);
            let kinds = if kinds.is_empty() { MountFlags::PRIVATE } else { kinds };
            fields.mnt_propagation = kinds.bits().into();
            fields.mnt_peer_group = group.map_or(0, |group| group.id());
            fields.mnt_master = master.map_or(0, |group| group.id());
        }
        if mask.contains(StatmountMask::PROPAGATE_FROM) {
            fields.propagate_from = mount.master().map_or(0, |group| group.id());
        }
        if mask.contains(StatmountMask::MNT_NS_ID) {
            fields.mnt_ns_id = cx.mounts().id();
        }
        if mask.contains(StatmountMask::SUPPORTED_MASK) {
            fields.supported_mask = StatmountMask::all().bits();
        }
    }

    fn put_strings(
        &mut self,
        mount: &Arc<Mount>,
        root: &Location,
        mask: StatmountMask,
    ) -> Result<()> {
        use StatmountMask as M;
        let file_system = mount.file_system();
        if mask.contains(M::FS_TYPE) {
            self.fields.fs_type = self.put(file_system.name().as_bytes())?;
        }
        if mask.contains(M::MNT_ROOT) {
            self.fields.mnt_root = self.put(&mount.root().path())?;
        }
        if mask.contains(M::MNT_POINT) {
            let path = top_of(mount).path_below(root).unwrap_or_default();
            self.fields.mnt_point = self.put(&path)?;
        }
        if mask.contains(M::MNT_OPTS) {
            let options = file_system.options();
            self.fields.mnt_opts = self.put(options.trim_start_matches(',').as_bytes())?;
        }
        if mask.contains(M::SB_SOURCE) {
            self.fields.sb_source = self.put(mount.source())?;
        }
        Ok(())
    }

    /// Adds a string; returns where it begins.
    fn put(&mut self, string: &[u8]) -> Result<u32> {
        let at = self.strings.len();
        self.strings.try_reserve(string.len() + 1).map_err(|_| Errno::ENOMEM)?;
        self.strings.extend_from_slice(string);
        self.strings.push(0);
        u32::try_from(at).map_err(|_| Errno::EOVERFLOW.because("the strings are too long"))
    }
}

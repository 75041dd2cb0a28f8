//! Block devices that are mounted.

use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;

use abi::Errno;
use abi::fs::block::loops::MAJOR;
use abi::fs::{AT_FDCWD, Device, FileType, mount_flags as flag};
use spin::Mutex;

use crate::context::Context;
use crate::error::{Because, Result};
use crate::process::Capability;

use super::Fd;
use super::ext::Ext;
use super::loops::{LoopDevice, LoopDevices, MountedLoop};
use super::mount::{MountAccess, SuperBlock};
use super::path::{self, Follow};

/// How many file systems on images may lie in one another.
const DEPTH_MAX: usize = 3;

/// The file systems of block devices that are mounted: each only once, however often.
#[derive(Default)]
pub(crate) struct Disks {
    /// In the order of mounting.
    mounted: Mutex<Vec<(Device, Weak<SuperBlock>)>>,
}

impl Disks {
    /// The last one first: an image may lie in a file system that was mounted before its own.
    fn all(&self) -> Vec<Arc<SuperBlock>> {
        let mounted = self.mounted.lock();
        mounted.iter().rev().filter_map(|(_, super_block)| super_block.upgrade()).collect()
    }

    /// Stores all that was written: sync(2).
    pub(crate) fn sync(&self) {
        for super_block in self.all() {
            if let Err(error) = super_block.file_system().sync() {
                log::warn!("what was written could not be stored: {}", error.reason);
            }
        }
    }

    /// The machine ends: all are unmounted.
    pub(crate) fn end(&self) {
        self.all().iter().for_each(|super_block| super_block.file_system().end());
    }

    fn known(&self, device: Device) -> Option<Arc<SuperBlock>> {
        let mounted = self.mounted.lock();
        let mut found = mounted.iter().rev().filter(|(known, _)| *known == device);
        found.find_map(|(_, super_block)| super_block.upgrade())
    }

    fn add(&self, device: Device, super_block: &Arc<SuperBlock>) {
        let mut mounted = self.mounted.lock();
        mounted.retain(|(_, super_block)| super_block.strong_count() > 0);
        mounted.push((device, Arc::downgrade(super_block)));
    }
}

/// The file system of type `kind` on the block device at the path `source`.
///
/// # Errors
/// Those of mount(2).
pub(super) fn mount(
    cx: &Context<'_>,
    kind: &[u8],
    source: &[u8],
    (access, options): (MountAccess, &[u8]),
) -> Result<Arc<SuperBlock>> {
    if !cx.credentials().has(Capability::SysAdmin) {
        return Err(Errno::EPERM.because("mounting devices needs CAP_SYS_ADMIN"));
    }
    let device = block_device(cx, source)?;
    let vfs = &cx.system.vfs;
    if let Some(mounted) = vfs.disks.known(device) {
        let read_only = access == MountAccess::ReadOnly;
        let same = mounted.file_system().name().as_bytes() == kind;
        if !same || mounted.is_read_only() != read_only {
            return Err(Errno::EBUSY.because("the device is mounted in another way"));
        }
        return Ok(mounted);
    }
    let number = (device.major == MAJOR).then_some(device.minor);
    let disk = number.and_then(|number| vfs.loops.get(number));
    let disk = disk.ok_or_else(|| Errno::ENXIO.because("there is no such device"))?;
    check_depth(&vfs.loops, &disk)?;
    let storage = MountedLoop::open(&cx.system.machine, disk)?;
    let root = Ext::mount(&cx.system.machine, kind, device, storage, (access, options))?;
    let super_block = SuperBlock::new(root, source);
    super_block.tell_of_end(cx.system);
    super_block.set_access(access)?;
    vfs.disks.add(device, &super_block);
    Ok(super_block)
}

/// Fails where the image in `disk` lies in an image, and so on, too often: each has a part of
/// the stack while something is written.
fn check_depth(loops: &LoopDevices, disk: &Arc<LoopDevice>) -> Result<()> {
    let mut disk = disk.clone();
    for _ in 0..DEPTH_MAX {
        let Ok(binding) = disk.binding() else { return Ok(()) };
        let below = binding.file.file.inode().file_system().device();
        match loops.get(below.minor).filter(|_| below.major == MAJOR) {
            Some(next) => disk = next,
            None => return Ok(()),
        }
    }
    Err(Errno::ELOOP.because("too many images lie in one another"))
}

fn block_device(cx: &Context<'_>, source: &[u8]) -> Result<Device> {
    if source.is_empty() {
        return Err(Errno::EINVAL.because("there is no source"));
    }
    let found = path::resolve(cx, Fd(AT_FDCWD), source.to_vec(), Follow::Last)?;
    if found.inode().kind() != FileType::BlockDevice {
        return Err(Errno::ENOTBLK.because("not a block device"));
    }
    if found.mount.has(flag::ST_NODEV) {
        return Err(Errno::EACCES.because("devices of this mount are not used"));
    }
    Ok(found.inode().metadata()?.device)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::kit;

    #[test]
    fn what_was_mounted_last_ends_first_whatever_its_number() {
        let kit = kit::process();
        let cx = kit.context();
        let root = cx.system.vfs.dev().root().inode().clone();
        let disks = Disks::default();
        let mounted: Vec<_> = [3, 0, 1].map(|_| SuperBlock::new(root.clone(), b"")).into();
        for (number, super_block) in [3, 0, 1].into_iter().zip(&mounted) {
            disks.add(Device::new(MAJOR, number), super_block);
        }
        let all = disks.all();
        assert!(all.iter().zip(mounted.iter().rev()).all(|(one, other)| Arc::ptr_eq(one, other)));
        assert!(Arc::ptr_eq(&disks.known(Device::new(MAJOR, 0)).unwrap(), &mounted[1]));
    }
}

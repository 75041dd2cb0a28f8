//! Loop devices: files as block devices, loop(4).
//!
//! - [`LoopDevices`]: those of a system, by number; `/dev/loop-control` makes and removes them
//! - `LoopDevice`: one of them, which may be bound to a file
//! - `OpenLoop`: what open(2) makes of `/dev/loopN`
//! - `MountedLoop`: a device that a file system is on
//! - `requests`: what ioctl(2) does to it

mod control;
mod device;
mod open;
mod requests;
mod storage;
#[cfg(test)]
mod tests;

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;

use abi::Errno;
use abi::fs::block::SECTOR_SIZE;
use abi::fs::block::loops::{CONTROL_MAJOR, CONTROL_MINOR, MAJOR};
use abi::fs::{Device, FileType, Mode, OpenFlags};
use spin::Mutex;

use crate::context::Context;
use crate::error::{Because, Result};

use super::device::Driver;
use super::file::File;
use super::inode::{Inode, NewInode, NewKind};
use super::vfs::Vfs;

pub(super) use device::LoopDevice;
use open::OpenLoop;
pub(super) use storage::MountedLoop;

/// Group that may use disks, as distributions number it.
const DISK_GROUP: u32 = 6;

/// Largest number of a loop device: that of a minor number.
const NUMBER_MAX: u32 = (1 << 20) - 1;

/// The loop devices of a system.
#[derive(Default)]
pub struct LoopDevices {
    devices: Mutex<BTreeMap<u32, Arc<LoopDevice>>>,
}

impl LoopDevices {
    /// All of them, by number.
    pub(super) fn all(&self) -> Vec<Arc<LoopDevice>> {
        self.devices.lock().values().cloned().collect()
    }

    /// The one with this number.
    pub(super) fn get(&self, number: u32) -> Option<Arc<LoopDevice>> {
        self.devices.lock().get(&number).cloned()
    }

    /// How transfers past all caches have to be aligned: in memory, and on the device.
    pub(crate) fn direct_alignment(&self, device: Device) -> Option<[u32; 2]> {
        let bound = self.get(device.minor).filter(|_| device.major == MAJOR)?.binding().ok();
        let block_size = bound.map_or(SECTOR_SIZE as u32, |binding| binding.shape.block_size);
        Some([SECTOR_SIZE as u32, block_size])
    }

    /// Makes the one with this number, or with the first free one, and its node in /dev.
    ///
    /// # Errors
    /// `EEXIST`; `EINVAL` for a number that no minor number can be; `ENOSPC`.
    fn add(&self, vfs: &Vfs, number: Option<u32>) -> Result<Arc<LoopDevice>> {
        let mut devices = self.devices.lock();
        let number = match number {
            Some(number) => number,
            None => (0..).zip(devices.keys()).take_while(|(at, key)| at == *key).count() as u32,
        };
        if number > NUMBER_MAX {
            return Err(Errno::EINVAL.because("no device has such a number"));
        }
        if devices.contains_key(&number) {
            return Err(Errno::EEXIST.because("the loop device exists"));
        }
        let device = Arc::new(LoopDevice::new(number));
        let kind = NewKind::Special(FileType::BlockDevice, Device::new(MAJOR, number));
        let mode = Mode::from_bits_retain(0o660);
        let node = NewInode { kind, mode, owner: 0, group: DISK_GROUP };
        match vfs.dev().root().inode().create(format!("loop{number}").as_bytes(), &node) {
            // Somebody has made the node by hand.
            Err(error) if error.errno == Errno::EEXIST => {}
            other => drop(other?),
        }
        devices.insert(number, device.clone());
        Ok(device)
    }

    /// Removes the one with this number, and its node in /dev.
    ///
    /// # Errors
    /// `ENODEV`; `EBUSY` while it is open or bound.
    fn remove(&self, vfs: &Vfs, number: u32) -> Result<()> {
        let mut devices = self.devices.lock();
        let device = devices.get(&number);
        let device = device.ok_or_else(|| Errno::ENODEV.because("there is no such device"))?;
        device.check_unused()?;
        devices.remove(&number);
        drop(devices);
        let name = format!("loop{number}");
        let dev = vfs.dev().root();
        // Whoever has removed the node by hand has done the same.
        let _ = dev.inode().unlink(name.as_bytes());
        dev.remove_child(name.as_bytes());
        Ok(())
    }

    /// One that is not bound; it is made where there is none.
    fn free(&self, vfs: &Vfs) -> Result<Arc<LoopDevice>> {
        match self.all().into_iter().find(|device| device.is_free()) {
            Some(device) => Ok(device),
            None => self.add(vfs, None),
        }
    }
}

/// Puts the drivers into `vfs`, and `/dev/loop-control` into its /dev.
///
/// # Errors
/// `EEXIST`; `ENOSPC`.
pub(super) fn register(vfs: &Vfs) -> Result<()> {
    vfs.devices.register_major(FileType::BlockDevice, MAJOR, Arc::new(LoopDriver));
    let device = Device::new(CONTROL_MAJOR, CONTROL_MINOR);
    let mode = Mode::from_bits_retain(0o660);
    vfs.add_device("loop-control", mode, device, Arc::new(control::ControlDriver))
}

/// What is behind `/dev/loopN`. As on Linux, a node that was made by hand makes the device.
struct LoopDriver;

impl Driver for LoopDriver {
    fn open(
        &self,
        cx: &Context<'_>,
        inode: Arc<dyn Inode>,
        device: Device,
        flags: OpenFlags,
    ) -> Result<Arc<dyn File>> {
        let vfs = &cx.system.vfs;
        let device = match vfs.loops.get(device.minor) {
            Some(device) => device,
            None => vfs.loops.add(vfs, Some(device.minor))?,
        };
        Ok(Arc::new(OpenLoop::new(inode, device, flags.access_mode())?))
    }
}

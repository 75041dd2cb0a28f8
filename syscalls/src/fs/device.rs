//! Device nodes: which driver stands behind a number.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;

use abi::Errno;
use abi::fs::{Device, FileType, OpenFlags};
use spin::Mutex;

use crate::context::Context;
use crate::error::{Because, Result};

use super::file::File;
use super::inode::Inode;

/// What stands behind the nodes of a device, or behind all FIFOs.
pub trait Driver: Send + Sync {
    /// Opens `inode`, which is a node of `device`.
    ///
    /// # Errors
    /// Those of open(2).
    fn open(
        &self,
        cx: &Context<'_>,
        inode: Arc<dyn Inode>,
        device: Device,
        flags: OpenFlags,
    ) -> Result<Arc<dyn File>>;
}

/// All drivers. FIFOs have one too, under the default [`Device`].
#[derive(Default)]
pub struct DeviceTable {
    drivers: Mutex<BTreeMap<(u16, Device), Arc<dyn Driver>>>,
    /// Drivers of all minor numbers that have none of their own.
    majors: Mutex<BTreeMap<(u16, u32), Arc<dyn Driver>>>,
}

impl DeviceTable {
    /// A table without drivers.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts `driver` behind all nodes of `kind` and `device`.
    pub fn register(&self, kind: FileType, device: Device, driver: Arc<dyn Driver>) {
        self.drivers.lock().insert(key(kind, device), driver);
    }

    /// Puts `driver` behind all nodes of `kind` and the major number `major` that have none of
    /// their own.
    pub fn register_major(&self, kind: FileType, major: u32, driver: Arc<dyn Driver>) {
        self.majors.lock().insert((kind as u16, major), driver);
    }

    fn driver(&self, kind: FileType, device: Device) -> Option<Arc<dyn Driver>> {
        let own = self.drivers.lock().get(&key(kind, device)).cloned();
        own.or_else(|| self.majors.lock().get(&(kind as u16, device.major)).cloned())
    }

    /// Opens the node `inode`.
    ///
    /// # Errors
    /// `ENXIO` when there is no driver; those of [`Driver::open`].
    pub fn open(
        &self,
        cx: &Context<'_>,
        inode: Arc<dyn Inode>,
        kind: FileType,
        device: Device,
        flags: OpenFlags,
    ) -> Result<Arc<dyn File>> {
        let driver = self.driver(kind, device);
        let driver = driver.ok_or_else(|| Errno::ENXIO.because("no driver for the device"))?;
        driver.open(cx, inode, device, flags)
    }
}

fn key(kind: FileType, device: Device) -> (u16, Device) {
    let device = if kind.is_device() { device } else { Device::default() };
    (kind as u16, device)
}

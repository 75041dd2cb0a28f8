//! The tree of a system as a whole, and how it is put together at boot.

use alloc::sync::Arc;
use core::sync::atomic::{AtomicU32, Ordering};

use abi::Errno;
use abi::fs::{Device, FileType, Mode, mount_flags};

use crate::error::{Because, Result};
use crate::machine::Machine;

use super::dentry::Dentry;
use super::device::{DeviceTable, Driver};
use super::inode::{Change, Inode, NewInode, NewKind};
use super::lock::LockTable;
use super::memory_device;
use super::mount::{Location, SuperBlock};
use super::mount_table::MountTable;
use super::tmpfs::{Tmpfs, UnpackError, unpack};

/// Device numbers of file systems start after those of the pseudo file systems.
const FIRST_FILE_SYSTEM: u32 = 16;

/// The tree of a system, and what is behind its nodes.
pub struct Vfs {
    /// What is mounted where.
    pub mounts: MountTable,
    /// What is behind device nodes and FIFOs.
    pub devices: DeviceTable,
    /// Locks of files.
    pub locks: Arc<LockTable>,
    /// What is mounted on /dev.
    dev: Arc<SuperBlock>,
    /// A file system without a name: memfd_create(2).
    unnamed: Location,
    next_device: AtomicU32,
}

/// A tree from a boot archive.
pub struct Booted {
    /// The tree.
    pub vfs: Vfs,
    /// The configuration of the run ([`abi::boot::config`]), if the archive has one.
    pub configuration: Option<&'static [u8]>,
}

impl Vfs {
    /// The tree of the boot archive, with /dev and its memory devices, /dev/shm and /tmp.
    ///
    /// # Errors
    /// [`UnpackError`] says what is wrong with the archive.
    pub fn boot(machine: &Arc<dyn Machine>, archive: &'static [u8]) -> Result<Booted, UnpackError> {
        let [root, dev, unnamed, shm] =
            [0, 1, 2, 3].map(|at| Device::new(0, FIRST_FILE_SYSTEM + at));
        let unpacked = unpack(machine, [root, shm], archive)?;
        let vfs = Self {
            mounts: MountTable::new(unpacked.root),
            devices: DeviceTable::new(),
            locks: Arc::new(LockTable::new()),
            dev: SuperBlock::new(Tmpfs::create(machine, "devtmpfs", dev), b"devtmpfs"),
            unnamed: Location::without_path(Tmpfs::create(machine, "tmpfs", unnamed)),
            next_device: AtomicU32::new(FIRST_FILE_SYSTEM + 4),
        };
        vfs.fill_root(unpacked.shared_memory)
            .map_err(|error| UnpackError::Entry { name: b"dev".to_vec(), error })?;
        Ok(Booted { vfs, configuration: unpacked.configuration })
    }

    /// The root directory.
    #[must_use]
    pub fn root(&self) -> &Location {
        self.mounts.root()
    }

    /// A number for a new file system.
    #[must_use]
    pub fn new_device(&self) -> Device {
        Device::new(0, self.next_device.fetch_add(1, Ordering::Relaxed))
    }

    /// The root directory of a file system that is mounted nowhere, for files without a name.
    pub(crate) fn unnamed(&self) -> &Location {
        &self.unnamed
    }

    /// What is mounted on /dev, which can be mounted elsewhere, too.
    pub(crate) fn dev(&self) -> &Arc<SuperBlock> {
        &self.dev
    }

    /// Adds the node `name` for `device` to /dev, with `driver` behind it.
    ///
    /// # Errors
    /// `EEXIST`; `ENOSPC`.
    pub fn add_device(
        &self,
        name: &str,
        mode: Mode,
        device: Device,
        driver: Arc<dyn Driver>,
    ) -> Result<()> {
        self.devices.register(FileType::CharacterDevice, device, driver);
        let kind = NewKind::Special(FileType::CharacterDevice, device);
        self.dev.root().inode().create(name.as_bytes(), &owned_by_root(kind, mode)).map(drop)
    }

    /// Mounts the file system of `inode`, its root directory, on the directory `name` of the
    /// root, which is made if it is not there.
    ///
    /// # Errors
    /// `ENOTDIR` when something else is there; `ENOSPC`.
    pub fn mount_in_root(
        &self,
        name: &str,
        inode: Arc<dyn Inode>,
        source: &str,
        flags: u64,
    ) -> Result<Location> {
        self.mounts.mount(self.directory_in_root(name)?, inode, source, flags)
    }

    /// The directory `name` of the root, which is made if it is not there.
    fn directory_in_root(&self, name: &str) -> Result<Location> {
        let name = name.as_bytes();
        let directory = make_directory(self.root().inode(), name, 0o755)?;
        Ok(self.root().with(Dentry::child(&self.root().dentry, name, directory)))
    }

    fn fill_root(&self, shared_memory: Arc<dyn Inode>) -> Result<()> {
        memory_device::register(&self.devices);
        for (name, device) in memory_device::NODES {
            let kind = NewKind::Special(FileType::CharacterDevice, device);
            let mode = Mode::from_bits_retain(0o666);
            self.dev.root().inode().create(name.as_bytes(), &owned_by_root(kind, mode))?;
        }
        for (name, target) in [
            ("fd", "/proc/self/fd"),
            ("stdin", "/proc/self/fd/0"),
            ("stdout", "/proc/self/fd/1"),
            ("stderr", "/proc/self/fd/2"),
        ] {
            let link = NewKind::SymbolicLink(target.as_bytes());
            self.dev.root().inode().create(name.as_bytes(), &owned_by_root(link, Mode::ALL))?;
        }
        let shm = make_directory(self.dev.root().inode(), b"shm", 0o1777)?;
        let flags = mount_flags::ST_NOSUID | mount_flags::ST_RELATIME;
        let dev = self.mounts.add(self.directory_in_root("dev")?, &self.dev, flags)?;
        // Whatever the archive says of the directory: all may make files in it.
        let mode = Some(Mode::from_bits_retain(0o1777));
        shared_memory.change(&Change { mode, ..Change::default() })?;
        let point = dev.with(Dentry::child(&dev.dentry, b"shm", shm));
        let flags = mount_flags::ST_NOSUID | mount_flags::ST_NODEV;
        self.mounts.mount(point, shared_memory, "tmpfs", flags)?;
        make_directory(self.root().inode(), b"tmp", 0o1777).map(drop)
    }
}

fn owned_by_root(kind: NewKind<'_>, mode: Mode) -> NewInode<'_> {
    NewInode { kind, mode, owner: 0, group: 0 }
}

/// The directory `name` in `directory`, a directory of a [`Tmpfs`]; it is made if it is not
/// there.
fn make_directory(directory: &Arc<dyn Inode>, name: &[u8], mode: u16) -> Result<Arc<dyn Inode>> {
    let new = owned_by_root(NewKind::Directory, Mode::from_bits_retain(mode));
    match directory.create(name, &new) {
        Err(error) if error.errno == Errno::EEXIST => {
            let found = super::tmpfs::entry(directory, name)?;
            if found.kind() == FileType::Directory {
                return Ok(found);
            }
            Err(Errno::ENOTDIR.because("something else is where a directory must be"))
        }
        other => other,
    }
}

//! The tree of a system as a whole, and how it is put together at boot.

use alloc::sync::Arc;
use core::sync::atomic::{AtomicU32, Ordering};

use abi::Errno;
use abi::fs::{Device, FileType, Mode, mount_flags};

use crate::error::{Because, Result};
use crate::machine::Machine;

use super::dentry::Dentry;
use super::device::{DeviceTable, Driver};
use super::disks::Disks;
use super::inode::{Change, Inode, NewInode, NewKind};
use super::lock::LockTable;
use super::loops::{self, LoopDevices};
use super::memory_device;
use super::mount::{Location, SuperBlock};
use super::mount_table::MountTable;
use super::ninep::{Share, Shares};
use super::tmpfs::{Tmpfs, UnpackError, unpack};

/// Device numbers of file systems start after those of the pseudo file systems.
const FIRST_FILE_SYSTEM: u32 = 16;

/// The tree of a system, and what is behind its nodes.
pub struct Vfs {
    /// What is mounted where.
    pub mounts: Arc<MountTable>,
    root: Location,
    /// What is behind device nodes and FIFOs.
    pub devices: DeviceTable,
    /// Directories of the host.
    pub shares: Shares,
    /// Files as block devices.
    pub loops: LoopDevices,
    /// Block devices that are mounted.
    pub(crate) disks: Disks,
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
    /// The numbers of the root, /dev, files without a name, and /dev/shm.
    const ROOT_DEVICES: [Device; 4] = [
        Device::new(0, FIRST_FILE_SYSTEM),
        Device::new(0, FIRST_FILE_SYSTEM + 1),
        Device::new(0, FIRST_FILE_SYSTEM + 2),
        Device::new(0, FIRST_FILE_SYSTEM + 3),
    ];

    /// The number of the root's file system.
    pub(crate) const ROOT_DEVICE: Device = Self::ROOT_DEVICES[0];

    /// The tree of the boot archive, with /dev and its memory devices, /dev/shm and /tmp.
    ///
    /// # Errors
    /// [`UnpackError`] says what is wrong with the archive.
    pub fn boot(machine: &Arc<dyn Machine>, archive: &'static [u8]) -> Result<Booted, UnpackError> {
        let [root, _, _, shm] = Self::ROOT_DEVICES;
        let unpacked = unpack(machine, [root, shm], archive)?;
        let mounts = MountTable::new(unpacked.root, b"rootfs", 0);
        let vfs = Self::with_root(machine, mounts, unpacked.shared_memory)
            .map_err(|error| UnpackError::Entry { name: b"dev".to_vec(), error })?;
        Ok(Booted { vfs, configuration: unpacked.configuration })
    }

    /// The tree of a directory of the host, whose root directory is `root`; /dev, /tmp and
    /// /run are not the host's. `flags` are [`mount_flags`].
    ///
    /// # Errors
    /// `ENOMEM`.
    pub fn on_share(
        machine: &Arc<dyn Machine>,
        (share, root): (Arc<Share>, Arc<dyn Inode>),
        source: &[u8],
        flags: u64,
    ) -> Result<Self> {
        let vfs = Self::with_root(
            machine,
            MountTable::new(root, source, flags),
            Tmpfs::create(machine, "tmpfs", Self::ROOT_DEVICES[3]),
        )?;
        vfs.shares.add(share);
        for (name, mode) in [("tmp", 0o1777), ("run", 0o755)] {
            let mode = Some(Mode::from_bits_retain(mode));
            let directory = Tmpfs::create(machine, "tmpfs", vfs.new_device());
            directory.change(&Change { mode, ..Change::default() })?;
            let flags = mount_flags::ST_NOSUID | mount_flags::ST_NODEV;
            vfs.mount_in_root(name, directory, "tmpfs", flags)?;
        }
        Ok(vfs)
    }

    fn with_root(
        machine: &Arc<dyn Machine>,
        mounts: Arc<MountTable>,
        shared_memory: Arc<dyn Inode>,
    ) -> Result<Self> {
        let [_, dev, unnamed, _] = Self::ROOT_DEVICES;
        let root = mounts.root().ok_or_else(|| Errno::EINVAL.because("there is no root"))?;
        let vfs = Self {
            mounts,
            root,
            devices: DeviceTable::new(),
            shares: Shares::default(),
            loops: LoopDevices::default(),
            disks: Disks::default(),
            locks: Arc::new(LockTable::new()),
            dev: SuperBlock::new(Tmpfs::create(machine, "devtmpfs", dev), b"devtmpfs"),
            unnamed: Location::without_path(Tmpfs::create(machine, "tmpfs", unnamed)),
            next_device: AtomicU32::new(FIRST_FILE_SYSTEM + 4),
        };
        vfs.fill_root(shared_memory)?;
        Ok(vfs)
    }

    /// A new directory that can be mounted on where the directory it is to be in cannot be
    /// changed for that.
    pub(crate) fn mount_point(&self) -> Result<Arc<dyn Inode>> {
        let mode = Mode::from_bits_retain(0o755);
        self.unnamed.inode().create_unnamed(&owned_by_root(NewKind::Directory, mode))
    }

    /// The root directory.
    #[must_use]
    pub fn root(&self) -> &Location {
        &self.root
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

    /// Mounts the file system of `inode`, its root directory, on the directory `name` of /dev,
    /// which is made.
    ///
    /// # Errors
    /// `ENOTDIR` when something else is there; `ENOSPC`.
    pub(crate) fn mount_in_dev(
        &self,
        name: &str,
        inode: Arc<dyn Inode>,
        source: &str,
        flags: u64,
    ) -> Result<()> {
        let mounts = self.mounts.mounts();
        let dev = mounts.into_iter().find(|mount| Arc::ptr_eq(mount.super_block(), &self.dev));
        let dev = dev.ok_or_else(|| Errno::ENOENT.because("/dev is not mounted"))?;
        let directory = make_directory(self.dev.root().inode(), name.as_bytes(), 0o755)?;
        let dentry = Dentry::child(dev.root(), name.as_bytes(), directory);
        let point = Location { mount: dev.clone(), dentry };
        self.mounts.mount(point, inode, source, flags).map(drop)
    }

    /// The directory `name` of the root, which is made if it is not there; a directory of the
    /// host stays as it is.
    fn directory_in_root(&self, name: &str) -> Result<Location> {
        let name = name.as_bytes();
        let root = self.root().inode();
        let directory = match root.is_shared() {
            true => self.mount_point()?,
            false => make_directory(root, name, 0o755)?,
        };
        Ok(self.root().with(Dentry::child(&self.root().dentry, name, directory)))
    }

    fn fill_root(&self, shared_memory: Arc<dyn Inode>) -> Result<()> {
        memory_device::register(&self.devices);
        loops::register(self)?;
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
        if self.root().inode().is_shared() {
            return Ok(());
        }
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

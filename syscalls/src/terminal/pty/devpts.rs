//! The file system of the slaves: /dev/pts.

use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use abi::Errno;
use abi::fs::{Device, FileType, Mode, OpenFlags, magic, mount_flags};
use spin::Mutex;

use crate::context::Context;
use crate::error::{Because, Error, Result};
use crate::fs::directory::Directory;
use crate::fs::{Change, DirectoryEntry, File, FileSystem, Inode, Metadata, Timestamp, Usage};
use crate::system::System;
use crate::terminal::TerminalFile;

use super::{MASTER_DEVICE, Pair, Ptys, SLAVE_GROUP, SLAVE_MODE, open_master};

/// Numbers of the directory and of `ptmx` in it; those of slaves follow.
const ROOT_NUMBER: u64 = 1;
const MASTER_NUMBER: u64 = 2;
const FIRST_SLAVE: u64 = 3;

/// The number of a slave's inode.
pub(super) fn inode_number(number: u32) -> u64 {
    FIRST_SLAVE + u64::from(number)
}

/// An instance; all show the same slaves.
struct DevPts {
    device: Device,
    ptys: Arc<Ptys>,
}

impl FileSystem for DevPts {
    fn name(&self) -> &'static str {
        "devpts"
    }

    fn device(&self) -> Device {
        self.device
    }

    fn usage(&self) -> Usage {
        Usage { magic: magic::DEVPTS_SUPER_MAGIC, ..Usage::default() }
    }

    fn options(&self) -> String {
        format!(",gid={SLAVE_GROUP},mode={SLAVE_MODE:o},ptmxmode=000")
    }
}

/// A new instance; returns its root directory.
pub(crate) fn create(system: &System) -> Arc<dyn Inode> {
    let now = Timestamp::from_ns(system.machine.wall_clock_ns());
    let device = system.vfs.new_device();
    let file_system = Arc::new(DevPts { device, ptys: system.ptys.clone() });
    let mode = Mode::from_bits_retain(0o755);
    let metadata = Metadata {
        accessed: now,
        modified: now,
        changed: now,
        created: now,
        block_size: 1024,
        links: 2,
        ..Metadata::new(ROOT_NUMBER, FileType::Directory, mode)
    };
    Arc::new(Root { file_system, metadata: Mutex::new(metadata) })
}

/// Mounts an instance on /dev/pts.
pub(super) fn mount(system: &System) -> Result<()> {
    let flags = mount_flags::ST_NOSUID | mount_flags::ST_NOEXEC | mount_flags::ST_RELATIME;
    system.vfs.mount_in_dev("pts", create(system), "devpts", flags)
}

/// The directory.
struct Root {
    file_system: Arc<DevPts>,
    metadata: Mutex<Metadata>,
}

fn change_metadata(metadata: &mut Metadata, change: &Change) {
    metadata.mode = change.mode.unwrap_or(metadata.mode);
    metadata.owner = change.owner.unwrap_or(metadata.owner);
    metadata.group = change.group.unwrap_or(metadata.group);
    metadata.accessed = change.accessed.unwrap_or(metadata.accessed);
    metadata.modified = change.modified.unwrap_or(metadata.modified);
}

fn no_entry() -> Error {
    Errno::ENOENT.because("there is no such terminal")
}

impl Inode for Root {
    fn kind(&self) -> FileType {
        FileType::Directory
    }

    fn metadata(&self) -> Result<Metadata> {
        Ok(*self.metadata.lock())
    }

    fn file_system(&self) -> Arc<dyn FileSystem> {
        self.file_system.clone()
    }

    fn change(&self, change: &Change) -> Result<()> {
        change_metadata(&mut self.metadata.lock(), change);
        Ok(())
    }

    fn open(self: Arc<Self>, _: &Context<'_>, _: OpenFlags) -> Result<Arc<dyn File>> {
        Ok(Directory::open(self))
    }

    /// Slaves come and go without anybody who makes or removes names.
    fn is_shared(&self) -> bool {
        true
    }

    fn lookup(&self, _: &Context<'_>, name: &[u8]) -> Result<Arc<dyn Inode>> {
        let file_system = self.file_system.clone();
        if name == b"ptmx" {
            return Ok(Arc::new(Master { file_system }));
        }
        let text = core::str::from_utf8(name).map_err(|_| no_entry())?;
        let number: u32 = text.parse().map_err(|_| no_entry())?;
        let pair = file_system.ptys.get(number).filter(|_| format!("{number}") == text);
        let pair = pair.ok_or_else(no_entry)?;
        let new = || -> Arc<dyn Inode> {
            Arc::new(Slave { file_system, number, pair: Arc::downgrade(&pair) })
        };
        Ok(pair.inode.call_once(new).clone())
    }

    fn read_directory(
        &self,
        _: &Context<'_>,
        from: u64,
        each: &mut dyn FnMut(DirectoryEntry<'_>) -> bool,
    ) -> Result<()> {
        let kind = FileType::CharacterDevice;
        let master = (b"ptmx".to_vec(), MASTER_NUMBER);
        let slaves = self.file_system.ptys.numbers().into_iter();
        let slaves = slaves.map(|number| (format!("{number}").into_bytes(), inode_number(number)));
        for (name, number) in core::iter::once(master).chain(slaves) {
            let entry = DirectoryEntry { name: &name, number, kind, next: number };
            if number > from && !each(entry) {
                break;
            }
        }
        Ok(())
    }
}

/// `ptmx` of the directory itself, which nobody may open but the superuser.
struct Master {
    file_system: Arc<DevPts>,
}

impl Inode for Master {
    fn kind(&self) -> FileType {
        FileType::CharacterDevice
    }

    fn metadata(&self) -> Result<Metadata> {
        let mode = Mode::empty();
        let metadata = Metadata::new(MASTER_NUMBER, FileType::CharacterDevice, mode);
        Ok(Metadata { device: MASTER_DEVICE, ..metadata })
    }

    fn file_system(&self) -> Arc<dyn FileSystem> {
        self.file_system.clone()
    }

    fn open(self: Arc<Self>, cx: &Context<'_>, _: OpenFlags) -> Result<Arc<dyn File>> {
        open_master(cx, self)
    }
}

/// A slave.
struct Slave {
    file_system: Arc<DevPts>,
    number: u32,
    pair: alloc::sync::Weak<Pair>,
}

impl Slave {
    fn pair(&self) -> Result<Arc<Pair>> {
        self.pair.upgrade().ok_or_else(|| Errno::EIO.because("the master is closed"))
    }
}

impl Inode for Slave {
    fn kind(&self) -> FileType {
        FileType::CharacterDevice
    }

    fn metadata(&self) -> Result<Metadata> {
        match self.pair.upgrade() {
            Some(pair) => Ok(*pair.metadata.lock()),
            // Without a name, but still open.
            None => {
                let mode = Mode::from_bits_retain(SLAVE_MODE);
                let number = inode_number(self.number);
                let metadata = Metadata::new(number, FileType::CharacterDevice, mode);
                let device = Device::new(super::SLAVE_MAJOR, self.number);
                Ok(Metadata { device, links: 0, ..metadata })
            }
        }
    }

    fn file_system(&self) -> Arc<dyn FileSystem> {
        self.file_system.clone()
    }

    fn name_without_path(&self) -> Vec<u8> {
        format!("/{}", self.number).into_bytes()
    }

    fn change(&self, change: &Change) -> Result<()> {
        change_metadata(&mut self.pair()?.metadata.lock(), change);
        Ok(())
    }

    /// Becomes the controlling terminal of a session leader that has none, unless `O_NOCTTY`
    /// says otherwise.
    fn open(self: Arc<Self>, cx: &Context<'_>, flags: OpenFlags) -> Result<Arc<dyn File>> {
        let pair = self.pair()?;
        if pair.is_locked() {
            return Err(Errno::EIO.because("the slave is locked"));
        }
        pair.slave.check_exclusive(cx)?;
        let file = Arc::new(TerminalFile::new(pair.slave.clone(), self));
        if !flags.contains(OpenFlags::NOCTTY) {
            // Whether it becomes one is no concern of open(2).
            let _ = pair.slave.acquire_if_free(cx);
        }
        Ok(file)
    }
}

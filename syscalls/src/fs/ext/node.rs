//! An inode in use.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::any::Any;
use core::ops::Range;

use abi::Errno;
use abi::fs::block::SECTOR_SIZE;
use abi::fs::{FallocateFlags, FileType, InodeFlags, OpenFlags, RenameFlags};
use spin::Once;

use crate::context::Context;
use crate::error::{Because, Result};
use crate::fs::directory::Directory;
use crate::fs::file::File;
use crate::fs::inode::{Change, DirectoryEntry, FileSystem, Inode, Metadata, NewInode, Stored};
use crate::fs::mount::AccessTimes;
use crate::fs::storage::Bytes;
use crate::fs::turn::Turn;
use crate::fs::write_access::Writers;
use crate::fs::xattr;
use crate::machine::Page;
use crate::mm::Mappings;

use super::Ext;
use super::content::PAGE;
use super::directory::no_entry;
use super::file::RegularFile;
use super::names::Removed;
use super::record::{Time, flag};
use super::volume::Volume;

/// A time of access is not renewed more often than this, in seconds, unless the file has
/// changed since: `relatime` of mount(8).
const RELATIVE_TIME: i64 = 24 * 60 * 60;

/// An inode in use.
pub(super) struct Node {
    pub(super) fs: Arc<Ext>,
    pub(super) number: u32,
    kind: FileType,
    /// Taken by whoever writes, so that appends do not overlap.
    pub(super) turn: Turn,
    writers: Writers,
    mappings: Mappings,
    extended: Once<xattr::Attributes>,
}

impl Node {
    /// The inode with this number, which nobody uses yet.
    pub(super) fn new(fs: Arc<Ext>, number: u32, kind: FileType) -> Arc<Self> {
        Arc::new(Self {
            fs,
            number,
            kind,
            turn: Turn::new(),
            writers: Writers::default(),
            mappings: Mappings::new(),
            extended: Once::new(),
        })
    }

    /// Mappings have to ask again before they write.
    pub(super) fn forbid_writing(&self) {
        self.mappings.punch(&(0..u64::MAX));
    }

    /// The file has become longer. Who maps the page with its old end may have the right to
    /// write to it, but blocks were taken only up to there.
    pub(super) fn end_moved(&self, old: u64, new: u64) {
        if new > old && !old.is_multiple_of(PAGE) {
            self.mappings.punch(&(old..old + 1));
        }
    }

    fn check_directory(&self) -> Result<()> {
        match self.kind {
            FileType::Directory => Ok(()),
            _ => Err(Errno::ENOTDIR.because("not a directory")),
        }
    }

    /// The inode was read now.
    pub(super) fn was_read(&self, volume: &mut Volume, times: AccessTimes) -> Result<()> {
        if times == AccessTimes::Kept || !volume.is_writable() {
            return Ok(());
        }
        let now = volume.now();
        let record = &volume.inode(self.number)?.record;
        if record.flags() & InodeFlags::NOATIME.bits() != 0 {
            return Ok(());
        }
        let last = record.time(Time::Accessed);
        let unseen = last <= record.time(Time::Modified) || last <= record.time(Time::Changed);
        let strict = times == AccessTimes::Strict;
        if strict || unseen || now.seconds - last.seconds >= RELATIVE_TIME {
            volume.touch(self.number, &[Time::Accessed])?;
        }
        Ok(())
    }

    /// Removes an entry.
    fn remove(&self, name: &[u8], kind: Removed) -> Result<()> {
        self.check_directory()?;
        let number = self.fs.volume().unlink(self.number, name, kind)?;
        self.fs.leave(number);
        Ok(())
    }

    fn page_for(&self, index: u64) -> Result<Option<Arc<dyn Page>>> {
        self.check_mappable()?;
        self.fs.volume().page(self.number, index)
    }

    fn check_mappable(&self) -> Result<()> {
        match self.kind {
            FileType::Regular => Ok(()),
            _ => Err(Errno::ENODEV.because("only regular files can be mapped")),
        }
    }

    fn check_regular(&self, len: u64) -> Result<()> {
        if self.kind != FileType::Regular {
            return Err(Errno::EINVAL.because("not a regular file"));
        }
        if len > self.fs.volume().longest(self.number)? {
            return Err(Errno::EFBIG.because("the file would be too large"));
        }
        Ok(())
    }

    /// Takes or frees the blocks of `range`, as fallocate(2) says.
    fn allocate_blocks(&self, flags: FallocateFlags, range: Range<u64>) -> Result<()> {
        let mut volume = self.fs.volume();
        let punches = flags.contains(FallocateFlags::PUNCH_HOLE);
        if !punches {
            volume.check_reservable(self.number)?;
        }
        if punches || flags.contains(FallocateFlags::ZERO_RANGE) {
            volume.punch(self.number, range.clone())?;
        }
        if !punches {
            volume.reserve_bytes(self.number, range.clone())?;
            let old = volume.inode(self.number)?.record.size();
            if !flags.contains(FallocateFlags::KEEP_SIZE) && range.end > old {
                volume.resize(self.number, range.end)?;
                self.end_moved(old, range.end);
            }
        }
        volume.touch(self.number, &[Time::Modified, Time::Changed])
    }

    fn load_attributes(&self) -> Result<xattr::Attributes> {
        let all = self.fs.volume().attributes(self.number)?;
        let shown = |name: &[u8]| !name.starts_with(b"system.");
        let values: BTreeMap<_, _> = all.into_iter().filter(|(name, _)| shown(name)).collect();
        Ok(xattr::Attributes::from(values))
    }
}

/// The node that is `inode`, if it is one of this kind of file system.
fn node_of(inode: &Arc<dyn Inode>) -> Result<&Node> {
    let any: &dyn Any = &**inode;
    any.downcast_ref().ok_or_else(|| Errno::EXDEV.because("another file system"))
}

impl Inode for Node {
    fn kind(&self) -> FileType {
        self.kind
    }

    fn metadata(&self) -> Result<Metadata> {
        let mut volume = self.fs.volume();
        let block_size = volume.shape.block_size;
        let record = &volume.inode(self.number)?.record;
        let mut metadata = Metadata {
            links: record.links().into(),
            owner: record.owner(),
            group: record.group(),
            size: record.size(),
            blocks: record.sectors(block_size),
            block_size: block_size as u32,
            accessed: record.time(Time::Accessed),
            modified: record.time(Time::Modified),
            changed: record.time(Time::Changed),
            created: record.time(Time::Created),
            flags: Some(InodeFlags::from_bits_truncate(record.flags())),
            ..Metadata::new(self.number.into(), self.kind, record.mode())
        };
        if self.kind.is_device() {
            metadata.device = record.device();
        }
        Ok(metadata)
    }

    fn file_system(&self) -> Arc<dyn FileSystem> {
        self.fs.clone()
    }

    fn change(&self, change: &Change) -> Result<()> {
        let mut volume = self.fs.volume();
        let record = &mut volume.edit(self.number)?.record;
        record.set_mode(change.mode.unwrap_or(record.mode()));
        record.set_owner(change.owner.unwrap_or(record.owner()));
        record.set_group(change.group.unwrap_or(record.group()));
        for (time, value) in [(Time::Accessed, change.accessed), (Time::Modified, change.modified)]
        {
            if let Some(value) = value {
                record.set_time(time, value);
            }
        }
        volume.touch(self.number, &[Time::Changed])
    }

    fn set_flags(&self, flags: InodeFlags) -> Result<()> {
        let mut volume = self.fs.volume();
        let record = &mut volume.edit(self.number)?.record;
        record.set_flags(record.flags() & !flag::VISIBLE | flags.bits() & flag::VISIBLE);
        volume.touch(self.number, &[Time::Changed])
    }

    fn handle(self: Arc<Self>) -> Option<u64> {
        let mut volume = self.fs.volume();
        let generation = volume.inode(self.number).ok()?.record.generation();
        Some(u64::from(self.number) | u64::from(generation) << 32)
    }

    fn open(self: Arc<Self>, cx: &Context<'_>, flags: OpenFlags) -> Result<Arc<dyn File>> {
        match self.kind {
            FileType::Regular => Ok(RegularFile::open(self)),
            FileType::Directory => Ok(Directory::open(self)),
            FileType::SymbolicLink => Err(Errno::ELOOP.because("a symbolic link")),
            kind => {
                let device = self.metadata()?.device;
                cx.system.vfs.devices.open(cx, self, kind, device, flags)
            }
        }
    }

    fn lookup(&self, _: &Context<'_>, name: &[u8]) -> Result<Arc<dyn Inode>> {
        self.check_directory()?;
        let mut volume = self.fs.volume();
        let found = volume.find_entry(self.number, name)?.ok_or_else(no_entry)?;
        volume.check_named(found.number)?;
        Ok(self.fs.node(&mut volume, found.number)?)
    }

    fn read_directory(
        &self,
        _: &Context<'_>,
        from: u64,
        each: &mut dyn FnMut(DirectoryEntry<'_>) -> bool,
    ) -> Result<()> {
        self.check_directory()?;
        self.fs.volume().list(self.number, from, each)
    }

    fn was_listed(&self, times: AccessTimes) -> Result<()> {
        self.was_read(&mut self.fs.volume(), times)
    }

    fn create(&self, name: &[u8], new: &NewInode<'_>) -> Result<Arc<dyn Inode>> {
        self.check_directory()?;
        let mut volume = self.fs.volume();
        let number = volume.make_inode(self.number, new)?;
        if let Err(error) = volume.link(self.number, name, number) {
            volume.remove_inode(number)?;
            return Err(error);
        }
        Ok(self.fs.node(&mut volume, number)?)
    }

    fn create_unnamed(&self, new: &NewInode<'_>) -> Result<Arc<dyn Inode>> {
        self.check_directory()?;
        let mut volume = self.fs.volume();
        let number = volume.make_inode(self.number, new)?;
        Ok(self.fs.node(&mut volume, number)?)
    }

    fn link(&self, name: &[u8], inode: &Arc<dyn Inode>) -> Result<()> {
        let node = node_of(inode)?;
        if node.kind == FileType::Directory {
            return Err(Errno::EPERM.because("a directory has only one name"));
        }
        self.check_directory()?;
        self.fs.volume().link(self.number, name, node.number)
    }

    fn unlink(&self, name: &[u8]) -> Result<()> {
        self.remove(name, Removed::File)
    }

    fn remove_directory(&self, name: &[u8]) -> Result<()> {
        self.remove(name, Removed::Directory)
    }

    fn rename(
        &self,
        name: &[u8],
        to: &Arc<dyn Inode>,
        new_name: &[u8],
        flags: RenameFlags,
    ) -> Result<()> {
        let to = node_of(to)?;
        if flags.contains(RenameFlags::WHITEOUT) {
            return Err(Errno::EINVAL.because("the file system has no whiteouts"));
        }
        let (from, to) = ((self.number, name), (to.number, new_name));
        if let Some(gone) = self.fs.volume().rename(from, to, flags)? {
            self.fs.leave(gone);
        }
        Ok(())
    }

    fn read_link(&self, _: &Context<'_>) -> Result<Vec<u8>> {
        if self.kind != FileType::SymbolicLink {
            return Err(Errno::EINVAL.because("not a symbolic link"));
        }
        let mut volume = self.fs.volume();
        let target = volume.target(self.number)?;
        self.was_read(&mut volume, AccessTimes::Relative)?;
        Ok(target)
    }

    fn truncate(&self, len: u64) -> Result<()> {
        self.check_regular(len)?;
        let mut volume = self.fs.volume();
        let old = volume.inode(self.number)?.record.size();
        volume.resize(self.number, len)?;
        volume.touch(self.number, &[Time::Modified, Time::Changed])?;
        drop(volume);
        self.mappings.cut(len);
        self.end_moved(old, len);
        Ok(())
    }

    fn allocate(&self, flags: FallocateFlags, offset: u64, len: u64) -> Result<()> {
        use FallocateFlags as F;
        let end = offset.saturating_add(len);
        self.check_regular(end)?;
        let kind = flags.difference(F::KEEP_SIZE);
        if !kind.is_empty() && kind != F::PUNCH_HOLE && kind != F::ZERO_RANGE {
            return Err(Errno::EOPNOTSUPP.because("the file system cannot do this"));
        }
        let done = self.allocate_blocks(flags, offset..end);
        if !kind.is_empty() {
            // Some of it may have been done in any case.
            self.mappings.punch(&(offset..end));
        }
        done
    }

    fn page(&self, index: u64) -> Result<Option<Arc<dyn Page>>> {
        self.page_for(index)
    }

    fn shared_page(&self, index: u64) -> Result<Option<Arc<dyn Page>>> {
        self.page_for(index)
    }

    fn shared_page_to_write(&self, index: u64) -> Result<Option<Arc<dyn Page>>> {
        self.check_mappable()?;
        let mut volume = self.fs.volume();
        let size = volume.inode(self.number)?.record.size();
        let Some(left) = index.checked_mul(PAGE).and_then(|start| size.checked_sub(start)) else {
            return Ok(None);
        };
        if left == 0 {
            return Ok(None);
        }
        if volume.has_many_changes()
            && let Err(error) = self.fs.write_all(&mut volume)
        {
            // It is kept, and fsync(2) will say so to whom it concerns.
            log::warn!("ext: what was written could not be stored: {}", error.reason);
        }
        volume.touch(self.number, &[Time::Modified, Time::Changed])?;
        volume.page_to_write(self.number, index, 0..left.min(PAGE) as usize).map(Some)
    }

    fn tracks_writes(&self) -> bool {
        true
    }

    fn attributes(&self) -> Option<&xattr::Attributes> {
        if let Some(known) = self.extended.get() {
            return Some(known);
        }
        let loaded = self.load_attributes().ok()?;
        Some(self.extended.call_once(|| loaded))
    }

    fn store_attribute(&self, name: &[u8], value: Option<&[u8]>) -> Result<()> {
        self.fs.volume().set_attribute(self.number, name, value)
    }

    fn writers(&self) -> Option<&Writers> {
        (self.kind == FileType::Regular).then_some(&self.writers)
    }

    fn mappings(&self) -> Option<&Mappings> {
        (self.kind == FileType::Regular).then_some(&self.mappings)
    }

    fn stored(&self, range: Range<u64>, limit: usize) -> Result<Option<Vec<Stored>>> {
        let mut volume = self.fs.volume();
        self.fs.write_back(&mut volume, self.number)?;
        volume.stored(self.number, range, limit).map(Some)
    }

    fn direct_alignment(&self) -> Option<[u32; 2]> {
        (self.kind == FileType::Regular).then_some([SECTOR_SIZE as u32; 2])
    }

    fn possible_flags(&self) -> InodeFlags {
        InodeFlags::all()
    }

    fn bytes(&self) -> Option<&dyn Bytes> {
        (self.kind == FileType::Regular).then_some(self)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.fs.leave(self.number);
    }
}

//! An inode: any object of the file system.

use alloc::boxed::Box;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::any::Any;

use abi::Errno;
use abi::fs::{Device, FallocateFlags, FileType, InodeFlags, Mode, OpenFlags, RenameFlags, Seals};
use spin::Mutex;

use crate::context::Context;
use crate::error::{Because, Result};
use crate::fs::directory::Directory;
use crate::fs::file::File;
use crate::fs::inode::{
    Change, DirectoryEntry, FileSystem, Inode, Metadata, NewInode, NewKind, Timestamp,
};
use crate::fs::mount::AccessTimes;
use crate::fs::seal::{self, SealSet};
use crate::fs::storage::Bytes;
use crate::fs::write_access::Writers;
use crate::fs::xattr;
use crate::machine::Page;
use crate::mm::{Mappings, Presence};

use super::Tmpfs;
use super::content::{Content, MAX_SIZE};
use super::entries::{Entries, no_entry};
use super::file::RegularFile;

/// What an entry adds to the size of its directory, as in Linux.
const ENTRY_SIZE: u64 = 20;

/// Most names of an inode.
const LINK_MAX: u64 = 1 << 31;

/// A time of access is not renewed more often than this, in seconds, unless the file has
/// changed since: `relatime` of mount(8).
const RELATIVE_TIME: i64 = 24 * 60 * 60;

/// An inode.
pub(super) struct Node {
    this: Weak<Self>,
    pub(super) fs: Arc<Tmpfs>,
    number: u64,
    body: Body,
    attributes: Mutex<Attributes>,
    extended: xattr::Attributes,
}

/// What an inode is.
pub(super) enum Body {
    Regular(Content),
    Directory(Entries),
    SymbolicLink(Box<[u8]>),
    Special(FileType, Device),
}

/// What can change about any inode.
#[derive(Clone, Copy)]
struct Attributes {
    mode: Mode,
    links: u64,
    owner: u32,
    group: u32,
    accessed: Timestamp,
    modified: Timestamp,
    changed: Timestamp,
    created: Timestamp,
    flags: InodeFlags,
}

impl Node {
    /// The root directory of a file system.
    pub(super) fn root(fs: &Arc<Tmpfs>, new: &NewInode<'_>) -> Arc<Self> {
        let number = fs.charge_inode().unwrap_or(1);
        Self::with(fs, number, new, Body::Directory(Entries::default()))
    }

    /// A new inode that has no name yet.
    fn new(fs: &Arc<Tmpfs>, new: &NewInode<'_>) -> Result<Arc<Self>> {
        let body = match new.kind {
            NewKind::Regular => Body::Regular(Content::default()),
            NewKind::Directory => Body::Directory(Entries::default()),
            NewKind::SymbolicLink(target) => Body::SymbolicLink(Box::from(target)),
            NewKind::Special(kind, device) => Body::Special(kind, device),
        };
        Self::with_body(fs, new, body)
    }

    /// A new inode with this body that has no name yet.
    pub(super) fn with_body(fs: &Arc<Tmpfs>, new: &NewInode<'_>, body: Body) -> Result<Arc<Self>> {
        let number = fs.charge_inode()?;
        Ok(Self::with(fs, number, new, body))
    }

    fn with(fs: &Arc<Tmpfs>, number: u64, new: &NewInode<'_>, body: Body) -> Arc<Self> {
        let now = fs.now();
        let attributes = Attributes {
            mode: new.mode,
            links: if matches!(body, Body::Directory(_)) { 2 } else { 0 },
            owner: new.owner,
            group: new.group,
            accessed: now,
            modified: now,
            changed: now,
            created: now,
            flags: InodeFlags::empty(),
        };
        Arc::new_cyclic(|this| Self {
            this: this.clone(),
            fs: fs.clone(),
            number,
            body,
            attributes: Mutex::new(attributes),
            extended: xattr::Attributes::default(),
        })
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }

    pub(super) fn file_type(&self) -> FileType {
        match &self.body {
            Body::Regular(_) => FileType::Regular,
            Body::Directory(_) => FileType::Directory,
            Body::SymbolicLink(_) => FileType::SymbolicLink,
            Body::Special(kind, _) => *kind,
        }
    }

    /// What is in this regular file.
    ///
    /// # Errors
    /// `EINVAL` when it is none.
    pub(super) fn content(&self) -> Result<&Content> {
        match &self.body {
            Body::Regular(content) => Ok(content),
            Body::Directory(_) => Err(Errno::EISDIR.because("a directory")),
            _ => Err(Errno::EINVAL.because("not a regular file")),
        }
    }

    /// The entries of this directory.
    ///
    /// # Errors
    /// `ENOTDIR` when it is none.
    pub(super) fn entries(&self) -> Result<&Entries> {
        match &self.body {
            Body::Directory(entries) => Ok(entries),
            _ => Err(Errno::ENOTDIR.because("not a directory")),
        }
    }

    pub(super) fn is_directory(&self) -> bool {
        matches!(self.body, Body::Directory(_))
    }

    /// Gives `node` the name `name` in this directory.
    pub(super) fn add(&self, name: &[u8], node: &Arc<Self>) -> Result<()> {
        let mut entries = self.entries()?.lock();
        entries.check_new(name)?;
        entries.reserve()?;
        node.attributes.lock().links += u64::from(!node.is_directory());
        entries.insert(name, node.clone());
        drop(entries);
        self.entries_changed(i64::from(node.is_directory()));
        Ok(())
    }

    /// The file was read now.
    pub(super) fn was_read(&self, times: AccessTimes) {
        if times == AccessTimes::Kept {
            return;
        }
        let now = self.fs.now();
        let mut attributes = self.attributes.lock();
        if attributes.flags.contains(InodeFlags::NOATIME) {
            return;
        }
        let last = attributes.accessed;
        let unseen = last <= attributes.modified || last <= attributes.changed;
        let strict = times == AccessTimes::Strict;
        if strict || unseen || now.seconds - last.seconds >= RELATIVE_TIME {
            attributes.accessed = now;
        }
    }

    /// The content was changed now, by somebody who may keep the set-ID bits or not.
    pub(super) fn was_written(&self, keeps_set_id: impl FnOnce() -> bool) {
        let now = self.fs.now();
        let mut attributes = self.attributes.lock();
        attributes.modified = now;
        attributes.changed = now;
        let set_id = set_id_bits(attributes.mode);
        if !set_id.is_empty() {
            drop(attributes);
            if !keeps_set_id() {
                self.attributes.lock().mode.remove(set_id);
            }
        }
    }

    /// The entries of this directory changed now; it has so many more directories in it.
    pub(super) fn entries_changed(&self, directories: i64) {
        let now = self.fs.now();
        let mut attributes = self.attributes.lock();
        attributes.modified = now;
        attributes.changed = now;
        attributes.links = attributes.links.wrapping_add_signed(directories);
    }

    /// One of its names is gone, or, for a directory, its only one.
    pub(super) fn name_removed(&self) {
        let mut attributes = self.attributes.lock();
        attributes.changed = self.fs.now();
        let gone = if self.is_directory() { attributes.links } else { 1 };
        attributes.links = attributes.links.saturating_sub(gone);
    }

    /// It has another name now.
    pub(super) fn renamed(&self) {
        self.attributes.lock().changed = self.fs.now();
    }
}

/// The bits that a write takes away: set-user-ID, and set-group-ID where it is not the mark of
/// mandatory locking.
fn set_id_bits(mode: Mode) -> Mode {
    let mut bits = mode & Mode::SET_USER_ID;
    if mode.contains(Mode::SET_GROUP_ID | Mode::GROUP_EXECUTE) {
        bits |= Mode::SET_GROUP_ID;
    }
    bits
}

/// The node that is `inode`, if it is one of this kind of file system.
pub(super) fn node_of(inode: &Arc<dyn Inode>) -> Result<&Node> {
    let any: &dyn Any = &**inode;
    any.downcast_ref().ok_or_else(|| Errno::EXDEV.because("another file system"))
}

impl Inode for Node {
    fn kind(&self) -> FileType {
        self.file_type()
    }

    fn metadata(&self) -> Result<Metadata> {
        let attributes = *self.attributes.lock();
        let mut metadata = Metadata {
            links: attributes.links,
            owner: attributes.owner,
            group: attributes.group,
            accessed: attributes.accessed,
            modified: attributes.modified,
            changed: attributes.changed,
            created: attributes.created,
            flags: Some(attributes.flags),
            ..Metadata::new(self.number, self.file_type(), attributes.mode)
        };
        match &self.body {
            Body::Regular(content) => {
                metadata.size = content.size();
                metadata.blocks = content.blocks();
            }
            Body::Directory(entries) => {
                metadata.size = ENTRY_SIZE * (entries.lock().len() as u64 + 2);
            }
            Body::SymbolicLink(target) => metadata.size = target.len() as u64,
            Body::Special(_, device) => metadata.device = *device,
        }
        Ok(metadata)
    }

    fn file_system(&self) -> Arc<dyn FileSystem> {
        self.fs.clone()
    }

    fn change(&self, change: &Change) -> Result<()> {
        let now = self.fs.now();
        let mut attributes = self.attributes.lock();
        if let (Some(mode), Some(seals)) = (change.mode, self.seals())
            && mode.symmetric_difference(attributes.mode).intersects(seal::executable())
        {
            seals.check(Seals::EXEC)?;
        }
        attributes.changed = now;
        attributes.mode = change.mode.unwrap_or(attributes.mode);
        attributes.owner = change.owner.unwrap_or(attributes.owner);
        attributes.group = change.group.unwrap_or(attributes.group);
        attributes.accessed = change.accessed.unwrap_or(attributes.accessed);
        attributes.modified = change.modified.unwrap_or(attributes.modified);
        Ok(())
    }

    fn set_flags(&self, flags: InodeFlags) -> Result<()> {
        let now = self.fs.now();
        let mut attributes = self.attributes.lock();
        (attributes.flags, attributes.changed) = (flags, now);
        Ok(())
    }

    fn handle(self: Arc<Self>) -> Option<u64> {
        self.fs.remember(&self);
        Some(self.number)
    }

    fn open(self: Arc<Self>, cx: &Context<'_>, flags: OpenFlags) -> Result<Arc<dyn File>> {
        match &self.body {
            Body::Regular(_) => Ok(RegularFile::open(self)),
            Body::Directory(_) => Ok(Directory::open(self)),
            Body::SymbolicLink(_) => Err(Errno::ELOOP.because("a symbolic link")),
            Body::Special(kind, device) => {
                let (kind, device) = (*kind, *device);
                cx.system.vfs.devices.open(cx, self, kind, device, flags)
            }
        }
    }

    fn lookup(&self, _: &Context<'_>, name: &[u8]) -> Result<Arc<dyn Inode>> {
        Ok(self.entries()?.get(name)?)
    }

    fn read_directory(
        &self,
        _: &Context<'_>,
        from: u64,
        each: &mut dyn FnMut(DirectoryEntry<'_>) -> bool,
    ) -> Result<()> {
        self.entries()?.show(from, each);
        Ok(())
    }

    fn was_listed(&self, times: AccessTimes) -> Result<()> {
        self.was_read(times);
        Ok(())
    }

    fn create(&self, name: &[u8], new: &NewInode<'_>) -> Result<Arc<dyn Inode>> {
        self.entries()?.lock().check_new(name)?;
        let node = Self::new(&self.fs, new)?;
        self.add(name, &node)?;
        Ok(node)
    }

    fn create_unnamed(&self, new: &NewInode<'_>) -> Result<Arc<dyn Inode>> {
        Ok(Self::new(&self.fs, new)?)
    }

    fn link(&self, name: &[u8], inode: &Arc<dyn Inode>) -> Result<()> {
        let node = node_of(inode)?;
        if node.is_directory() {
            return Err(Errno::EPERM.because("a directory has only one name"));
        }
        if node.attributes.lock().links >= LINK_MAX {
            return Err(Errno::EMLINK.because("the file has too many names"));
        }
        let node = node.this.upgrade().ok_or_else(no_entry)?;
        self.add(name, &node)?;
        node.renamed();
        Ok(())
    }

    fn unlink(&self, name: &[u8]) -> Result<()> {
        let mut entries = self.entries()?.lock();
        let node = entries.get(name).ok_or_else(no_entry)?;
        if node.is_directory() {
            return Err(Errno::EISDIR.because("a directory"));
        }
        let node = entries.remove(name);
        drop(entries);
        self.entries_changed(0);
        if let Some(node) = node {
            node.name_removed();
        }
        Ok(())
    }

    fn remove_directory(&self, name: &[u8]) -> Result<()> {
        let _tree = self.fs.tree.lock();
        let mut entries = self.entries()?.lock();
        let node = entries.get(name).cloned().ok_or_else(no_entry)?;
        node.entries()?.lock().close()?;
        entries.remove(name);
        drop(entries);
        self.entries_changed(-1);
        node.name_removed();
        Ok(())
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
        if flags.contains(RenameFlags::EXCHANGE) {
            return self.exchange(name, to, new_name);
        }
        self.move_entry(name, to, new_name, flags)
    }

    fn read_link(&self, _: &Context<'_>) -> Result<Vec<u8>> {
        let Body::SymbolicLink(target) = &self.body else {
            return Err(Errno::EINVAL.because("not a symbolic link"));
        };
        self.was_read(AccessTimes::Relative);
        Ok(target.to_vec())
    }

    fn truncate(&self, len: u64) -> Result<()> {
        self.content()?.truncate(&self.fs, len)?;
        self.was_written(|| true);
        Ok(())
    }

    fn allocate(&self, flags: FallocateFlags, offset: u64, len: u64) -> Result<()> {
        let content = self.content().map_err(|_| Errno::ENODEV.because("not a regular file"))?;
        let end = offset.checked_add(len).filter(|&end| end <= MAX_SIZE);
        let end = end.ok_or_else(|| Errno::EFBIG.because("the file would be too large"))?;
        content.allocate(&self.fs, flags, offset..end)?;
        self.was_written(|| true);
        Ok(())
    }

    fn page(&self, index: u64) -> Result<Option<Arc<dyn Page>>> {
        self.mappable()?.page(&self.fs, index)
    }

    fn shared_page(&self, index: u64) -> Result<Option<Arc<dyn Page>>> {
        self.mappable()?.shared_page(&self.fs, index)
    }

    fn presence(&self, index: u64) -> Option<Presence> {
        self.mappable().ok().map(|content| content.presence(index))
    }

    fn seals(&self) -> Option<&SealSet> {
        self.content().ok().map(|content| &content.seals)
    }

    fn attributes(&self) -> Option<&xattr::Attributes> {
        Some(&self.extended)
    }

    fn bytes(&self) -> Option<&dyn Bytes> {
        self.content().ok().map(|_| self as &dyn Bytes)
    }

    fn writers(&self) -> Option<&Writers> {
        self.content().ok().map(Content::open_for_writing)
    }

    fn mappings(&self) -> Option<&Mappings> {
        self.content().ok().map(Content::mappings)
    }
}

impl Node {
    fn mappable(&self) -> Result<&Content> {
        self.content().map_err(|_| Errno::ENODEV.because("only regular files can be mapped"))
    }
}

impl Drop for Node {
    // Not by recursion: a tree can be deeper than a stack.
    fn drop(&mut self) {
        self.fs.return_inode();
        let mut below = self.let_go();
        while let Some(node) = below.pop() {
            if let Some(mut node) = Arc::into_inner(node) {
                below.append(&mut node.let_go());
            }
        }
    }
}

impl Node {
    /// Gives its pages back, and returns its entries.
    fn let_go(&mut self) -> Vec<Arc<Self>> {
        match &mut self.body {
            Body::Regular(content) => {
                content.clear(&self.fs);
                Vec::new()
            }
            Body::Directory(entries) => entries.drain(),
            Body::SymbolicLink(_) | Body::Special(..) => Vec::new(),
        }
    }
}

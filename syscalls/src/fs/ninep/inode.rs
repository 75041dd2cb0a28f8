//! Files of the host as inodes.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::any::Any;

use abi::Errno;
use abi::fs::{FileType, OpenFlags, RenameFlags};

use crate::context::Context;
use crate::error::{Because, Result};
use crate::fs::file::File;
use crate::fs::inode::{Change, DirectoryEntry, FileSystem, Inode, Metadata, NewInode, NewKind};
use crate::fs::storage::Bytes;
use crate::machine::Page;
use crate::mm::Mappings;

use super::fid::{Entry, NewAttributes, REMOVE_DIRECTORY};
use super::file::{HostDirectory, HostFile};
use super::node::Node;
use super::share::{Share, hosted};
use super::wire::Qid;

/// How a regular file is created: for reading and writing, and only if nothing is there.
const CREATE_FLAGS: u32 = OpenFlags::RDWR.union(OpenFlags::CREAT).union(OpenFlags::EXCL).bits();

/// The largest position of a directory: what comes before the entries of every directory must
/// not make it overflow. Hosts have none between this and the largest number, which they use
/// for the end.
const POSITION_MAX: u64 = i64::MAX as u64 - 16;

impl Inode for Node {
    fn kind(&self) -> FileType {
        self.file_type()
    }

    fn metadata(&self) -> Result<Metadata> {
        self.shown_metadata()
    }

    fn file_system(&self) -> Arc<dyn FileSystem> {
        self.share.clone()
    }

    fn change(&self, change: &Change) -> Result<()> {
        self.change_attributes(change)
    }

    fn open(self: Arc<Self>, cx: &Context<'_>, flags: OpenFlags) -> Result<Arc<dyn File>> {
        match self.file_type() {
            FileType::Regular => {
                let fid = self.open_fid(flags.access_mode())?;
                self.pages.revalidate(&self.ask_attributes()?);
                // The server opens what is at the path now, which may be another file.
                self.reachable()?;
                Ok(HostFile::open(self, fid, flags.access_mode()))
            }
            FileType::Directory => Ok(HostDirectory::open(self)),
            FileType::SymbolicLink => Err(Errno::ELOOP.because("a symbolic link")),
            kind => {
                let device = self.attributes()?.device;
                cx.system.vfs.devices.open(cx, self, kind, device, flags)
            }
        }
    }

    fn lookup(&self, _: &Context<'_>, name: &[u8]) -> Result<Arc<dyn Inode>> {
        self.check_directory()?;
        let now = self.share.machine.monotonic_ns();
        match self.share.names.find(self.number(), name, now) {
            Some(Some(node)) if node.is_reachable() => Ok(node),
            Some(None) => Err(Errno::ENOENT.because("the host said so a moment ago")),
            _ => Ok(self.entry(name)?),
        }
    }

    fn is_shared(&self) -> bool {
        true
    }

    fn read_directory(
        &self,
        _: &Context<'_>,
        from: u64,
        each: &mut dyn FnMut(DirectoryEntry<'_>) -> bool,
    ) -> Result<()> {
        self.check_directory()?;
        let listing = self.listing()?;
        let mut from = from;
        loop {
            let entries = listing.read_directory(from)?;
            let Some(last) = entries.last() else {
                self.end_listing();
                return Ok(());
            };
            from = last.next;
            for entry in &entries {
                if !matches!(&entry.name[..], b"." | b"..") && !each(shown_entry(entry)) {
                    return Ok(());
                }
            }
        }
    }

    fn create(&self, name: &[u8], new: &NewInode<'_>) -> Result<Arc<dyn Inode>> {
        self.check_directory()?;
        let directory = self.reachable()?;
        let group = hosted(new.group, self.share.owner.group);
        let created = match new.kind {
            NewKind::Regular => {
                let fid = directory.duplicate()?;
                fid.create(name, CREATE_FLAGS, new.mode, group)?;
                Some(fid)
            }
            NewKind::Directory => directory.make_directory(name, new.mode, group).map(|()| None)?,
            NewKind::SymbolicLink(target) => {
                directory.make_link(name, target, group).map(|()| None)?
            }
            NewKind::Special(kind, device) => {
                let mode = kind as u32 | u32::from(new.mode.bits());
                directory.make_node(name, mode, device, group).map(|()| None)?
            }
        };
        self.entry_changed(name);
        let node = self.entry(name)?;
        if let Some(created) = created {
            node.set_created(created);
        }
        node.take_owner(new)?;
        Ok(node)
    }

    fn link(&self, name: &[u8], inode: &Arc<dyn Inode>) -> Result<()> {
        let node = node_of(inode)?;
        self.reachable()?.link(&*node.reachable()?, name)?;
        self.entry_changed(name);
        node.was_changed();
        Ok(())
    }

    fn unlink(&self, name: &[u8]) -> Result<()> {
        self.remove(name, 0)
    }

    fn remove_directory(&self, name: &[u8]) -> Result<()> {
        self.remove(name, REMOVE_DIRECTORY)
    }

    fn rename(
        &self,
        name: &[u8],
        to: &Arc<dyn Inode>,
        new_name: &[u8],
        flags: RenameFlags,
    ) -> Result<()> {
        if !flags.is_empty() {
            return Err(Errno::EINVAL.because("the protocol knows no flags of rename"));
        }
        let to = node_of(to)?;
        let (from_fid, to_fid) = (self.reachable()?, to.reachable()?);
        let replaced = to_fid.walk(new_name).ok().and_then(|(_, qid)| self.share.known(qid.path));
        from_fid.rename(name, &to_fid, new_name)?;
        self.entry_changed(name);
        to.entry_changed(new_name);
        if let Some(replaced) = replaced {
            replaced.lose();
        }
        if let Some(moved) =
            to_fid.walk(new_name).ok().and_then(|(_, qid)| self.share.known(qid.path))
        {
            moved.was_changed();
        }
        Ok(())
    }

    fn read_link(&self, _: &Context<'_>) -> Result<Vec<u8>> {
        if self.file_type() != FileType::SymbolicLink {
            return Err(Errno::EINVAL.because("not a symbolic link"));
        }
        self.reachable()?.read_link()
    }

    fn truncate(&self, len: u64) -> Result<()> {
        if self.file_type() != FileType::Regular {
            return Err(Errno::EINVAL.because("not a regular file"));
        }
        if len > i64::MAX as u64 {
            return Err(Errno::EFBIG.because("the file would be too large"));
        }
        self.tell_written()?;
        if self.with_lost(|lost, size| lost.truncate(size, len)).is_none() {
            self.set_attributes(&NewAttributes { size: Some(len), ..NewAttributes::default() })?;
        }
        self.set_stored(false);
        self.pages.cut(len);
        Ok(())
    }

    fn page(&self, index: u64) -> Result<Option<Arc<dyn Page>>> {
        self.mapped_page(index)
    }

    fn shared_page(&self, index: u64) -> Result<Option<Arc<dyn Page>>> {
        self.mapped_page(index)
    }

    fn shared_page_to_write(&self, index: u64) -> Result<Option<Arc<dyn Page>>> {
        self.check_mappable()?;
        self.pages.page_to_write(&*self.share.machine, &*self.reader()?, index)
    }

    fn tracks_writes(&self) -> bool {
        true
    }

    fn bytes(&self) -> Option<&dyn Bytes> {
        (self.file_type() == FileType::Regular).then_some(self)
    }

    fn mappings(&self) -> Option<&Mappings> {
        Some(&self.pages.mappings)
    }
}

impl Node {
    fn check_directory(&self) -> Result<()> {
        if self.file_type() == FileType::Directory {
            return Ok(());
        }
        Err(Errno::ENOTDIR.because("not a directory"))
    }

    /// The entry `name` of this directory, as it is now.
    fn entry(&self, name: &[u8]) -> Result<Arc<Self>> {
        let found = self.ask_entry(name);
        let Share { trust, names, machine, .. } = &*self.share;
        let age = match &found {
            Ok(node) if node.file_type() == FileType::Directory => trust.directories_ns,
            Err(error) if error.errno != Errno::ENOENT => 0,
            Ok(_) | Err(_) => trust.names_ns,
        };
        if age > 0 {
            let until = machine.monotonic_ns() + age;
            names.remember(self.number(), name, found.as_ref().ok(), until);
        }
        found
    }

    fn ask_entry(&self, name: &[u8]) -> Result<Arc<Self>> {
        let (fid, _) = self.reachable()?.walk(name)?;
        let attributes = fid.attributes()?;
        Ok(self.share.node(fid, attributes))
    }

    /// The entry `name` of this directory was changed from here.
    fn entry_changed(&self, name: &[u8]) {
        self.share.names.forget(self.number(), name);
        self.was_changed();
    }

    /// Gives a new file its owner, where that is not who the server makes files for. A host
    /// that lets nobody do so keeps its own.
    fn take_owner(&self, new: &NewInode<'_>) -> Result<()> {
        let change = Change { owner: Some(new.owner), group: Some(new.group), ..Change::default() };
        match self.change_attributes(&change) {
            Err(error) if error.errno != Errno::EPERM => Err(error),
            _ => Ok(()),
        }
    }

    fn remove(&self, name: &[u8], flags: u32) -> Result<()> {
        self.check_directory()?;
        let directory = self.reachable()?;
        let (_, qid) = directory.walk(name)?;
        directory.unlink(name, flags)?;
        self.entry_changed(name);
        if let Some(node) = self.share.known(qid.path) {
            node.lose();
        }
        Ok(())
    }

    fn check_mappable(&self) -> Result<()> {
        if self.file_type() == FileType::Regular {
            return Ok(());
        }
        Err(Errno::ENODEV.because("only regular files can be mapped"))
    }

    fn mapped_page(&self, index: u64) -> Result<Option<Arc<dyn Page>>> {
        self.check_mappable()?;
        let reader = self.reader()?;
        let page = self.pages.page(&*self.share.machine, &reader, index);
        self.share.limit_cache();
        page
    }
}

/// An entry of the server as the application sees it.
fn shown_entry(entry: &Entry) -> DirectoryEntry<'_> {
    let by_qid = match entry.qid.kind {
        kind if kind & Qid::DIRECTORY != 0 => FileType::Directory,
        kind if kind & Qid::SYMBOLIC_LINK != 0 => FileType::SymbolicLink,
        _ => FileType::Regular,
    };
    DirectoryEntry {
        name: &entry.name,
        number: entry.qid.path,
        kind: FileType::of(u32::from(entry.kind) << 12).unwrap_or(by_qid),
        next: entry.next.min(POSITION_MAX),
    }
}

/// The node that is `inode`, if it is one of this kind of file system.
fn node_of(inode: &Arc<dyn Inode>) -> Result<&Node> {
    let any: &dyn Any = &**inode;
    any.downcast_ref().ok_or_else(|| Errno::EXDEV.because("another file system"))
}

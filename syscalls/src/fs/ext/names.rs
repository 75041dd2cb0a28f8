//! Files come, get names, lose them and go.

use alloc::vec::Vec;

use abi::Errno;
use abi::fs::{FileType, Mode, RenameFlags};

use crate::buffer;
use crate::error::{Because, Result};
use crate::fs::inode::{NewInode, NewKind};

use super::bytes::put_u16;
use super::damaged;
use super::directory::no_entry;
use super::record::{BASE, MAP_LEN, Record, Time, flag};
use super::shape::writable;
use super::volume::Volume;

/// What inodes have beyond the part that every one has, in bytes, where there is room.
const EXTRA: u16 = 32;

/// Most names of a file.
const LINKS_MAX: u16 = 65000;
const LINKS_MAX_OLD: u16 = 32000;

impl Volume {
    /// Makes an inode without a name.
    ///
    /// # Errors
    /// `EROFS`; `ENOSPC`; `ENAMETOOLONG` for a link to a path that is too long; those of the
    /// device.
    pub(super) fn make_inode(&mut self, parent: u32, new: &NewInode<'_>) -> Result<u32> {
        self.check_writable()?;
        let kind = match new.kind {
            NewKind::Regular => FileType::Regular,
            NewKind::Directory => FileType::Directory,
            NewKind::SymbolicLink(_) => FileType::SymbolicLink,
            NewKind::Special(kind, _) => kind,
        };
        let record = self.new_record(parent, kind, new)?;
        let number = self.take_inode(parent, kind == FileType::Directory)?;
        self.put_inode(number, record);
        let result = match new.kind {
            NewKind::Directory => self.begin_directory(number, parent),
            NewKind::SymbolicLink(target) => self.set_target(number, target),
            NewKind::Regular | NewKind::Special(..) => Ok(()),
        };
        if let Err(error) = result {
            self.remove_inode(number)?;
            return Err(error);
        }
        Ok(number)
    }

    /// What a new inode in the directory `parent` is on disk.
    fn new_record(&mut self, parent: u32, kind: FileType, new: &NewInode<'_>) -> Result<Record> {
        let inherited = self.inode(parent)?.record.flags() & flag::INHERITED;
        let mut record = Record(buffer::zeroed(self.shape.inode_size)?);
        if self.shape.inode_size > BASE {
            put_u16(&mut record.0, BASE, EXTRA);
        }
        put_u16(&mut record.0, 0, kind as u32 as u16);
        record.set_mode(new.mode);
        record.set_owner(new.owner);
        record.set_group(new.group);
        let now = self.now();
        for time in [Time::Accessed, Time::Changed, Time::Modified, Time::Created] {
            record.set_time(time, now);
        }
        let mut generation = [0; 4];
        self.machine.fill_random(&mut generation);
        record.set_generation(u32::from_le_bytes(generation));
        record.set_links(if kind == FileType::Directory { 2 } else { 0 });
        let has_map = match new.kind {
            NewKind::SymbolicLink(target) => target.len() >= MAP_LEN,
            NewKind::Special(_, device) => {
                if kind.is_device() {
                    record.set_device(device);
                }
                false
            }
            _ => true,
        };
        let flags = if kind == FileType::SymbolicLink { 0 } else { inherited };
        let extents = if has_map && self.shape.has_extents() { flag::EXTENTS } else { 0 };
        record.set_flags(flags | extents);
        if extents != 0 {
            put_u16(record.map_mut(), 0, 0xf30a);
            put_u16(record.map_mut(), 4, 4);
        }
        Ok(record)
    }

    fn set_target(&mut self, number: u32, target: &[u8]) -> Result<()> {
        if target.len() >= self.shape.block_size {
            return Err(Errno::ENAMETOOLONG.because("the path of the link is too long"));
        }
        self.edit(number)?.record.set_size(target.len() as u64);
        if target.len() < MAP_LEN {
            super::bytes::put(self.edit(number)?.record.map_mut(), 0, target);
            return Ok(());
        }
        self.fill(number, 0..1)?;
        let block = self.run(number, 0)?.data().ok_or_else(damaged)?;
        super::bytes::put(self.blocks.fresh(block)?, 0, target);
        Ok(())
    }

    /// Where a symbolic link leads.
    ///
    /// # Errors
    /// `EUCLEAN`; those of the device.
    pub(super) fn target(&mut self, number: u32) -> Result<Vec<u8>> {
        let block_size = self.shape.block_size;
        let record = &self.inode(number)?.record;
        let len = usize::try_from(record.size()).unwrap_or(usize::MAX);
        let own = if record.attribute_block() == 0 { 0 } else { block_size as u64 / 512 };
        if record.sectors(block_size) <= own {
            return Ok(record.map().get(..len).ok_or_else(damaged)?.to_vec());
        }
        let block = self.run(number, 0)?.data().ok_or_else(damaged)?;
        Ok(self.blocks.read(block)?.get(..len).ok_or_else(damaged)?.to_vec())
    }

    /// Frees an inode that has no name, and all that it has.
    ///
    /// # Errors
    /// `EUCLEAN`; those of the device.
    pub(super) fn remove_inode(&mut self, number: u32) -> Result<()> {
        let is_directory = self.inode(number)?.record.kind() == Some(FileType::Directory);
        let block_size = self.shape.block_size;
        self.free_attributes(number)?;
        let record = &self.inode(number)?.record;
        if record.sectors(block_size) > 0 {
            self.cut(number, 0)?;
        }
        let now = self.now().seconds as u32;
        let record = &mut self.edit(number)?.record;
        record.set_size(0);
        record.set_links(0);
        record.set_removed(now);
        self.store_inode(number)?;
        self.drop_inode(number);
        self.free_inode(number, is_directory)
    }

    /// Something about an inode was changed now.
    ///
    /// # Errors
    /// As [`Volume::edit`].
    pub(super) fn touch(&mut self, number: u32, times: &[Time]) -> Result<()> {
        let now = self.now();
        let record = &mut self.edit(number)?.record;
        times.iter().for_each(|&time| record.set_time(time, now));
        Ok(())
    }

    /// An inode has more or fewer names.
    fn add_links(&mut self, number: u32, difference: i16) -> Result<()> {
        let many = self.shape.writable & writable::MANY_LINKS != 0;
        let record = &mut self.edit(number)?.record;
        let is_directory = record.kind() == Some(FileType::Directory);
        let links = match record.links() {
            1 if is_directory && many => 1,
            links => links.saturating_add_signed(difference),
        };
        let uncounted = is_directory && many && links > LINKS_MAX;
        record.set_links(if uncounted { 1 } else { links });
        self.touch(number, &[Time::Changed])
    }

    fn check_links(&mut self, number: u32) -> Result<()> {
        let many = self.shape.writable & writable::MANY_LINKS != 0;
        let record = &self.inode(number)?.record;
        let is_directory = record.kind() == Some(FileType::Directory);
        let most = if self.shape.has_extents() { LINKS_MAX } else { LINKS_MAX_OLD };
        if self.inode(number)?.record.links() >= most && !(is_directory && many) {
            return Err(Errno::EMLINK.because("there are too many names"));
        }
        Ok(())
    }

    fn check_live(&mut self, directory: u32) -> Result<()> {
        if self.inode(directory)?.record.links() == 0 {
            return Err(Errno::ENOENT.because("the directory has been removed"));
        }
        Ok(())
    }

    /// Gives an inode the name `name` in a directory.
    ///
    /// # Errors
    /// `EEXIST`; `ENOENT` where the directory was removed; `EMLINK`; `ENOSPC`; `EROFS`;
    /// those of the device.
    pub(super) fn link(&mut self, directory: u32, name: &[u8], number: u32) -> Result<()> {
        self.check_writable()?;
        self.check_live(directory)?;
        if self.find_entry(directory, name)?.is_some() {
            return Err(Errno::EEXIST.because("the file exists"));
        }
        let kind = self.inode(number)?.record.kind().ok_or_else(damaged)?;
        let is_directory = kind == FileType::Directory;
        self.check_links(if is_directory { directory } else { number })?;
        self.add_entry(directory, name, number, kind)?;
        match is_directory {
            true => self.add_links(directory, 1)?,
            false => self.add_links(number, 1)?,
        }
        self.touch(directory, &[Time::Modified, Time::Changed])
    }

    /// Takes the name `name` of a file, or an empty directory, away.
    ///
    /// # Errors
    /// `ENOENT`; `EISDIR`, `ENOTDIR` where it is not of that kind; `ENOTEMPTY`; `EROFS`;
    /// those of the device.
    pub(super) fn unlink(&mut self, directory: u32, name: &[u8], kind: Removed) -> Result<u32> {
        self.check_writable()?;
        let number = self.find_entry(directory, name)?.ok_or_else(no_entry)?.number;
        self.check_named(number)?;
        self.check_removable(number, kind)?;
        self.remove_entry(directory, name)?;
        self.name_gone(directory, number)?;
        self.touch(directory, &[Time::Modified, Time::Changed])?;
        Ok(number)
    }

    fn check_removable(&mut self, number: u32, kind: Removed) -> Result<()> {
        let is_directory = self.inode(number)?.record.kind() == Some(FileType::Directory);
        match (kind, is_directory) {
            (Removed::File, true) => Err(Errno::EISDIR.because("a directory")),
            (Removed::Directory, false) => Err(Errno::ENOTDIR.because("not a directory")),
            (Removed::Directory, true) if !self.is_empty(number)? => {
                Err(Errno::ENOTEMPTY.because("the directory is not empty"))
            }
            _ => Ok(()),
        }
    }

    /// An entry of a directory, which led to this inode, is gone.
    fn name_gone(&mut self, directory: u32, number: u32) -> Result<()> {
        if self.inode(number)?.record.kind() != Some(FileType::Directory) {
            return self.add_links(number, -1);
        }
        self.edit(number)?.record.set_links(0);
        self.touch(number, &[Time::Changed])?;
        self.add_links(directory, -1)
    }

    /// Moves an entry; returns the inode that was at the new name and is not any more.
    ///
    /// # Errors
    /// Those of rename(2).
    pub(super) fn rename(
        &mut self,
        (from, name): (u32, &[u8]),
        (to, new_name): (u32, &[u8]),
        flags: RenameFlags,
    ) -> Result<Option<u32>> {
        self.check_writable()?;
        self.check_live(to)?;
        let number = self.find_entry(from, name)?.ok_or_else(no_entry)?.number;
        self.check_named(number)?;
        let kind = self.inode(number)?.record.kind().ok_or_else(damaged)?;
        let is_directory = kind == FileType::Directory;
        let old = self.find_entry(to, new_name)?.map(|found| found.number);
        old.map_or(Ok(()), |old| self.check_named(old))?;
        if flags.contains(RenameFlags::EXCHANGE) {
            let other = old.ok_or_else(no_entry)?;
            self.exchange((from, name, number), (to, new_name, other))?;
            return Ok(None);
        }
        match old {
            Some(_) if flags.contains(RenameFlags::NOREPLACE) => {
                return Err(Errno::EEXIST.because("the new name exists"));
            }
            Some(old) if old == number => return Ok(None),
            Some(old) => {
                let removed = if is_directory { Removed::Directory } else { Removed::File };
                self.check_removable(old, removed)?;
                self.set_entry(to, new_name, number, kind)?;
                self.name_gone(to, old)?;
            }
            None => {
                if is_directory && from != to {
                    self.check_links(to)?;
                }
                self.add_entry(to, new_name, number, kind)?;
            }
        }
        self.remove_entry(from, name)?;
        if is_directory && from != to {
            self.set_entry(number, b"..", to, FileType::Directory)?;
            self.add_links(from, -1)?;
            self.add_links(to, 1)?;
        }
        self.touch(number, &[Time::Changed])?;
        for directory in [from, to] {
            self.touch(directory, &[Time::Modified, Time::Changed])?;
        }
        Ok(old)
    }

    fn kind_of(&mut self, number: u32) -> Result<FileType> {
        self.inode(number)?.record.kind().ok_or_else(damaged)
    }

    /// Lets two entries change places.
    fn exchange(&mut self, one: (u32, &[u8], u32), other: (u32, &[u8], u32)) -> Result<()> {
        let kinds = [self.kind_of(one.2)?, self.kind_of(other.2)?];
        self.set_entry(one.0, one.1, other.2, kinds[1])?;
        self.set_entry(other.0, other.1, one.2, kinds[0])?;
        for (number, kind, from, to) in
            [(one.2, kinds[0], one.0, other.0), (other.2, kinds[1], other.0, one.0)]
        {
            if kind == FileType::Directory && from != to {
                self.set_entry(number, b"..", to, FileType::Directory)?;
                self.add_links(from, -1)?;
                self.add_links(to, 1)?;
            }
            self.touch(number, &[Time::Changed])?;
            self.touch(from, &[Time::Modified, Time::Changed])?;
        }
        Ok(())
    }

    /// Takes away the set-ID bits that a write takes away.
    ///
    /// # Errors
    /// As [`Volume::edit`].
    pub(super) fn clear_set_id(&mut self, number: u32) -> Result<()> {
        let record = &mut self.edit(number)?.record;
        let mut mode = record.mode().difference(Mode::SET_USER_ID);
        if mode.contains(Mode::GROUP_EXECUTE) {
            mode.remove(Mode::SET_GROUP_ID);
        }
        record.set_mode(mode);
        Ok(())
    }
}

/// What unlink(2) and rmdir(2) remove.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Removed {
    /// Anything but a directory.
    File,
    /// An empty directory.
    Directory,
}

//! What an event is about, as groups see it that get handles in place of descriptors.

use alloc::sync::Arc;
use alloc::vec::Vec;

use abi::fanotify::{FanotifyInit, FanotifyMask, RecordHeader, record};
use abi::fs::FileType;
use zerocopy::IntoBytes;

use crate::error::Result;
use crate::fs::handle::{HANDLE_LEN, Handle};

use super::{Entry, Happening};

/// Records are filled up with NULs to a multiple of this, in bytes.
const ALIGNMENT: usize = 4;

/// A directory and a name in it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    directory: Handle,
    name: Option<Vec<u8>>,
}

impl Place {
    fn of(entry: Entry<'_>) -> Result<Self> {
        let name = Some(entry.name.to_vec());
        Ok(Self { directory: Handle::to_identify(entry.directory)?, name })
    }
}

/// What an event is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    /// `f_fsid` of statfs(2).
    file_system: [i32; 2],
    place: Option<Place>,
    /// Where it was renamed to.
    to: Option<Place>,
    object: Option<Handle>,
}

/// Which ends of a rename a group has marked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ends {
    pub(super) old: bool,
    pub(super) new: bool,
}

impl Identity {
    /// What a group with these flags is told of what has happened.
    ///
    /// # Errors
    /// Those of [`Inode::metadata`].
    pub(super) fn of(happening: &Happening<'_>, group: FanotifyInit, ends: Ends) -> Result<Self> {
        let inode = happening.inode;
        let file_system = [inode.file_system().device().encode() as i32, 0];
        let is_entry = happening.is_of_entry();
        let is_directory = inode.kind() == FileType::Directory;
        let entry = happening.entry;
        let directory = match entry {
            _ if !is_entry && is_directory => Some(inode),
            entry => entry.map(|entry| entry.directory),
        };
        let has_target = group.contains(FanotifyInit::REPORT_TARGET_FID);
        let object = if is_entry && !has_target { directory.unwrap_or(inode) } else { inode };
        let none = Self { file_system, place: None, to: None, object: None };
        let Some(directory) = directory.filter(|_| group.contains(FanotifyInit::REPORT_DIR_FID))
        else {
            return Ok(Self { object: Some(Handle::to_identify(object)?), ..none });
        };
        let reports_child = match is_entry {
            true => has_target,
            false => group.contains(FanotifyInit::REPORT_FID) && !is_directory,
        };
        let child = Some(object).filter(|&child| reports_child && !Arc::ptr_eq(child, directory));
        let has_name = group.contains(FanotifyInit::REPORT_NAME) && (is_entry || !is_directory);
        let child = child.map(Handle::to_identify).transpose()?;
        if !has_name && child.is_none() {
            return Ok(Self { object: Some(Handle::to_identify(directory)?), ..none });
        }
        let name = entry.filter(|_| has_name).map(|entry| entry.name.to_vec());
        let place = Place { directory: Handle::to_identify(directory)?, name };
        let is_rename = happening.event.contains(FanotifyMask::RENAME);
        let to = happening.to.filter(|_| is_rename && ends.new).map(Place::of).transpose()?;
        let place = Some(place).filter(|_| !is_rename || ends.old);
        Ok(Self { place, to, object: child, ..none })
    }

    /// The records of it, for an event with this mask in such a group.
    pub(super) fn records(&self, mask: FanotifyMask, group: FanotifyInit) -> Vec<u8> {
        let mut records = Vec::new();
        let is_rename = mask.contains(FanotifyMask::RENAME);
        if let Some(place) = &self.place {
            let kind = match &place.name {
                _ if is_rename => record::OLD_DFID_NAME,
                Some(_) => record::DFID_NAME,
                None => record::DFID,
            };
            self.put(&mut records, kind, &place.directory, place.name.as_deref());
        }
        if let Some(to) = &self.to {
            self.put(&mut records, record::NEW_DFID_NAME, &to.directory, to.name.as_deref());
        }
        if let Some(object) = &self.object {
            let is_of_directory = mask.intersects(FanotifyMask::ENTRIES | FanotifyMask::ONDIR);
            let only_files = group.intersection(FanotifyInit::IDENTIFY) == FanotifyInit::REPORT_FID;
            let (kind, name) = match () {
                () if only_files || !records.is_empty() => (record::FID, None),
                () if group.contains(FanotifyInit::REPORT_NAME)
                    && mask.contains(FanotifyMask::ONDIR) =>
                {
                    (record::DFID_NAME, Some(&b"."[..]))
                }
                () if is_of_directory => (record::DFID, None),
                () => (record::FID, None),
            };
            self.put(&mut records, kind, object, name);
        }
        records
    }

    fn put(&self, to: &mut Vec<u8>, kind: u8, handle: &Handle, name: Option<&[u8]>) {
        let start = to.len();
        let name_len = name.map_or(0, |name| name.len() + 1);
        let fixed = size_of::<RecordHeader>() + size_of_val(&self.file_system) + 8 + HANDLE_LEN;
        let len = (fixed + name_len).next_multiple_of(ALIGNMENT);
        // A name is at most NAME_MAX bytes long.
        to.extend_from_slice(RecordHeader { kind, pad: 0, len: len as u16 }.as_bytes());
        to.extend_from_slice(self.file_system.as_bytes());
        to.extend_from_slice(&(HANDLE_LEN as u32).to_ne_bytes());
        to.extend_from_slice(&handle.kind.to_ne_bytes());
        to.extend_from_slice(&handle.bytes);
        to.extend_from_slice(name.unwrap_or_default());
        to.resize(start + len, 0);
    }
}

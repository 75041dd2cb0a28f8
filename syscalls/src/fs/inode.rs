//! Objects of file systems, and the file systems themselves.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::any::Any;
use core::ops::Range;

use abi::Errno;
use abi::fs::{Device, FallocateFlags, FileType, InodeFlags, Mode, OpenFlags, RenameFlags};

use crate::context::Context;
use crate::error::{Because, Result};
use crate::fs::seal::SealSet;
use crate::machine::Page;
use crate::mm::{Mappings, Presence};

use super::file::File;
use super::mount::{AccessTimes, Location, MountAccess};
use super::storage::Bytes;
use super::write_access::Writers;
use super::xattr::Attributes;

/// A point in time: seconds and nanoseconds since 1970 UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp {
    /// Seconds; negative before 1970.
    pub seconds: i64,
    /// Nanoseconds, less than a thousand million.
    pub nanoseconds: u32,
}

impl Timestamp {
    /// The point `nanoseconds` after 1970 UTC.
    #[must_use]
    pub const fn from_ns(nanoseconds: u64) -> Self {
        const SECOND: u64 = 1_000_000_000;
        Self { seconds: (nanoseconds / SECOND) as i64, nanoseconds: (nanoseconds % SECOND) as u32 }
    }
}

/// What stat(2) tells of an inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// Number of the inode, unique in its file system.
    pub number: u64,
    /// What it is.
    pub kind: FileType,
    /// Permission bits.
    pub mode: Mode,
    /// Number of names.
    pub links: u64,
    /// User who owns it.
    pub owner: u32,
    /// Group of it.
    pub group: u32,
    /// Which device a device node stands for.
    pub device: Device,
    /// Length in bytes.
    pub size: u64,
    /// Storage it takes, in units of 512 bytes.
    pub blocks: u64,
    /// Best size of a transfer, in bytes.
    pub block_size: u32,
    /// When it was last read.
    pub accessed: Timestamp,
    /// When its content was last changed.
    pub modified: Timestamp,
    /// When its metadata was last changed.
    pub changed: Timestamp,
    /// When it was created.
    pub created: Timestamp,
    /// What is special about it; `None` where the file system does not store such flags.
    pub flags: Option<InodeFlags>,
}

impl Metadata {
    /// Whether it has one of these flags.
    #[must_use]
    pub fn has_flag(&self, flags: InodeFlags) -> bool {
        self.flags.is_some_and(|own| own.intersects(flags))
    }

    /// A file of `kind` with `mode` that belongs to root, has one name and nothing else. For
    /// file systems without storage, which fill in what they have.
    #[must_use]
    pub fn new(number: u64, kind: FileType, mode: Mode) -> Self {
        let never = Timestamp::default();
        Self {
            number,
            kind,
            mode,
            links: 1,
            owner: 0,
            group: 0,
            device: Device::default(),
            size: 0,
            blocks: 0,
            block_size: abi::PAGE_SIZE as u32,
            accessed: never,
            modified: never,
            changed: never,
            created: never,
            flags: None,
        }
    }

    /// Type and permission bits as `st_mode` has them.
    #[must_use]
    pub const fn mode_bits(&self) -> u32 {
        self.kind as u32 | self.mode.bits() as u32
    }
}

impl Metadata {
    /// Takes over a change; the caller records its time.
    pub(crate) fn apply(&mut self, change: &Change) {
        self.mode = change.mode.unwrap_or(self.mode);
        self.owner = change.owner.unwrap_or(self.owner);
        self.group = change.group.unwrap_or(self.group);
        self.accessed = change.accessed.unwrap_or(self.accessed);
        self.modified = change.modified.unwrap_or(self.modified);
    }
}

/// A change of metadata by chmod(2), chown(2), utimensat(2): what is `None` stays. The time of
/// the change is recorded in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// New permission bits.
    pub mode: Option<Mode>,
    /// New owner.
    pub owner: Option<u32>,
    /// New group.
    pub group: Option<u32>,
    /// New time of access.
    pub accessed: Option<Timestamp>,
    /// New time of modification.
    pub modified: Option<Timestamp>,
}

/// What a new inode is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NewKind<'a> {
    /// An empty regular file.
    Regular,
    /// An empty directory.
    Directory,
    /// A symbolic link to this path.
    SymbolicLink(&'a [u8]),
    /// A FIFO, a socket or a device node.
    Special(FileType, Device),
}

impl NewKind<'_> {
    /// What kind of file it will be.
    pub(crate) const fn file_type(&self) -> FileType {
        match self {
            Self::Regular => FileType::Regular,
            Self::Directory => FileType::Directory,
            Self::SymbolicLink(_) => FileType::SymbolicLink,
            Self::Special(kind, _) => *kind,
        }
    }
}

/// A new inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewInode<'a> {
    /// What it is to be.
    pub kind: NewKind<'a>,
    /// Its permission bits, from which the umask has been taken.
    pub mode: Mode,
    /// Its owner.
    pub owner: u32,
    /// Its group.
    pub group: u32,
}

/// Where a symbolic link leads.
pub enum Link {
    /// To this path, seen from the directory of the link.
    Path(Vec<u8>),
    /// To this place, whatever its path is: the links of /proc/self/fd.
    Location(Location),
}

/// An entry as [`Inode::read_directory`] shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DirectoryEntry<'a> {
    /// Its name.
    pub name: &'a [u8],
    /// Number of its inode.
    pub number: u64,
    /// What it is.
    pub kind: FileType,
    /// From where to go on after it.
    pub next: u64,
}

/// An object in a file system (regular file, directory, symbolic link, device, FIFO …) or
/// outside of any (a pipe).
///
/// Permissions are no business of an inode: whoever calls has checked them. Names are single
/// components, neither empty nor `.` nor `..`, at most [`abi::fs::NAME_MAX`] bytes long. What
/// may depend on who asks takes a [`Context`]. Defaults are those of an object that cannot do
/// the thing.
pub trait Inode: Any + Send + Sync {
    /// What it is; never changes.
    fn kind(&self) -> FileType;

    /// What stat(2) tells.
    ///
    /// # Errors
    /// Those of the storage behind it.
    fn metadata(&self) -> Result<Metadata>;

    /// The file system it lives in.
    fn file_system(&self) -> Arc<dyn FileSystem>;

    /// What /proc/self/fd shows where it has no path: `pipe:[7]`.
    fn name_without_path(&self) -> Vec<u8> {
        b"anon_inode:inode".to_vec()
    }

    /// Changes metadata.
    ///
    /// # Errors
    /// `EPERM` where that is not possible.
    fn change(&self, change: &Change) -> Result<()> {
        let _ = change;
        Err(Errno::EPERM.because("the file system does not store this"))
    }

    /// Sets what is special about it, where [`Metadata::flags`] has something.
    ///
    /// # Errors
    /// `EOPNOTSUPP` where that is not stored.
    fn set_flags(&self, flags: InodeFlags) -> Result<()> {
        let _ = flags;
        Err(Errno::EOPNOTSUPP.because("the file system does not store such flags"))
    }

    /// A number by which [`FileSystem::by_handle`] finds it again; `None` where that cannot
    /// be.
    fn handle(self: Arc<Self>) -> Option<u64> {
        None
    }

    /// Whether something can be mounted on it.
    fn can_be_mounted_on(&self) -> bool {
        true
    }

    /// Opens it. The access has been checked; truncation is not its business.
    ///
    /// # Errors
    /// `ENXIO` where there is nothing behind it.
    fn open(self: Arc<Self>, cx: &Context<'_>, flags: OpenFlags) -> Result<Arc<dyn File>> {
        let _ = (cx, flags);
        Err(Errno::ENXIO.because("nothing is behind the file"))
    }

    /// Of a directory: the entry `name`.
    ///
    /// # Errors
    /// `ENOENT`; `ENOTDIR` when it is not a directory.
    fn lookup(&self, cx: &Context<'_>, name: &[u8]) -> Result<Arc<dyn Inode>> {
        let _ = (cx, name);
        Err(Errno::ENOTDIR.because("not a directory"))
    }

    /// Whether others than this machine may change it, so that a name of it that is in use
    /// need not lead to what it led to before.
    fn is_shared(&self) -> bool {
        false
    }

    /// Of a directory: shows its entries, without `.` and `..`, starting at `from` (0 or a
    /// [`DirectoryEntry::next`]), until `each` returns false. Entries keep their positions
    /// while others come and go. `each` does not block and calls no file system.
    ///
    /// # Errors
    /// `ENOTDIR` when it is not a directory.
    fn read_directory(
        &self,
        cx: &Context<'_>,
        from: u64,
        each: &mut dyn FnMut(DirectoryEntry<'_>) -> bool,
    ) -> Result<()> {
        let _ = (cx, from, each);
        Err(Errno::ENOTDIR.because("not a directory"))
    }

    /// Its content was read by way of a descriptor, where reading does not say so itself: a
    /// directory was listed.
    ///
    /// # Errors
    /// Those of the storage behind it.
    fn was_listed(&self, times: AccessTimes) -> Result<()> {
        let _ = times;
        Ok(())
    }

    /// Of a directory: makes a new entry.
    ///
    /// # Errors
    /// `EEXIST`; `ENOENT` when the directory has been removed; `ENOSPC`; `EPERM` where the
    /// file system has no such files.
    fn create(&self, name: &[u8], new: &NewInode<'_>) -> Result<Arc<dyn Inode>> {
        let _ = (name, new);
        Err(Errno::EPERM.because("the file system does not support this"))
    }

    /// Of a directory: makes a regular file without a name in its file system (`O_TMPFILE`).
    ///
    /// # Errors
    /// `EOPNOTSUPP` where the file system cannot; `ENOSPC`.
    fn create_unnamed(&self, new: &NewInode<'_>) -> Result<Arc<dyn Inode>> {
        let _ = new;
        Err(Errno::EOPNOTSUPP.because("the file system has no files without a name"))
    }

    /// Of a directory: makes another name for `inode`, which is in the same file system.
    ///
    /// # Errors
    /// As [`Inode::create`]; `EMLINK`.
    fn link(&self, name: &[u8], inode: &Arc<dyn Inode>) -> Result<()> {
        let _ = (name, inode);
        Err(Errno::EPERM.because("the file system does not support this"))
    }

    /// Of a directory: removes the entry `name`, which is not a directory.
    ///
    /// # Errors
    /// `ENOENT`; `EISDIR`.
    fn unlink(&self, name: &[u8]) -> Result<()> {
        let _ = name;
        Err(Errno::EPERM.because("the file system does not support this"))
    }

    /// Of a directory: removes the empty directory `name`.
    ///
    /// # Errors
    /// `ENOENT`; `ENOTDIR`; `ENOTEMPTY`.
    fn remove_directory(&self, name: &[u8]) -> Result<()> {
        let _ = name;
        Err(Errno::EPERM.because("the file system does not support this"))
    }

    /// Of a directory: moves the entry `name` to `new_name` in `to`, a directory of the same
    /// file system that does not lie below it. `flags` has at most one of `NOREPLACE` and
    /// `EXCHANGE`.
    ///
    /// # Errors
    /// `ENOENT`; `EEXIST`, `EISDIR`, `ENOTDIR` or `ENOTEMPTY` for what is at the new name;
    /// `EINVAL` for flags that the file system does not know.
    fn rename(
        &self,
        name: &[u8],
        to: &Arc<dyn Inode>,
        new_name: &[u8],
        flags: RenameFlags,
    ) -> Result<()> {
        let _ = (name, to, new_name, flags);
        Err(Errno::EPERM.because("the file system does not support this"))
    }

    /// Of a symbolic link: what readlink(2) gives.
    ///
    /// # Errors
    /// `EINVAL` when it is none.
    fn read_link(&self, cx: &Context<'_>) -> Result<Vec<u8>> {
        let _ = cx;
        Err(Errno::EINVAL.because("not a symbolic link"))
    }

    /// Of a symbolic link: where a path goes on.
    ///
    /// # Errors
    /// As [`Inode::read_link`].
    fn follow(&self, cx: &Context<'_>) -> Result<Link> {
        self.read_link(cx).map(Link::Path)
    }

    /// Of a regular file: sets its length, cutting it or adding a hole.
    ///
    /// # Errors
    /// `EINVAL` when it is not a regular file; `EFBIG`; `ENOSPC`.
    fn truncate(&self, len: u64) -> Result<()> {
        let _ = len;
        Err(Errno::EINVAL.because("not a regular file"))
    }

    /// Of a regular file: allocates, empties or zeroes the `len` bytes from `offset`.
    ///
    /// # Errors
    /// `EOPNOTSUPP` for what it cannot do; `EFBIG`; `ENOSPC`.
    fn allocate(&self, flags: FallocateFlags, offset: u64, len: u64) -> Result<()> {
        let _ = (flags, offset, len);
        Err(Errno::EOPNOTSUPP.because("the file cannot be allocated"))
    }

    /// The page with the bytes from `index * PAGE_SIZE`, for a private mapping or for
    /// executing: nobody may write to it. Bytes past the end of the file are zero. `None`
    /// when the whole page lies past the end: an access is `SIGBUS`.
    ///
    /// # Errors
    /// `ENODEV` when it cannot be mapped; `ENOMEM`; `ENOSPC`.
    fn page(&self, index: u64) -> Result<Option<Arc<dyn Page>>> {
        let _ = index;
        Err(Errno::ENODEV.because("the file cannot be mapped"))
    }

    /// As [`Inode::page`], but for a shared mapping: what is written to the page is written
    /// to the file, and the page stays the file's as long as it is not cut off.
    ///
    /// # Errors
    /// As [`Inode::page`].
    fn shared_page(&self, index: u64) -> Result<Option<Arc<dyn Page>>> {
        let _ = index;
        Err(Errno::ENODEV.because("the file cannot be mapped"))
    }

    /// As [`Inode::shared_page`], for a page that is about to be written.
    ///
    /// # Errors
    /// As [`Inode::page`].
    fn shared_page_to_write(&self, index: u64) -> Result<Option<Arc<dyn Page>>> {
        self.shared_page(index)
    }

    /// What is at byte `index * PAGE_SIZE` of a file that is kept in memory only, as tmpfs does;
    /// `None` where it is not. Called with areas of memory locked.
    fn presence(&self, index: u64) -> Option<Presence> {
        let _ = index;
        None
    }

    /// Whether it must know which of its shared pages are written: they are mapped without
    /// that right until [`Inode::shared_page_to_write`].
    fn tracks_writes(&self) -> bool {
        false
    }

    /// Its seals; `None` where it cannot have any.
    fn seals(&self) -> Option<&SealSet> {
        None
    }

    /// Its extended attributes; `None` where the file system does not store any.
    fn attributes(&self) -> Option<&Attributes> {
        None
    }

    /// Stores an extended attribute, or that there is none of that name any more, where
    /// [`Inode::attributes`] are not only in memory.
    ///
    /// # Errors
    /// `ENOSPC`; `EROFS`; those of the storage behind it.
    fn store_attribute(&self, name: &[u8], value: Option<&[u8]>) -> Result<()> {
        let _ = (name, value);
        Ok(())
    }

    /// Of a file on a device: where its bytes of `range` are stored, at most `limit` pieces;
    /// what waits to be stored is first. `None` where the file system does not tell.
    ///
    /// # Errors
    /// Those of the storage behind it.
    fn stored(&self, range: Range<u64>, limit: usize) -> Result<Option<Vec<Stored>>> {
        let _ = (range, limit);
        Ok(None)
    }

    /// How transfers past all caches have to be aligned, in bytes: in memory, and in the file.
    /// `None` where there are none.
    fn direct_alignment(&self) -> Option<[u32; 2]> {
        None
    }

    /// The flags of [`Metadata::flags`] that it can have.
    fn possible_flags(&self) -> InodeFlags {
        InodeFlags::all().difference(InodeFlags::COMPRESSED)
    }

    /// Of a regular file: its bytes as the kernel uses them; `None` where it cannot.
    fn bytes(&self) -> Option<&dyn Bytes> {
        None
    }

    /// Of a regular file: who writes to it or executes it; `None` where that is not counted.
    fn writers(&self) -> Option<&Writers> {
        None
    }

    /// Who maps it, to be told when pages are cut off; `None` where that never happens.
    fn mappings(&self) -> Option<&Mappings> {
        None
    }
}

/// A file system: an instance, not a type.
pub trait FileSystem: Send + Sync {
    /// Its type, as /proc/mounts shows it.
    fn name(&self) -> &'static str;

    /// `st_dev` of its inodes.
    fn device(&self) -> Device;

    /// Stores for good what was written: syncfs(2).
    ///
    /// # Errors
    /// Those of what it is stored on.
    fn sync(&self) -> Result<()> {
        Ok(())
    }

    /// Says whether something may be written from now on.
    ///
    /// # Errors
    /// `EACCES` where nothing can be; those of what it is stored on.
    fn change_access(&self, access: MountAccess) -> Result<()> {
        let _ = access;
        Ok(())
    }

    /// It is mounted nowhere any more: all is stored that was written.
    fn end(&self) {}

    /// How full it is, for statfs(2).
    fn usage(&self) -> Usage;

    /// What it was mounted with beside the flags, as /proc/mounts shows it: each option with
    /// a comma before it.
    fn options(&self) -> String {
        String::new()
    }

    /// The inode whose [`Inode::handle`] this is, if there still is one.
    fn by_handle(self: Arc<Self>, handle: u64) -> Option<Arc<dyn Inode>> {
        let _ = handle;
        None
    }

    /// Changes what it was mounted with: `MS_REMOUNT` with such data.
    ///
    /// # Errors
    /// `EINVAL` for options that are not known or cannot change.
    fn remount(&self, options: &[u8]) -> Result<()> {
        if options.is_empty() {
            return Ok(());
        }
        Err(Errno::EINVAL.because("the file system has no options"))
    }
}

/// A piece of a file, and where it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Where it begins in the file, in bytes.
    pub offset: u64,
    /// Where it begins on the device, in bytes.
    pub place: u64,
    /// How long it is, in bytes.
    pub len: u64,
    /// There is room for it, but nothing was written yet.
    pub unwritten: bool,
    /// It is the last one of the file.
    pub last: bool,
}

/// How full a file system is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// The magic number that names its type ([`abi::fs::magic`]).
    pub magic: u32,
    /// Size of what is counted as a page, in bytes; 0 for that of a page.
    pub block_size: u32,
    /// All pages it can hold; 0 where that means nothing.
    pub pages: u64,
    /// Pages that are free.
    pub free_pages: u64,
    /// Free pages that only the privileged get.
    pub reserved_pages: u64,
    /// All inodes it can hold; 0 where that means nothing.
    pub inodes: u64,
    /// Inodes that are free.
    pub free_inodes: u64,
}

//! Files of the host behind the guest's fids. A fid is a descriptor, never a path: nothing that
//! happens to names on either side leads it out of the directory.

use super::wire::Qid;
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use rustix::fs::{self, AtFlags, FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;

/// Flags of open(2) that a guest may choose; the others are ignored.
const ALLOWED: OFlags = OFlags::from_bits_retain(
    (libc::O_ACCMODE
        | libc::O_APPEND
        | libc::O_TRUNC
        | libc::O_EXCL
        | libc::O_DIRECTORY
        | libc::O_SYNC) as u32,
);

/// What every file is opened with: no link is followed, no terminal taken, no FIFO waited for.
const ALWAYS: OFlags =
    OFlags::CLOEXEC.union(OFlags::NOFOLLOW).union(OFlags::NOCTTY).union(OFlags::NONBLOCK);

/// A file that the guest knows.
pub(super) struct Fid {
    /// For everything but reading and writing; mostly opened with `O_PATH`.
    pub(super) file: OwnedFd,
    /// For reading and writing.
    pub(super) open: Option<OwnedFd>,
    /// As whom the guest attached.
    pub(super) user: u32,
}

/// The process's own descriptors in proc(5), by which one is opened anew.
pub(super) struct Reopener(OwnedFd);

impl Reopener {
    pub(super) fn new() -> Result<Self, Errno> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        fs::open("/proc/self/fd", flags, Mode::empty()).map(Self)
    }

    /// The directory and the name in it that lead to a descriptor's file.
    pub(super) fn at(&self, file: impl AsFd) -> (BorrowedFd<'_>, String) {
        (self.0.as_fd(), file.as_fd().as_raw_fd().to_string())
    }

    /// Opens a regular file or a directory: a device or a FIFO of the host is none of the
    /// guest's.
    pub(super) fn open(&self, file: &OwnedFd, flags: u32) -> Result<OwnedFd, Errno> {
        let kind = FileType::from_raw_mode(fs::fstat(file)?.st_mode);
        if !matches!(kind, FileType::RegularFile | FileType::Directory) {
            return Err(if kind == FileType::Symlink { Errno::LOOP } else { Errno::PERM });
        }
        let (directory, name) = self.at(file);
        // The way leads over a link of proc(5), to the very file that was looked at.
        let flags = (OFlags::from_bits_truncate(flags) & ALLOWED | ALWAYS) - OFlags::NOFOLLOW;
        fs::openat(directory, name, flags, Mode::empty())
    }
}

/// Whether the flags of open(2) ask for more than reading.
pub(super) fn is_writing(flags: u32) -> bool {
    let flags = OFlags::from_bits_truncate(flags);
    flags.intersects(OFlags::WRONLY | OFlags::RDWR | OFlags::TRUNC | OFlags::CREATE)
}

/// The entry of a directory, not opened.
pub(super) fn walk(directory: &OwnedFd, name: &[u8]) -> Result<OwnedFd, Errno> {
    open_beneath(directory, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, 0)
}

/// Makes a regular file, or opens it, and opens none but those; whether it is new.
pub(super) fn create(
    at: &OwnedFd,
    name: &[u8],
    flags: u32,
    mode: u32,
) -> Result<(OwnedFd, bool), Errno> {
    let flags = OFlags::from_bits_truncate(flags) & ALLOWED | ALWAYS | OFlags::CREATE;
    let kind = |file: &OwnedFd| Ok(FileType::from_raw_mode(fs::fstat(file)?.st_mode));
    let old = walk(at, name).ok().map(|file| kind(&file)).transpose()?;
    // To open one of these can have an effect.
    let is_device = |kind: FileType| kind.is_char_device() || kind.is_block_device();
    if old.is_some_and(is_device) && !flags.contains(OFlags::EXCL) {
        return Err(Errno::PERM);
    }
    let file = open_beneath(at, name, flags - OFlags::DIRECTORY, mode & 0o7777)?;
    match kind(&file)? {
        FileType::RegularFile => Ok((file, old.is_none())),
        _ => Err(Errno::PERM),
    }
}

/// `name` has one part, and is neither `.` nor `..`.
fn open_beneath(at: &OwnedFd, name: &[u8], flags: OFlags, mode: u32) -> Result<OwnedFd, Errno> {
    let mode = Mode::from_raw_mode(mode);
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    match fs::openat2(at, name, flags, mode, resolve) {
        // Before Linux 5.6. Such a name leads nowhere else without it, too.
        Err(Errno::NOSYS) => fs::openat(at, name, flags, mode),
        result => result,
    }
}

impl Qid {
    /// The kind of a file, as far as it tells.
    pub(super) fn kind(of: FileType) -> u8 {
        match of {
            FileType::Directory => 0x80,
            FileType::Symlink => 0x02,
            _ => 0,
        }
    }
}

/// The number of a file, unique over the file systems that a share has in it.
#[derive(Default)]
pub(super) struct Numbers {
    devices: Vec<u64>,
}

impl Numbers {
    /// What identifies the file.
    pub(super) fn qid(&mut self, stat: &Stat) -> Qid {
        let kind = Qid::kind(FileType::from_raw_mode(stat.st_mode));
        // It only has to change.
        let version = (stat.st_mtime as u32) ^ (stat.st_mtime_nsec as u32).rotate_left(8);
        Qid { kind, version, path: self.number(stat.st_dev, stat.st_ino) }
    }

    pub(super) fn number(&mut self, device: u64, inode: u64) -> u64 {
        /// Bits of a number that are the file's own.
        const BITS: u32 = 48;
        let found = self.devices.iter().position(|&known| known == device);
        let index = found.unwrap_or_else(|| {
            self.devices.push(device);
            self.devices.len() - 1
        });
        inode & ((1 << BITS) - 1) | (inode >> BITS ^ index as u64) << BITS
    }
}

/// Gives a new file to whom the guest made it as; where that may not be, it stays ours.
pub(super) fn give(directory: &OwnedFd, name: &[u8], user: u32, group: u32) {
    let user = (user != u32::MAX).then(|| fs::Uid::from_raw(user));
    let group = (group != u32::MAX).then(|| fs::Gid::from_raw(group));
    let _ = fs::chownat(directory, name, user, group, AtFlags::SYMLINK_NOFOLLOW);
}

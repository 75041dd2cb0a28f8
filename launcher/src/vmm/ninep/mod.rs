//! A 9P2000.L server for one directory of the host, of which nothing outside can be reached
//! (<https://github.com/chaos/diod/blob/master/protocol.md>).
//!
//! - [`wire`]: requests and answers
//! - [`fid`]: the files behind them
//!
//! The guest is hostile: names have one part, no link is followed, and only regular files and
//! directories are opened.

mod fid;
mod wire;

#[cfg(test)]
mod tests;

use fid::{Fid, Numbers, Reopener, create, give, is_writing, walk};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{self, AtFlags, Mode, OFlags, RawDir, Stat, Timespec, Timestamps};
use rustix::io::{self, Errno};
use std::collections::HashMap;
use std::mem::MaybeUninit;
use wire::{HEADER_LEN, Qid, Reply, Request};

/// Longest message, in bytes.
pub const MESSAGE_MAX: usize = 256 * 1024;

/// Shortest message that a guest may agree on, in bytes.
const MESSAGE_MIN: usize = 4096;

/// Most fids of a guest.
const FIDS_MAX: usize = 64 * 1024;

/// Most names in one walk.
const NAMES_MAX: u16 = 16;

/// What is in an answer to a read besides the bytes.
const READ_HEADER: usize = HEADER_LEN + 4;

const VERSION: &[u8] = b"9P2000.L";

/// The server.
pub struct Server {
    root: OwnedFd,
    read_only: bool,
    reopener: Reopener,
    fids: HashMap<u32, Fid>,
    numbers: Numbers,
    message_len: usize,
}

type Answer = Result<Reply, Errno>;

impl Server {
    /// A server for `root`, a directory.
    ///
    /// # Errors
    /// There is no proc(5).
    pub fn new(root: OwnedFd, read_only: bool) -> Result<Self, Errno> {
        Ok(Self {
            root,
            read_only,
            reopener: Reopener::new()?,
            fids: HashMap::new(),
            numbers: Numbers::default(),
            message_len: MESSAGE_MIN,
        })
    }

    /// The answer to a message, in at most `room` bytes where that is enough for an error.
    #[must_use]
    pub fn answer(&mut self, message: &[u8], room: usize) -> Vec<u8> {
        let Some(mut request) = Request::parse(message) else {
            return Reply::message(Err(Errno::INVAL), 0, u16::MAX);
        };
        let (kind, tag) = (request.kind, request.tag);
        let result = self.dispatch(&mut request, room.min(MESSAGE_MAX));
        let fits = |reply: &Reply| HEADER_LEN + reply.0.len() <= room;
        let result = result.and_then(|reply| fits(&reply).then_some(reply).ok_or(Errno::MSGSIZE));
        Reply::message(result, kind, tag)
    }

    fn dispatch(&mut self, request: &mut Request<'_>, room: usize) -> Answer {
        const CHANGES: [u8; 8] = [14, 16, 18, 26, 70, 72, 74, 76];
        if self.read_only && CHANGES.contains(&request.kind) {
            return Err(Errno::ROFS);
        }
        match request.kind {
            8 => self.statfs(request),
            12 => self.open(request),
            14 => self.create(request),
            16 => self.symlink(request),
            18 => self.make_node(request),
            22 => self.read_link(request),
            24 => self.get_attributes(request),
            26 => self.set_attributes(request),
            40 => self.read_directory(request, room),
            50 => self.sync(request),
            70 => self.link(request),
            72 => self.make_directory(request),
            74 => self.rename(request),
            76 => self.unlink(request),
            100 => self.version(request),
            104 => self.attach(request),
            // Requests are dealt with one after the other: this one is done.
            108 => Ok(Reply::default()),
            110 => self.walk(request),
            116 => self.read(request, room),
            118 => self.write(request),
            120 => self.clunk(request),
            _ => Err(Errno::OPNOTSUPP),
        }
    }

    fn fid(&self, request: &mut Request<'_>) -> Result<&Fid, Errno> {
        self.fids.get(&request.u32()?).ok_or(Errno::BADF)
    }

    fn opened(&self, request: &mut Request<'_>) -> Result<&OwnedFd, Errno> {
        self.fid(request)?.open.as_ref().ok_or(Errno::BADF)
    }

    /// A fid that is not open, the files of all, and their numbers.
    fn closed(&mut self, number: u32) -> Result<(&mut Fid, &Reopener, &mut Numbers), Errno> {
        let fid = self.fids.get_mut(&number).filter(|fid| fid.open.is_none());
        Ok((fid.ok_or(Errno::BADF)?, &self.reopener, &mut self.numbers))
    }

    fn insert(&mut self, number: u32, fid: Fid) -> Result<(), Errno> {
        if self.fids.len() >= FIDS_MAX {
            return Err(Errno::MFILE);
        }
        self.fids.insert(number, fid);
        Ok(())
    }

    fn qid(&mut self, file: impl AsFd) -> Result<Qid, Errno> {
        Ok(self.numbers.qid(&fs::fstat(file)?))
    }

    fn version(&mut self, request: &mut Request<'_>) -> Answer {
        let (len, version) = (request.u32()? as usize, request.string()?);
        self.fids.clear();
        self.message_len = len.min(MESSAGE_MAX);
        let known = version == VERSION && len >= MESSAGE_MIN;
        // It is at most the guest's own number.
        let reply = Reply::default().u32(self.message_len as u32);
        reply.string(if known { VERSION } else { b"unknown" })
    }

    fn attach(&mut self, request: &mut Request<'_>) -> Answer {
        let (number, _) = (request.u32()?, request.u32()?);
        let (_, _, user) = (request.string()?, request.string()?, request.u32()?);
        if self.fids.contains_key(&number) {
            return Err(Errno::EXIST);
        }
        let file = io::fcntl_dupfd_cloexec(&self.root, 0)?;
        let qid = self.qid(&file)?;
        self.insert(number, Fid { file, open: None, user })?;
        Ok(Reply::default().qid(qid))
    }

    fn walk(&mut self, request: &mut Request<'_>) -> Answer {
        let (from, to) = (request.u32()?, request.u32()?);
        let Fid { file, user, open } = self.fids.get(&from).ok_or(Errno::BADF)?;
        let number = request.u16()?;
        if number > NAMES_MAX || to != from && self.fids.contains_key(&to) || open.is_some() {
            return Err(Errno::INVAL);
        }
        let (mut at, user) = (io::fcntl_dupfd_cloexec(file, 0)?, *user);
        let mut qids = Vec::new();
        for _ in 0..number {
            let step = request.name().and_then(|name| walk(&at, name));
            match step.and_then(|next| Ok((self.qid(&next)?, next))) {
                Ok((qid, next)) => {
                    qids.push(qid);
                    at = next;
                }
                Err(error) if qids.is_empty() => return Err(error),
                Err(_) => break,
            }
        }
        if qids.len() == usize::from(number) {
            self.insert(to, Fid { file: at, open: None, user })?;
        }
        let reply = Reply::default().u16(qids.len() as u16);
        Ok(qids.into_iter().fold(reply, Reply::qid))
    }

    fn clunk(&mut self, request: &mut Request<'_>) -> Answer {
        self.fids.remove(&request.u32()?).map(|_| Reply::default()).ok_or(Errno::BADF)
    }

    fn open(&mut self, request: &mut Request<'_>) -> Answer {
        let (number, flags) = (request.u32()?, request.u32()?);
        if self.read_only && is_writing(flags) {
            return Err(Errno::ROFS);
        }
        let (fid, reopener, numbers) = self.closed(number)?;
        let open = fid.open.insert(reopener.open(&fid.file, flags)?);
        Ok(Reply::default().qid(numbers.qid(&fs::fstat(open)?)).u32(0))
    }

    fn create(&mut self, request: &mut Request<'_>) -> Answer {
        let number = request.u32()?;
        let (name, flags) = (request.name()?, request.u32()?);
        let (mode, group) = (request.u32()?, request.u32()?);
        let (fid, _, numbers) = self.closed(number)?;
        let (open, is_new) = create(&fid.file, name, flags, mode)?;
        if is_new {
            give(&fid.file, name, fid.user, group);
        }
        let qid = numbers.qid(&fs::fstat(&open)?);
        (fid.file, fid.open) = (io::fcntl_dupfd_cloexec(&open, 0)?, Some(open));
        Ok(Reply::default().qid(qid).u32(0))
    }

    /// Makes an entry of a directory that is no regular file.
    fn make<'a>(
        &mut self,
        request: &mut Request<'a>,
        make: impl FnOnce(&OwnedFd, &'a [u8], &mut Request<'a>) -> Result<(), Errno>,
    ) -> Answer {
        let number = request.u32()?;
        let name = request.name()?;
        let fid = self.fids.get(&number).ok_or(Errno::BADF)?;
        make(&fid.file, name, request)?;
        give(&fid.file, name, fid.user, request.u32()?);
        let made = walk(&fid.file, name)?;
        Ok(Reply::default().qid(self.qid(&made)?))
    }

    fn make_directory(&mut self, request: &mut Request<'_>) -> Answer {
        self.make(request, |directory, name, request| {
            fs::mkdirat(directory, name, Mode::from_raw_mode(request.u32()? & 0o7777))
        })
    }

    fn symlink(&mut self, request: &mut Request<'_>) -> Answer {
        self.make(request, |directory, name, request| {
            fs::symlinkat(request.string()?, directory, name)
        })
    }

    fn make_node(&mut self, request: &mut Request<'_>) -> Answer {
        self.make(request, |directory, name, request| {
            let (mode, major, minor) = (request.u32()?, request.u32()?, request.u32()?);
            let kind = fs::FileType::from_raw_mode(mode);
            let device = fs::makedev(major, minor);
            fs::mknodat(directory, name, kind, Mode::from_raw_mode(mode & 0o7777), device)
        })
    }

    fn link(&mut self, request: &mut Request<'_>) -> Answer {
        let directory = self.fid(request)?;
        let (from, name) = self.reopener.at(&self.fid(request)?.file);
        let new = request.name()?;
        fs::linkat(from, name, &directory.file, new, AtFlags::SYMLINK_FOLLOW)?;
        Ok(Reply::default())
    }

    fn rename(&mut self, request: &mut Request<'_>) -> Answer {
        let (from, name) = (self.fid(request)?, request.name()?);
        let (to, new) = (self.fid(request)?, request.name()?);
        fs::renameat(&from.file, name, &to.file, new)?;
        Ok(Reply::default())
    }

    fn unlink(&mut self, request: &mut Request<'_>) -> Answer {
        let (directory, name) = (self.fid(request)?, request.name()?);
        let flags = AtFlags::from_bits_truncate(request.u32()?) & AtFlags::REMOVEDIR;
        fs::unlinkat(&directory.file, name, flags)?;
        Ok(Reply::default())
    }

    fn read_link(&mut self, request: &mut Request<'_>) -> Answer {
        let target = fs::readlinkat(&self.fid(request)?.file, "", Vec::new())?;
        Reply::default().string(target.as_bytes())
    }

    fn read(&mut self, request: &mut Request<'_>, room: usize) -> Answer {
        let file = self.opened(request)?;
        let (offset, count) = (request.u64()?, request.u32()? as usize);
        let most = room.min(self.message_len).saturating_sub(READ_HEADER);
        let mut bytes = vec![0; count.min(most)];
        let len = io::pread(file, &mut bytes, offset)?;
        Ok(Reply::default().u32(len as u32).bytes(&bytes[..len]))
    }

    fn write(&mut self, request: &mut Request<'_>) -> Answer {
        let file = self.opened(request)?;
        let (offset, count) = (request.u64()?, request.u32()? as usize);
        let len = io::pwrite(file, request.take(count)?, offset)?;
        Ok(Reply::default().u32(len as u32))
    }

    fn sync(&mut self, request: &mut Request<'_>) -> Answer {
        let file = self.opened(request)?;
        match request.u32()? {
            0 => fs::fsync(file)?,
            _ => fs::fdatasync(file)?,
        }
        Ok(Reply::default())
    }

    fn read_directory(&mut self, request: &mut Request<'_>, room: usize) -> Answer {
        const ENTRY_HEADER: usize = 13 + 8 + 1 + 2;
        let number = request.u32()?;
        let (offset, count) = (request.u64()?, request.u32()? as usize);
        let Self { fids, numbers, .. } = self;
        let fid = fids.get(&number).ok_or(Errno::BADF)?;
        let file = fid.open.as_ref().ok_or(Errno::BADF)?;
        fs::seek(file, fs::SeekFrom::Start(offset))?;
        let device = fs::fstat(file)?.st_dev;
        let most = count.min(room.min(self.message_len).saturating_sub(READ_HEADER));
        let mut buffer = [const { MaybeUninit::uninit() }; 16 * 1024];
        let mut entries = RawDir::new(file, &mut buffer);
        let mut bytes = Reply::default();
        while let Some(entry) = entries.next() {
            let entry = entry?;
            let (name, kind) = (entry.file_name().to_bytes(), entry.file_type());
            match bytes.0.len() {
                // No entry would be the end.
                0 if ENTRY_HEADER + name.len() > most => return Err(Errno::INVAL),
                len if len + ENTRY_HEADER + name.len() > most => break,
                _ => {}
            }
            let path = numbers.number(device, entry.ino());
            bytes = bytes.qid(Qid { kind: Qid::kind(kind), version: 0, path });
            bytes = bytes.u64(entry.next_entry_cookie()).u8(kind_byte(kind)).string(name)?;
        }
        Ok(Reply::default().u32(bytes.0.len() as u32).bytes(&bytes.0))
    }

    fn get_attributes(&mut self, request: &mut Request<'_>) -> Answer {
        /// Everything but the time of creation, the generation and the version.
        const BASIC: u64 = 0x7ff;
        let stat = fs::fstat(&self.fid(request)?.file)?;
        let qid = self.numbers.qid(&stat);
        let Stat { st_mode, st_uid, st_gid, st_nlink, st_rdev, st_size, .. } = stat;
        let reply = Reply::default().u64(BASIC).qid(qid).u32(st_mode).u32(st_uid).u32(st_gid);
        let reply = reply.u64(st_nlink).u64(st_rdev).u64(st_size.cast_unsigned());
        let reply = reply.u64(stat.st_blksize.cast_unsigned()).u64(stat.st_blocks.cast_unsigned());
        let reply = reply.u64(stat.st_atime.cast_unsigned()).u64(stat.st_atime_nsec);
        let reply = reply.u64(stat.st_mtime.cast_unsigned()).u64(stat.st_mtime_nsec);
        let reply = reply.u64(stat.st_ctime.cast_unsigned()).u64(stat.st_ctime_nsec);
        // The time of creation, the generation and the version are not known.
        Ok(reply.u64(0).u64(0).u64(0).u64(0))
    }

    fn set_attributes(&mut self, request: &mut Request<'_>) -> Answer {
        let file = &self.fid(request)?.file;
        let (valid, mode) = (request.u32()?, request.u32()?);
        let (user, group, size) = (request.u32()?, request.u32()?, request.u64()?);
        let has = |bit: u32| valid & (1 << bit) != 0;
        let mut time = |now: u32, set: u32| -> Result<Timespec, Errno> {
            let (seconds, ns) = (request.u64()?.cast_signed(), request.u64()?);
            let tv_nsec = match (has(now), has(set)) {
                (false, _) => fs::UTIME_OMIT,
                (true, false) => fs::UTIME_NOW,
                (true, true) => i64::try_from(ns).map_err(|_| Errno::INVAL)?,
            };
            Ok(Timespec { tv_sec: seconds, tv_nsec })
        };
        let times = Timestamps { last_access: time(4, 7)?, last_modification: time(5, 8)? };
        let (place, name) = self.reopener.at(file);
        let user = has(1).then(|| fs::Uid::from_raw(user));
        let group = has(2).then(|| fs::Gid::from_raw(group));
        if user.is_some() || group.is_some() {
            fs::chownat(file, "", user, group, AtFlags::EMPTY_PATH)?;
        }
        if has(0) {
            fs::chmodat(place, &*name, Mode::from_raw_mode(mode & 0o7777), AtFlags::empty())?;
        }
        if has(3) {
            fs::ftruncate(self.reopener.open(file, OFlags::WRONLY.bits())?, size)?;
        }
        if has(4) || has(5) {
            fs::utimensat(file, "", &times, AtFlags::EMPTY_PATH)?;
        }
        Ok(Reply::default())
    }

    fn statfs(&mut self, request: &mut Request<'_>) -> Answer {
        let found = fs::fstatfs(&self.fid(request)?.file)?;
        // The kind and the size of a block fit.
        let reply = Reply::default().u32(found.f_type as u32).u32(found.f_bsize as u32);
        let reply = reply.u64(found.f_blocks).u64(found.f_bfree).u64(found.f_bavail);
        Ok(reply.u64(found.f_files).u64(found.f_ffree).u64(0).u32(found.f_namelen as u32))
    }
}

/// `d_type` of getdents64(2): the mode's kind, without the zeros.
fn kind_byte(kind: fs::FileType) -> u8 {
    match kind {
        fs::FileType::Unknown => libc::DT_UNKNOWN,
        kind => (kind.as_raw_mode() >> 12) as u8,
    }
}

//! Open file descriptions.

use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use abi::Errno;
use abi::events::InotifyMask;
use abi::fanotify::FanotifyMask;
use abi::fs::{AccessMode, OpenFlags, mount_flags, seek};
use abi::landlock::AccessFs;

use spin::{Mutex, Once};

use crate::context::Context;
use crate::error::{Because, Result};
use crate::events::epoll::Interest;
use crate::io::{Sink, Source};
use crate::system::System;
use crate::wait::Patience;

use super::file::{Extent, File, Positions};
use super::lock::LockTable;
use super::mount::{AccessTimes, Location};
use super::ready_signal::ReadySignal;
use super::turn::Turn;
use super::write_access::{Executing, WriteAccess};

/// An open file description: what descriptors refer to and share after dup(2) and fork(2).
pub struct OpenFile {
    /// The file itself.
    pub file: Arc<dyn File>,
    location: Location,
    /// Access mode and status flags, as in `F_GETFL`.
    flags: AtomicU32,
    positions: Positions,
    position: AtomicU64,
    /// Taken by whoever moves the position.
    turn: Turn,
    /// Where it has, or had, locks.
    locks: Once<Arc<LockTable>>,
    /// What a file that is open for writing keeps others from.
    _writing: Option<WriteAccess>,
    /// Set while it is a program that is executed: what is mapped keeps it.
    executing: Once<Executing>,
    /// The epoll instances that watch it, once for each descriptor they know it by.
    watchers: Mutex<Vec<Weak<Interest>>>,
    /// Who hears of it by signals; none before somebody has asked for that.
    ready_signal: Once<Arc<ReadySignal>>,
    /// Whether those who watch the file hear of what is done with this description.
    tells: Tells,
    /// What the domain of who opened it allows beside reading and writing.
    rights: AccessFs,
}

/// Whether those who watch a file hear of what is done with a description of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tells {
    Watchers,
    Nobody,
}

impl OpenFile {
    /// A description of `file` at position 0, which has no path (a pipe, a socket, a stream).
    #[must_use]
    pub fn new(file: Arc<dyn File>, flags: OpenFlags) -> Self {
        let location = Location::without_path(file.inode().clone());
        Self::at(location, file, flags)
    }

    /// A description of `file`, found at `location`, at position 0.
    #[must_use]
    pub fn at(location: Location, file: Arc<dyn File>, flags: OpenFlags) -> Self {
        Self::writing(location, file, flags, None)
    }

    /// As [`OpenFile::at`], for a file that is written with this access.
    pub(super) fn writing(
        location: Location,
        file: Arc<dyn File>,
        flags: OpenFlags,
        access: Option<WriteAccess>,
    ) -> Self {
        let positions = file.positions();
        let flags = AtomicU32::new(flags.difference(OpenFlags::CREATION).bits());
        Self {
            file,
            location,
            flags,
            positions,
            position: AtomicU64::new(0),
            turn: Turn::new(),
            locks: Once::new(),
            _writing: access,
            executing: Once::new(),
            watchers: Mutex::new(Vec::new()),
            ready_signal: Once::new(),
            tells: Tells::Watchers,
            rights: AccessFs::all(),
        }
    }

    /// This description, with which no more than `rights` can be done.
    pub(super) fn with_rights(mut self, rights: AccessFs) -> Self {
        self.rights = rights;
        self
    }

    /// Fails unless the domain of who opened it allows this.
    ///
    /// # Errors
    /// `EACCES`.
    pub(crate) fn check_right(&self, right: AccessFs) -> Result<()> {
        if self.rights.contains(right) {
            return Ok(());
        }
        Err(Errno::EACCES.because("the domain of who opened the file does not allow it"))
    }

    /// This description, of whose use nobody hears who watches the file.
    pub(super) fn unwatched(mut self) -> Self {
        self.tells = Tells::Nobody;
        self
    }

    /// Whether those who watch the file hear of what is done with it.
    pub(super) fn is_watched(&self) -> bool {
        self.tells == Tells::Watchers && !self.is_path()
    }

    /// Asks those who decide about it whether it may be read.
    fn ask_to_read(&self, cx: &Context<'_>) -> Result<()> {
        if self.is_watched() {
            cx.system.notifier.fanotify.ask(cx, &self.location, FanotifyMask::ACCESS_PERM)?;
        }
        Ok(())
    }

    /// Lets the locks that it will have in `table` go when the last descriptor is closed.
    pub(super) fn will_lock(&self, table: &Arc<LockTable>) {
        self.locks.call_once(|| table.clone());
    }

    /// Who watches it with epoll(7).
    pub(crate) fn watchers(&self) -> Vec<Arc<Interest>> {
        self.watchers.lock().iter().filter_map(Weak::upgrade).collect()
    }

    /// Notes who watches it, to be told of its end.
    pub(crate) fn add_watcher(&self, interest: Weak<Interest>) {
        self.watchers.lock().push(interest);
    }

    /// Forgets who watches it no more.
    pub(crate) fn forget_watcher(&self, interest: &Arc<Interest>) {
        self.watchers.lock().retain(|other| !core::ptr::eq(other.as_ptr(), &**interest));
    }

    /// Who hears of it by signals, if somebody has asked for that.
    pub(crate) fn ready_signal(&self) -> Option<&Arc<ReadySignal>> {
        self.ready_signal.get()
    }

    /// As [`OpenFile::ready_signal`], for somebody who asks for that now.
    pub(crate) fn ready_signal_of(&self, system: &Arc<System>) -> &Arc<ReadySignal> {
        self.ready_signal.call_once(|| ReadySignal::new(system))
    }

    /// Begins to execute it: nobody opens the file for writing as long as this description
    /// exists.
    ///
    /// # Errors
    /// `ETXTBSY` while the file is open for writing.
    pub fn execute(&self) -> Result<()> {
        let executing = Executing::begin(self.file.inode())?;
        self.executing.call_once(|| executing);
        Ok(())
    }

    /// Access mode and status flags.
    #[must_use]
    pub fn flags(&self) -> OpenFlags {
        OpenFlags::from_bits_retain(self.flags.load(Ordering::Relaxed))
    }

    /// Replaces the flags of [`OpenFlags::SETTABLE`] by those of `flags`.
    pub fn set_flags(&self, flags: OpenFlags) {
        let kept = self.flags().difference(OpenFlags::SETTABLE);
        let new = kept | flags.intersection(OpenFlags::SETTABLE);
        self.flags.store(new.bits(), Ordering::Relaxed);
    }

    /// Whether reads and writes return `EAGAIN` rather than wait.
    #[must_use]
    pub fn is_nonblocking(&self) -> bool {
        self.flags().contains(OpenFlags::NONBLOCK)
    }

    /// How long its calls wait.
    pub(crate) fn patience(&self) -> Patience {
        if self.is_nonblocking() { Patience::None } else { Patience::Forever }
    }

    /// Whether it only names a place (`O_PATH`).
    #[must_use]
    pub fn is_path(&self) -> bool {
        self.flags().contains(OpenFlags::PATH)
    }

    /// Where it was found.
    #[must_use]
    pub fn location(&self) -> &Location {
        &self.location
    }

    /// When reading it updates its time of access.
    pub(super) fn access_times(&self) -> AccessTimes {
        if self.flags().contains(OpenFlags::NOATIME) {
            return AccessTimes::Kept;
        }
        self.location.mount.access_times()
    }

    /// When the time of access of this directory is updated.
    pub(super) fn directory_access_times(&self) -> AccessTimes {
        match self.location.mount.has(mount_flags::ST_NODIRATIME) {
            true => AccessTimes::Kept,
            false => self.access_times(),
        }
    }

    /// What it was opened for.
    #[must_use]
    pub fn access_mode(&self) -> AccessMode {
        if self.is_path() { AccessMode::Neither } else { self.flags().access_mode() }
    }

    /// What the file makes of offsets.
    #[must_use]
    pub fn positions(&self) -> Positions {
        self.positions
    }

    /// Reads from the position on and moves it: read(2).
    ///
    /// # Errors
    /// `EBADF` when it is not open for reading; those of [`File::read`].
    pub fn read(&self, cx: &Context<'_>, to: &mut dyn Sink) -> Result<usize> {
        self.check_readable()?;
        self.ask_to_read(cx)?;
        if self.positions != Positions::Kept {
            let len = self.file.read(cx, self, 0, to)?;
            return Ok(self.was_read(cx, len));
        }
        let _turn = self.turn.take(cx)?;
        let at = self.position.load(Ordering::Relaxed);
        let len = self.file.read(cx, self, at, to)?;
        self.position.store(at + len as u64, Ordering::Relaxed);
        Ok(self.was_read(cx, len))
    }

    /// Writes at the position, or at the end with `O_APPEND`, and moves it: write(2).
    ///
    /// # Errors
    /// `EBADF` when it is not open for writing; those of [`File::write`].
    pub fn write(&self, cx: &Context<'_>, from: &mut dyn Source) -> Result<usize> {
        self.check_writable()?;
        if self.positions != Positions::Kept {
            let len = self.file.write(cx, self, 0, from)?;
            return Ok(self.was_written(cx, len));
        }
        let _turn = self.turn.take(cx)?;
        let (len, end) = if self.flags().contains(OpenFlags::APPEND) {
            self.file.append(cx, self, from)?
        } else {
            let at = self.position.load(Ordering::Relaxed);
            let len = self.file.write(cx, self, at, from)?;
            (len, at + len as u64)
        };
        self.position.store(end, Ordering::Relaxed);
        Ok(self.was_written(cx, len))
    }

    /// Tells those who watch the file that `len` bytes were read; returns that.
    fn was_read(&self, cx: &Context<'_>, len: usize) -> usize {
        if len > 0 && self.is_watched() {
            cx.system.notifier.happened(cx.into(), &self.location, InotifyMask::ACCESS);
        }
        len
    }

    /// Tells those who watch the file that `len` bytes were written; returns that.
    fn was_written(&self, cx: &Context<'_>, len: usize) -> usize {
        if len > 0 && self.is_watched() {
            cx.system.notifier.happened(cx.into(), &self.location, InotifyMask::MODIFY);
        }
        len
    }

    /// Reads at `offset` and leaves the position alone: pread(2).
    ///
    /// # Errors
    /// `ESPIPE` where the file has no positions; as [`OpenFile::read`].
    pub fn read_at(&self, cx: &Context<'_>, offset: u64, to: &mut dyn Sink) -> Result<usize> {
        self.check_positions()?;
        self.check_readable()?;
        self.ask_to_read(cx)?;
        let len = self.file.read(cx, self, offset, to)?;
        Ok(self.was_read(cx, len))
    }

    /// Writes at `offset`, or at the end with `O_APPEND` (as Linux does, against POSIX), and
    /// leaves the position alone: pwrite(2).
    ///
    /// # Errors
    /// `ESPIPE` where the file has no positions; as [`OpenFile::write`].
    pub fn write_at(&self, cx: &Context<'_>, offset: u64, from: &mut dyn Source) -> Result<usize> {
        self.check_positions()?;
        self.check_writable()?;
        if self.positions == Positions::Kept && self.flags().contains(OpenFlags::APPEND) {
            return self.append(cx, from);
        }
        let len = self.file.write(cx, self, offset, from)?;
        Ok(self.was_written(cx, len))
    }

    /// Writes at the end and leaves the position alone: pwritev2(2) with `RWF_APPEND`.
    ///
    /// # Errors
    /// As [`OpenFile::write_at`].
    pub fn append(&self, cx: &Context<'_>, from: &mut dyn Source) -> Result<usize> {
        self.check_positions()?;
        self.check_writable()?;
        let len = match self.positions {
            Positions::Kept => self.file.append(cx, self, from)?.0,
            _ => self.file.write(cx, self, 0, from)?,
        };
        Ok(self.was_written(cx, len))
    }

    /// Moves the position and returns it: lseek(2).
    ///
    /// # Errors
    /// `ESPIPE` where the file has no positions; `EINVAL` for an unknown `whence` or a
    /// position that cannot be; those of [`File::find`].
    pub fn seek(&self, cx: &Context<'_>, offset: i64, whence: u32) -> Result<u64> {
        if self.positions == Positions::None {
            return Err(Errno::ESPIPE.because("the file has no positions"));
        }
        if whence > seek::SEEK_HOLE {
            return Err(Errno::EINVAL.because("whence is not valid"));
        }
        if self.positions == Positions::Ignored {
            return Ok(0);
        }
        let _turn = self.turn.take(cx)?;
        let position = self.seek_target(offset, whence)?;
        self.position.store(position, Ordering::Relaxed);
        Ok(position)
    }

    fn seek_target(&self, offset: i64, whence: u32) -> Result<u64> {
        let base = match whence {
            seek::SEEK_SET => 0,
            seek::SEEK_CUR => self.position.load(Ordering::Relaxed),
            seek::SEEK_END => self.file.size()?,
            _ => {
                let offset = u64::try_from(offset)
                    .map_err(|_| Errno::ENXIO.because("the offset is before the start"))?;
                let extent = if whence == seek::SEEK_DATA { Extent::Data } else { Extent::Hole };
                return self.file.find(offset, extent);
            }
        };
        let target = i64::try_from(base).ok().and_then(|base| base.checked_add(offset));
        let target = target.and_then(|target| u64::try_from(target).ok());
        target.ok_or_else(|| Errno::EINVAL.because("no position before the start or so far"))
    }

    /// The position now.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.position.load(Ordering::Relaxed)
    }

    /// Sets the position, whoever may be moving it.
    pub(super) fn set_position(&self, position: u64) {
        self.position.store(position, Ordering::Relaxed);
    }

    /// Calls `transfer` with the position, and moves it to what that returns: getdents64(2).
    ///
    /// # Errors
    /// Those of `transfer`; the position then stays.
    pub(crate) fn with_position<T>(
        &self,
        cx: &Context<'_>,
        transfer: impl FnOnce(u64) -> Result<(T, u64)>,
    ) -> Result<T> {
        let _turn = self.turn.take(cx)?;
        let (value, position) = transfer(self.position())?;
        self.position.store(position, Ordering::Relaxed);
        Ok(value)
    }

    /// Fails unless the file may be read.
    ///
    /// # Errors
    /// `EBADF`.
    pub fn check_readable(&self) -> Result<()> {
        if self.access_mode().can_read() {
            return Ok(());
        }
        Err(Errno::EBADF.because("the descriptor is not open for reading"))
    }

    /// Fails unless the file may be written.
    ///
    /// # Errors
    /// `EBADF`.
    pub fn check_writable(&self) -> Result<()> {
        if self.access_mode().can_write() {
            return Ok(());
        }
        Err(Errno::EBADF.because("the descriptor is not open for writing"))
    }

    /// Fails unless the file takes offsets.
    ///
    /// # Errors
    /// `ESPIPE`.
    pub fn check_positions(&self) -> Result<()> {
        if self.positions == Positions::None {
            return Err(Errno::ESPIPE.because("the file has no positions"));
        }
        Ok(())
    }
}

impl Drop for OpenFile {
    fn drop(&mut self) {
        if let Some(table) = self.locks.get() {
            table.release_open(self);
        }
        if let (Some(signal), Some(queue)) = (self.ready_signal.get(), self.file.wait_queue()) {
            signal.end(queue);
        }
        for interest in core::mem::take(self.watchers.get_mut()) {
            if let Some(interest) = interest.upgrade() {
                interest.file_closed(self);
            }
        }
    }
}

//! Descriptors and open files: dup(2), fcntl(2), ioctl(2), lseek(2).

use alloc::sync::Arc;

use abi::Errno;
use abi::events::DirectoryEvents;
use abi::fs::{FileType, OpenFlags, Seals, fcntl as command, ioctl as request};
use abi::landlock::AccessFs;
use abi::process::Resource;

use crate::context::Context;
use crate::error::{Because, Outcome, Result};
use crate::fs::{Fd, OnExec, OpenFile, permission, seal};
use crate::user::UserPtr;

use super::{file_flags, lock, open, owner};

/// dup(2).
///
/// # Differences from Linux
/// None.
pub(crate) fn dup(cx: &Context<'_>, fd: Fd) -> Result<i32> {
    open::add(cx, cx.files().get(fd)?, 0, OnExec::Keep)
}

/// dup2(2).
///
/// # Differences from Linux
/// None.
pub(crate) fn dup2(cx: &Context<'_>, old: Fd, new: Fd) -> Result<i32> {
    if old == new {
        return cx.files().get(old).map(|_| old.0);
    }
    replace(cx, old, new, OnExec::Keep)
}

/// dup3(2).
///
/// # Differences from Linux
/// None.
pub(crate) fn dup3(cx: &Context<'_>, old: Fd, new: Fd, flags: OpenFlags) -> Result<i32> {
    if !OpenFlags::CLOEXEC.contains(flags) {
        return Err(Errno::EINVAL.because("flags other than O_CLOEXEC"));
    }
    if old == new {
        return Err(Errno::EINVAL.because("old and new descriptor are equal"));
    }
    replace(cx, old, new, OnExec::of(flags))
}

fn replace(cx: &Context<'_>, old: Fd, new: Fd, on_exec: OnExec) -> Result<i32> {
    let limit = cx.process.limits().current(Resource::OpenFiles);
    if new.index().is_none_or(|new| new as u64 >= limit) {
        return Err(Errno::EBADF.because("the new descriptor is out of range"));
    }
    let open = cx.files().get(old)?;
    if let Some(closed) = cx.files().set(new, open, on_exec, limit)? {
        // As on Linux, the error of an implied close is lost.
        let _ = crate::fs::close(cx.system, cx.process, cx.files(), &closed);
    }
    Ok(new.0)
}

/// fcntl(2).
///
/// # Differences from Linux
/// No leases, no hints. Signals for ready files (`O_ASYNC`) may come
/// more often, and there are none for inotify(7) and devices other than terminals.
pub(crate) fn fcntl(cx: &Context<'_>, fd: Fd, number: u32, argument: u64) -> Result<Outcome> {
    let open = cx.files().get(fd)?;
    let files = &cx.files();
    match number {
        command::F_DUPFD => duplicate(cx, open, argument, OnExec::Keep),
        command::F_DUPFD_CLOEXEC => duplicate(cx, open, argument, OnExec::Close),
        command::F_GETFD => {
            let closes = files.on_exec(fd)? == OnExec::Close;
            Ok(if closes { command::FD_CLOEXEC } else { 0 }.into())
        }
        command::F_SETFD => {
            let closes = argument & u64::from(command::FD_CLOEXEC) != 0;
            files.set_on_exec(fd, if closes { OnExec::Close } else { OnExec::Keep })?;
            Ok(0_u32.into())
        }
        command::F_GETFL => Ok(open.flags().bits().into()),
        command::F_DUPFD_QUERY => {
            let other = files.get(Fd(argument as i32))?;
            Ok(u32::from(Arc::ptr_eq(&open, &other)).into())
        }
        _ if open.is_path() => Err(Errno::EBADF.because("the descriptor only names a place")),
        command::F_SETFL => set_flags(cx, (fd, &open), argument as u32).map(Into::into),
        command::F_GETOWN
        | command::F_SETOWN
        | command::F_GETOWN_EX
        | command::F_SETOWN_EX
        | command::F_GETSIG
        | command::F_SETSIG => owner::fcntl(cx, &open, number, argument),
        command::F_NOTIFY => {
            let events = DirectoryEvents::from_bits_retain(argument as u32);
            cx.system.notifier.directories.watch(cx, (fd, &open), events)?;
            Ok(0_u32.into())
        }
        command::F_GETLEASE => Ok(command::F_UNLCK.into()),
        command::F_GETLK | command::F_OFD_GETLK => {
            lock::get(cx, &open, number, UserPtr::new(argument)).map(Into::into)
        }
        command::F_SETLK | command::F_SETLKW | command::F_OFD_SETLK | command::F_OFD_SETLKW => {
            lock::set(cx, (fd, &open), number, UserPtr::new(argument)).map(Into::into)
        }
        command::F_GETPIPE_SZ => open.file.pipe_size().map(Into::into),
        command::F_SETPIPE_SZ => {
            open.file.set_pipe_size(cx, u64::from(argument as u32)).map(Into::into)
        }
        command::F_ADD_SEALS => {
            seal::add(&open, Seals::from_bits_retain(argument as u32))?;
            Ok(0_u32.into())
        }
        command::F_GET_SEALS => seal::get(&open).map(|seals| seals.bits().into()),
        _ => Err(Errno::EINVAL.because("the command is not known")),
    }
}

fn duplicate(
    cx: &Context<'_>,
    from: Arc<OpenFile>,
    lowest: u64,
    on_exec: OnExec,
) -> Result<Outcome> {
    let limit = cx.process.limits().current(Resource::OpenFiles);
    let lowest = u64::from(lowest as u32);
    if lowest >= limit {
        return Err(Errno::EINVAL.because("the lowest descriptor is out of range"));
    }
    open::add(cx, from, lowest as usize, on_exec).map(Into::into)
}

fn set_flags(cx: &Context<'_>, (fd, open): (Fd, &OpenFile), flags: u32) -> Result<()> {
    let flags = OpenFlags::from_bits_retain(flags);
    if flags.difference(open.flags()).contains(OpenFlags::NOATIME) {
        let metadata = open.file.inode().metadata()?;
        permission::check_owner(&cx.credentials(), &metadata)?;
    }
    owner::set_signals(cx, (fd, open), flags.contains(OpenFlags::ASYNC));
    open.set_flags(flags);
    Ok(())
}

/// ioctl(2).
///
/// # Differences from Linux
/// Requests of particular file systems are not there, beside those about flags of files.
pub(crate) fn ioctl(cx: &Context<'_>, fd: Fd, number: u32, argument: u64) -> Result<Outcome> {
    let open = cx.files().get(fd)?;
    if open.is_path() {
        return Err(Errno::EBADF.because("the descriptor only names a place"));
    }
    if open.file.inode().kind().is_device() && !is_of_all_files(number) {
        open.check_right(AccessFs::IOCTL_DEV)?;
    }
    match number {
        request::FIOCLEX => cx.files().set_on_exec(fd, OnExec::Close)?,
        request::FIONCLEX => cx.files().set_on_exec(fd, OnExec::Keep)?,
        request::FIONBIO => set_flag(cx, &open, OpenFlags::NONBLOCK, argument)?,
        request::FIOASYNC => {
            let on: u32 = UserPtr::new(argument).read(cx)?;
            let mut flags = open.flags();
            if flags.contains(OpenFlags::ASYNC) != (on != 0) {
                owner::check_signals(&open)?;
                flags.set(OpenFlags::ASYNC, on != 0);
                owner::set_signals(cx, (fd, &open), on != 0);
                open.set_flags(flags);
            }
        }
        request::FIOSETOWN | request::FIOGETOWN | request::SIOCSPGRP | request::SIOCGPGRP
            if open.file.inode().kind() == FileType::Socket =>
        {
            owner::ioctl(cx, &open, number, argument)?;
        }
        _ => return file_ioctl(cx, &open, number, argument),
    }
    Ok(0_u32.into())
}

/// Whether a request is about descriptors and file systems, and never reaches a device.
fn is_of_all_files(number: u32) -> bool {
    use abi::fs::file_system_ioctl as of_file_system;
    [
        request::FIOCLEX,
        request::FIONCLEX,
        request::FIONBIO,
        request::FIOASYNC,
        request::FIOQSIZE,
        request::FIGETBSZ,
        of_file_system::FIFREEZE,
        of_file_system::FITHAW,
        of_file_system::FS_IOC_FIEMAP,
        of_file_system::FICLONE,
        of_file_system::FICLONERANGE,
        of_file_system::FIDEDUPERANGE,
        of_file_system::FS_IOC_GETFSUUID,
        of_file_system::FS_IOC_GETFSSYSFSPATH,
    ]
    .contains(&number)
}

fn set_flag(cx: &Context<'_>, open: &OpenFile, flag: OpenFlags, argument: u64) -> Result<()> {
    let on: u32 = UserPtr::new(argument).read(cx)?;
    let mut flags = open.flags();
    flags.set(flag, on != 0);
    open.set_flags(flags);
    Ok(())
}

/// Requests that depend on the kind of file.
fn file_ioctl(cx: &Context<'_>, open: &OpenFile, number: u32, argument: u64) -> Result<Outcome> {
    let inode = open.file.inode();
    match (number, inode.kind()) {
        (request::FIONREAD, FileType::Regular) => {
            let left = inode.metadata()?.size.saturating_sub(open.position());
            UserPtr::new(argument).write(cx, &(left.min(i32::MAX as u64) as u32))?;
        }
        (request::FIONREAD, _) => {
            let count = u32::try_from(open.file.readable_bytes()?).unwrap_or(i32::MAX as u32);
            UserPtr::new(argument).write(cx, &count)?;
        }
        (request::FIOQSIZE, FileType::Regular | FileType::Directory) => {
            UserPtr::new(argument).write(cx, &inode.metadata()?.size)?;
        }
        (request::FIGETBSZ, FileType::Regular | FileType::Directory) => {
            UserPtr::new(argument).write(cx, &inode.metadata()?.block_size)?;
        }
        _ => {
            if let Some(result) = file_flags::ioctl(cx, open, number, argument) {
                return result.map(|()| 0_u32.into());
            }
            return open.file.ioctl(cx, number, argument);
        }
    }
    Ok(0_u32.into())
}

/// lseek(2).
///
/// # Differences from Linux
/// None.
pub(crate) fn lseek(cx: &Context<'_>, fd: Fd, offset: i64, whence: u32) -> Result<u64> {
    let open = cx.files().get(fd)?;
    if open.is_path() {
        return Err(Errno::EBADF.because("the descriptor only names a place"));
    }
    open.seek(cx, offset, whence)
}

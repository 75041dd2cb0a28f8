//! Opening and closing: open(2), close(2), memfd_create(2).

use alloc::sync::Arc;

use abi::Errno;
use abi::fs::{AT_FDCWD, CloseRangeFlags, MemfdFlags, Mode, OpenFlags, OpenHow, ResolveFlags};
use abi::process::Resource;
use zerocopy::FromBytes;

use crate::context::Context;
use crate::error::{Because, Result};
use crate::fs::open::{self, How};
use crate::fs::seal::{self, ExecutableBits};
use crate::fs::{self, Fd, OnExec, OpenFile};
use crate::user::{UserPath, UserPtr};

/// open(2).
///
/// # Differences from Linux
/// As [`openat`].
pub(crate) fn open(cx: &Context<'_>, path: UserPath, flags: OpenFlags, mode: Mode) -> Result<i32> {
    openat(cx, Fd(AT_FDCWD), path, flags, mode)
}

/// creat(2).
///
/// # Differences from Linux
/// As [`openat`].
pub(crate) fn creat(cx: &Context<'_>, path: UserPath, mode: Mode) -> Result<i32> {
    open(cx, path, OpenFlags::CREAT | OpenFlags::WRONLY | OpenFlags::TRUNC, mode)
}

/// openat(2).
///
/// # Differences from Linux
/// None.
pub(crate) fn openat(
    cx: &Context<'_>,
    directory: Fd,
    path: UserPath,
    flags: OpenFlags,
    mode: Mode,
) -> Result<i32> {
    let how = How { flags, mode, resolve: ResolveFlags::empty() };
    let path = path.read(cx)?;
    let opened = open::open(cx, directory, path, how)?;
    add(cx, opened, 0, OnExec::of(flags))
}

/// openat2(2).
///
/// # Differences from Linux
/// `RESOLVE_CACHED` always gives `EAGAIN`.
pub(crate) fn openat2(
    cx: &Context<'_>,
    directory: Fd,
    path: UserPath,
    how: UserPtr<u8>,
    size: usize,
) -> Result<i32> {
    let how = checked_how(&read_how(cx, how, size)?)?;
    let path = path.read(cx)?;
    if how.resolve.contains(ResolveFlags::CACHED) {
        return Err(Errno::EAGAIN.because("nothing is known to be cached"));
    }
    let opened = open::open(cx, directory, path, how)?;
    add(cx, opened, 0, OnExec::of(how.flags))
}

/// Loads a structure that may be longer or shorter than the one that is known here.
fn read_how(cx: &Context<'_>, from: UserPtr<u8>, size: usize) -> Result<OpenHow> {
    const LEN: usize = size_of::<OpenHow>();
    if size < LEN {
        return Err(Errno::EINVAL.because("the structure is too short"));
    }
    if size > abi::PAGE_SIZE {
        return Err(Errno::E2BIG.because("the structure is too long"));
    }
    let bytes = from.read_array(cx, size)?;
    if bytes[LEN..].iter().any(|&byte| byte != 0) {
        return Err(Errno::E2BIG.because("the structure has fields that are not known"));
    }
    OpenHow::read_from_bytes(&bytes[..LEN]).map_err(|_| Errno::EINVAL.into())
}

fn checked_how(how: &OpenHow) -> Result<How> {
    let invalid = || Errno::EINVAL.because("the flags are not valid");
    let flags = u32::try_from(how.flags).map_err(|_| invalid())?;
    let known = OpenFlags::all();
    let flags = OpenFlags::from_bits(flags).filter(|&flags| known.contains(flags));
    let flags = flags.ok_or_else(invalid)?;
    let resolve = ResolveFlags::from_bits(how.resolve).ok_or_else(invalid)?;
    if resolve.contains(ResolveFlags::BENEATH | ResolveFlags::IN_ROOT) {
        return Err(invalid());
    }
    let path_only =
        OpenFlags::PATH | OpenFlags::DIRECTORY | OpenFlags::NOFOLLOW | OpenFlags::CLOEXEC;
    if flags.contains(OpenFlags::PATH) && !path_only.contains(flags) {
        return Err(invalid());
    }
    let creates = flags.intersects(OpenFlags::CREAT | OpenFlags::TMPFILE_BIT);
    if how.mode & !0o7777 != 0 || (how.mode != 0 && !creates) {
        return Err(Errno::EINVAL.because("the mode is not valid"));
    }
    Ok(How { flags, mode: Mode::of(how.mode as u32), resolve })
}

/// close(2).
///
/// # Differences from Linux
/// None.
pub(crate) fn close(cx: &Context<'_>, fd: Fd) -> Result<()> {
    let open = cx.files().remove(fd)?;
    if let Some(socket) = open.file.socket().filter(|_| Arc::strong_count(&open) == 1) {
        socket.linger(cx);
    }
    fs::close(cx.system, cx.process, cx.files(), &open)
}

/// close_range(2).
///
/// # Differences from Linux
/// `CLOSE_RANGE_UNSHARE` parts processes (`CLONE_FILES`), but not the threads of one.
pub(crate) fn close_range(
    cx: &Context<'_>,
    first: u32,
    last: u32,
    flags: CloseRangeFlags,
) -> Result<()> {
    if !CloseRangeFlags::all().contains(flags) {
        return Err(Errno::EINVAL.because("flags are not known"));
    }
    if first > last {
        return Err(Errno::EINVAL.because("the first descriptor is above the last"));
    }
    if flags.contains(CloseRangeFlags::UNSHARE) {
        cx.thread.part_from_files();
    }
    let (first, last) = (first as usize, last as usize);
    if flags.contains(CloseRangeFlags::CLOEXEC) {
        cx.files().set_range_on_exec(first, last, OnExec::Close);
        return Ok(());
    }
    for open in cx.files().remove_range(first, last) {
        // As on Linux, errors of one file do not keep the others open, and are not told.
        let _ = fs::close(cx.system, cx.process, cx.files(), &open);
    }
    Ok(())
}

/// memfd_create(2).
///
/// # Differences from Linux
/// Without huge pages: `MFD_HUGETLB` is refused.
pub(crate) fn memfd_create(cx: &Context<'_>, name: UserPath, flags: MemfdFlags) -> Result<i32> {
    /// Longest name, in bytes: what /proc shows as `memfd:NAME` fits a directory entry.
    const MEMFD_NAME_MAX: usize = abi::fs::NAME_MAX - "memfd:".len();
    use MemfdFlags as F;
    if !F::all().difference(F::HUGETLB).contains(flags) {
        return Err(Errno::EINVAL.because("flags are not known or not supported"));
    }
    if flags.contains(F::EXEC | F::NOEXEC_SEAL) {
        return Err(Errno::EINVAL.because("both executable and not"));
    }
    let name = name.read(cx)?;
    if name.len() > MEMFD_NAME_MAX {
        return Err(Errno::EINVAL.because("the name is too long"));
    }
    let opened = open::open_memory(cx, &name)?;
    if flags.contains(F::NOEXEC_SEAL) {
        seal::make_sealable(&opened, ExecutableBits::SealedOff)?;
    } else if flags.contains(F::ALLOW_SEALING) {
        seal::make_sealable(&opened, ExecutableBits::Kept)?;
    }
    let on_exec = if flags.contains(MemfdFlags::CLOEXEC) { OnExec::Close } else { OnExec::Keep };
    add(cx, opened, 0, on_exec)
}

/// Gives `open` the lowest free descriptor from `lowest` on.
pub(crate) fn add(
    cx: &Context<'_>,
    open: Arc<OpenFile>,
    lowest: usize,
    on_exec: OnExec,
) -> Result<i32> {
    let limit = cx.process.limits().current(Resource::OpenFiles);
    cx.files().add(open, lowest, on_exec, limit).map(|fd| fd.0)
}

//! What ioctl(2) does to a loop device: loop(4), and what every block device knows.

use alloc::sync::Arc;

use abi::fs::FallocateFlags;
use abi::fs::block::loops::request as own;
use abi::fs::block::loops::{LoopConfig, LoopFlags, LoopInfo, LoopInfo64, NAME_LEN};
use abi::fs::block::{SECTOR_SIZE, request as any};
use abi::{Errno, PAGE_SIZE};
use zerocopy::FromZeros;

use crate::context::Context;
use crate::error::{Because, Outcome, Result};
use crate::fs::Fd;
use crate::fs::open_file::OpenFile;
use crate::process::Capability;
use crate::user::UserPtr;

use super::device::{Binding, Shape, check_block_size};
use super::open::OpenLoop;

/// Sectors of a page.
const PAGE_SECTORS: u64 = PAGE_SIZE as u64 / SECTOR_SIZE;

/// Longest key that a device could be encrypted with, in bytes, if it could be.
const KEY_LEN: u32 = 32;

/// The flags that `LOOP_SET_STATUS` sets, and those that it takes away.
const SETTABLE: LoopFlags = LoopFlags::AUTOCLEAR.union(LoopFlags::PARTSCAN);
const CLEARABLE: LoopFlags = LoopFlags::AUTOCLEAR;

/// A request to an open loop device.
///
/// # Errors
/// Those of ioctl(2) and loop(4); `ENOTTY` for a request that is not known.
pub(super) fn ioctl(
    cx: &Context<'_>,
    open: &OpenLoop,
    request: u32,
    argument: u64,
) -> Result<Outcome> {
    match request {
        own::LOOP_SET_FD..=own::LOOP_CONFIGURE => loop_request(cx, open, request, argument)?,
        _ => block_request(cx, open, request, argument)?,
    }
    Ok(0_u32.into())
}

fn loop_request(cx: &Context<'_>, open: &OpenLoop, request: u32, argument: u64) -> Result<()> {
    let device = &open.device;
    match request {
        own::LOOP_SET_FD => {
            let file = backing(cx, argument as i32)?;
            bind(open, file, 0, LoopInfo64::new_zeroed())
        }
        own::LOOP_CONFIGURE => {
            let config: LoopConfig = UserPtr::new(argument).read(cx)?;
            let file = backing(cx, config.fd as i32)?;
            bind(open, file, config.block_size, config.info)
        }
        own::LOOP_CHANGE_FD => device.binding().and_then(|_| {
            let file = backing(cx, argument as i32)?;
            device.replace(file)
        }),
        own::LOOP_CLR_FD => device.release(),
        own::LOOP_GET_STATUS => UserPtr::new(argument).write(cx, &narrow(&status(open)?)?),
        own::LOOP_GET_STATUS64 => UserPtr::new(argument).write(cx, &status(open)?),
        own::LOOP_SET_STATUS => {
            check_change(cx, open)?;
            set_status(open, &widen(&UserPtr::new(argument).read(cx)?))
        }
        own::LOOP_SET_STATUS64 => {
            check_change(cx, open)?;
            set_status(open, &UserPtr::new(argument).read(cx)?)
        }
        own::LOOP_SET_CAPACITY => check_change(cx, open).and_then(|()| device.resize()),
        own::LOOP_SET_BLOCK_SIZE => {
            check_change(cx, open)?;
            let size = u32::try_from(argument).unwrap_or(0);
            device.reshape(|shape| {
                check_block_size(size)?;
                shape.block_size = size;
                Ok(())
            })
        }
        own::LOOP_SET_DIRECT_IO => {
            device.binding()?;
            match argument {
                0 => Ok(()),
                _ => Err(Errno::EINVAL.because("files are always read through caches")),
            }
        }
        _ => Err(Errno::EINVAL.because("the request is not known")),
    }
}

fn check_change(cx: &Context<'_>, open: &OpenLoop) -> Result<()> {
    if open.access.can_write() || cx.credentials().has(Capability::SysAdmin) {
        return Ok(());
    }
    Err(Errno::EPERM.because("the device is not open for writing"))
}

fn backing(cx: &Context<'_>, fd: i32) -> Result<Arc<OpenFile>> {
    let file = cx.files().get(Fd(fd))?;
    if file.is_path() {
        return Err(Errno::EBADF.because("the descriptor only names a place"));
    }
    Ok(file)
}

fn bind(open: &OpenLoop, file: Arc<OpenFile>, block_size: u32, info: LoopInfo64) -> Result<()> {
    if !open.device.is_free() {
        return Err(Errno::EBUSY.because("the device is bound to a file"));
    }
    let flags = LoopFlags::from_bits(info.flags);
    let mut flags = flags.ok_or_else(|| Errno::EINVAL.because("flags are not known"))?;
    if flags.contains(LoopFlags::DIRECT_IO) {
        return Err(Errno::EINVAL.because("files are always read through caches"));
    }
    if !file.access_mode().can_write() || !open.access.can_write() {
        flags |= LoopFlags::READ_ONLY;
    }
    let block_size = if block_size == 0 { SECTOR_SIZE as u32 } else { block_size };
    let name = [0; NAME_LEN];
    let mut shape = Shape { offset: 0, size_limit: 0, block_size, flags, name };
    set_shape(&mut shape, &info)?;
    open.device.bind(Binding::new(file, shape)?)
}

fn set_shape(shape: &mut Shape, info: &LoopInfo64) -> Result<()> {
    if info.encrypt_key_size > KEY_LEN || info.encrypt_type != 0 {
        return Err(Errno::EINVAL.because("devices cannot be encrypted"));
    }
    if info.offset > i64::MAX as u64 || info.sizelimit > i64::MAX as u64 {
        return Err(Errno::EOVERFLOW.because("no file is that long"));
    }
    shape.offset = info.offset;
    shape.size_limit = info.sizelimit;
    shape.name = info.file_name;
    shape.name[NAME_LEN - 1] = 0;
    Ok(())
}

fn set_status(open: &OpenLoop, info: &LoopInfo64) -> Result<()> {
    open.device.reshape(|shape| {
        set_shape(shape, info)?;
        let new = LoopFlags::from_bits_retain(info.flags) & SETTABLE;
        shape.flags = shape.flags.difference(CLEARABLE) | new;
        Ok(())
    })
}

fn status(open: &OpenLoop) -> Result<LoopInfo64> {
    let Binding { file, shape, .. } = open.device.binding()?;
    let inode = file.file.inode();
    Ok(LoopInfo64 {
        device: inode.file_system().device().encode(),
        inode: inode.metadata()?.number,
        rdevice: 0,
        offset: shape.offset,
        sizelimit: shape.size_limit,
        number: open.device.number(),
        flags: shape.flags.bits(),
        file_name: shape.name,
        ..LoopInfo64::new_zeroed()
    })
}

/// The old form of a status, in which long offsets have no place.
fn narrow(status: &LoopInfo64) -> Result<LoopInfo> {
    let offset = i32::try_from(status.offset);
    Ok(LoopInfo {
        number: status.number as i32,
        device: status.device,
        inode: status.inode,
        offset: offset.map_err(|_| Errno::EOVERFLOW.because("the offset is too large"))?,
        flags: status.flags,
        name: status.file_name,
        ..LoopInfo::new_zeroed()
    })
}

fn widen(info: &LoopInfo) -> LoopInfo64 {
    LoopInfo64 {
        offset: i64::from(info.offset) as u64,
        encrypt_type: info.encrypt_type as u32,
        encrypt_key_size: info.encrypt_key_size as u32,
        flags: info.flags,
        file_name: info.name,
        ..LoopInfo64::new_zeroed()
    }
}

/// What every block device knows.
fn block_request(cx: &Context<'_>, open: &OpenLoop, request: u32, argument: u64) -> Result<()> {
    let device = &open.device;
    let size = device.size();
    let block_size =
        || device.binding().map_or(SECTOR_SIZE as u32, |binding| binding.shape.block_size);
    match request {
        any::BLKGETSIZE => UserPtr::new(argument).write(cx, &(size / SECTOR_SIZE)),
        any::BLKGETSIZE64 => UserPtr::new(argument).write(cx, &size),
        any::BLKSSZGET | any::BLKPBSZGET | any::BLKIOMIN => {
            UserPtr::new(argument).write(cx, &block_size())
        }
        any::BLKBSZGET => UserPtr::new(argument).write(cx, &(PAGE_SIZE as u32)),
        any::BLKIOOPT | any::BLKALIGNOFF | any::BLKDISCARDZEROES => {
            UserPtr::new(argument).write(cx, &0_u32)
        }
        any::BLKROTATIONAL => UserPtr::new(argument).write(cx, &0_u16),
        any::BLKROGET => UserPtr::new(argument).write(cx, &u32::from(device.is_read_only())),
        any::BLKROSET => {
            check_administration(cx)?;
            let read_only: u32 = UserPtr::new(argument).read(cx)?;
            device.set_read_only(read_only != 0);
            Ok(())
        }
        any::BLKRAGET | any::BLKFRAGET => UserPtr::new(argument).write(cx, &device.read_ahead()),
        any::BLKRASET | any::BLKFRASET => {
            check_administration(cx)?;
            device.set_read_ahead(argument - argument % PAGE_SECTORS);
            Ok(())
        }
        any::BLKFLSBUF => {
            check_administration(cx)?;
            device.binding().map_or(Ok(()), |binding| binding.file.file.sync())
        }
        any::BLKRRPART => Err(Errno::EINVAL.because("the device has no partitions")),
        any::BLKGETDISKSEQ => UserPtr::new(argument).write(cx, &device.sequence()),
        any::BLKDISCARD | any::BLKZEROOUT => empty(cx, open, argument),
        _ => Err(Errno::ENOTTY.because("the device does not know this request")),
    }
}

fn check_administration(cx: &Context<'_>) -> Result<()> {
    if cx.credentials().has(Capability::SysAdmin) {
        return Ok(());
    }
    Err(Errno::EACCES.because("changing a device needs CAP_SYS_ADMIN"))
}

/// Makes a range of the device zeros.
fn empty(cx: &Context<'_>, open: &OpenLoop, argument: u64) -> Result<()> {
    if !open.access.can_write() {
        return Err(Errno::EBADF.because("the device is not open for writing"));
    }
    if open.device.is_read_only() {
        return Err(Errno::EPERM.because("nothing can be written to the device"));
    }
    let [start, len]: [u64; 2] = UserPtr::new(argument).read(cx)?;
    let binding = open.device.binding()?;
    let end = start.checked_add(len).filter(|&end| end <= binding.size);
    if end.is_none() || (start | len) % u64::from(binding.shape.block_size) != 0 || len == 0 {
        return Err(Errno::EINVAL.because("no blocks of the device"));
    }
    let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    binding.file.file.inode().allocate(flags, binding.shape.offset + start, len)
}

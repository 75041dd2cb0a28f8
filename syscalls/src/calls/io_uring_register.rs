//! What rings know beforehand: io_uring_register(2).

use alloc::vec::Vec;

use abi::Errno;
use abi::fs::Iovec;
use abi::io_uring::{
    FilesUpdate, MAX_REGISTERED, OP_SUPPORTED, Probe, ProbeOperation, operation, register,
};

use crate::context::Context;
use crate::error::{Because, Error, Result};
use crate::fs::Fd;
use crate::rings::{Notice, Ring, is_offered};
use crate::user::{Piece, UserPtr};

use super::io_uring::{find, ring_of};

/// Longest buffer that can be registered, in bytes.
const BUFFER_MAX: u64 = 1 << 30;

/// Most operations that a probe can ask for.
const PROBE_MAX: u32 = 256;

/// io_uring_register(2): registers something with a ring, or asks what that can do.
///
/// # Differences from Linux
/// Of the requests there are those for buffers, files and their update, eventfd, the probe and
/// enabling. Registered buffers are not kept in memory: what is unmapped cannot be used.
pub(crate) fn io_uring_register(
    cx: &Context<'_>,
    fd: Fd,
    request: u32,
    argument: u64,
    count: u32,
) -> Result<usize> {
    let open = find(cx, fd)?;
    let ring = ring_of(&open)?;
    let nothing = || check(argument == 0 && count == 0);
    match request {
        register::BUFFERS => ring.register_buffers(buffers(cx, argument, count)?)?,
        register::UNREGISTER_BUFFERS => {
            nothing()?;
            ring.unregister_buffers()?;
        }
        register::FILES => ring.register_files(cx, &descriptors(cx, argument, count)?)?,
        register::UNREGISTER_FILES => {
            nothing()?;
            ring.unregister_files()?;
        }
        register::FILES_UPDATE => return update(cx, ring, argument, count),
        register::EVENTFD => register_event(cx, ring, (argument, count), Notice::OfAll)?,
        register::EVENTFD_ASYNC => {
            register_event(cx, ring, (argument, count), Notice::OfLater)?;
        }
        register::UNREGISTER_EVENTFD => {
            nothing()?;
            ring.unregister_event()?;
        }
        register::PROBE => probe(cx, argument, count)?,
        register::ENABLE_RINGS => {
            nothing()?;
            ring.enable(cx)?;
        }
        _ => return Err(invalid()),
    }
    Ok(0)
}

fn check(is_valid: bool) -> Result<()> {
    if is_valid { Ok(()) } else { Err(invalid()) }
}

fn invalid() -> Error {
    Errno::EINVAL.because("nothing that can be registered")
}

/// Loads what describes buffers, and checks that they are there.
fn buffers(cx: &Context<'_>, from: u64, count: u32) -> Result<Vec<Piece>> {
    check(count > 0 && count <= MAX_REGISTERED)?;
    let given: Vec<Iovec> = UserPtr::new(from).read_array(cx, count as usize)?;
    let mut buffers = Vec::new();
    buffers.try_reserve_exact(given.len()).map_err(|_| Errno::ENOMEM)?;
    for Iovec { base, len } in given {
        let is_none = base == 0 && len == 0;
        if !is_none {
            check_buffer(cx, base, len)?;
        }
        buffers.push(Piece { address: base, len: len as usize });
    }
    Ok(buffers)
}

fn check_buffer(cx: &Context<'_>, base: u64, len: u64) -> Result<()> {
    let bad = || Errno::EFAULT.because("not a buffer");
    if base == 0 || len == 0 || len > BUFFER_MAX {
        return Err(bad());
    }
    let last = base.checked_add(len - 1).filter(|&last| last < abi::TASK_SIZE).ok_or_else(bad)?;
    for at in [base, last] {
        cx.memory().read(at, &mut [0])?;
    }
    Ok(())
}

fn descriptors(cx: &Context<'_>, from: u64, count: u32) -> Result<Vec<i32>> {
    check(count > 0 && from != 0)?;
    if count > MAX_REGISTERED {
        return Err(Errno::EMFILE.because("too many files"));
    }
    UserPtr::new(from).read_array(cx, count as usize)
}

fn update(cx: &Context<'_>, ring: &Ring, argument: u64, count: u32) -> Result<usize> {
    let update: FilesUpdate = UserPtr::new(argument).read(cx)?;
    check(update.reserved == 0)?;
    let fds = descriptors(cx, update.fds, count)?;
    ring.update_files(cx, update.offset as usize, &fds)
}

fn register_event(
    cx: &Context<'_>,
    ring: &Ring,
    (argument, count): (u64, u32),
    notice: Notice,
) -> Result<()> {
    check(count == 1)?;
    let fd: i32 = UserPtr::new(argument).read(cx)?;
    ring.register_event(cx, Fd(fd), notice)
}

/// Tells which operations there are.
fn probe(cx: &Context<'_>, to: u64, count: u32) -> Result<()> {
    check(to != 0 && count <= PROBE_MAX)?;
    let given: Probe = UserPtr::new(to).read(cx)?;
    check(given.last_operation == 0 && given.operations == 0 && given.reserved == [0; 7])?;
    let known = u32::from(operation::SOCKET) + 1;
    let told = count.min(known) as u8;
    let head = Probe { last_operation: operation::SOCKET, operations: told, ..Probe::default() };
    UserPtr::new(to).write(cx, &head)?;
    let list = UserPtr::new(to + size_of::<Probe>() as u64);
    for operation in 0..told {
        let flags = if is_offered(operation) { OP_SUPPORTED } else { 0 };
        let one = ProbeOperation { operation, flags, ..ProbeOperation::default() };
        list.element(usize::from(operation)).write(cx, &one)?;
    }
    Ok(())
}

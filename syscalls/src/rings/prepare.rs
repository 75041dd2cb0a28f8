//! What a request asks for. All that it points to is loaded now, but for buffers, paths and
//! where results go: the application may reuse it after the submission.

use abi::io_uring::{
    ACCEPT_MULTISHOT, FSYNC_DATASYNC, POLL_ADD_MULTI, RequestFlags, Submission, TimeoutFlags,
    operation as code,
};
use abi::net::{ADDRESS_MAX, MessageFlags};
use abi::{Errno, number};

use crate::calls::message::Message;
use crate::calls::socket::{check_flags, read_address};
use crate::context::Context;
use crate::error::{Because, Error, Result};
use crate::fs::PollEvents;
use crate::table;
use crate::user::UserPtr;

use super::cancel::Target;
use super::operation::{Call, Operation, Update};
use super::ring::Ring;
use super::timeout::{Time, Timeout};
use super::transfer::{Bytes, Direction, Transfer};

/// What `entry` asks for.
///
/// # Errors
/// `EINVAL` for what is not offered; `EFAULT`, `EBADF`, `ENOMEM` and others of the operation.
pub(super) fn operation(cx: &Context<'_>, ring: &Ring, entry: &Submission) -> Result<Operation> {
    check(entry)?;
    Ok(match entry.opcode {
        code::NOP => Operation::Nop,
        code::READV | code::READ | code::READ_FIXED => {
            Operation::Transfer(Transfer::of(cx, ring, entry, Direction::Read)?)
        }
        code::WRITEV | code::WRITE | code::WRITE_FIXED => {
            Operation::Transfer(Transfer::of(cx, ring, entry, Direction::Write)?)
        }
        code::FSYNC => {
            check_that(entry.operation_flags & !FSYNC_DATASYNC == 0 && entry.address == 0)?;
            Operation::Sync
        }
        code::FALLOCATE => Operation::Allocate,
        code::SHUTDOWN => Operation::ShutDown,
        code::POLL_ADD => {
            check_that(entry.len & !POLL_ADD_MULTI == 0 && entry.buffer_index == 0)?;
            let wanted = PollEvents::from_bits_truncate(entry.operation_flags);
            Operation::Poll { wanted, goes_on: entry.len & POLL_ADD_MULTI != 0 }
        }
        code::POLL_REMOVE => {
            check_that(entry.len == 0 && entry.operation_flags == 0)?;
            Operation::RemovePoll
        }
        code::SENDMSG => {
            check_that(entry.priority == 0)?;
            Operation::Send(Message::to_send(cx, UserPtr::new(entry.address))?)
        }
        code::RECVMSG => {
            check_that(entry.priority == 0)?;
            Operation::Receive(Message::to_receive(cx, UserPtr::new(entry.address))?)
        }
        code::SEND => Operation::Bytes(Bytes::of(Direction::Write, send_address(cx, entry)?)),
        code::RECV => {
            check_that(entry.priority == 0)?;
            Operation::Bytes(Bytes::of(Direction::Read, None))
        }
        code::ACCEPT => {
            check_that(entry.priority & !ACCEPT_MULTISHOT == 0 && entry.len == 0)?;
            check_that(entry.file_index == 0 && entry.buffer_index == 0)?;
            check_flags(entry.operation_flags)?;
            Operation::Accept { goes_on: entry.priority & ACCEPT_MULTISHOT != 0 }
        }
        code::CONNECT => {
            check_that(entry.len == 0 && entry.operation_flags == 0 && entry.buffer_index == 0)?;
            Operation::Connect(read_address(
                cx,
                UserPtr::new(entry.address),
                len_at_offset(entry)?,
            )?)
        }
        code::TIMEOUT => Operation::Timeout(Timeout::of(cx, entry)?),
        code::LINK_TIMEOUT => Operation::LinkTimeout(Timeout::of(cx, entry)?),
        code::TIMEOUT_REMOVE => Operation::RemoveTimeout(update(cx, entry)?),
        code::ASYNC_CANCEL => {
            check_that(entry.offset == 0)?;
            Operation::Cancel(Target::of(entry)?)
        }
        code::CLOSE => {
            check_that(entry.fd == 0 || entry.file_index == 0)?;
            Operation::Close
        }
        _ => Operation::Call(call(entry)?),
    })
}

/// Fails for what no operation has.
fn check(entry: &Submission) -> Result<()> {
    let flags = RequestFlags::from_bits(entry.flags).ok_or_else(invalid)?;
    if flags.contains(RequestFlags::BUFFER_SELECT) {
        return Err(Errno::EOPNOTSUPP.because("there are no buffers to choose from"));
    }
    check_that(entry.personality == 0)
}

fn check_that(is_valid: bool) -> Result<()> {
    if is_valid { Ok(()) } else { Err(invalid()) }
}

fn invalid() -> Error {
    Errno::EINVAL.because("not a valid request")
}

/// A length that is where others have an offset.
fn len_at_offset(entry: &Submission) -> Result<u32> {
    u32::try_from(entry.offset).map_err(|_| invalid())
}

/// To whom `SEND` sends; `None` for the peer.
fn send_address(cx: &Context<'_>, entry: &Submission) -> Result<Option<alloc::vec::Vec<u8>>> {
    check_that(entry.priority == 0)?;
    if entry.offset == 0 {
        return Ok(None);
    }
    // The length of the address is in the lower half of the field.
    let len = entry.file_index & 0xffff;
    check_that(len as usize <= ADDRESS_MAX)?;
    read_address(cx, UserPtr::new(entry.offset), len).map(Some)
}

/// What `TIMEOUT_REMOVE` does with a timeout.
fn update(cx: &Context<'_>, entry: &Submission) -> Result<Update> {
    let flags = TimeoutFlags::from_bits(entry.operation_flags).ok_or_else(invalid)?;
    check_that(entry.len == 0 && entry.buffer_index == 0)?;
    if !flags.contains(TimeoutFlags::UPDATE) {
        check_that(flags.is_empty())?;
        return Ok(Update::Removed);
    }
    check_that(!flags.contains(TimeoutFlags::ETIME_SUCCESS))?;
    Ok(Update::Changed(Time::read(cx, entry.offset, flags)?, flags))
}

/// The system call that an operation is.
fn call(entry: &Submission) -> Result<Call> {
    const fn of(name: &str) -> u16 {
        number::number(name)
    }
    let fd = i64::from(entry.fd).cast_unsigned();
    let (address, second, len) = (entry.address, entry.offset, u64::from(entry.len));
    let flags = u64::from(entry.operation_flags);
    let (number, arguments) = match entry.opcode {
        code::OPENAT => (const { of("openat") }, [fd, address, flags, len, 0, 0]),
        code::OPENAT2 => (const { of("openat2") }, [fd, address, second, len, 0, 0]),
        code::STATX => (const { of("statx") }, [fd, address, flags, len, second, 0]),
        code::FADVISE => (const { of("fadvise64") }, [fd, second, len, flags, 0, 0]),
        code::MADVISE => (const { of("madvise") }, [address, len, flags, 0, 0, 0]),
        code::EPOLL_CTL => (const { of("epoll_ctl") }, [fd, len, second, address, 0, 0]),
        code::RENAMEAT => (const { of("renameat2") }, [fd, address, len, second, flags, 0]),
        code::UNLINKAT => (const { of("unlinkat") }, [fd, address, flags, 0, 0, 0]),
        code::MKDIRAT => (const { of("mkdirat") }, [fd, address, len, 0, 0, 0]),
        code::SYMLINKAT => (const { of("symlinkat") }, [address, fd, second, 0, 0, 0]),
        code::LINKAT => (const { of("linkat") }, [fd, address, len, second, flags, 0]),
        code::SYNC_FILE_RANGE => (const { of("sync_file_range") }, [fd, second, len, flags, 0, 0]),
        code::SOCKET => {
            check_that(entry.operation_flags == 0)?;
            (const { of("socket") }, [fd, second, len, 0, 0, 0])
        }
        _ => return Err(Errno::EINVAL.because("no such operation")),
    };
    check_that(entry.buffer_index == 0 && entry.file_index == 0)?;
    if entry.flags & RequestFlags::FIXED_FILE.bits() != 0 {
        return Err(Errno::EBADF.because("the operation takes no registered file"));
    }
    let row = table::row(number.into()).ok_or_else(invalid)?;
    Ok(Call { handler: row.handler, arguments })
}

/// The flags of a message, as requests have them: `SIGPIPE` is for nobody.
pub(super) fn message_flags(entry: &Submission) -> MessageFlags {
    MessageFlags::from_bits_retain(entry.operation_flags) | MessageFlags::NOSIGNAL
}

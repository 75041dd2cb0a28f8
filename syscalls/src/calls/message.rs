//! Messages: send(2), recv(2) and their kin.

use alloc::vec::Vec;

use abi::Errno;
use abi::fs::IOV_MAX;
use abi::net::{ADDRESS_MAX, CountedMessage, MessageFlags, MessageHeader};
use abi::time::Timespec;

use crate::context::Context;
use crate::error::{Because, Error, Result};
use crate::fs::Fd;
use crate::net::{self, Incoming, Outgoing};
use crate::user::{Buffers, Piece, UserPtr};

use super::control;
use super::poll;
use super::socket::{Opened, read_address, write_address};
use super::transfer::{one, pieces};

/// sendto(2): sends a message.
///
/// # Differences from Linux
/// There are no out-of-band data, and no control messages and queued errors of sockets of IP.
pub(crate) fn sendto(
    cx: &Context<'_>,
    fd: Fd,
    buffer: UserPtr<u8>,
    len: usize,
    flags: MessageFlags,
    address: UserPtr<u8>,
    address_len: u32,
) -> Result<usize> {
    let from = one(cx, buffer, len)?;
    let opened = Opened::find(cx, fd)?;
    let address = match address.non_null() {
        Some(address) => Some(read_address(cx, address, address_len)?),
        None => None,
    };
    let address = address.filter(|address| !address.is_empty());
    send_bytes(cx, &opened, from, address, flags)
}

/// Sends bytes as one message, where the socket has such.
///
/// # Errors
/// Those of sendto(2).
pub(crate) fn send_bytes(
    cx: &Context<'_>,
    opened: &Opened,
    mut from: Buffers,
    address: Option<Vec<u8>>,
    flags: MessageFlags,
) -> Result<usize> {
    let how = Outgoing { address, flags: opened.flags(flags), ..Outgoing::default() };
    net::send(cx, opened.socket()?, &mut from, how)
}

/// sendmsg(2): sends a message with an address and control messages.
///
/// # Differences from Linux
/// There are no out-of-band data, and no control messages and queued errors of sockets of IP.
pub(crate) fn sendmsg(
    cx: &Context<'_>,
    fd: Fd,
    message: UserPtr<MessageHeader>,
    flags: MessageFlags,
) -> Result<usize> {
    send(cx, &Opened::find(cx, fd)?, message, flags)
}

fn send(
    cx: &Context<'_>,
    opened: &Opened,
    message: UserPtr<MessageHeader>,
    flags: MessageFlags,
) -> Result<usize> {
    send_message(cx, opened, &Message::to_send(cx, message)?, flags)
}

/// A message as the application describes it: where its parts are.
pub(crate) struct Message {
    at: UserPtr<MessageHeader>,
    header: MessageHeader,
    pieces: Vec<Piece>,
    /// Of one that is sent: to whom.
    address: Option<Vec<u8>>,
}

impl Message {
    /// Loads the description of a message that is sent.
    ///
    /// # Errors
    /// `EFAULT`, `EINVAL`, `EMSGSIZE`, `ENOMEM`.
    pub(crate) fn to_send(cx: &Context<'_>, at: UserPtr<MessageHeader>) -> Result<Self> {
        let header = at.read(cx)?;
        let address = match (header.name, header.name_len) {
            (0, _) | (_, 0) => None,
            // Linux takes no more than an address can have.
            (at, len) => Some(read_address(cx, UserPtr::new(at), checked(len)?)?),
        };
        Ok(Self { at, header, pieces: pieces_of(cx, &header)?, address })
    }

    /// Loads the description of room for a message.
    ///
    /// # Errors
    /// As [`Message::to_send`].
    pub(crate) fn to_receive(cx: &Context<'_>, at: UserPtr<MessageHeader>) -> Result<Self> {
        let mut header = at.read(cx)?;
        if header.name != 0 {
            header.name_len = checked(header.name_len)?;
        }
        Ok(Self { at, header, pieces: pieces_of(cx, &header)?, address: None })
    }

    fn buffers(&self, cx: &Context<'_>) -> Result<Buffers> {
        let mut pieces = Vec::new();
        pieces.try_reserve_exact(self.pieces.len()).map_err(|_| Errno::ENOMEM)?;
        pieces.extend_from_slice(&self.pieces);
        Ok(Buffers::new(cx.memory().clone(), pieces))
    }
}

/// Sends a message with its address and control messages.
///
/// # Errors
/// Those of sendmsg(2).
pub(crate) fn send_message(
    cx: &Context<'_>,
    opened: &Opened,
    message: &Message,
    flags: MessageFlags,
) -> Result<usize> {
    let control = control::read(cx, &message.header)?;
    let (address, flags) = (message.address.clone(), opened.flags(flags));
    let how = Outgoing { address, flags, ..control };
    net::send(cx, opened.socket()?, &mut message.buffers(cx)?, how)
}

/// The length of an address in a message: too long ones are cut.
fn checked(len: u32) -> Result<u32> {
    if i32::try_from(len).is_err() {
        return Err(Errno::EINVAL.because("the length of the address is negative"));
    }
    Ok(len.min(ADDRESS_MAX as u32))
}

fn pieces_of(cx: &Context<'_>, header: &MessageHeader) -> Result<Vec<Piece>> {
    let count = usize::try_from(header.vector_len).ok().filter(|&count| count <= IOV_MAX);
    let count = count.ok_or_else(|| Errno::EMSGSIZE.because("too many buffers"))?;
    pieces(cx, UserPtr::new(header.vector), count)
}

/// sendmmsg(2): sends several messages.
///
/// # Differences from Linux
/// There are no out-of-band data, and no control messages and queued errors of sockets of IP.
pub(crate) fn sendmmsg(
    cx: &Context<'_>,
    fd: Fd,
    messages: UserPtr<CountedMessage>,
    count: u32,
    flags: MessageFlags,
) -> Result<usize> {
    let opened = Opened::find(cx, fd)?;
    let count = (count as usize).min(IOV_MAX);
    for index in 0..count {
        let at = messages.element(index);
        match send_one(cx, &opened, at, flags) {
            Ok(()) => {}
            Err(error) if index == 0 => return Err(error),
            Err(_) => return Ok(index),
        }
    }
    Ok(count)
}

fn send_one(
    cx: &Context<'_>,
    opened: &Opened,
    at: UserPtr<CountedMessage>,
    flags: MessageFlags,
) -> Result<()> {
    let sent = send(cx, opened, UserPtr::new(at.address()), flags)?;
    write_len(cx, at, sent)
}

fn write_len(cx: &Context<'_>, at: UserPtr<CountedMessage>, len: usize) -> Result<()> {
    let field = at.address().wrapping_add(size_of::<MessageHeader>() as u64);
    // No transfer is longer than MAX_TRANSFER.
    UserPtr::new(field).write(cx, &(len as u32))
}

/// recvfrom(2): receives a message.
///
/// # Differences from Linux
/// There are no out-of-band data, and no control messages and queued errors of sockets of IP.
pub(crate) fn recvfrom(
    cx: &Context<'_>,
    fd: Fd,
    buffer: UserPtr<u8>,
    len: usize,
    flags: MessageFlags,
    address: UserPtr<u8>,
    address_len: UserPtr<i32>,
) -> Result<usize> {
    let to = one(cx, buffer, len)?;
    let opened = Opened::find(cx, fd)?;
    let received = receive_bytes(cx, &opened, to, flags)?;
    if let Some(to) = address.non_null() {
        write_address(cx, &received.address.unwrap_or_default(), to, address_len)?;
    }
    Ok(received.len)
}

/// Receives bytes, or as much of a message as there is room for.
///
/// # Errors
/// Those of recvfrom(2).
pub(crate) fn receive_bytes(
    cx: &Context<'_>,
    opened: &Opened,
    mut to: Buffers,
    flags: MessageFlags,
) -> Result<Incoming> {
    opened.socket()?.receive(cx, &mut to, opened.flags(flags))
}

/// recvmsg(2): receives a message with its address and control messages.
///
/// # Differences from Linux
/// There are no out-of-band data, and no control messages and queued errors of sockets of IP.
pub(crate) fn recvmsg(
    cx: &Context<'_>,
    fd: Fd,
    message: UserPtr<MessageHeader>,
    flags: MessageFlags,
) -> Result<usize> {
    receive(cx, &Opened::find(cx, fd)?, message, flags)
}

fn receive(
    cx: &Context<'_>,
    opened: &Opened,
    message: UserPtr<MessageHeader>,
    flags: MessageFlags,
) -> Result<usize> {
    receive_message(cx, opened, &Message::to_receive(cx, message)?, flags)
}

/// Receives a message with its address and control messages.
///
/// # Errors
/// Those of recvmsg(2).
pub(crate) fn receive_message(
    cx: &Context<'_>,
    opened: &Opened,
    message: &Message,
    flags: MessageFlags,
) -> Result<usize> {
    let mut to = message.buffers(cx)?;
    let received = opened.socket()?.receive(cx, &mut to, opened.flags(flags))?;
    let len = received.len;
    write_header(cx, message.at, &message.header, received, flags)?;
    Ok(len)
}

/// Stores what came with a message.
fn write_header(
    cx: &Context<'_>,
    message: UserPtr<MessageHeader>,
    header: &MessageHeader,
    received: Incoming,
    flags: MessageFlags,
) -> Result<()> {
    let mut new = *header;
    if header.name != 0 {
        let address = received.address.as_deref().unwrap_or_default();
        let cut = &address[..address.len().min(header.name_len as usize)];
        cx.memory().write(header.name, cut)?;
        // No address is longer than ADDRESS_MAX.
        new.name_len = address.len() as u32;
    }
    let mut told = received.flags | flags.intersection(MessageFlags::CMSG_CLOEXEC);
    let (control_len, is_cut) = control::write(cx, header, received, flags)?;
    told.set(MessageFlags::CTRUNC, is_cut);
    new.control_len = control_len;
    new.flags = told.bits();
    message.write(cx, &new)
}

/// recvmmsg(2): receives several messages, up to a time.
///
/// # Differences from Linux
/// There are no out-of-band data, and no control messages and queued errors of sockets of IP.
pub(crate) fn recvmmsg(
    cx: &Context<'_>,
    fd: Fd,
    messages: UserPtr<CountedMessage>,
    count: u32,
    flags: MessageFlags,
    timeout: UserPtr<Timespec>,
) -> Result<usize> {
    let deadline_ns = poll::read_timespec(cx, timeout)?;
    let opened = Opened::find(cx, fd)?;
    let count = (count as usize).min(IOV_MAX);
    let mut flags = flags;
    let mut done = 0;
    let mut result: Result<(), Error> = Ok(());
    while done < count {
        let at = messages.element(done);
        let how = flags.difference(MessageFlags::WAITFORONE);
        result = receive(cx, &opened, UserPtr::new(at.address()), how)
            .and_then(|len| write_len(cx, at, len));
        if result.is_err() {
            break;
        }
        done += 1;
        if flags.contains(MessageFlags::WAITFORONE) {
            flags |= MessageFlags::DONTWAIT;
        }
        // As on Linux, the time is looked at between messages only.
        if deadline_ns.is_some_and(|at| cx.system.machine.monotonic_ns() >= at) {
            break;
        }
    }
    if let Some(deadline_ns) = deadline_ns {
        let left = deadline_ns.saturating_sub(cx.system.machine.monotonic_ns());
        timeout.write(cx, &Timespec::from_ns(left))?;
    }
    if done > 0 { Ok(done) } else { result.map(|()| 0) }
}

//! What requests do.

use alloc::sync::Arc;
use alloc::vec::Vec;

use abi::Errno;
use abi::fs::FallocateFlags;
use abi::io_uring::{RequestFlags, Submission, TimeoutFlags, operation as code};
use abi::net::MessageFlags;

use crate::args;
use crate::calls::message::{self, Message};
use crate::calls::socket::{self, Opened, check_flags};
use crate::calls::{open, storage};
use crate::context::Context;
use crate::error::{Because, Outcome, Result};
use crate::fs::{Fd, OpenFile, PollEvents};
use crate::user::UserPtr;

use super::cancel::Target;
use super::prepare::message_flags;
use super::request::{Request, Step};
use super::ring::Ring;
use super::timeout::{Time, Timeout};
use super::transfer::{Bytes, Transfer};

/// What a request does.
pub(super) enum Operation {
    /// Nothing: it fails with this.
    Invalid(Errno),
    Nop,
    Transfer(Transfer),
    Sync,
    Allocate,
    ShutDown,
    Poll {
        wanted: PollEvents,
        goes_on: bool,
    },
    RemovePoll,
    Send(Message),
    Receive(Message),
    Bytes(Bytes),
    Accept {
        goes_on: bool,
    },
    /// To this address.
    Connect(Vec<u8>),
    Timeout(Timeout),
    /// Ends the request before it in its chain.
    LinkTimeout(Timeout),
    RemoveTimeout(Update),
    Cancel(Target),
    Close,
    Call(Call),
}

/// What becomes of a timeout.
pub(super) enum Update {
    Removed,
    Changed(Time, TimeoutFlags),
}

/// A system call.
pub(super) struct Call {
    pub(super) handler: &'static dyn args::Call,
    pub(super) arguments: [u64; 6],
}

/// Whether requests can have this operation.
pub(crate) fn is_offered(opcode: u8) -> bool {
    let gaps = [20, 30, 31, 32, 33];
    (opcode <= code::LINKAT && !gaps.contains(&opcode)) || opcode == code::SOCKET
}

impl Operation {
    /// Whether it limits how long the request before it takes.
    pub(super) fn is_limit(&self) -> bool {
        matches!(self, Self::LinkTimeout(_))
    }

    /// Whether it only waits for a time.
    pub(super) fn is_timeout(&self) -> bool {
        matches!(self, Self::Timeout(_) | Self::LinkTimeout(_))
    }

    /// What it wants of its file.
    pub(super) fn wanted(&self) -> PollEvents {
        match self {
            Self::Poll { wanted, .. } => *wanted,
            Self::Transfer(transfer) => transfer.direction().wanted(),
            Self::Bytes(bytes) => bytes.direction().wanted(),
            Self::Send(_) | Self::Connect(_) => PollEvents::OUT,
            _ => PollEvents::IN,
        }
    }

    /// Whether it waits for a file that is not ready. As on Linux, `O_NONBLOCK` is of no matter.
    pub(super) fn is_patient(&self, entry: &Submission) -> bool {
        match self {
            Self::Transfer(transfer) => !transfer.is_impatient(),
            Self::Send(_) | Self::Receive(_) | Self::Bytes(_) => {
                !message_flags(entry).contains(MessageFlags::DONTWAIT)
            }
            _ => true,
        }
    }

    /// Does it as far as it goes without waiting.
    pub(super) fn attempt(&self, cx: &Context<'_>, ring: &Ring, request: &Request) -> Step {
        let entry = &request.entry;
        match self {
            Self::Invalid(errno) => Step::Ended(Err((*errno).into())),
            Self::Nop => Step::Ended(Ok(0)),
            Self::Timeout(timeout) => timeout.begin(cx, ring, request),
            Self::LinkTimeout(_) => Step::Ended(Err(Errno::ECANCELED.into())),
            Self::RemovePoll => Step::Ended(ring.remove_poll(entry.address)),
            Self::RemoveTimeout(Update::Removed) => Step::Ended(ring.remove_timeout(entry.address)),
            Self::RemoveTimeout(Update::Changed(time, flags)) => {
                Step::Ended(ring.update_timeout(cx, entry.address, (*time, *flags)))
            }
            Self::Cancel(target) => Step::Ended(ring.cancel(cx, request, target)),
            Self::Close => Step::Ended(close(cx, ring, request)),
            Self::Call(call) => Step::Ended(call.make(cx)),
            _ => match request.file(cx, ring) {
                Ok(open) => self.attempt_with(cx, ring, request, &open),
                Err(error) => Step::Ended(Err(error)),
            },
        }
    }

    fn attempt_with(
        &self,
        cx: &Context<'_>,
        ring: &Ring,
        request: &Request,
        open: &Arc<OpenFile>,
    ) -> Step {
        let entry = &request.entry;
        let flags = message_flags(entry);
        match self {
            Self::Transfer(transfer) => {
                request.when_ready(cx, open, || transfer.attempt(cx, open, entry))
            }
            Self::Bytes(bytes) => {
                request.when_ready(cx, open, || bytes.attempt(cx, open, entry, flags))
            }
            Self::Send(message) => request.when_ready(cx, open, || {
                let opened = Opened::of(open.clone())?;
                message::send_message(cx, &opened, message, flags).map(count)
            }),
            Self::Receive(message) => request.when_ready(cx, open, || {
                let opened = Opened::of(open.clone())?;
                message::receive_message(cx, &opened, message, flags).map(count)
            }),
            Self::Sync => Step::Ended(open.file.sync().map(|()| 0)),
            Self::Allocate => Step::Ended(allocate(cx, request, open)),
            Self::ShutDown => {
                let opened = Opened::of(open.clone());
                // As on Linux, the number is taken as it is.
                let how = entry.len.cast_signed();
                Step::Ended(
                    opened.and_then(|opened| socket::shut_down(cx, &opened, how)).map(|()| 0),
                )
            }
            Self::Poll { wanted, goes_on } => poll(cx, ring, request, open, (*wanted, *goes_on)),
            Self::Accept { goes_on } => accept(cx, ring, request, open, *goes_on),
            Self::Connect(address) => connect(cx, request, open, address),
            _ => Step::Ended(Err(Errno::EINVAL.into())),
        }
    }
}

/// A number of bytes as a result: no transfer is longer than fits.
pub(super) fn count(len: usize) -> i32 {
    i32::try_from(len).unwrap_or(i32::MAX)
}

impl Call {
    fn make(&self, cx: &Context<'_>) -> Result<i32> {
        match self.handler.call(cx, &self.arguments)? {
            // Descriptors and 0: what these calls return fits.
            Outcome::Value(value) => Ok(value as i32),
            Outcome::Replaced | Outcome::Ended => Ok(0),
        }
    }
}

impl Request {
    /// Whether a result is a failure: what is linked to the request does not begin.
    pub(super) fn has_failed(&self, result: i32) -> bool {
        let is_time = result == -i32::from(Errno::ETIME.number());
        match &self.operation {
            Operation::Timeout(timeout) if is_time => {
                !timeout.flags.contains(TimeoutFlags::ETIME_SUCCESS)
            }
            Operation::Transfer(transfer) => result != count(transfer.len()),
            Operation::Bytes(bytes) => result < bytes.least(&self.entry),
            _ => result < 0,
        }
    }
}

fn close(cx: &Context<'_>, ring: &Ring, request: &Request) -> Result<i32> {
    if let Some(index) = request.entry.file_index.checked_sub(1) {
        let signed = index.cast_signed();
        ring.registered.lock().file(signed)?;
        return ring.replace_file(index as usize, None).map(|()| 0);
    }
    let fd = Fd(request.entry.fd);
    let is_fixed = request.flags.contains(RequestFlags::FIXED_FILE);
    if is_fixed || cx.files().get(fd)?.file.ring().is_some() {
        return Err(Errno::EBADF.because("a ring does not close rings"));
    }
    open::close(cx, fd).map(|()| 0)
}

fn allocate(cx: &Context<'_>, request: &Request, open: &OpenFile) -> Result<i32> {
    let entry = &request.entry;
    let flags = FallocateFlags::from_bits_retain(entry.len);
    let range = (entry.offset.cast_signed(), entry.address.cast_signed());
    storage::allocate(cx, open, flags, range).map(|()| 0)
}

fn poll(
    cx: &Context<'_>,
    ring: &Ring,
    request: &Request,
    open: &Arc<OpenFile>,
    (wanted, goes_on): (PollEvents, bool),
) -> Step {
    let told = wanted | PollEvents::ERR | PollEvents::HUP;
    request.when_ready(cx, open, || {
        let events = request.poll(cx, open) & told;
        if events.is_empty() {
            return Err(Errno::EAGAIN.because("there is no event"));
        }
        let events = events.bits().cast_signed();
        if goes_on && open.file.wait_queue().is_some() && ring.post_more(request, events) {
            return Err(Errno::EAGAIN.because("there will be more events"));
        }
        Ok(events)
    })
}

fn accept(
    cx: &Context<'_>,
    ring: &Ring,
    request: &Request,
    open: &Arc<OpenFile>,
    goes_on: bool,
) -> Step {
    let entry = &request.entry;
    request.when_ready(cx, open, || {
        let opened = Opened::of(open.clone())?;
        let to = (UserPtr::new(entry.address), UserPtr::new(entry.offset));
        let flags = check_flags(entry.operation_flags)?;
        loop {
            let fd = socket::accept_from(cx, &opened, to, flags)?;
            if !goes_on || !ring.post_more(request, fd) {
                return Ok(fd);
            }
        }
    })
}

fn connect(cx: &Context<'_>, request: &Request, open: &Arc<OpenFile>, address: &[u8]) -> Step {
    let is_under_way = request.waits_for().is_some();
    request.when_ready(cx, open, || {
        let opened = Opened::of(open.clone())?;
        if !is_under_way && request.waits_for().is_none() {
            let asked = socket::connect_to(cx, &opened, address, MessageFlags::DONTWAIT);
            return match asked {
                Err(error) if error.errno == Errno::EINPROGRESS => {
                    Err(Errno::EAGAIN.because("the connection is under way"))
                }
                asked => asked.map(|()| 0),
            };
        }
        let ends = PollEvents::OUT | PollEvents::ERR | PollEvents::HUP;
        if !open.file.poll().intersects(ends) {
            return Err(Errno::EAGAIN.because("the connection is under way"));
        }
        match opened.socket()?.take_error() {
            Some(errno) => Err(errno.into()),
            None => Ok(0),
        }
    })
}

//! Ending requests before they are done.

use alloc::sync::Arc;

use abi::Errno;
use abi::io_uring::{CancelFlags, Submission, TimeoutFlags, operation};

use crate::context::Context;
use crate::error::{Because, Error, Result};
use crate::fs::{Fd, OpenFile};
use crate::process::Thread;

use super::request::Request;
use super::ring::Ring;
use super::timeout::Time;

/// Which requests are meant.
pub(super) struct Target {
    user_data: Option<u64>,
    opcode: Option<u8>,
    /// The file: the number, and whether it is that of a registered one.
    file: Option<(i32, bool)>,
    are_all: bool,
}

impl Target {
    /// What `ASYNC_CANCEL` says.
    ///
    /// # Errors
    /// `EINVAL`.
    pub(super) fn of(entry: &Submission) -> Result<Self> {
        let flags = CancelFlags::from_bits(entry.operation_flags);
        let flags = flags.ok_or_else(|| Errno::EINVAL.because("unknown flags"))?;
        let by_file = flags.contains(CancelFlags::FD);
        let by_operation = flags.contains(CancelFlags::OP);
        let is_any = flags.contains(CancelFlags::ANY);
        if is_any && (by_file || by_operation) {
            return Err(Errno::EINVAL.because("any, and those of something"));
        }
        let by_data = flags.contains(CancelFlags::USERDATA) || !(is_any || by_file || by_operation);
        let opcode = u8::try_from(entry.len).map_err(|_| Errno::EINVAL.because("no operation"));
        Ok(Self {
            user_data: by_data.then_some(entry.address),
            opcode: if by_operation { Some(opcode?) } else { None },
            file: by_file.then_some((entry.fd, flags.contains(CancelFlags::FD_FIXED))),
            are_all: is_any || flags.contains(CancelFlags::ALL),
        })
    }
}

impl Ring {
    /// Cancels what is meant: returns how many where that are all, or 0.
    ///
    /// # Errors
    /// `ENOENT` where there is none; `EBADF` for a file that is not open.
    pub(super) fn cancel(&self, cx: &Context<'_>, own: &Request, target: &Target) -> Result<i32> {
        let file = target.file.map(|(number, is_registered)| match is_registered {
            true => self.registered.lock().file(number),
            false => cx.files().get(Fd(number)),
        });
        let file = file.transpose()?;
        let matches = |one: &Request| {
            one.number != own.number
                && target.user_data.is_none_or(|data| one.entry.user_data == data)
                && target.opcode.is_none_or(|opcode| one.entry.opcode == opcode)
                && file.as_ref().is_none_or(|file| one.is_about(file))
        };
        let mut cancelled = 0;
        for request in self.find(matches) {
            if self.cancel_one(&request) {
                cancelled += 1;
                if !target.are_all {
                    return Ok(0);
                }
            }
        }
        if target.are_all { Ok(cancelled) } else { Err(unknown()) }
    }

    /// Cancels the poll with this user data.
    ///
    /// # Errors
    /// `ENOENT`.
    pub(super) fn remove_poll(&self, user_data: u64) -> Result<i32> {
        let found = self.find_one(operation::POLL_ADD, user_data)?;
        if self.cancel_one(&found) { Ok(0) } else { Err(unknown()) }
    }

    /// Cancels the timeout with this user data.
    ///
    /// # Errors
    /// `ENOENT`.
    pub(super) fn remove_timeout(&self, user_data: u64) -> Result<i32> {
        let found = self.find_one(operation::TIMEOUT, user_data)?;
        if self.cancel_one(&found) { Ok(0) } else { Err(unknown()) }
    }

    /// Gives the timeout with this user data another time.
    ///
    /// # Errors
    /// `ENOENT`.
    pub(super) fn update_timeout(
        &self,
        cx: &Context<'_>,
        user_data: u64,
        (time, flags): (Time, TimeoutFlags),
    ) -> Result<i32> {
        let is_limit = flags.contains(TimeoutFlags::LINK_TIMEOUT_UPDATE);
        let opcode = if is_limit { operation::LINK_TIMEOUT } else { operation::TIMEOUT };
        let timer = self.find_one(opcode, user_data)?.timer().ok_or_else(unknown)?;
        time.arm(cx, &timer);
        Ok(0)
    }

    fn find(&self, matches: impl Fn(&Request) -> bool) -> alloc::vec::Vec<Arc<Request>> {
        self.order.lock().find(matches)
    }

    fn find_one(&self, opcode: u8, user_data: u64) -> Result<Arc<Request>> {
        let matches = |one: &Request| {
            one.entry.opcode == opcode && one.entry.user_data == user_data && one.is_under_way()
        };
        self.find(matches).into_iter().next().ok_or_else(unknown)
    }

    /// Cancels a request that waits, for something or for its turn; returns whether it did.
    fn cancel_one(&self, request: &Request) -> bool {
        let waits = request.is_under_way() || self.take_waiting(request);
        if waits {
            self.end_with(request, Errno::ECANCELED);
        }
        waits
    }

    /// Ends all requests of a thread.
    pub(super) fn cancel_of(&self, thread: &Thread) {
        for request in self.find(|one| one.is_of(thread)) {
            self.take_waiting(&request);
            let next = request.next.lock().take();
            drop(next);
            self.end_with(&request, Errno::ECANCELED);
        }
    }
}

impl Request {
    /// Whether it waits for this file.
    fn is_about(&self, file: &Arc<OpenFile>) -> bool {
        self.waits_for().is_some_and(|open| Arc::ptr_eq(&open, file))
    }
}

fn unknown() -> Error {
    Errno::ENOENT.because("there is no such request")
}

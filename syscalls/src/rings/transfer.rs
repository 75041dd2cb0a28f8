//! Requests that move bytes.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicUsize, Ordering};

use abi::Errno;
use abi::fs::TransferFlags;
use abi::io_uring::{Submission, operation as code};
use abi::net::MessageFlags;

use crate::calls::message::{receive_bytes, send_bytes};
use crate::calls::socket::Opened;
use crate::calls::transfer::{one, pieces};
use crate::context::Context;
use crate::error::{Because, Result};
use crate::fs::{OpenFile, PollEvents, Positions};
use crate::user::{Buffers, MAX_TRANSFER, Piece, UserPtr};

use super::operation::count;
use super::ring::Ring;

/// Where bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    Read,
    Write,
}

impl Direction {
    /// What the file must be ready for.
    pub(super) fn wanted(self) -> PollEvents {
        match self {
            Self::Read => PollEvents::IN,
            Self::Write => PollEvents::OUT,
        }
    }
}

/// A read or a write of a file.
pub(super) struct Transfer {
    direction: Direction,
    pieces: Vec<Piece>,
    flags: TransferFlags,
}

impl Transfer {
    /// What `READ`, `WRITE` and their kin ask for.
    ///
    /// # Errors
    /// `EINVAL`, `EFAULT`, `ENOMEM`; `EOPNOTSUPP` for flags that are not offered.
    pub(super) fn of(
        cx: &Context<'_>,
        ring: &Ring,
        entry: &Submission,
        direction: Direction,
    ) -> Result<Self> {
        use TransferFlags as F;
        let (address, len) = (entry.address, entry.len as usize);
        let pieces = match entry.opcode {
            code::READV | code::WRITEV => pieces(cx, UserPtr::new(address), len)?,
            code::READ_FIXED | code::WRITE_FIXED => {
                Vec::from([ring.registered.lock().buffer(entry)?])
            }
            _ => {
                one(cx, UserPtr::new(address), len)?;
                Vec::from([Piece { address, len: len.min(MAX_TRANSFER) }])
            }
        };
        let flags = F::from_bits_retain(entry.operation_flags);
        let of_writes = if direction == Direction::Write { F::APPEND } else { F::empty() };
        if !(F::DSYNC | F::SYNC | F::NOWAIT | of_writes).contains(flags) {
            return Err(Errno::EOPNOTSUPP.because("flags are not supported"));
        }
        Ok(Self { direction, pieces, flags })
    }

    /// Where the bytes go.
    pub(super) fn direction(&self) -> Direction {
        self.direction
    }

    /// How many bytes there are at most.
    pub(super) fn len(&self) -> usize {
        self.pieces.iter().map(|piece| piece.len).sum()
    }

    /// Whether it fails rather than wait.
    pub(super) fn is_impatient(&self) -> bool {
        self.flags.contains(TransferFlags::NOWAIT)
    }

    /// Moves what can be moved now.
    pub(super) fn attempt(
        &self,
        cx: &Context<'_>,
        open: &OpenFile,
        entry: &Submission,
    ) -> Result<i32> {
        let mut pieces = Vec::new();
        pieces.try_reserve_exact(self.pieces.len()).map_err(|_| Errno::ENOMEM)?;
        pieces.extend_from_slice(&self.pieces);
        let mut buffers = Buffers::new(cx.memory().clone(), pieces);
        let offset = entry.offset.cast_signed();
        let has_none = open.positions() == Positions::None || offset == -1;
        let moved = match self.direction {
            Direction::Read if has_none => open.read(cx, &mut buffers),
            Direction::Write if self.flags.contains(TransferFlags::APPEND) => {
                open.append(cx, &mut buffers)
            }
            Direction::Write if has_none => open.write(cx, &mut buffers),
            Direction::Read => open.read_at(cx, checked(offset)?, &mut buffers),
            Direction::Write => open.write_at(cx, checked(offset)?, &mut buffers),
        };
        moved.map(count)
    }
}

fn checked(offset: i64) -> Result<u64> {
    u64::try_from(offset).map_err(|_| Errno::EINVAL.because("the offset is negative"))
}

/// Bytes that a socket sends or receives.
pub(super) struct Bytes {
    direction: Direction,
    /// To whom; `None` for the peer.
    address: Option<Vec<u8>>,
    /// How many have been moved, of those that are all waited for.
    done: AtomicUsize,
}

impl Bytes {
    /// What `SEND` and `RECV` ask for.
    pub(super) fn of(direction: Direction, address: Option<Vec<u8>>) -> Self {
        Self { direction, address, done: AtomicUsize::new(0) }
    }

    /// Where the bytes go.
    pub(super) fn direction(&self) -> Direction {
        self.direction
    }

    /// How many bytes are a success.
    pub(super) fn least(&self, entry: &Submission) -> i32 {
        let flags = MessageFlags::from_bits_retain(entry.operation_flags);
        if flags.contains(MessageFlags::WAITALL) { count(entry.len as usize) } else { 0 }
    }

    /// Moves what can be moved now.
    pub(super) fn attempt(
        &self,
        cx: &Context<'_>,
        open: &Arc<OpenFile>,
        entry: &Submission,
        flags: MessageFlags,
    ) -> Result<i32> {
        let opened = Opened::of(open.clone())?;
        let (wants_all, flags) =
            (flags.contains(MessageFlags::WAITALL), flags.difference(MessageFlags::WAITALL));
        loop {
            let done = self.done.load(Ordering::Relaxed);
            let at = UserPtr::new(entry.address.wrapping_add(done as u64));
            let buffers = one(cx, at, (entry.len as usize).saturating_sub(done))?;
            let moved = match self.direction {
                Direction::Read => {
                    receive_bytes(cx, &opened, buffers, flags).map(|received| received.len)
                }
                Direction::Write => send_bytes(cx, &opened, buffers, self.address.clone(), flags),
            };
            let waits = !flags.contains(MessageFlags::DONTWAIT);
            let moved = match moved {
                Err(error) if done > 0 && !(waits && error.errno == Errno::EAGAIN) => 0,
                moved => moved?,
            };
            let done = self.done.fetch_add(moved, Ordering::Relaxed) + moved;
            if !wants_all || moved == 0 || done >= entry.len as usize {
                return Ok(count(done));
            }
        }
    }
}

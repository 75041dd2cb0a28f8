//! The master of a pseudoterminal: the user's side.

use alloc::sync::{Arc, Weak};
use core::sync::atomic::Ordering;

use abi::Errno;
use abi::fs::{AT_FDCWD, OpenFlags};
use abi::process::Resource;
use abi::signal::Signal;
use abi::terminal::{queue, request as r};

use crate::context::Context;
use crate::error::{Because, Outcome, Result};
use crate::fs::open::{How, open as open_path};
use crate::fs::{Fd, File, Inode, OnExec, OpenFile, PollEvents};
use crate::io::{Sink, Source};
use crate::system::System;
use crate::terminal::job::signal_group;
use crate::user::UserPtr;
use crate::wait::WaitQueue;

use super::Pair;
use super::wire::Found;

/// How many bytes go between a program and the wire at once.
const CHUNK: usize = 512;

/// The master of a pseudoterminal. Closing it hangs the slave up.
pub(super) struct MasterFile {
    pair: Arc<Pair>,
    inode: Arc<dyn Inode>,
    system: Weak<System>,
}

impl MasterFile {
    pub(super) fn new(pair: Arc<Pair>, inode: Arc<dyn Inode>, system: Weak<System>) -> Self {
        Self { pair, inode, system }
    }

    /// Waits until there is something to read.
    fn find(&self, cx: &Context<'_>, open: &OpenFile, to: &mut [u8]) -> Result<Found> {
        let look = || match self.pair.wire.take_shown(to) {
            Found::Nothing => Ok(None),
            Found::Closed => Err(Errno::EIO.because("nobody has the slave open")),
            found => Ok(Some(found)),
        };
        cx.block_on(&[self.pair.wire.changed()], open.patience(), look)
    }

    /// Reads bytes that are there, as many as fit.
    fn read_more(&self, cx: &Context<'_>, first: &[u8], to: &mut dyn Sink) -> Result<usize> {
        let mut chunk = [0; CHUNK];
        let mut done = 0;
        let mut len = first.len();
        chunk[..len].copy_from_slice(first);
        while len > 0 {
            let put = match to.put(&chunk[..len]) {
                Ok(put) => put,
                Err(error) if done == 0 => {
                    self.pair.wire.give_back(&chunk[..len]);
                    return Err(error);
                }
                Err(_) => 0,
            };
            self.pair.wire.give_back(&chunk[put..len]);
            done += put;
            if put < len {
                break;
            }
            // What had no room before may follow now.
            self.pair.slave.news(cx.system);
            let room = to.remaining().min(CHUNK);
            len = match self.pair.wire.take_shown(&mut chunk[..room]) {
                Found::Bytes(len) if room > 0 => len,
                _ => 0,
            };
        }
        Ok(done)
    }

    /// Types all of `bytes`, unless it must not wait or is interrupted; how many.
    fn type_chunk(&self, cx: &Context<'_>, open: &OpenFile, bytes: &[u8]) -> (usize, Result<()>) {
        let mut done = 0;
        while done < bytes.len() {
            let wire = &self.pair.wire;
            let look = || {
                let typed = wire.type_bytes(&bytes[done..]);
                Ok((typed > 0).then_some(typed))
            };
            match cx.block_on(&[wire.changed()], open.patience(), look) {
                Ok(typed) => done += typed,
                Err(error) => return (done, Err(error)),
            }
            self.pair.slave.news(cx.system);
        }
        (done, Ok(()))
    }

    /// `TIOCGPTPEER`: opens the slave.
    fn open_slave(&self, cx: &Context<'_>, flags: u64) -> Result<i32> {
        let flags = OpenFlags::from_bits_retain(flags as u32);
        let path = alloc::format!("/dev/pts/{}", self.pair.number).into_bytes();
        let opened = open_path(cx, Fd(AT_FDCWD), path, How::existing(flags))?;
        let limit = cx.process.limits().current(Resource::OpenFiles);
        cx.files().add(opened, 0, OnExec::of(flags), limit).map(|fd| fd.0)
    }

    /// `TIOCSIG`: as if the user had typed what sends a signal.
    fn signal_slave(&self, cx: &Context<'_>, number: u64) -> Result<()> {
        let sent = [Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTSTP];
        let signal = u8::try_from(number).ok().and_then(Signal::new);
        let signal = signal.filter(|signal| sent.contains(signal));
        let signal = signal.ok_or_else(|| Errno::EINVAL.because("not a signal of the keyboard"))?;
        signal_group(cx.system, self.pair.slave.foreground(), signal);
        Ok(())
    }

    /// `TCFLSH`: the master's input is what the slave wrote.
    fn flush(&self, which: u64) -> Result<()> {
        if !matches!(which, queue::TCIFLUSH | queue::TCOFLUSH | queue::TCIOFLUSH) {
            return Err(Errno::EINVAL.because("no such queue"));
        }
        self.pair.wire.forget(which != queue::TCOFLUSH, which != queue::TCIFLUSH);
        Ok(())
    }
}

impl File for MasterFile {
    fn inode(&self) -> &Arc<dyn Inode> {
        &self.inode
    }

    fn read(
        &self,
        cx: &Context<'_>,
        open: &OpenFile,
        _offset: u64,
        to: &mut dyn Sink,
    ) -> Result<usize> {
        if to.remaining() == 0 {
            return Ok(0);
        }
        let is_packet = self.pair.wire.is_packet();
        let mut chunk = [0; CHUNK];
        let room = (to.remaining() - usize::from(is_packet)).min(CHUNK);
        match self.find(cx, open, &mut chunk[..room])? {
            Found::Events(events) => to.put(&[events]),
            Found::Bytes(len) => {
                let head = if is_packet { to.put(&[0])? } else { 0 };
                self.read_more(cx, &chunk[..len], to).map(|done| head + done)
            }
            Found::Closed | Found::Nothing => Ok(0),
        }
    }

    fn write(
        &self,
        cx: &Context<'_>,
        open: &OpenFile,
        _offset: u64,
        from: &mut dyn Source,
    ) -> Result<usize> {
        let mut chunk = [0; CHUNK];
        let mut done = 0;
        while from.remaining() > 0 {
            let (typed, result) = match from.take(&mut chunk) {
                Ok(taken) => self.type_chunk(cx, open, &chunk[..taken]),
                Err(error) => (0, Err(error)),
            };
            done += typed;
            match result {
                Ok(()) if typed > 0 => {}
                Ok(()) => break,
                Err(_) if done > 0 => break,
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    fn readable_bytes(&self) -> Result<usize> {
        Ok(self.pair.wire.shown_len())
    }

    fn ioctl(&self, cx: &Context<'_>, number: u32, argument: u64) -> Result<Outcome> {
        let pair = &self.pair;
        match number {
            r::TIOCGPTN => UserPtr::new(argument).write(cx, &pair.number)?,
            r::TIOCSPTLCK => {
                let lock: i32 = UserPtr::new(argument).read(cx)?;
                pair.is_locked.store(lock != 0, Ordering::SeqCst);
            }
            r::TIOCGPTLCK => UserPtr::new(argument).write(cx, &i32::from(pair.is_locked()))?,
            r::TIOCPKT => {
                let on: i32 = UserPtr::new(argument).read(cx)?;
                pair.wire.set_packet(on != 0);
            }
            r::TIOCGPKT => UserPtr::new(argument).write(cx, &i32::from(pair.wire.is_packet()))?,
            r::TIOCSIG => self.signal_slave(cx, argument)?,
            r::TIOCGPTPEER => return self.open_slave(cx, argument).map(Into::into),
            r::TCFLSH => self.flush(argument)?,
            r::TIOCOUTQ => UserPtr::new(argument).write(cx, &0_i32)?,
            r::TIOCGPGRP => UserPtr::new(argument).write(cx, &pair.slave.foreground())?,
            // The master's output is with the slave at once: there is nothing to wait for.
            r::TCSETSW => return pair.slave.ioctl(cx, r::TCSETS, argument),
            r::TCSETAW => return pair.slave.ioctl(cx, r::TCSETA, argument),
            r::TCSETSW2 => return pair.slave.ioctl(cx, r::TCSETS2, argument),
            r::TCSBRK | r::TCSBRKP => {}
            _ => return pair.slave.ioctl(cx, number, argument),
        }
        Ok(().into())
    }

    fn poll(&self) -> PollEvents {
        self.pair.wire.poll()
    }

    fn wait_queue(&self) -> Option<&WaitQueue> {
        Some(self.pair.wire.changed())
    }
}

impl Drop for MasterFile {
    fn drop(&mut self) {
        if let Some(system) = self.system.upgrade() {
            self.pair.slave.hang_up(&system);
        }
    }
}

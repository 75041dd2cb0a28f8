//! Pipes and FIFOs: pipe(7).
//!
//! A [`Pipe`] is a queue of pages. As on Linux a write fills up the last page where it fits
//! as a whole, and otherwise takes new pages; so a write of up to `PIPE_BUF` bytes, one page,
//! is never torn.

pub(super) mod transfer;

use alloc::collections::VecDeque;
use alloc::sync::Arc;

use core::sync::atomic::Ordering;

use abi::fs::{AccessMode, OpenFlags};
use abi::signal::Signal;
use abi::{Errno, PAGE_SIZE};
use spin::Mutex;

use crate::context::Context;
use crate::error::{Because, Error, Result};
use crate::io::{Sink, Source};
use crate::machine::{Machine, Page};
use crate::process::Capability;
use crate::wait::{Interruption, WaitQueue};

use super::pipe_inode::{Conduit, PipeInode};
use super::turn::Turn;
use super::{File, Inode, OpenFile, PollEvents};

/// How many pages a new pipe can hold.
const DEFAULT_PAGES: usize = 16;

/// Largest size in bytes that an unprivileged process may give a pipe, unless something else is set
/// (/proc/sys/fs/pipe-max-size).
pub const MAX_SIZE: u64 = 1 << 20;

/// Largest size in bytes that anybody may give a pipe.
pub(crate) const SIZE_LIMIT: u64 = 1 << 31;

/// What poll(2) finds where there are bytes.
const READABLE: PollEvents = PollEvents::IN.union(PollEvents::RDNORM);

/// What poll(2) finds where there is room.
const WRITABLE: PollEvents = PollEvents::OUT.union(PollEvents::WRNORM);

/// A pipe or FIFO with its content.
pub struct Pipe {
    machine: Arc<dyn Machine>,
    state: Mutex<State>,
    /// Taken by whoever moves bytes, so that no lock is held during a copy that may fault.
    turn: Turn,
    /// Woken when [`State`] has changed.
    changed: WaitQueue,
}

struct State {
    slots: VecDeque<Slot>,
    /// How many slots there may be.
    capacity: usize,
    /// A page that was emptied, for the next write.
    spare: Option<Arc<dyn Page>>,
    readers: End,
    writers: End,
}

/// The open files on one side.
#[derive(Clone, Copy, Default)]
struct End {
    /// How many there are.
    count: usize,
    /// How many there have been.
    opened: u64,
}

/// A page with bytes.
#[derive(Clone)]
struct Slot {
    page: Arc<dyn Page>,
    start: usize,
    end: usize,
    /// The bytes are one packet (`O_DIRECT`): a read takes it alone, and loses what it has no
    /// room for.
    is_packet: bool,
    /// Another pipe may have the page, too: nothing is added to it, and it is not used again.
    is_shared: bool,
}

impl Pipe {
    /// An empty pipe that nobody has opened.
    #[must_use]
    pub fn new(machine: Arc<dyn Machine>) -> Arc<Self> {
        let state = State {
            slots: VecDeque::new(),
            capacity: DEFAULT_PAGES,
            spare: None,
            readers: End::default(),
            writers: End::default(),
        };
        Arc::new(Self {
            machine,
            state: Mutex::new(state),
            turn: Turn::new(),
            changed: WaitQueue::new(),
        })
    }

    /// Whether somebody has it open for reading.
    pub(super) fn has_readers(&self) -> bool {
        self.state.lock().readers.count > 0
    }

    /// Waits until somebody has, or has had meanwhile, the other end open.
    pub(super) fn wait_for_partner(&self, cx: &Context<'_>, access: AccessMode) -> Result<()> {
        let other = |state: &State| match access {
            AccessMode::Read => state.writers,
            _ => state.readers,
        };
        let before = other(&self.state.lock());
        if access == AccessMode::ReadWrite || before.count > 0 {
            return Ok(());
        }
        cx.wait_until(&[&self.changed], None, Interruption::Restart, || {
            let has_come = other(&self.state.lock()).opened != before.opened;
            Ok(has_come.then_some(()))
        })?;
        Ok(())
    }

    /// Counts an open file, until it is dropped.
    pub(super) fn open(self: &Arc<Self>, inode: Arc<dyn Inode>, access: AccessMode) -> PipeFile {
        let mut state = self.state.lock();
        if access.can_read() {
            state.readers.open();
        }
        if access.can_write() {
            state.writers.open();
        }
        let has_writers = state.writers.count > 0;
        let writers_before = (!has_writers).then_some(state.writers.opened);
        drop(state);
        self.changed.wake_all();
        PipeFile { pipe: self.clone(), inode, access, writers_before }
    }

    /// Waits until there are bytes; false at the end of file.
    fn wait_for_bytes(&self, cx: &Context<'_>, open: &OpenFile) -> Result<bool> {
        self.wait(cx, open, |state| {
            let has_bytes = !state.slots.is_empty();
            Ok((has_bytes || state.writers.count == 0).then_some(has_bytes))
        })
    }

    /// Waits until there is room for one more page, or nobody to read it.
    fn wait_for_room(&self, cx: &Context<'_>, open: &OpenFile) -> Result<()> {
        self.wait(cx, open, |state| {
            let is_over = state.readers.count == 0 || state.slots.len() < state.capacity;
            Ok(is_over.then_some(()))
        })
    }

    fn wait<T>(
        &self,
        cx: &Context<'_>,
        open: &OpenFile,
        mut ready: impl FnMut(&mut State) -> Result<Option<T>>,
    ) -> Result<T> {
        cx.block_on(&[&self.changed], open.patience(), || ready(&mut self.state.lock()))
    }

    /// Moves what there is to `to`, with the turn taken.
    fn take(&self, to: &mut dyn Sink) -> Result<usize> {
        let mut done = 0;
        while to.remaining() > 0
            && let Some(slot) = self.first_slot()
        {
            let len = (slot.end - slot.start).min(to.remaining());
            let put = match to.put_page(&*slot.page, slot.start, len) {
                Ok(put) => put,
                Err(_) if done > 0 => break,
                Err(error) => return Err(error),
            };
            done += put;
            let is_packet_done = slot.is_packet && put == len;
            self.state.lock().consume(put, is_packet_done);
            if put < len || slot.is_packet {
                break;
            }
        }
        Ok(done)
    }

    fn first_slot(&self) -> Option<Slot> {
        self.state.lock().slots.front().cloned()
    }

    /// Adds the bytes of `from` that fill up the last page, if they are few enough.
    fn fill_up(&self, from: &mut dyn Source) -> Result<usize> {
        let len = from.remaining() % PAGE_SIZE;
        let last = self.state.lock().slots.back().cloned();
        let Some(last) = last.filter(|last| last.has_room_for(len)) else {
            return Ok(0);
        };
        let taken = from.take_to_page(&*last.page, last.end, len)?;
        if let Some(last) = self.state.lock().slots.back_mut() {
            last.end += taken;
        }
        Ok(taken)
    }

    /// Adds up to a page of bytes, for which there is room.
    fn add_page(&self, from: &mut dyn Source, is_packet: bool) -> Result<usize> {
        let spare = self.state.lock().spare.take();
        let page = match spare {
            Some(page) => page,
            None => self.machine.allocate_page()?,
        };
        let len = from.remaining().min(PAGE_SIZE);
        let taken = from.take_to_page(&*page, 0, len);
        let mut state = self.state.lock();
        match taken {
            Ok(end) if end > 0 => {
                state.slots.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
                state.slots.push_back(Slot { page, start: 0, end, is_packet, is_shared: false });
            }
            _ => state.spare = Some(page),
        }
        taken
    }

    /// Adds all of `from`, with the turn taken, until it has to wait; how much, and whether
    /// that was all.
    fn put(&self, from: &mut dyn Source, may_fill_up: bool, packets: bool) -> (usize, Result<()>) {
        let mut done = 0;
        if may_fill_up && !packets {
            match self.fill_up(from) {
                Ok(taken) => done += taken,
                Err(error) => return (0, Err(error)),
            }
        }
        while from.remaining() > 0 && self.has_room() {
            match self.add_page(from, packets) {
                Ok(0) => break,
                Ok(taken) => done += taken,
                Err(error) => return (done, Err(error)),
            }
        }
        (done, Ok(()))
    }

    fn has_room(&self) -> bool {
        let state = self.state.lock();
        state.slots.len() < state.capacity
    }

    fn len(&self) -> usize {
        self.state.lock().slots.iter().map(|slot| slot.end - slot.start).sum()
    }

    fn size(&self) -> usize {
        self.state.lock().capacity * PAGE_SIZE
    }

    /// `F_SETPIPE_SZ`.
    fn set_size(&self, cx: &Context<'_>, bytes: u64) -> Result<usize> {
        if bytes > SIZE_LIMIT {
            return Err(Errno::EINVAL.because("the size is not valid"));
        }
        let bytes = bytes.next_power_of_two().max(PAGE_SIZE as u64);
        let is_larger = bytes > self.size() as u64;
        let may_exceed = cx.credentials().has(Capability::SysResource);
        if is_larger && bytes > cx.system.max_pipe_size.load(Ordering::Relaxed) && !may_exceed {
            return Err(Errno::EPERM.because("the size is above the limit"));
        }
        let pages = (bytes / PAGE_SIZE as u64) as usize;
        let mut state = self.state.lock();
        if state.slots.len() > pages {
            return Err(Errno::EBUSY.because("the pipe holds more than that"));
        }
        state.capacity = pages;
        drop(state);
        self.changed.wake_all();
        Ok(pages * PAGE_SIZE)
    }
}

impl Conduit for Pipe {
    fn reopen(self: Arc<Self>, inode: Arc<dyn Inode>, access: AccessMode) -> Result<Arc<dyn File>> {
        Ok(Arc::new(self.open(inode, access)))
    }
}

impl Slot {
    fn has_room_for(&self, len: usize) -> bool {
        !self.is_packet && !self.is_shared && len <= PAGE_SIZE - self.end
    }
}

impl State {
    /// Removes `len` bytes from the first slot, or all of it.
    fn consume(&mut self, len: usize, all: bool) {
        let Some(first) = self.slots.front_mut() else {
            return;
        };
        first.start += len;
        if all || first.start == first.end {
            let emptied = self.slots.pop_front().filter(|slot| !slot.is_shared);
            self.spare = emptied.map(|slot| slot.page);
        }
    }
}

impl End {
    fn open(&mut self) {
        self.count += 1;
        self.opened += 1;
    }
}

/// Makes a pipe: its reading and its writing end. `flags` may have `O_NONBLOCK` and
/// `O_DIRECT`.
#[must_use]
pub fn pair(cx: &Context<'_>, flags: OpenFlags) -> (Arc<OpenFile>, Arc<OpenFile>) {
    let user = cx.credentials();
    let pipe = Pipe::new(cx.system.machine.clone());
    let conduit: Arc<dyn Conduit> = pipe.clone();
    let inode: Arc<dyn Inode> = PipeInode::new(cx.system, &user, Arc::downgrade(&conduit));
    let open = |access, flag| {
        let file = pipe.open(inode.clone(), access);
        Arc::new(OpenFile::new(Arc::new(file), flags | flag))
    };
    (open(AccessMode::Read, OpenFlags::empty()), open(AccessMode::Write, OpenFlags::WRONLY))
}

/// The error of writing to a pipe that nobody reads; the thread also gets `SIGPIPE`.
pub(super) fn broken(cx: &Context<'_>) -> Error {
    cx.thread.raise(Signal::SIGPIPE);
    Errno::EPIPE.because("nobody reads the other end")
}

/// One end of a pipe, or a FIFO that has been opened.
pub struct PipeFile {
    pipe: Arc<Pipe>,
    inode: Arc<dyn Inode>,
    access: AccessMode,
    /// How many writers there had been when this was opened and there was none: it has hung up
    /// only when there was one since.
    writers_before: Option<u64>,
}

impl PipeFile {
    /// Adds what fits of `from`, once; `is_first` when nothing of it has been added before.
    fn put(
        &self,
        cx: &Context<'_>,
        open: &OpenFile,
        from: &mut dyn Source,
        is_first: bool,
    ) -> (usize, Result<()>) {
        let packets = open.flags().contains(OpenFlags::DIRECT);
        let turn = match self.pipe.turn.take(cx) {
            Ok(turn) => turn,
            Err(error) => return (0, Err(error)),
        };
        if self.pipe.state.lock().readers.count == 0 {
            drop(turn);
            return (0, Err(broken(cx)));
        }
        let result = self.pipe.put(from, is_first, packets);
        drop(turn);
        self.pipe.changed.wake(READABLE);
        result
    }
}

impl File for PipeFile {
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
        while self.pipe.wait_for_bytes(cx, open)? {
            let turn = self.pipe.turn.take(cx)?;
            let had_room = self.pipe.has_room();
            let done = self.pipe.take(to);
            drop(turn);
            if done != Ok(0) {
                // For an edge-triggered epoll(7) it is no event that there is more room.
                if !had_room && self.pipe.has_room() {
                    self.pipe.changed.wake(WRITABLE);
                }
                return done;
            }
        }
        Ok(0)
    }

    fn write(
        &self,
        cx: &Context<'_>,
        open: &OpenFile,
        _offset: u64,
        from: &mut dyn Source,
    ) -> Result<usize> {
        let mut done = 0;
        let mut result = Ok(());
        while from.remaining() > 0 && result.is_ok() {
            let (added, added_result) = self.put(cx, open, from, done == 0);
            done += added;
            result = added_result;
            if result.is_ok() && from.remaining() > 0 {
                result = self.pipe.wait_for_room(cx, open);
            }
        }
        if done > 0 { Ok(done) } else { result.map(|()| 0) }
    }

    fn pipe(&self) -> Option<&PipeFile> {
        Some(self)
    }

    fn readable_bytes(&self) -> Result<usize> {
        Ok(self.pipe.len())
    }

    fn pipe_size(&self) -> Result<usize> {
        Ok(self.pipe.size())
    }

    fn set_pipe_size(&self, cx: &Context<'_>, bytes: u64) -> Result<usize> {
        self.pipe.set_size(cx, bytes)
    }

    fn poll(&self) -> PollEvents {
        let state = self.pipe.state.lock();
        let mut events = PollEvents::empty();
        if self.access.can_read() {
            if !state.slots.is_empty() {
                events |= READABLE;
            }
            if state.writers.count == 0 && self.writers_before != Some(state.writers.opened) {
                events |= PollEvents::HUP;
            }
        }
        if self.access.can_write() {
            if state.slots.len() < state.capacity {
                events |= WRITABLE;
            }
            if state.readers.count == 0 {
                events |= PollEvents::ERR;
            }
        }
        events
    }

    fn wait_queue(&self) -> Option<&WaitQueue> {
        Some(&self.pipe.changed)
    }
}

impl Drop for PipeFile {
    fn drop(&mut self) {
        let mut state = self.pipe.state.lock();
        if self.access.can_read() {
            state.readers.count -= 1;
        }
        if self.access.can_write() {
            state.writers.count -= 1;
        }
        // What a FIFO holds is lost with its last open file.
        let lost = if state.readers.count + state.writers.count == 0 {
            state.spare = None;
            core::mem::take(&mut state.slots)
        } else {
            VecDeque::new()
        };
        drop(state);
        drop(lost);
        self.pipe.changed.wake_all();
    }
}

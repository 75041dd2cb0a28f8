//! The conversation with a server: many threads ask, each waits for its own answer.
//!
//! A request has a tag, which is also the token of the machine's channel. Whoever waits looks
//! at the channel itself, parks, and is unparked by whoever finds its answer: another thread,
//! or the service thread ([`Client::collect`]). A thread that is to end, by a signal that it
//! does not survive, does not wait any longer: the server is asked to forget the request. A
//! server that does not answer for
//! [`PATIENCE_NS`] is taken for dead until it says something again.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, Ordering};

use abi::Errno;
use spin::Mutex;

use crate::buffer;
use crate::error::{Because, Error, Result};
use crate::machine::{Answer, Machine, Message, MessageChannel, Refused, Thread};

use super::wire::{HEADER_LEN, IO_HEADER_LEN, Kind, NO_TAG, Reply, Request, broken};

/// Longest message, in bytes: what is asked for.
const MESSAGE_LEN: u32 = 128 * 1024;

/// Shortest message a server must be able to take: a write of a page.
const MESSAGE_LEN_MIN: u32 = 8192;

/// The protocol.
const VERSION: &[u8] = b"9P2000.L";

/// Most requests under way.
const TAGS: usize = 64;

/// How long a server may be silent, in nanoseconds: a slow disk is waited for, a dead server
/// is not.
pub(super) const PATIENCE_NS: u64 = 120_000_000_000;

/// Room for the answer to a request that is answered with a few numbers.
pub(super) const SHORT_REPLY: usize = 256;

/// A conversation.
pub(super) struct Client {
    machine: Arc<dyn Machine>,
    channel: Arc<dyn MessageChannel>,
    /// Longest message that both sides take.
    message_len: AtomicU32,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// By tag.
    exchanges: Vec<Exchange>,
    /// Who waits for a tag, or room in the channel.
    blocked: Vec<Arc<dyn Thread>>,
    /// Number of fids that were in use at one time.
    fids: u32,
    /// Numbers of fids that are free again.
    free_fids: Vec<u32>,
    /// Fids that the server does not know yet to be free.
    unclunked: Vec<u32>,
    /// The server has not answered in time, and not since.
    is_silent: bool,
}

/// What is going on under a tag.
#[derive(Default)]
enum Exchange {
    #[default]
    Free,
    /// Somebody waits for the answer.
    Waiting(Arc<dyn Thread>),
    /// The answer is there.
    Answered(Vec<u8>),
    /// Nobody wants the answer any more.
    Abandoned,
    /// A fid is being given back.
    Clunk(u32),
}

impl Client {
    /// Takes up the conversation over `channel`.
    ///
    /// # Errors
    /// `EIO`; `EPROTONOSUPPORT` when the server does not speak 9P2000.L.
    pub(super) fn connect(
        machine: Arc<dyn Machine>,
        channel: Arc<dyn MessageChannel>,
    ) -> Result<Arc<Self>> {
        let client = Self {
            machine,
            channel,
            message_len: AtomicU32::new(MESSAGE_LEN),
            state: Mutex::default(),
        };
        client.state.lock().exchanges.resize_with(TAGS, Exchange::default);
        let request = Request::new(Kind::Version).u32(MESSAGE_LEN).string(VERSION);
        let mut reply = client.call(request, SHORT_REPLY)?;
        let len = reply.u32()?;
        if reply.string()? != VERSION {
            return Err(Errno::EPROTONOSUPPORT.because("the server does not speak 9P2000.L"));
        }
        if !(MESSAGE_LEN_MIN..=MESSAGE_LEN).contains(&len) {
            return Err(broken());
        }
        client.message_len.store(len, Ordering::Relaxed);
        Ok(Arc::new(client))
    }

    /// Most bytes that one read or write transfers: whole pages.
    pub(super) fn transfer_len(&self) -> usize {
        let len = self.message_len.load(Ordering::Relaxed) as usize - IO_HEADER_LEN;
        len - len % abi::PAGE_SIZE
    }

    /// Sends a request and waits for the answer, which is `reply_len` bytes long at most.
    ///
    /// # Errors
    /// Those of the host; `EINTR` when the thread is to end; `EIO` when the server is dead,
    /// silent or does not make sense; `ENOMEM`; `ENAMETOOLONG`.
    pub(super) fn call(&self, request: Request, reply_len: usize) -> Result<Reply> {
        let kind = request.kind();
        // The header of an error must fit in any case.
        let reply = buffer::zeroed(reply_len.max(HEADER_LEN + 4))?;
        let is_first = kind == Kind::Version;
        let message = Message { token: 0, request: request.into_bytes(NO_TAG)?, reply };
        let give_up = self.machine.monotonic_ns().saturating_add(PATIENCE_NS);
        let tag = self.submit(message, is_first, give_up)?;
        let bytes = self.wait(tag, give_up)?;
        Reply::parse(bytes, kind, if is_first { NO_TAG } else { tag })
    }

    /// Sends a message as soon as there is room; returns its tag.
    fn submit(&self, mut message: Message, is_first: bool, give_up: u64) -> Result<u16> {
        let me = self.machine.current_thread();
        loop {
            self.collect();
            let mut state = self.state.lock();
            if state.is_silent || !self.channel.is_alive() {
                return Err(dead());
            }
            if let Some(tag) = state.free_tag() {
                if !is_first {
                    message.request[5..7].copy_from_slice(&tag.to_le_bytes());
                }
                message.token = tag;
                match self.channel.send(message) {
                    Ok(()) => {
                        state.exchanges[usize::from(tag)] = Exchange::Waiting(me);
                        return Ok(tag);
                    }
                    Err(Refused::Full(back)) => message = back,
                    Err(Refused::Dead) => return Err(dead()),
                }
            }
            state.blocked.push(me.clone());
            drop(state);
            if me.is_to_end() {
                return Err(interrupted());
            }
            if self.machine.monotonic_ns() >= give_up {
                return Err(self.abandon(None));
            }
            me.park(Some(give_up));
        }
    }

    /// Waits for the answer of this tag.
    fn wait(&self, tag: u16, give_up: u64) -> Result<Vec<u8>> {
        let me = self.machine.current_thread();
        loop {
            self.collect();
            let mut state = self.state.lock();
            if let Some(bytes) = state.take_answer(tag) {
                let blocked = core::mem::take(&mut state.blocked);
                drop(state);
                blocked.iter().for_each(|thread| thread.unpark());
                return Ok(bytes);
            }
            drop(state);
            if me.is_to_end() {
                self.forget(&mut self.state.lock(), tag);
                return Err(interrupted());
            }
            if !self.channel.is_alive() || self.machine.monotonic_ns() >= give_up {
                return Err(self.abandon(Some(tag)));
            }
            me.park(Some(give_up));
        }
    }

    /// Gives up on the server, and on the request.
    fn abandon(&self, tag: Option<u16>) -> Error {
        let mut state = self.state.lock();
        state.is_silent = true;
        if let Some(tag) = tag {
            self.forget(&mut state, tag);
        }
        dead()
    }

    /// Lets nobody wait for the answer of this tag any more, and asks the server to forget the
    /// request, which it may have done, or still do. The tag is free when it has answered.
    fn forget(&self, state: &mut State, tag: u16) {
        state.exchanges[usize::from(tag)] = Exchange::Abandoned;
        let request = Request::new(Kind::Flush).u16(tag);
        self.send_unattended(state, request, Exchange::Abandoned);
    }

    /// Hands on the answers that have arrived: called by whoever waits for one, and when the
    /// machine has news of its channels.
    pub(super) fn collect(&self) {
        while let Some(Answer { token, bytes }) = self.channel.receive() {
            let woken = self.state.lock().deliver(token, bytes);
            woken.iter().for_each(|thread| thread.unpark());
        }
        let mut state = self.state.lock();
        while let Some(fid) = state.unclunked.pop() {
            if !self.send_clunk(&mut state, fid) {
                break;
            }
        }
    }

    /// Lets everybody who waits look again: the channel may have died.
    pub(super) fn wake(&self) {
        self.collect();
        if !self.channel.is_alive() {
            let waiting: Vec<_> = self.state.lock().waiting().collect();
            waiting.iter().for_each(|thread| thread.unpark());
        }
    }

    /// A number for a new fid.
    pub(super) fn new_fid(&self) -> u32 {
        let mut state = self.state.lock();
        state.free_fids.pop().unwrap_or_else(|| {
            state.fids += 1;
            state.fids - 1
        })
    }

    /// Takes back the number of a fid that the server does not know.
    pub(super) fn forget_fid(&self, fid: u32) {
        self.state.lock().free_fids.push(fid);
    }

    /// Gives a fid back. Does not wait, and may be called with locks held.
    pub(super) fn clunk(&self, fid: u32) {
        let sent = self.send_clunk(&mut self.state.lock(), fid);
        if !sent {
            // Answers that nobody has looked at may be in the way.
            self.collect();
        }
    }

    /// Whether it could be sent; otherwise it will be later.
    fn send_clunk(&self, state: &mut State, fid: u32) -> bool {
        let request = Request::new(Kind::Clunk).u32(fid);
        let sent = self.send_unattended(state, request, Exchange::Clunk(fid));
        if !sent {
            state.unclunked.push(fid);
        }
        sent
    }

    /// Sends a request for whose answer nobody waits, if there is room.
    fn send_unattended(&self, state: &mut State, request: Request, exchange: Exchange) -> bool {
        let Some(tag) = state.free_tag() else { return false };
        let Ok(request) = request.into_bytes(tag) else { return false };
        let reply = alloc::vec![0; HEADER_LEN + 4];
        let sent = self.channel.send(Message { token: tag, request, reply }).is_ok();
        if sent {
            state.exchanges[usize::from(tag)] = exchange;
        }
        sent
    }
}

impl State {
    fn free_tag(&self) -> Option<u16> {
        let tag = self.exchanges.iter().position(|slot| matches!(slot, Exchange::Free))?;
        u16::try_from(tag).ok()
    }

    fn waiting(&self) -> impl Iterator<Item = Arc<dyn Thread>> {
        let waiting = self.exchanges.iter().filter_map(|exchange| match exchange {
            Exchange::Waiting(thread) => Some(thread.clone()),
            _ => None,
        });
        waiting.chain(self.blocked.iter().cloned())
    }

    fn take_answer(&mut self, tag: u16) -> Option<Vec<u8>> {
        let exchange = &mut self.exchanges[usize::from(tag)];
        match core::mem::take(exchange) {
            Exchange::Answered(bytes) => Some(bytes),
            other => {
                *exchange = other;
                None
            }
        }
    }

    /// Puts an answer where it belongs; returns who is to look.
    fn deliver(&mut self, tag: u16, bytes: Vec<u8>) -> Vec<Arc<dyn Thread>> {
        self.is_silent = false;
        let Some(exchange) = self.exchanges.get_mut(usize::from(tag)) else {
            return Vec::new();
        };
        match core::mem::take(exchange) {
            Exchange::Waiting(thread) => {
                *exchange = Exchange::Answered(bytes);
                return alloc::vec![thread];
            }
            answered @ Exchange::Answered(_) => {
                *exchange = answered;
                return Vec::new();
            }
            Exchange::Clunk(fid) => self.free_fids.push(fid),
            Exchange::Free | Exchange::Abandoned => {}
        }
        core::mem::take(&mut self.blocked)
    }
}

fn interrupted() -> Error {
    Errno::EINTR.because("the thread is to end")
}

fn dead() -> Error {
    Errno::EIO.because("the server of the directory does not answer")
}

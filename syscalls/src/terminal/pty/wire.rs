//! What is between the two sides of a pseudoterminal.

use alloc::collections::VecDeque;

use abi::terminal::packet;
use spin::Mutex;

use crate::fs::PollEvents;
use crate::wait::WaitQueue;

/// How many bytes each direction holds.
const CAPACITY: usize = 16 * 1024;

const READABLE: PollEvents = PollEvents::IN.union(PollEvents::RDNORM);
const WRITABLE: PollEvents = PollEvents::OUT.union(PollEvents::WRNORM);

/// Bytes on their way between master and slave.
#[derive(Default)]
pub(super) struct Wire {
    state: Mutex<State>,
    /// Woken when what the master's side sees has changed.
    changed: WaitQueue,
}

#[derive(Default)]
struct State {
    /// What the master wrote: what the user typed.
    typed: VecDeque<u8>,
    /// What the slave wrote: what the user sees.
    shown: VecDeque<u8>,
    /// How many open files the slave has.
    slaves: usize,
    /// Whether the slave was open and is not any more.
    has_slave_closed: bool,
    /// `TIOCPKT`.
    is_packet: bool,
    /// What has happened, for packet mode.
    events: u8,
}

/// What a master that reads finds.
pub(super) enum Found {
    /// So many bytes.
    Bytes(usize),
    /// In packet mode: what has happened.
    Events(u8),
    /// Nobody has the slave open.
    Closed,
    /// Nothing.
    Nothing,
}

impl Wire {
    /// Takes what the user typed.
    pub(super) fn take_typed(&self, to: &mut [u8]) -> usize {
        let mut state = self.state.lock();
        let taken = take(&mut state.typed, to);
        drop(state);
        if taken > 0 {
            self.changed.wake(WRITABLE);
        }
        taken
    }

    /// Shows bytes to the user; returns how many there was room for.
    pub(super) fn show(&self, bytes: &[u8]) -> usize {
        let mut state = self.state.lock();
        let len = bytes.len().min(CAPACITY - state.shown.len());
        state.shown.extend(&bytes[..len]);
        drop(state);
        if len > 0 {
            self.changed.wake(READABLE);
        }
        len
    }

    /// Types bytes; returns how many there was room for.
    pub(super) fn type_bytes(&self, bytes: &[u8]) -> usize {
        let mut state = self.state.lock();
        let len = bytes.len().min(CAPACITY - state.typed.len());
        state.typed.extend(&bytes[..len]);
        len
    }

    /// What a master that reads finds.
    pub(super) fn take_shown(&self, to: &mut [u8]) -> Found {
        let mut state = self.state.lock();
        if state.is_packet && state.events != 0 {
            return Found::Events(core::mem::take(&mut state.events));
        }
        match take(&mut state.shown, to) {
            0 if state.has_slave_closed => Found::Closed,
            0 => Found::Nothing,
            taken => Found::Bytes(taken),
        }
    }

    /// Gives back the last bytes of [`Wire::take_shown`].
    pub(super) fn give_back(&self, bytes: &[u8]) {
        let mut state = self.state.lock();
        bytes.iter().rev().for_each(|&byte| state.shown.push_front(byte));
    }

    /// How many bytes the master can read.
    pub(super) fn shown_len(&self) -> usize {
        self.state.lock().shown.len()
    }

    /// Forgets what the slave wrote, or what the master wrote.
    pub(super) fn forget(&self, shown: bool, typed: bool) {
        let mut state = self.state.lock();
        if shown {
            state.shown.clear();
        }
        if typed {
            state.typed.clear();
        }
        drop(state);
        self.changed.wake(WRITABLE);
    }

    /// Whether reads of the master have a byte before what they give: `TIOCPKT`.
    pub(super) fn is_packet(&self) -> bool {
        self.state.lock().is_packet
    }

    /// Sets [`Wire::is_packet`].
    pub(super) fn set_packet(&self, is_packet: bool) {
        let mut state = self.state.lock();
        if is_packet != state.is_packet {
            state.events = 0;
        }
        state.is_packet = is_packet;
    }

    /// Something has happened that packet mode tells of.
    pub(super) fn tell(&self, event: u8) {
        const OPPOSITES: [u8; 2] = [packet::STOP | packet::START, packet::NOSTOP | packet::DOSTOP];
        let mut state = self.state.lock();
        if event == packet::FLUSHWRITE {
            state.shown.clear();
        }
        if !state.is_packet {
            return;
        }
        for pair in OPPOSITES {
            if event & pair != 0 {
                state.events &= !pair;
            }
        }
        state.events |= event;
        drop(state);
        self.changed.wake(READABLE | PollEvents::PRI);
    }

    /// The slave has one more open file.
    pub(super) fn slave_opened(&self) {
        let mut state = self.state.lock();
        state.slaves += 1;
        state.has_slave_closed = false;
    }

    /// The slave has one open file less.
    pub(super) fn slave_closed(&self) {
        let mut state = self.state.lock();
        state.slaves -= 1;
        state.has_slave_closed = state.slaves == 0;
        let is_last = state.has_slave_closed;
        drop(state);
        if is_last {
            self.changed.wake_all();
        }
    }

    /// What poll(2) finds of the master.
    pub(super) fn poll(&self) -> PollEvents {
        let state = self.state.lock();
        let mut events = PollEvents::empty();
        if !state.shown.is_empty() {
            events |= READABLE;
        }
        if state.is_packet && state.events != 0 {
            events |= READABLE | PollEvents::PRI;
        }
        if state.typed.len() < CAPACITY {
            events |= WRITABLE;
        }
        if state.has_slave_closed {
            events |= PollEvents::HUP;
        }
        events
    }

    /// Woken when what the master's side sees has changed.
    pub(super) fn changed(&self) -> &WaitQueue {
        &self.changed
    }
}

fn take(from: &mut VecDeque<u8>, to: &mut [u8]) -> usize {
    let len = to.len().min(from.len());
    for (to, byte) in to.iter_mut().zip(from.drain(..len)) {
        *to = byte;
    }
    len
}

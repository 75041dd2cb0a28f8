//! Connections: listen(2), connect(2), accept(2).

use alloc::collections::VecDeque;
use alloc::sync::{Arc, Weak};
use core::sync::atomic::Ordering;

use abi::Errno;
use abi::net::{MessageFlags, family};

use crate::context::Context;
use crate::error::{Because, Error, Result};

use super::{Address, Kind, Phase, READABLE, UnixSocket, credentials};

impl UnixSocket {
    /// listen(2).
    pub(super) fn begin_listening(&self, cx: &Context<'_>, backlog: u32) -> Result<()> {
        if self.kind == Kind::Datagram {
            return Err(super::super::not_supported());
        }
        let backlog = backlog as usize;
        let mut state = self.state.lock();
        if state.name.is_none() {
            return Err(Errno::EINVAL.because("the socket has no address"));
        }
        match &mut state.phase {
            Phase::Connected { .. } => {
                return Err(Errno::EINVAL.because("the socket is connected"));
            }
            Phase::Listening { backlog: old, .. } => *old = backlog,
            phase => *phase = Phase::Listening { pending: VecDeque::new(), backlog },
        }
        state.peer_credentials = credentials(cx);
        drop(state);
        self.wake_blocked();
        Ok(())
    }

    /// accept(2).
    pub(super) fn take_connection(
        &self,
        cx: &Context<'_>,
        flags: MessageFlags,
    ) -> Result<Arc<Self>> {
        if self.kind == Kind::Datagram {
            return Err(super::super::not_supported());
        }
        let not_listening = || Errno::EINVAL.because("the socket does not listen");
        let accepted = self.wait(cx, flags, self.options.receive_timeout(), || {
            let mut state = self.state.lock();
            let has_ended = state.has_receive_ended;
            let Phase::Listening { pending, .. } = &mut state.phase else {
                return Err(not_listening());
            };
            match pending.pop_front() {
                None if has_ended => Err(not_listening()),
                next => Ok(next),
            }
        })?;
        accepted.is_pending.store(false, Ordering::SeqCst);
        self.wake_blocked();
        Ok(accepted)
    }

    /// connect(2) of a socket that has connections.
    pub(super) fn connect_stream(
        &self,
        cx: &Context<'_>,
        address: &[u8],
        flags: MessageFlags,
    ) -> Result<()> {
        let address = Address::decode(address)?;
        let address = address.ok_or_else(|| Errno::EINVAL.because("the address is empty"))?;
        self.bind_if_known(cx)?;
        let found = Arc::downgrade(&self.names.find(cx, &address)?);
        self.wait(cx, flags, self.options.send_timeout(), || self.try_connect(cx, &found))
    }

    /// Connects it with a socket that listens; `None` where too many wait there already.
    fn try_connect(&self, cx: &Context<'_>, to: &Weak<Self>) -> Result<Option<()>> {
        let listener = to.upgrade().ok_or_else(refused)?;
        if listener.kind != self.kind {
            return Err(Errno::EPROTOTYPE.because("a socket of another type"));
        }
        self.check_idle()?;
        if matches!(listener.state.lock().phase, Phase::Listening { .. }) {
            Self::check_reach(cx, &listener)?;
        }
        let shared = (self.names.clone(), self.in_flight.clone());
        let other = Self::with(shared, listener.domain.clone(), self.kind);
        other.is_pending.store(true, Ordering::SeqCst);
        let (name, listeners_credentials) = {
            let state = listener.state.lock();
            (state.name.clone(), state.peer_credentials)
        };
        let own_name = self.state.lock().name.clone();
        {
            let mut state = other.state.lock();
            state.name.clone_from(&name);
            state.phase = Phase::Connected { peer: self.this(), name: own_name };
            state.peer_credentials = credentials(cx);
        }
        let queued = listener.queue_connection(&other, self);
        if queued != Ok(true) {
            // It never was a connection: nobody hears of its end.
            other.state.lock().phase = Phase::Idle;
            return queued.map(|_| None);
        }
        let mut state = self.state.lock();
        state.phase = Phase::Connected { peer: Arc::downgrade(&other), name };
        state.peer_credentials = listeners_credentials;
        drop(state);
        listener.changed.wake(READABLE);
        Ok(Some(()))
    }

    /// Queues a connection to be accepted; false, and `client` is told later, where too many
    /// wait.
    fn queue_connection(&self, connection: &Arc<Self>, client: &Self) -> Result<bool> {
        let mut state = self.state.lock();
        let has_ended = state.has_receive_ended;
        match &mut state.phase {
            Phase::Listening { pending, backlog } if !has_ended => {
                if pending.len() <= *backlog {
                    pending.push_back(connection.clone());
                    return Ok(true);
                }
                state.queue.blocked.push(client.this());
                Ok(false)
            }
            _ => Err(refused()),
        }
    }

    fn check_idle(&self) -> Result<()> {
        match self.state.lock().phase {
            Phase::Idle => Ok(()),
            Phase::Connected { .. } => Err(Errno::EISCONN.because("the socket is connected")),
            Phase::Listening { .. } => Err(Errno::EINVAL.because("the socket listens")),
        }
    }

    /// connect(2) of a datagram socket: to whom it sends, and from whom it receives.
    pub(super) fn connect_datagram(&self, cx: &Context<'_>, address: &[u8]) -> Result<()> {
        if address.get(..2) == Some(&family::UNSPEC.to_ne_bytes()) {
            let old = core::mem::replace(&mut self.state.lock().phase, Phase::Idle);
            drop(old);
            return Ok(());
        }
        let address = Address::decode(address)?;
        let address = address.ok_or_else(|| Errno::EINVAL.because("the address is empty"))?;
        self.bind_if_known(cx)?;
        let peer = self.names.find(cx, &address)?;
        self.check_may_send(cx, &peer)?;
        let name = peer.state.lock().name.clone();
        let phase = Phase::Connected { peer: Arc::downgrade(&peer), name };
        let old = core::mem::replace(&mut self.state.lock().phase, phase);
        drop(old);
        Ok(())
    }
}

fn refused() -> Error {
    Errno::ECONNREFUSED.because("nobody listens there")
}

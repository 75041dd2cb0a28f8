//! The stack as sockets use it.

use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};
use core::sync::atomic::{AtomicBool, Ordering};

use abi::Errno;
use smoltcp::socket::tcp;
use spin::{Mutex, MutexGuard, Once};

use crate::context::Context;
use crate::error::{Because, Result};
use crate::fs::PollEvents;
use crate::machine::{Link, Machine};
use crate::time::{Base, Expire, TimerId, Timers};
use crate::wait::Interruption;

use super::bindings::{BindingId, Transport, Wish};
use super::configure::Addressing;
use super::datagrams::{Endpoint, Kind, Message, Route};
use super::flow::{Readiness, Wants};
use super::interface::Interface;
use super::listener::Listener;
use super::state::State;

/// After how many frames others may run.
const TURN: usize = 64;

/// The stack.
pub(crate) struct Stack {
    machine: Arc<dyn Machine>,
    timers: Arc<Timers>,
    this: Weak<Self>,
    addressing: Once<Addressing>,
    /// `None` before it is first used: a program without sockets pays nothing.
    state: Mutex<Option<State>>,
    /// When it is called, and what asks for that.
    timer: Mutex<Option<(u64, TimerId)>>,
    /// Who waits for an address.
    addressed: Arc<Readiness>,
    /// Nobody waits for one any more.
    has_waited: AtomicBool,
}

/// What a socket learns of a connection.
#[derive(Clone)]
pub(crate) struct Connection {
    /// Its number.
    pub(crate) id: u64,
    /// This end.
    pub(crate) local: SocketAddr,
    /// The other end.
    pub(crate) remote: SocketAddr,
    /// Who waits for it.
    pub(crate) readiness: Arc<Readiness>,
}

/// How far a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// It is asked for.
    Connecting,
    /// It is there.
    Open,
    /// It was not, or is not any more.
    Closed,
}

impl Stack {
    /// The stack of a machine.
    pub(crate) fn new(machine: Arc<dyn Machine>, timers: Arc<Timers>) -> Arc<Self> {
        Arc::new_cyclic(|this| Self {
            machine,
            timers,
            this: this.clone(),
            addressing: Once::new(),
            state: Mutex::new(None),
            timer: Mutex::new(None),
            addressed: Arc::default(),
            has_waited: AtomicBool::new(false),
        })
    }

    /// Says, once and before the first use, how interfaces get their addresses; otherwise they
    /// ask for them.
    pub(crate) fn set_addressing(&self, addressing: Addressing) {
        self.addressing.call_once(|| addressing);
    }

    /// Does something with the stack, and then what comes of it.
    pub(super) fn with<R>(&self, act: impl FnOnce(&mut State) -> R) -> R {
        let mut slot = self.state.lock();
        let result = act(self.enter(&mut slot));
        self.leave(slot);
        result
    }

    /// Looks at what there is: nothing comes of it.
    pub(super) fn look<R>(&self, at: impl FnOnce(&mut State) -> R) -> R {
        let mut slot = self.state.lock();
        match slot.as_mut() {
            Some(state) => at(state),
            None => at(self.enter(&mut slot)),
        }
    }

    /// The stack, at the time it is.
    #[inline(never)]
    fn enter<'a>(&self, slot: &'a mut Option<State>) -> &'a mut State {
        let state = slot.get_or_insert_with(|| self.begin());
        state.now_ns = self.machine.monotonic_ns();
        state
    }

    /// Does what comes of what was done.
    #[inline(never)]
    fn leave(&self, mut slot: MutexGuard<'_, Option<State>>) {
        let Some(state) = slot.as_mut() else { return };
        let is_settled = state.settle();
        let woken = core::mem::take(&mut state.woken);
        let deadline_ns = if is_settled { state.deadline_ns() } else { Some(state.now_ns) };
        drop(slot);
        self.plan(deadline_ns);
        for (readiness, news) in woken {
            readiness.queue.wake(news);
        }
    }

    /// The interfaces of the machine, at the first use.
    fn begin(&self) -> State {
        let now_ns = self.machine.monotonic_ns();
        let mut random = [0; 8];
        self.machine.fill_random(&mut random);
        let random = u64::from_ne_bytes(random);
        let mut interfaces = Vec::from([Interface::loopback(now_ns, random)]);
        for link in self.machine.links() {
            match link.open() {
                Ok(()) => interfaces.push(Interface::ethernet(link, now_ns, random)),
                Err(_) => log::error!("there is no memory for a network device"),
            }
        }
        let addressing = self.addressing.call_once(Addressing::default);
        let count = interfaces.len();
        let mut state = State::new(now_ns, interfaces, random);
        state.addressed = self.addressed.clone();
        (1..count).for_each(|number| state.configure(number, addressing));
        state
    }

    /// Asks to be called at `deadline_ns`, if not earlier. A call that comes too early finds
    /// that out; to take it back would cost a timer of the machine with each segment, whose
    /// acknowledgement is expected a little later than that of the one before.
    fn plan(&self, deadline_ns: Option<u64>) {
        let Some(at) = deadline_ns else { return };
        let mut timer = self.timer.lock();
        if timer.is_some_and(|(armed, _)| armed <= at) {
            return;
        }
        if let Some((_, before)) = timer.take() {
            self.timers.disarm(&*self.machine, before);
        }
        let this: Weak<dyn Expire> = self.this.clone();
        *timer = Some((at, self.timers.arm(&*self.machine, Base::Monotonic, at, this)));
    }

    /// A device has frames, or room for some.
    pub(crate) fn frames(&self) {
        if self.state.lock().is_none() {
            return;
        }
        let links: Vec<(usize, Arc<dyn Link>)> = self.with(|state| {
            let all = state.interfaces.iter().enumerate();
            all.filter_map(|(at, one)| Some((at, one.link()?.clone()))).collect()
        });
        for (number, link) in links {
            let mut turn = 0;
            while link.receive(&mut |frame| self.with(|state| state.arrive(number, frame))) {
                turn += 1;
                if turn % TURN == 0 {
                    self.machine.reschedule();
                }
            }
        }
        self.with(State::retry);
    }

    /// Waits until the network has given an address, where it is asked for one.
    ///
    /// # Errors
    /// `ERESTARTSYS` when a signal is to be delivered.
    pub(crate) fn await_address(&self, cx: &Context<'_>) -> Result<()> {
        /// How long the network may take, in nanoseconds.
        const PATIENCE_NS: u64 = 10_000_000_000;
        if self.has_waited.load(Ordering::Relaxed) {
            return Ok(());
        }
        let ready = || Ok((!self.with(|state| state.awaits_lease())).then_some(()));
        let deadline_ns = Some(self.machine.monotonic_ns() + PATIENCE_NS);
        let queues = [&self.addressed.queue];
        let given =
            cx.with_waiting(|| cx.wait_until(&queues, deadline_ns, Interruption::Restart, ready))?;
        if given.is_none() && !self.has_waited.load(Ordering::Relaxed) {
            log::warn!("the network gives no address: only the loopback can be reached");
        }
        self.has_waited.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Who knows names.
    pub(crate) fn name_servers(&self) -> Vec<IpAddr> {
        self.with(|state| state.name_servers.clone())
    }

    /// Takes an address.
    ///
    /// # Errors
    /// `EADDRINUSE`; `EADDRNOTAVAIL` when it is not this machine's.
    pub(crate) fn bind(&self, transport: Transport, wish: Wish) -> Result<(SocketAddr, BindingId)> {
        self.with(|state| state.bind(transport, wish))
    }

    /// Gives an address back that no connection, listener or endpoint has taken over.
    pub(crate) fn release(&self, binding: BindingId) {
        self.with(|state| state.bindings.release(binding));
    }

    /// The address from which packets to `remote` come.
    ///
    /// # Errors
    /// `ENETUNREACH`.
    pub(crate) fn source_for(&self, remote: IpAddr) -> Result<IpAddr> {
        self.with(|state| state.route(remote)).map(|(_, source)| source)
    }

    /// Asks for a connection, for which `readiness` tells what becomes true.
    ///
    /// # Errors
    /// `EADDRNOTAVAIL`, `EADDRINUSE`, `ENETUNREACH`, `ENOBUFS`.
    pub(crate) fn connect(
        &self,
        wish: Wish,
        bound: Option<BindingId>,
        remote: SocketAddr,
        wants: &Wants,
        readiness: &Arc<Readiness>,
    ) -> Result<Connection> {
        self.with(|state| {
            let id = state.connect((wish, bound), remote, wants, readiness)?;
            connection(state, id)
        })
    }

    /// Waits for connections at an address; the number of the listener. `readiness` tells of
    /// them.
    ///
    /// # Errors
    /// `EADDRINUSE`.
    pub(crate) fn listen(
        &self,
        wish: Wish,
        binding: BindingId,
        backlog: usize,
        wants: Wants,
        readiness: Arc<Readiness>,
    ) -> Result<u64> {
        let listener = Listener {
            wish,
            binding,
            backlog,
            half_open: Default::default(),
            ready: Default::default(),
            held: Default::default(),
            readiness,
            wants,
        };
        self.with(|state| state.listen(listener))
    }

    /// Changes how many connections may wait, and what they begin with.
    pub(crate) fn set_listener(&self, id: u64, backlog: Option<usize>, wants: &Wants) {
        self.with(|state| {
            if let Some(listener) = state.listeners.get_mut(id) {
                listener.backlog = backlog.unwrap_or(listener.backlog);
                listener.wants = *wants;
            }
        });
    }

    /// Whether a listener has connections.
    pub(crate) fn has_connections(&self, listener: u64) -> bool {
        self.look(|state| state.listeners.get(listener).is_some_and(|one| !one.ready.is_empty()))
    }

    /// The next connection of a listener, if there is one.
    pub(crate) fn accept(&self, listener: u64) -> Option<Connection> {
        self.with(|state| {
            let id = state.accept(listener)?;
            connection(state, id).ok()
        })
    }

    /// Ends a listener.
    pub(crate) fn close_listener(&self, id: u64) {
        self.with(|state| state.close_listener(id));
    }

    /// How far a connection is.
    pub(crate) fn progress(&self, id: u64) -> Progress {
        self.look(|state| match state.flow(id).map(|flow| flow.state()) {
            Ok(tcp::State::SynSent | tcp::State::SynReceived) => Progress::Connecting,
            Ok(tcp::State::Closed | tcp::State::Listen) | Err(_) => Progress::Closed,
            Ok(_) => Progress::Open,
        })
    }

    /// What poll(2) finds of a connection.
    pub(crate) fn events(&self, id: u64) -> PollEvents {
        self.look(|state| state.flow(id).map_or(PollEvents::HUP, |flow| flow.events()))
    }

    /// Takes the pending error of a connection: `SO_ERROR`.
    pub(crate) fn take_error(&self, id: u64) -> Option<Errno> {
        self.look(|state| state.flow(id).ok()?.error.take())
    }

    /// How many bytes a connection would take now; `None` where it takes none any more.
    ///
    /// # Errors
    /// The pending error; `ENOTCONN`.
    pub(crate) fn room(&self, id: u64) -> Result<Option<usize>> {
        self.look(|state| {
            let flow = state.flow(id)?;
            if let Some(error) = flow.error.take() {
                return Err(error.because("the connection failed"));
            }
            let is_early = matches!(flow.state(), tcp::State::SynSent | tcp::State::SynReceived);
            Ok((is_early || flow.may_send()).then(|| flow.room()))
        })
    }

    /// Gives bytes to a connection; how many it took. Only one sender at a time does.
    ///
    /// # Errors
    /// `ENOTCONN`, `EPIPE`.
    pub(crate) fn send(&self, id: u64, bytes: &[u8]) -> Result<usize> {
        self.with(|state| {
            let taken = state.flow(id)?.send(bytes);
            state.pursue(id, false);
            taken
        })
    }

    /// As [`Stack::send`], for bytes that more follow: they may wait for those.
    ///
    /// # Errors
    /// As there.
    pub(crate) fn send_before_more(&self, id: u64, bytes: &[u8]) -> Result<usize> {
        self.with(|state| {
            let taken = state.flow(id)?.send(bytes);
            state.hold_back(id);
            taken
        })
    }

    /// Whether the end of a connection was sent and may not have arrived.
    pub(crate) fn awaits_end(&self, id: u64) -> bool {
        self.look(|state| state.flow(id).is_ok_and(|flow| flow.awaits_end()))
    }

    /// Copies bytes that have arrived, at least one where there is any, and leaves them there.
    /// `None` while there may still come some; 0 at the end.
    ///
    /// # Errors
    /// The pending error; `ENOTCONN`.
    pub(crate) fn peek(&self, id: u64, to: &mut [u8]) -> Result<Option<usize>> {
        self.look(|state| {
            let flow = state.flow(id)?;
            if flow.received() == 0 {
                if let Some(error) = flow.error.take() {
                    return Err(error.because("the connection failed"));
                }
                return Ok(flow.is_at_end().then_some(0));
            }
            Ok(Some(flow.peek(to)))
        })
    }

    /// Takes away bytes that have arrived and were peeked at.
    pub(crate) fn consume(&self, id: u64, len: usize) {
        self.with(|state| {
            if state.flow(id).is_ok_and(|flow| flow.consume(len)) {
                state.pursue(id, false);
            }
        });
    }

    /// How many bytes have arrived and were not taken: `FIONREAD`; and how many that were
    /// given have not been acknowledged: `TIOCOUTQ`.
    pub(crate) fn queued(&self, id: u64) -> (usize, usize) {
        self.look(|state| {
            state.flow(id).map_or((0, 0), |flow| (flow.received(), flow.socket().send_queue()))
        })
    }

    /// Ends one or both directions: shutdown(2).
    ///
    /// # Errors
    /// `ENOTCONN`.
    pub(crate) fn shut_down(&self, id: u64, input: bool, output: bool) -> Result<()> {
        self.with(|state| {
            let flow = state.flow(id)?;
            if matches!(flow.state(), tcp::State::Closed | tcp::State::SynSent) {
                return Err(Errno::ENOTCONN.because("there is no connection"));
            }
            flow.ignores_input |= input;
            if output {
                flow.socket().close();
            }
            state.pursue(id, false);
            Ok(())
        })
    }

    /// Parts a connection from its socket: close(2). With `is_hard` it is reset.
    pub(crate) fn close(&self, id: u64, is_hard: bool) {
        self.with(|state| state.part(id, is_hard));
    }

    /// Sets what a socket wants of its connection, but for the lengths of buffers.
    pub(crate) fn set_wants(&self, id: u64, wants: &Wants) {
        self.with(|state| {
            if let Ok(flow) = state.flow(id) {
                flow.set_wants(wants);
                state.pursue(id, false);
            }
        });
    }

    /// Makes an endpoint for messages; its number, and who waits for it.
    pub(crate) fn open_endpoint(
        &self,
        kind: Kind,
        is_v6: bool,
        limit: usize,
    ) -> (u64, Arc<Readiness>) {
        self.with(|state| {
            let endpoint = Endpoint::new(kind, is_v6, limit);
            let (id, readiness) = (state.next_serial(), endpoint.readiness.clone());
            state.endpoints.insert(id, endpoint);
            (id, readiness)
        })
    }

    /// Binds an endpoint: to a port of UDP, an identifier of ICMP echo, or just an address. It
    /// takes the place of an earlier binding.
    ///
    /// # Errors
    /// `EADDRINUSE`, `EADDRNOTAVAIL`.
    pub(crate) fn bind_endpoint(&self, id: u64, wish: Wish) -> Result<SocketAddr> {
        self.with(|state| {
            let endpoint = state.endpoints.get(id)?;
            endpoint.only_v6 = wish.only_v6;
            let (address, binding) = match endpoint.kind {
                Kind::Udp => state.bind(Transport::Udp, wish).map(|(at, id)| (at, Some(id)))?,
                Kind::Echo => state.bind(Transport::Echo, wish).map(|(at, id)| (at, Some(id)))?,
                Kind::Raw(_) => (state.own(wish.address)?, None),
            };
            if let Some(before) = state.endpoints.bind(id, address, binding) {
                state.bindings.release(before);
            }
            Ok(address)
        })
    }

    fn with_endpoint<R>(&self, id: u64, act: impl FnOnce(&mut Endpoint) -> R) -> Result<R> {
        self.with(|state| state.endpoints.get(id).map(act))
    }

    /// Says the only one with whom an endpoint talks, if there is one.
    ///
    /// # Errors
    /// `EBADF`.
    pub(crate) fn set_remote(&self, id: u64, remote: Option<SocketAddr>) -> Result<()> {
        self.with_endpoint(id, |endpoint| endpoint.remote = remote)
    }

    /// Says how many bytes may wait at an endpoint.
    ///
    /// # Errors
    /// `EBADF`.
    pub(crate) fn set_limit(&self, id: u64, limit: usize) -> Result<()> {
        self.with_endpoint(id, |endpoint| endpoint.limit = limit)
    }

    /// Says which interface is the only one that an endpoint uses.
    ///
    /// # Errors
    /// `EBADF`.
    pub(crate) fn set_device(&self, id: u64, device: Option<u32>) -> Result<()> {
        self.with_endpoint(id, |endpoint| endpoint.device = device)
    }

    /// Says over how many routers the messages of an endpoint may go.
    ///
    /// # Errors
    /// `EBADF`.
    pub(crate) fn set_hop_limit(&self, id: u64, hops: Option<u8>) -> Result<()> {
        self.with_endpoint(id, |endpoint| endpoint.hop_limit = hops)
    }

    /// Says whether an endpoint that talks to nobody in particular hears of errors:
    /// `IP_RECVERR`.
    ///
    /// # Errors
    /// `EBADF`.
    pub(crate) fn set_hears_errors(&self, id: u64, hears: bool) -> Result<()> {
        self.with_endpoint(id, |endpoint| endpoint.hears_errors = hears)
    }

    /// What poll(2) finds of an endpoint.
    pub(crate) fn endpoint_events(&self, id: u64) -> PollEvents {
        self.look(|state| state.endpoints.get(id).map_or(PollEvents::NVAL, |one| one.events()))
    }

    /// Takes the pending error of an endpoint: `SO_ERROR`.
    pub(crate) fn take_endpoint_error(&self, id: u64) -> Option<Errno> {
        self.with_endpoint(id, |endpoint| endpoint.error.take()).ok()?
    }

    /// The length of an endpoint's next message: `FIONREAD`.
    ///
    /// # Errors
    /// `EBADF`.
    pub(crate) fn next_len(&self, id: u64) -> Result<usize> {
        self.with_endpoint(id, |one| one.queue.front().map_or(0, |message| message.bytes.len()))
    }

    /// Takes the next message of an endpoint, or a copy of it; `None` while there is none.
    ///
    /// # Errors
    /// The pending error.
    pub(crate) fn receive(&self, id: u64, leave: bool) -> Result<Option<Message>> {
        self.with(|state| {
            let endpoint = state.endpoints.get(id)?;
            if let Some(error) = endpoint.error.take() {
                return Err(error.because("a message did not arrive"));
            }
            Ok(if leave { endpoint.queue.front().cloned() } else { endpoint.take() })
        })
    }

    /// Sends a message of an endpoint.
    ///
    /// # Errors
    /// Those of [`State::send_message`]; the pending error.
    pub(crate) fn send_message(
        &self,
        id: u64,
        remote: SocketAddr,
        way: &Route,
        bytes: &[u8],
    ) -> Result<()> {
        self.with(|state| {
            if let Some(error) = state.endpoints.get(id)?.error.take() {
                return Err(error.because("a message did not arrive"));
            }
            state.send_message(id, remote, way, bytes)
        })
    }

    /// Ends an endpoint.
    pub(crate) fn close_endpoint(&self, id: u64) {
        self.with(|state| {
            if let Some(binding) = state.endpoints.remove(id).and_then(|one| one.binding) {
                state.bindings.release(binding);
            }
        });
    }
}

#[cfg(test)]
impl Stack {
    pub(super) fn with_state<R>(&self, act: impl FnOnce(&mut State) -> R) -> R {
        self.with(act)
    }
}

fn connection(state: &mut State, id: u64) -> Result<Connection> {
    let flow = state.flow(id)?;
    let (local, remote) = (flow.tuple.local, flow.tuple.remote);
    Ok(Connection { id, local, remote, readiness: flow.readiness.clone() })
}

impl Expire for Stack {
    fn expire(&self, _: u64, _: u64) {
        *self.timer.lock() = None;
        self.with(State::run_due);
    }
}

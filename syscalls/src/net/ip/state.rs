//! All that the stack knows, under one lock: frames that arrive find their sockets here.

use alloc::collections::BTreeSet;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};

use abi::Errno;
use hashbrown::HashMap;
use smoltcp::iface::SocketSet;
use smoltcp::socket::tcp;
use smoltcp::wire::{IpAddress, IpCidr, IpProtocol};

use crate::error::{Because, Result};
use crate::fs::PollEvents;

use super::bindings::{BindingId, Bindings, Transport, Wish};
use super::configure::Lease;
use super::datagrams::Endpoints;
use super::flow::{Flow, Owner, Readiness, Wants};
use super::frame::{self, Purpose, Tuple};
use super::groups::Groups;
use super::guard;
use super::interface::{Interface, LOOPBACK};
use super::listener::{HalfOpen, Listener, Listeners};
use super::packets::Packets;
use super::time_wait::{self, TimeWait};

/// How long a connection that nobody owns any more may take to end, in nanoseconds.
const ORPHAN_NS: u64 = 60_000_000_000;

/// How long output waits that more of it follows, in nanoseconds: Linux's.
const HELD_BACK_NS: u64 = 200_000_000;

/// The least time between two looks at a connection that has nothing new, in nanoseconds.
const PAUSE_NS: u64 = 1_000_000;

/// Packets of the loopback that are taken in at once, so that two who answer each other for
/// ever do not stop everything.
const BURST: usize = 4096;

/// All that the stack knows.
pub(super) struct State {
    /// The time, monotonic.
    pub(super) now_ns: u64,
    pub(super) interfaces: Vec<Interface>,
    pub(super) bindings: Bindings,
    pub(super) endpoints: Endpoints,
    pub(super) groups: Groups,
    pub(super) packets: Packets,
    pub(super) leases: Vec<Lease>,
    /// Who knows names: /etc/resolv.conf.
    pub(super) name_servers: Vec<IpAddr>,
    flows: HashMap<u64, Flow>,
    by_tuple: HashMap<Tuple, u64>,
    pub(super) listeners: Listeners,
    time_wait: TimeWait,
    /// When which connections have to be looked at.
    deadlines: BTreeSet<(u64, u64)>,
    /// Connections whose frames could not leave.
    stalled: Vec<u64>,
    /// Listeners that may have room for requests that wait for it.
    roomy: Vec<u64>,
    /// Who waits for an address.
    pub(super) addressed: Arc<Readiness>,
    /// Who is to be woken, once the lock is free.
    pub(super) woken: Vec<(Arc<Readiness>, PollEvents)>,
    /// For frames that are no socket's business.
    nobody: SocketSet<'static>,
    serial: u64,
}

impl State {
    /// That of a machine with these interfaces, of which the first is the loopback.
    pub(super) fn new(now_ns: u64, interfaces: Vec<Interface>, random: u64) -> Self {
        Self {
            now_ns,
            interfaces,
            bindings: Bindings::new(random),
            endpoints: Endpoints::default(),
            groups: Groups::default(),
            packets: Packets::new(),
            leases: Vec::new(),
            name_servers: Vec::new(),
            flows: HashMap::new(),
            by_tuple: HashMap::new(),
            listeners: Listeners::default(),
            time_wait: TimeWait::default(),
            deadlines: BTreeSet::new(),
            stalled: Vec::new(),
            roomy: Vec::new(),
            addressed: Arc::default(),
            woken: Vec::new(),
            nobody: SocketSet::new(Vec::new()),
            serial: 0,
        }
    }

    pub(super) fn next_serial(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }

    /// The interface and the address from which packets go to `remote`.
    ///
    /// # Errors
    /// `ENETUNREACH`.
    pub(super) fn route(&mut self, remote: IpAddr) -> Result<(usize, IpAddr)> {
        if self.is_local(remote) {
            let source = if remote.is_unspecified() { loopback_of(remote) } else { remote };
            return Ok((LOOPBACK, source));
        }
        let found = self.interfaces.iter().enumerate().skip(LOOPBACK + 1);
        let mut found = found.filter_map(|(at, one)| Some((at, one.source_for(remote)?)));
        found.next().ok_or_else(|| Errno::ENETUNREACH.because("no way leads there"))
    }

    /// Whether an address is this machine's.
    pub(super) fn is_local(&self, address: IpAddr) -> bool {
        address.is_loopback()
            || address.is_unspecified()
            || self.interfaces.iter().any(|interface| interface.has(address))
    }

    /// The address, where a socket can be bound to it.
    ///
    /// # Errors
    /// `EADDRNOTAVAIL` when it is not this machine's.
    pub(super) fn own(&self, address: SocketAddr) -> Result<SocketAddr> {
        if !self.is_local(address.ip()) && !address.ip().is_multicast() {
            return Err(Errno::EADDRNOTAVAIL.because("the address is not this machine's"));
        }
        Ok(address)
    }

    /// Takes an address.
    ///
    /// # Errors
    /// `EADDRINUSE`, `EADDRNOTAVAIL`.
    pub(super) fn bind(
        &mut self,
        transport: Transport,
        wish: Wish,
    ) -> Result<(SocketAddr, BindingId)> {
        self.own(wish.address)?;
        self.bindings.bind(transport, wish)
    }

    /// Lets an interface send what it has to say for itself.
    pub(super) fn announce(&mut self, number: usize) {
        if let Some(interface) = self.interfaces.get_mut(number).filter(|one| !one.is_loopback()) {
            interface.egress(self.now_ns, &mut self.nobody);
        }
    }

    /// Makes sure that the loopback takes packets for this address of the machine.
    fn admit(&mut self, address: IpAddr) -> Result<()> {
        let loopback = &mut self.interfaces[LOOPBACK];
        if loopback.has(address) {
            return Ok(());
        }
        let len = if address.is_ipv4() { 32 } else { 128 };
        loopback.add_address(IpCidr::new(IpAddress::from(address), len))
    }

    /// Asks for a connection from what `wish` is bound to; its number.
    ///
    /// # Errors
    /// `EADDRNOTAVAIL`, `EADDRINUSE`, `ENETUNREACH`, `ENOBUFS`.
    #[inline(never)]
    pub(super) fn connect(
        &mut self,
        (wish, bound): (Wish, Option<BindingId>),
        remote: SocketAddr,
        wants: &Wants,
        readiness: &Arc<Readiness>,
    ) -> Result<u64> {
        let mut remote = remote;
        if remote.ip().is_unspecified() {
            remote.set_ip(loopback_of(remote.ip()));
        }
        if is_for_many(remote.ip()) {
            return Err(Errno::ENETUNREACH.because("a connection has one machine at its end"));
        }
        let (number, source) = self.route_by(remote.ip(), wants.device)?;
        let mut local = wish.address;
        if local.ip().is_unspecified() {
            local.set_ip(source);
        }
        if number == LOOPBACK {
            self.admit(remote.ip())?;
            self.admit(local.ip())?;
        }
        let binding = match bound {
            Some(binding) => binding,
            None => {
                let (address, binding) =
                    self.bindings.bind(Transport::Tcp, Wish { address: local, ..wish })?;
                local = address;
                binding
            }
        };
        let added = self.add_connecting(Tuple { local, remote }, number, wants);
        match added {
            Ok(id) => {
                let flow = self.flow(id)?;
                flow.binding = Some(binding);
                flow.readiness = readiness.clone();
                self.pursue(id, false);
                Ok(id)
            }
            Err(error) => {
                if bound.is_none() {
                    self.bindings.release(binding);
                }
                Err(error)
            }
        }
    }

    fn add_connecting(&mut self, tuple: Tuple, number: usize, wants: &Wants) -> Result<u64> {
        if self.by_tuple.contains_key(&tuple) {
            return Err(Errno::EADDRNOTAVAIL.because("there is such a connection"));
        }
        if let Some(binding) = self.time_wait.forget(&tuple) {
            self.bindings.release(binding);
        }
        let interface = &mut self.interfaces[number];
        let flow = Flow::connecting(tuple, (number, interface), wants)?;
        Ok(self.add(flow))
    }

    fn add(&mut self, flow: Flow) -> u64 {
        let id = self.next_serial();
        self.by_tuple.insert(flow.tuple, id);
        self.flows.insert(id, flow);
        id
    }

    /// A connection.
    ///
    /// # Errors
    /// `ENOTCONN` when there is no such one.
    pub(super) fn flow(&mut self, id: u64) -> Result<&mut Flow> {
        self.flows.get_mut(&id).ok_or_else(|| Errno::ENOTCONN.because("there is no connection"))
    }

    /// Sends what a connection has to send, tells of what has become true, and plans the next
    /// look at it.
    #[inline(never)]
    pub(super) fn pursue(&mut self, id: u64, has_expired: bool) {
        let now_ns = self.now_ns;
        let Some(flow) = self.flows.get_mut(&id) else { return };
        let interface = &mut self.interfaces[flow.interface];
        let has_left = flow.transmit(interface, now_ns);
        let news = flow.look(has_expired);
        if !news.is_empty() {
            self.woken.push((flow.readiness.clone(), news));
        }
        match flow.owner {
            Owner::Socket => {}
            Owner::Listener(listener) => self.introduce(id, listener),
            Owner::Nobody => self.bury(id),
        }
        let Some(flow) = self.flows.get_mut(&id) else { return };
        if let Some(before) = flow.deadline_ns.take() {
            self.deadlines.remove(&(before, id));
        }
        if !has_left {
            self.stalled.push(id);
            return;
        }
        let next = flow.plan(&mut self.interfaces[flow.interface], now_ns);
        if let Some(next) = next.map(|next| next.max(now_ns + PAUSE_NS)) {
            flow.deadline_ns = Some(next);
            self.deadlines.insert((next, id));
        }
    }

    /// Lets output of a connection wait for more of it, where it can, but not for ever.
    pub(super) fn hold_back(&mut self, id: u64) {
        let at = self.now_ns.saturating_add(HELD_BACK_NS);
        let Some(flow) = self.flows.get_mut(&id) else { return };
        if !flow.can_wait(self.interfaces[flow.interface].mtu()) {
            return self.pursue(id, false);
        }
        let before = flow.deadline_ns.replace(at.min(flow.deadline_ns.unwrap_or(at)));
        if let Some(before) = before {
            self.deadlines.remove(&(before, id));
        }
        self.deadlines.extend(flow.deadline_ns.map(|at| (at, id)));
    }

    /// Hands a connection that is no longer half open to its listener, or forgets it.
    fn introduce(&mut self, id: u64, owner: u64) {
        let Some(flow) = self.flows.get(&id) else { return };
        let state = flow.state();
        if state == tcp::State::SynReceived {
            return;
        }
        // One that is reset, or whose request smoltcp did not like, listens (again).
        let is_lost = matches!(state, tcp::State::Closed | tcp::State::Listen);
        let Some(listener) = self.listeners.get_mut(owner) else { return };
        if !listener.held.is_empty() {
            self.roomy.push(owner);
        }
        let was_half_open = listener.half_open.iter().position(|known| known.id == id);
        match was_half_open {
            Some(at) if is_lost => {
                listener.half_open.remove(at);
                self.forget(id);
            }
            Some(at) => {
                listener.half_open.remove(at);
                listener.ready.push_back(id);
                let news = PollEvents::IN | PollEvents::RDNORM;
                self.woken.push((listener.readiness.clone(), news));
            }
            // It waits to be accepted, and may end before.
            None => {}
        }
    }

    /// Goes on with the end of a connection that nobody owns.
    fn bury(&mut self, id: u64) {
        let now_ns = self.now_ns;
        let Some(flow) = self.flows.get_mut(&id) else { return };
        let is_late = flow.expires_ns.is_some_and(|expires| expires <= now_ns);
        if is_late || flow.received() > 0 {
            flow.socket().abort();
            flow.transmit(&mut self.interfaces[flow.interface], now_ns);
        }
        match flow.state() {
            tcp::State::Closed => self.forget(id),
            tcp::State::TimeWait => {
                let (tuple, binding) = (flow.tuple, flow.binding.take());
                self.forget(id);
                if let Some(gone) = self.time_wait.add(tuple, binding, now_ns) {
                    self.bindings.release(gone);
                }
            }
            _ => {}
        }
    }

    fn forget(&mut self, id: u64) {
        let Some(flow) = self.flows.remove(&id) else { return };
        if self.by_tuple.get(&flow.tuple) == Some(&id) {
            self.by_tuple.remove(&flow.tuple);
        }
        if let Some(deadline) = flow.deadline_ns {
            self.deadlines.remove(&(deadline, id));
        }
        if let Some(binding) = flow.binding {
            self.bindings.release(binding);
        }
    }

    /// Parts a connection from its socket: close(2). With `is_hard` it is reset, and also
    /// when there is input that nobody has read.
    #[inline(never)]
    pub(super) fn part(&mut self, id: u64, is_hard: bool) {
        let expires_ns = self.now_ns + ORPHAN_NS;
        let Some(flow) = self.flows.get_mut(&id) else { return };
        if is_hard || flow.received() > 0 {
            flow.socket().abort();
        } else {
            flow.socket().close();
        }
        flow.owner = Owner::Nobody;
        flow.expires_ns = Some(expires_ns);
        self.pursue(id, false);
    }

    /// Takes a listener away, and the connections that it did not accept.
    pub(super) fn close_listener(&mut self, id: u64) {
        let Some(listener) = self.listeners.remove(id) else { return };
        self.bindings.release(listener.binding);
        let half_open = listener.half_open.into_iter().map(|one| one.id);
        for flow in half_open.chain(listener.ready) {
            self.part(flow, true);
        }
    }

    /// The next connection of a listener.
    pub(super) fn accept(&mut self, listener: u64) -> Option<u64> {
        let one = self.listeners.get_mut(listener)?;
        let id = one.ready.pop_front()?;
        if !one.held.is_empty() {
            self.roomy.push(listener);
        }
        self.flows.get_mut(&id)?.owner = Owner::Socket;
        Some(id)
    }

    /// Takes in a frame that has arrived at an interface.
    #[inline(never)]
    pub(super) fn arrive(&mut self, interface: usize, bytes: &[u8]) {
        let purpose = match self.interfaces[interface].is_loopback() {
            true => frame::of_packet(bytes),
            false => frame::of_frame(bytes),
        };
        match purpose {
            Purpose::Segment(tuple, asks) => self.arrive_segment(interface, &tuple, asks, bytes),
            Purpose::Datagram(tuple) => {
                // smoltcp takes datagrams of IPv6 for its own groups only.
                if is_group_of_v6(tuple.local.ip()) {
                    self.arrive_for_group(interface, bytes);
                } else if !self.take_lease(interface, &tuple, bytes) {
                    let is_wanted = self.endpoints.wants_datagram(&tuple);
                    self.arrive_packet(interface, bytes, is_wanted);
                }
            }
            Purpose::Packet(IpProtocol::Tcp) => self.reject(interface, bytes),
            Purpose::Packet(_) if frame::packet(bytes).is_some_and(guard::announces_no_network) => {
            }
            Purpose::Packet(_) => {
                self.arrive_packet(interface, bytes, true);
                // It may have been a router's.
                self.interfaces[interface].maintain(self.now_ns);
            }
            Purpose::Other => {
                self.reject(interface, bytes);
                // A neighbour may have told its address.
                self.resume();
            }
        }
    }

    fn arrive_for_group(&mut self, interface: usize, bytes: &[u8]) {
        let packet = match self.interfaces[interface].is_loopback() {
            true => Some(bytes),
            false => frame::packet(bytes),
        };
        if let Some(packet) = packet {
            self.deliver(interface, packet);
        }
    }

    fn arrive_segment(&mut self, interface: usize, tuple: &Tuple, asks: bool, bytes: &[u8]) {
        if let Some(&id) = self.by_tuple.get(tuple) {
            return self.feed(id, interface, bytes);
        }
        if self.time_wait.has(tuple) {
            if !asks {
                return self.answer_late(interface, tuple, bytes);
            }
            if let Some(binding) = self.time_wait.forget(tuple) {
                self.bindings.release(binding);
            }
        }
        let device = interface as u32 + 1;
        match self.listeners.find(tuple, device).filter(|_| asks) {
            Some(listener) => self.await_connection(interface, tuple, listener, bytes),
            None => self.reject(interface, bytes),
        }
    }

    fn answer_late(&mut self, interface: usize, tuple: &Tuple, bytes: &[u8]) {
        let packet = match self.interfaces[interface].is_loopback() {
            true => Some(bytes),
            false => frame::packet(bytes),
        };
        let segment = packet.and_then(frame::parts).and_then(|parts| parts.payload);
        if let Some(answer) = segment.and_then(|segment| time_wait::answer(tuple, segment)) {
            let (from, to) = (tuple.local.ip(), tuple.remote.ip());
            // What is lost is sent again.
            let _ = self.send_packet(interface, (from, to), IpProtocol::Tcp, &answer, None);
        }
    }

    /// Makes a connection of a request for one, if the listener has room for it.
    fn await_connection(&mut self, interface: usize, tuple: &Tuple, owner: u64, bytes: &[u8]) {
        let now_ns = self.now_ns;
        let Some(listener) = self.listeners.get_mut(owner) else { return };
        let (wants, wish) = (listener.wants, listener.wish);
        let Ok(surplus) = listener.make_room(now_ns) else {
            return listener.held.keep(now_ns, interface, *tuple, bytes);
        };
        if let Some(surplus) = surplus {
            self.forget(surplus);
        }
        if interface == LOOPBACK && self.admit(tuple.local.ip()).is_err() {
            return;
        }
        let Ok(mut flow) = Flow::awaited(*tuple, interface, owner, &wants) else { return };
        let address = tuple.local;
        flow.binding = Some(self.bindings.insert(Transport::Tcp, Wish { address, ..wish }));
        let id = self.add(flow);
        if let Some(listener) = self.listeners.get_mut(owner) {
            listener.half_open.push_back(HalfOpen { id, since_ns: self.now_ns });
        }
        self.feed(id, interface, bytes);
    }

    /// Lets requests in that waited for room at a listener.
    fn let_in(&mut self, owner: u64) {
        while let Some(listener) = self.listeners.get_mut(owner).filter(|one| one.has_room())
            && let Some(request) = listener.held.next(self.now_ns)
        {
            // The other end may have asked again meanwhile.
            if !self.by_tuple.contains_key(&request.tuple) {
                self.await_connection(request.interface, &request.tuple, owner, &request.frame);
            }
        }
    }

    fn feed(&mut self, id: u64, interface: usize, bytes: &[u8]) {
        if let Some(flow) = self.flows.get_mut(&id) {
            self.interfaces[interface].ingress(self.now_ns, bytes, flow.set());
            self.pursue(id, false);
        }
    }

    /// Lets smoltcp answer a frame that is no socket's business.
    fn reject(&mut self, interface: usize, bytes: &[u8]) {
        self.interfaces[interface].ingress(self.now_ns, bytes, &mut self.nobody);
    }

    /// Takes in a packet that is no segment; for nobody, unless somebody wants it.
    fn arrive_packet(&mut self, interface: usize, bytes: &[u8], is_wanted: bool) {
        if !is_wanted {
            return self.reject(interface, bytes);
        }
        self.interfaces[interface].ingress(self.now_ns, bytes, self.packets.set());
        while let Some(packet) = self.packets.take() {
            self.deliver(interface, &packet);
        }
    }

    /// An unreachable destination of a connection that is asked for: the reason, for its
    /// socket.
    pub(super) fn fail_connecting(&mut self, tuple: &Tuple, error: Errno) {
        let Some(&id) = self.by_tuple.get(tuple) else { return };
        let Some(flow) = self.flows.get_mut(&id) else { return };
        if flow.state() == tcp::State::SynSent {
            flow.error = Some(error);
            flow.socket().abort();
            self.pursue(id, false);
        }
    }

    /// Looks again at what waited for a neighbour.
    fn resume(&mut self) {
        let waiting: Vec<u64> = self.deadlines.iter().map(|(_, id)| *id).collect();
        for id in waiting {
            self.pursue(id, false);
        }
        self.retry();
    }

    /// Looks again at what could not leave.
    pub(super) fn retry(&mut self) {
        for id in core::mem::take(&mut self.stalled) {
            self.pursue(id, false);
        }
        self.packets.retry(&mut self.interfaces, self.now_ns);
    }

    /// Takes in what is under way on the loopback, and what waited for room; whether that was
    /// all.
    pub(super) fn settle(&mut self) -> bool {
        for _ in 0..BURST {
            if let Some(packet) = self.interfaces[LOOPBACK].underway() {
                self.arrive(LOOPBACK, &packet);
            } else if let Some(listener) = self.roomy.pop() {
                self.let_in(listener);
            } else {
                return true;
            }
        }
        false
    }

    /// Does what is due.
    pub(super) fn run_due(&mut self) {
        while let Some(&(at, id)) = self.deadlines.first()
            && at <= self.now_ns
        {
            self.deadlines.remove(&(at, id));
            if let Some(flow) = self.flows.get_mut(&id) {
                flow.deadline_ns = None;
            }
            self.pursue(id, true);
        }
        for gone in self.time_wait.expire(self.now_ns) {
            self.bindings.release(gone);
        }
        self.packets.retry(&mut self.interfaces, self.now_ns);
        self.run_leases();
        for interface in self.interfaces.iter_mut().filter(|one| !one.is_loopback()) {
            interface.maintain(self.now_ns);
            interface.egress(self.now_ns, &mut self.nobody);
        }
    }

    /// When something is due next.
    pub(super) fn deadline_ns(&self) -> Option<u64> {
        let first = self.deadlines.first().map(|(at, _)| *at);
        let others = [first, self.time_wait.deadline_ns(), self.packets.deadline_ns()];
        let leases = self.leases.iter().filter_map(|lease| lease.deadline_ns);
        others.into_iter().flatten().chain(leases).min()
    }

    /// All connections.
    pub(super) fn flows(&self) -> impl Iterator<Item = &Flow> {
        self.flows.values()
    }

    /// The ends of the connections that have ended, but whose last segments may still come.
    pub(super) fn ended(&self) -> impl Iterator<Item = &Tuple> {
        self.time_wait.tuples()
    }

    /// How many connections there are.
    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.flows.len()
    }

    /// Adds a listener.
    pub(super) fn listen(&mut self, listener: Listener) -> Result<u64> {
        self.bindings.listen(listener.binding)?;
        let id = self.next_serial();
        self.listeners.insert(id, listener);
        Ok(id)
    }
}

/// The loopback address of a family.
pub(super) fn loopback_of(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => core::net::Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(_) => core::net::Ipv6Addr::LOCALHOST.into(),
    }
}

fn is_group_of_v6(address: IpAddr) -> bool {
    address.is_ipv6() && address.is_multicast()
}

/// Whether what is sent to an address is for more than one machine.
pub(super) fn is_for_many(address: IpAddr) -> bool {
    address.is_multicast() || matches!(address, IpAddr::V4(address) if address.is_broadcast())
}

//! What programs are told of interfaces and routes: netdevice(7), rtnetlink(7), /proc/net.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use abi::net::netlink::{hardware, route as told, scope};
use abi::net::{InterfaceFlags, state};
use smoltcp::socket::tcp;
use smoltcp::wire::{IpAddress, IpCidr};

use super::device::Traffic;
use super::flow::Owner;
use super::frame::Tuple;
use super::interface::{Interface, LOOPBACK};
use super::stack::Stack;

/// The name of the loopback interface.
const LOOPBACK_NAME: &str = "lo";

/// The longest packet of the loopback that programs are told of, in bytes: Linux's.
const LOOPBACK_MTU: u32 = 65536;

/// How far routes of IPv6 are: those of the kernel, and those that a router announces.
const METRIC_KERNEL: u32 = 256;
const METRIC_ROUTER: u32 = 1024;

/// An interface, as programs see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct InterfaceView {
    /// Its number, from 1.
    pub(crate) index: u32,
    /// Its name.
    pub(crate) name: String,
    /// Whether it is the loopback.
    pub(crate) is_loopback: bool,
    /// Its hardware address.
    pub(crate) hardware: [u8; 6],
    /// The longest packet, in bytes.
    pub(crate) mtu: u32,
    /// Its addresses.
    pub(crate) addresses: Vec<AddressView>,
    /// Where packets for other networks go.
    pub(crate) gateways: Vec<IpAddr>,
    /// What went through it.
    pub(crate) traffic: Traffic,
}

/// An address of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AddressView {
    /// The address.
    pub(crate) ip: IpAddr,
    /// How many of its first bits are the network's.
    pub(crate) prefix_len: u8,
}

impl AddressView {
    fn of(cidr: &IpCidr) -> Self {
        Self { ip: cidr.address().into(), prefix_len: cidr.prefix_len() }
    }

    /// The address with all bits of the host set; `None` where there is none.
    pub(crate) fn broadcast(&self) -> Option<Ipv4Addr> {
        match self.ip {
            IpAddr::V4(ip) if self.prefix_len < 31 && !ip.is_loopback() => {
                Some((ip.to_bits() | u32::MAX >> self.prefix_len).into())
            }
            _ => None,
        }
    }

    /// The bits of the network; `None` for IPv6.
    pub(crate) fn netmask(&self) -> Option<Ipv4Addr> {
        self.ip.is_ipv4().then(|| mask(self.prefix_len).into())
    }

    /// The address with no bit of the host set.
    pub(crate) fn network(&self) -> IpAddr {
        match self.ip {
            IpAddr::V4(ip) => Ipv4Addr::from(ip.to_bits() & mask(self.prefix_len)).into(),
            IpAddr::V6(ip) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.prefix_len)).unwrap_or(0);
                Ipv6Addr::from(ip.to_bits() & mask).into()
            }
        }
    }

    /// How far it reaches: [`scope`].
    pub(crate) fn scope(&self) -> u8 {
        match self.ip {
            ip if ip.is_loopback() => scope::HOST,
            IpAddr::V6(ip) if ip.is_unicast_link_local() => scope::LINK,
            _ => scope::UNIVERSE,
        }
    }
}

fn mask(prefix_len: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(prefix_len)).unwrap_or(0)
}

impl InterfaceView {
    fn of(at: usize, interface: &Interface) -> Self {
        let is_loopback = at == LOOPBACK;
        let all = interface.addresses().iter().map(AddressView::of);
        // The loopback also takes packets for the other addresses of the machine.
        let own = all.filter(|one| !is_loopback || one.ip.is_loopback() && one.prefix_len != 32);
        Self {
            index: at as u32 + 1,
            name: if is_loopback { LOOPBACK_NAME.into() } else { format!("eth{}", at - 1) },
            is_loopback,
            hardware: interface.link().map_or([0; 6], |link| link.address()),
            mtu: if is_loopback { LOOPBACK_MTU } else { interface.mtu() as u32 },
            addresses: own.collect(),
            gateways: interface.gateways(),
            traffic: interface.traffic(),
        }
    }

    /// What it is and does.
    pub(crate) fn flags(&self) -> InterfaceFlags {
        let kind = match self.is_loopback {
            true => InterfaceFlags::LOOPBACK,
            false => InterfaceFlags::BROADCAST | InterfaceFlags::MULTICAST,
        };
        kind | InterfaceFlags::UP | InterfaceFlags::RUNNING | InterfaceFlags::LOWER_UP
    }

    /// The hardware address for all.
    pub(crate) fn hardware_broadcast(&self) -> [u8; 6] {
        if self.is_loopback { [0; 6] } else { [0xff; 6] }
    }

    /// The type of its hardware: [`hardware`].
    pub(crate) fn hardware_kind(&self) -> u16 {
        if self.is_loopback { hardware::LOOPBACK } else { hardware::ETHER }
    }

    /// Its first address of IPv4.
    pub(crate) fn address4(&self) -> Option<&AddressView> {
        self.addresses.iter().find(|one| one.ip.is_ipv4())
    }

    /// The routes that lead over it.
    fn routes(&self) -> Vec<RouteView> {
        let mut routes = Vec::new();
        for &gateway in &self.gateways {
            let any = if gateway.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { ANY6 };
            routes.push(RouteView {
                gateway: Some(gateway),
                protocol: if gateway.is_ipv4() { told::BY_BOOT } else { told::BY_ROUTER },
                metric: gateway.is_ipv6().then_some(METRIC_ROUTER),
                ..self.route(any, 0)
            });
        }
        for address in &self.addresses {
            match address.ip {
                IpAddr::V4(ip) => self.routes4(address, ip, &mut routes),
                IpAddr::V6(ip) => self.routes6(address, ip, &mut routes),
            }
        }
        if self.addresses.iter().any(|one| one.ip.is_ipv6()) && !self.is_loopback {
            routes.push(RouteView {
                table: told::TABLE_LOCAL,
                kind: told::MULTICAST,
                metric: Some(METRIC_KERNEL),
                ..self.route(Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0).into(), 8)
            });
        }
        routes
    }

    fn routes4(&self, address: &AddressView, ip: Ipv4Addr, routes: &mut Vec<RouteView>) {
        let source = Some(IpAddr::V4(ip));
        let local = RouteView {
            table: told::TABLE_LOCAL,
            scope: scope::HOST,
            kind: told::LOCAL,
            source,
            ..self.route(ip.into(), 32)
        };
        let network = match self.is_loopback {
            true => RouteView {
                destination: address.network(),
                prefix_len: address.prefix_len,
                ..local
            },
            false => RouteView {
                scope: scope::LINK,
                source,
                ..self.route(address.network(), address.prefix_len)
            },
        };
        if address.prefix_len < 32 {
            routes.push(network);
        }
        routes.push(local);
        let last = ip.to_bits() | u32::MAX.checked_shr(address.prefix_len.into()).unwrap_or(0);
        if address.prefix_len < 31 {
            routes.push(RouteView {
                table: told::TABLE_LOCAL,
                scope: scope::LINK,
                kind: told::BROADCAST,
                source,
                ..self.route(Ipv4Addr::from(last).into(), 32)
            });
        }
    }

    fn routes6(&self, address: &AddressView, ip: Ipv6Addr, routes: &mut Vec<RouteView>) {
        if address.prefix_len < 128 {
            routes.push(RouteView {
                metric: Some(METRIC_KERNEL),
                ..self.route(address.network(), address.prefix_len)
            });
        }
        routes.push(RouteView {
            table: told::TABLE_LOCAL,
            kind: told::LOCAL,
            metric: Some(0),
            ..self.route(ip.into(), 128)
        });
    }

    fn route(&self, destination: IpAddr, prefix_len: u8) -> RouteView {
        RouteView {
            destination,
            prefix_len,
            gateway: None,
            interface: self.index,
            table: told::TABLE_MAIN,
            protocol: told::BY_KERNEL,
            scope: scope::UNIVERSE,
            kind: told::UNICAST,
            source: None,
            metric: None,
        }
    }
}

const ANY6: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);

/// A route, as programs see it; its numbers are those of [`abi::net::netlink`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RouteView {
    /// What it leads to.
    pub(crate) destination: IpAddr,
    /// How many bits of that count.
    pub(crate) prefix_len: u8,
    /// Over whom.
    pub(crate) gateway: Option<IpAddr>,
    /// The number of the interface.
    pub(crate) interface: u32,
    /// The table.
    pub(crate) table: u8,
    /// Who made it.
    pub(crate) protocol: u8,
    /// How far it reaches.
    pub(crate) scope: u8,
    /// What kind it is.
    pub(crate) kind: u8,
    /// From which address packets go.
    pub(crate) source: Option<IpAddr>,
    /// How far it is, where that is told.
    pub(crate) metric: Option<u32>,
}

/// The way to an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PathView {
    /// The number of the interface.
    pub(crate) interface: u32,
    /// From which address packets go.
    pub(crate) source: IpAddr,
    /// Over whom.
    pub(crate) gateway: Option<IpAddr>,
    /// Whether it is this machine's.
    pub(crate) is_local: bool,
}

impl Stack {
    /// The interfaces.
    pub(crate) fn interfaces(&self) -> Vec<InterfaceView> {
        self.with(|state| {
            let all = state.interfaces.iter().enumerate();
            all.map(|(at, interface)| InterfaceView::of(at, interface)).collect()
        })
    }

    /// The routes, those of a table after another.
    pub(crate) fn routes(&self) -> Vec<RouteView> {
        let mut routes: Vec<_> = self.interfaces().iter().flat_map(InterfaceView::routes).collect();
        routes.sort_by_key(|route| route.table);
        routes
    }

    /// The way to `remote`; `None` where there is none.
    pub(crate) fn path(&self, remote: IpAddr) -> Option<PathView> {
        self.with(|state| {
            let (at, source) = state.route(remote).ok()?;
            let interface = &state.interfaces[at];
            let near = |cidr: &IpCidr| cidr.contains_addr(&IpAddress::from(remote));
            let is_near = remote.is_multicast() || interface.addresses().iter().any(near);
            let mut gateways = interface.gateways().into_iter();
            let gateway = gateways.find(|one| one.is_ipv4() == remote.is_ipv4());
            Some(PathView {
                interface: at as u32 + 1,
                source,
                gateway: gateway.filter(|_| !is_near && at != LOOPBACK),
                is_local: at == LOOPBACK,
            })
        })
    }
}

/// The number of a state of TCP.
fn state_of(state: tcp::State) -> u8 {
    match state {
        tcp::State::Closed => state::CLOSED,
        tcp::State::Listen | tcp::State::SynReceived => state::SYN_RECEIVED,
        tcp::State::SynSent => state::SYN_SENT,
        tcp::State::Established => state::ESTABLISHED,
        tcp::State::FinWait1 => state::FIN_WAIT_1,
        tcp::State::FinWait2 => state::FIN_WAIT_2,
        tcp::State::CloseWait => state::CLOSE_WAIT,
        tcp::State::Closing => state::CLOSING,
        tcp::State::LastAck => state::LAST_ACK,
        tcp::State::TimeWait => state::TIME_WAIT,
    }
}

/// A connection that no socket has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OwnerlessView {
    /// This end.
    pub(crate) local: SocketAddr,
    /// The other end.
    pub(crate) remote: SocketAddr,
    /// How far it is: [`state`].
    pub(crate) state: u8,
}

impl Stack {
    /// How far a connection is, and how many bytes wait to be sent and to be received.
    pub(crate) fn connection_state(&self, id: u64) -> (u8, (usize, usize)) {
        let (receiving, sending) = self.queued(id);
        let state = self.with(|state| state.flow(id).map(|flow| flow.state()));
        (state.map_or(state::CLOSED, state_of), (sending, receiving))
    }

    /// How many connections wait at a listener.
    pub(crate) fn waiting(&self, listener: u64) -> usize {
        self.with(|state| state.listeners.get(listener).map_or(0, |one| one.ready.len()))
    }

    /// How many bytes wait at an endpoint.
    pub(crate) fn queued_messages_len(&self, id: u64) -> usize {
        self.with(|state| {
            let endpoint = state.endpoints.get(id);
            endpoint.map_or(0, |one| one.queue.iter().map(|message| message.bytes.len()).sum())
        })
    }

    /// The connections that no socket has: not accepted yet, or closed.
    pub(crate) fn ownerless(&self) -> Vec<OwnerlessView> {
        self.with(|state| {
            let ended = state.ended().map(|tuple| (*tuple, state::TIME_WAIT));
            let others = state.flows().filter(|flow| flow.owner != Owner::Socket);
            let others = others.map(|flow| (flow.tuple, state_of(flow.state())));
            let all = others.chain(ended);
            all.map(|(Tuple { local, remote }, state)| OwnerlessView { local, remote, state })
                .collect()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    fn view(ip: &str, prefix_len: u8) -> AddressView {
        AddressView { ip: ip.parse().unwrap(), prefix_len }
    }

    #[test]
    fn an_address_has_a_network_a_mask_and_a_broadcast_address() {
        let address = view("10.0.2.15", 24);
        assert_eq!(address.network().to_string(), "10.0.2.0");
        assert_eq!(address.netmask(), Some([255, 255, 255, 0].into()));
        assert_eq!(address.broadcast(), Some([10, 0, 2, 255].into()));
        assert_eq!(view("10.0.2.15", 0).netmask(), Some([0; 4].into()));
        assert_eq!(view("10.0.2.15", 32).broadcast(), None);
        assert_eq!(view("127.0.0.1", 8).broadcast(), None);
        assert_eq!(view("fd00::15", 64).network().to_string(), "fd00::");
        assert_eq!(view("fd00::15", 0).network(), ANY6);
        assert_eq!(view("fd00::15", 128).network().to_string(), "fd00::15");
    }

    #[test]
    fn an_interface_has_the_routes_of_its_addresses() {
        let interface = InterfaceView {
            index: 2,
            name: "eth0".into(),
            is_loopback: false,
            hardware: [0; 6],
            mtu: 1500,
            addresses: [view("10.0.2.15", 24), view("fe80::1", 64)].into(),
            gateways: ["10.0.2.2".parse().unwrap()].into(),
            traffic: Traffic::default(),
        };
        let shown: Vec<String> = interface
            .routes()
            .iter()
            .map(|route| {
                let RouteView { destination, prefix_len, table, kind, .. } = route;
                format!("{destination}/{prefix_len} {table} {kind}")
            })
            .collect();
        let wanted = [
            "0.0.0.0/0 254 1",
            "10.0.2.0/24 254 1",
            "10.0.2.15/32 255 2",
            "10.0.2.255/32 255 3",
            "fe80::/64 254 1",
            "fe80::1/128 255 2",
            "ff00::/8 255 5",
        ];
        assert_eq!(shown, wanted);
    }
}

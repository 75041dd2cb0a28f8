//! How interfaces get their addresses: as they are told, or by DHCP.

use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr};

use smoltcp::iface::{SocketHandle, SocketSet, SocketStorage};
use smoltcp::socket::dhcpv4::{Event, Socket};
use smoltcp::wire::{DHCP_CLIENT_PORT, IpCidr};

use crate::fs::PollEvents;

use super::frame::Tuple;
use super::state::State;

/// How an interface gets its address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Addressing {
    /// By DHCP.
    #[default]
    Dhcp,
    /// As it is told.
    Fixed(Fixed),
    /// Not at all.
    Off,
}

/// An address, and what belongs to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fixed {
    /// The address.
    pub(crate) address: Ipv4Addr,
    /// How many of its first bits are the network's.
    pub(crate) prefix_len: u8,
    /// Where packets for other networks go.
    pub(crate) gateway: Option<Ipv4Addr>,
    /// Who knows names.
    pub(crate) name_servers: Vec<IpAddr>,
}

impl Addressing {
    /// What a word says that Linux's `ip=` takes (its documentation of nfsroot):
    /// `CLIENT:SERVER:GATEWAY:NETMASK:NAME:DEVICE:AUTOCONF[:DNS]…`, or the last but one part
    /// alone. `None` where it makes no sense.
    pub(crate) fn parse(word: &str) -> Option<Self> {
        let by_name = |name: &str| match name {
            "" | "on" | "any" | "dhcp" | "both" => Some(Self::Dhcp),
            "off" | "none" => Some(Self::Off),
            _ => None,
        };
        let parts: Vec<&str> = word.split(':').collect();
        let part = |at: usize| parts.get(at).copied().unwrap_or_default();
        if parts.len() == 1 {
            return by_name(word).or_else(|| Self::fixed(word, "", "", &[]));
        }
        match part(0) {
            "" => by_name(part(6)),
            client => Self::fixed(client, part(2), part(3), parts.get(7..).unwrap_or_default()),
        }
    }

    fn fixed(client: &str, gateway: &str, netmask: &str, servers: &[&str]) -> Option<Self> {
        let optional = |word: &str| match word {
            "" => Some(None),
            word => word.parse::<Ipv4Addr>().ok().map(Some),
        };
        let address: Ipv4Addr = client.parse().ok()?;
        if address.is_unspecified() || address.is_multicast() || address.is_broadcast() {
            return None;
        }
        let prefix_len = match optional(netmask)? {
            Some(mask) => {
                let ones = mask.to_bits().leading_ones();
                (mask.to_bits().count_ones() == ones).then_some(ones as u8)?
            }
            // The classes of old, as Linux guesses.
            None => match address.octets()[0] {
                0..128 => 8,
                128..192 => 16,
                _ => 24,
            },
        };
        let servers = servers.iter().filter(|word| !word.is_empty());
        let name_servers = servers.map(|word| word.parse().ok()).collect::<Option<_>>()?;
        let gateway = optional(gateway)?;
        Some(Self::Fixed(Fixed { address, prefix_len, gateway, name_servers }))
    }
}

/// The client of DHCP at an interface.
pub(super) struct Lease {
    interface: usize,
    set: SocketSet<'static>,
    handle: SocketHandle,
    /// When it has to be looked at, monotonic.
    pub(super) deadline_ns: Option<u64>,
}

impl State {
    /// Gives an interface its address, or begins to.
    pub(super) fn configure(&mut self, interface: usize, how: &Addressing) {
        match how {
            Addressing::Off => {}
            Addressing::Fixed(fixed) => {
                let address = IpCidr::new(fixed.address.into(), fixed.prefix_len);
                self.interfaces[interface].configure(Some(address), fixed.gateway);
                self.name_servers.clone_from(&fixed.name_servers);
            }
            Addressing::Dhcp => {
                let mut set = SocketSet::new(Vec::from([SocketStorage::EMPTY]));
                let handle = set.add(Socket::new());
                self.leases.push(Lease { interface, set, handle, deadline_ns: Some(self.now_ns) });
                self.run_leases();
            }
        }
    }

    /// Whether an interface still waits for its first address.
    pub(super) fn awaits_lease(&self) -> bool {
        self.leases.iter().any(|lease| {
            let addresses = self.interfaces[lease.interface].addresses();
            !addresses.iter().any(|address| matches!(address, IpCidr::Ipv4(_)))
        })
    }

    /// Takes in a datagram for a client of DHCP; whether it is one.
    pub(super) fn take_lease(&mut self, interface: usize, tuple: &Tuple, frame: &[u8]) -> bool {
        if tuple.local.port() != DHCP_CLIENT_PORT {
            return false;
        }
        let Some(lease) = self.leases.iter_mut().find(|lease| lease.interface == interface) else {
            return false;
        };
        self.interfaces[interface].ingress(self.now_ns, frame, &mut lease.set);
        lease.deadline_ns = Some(self.now_ns);
        self.run_leases();
        true
    }

    /// Does what the clients of DHCP have to do.
    pub(super) fn run_leases(&mut self) {
        let now_ns = self.now_ns;
        for lease in &mut self.leases {
            if lease.deadline_ns.is_some_and(|at| at > now_ns) {
                continue;
            }
            let interface = &mut self.interfaces[lease.interface];
            match lease.set.get_mut::<Socket<'_>>(lease.handle).poll() {
                Some(Event::Configured(found)) => {
                    interface.configure(Some(IpCidr::Ipv4(found.address)), found.router);
                    self.name_servers = found.dns_servers.iter().map(|&one| one.into()).collect();
                    self.woken.push((self.addressed.clone(), PollEvents::all()));
                    log::info!("the network gave the address {}", found.address);
                }
                Some(Event::Deconfigured) => {
                    interface.configure(None, None);
                    self.name_servers.clear();
                }
                None => {}
            }
            interface.egress(now_ns, &mut lease.set);
            // A look each minute also renews what routers announce.
            let next = interface.deadline_ns(now_ns, &lease.set);
            lease.deadline_ns = next.map(|next| next.max(now_ns + 1_000_000));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_told_as_to_linux() {
        assert_eq!(Addressing::parse("dhcp"), Some(Addressing::Dhcp));
        assert_eq!(Addressing::parse("::::::off"), Some(Addressing::Off));
        let word = "10.0.2.15::10.0.2.2:255.255.255.0::eth0:off:10.0.2.3";
        let fixed = Fixed {
            address: [10, 0, 2, 15].into(),
            prefix_len: 24,
            gateway: Some([10, 0, 2, 2].into()),
            name_servers: [IpAddr::from([10, 0, 2, 3])].into(),
        };
        assert_eq!(Addressing::parse(word), Some(Addressing::Fixed(fixed)));
        for bad in [
            "0.0.0.0",
            "224.0.0.1",
            "10.0.2",
            "10.0.2.15:::255.0.255.0",
            "10.0.2.15::x",
            "maybe",
            ":::::::",
        ] {
            let parsed = Addressing::parse(bad);
            assert!(parsed.is_none() || bad == ":::::::", "{bad}: {parsed:?}");
        }
    }
}

//! Which ports are taken.

use alloc::vec::Vec;
use core::net::{IpAddr, Ipv6Addr, SocketAddr};
use core::ops::RangeInclusive;

use abi::Errno;
use hashbrown::HashMap;

use crate::error::{Because, Result};

/// Ports for sockets that name none: /proc/sys/net/ipv4/ip_local_port_range.
pub(super) const EPHEMERAL: RangeInclusive<u16> = 32768..=60999;

/// A protocol with ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Transport {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// ICMP echo, whose identifiers are its ports.
    Echo,
}

/// With whom a socket shares its address: socket(7).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reuse {
    /// `SO_REUSEADDR`.
    pub(crate) address: bool,
    /// `SO_REUSEPORT`.
    pub(crate) port: bool,
    /// The user, who shares a port only with itself.
    pub(crate) user: u32,
}

/// An address that a socket wants.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wish {
    /// The address; port 0 for any.
    pub(crate) address: SocketAddr,
    /// An IPv6 socket that has nothing to do with IPv4: `IPV6_V6ONLY`.
    pub(crate) only_v6: bool,
    /// With whom it shares.
    pub(crate) reuse: Reuse,
}

/// The name of a binding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BindingId {
    transport: Transport,
    port: u16,
    serial: u64,
}

struct Binding {
    serial: u64,
    wish: Wish,
    /// It waits for connections.
    listens: bool,
}

/// The ports that are taken.
#[derive(Default)]
pub(super) struct Bindings {
    taken: HashMap<(Transport, u16), Vec<Binding>>,
    serial: u64,
    /// Where the search for a free port goes on.
    next: u16,
}

impl Bindings {
    /// Those of a machine whose first free port is chosen by `random`.
    pub(super) fn new(random: u64) -> Self {
        let next = EPHEMERAL.start() + (random % EPHEMERAL.len() as u64) as u16;
        Self { next, ..Self::default() }
    }

    /// Takes an address; with port 0, any that is free. The address, and the binding.
    ///
    /// # Errors
    /// `EADDRINUSE`.
    pub(super) fn bind(
        &mut self,
        transport: Transport,
        wish: Wish,
    ) -> Result<(SocketAddr, BindingId)> {
        let mut wish = wish;
        if wish.address.port() == 0 {
            let port = self.free_port(transport, wish).ok_or_else(in_use)?;
            wish.address.set_port(port);
        } else if self.conflicts(transport, &wish) {
            return Err(in_use());
        }
        Ok((wish.address, self.insert(transport, wish)))
    }

    /// Takes an address that others have, for a connection that came to it.
    pub(super) fn insert(&mut self, transport: Transport, wish: Wish) -> BindingId {
        self.serial += 1;
        let (serial, port) = (self.serial, wish.address.port());
        let binding = Binding { serial, wish, listens: false };
        self.taken.entry((transport, port)).or_default().push(binding);
        BindingId { transport, port, serial }
    }

    /// Says that a binding waits for connections.
    ///
    /// # Errors
    /// `EADDRINUSE` when another one at the same address does.
    pub(super) fn listen(&mut self, id: BindingId) -> Result<()> {
        let bindings = self.taken.get_mut(&(id.transport, id.port));
        let bindings = bindings.map(Vec::as_mut_slice).unwrap_or_default();
        let Some(at) = bindings.iter().position(|binding| binding.serial == id.serial) else {
            return Ok(());
        };
        let wish = bindings[at].wish;
        let is_taken = bindings.iter().any(|other| {
            other.serial != id.serial
                && other.listens
                && overlap(&wish, &other.wish)
                && !share_port(&wish, &other.wish)
        });
        if is_taken {
            return Err(in_use());
        }
        bindings[at].listens = true;
        Ok(())
    }

    /// Gives an address back.
    pub(super) fn release(&mut self, id: BindingId) {
        let key = (id.transport, id.port);
        if let Some(bindings) = self.taken.get_mut(&key) {
            bindings.retain(|binding| binding.serial != id.serial);
            if bindings.is_empty() {
                self.taken.remove(&key);
            }
        }
    }

    fn free_port(&mut self, transport: Transport, wish: Wish) -> Option<u16> {
        let (first, count) = (*EPHEMERAL.start(), EPHEMERAL.len() as u16);
        for step in 0..count {
            let port = first + (self.next - first + step) % count;
            let address = SocketAddr::new(wish.address.ip(), port);
            if !self.conflicts(transport, &Wish { address, reuse: Reuse::default(), ..wish }) {
                self.next = first + (port - first + 1) % count;
                return Some(port);
            }
        }
        None
    }

    fn conflicts(&self, transport: Transport, wish: &Wish) -> bool {
        let bindings = self.taken.get(&(transport, wish.address.port()));
        bindings.into_iter().flatten().any(|other| {
            let may_share_address = wish.reuse.address
                && other.wish.reuse.address
                && (transport != Transport::Tcp || !other.listens);
            overlap(wish, &other.wish) && !may_share_address && !share_port(wish, &other.wish)
        })
    }
}

fn in_use() -> crate::error::Error {
    Errno::EADDRINUSE.because("the address is in use")
}

fn share_port(one: &Wish, other: &Wish) -> bool {
    one.reuse.port && other.reuse.port && one.reuse.user == other.reuse.user
}

/// Whether a packet can be for both.
fn overlap(one: &Wish, other: &Wish) -> bool {
    let covers = |wide: &Wish, narrow: &Wish| match (wide.address.ip(), narrow.address.ip()) {
        (IpAddr::V6(Ipv6Addr::UNSPECIFIED), IpAddr::V6(_)) => true,
        (IpAddr::V6(Ipv6Addr::UNSPECIFIED), IpAddr::V4(_)) => !wide.only_v6,
        (IpAddr::V4(wide), IpAddr::V4(_)) => wide.is_unspecified(),
        _ => false,
    };
    one.address.ip() == other.address.ip() || covers(one, other) || covers(other, one)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(address: &str) -> Wish {
        let address = address.parse().unwrap();
        Wish { address, only_v6: false, reuse: Reuse::default() }
    }

    fn taken(bindings: &mut Bindings, wish: Wish) -> Option<BindingId> {
        bindings.bind(Transport::Tcp, wish).ok().map(|(_, id)| id)
    }

    #[test]
    fn a_wildcard_covers_the_addresses_of_its_families() {
        let mut bindings = Bindings::new(0);
        let any = taken(&mut bindings, wish("0.0.0.0:80")).unwrap();
        assert!(taken(&mut bindings, wish("127.0.0.1:80")).is_none());
        assert!(taken(&mut bindings, wish("[::]:80")).is_none());
        let only_v6 = Wish { only_v6: true, ..wish("[::]:80") };
        assert!(taken(&mut bindings, only_v6).is_some());
        bindings.release(any);
        assert!(taken(&mut bindings, wish("127.0.0.1:80")).is_some());
        assert!(bindings.bind(Transport::Udp, wish("0.0.0.0:80")).is_ok());
    }

    #[test]
    fn an_address_is_shared_with_connections_but_not_with_a_listener() {
        let mut bindings = Bindings::new(0);
        let reuse = Reuse { address: true, ..Reuse::default() };
        let wish = Wish { reuse, ..wish("0.0.0.0:80") };
        let first = taken(&mut bindings, wish).unwrap();
        let second = taken(&mut bindings, wish).unwrap();
        bindings.listen(first).unwrap();
        assert_eq!(bindings.listen(second).unwrap_err().errno, Errno::EADDRINUSE);
        assert!(taken(&mut bindings, wish).is_none());
    }

    #[test]
    fn a_port_is_shared_by_those_who_both_say_so() {
        let mut bindings = Bindings::new(0);
        let reuse = Reuse { port: true, ..Reuse::default() };
        let shared = Wish { reuse, ..wish("0.0.0.0:80") };
        let first = taken(&mut bindings, shared).unwrap();
        let second = taken(&mut bindings, shared).unwrap();
        bindings.listen(first).unwrap();
        bindings.listen(second).unwrap();
        let other = Wish { reuse: Reuse { user: 1, ..reuse }, ..shared };
        assert!(taken(&mut bindings, other).is_none());
        assert!(taken(&mut bindings, wish("0.0.0.0:80")).is_none());
    }

    #[test]
    fn ephemeral_ports_run_out() {
        let mut bindings = Bindings::new(7);
        for _ in EPHEMERAL {
            taken(&mut bindings, wish("127.0.0.1:0")).unwrap();
        }
        assert!(taken(&mut bindings, wish("0.0.0.0:0")).is_none());
        assert!(taken(&mut bindings, wish("127.0.0.2:0")).is_some());
    }
}

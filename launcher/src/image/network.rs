//! The guest's address, in the words of Linux's `ip=` ([`abi::boot::config::KEY_IP`]).

use super::shared;
use crate::command::options::{FixedAddress, Network, RunOptions};
use std::net::Ipv4Addr;

/// What QEMU's user network gives to its only guest, and passt is told to.
pub mod user {
    use std::net::Ipv4Addr;

    /// The guest's address.
    pub const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 15);
    /// How many of its bits are the network's.
    pub const PREFIX_LEN: u8 = 24;
    /// Where packets for other networks go.
    pub const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 2);
    /// Who knows names.
    pub const NAME_SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 3);
}

/// Whether the user has asked for a network.
pub(super) fn is_asked_for(options: &RunOptions) -> bool {
    matches!(options.network, Network::Tap(_)) || !options.published.is_empty()
}

/// The network of a machine with so many directories: the one that nobody has asked for gives
/// its place to a directory.
pub(super) fn choose(options: &RunOptions, directories: usize) -> Network {
    match directories < shared::places(options) {
        false if !is_asked_for(options) => Network::None,
        _ => options.network.clone(),
    }
}

/// The address of a run in this network; none without one.
pub(super) fn address(network: &Network, options: &RunOptions) -> Option<String> {
    let FixedAddress { address, gateway, name_servers } = &options.fixed_address;
    match network {
        Network::None => None,
        // What the network would say if it were asked.
        Network::User => {
            let servers = match name_servers[..] {
                [] => vec![user::NAME_SERVER],
                _ => name_servers.clone(),
            };
            Some(word((user::ADDRESS, user::PREFIX_LEN), Some(user::GATEWAY), &servers))
        }
        Network::Tap(_) => {
            Some(address.map_or("dhcp".to_owned(), |address| word(address, *gateway, name_servers)))
        }
    }
}

/// `CLIENT:SERVER:GATEWAY:NETMASK:NAME:DEVICE:AUTOCONF:DNS:DNS`
fn word((address, len): (Ipv4Addr, u8), gateway: Option<Ipv4Addr>, servers: &[Ipv4Addr]) -> String {
    let mask = Ipv4Addr::from(u32::MAX.checked_shl(32 - u32::from(len)).unwrap_or(0));
    let gateway = gateway.map(|gateway| gateway.to_string()).unwrap_or_default();
    let servers: String = servers.iter().map(|server| format!(":{server}")).collect();
    format!("{address}::{gateway}:{mask}::eth0:off{servers}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_said_as_linux_says_it() {
        let options = RunOptions::default();
        let expected = "10.0.2.15::10.0.2.2:255.255.255.0::eth0:off:10.0.2.3";
        assert_eq!(address(&Network::User, &options).as_deref(), Some(expected));
        let tap = Network::Tap("vm0".into());
        assert_eq!(address(&tap, &options).as_deref(), Some("dhcp"));
        let fixed_address =
            FixedAddress { address: Some(([10, 9, 8, 7].into(), 0)), ..FixedAddress::default() };
        let fixed = RunOptions { fixed_address, ..options };
        assert_eq!(address(&tap, &fixed).as_deref(), Some("10.9.8.7:::0.0.0.0::eth0:off"));
    }

    #[test]
    fn a_network_that_nobody_asked_for_gives_its_place_away() {
        let options = RunOptions::default();
        assert_eq!(choose(&options, 5), Network::User);
        assert_eq!(choose(&options, 6), Network::None);
        let network = Network::Tap("vm0".into());
        let asked = RunOptions { network: network.clone(), ..options };
        assert_eq!(choose(&asked, 6), network);
    }
}

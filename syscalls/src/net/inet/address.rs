//! Addresses of ip(7) and ipv6(7), as applications give and get them.

use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use abi::Errno;
use abi::net::{Sockaddr4, Sockaddr6, family};
use zerocopy::{FromBytes, IntoBytes};

use crate::error::{Because, Result};

/// An IP version, as a family of sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    /// ip(7)
    V4,
    /// ipv6(7), which also reaches IPv4, by mapped addresses
    V6,
}

impl Version {
    /// The number of the family.
    pub(super) const fn family(self) -> u16 {
        match self {
            Self::V4 => family::INET,
            Self::V6 => family::INET6,
        }
    }

    /// No address, and no port.
    pub(super) const fn unspecified(self) -> SocketAddr {
        match self {
            Self::V4 => SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0),
            Self::V6 => SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), 0),
        }
    }
}

/// The family of an address, if it has one.
pub(super) fn family_of(bytes: &[u8]) -> Option<u16> {
    bytes.first_chunk().map(|head| u16::from_ne_bytes(*head))
}

/// The address in these bytes as it is, of either family; `None` where it is of none.
pub(crate) fn plain(bytes: &[u8]) -> Option<SocketAddr> {
    match family_of(bytes)? {
        family::INET => {
            let (address, _) = Sockaddr4::read_from_prefix(bytes).ok()?;
            let ip = Ipv4Addr::from(address.address);
            Some(SocketAddr::new(ip.into(), u16::from_be_bytes(address.port)))
        }
        family::INET6 => {
            let (address, _) = Sockaddr6::read_from_prefix(bytes).ok()?;
            let ip = Ipv6Addr::from(address.address);
            Some(SocketAddr::new(ip.into(), u16::from_be_bytes(address.port)))
        }
        _ => None,
    }
}

/// The address in these bytes, for a socket of this version. Mapped addresses are those of
/// IPv4 that they mean.
///
/// # Errors
/// `EINVAL` when they are too short; `EAFNOSUPPORT` for another family.
pub(super) fn decode(version: Version, bytes: &[u8]) -> Result<SocketAddr> {
    let short = || Errno::EINVAL.because("the address is too short");
    let found = family_of(bytes).ok_or_else(short)?;
    if found != version.family() {
        return Err(Errno::EAFNOSUPPORT.because("an address of another family"));
    }
    let (ip, port) = match version {
        Version::V4 => {
            let (address, _) = Sockaddr4::read_from_prefix(bytes).map_err(|_| short())?;
            (IpAddr::from(address.address), address.port)
        }
        Version::V6 => {
            let (address, _) = Sockaddr6::read_from_prefix(bytes).map_err(|_| short())?;
            (IpAddr::from(address.address).to_canonical(), address.port)
        }
    };
    Ok(SocketAddr::new(ip, u16::from_be_bytes(port)))
}

/// The address as the application sees it: those of IPv4 are mapped for a socket of IPv6.
pub(super) fn encode(version: Version, address: SocketAddr) -> Vec<u8> {
    let port = address.port().to_be_bytes();
    match (version, address.ip()) {
        (Version::V4, IpAddr::V4(ip)) => {
            let family = family::INET;
            Sockaddr4 { family, port, address: ip.octets(), zero: [0; 8] }.as_bytes().to_vec()
        }
        (_, ip) => {
            let address = match ip {
                IpAddr::V4(ip) if ip.is_unspecified() => Ipv6Addr::UNSPECIFIED,
                IpAddr::V4(ip) => ip.to_ipv6_mapped(),
                IpAddr::V6(ip) => ip,
            };
            let address = Sockaddr6 {
                family: family::INET6,
                port,
                flow: 0,
                address: address.octets(),
                scope: 0,
            };
            address.as_bytes().to_vec()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_come_back_as_they_went_in() {
        for (version, text) in [
            (Version::V4, "127.0.0.1:80"),
            (Version::V6, "[::1]:80"),
            (Version::V6, "10.0.2.15:65535"),
            (Version::V6, "[fe80::1]:1"),
        ] {
            let address: SocketAddr = text.parse().unwrap();
            assert_eq!(decode(version, &encode(version, address)), Ok(address), "{text}");
        }
        assert_eq!(decode(Version::V4, &[2, 0, 0]).unwrap_err().errno, Errno::EINVAL);
        let other = encode(Version::V6, "[::1]:80".parse().unwrap());
        assert_eq!(decode(Version::V4, &other).unwrap_err().errno, Errno::EAFNOSUPPORT);
        assert_eq!(decode(Version::V4, &[]).unwrap_err().errno, Errno::EINVAL);
    }
}

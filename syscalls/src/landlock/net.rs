//! What a domain says of ports: landlock(7), "Network flags".

use abi::Errno;
use abi::landlock::AccessNet;
use abi::net::family;

use crate::context::Context;
use crate::error::{Because, Error, Result};
use crate::net::{Kind, Socket};

use super::denied;

/// Length of the addresses of ip(7), in bytes.
const IPV4_LEN: usize = 16;

/// Length of the shortest addresses of ipv6(7), which have no scope, in bytes.
const IPV6_LEN: usize = 24;

/// Fails unless the caller's domain allows that `socket` gets this address: bind(2).
///
/// # Errors
/// `EACCES`; `EINVAL`, `EAFNOSUPPORT` for an address that the socket cannot have.
pub(crate) fn check_bind(cx: &Context<'_>, socket: &dyn Socket, address: &[u8]) -> Result<()> {
    check(cx, socket, address, AccessNet::BIND_TCP)
}

/// Fails unless the caller's domain allows that `socket` connects to this address: connect(2).
///
/// # Errors
/// As [`check_bind`].
pub(crate) fn check_connect(cx: &Context<'_>, socket: &dyn Socket, address: &[u8]) -> Result<()> {
    check(cx, socket, address, AccessNet::CONNECT_TCP)
}

fn check(cx: &Context<'_>, socket: &dyn Socket, address: &[u8], access: AccessNet) -> Result<()> {
    let who = cx.credentials();
    let Some(domain) = who.domain.top() else { return Ok(()) };
    let handles = domain.all().any(|layer| !layer.rules.handled.net.is_empty());
    let is_tcp =
        socket.kind() == Kind::Stream && [family::INET, family::INET6].contains(&socket.family());
    if !handles || !is_tcp {
        return Ok(());
    }
    let Some(port) = port(socket, address, access)? else { return Ok(()) };
    let allows = |layer: &super::domain::Layer| {
        let rules = &layer.rules;
        !rules.handled.net.contains(access) || rules.port(port).contains(access)
    };
    if domain.all().all(allows) { Ok(()) } else { Err(denied()) }
}

/// The port that rules may be about; `None` where there is none.
fn port(socket: &dyn Socket, address: &[u8], access: AccessNet) -> Result<Option<u16>> {
    let head = address.first_chunk().ok_or_else(invalid)?;
    let (family, len) = match u16::from_ne_bytes(*head) {
        family @ (family::UNSPEC | family::INET) => (family, IPV4_LEN),
        family @ family::INET6 => (family, IPV6_LEN),
        _ => return Ok(None),
    };
    if address.len() < len {
        return Err(invalid());
    }
    match family {
        // A connection can always be given up.
        family::UNSPEC if access == AccessNet::CONNECT_TCP => return Ok(None),
        family::UNSPEC if address[4..8] != [0; 4] => {
            return Err(Errno::EAFNOSUPPORT.because("an address of no family"));
        }
        family::UNSPEC => {}
        family if family != socket.family() => return Err(invalid()),
        _ => {}
    }
    Ok(Some(u16::from_be_bytes([address[2], address[3]])))
}

fn invalid() -> Error {
    Errno::EINVAL.because("not an address of this family")
}

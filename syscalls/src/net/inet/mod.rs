//! Sockets of ip(7) and ipv6(7): tcp(7), udp(7), icmp(7) and raw(7), on [`super::ip`].

mod address;
mod control;
mod datagram;
mod groups;
mod options;
mod stream;

use alloc::sync::Arc;

use abi::Errno;
use abi::net::{kind, protocol};
use smoltcp::wire::IpProtocol;

use crate::context::Context;
use crate::error::{Because, Result};
use crate::process::Capability;

use super::Socket;
use super::ip::Kind;

pub(crate) use address::{Version, plain as socket_address};

/// Makes a socket of a version: socket(2).
///
/// # Errors
/// `EPROTONOSUPPORT`, `ESOCKTNOSUPPORT`; `EPERM` for a raw one.
pub(super) fn create(
    cx: &Context<'_>,
    version: Version,
    kind: u32,
    protocol: i32,
) -> Result<Arc<dyn Socket>> {
    let stack = cx.system.net.clone();
    stack.await_address(cx)?;
    let echo = match version {
        Version::V4 => protocol::ICMP,
        Version::V6 => protocol::ICMPV6,
    };
    let datagram = |kind| -> Result<Arc<dyn Socket>> {
        let socket: Arc<dyn Socket> = datagram::MessageSocket::new(stack.clone(), version, kind);
        Ok(socket)
    };
    match (kind, protocol) {
        (kind::STREAM, 0 | protocol::TCP) => Ok(stream::StreamSocket::new(stack, version)),
        (kind::DATAGRAM, 0 | protocol::UDP) => datagram(Kind::Udp),
        (kind::DATAGRAM, wanted) if wanted == echo => datagram(Kind::Echo),
        (kind::RAW, 1..=255) => {
            if !cx.credentials().has(Capability::NetRaw) {
                return Err(Errno::EPERM.because("needs CAP_NET_RAW"));
            }
            datagram(Kind::Raw(protocol as u8))
        }
        (kind::STREAM | kind::DATAGRAM | kind::RAW, _) => {
            Err(Errno::EPROTONOSUPPORT.because("the type of socket has no such protocol"))
        }
        _ => Err(Errno::ESOCKTNOSUPPORT.because("the family has no such type of socket")),
    }
}

/// The number of the protocol of a kind: `SO_PROTOCOL`.
fn protocol_of(version: Version, kind: Kind) -> u32 {
    let protocol = match (kind, version) {
        (Kind::Udp, _) => IpProtocol::Udp,
        (Kind::Echo, Version::V4) => IpProtocol::Icmp,
        (Kind::Echo, Version::V6) => IpProtocol::Icmpv6,
        (Kind::Raw(number), _) => number.into(),
    };
    u8::from(protocol).into()
}

//! Options of the levels below the socket: ip(7), ipv6(7), tcp(7), udp(7).
//!
//! They are numbers that are kept; those that mean something are asked for by name.

use abi::Errno;
use abi::net::{ip_option as ip, ipv6_option as ipv6, level, tcp_option as tcp};
use hashbrown::HashMap;
use spin::Mutex;

use crate::error::{Because, Result};

/// An option: its level, its number, what it is at first, and the largest it can be.
type Known = (u32, u32, i32, i32);

/// Anything.
const ANY: i32 = i32::MAX;

/// The options that there are.
const KNOWN: &[Known] = &[
    (level::IP, ip::TOS, 0, 255),
    (level::IP, ip::TTL, 64, 255),
    (level::IP, ip::HDRINCL, 0, 1),
    (level::IP, ip::RECVOPTS, 0, 1),
    (level::IP, ip::RETOPTS, 0, 1),
    (level::IP, ip::PKTINFO, 0, 1),
    (level::IP, ip::MTU_DISCOVER, 1, 5),
    (level::IP, ip::RECVERR, 0, 1),
    (level::IP, ip::RECVTTL, 0, 1),
    (level::IP, ip::RECVTOS, 0, 1),
    (level::IP, ip::FREEBIND, 0, 1),
    (level::IP, ip::BIND_ADDRESS_NO_PORT, 0, 1),
    (level::IP, ip::MULTICAST_TTL, 1, 255),
    (level::IP, ip::MULTICAST_LOOP, 1, 1),
    (level::IPV6, ipv6::UNICAST_HOPS, -1, 255),
    (level::IPV6, ipv6::MULTICAST_HOPS, 1, 255),
    (level::IPV6, ipv6::MULTICAST_LOOP, 1, 1),
    (level::IPV6, ipv6::MTU_DISCOVER, 1, 5),
    (level::IPV6, ipv6::RECVERR, 0, 1),
    (level::IPV6, ipv6::V6ONLY, 0, 1),
    (level::IPV6, ipv6::RECVPKTINFO, 0, 1),
    (level::IPV6, ipv6::RECVHOPLIMIT, 0, 1),
    (level::IPV6, ipv6::RECVTCLASS, 0, 1),
    (level::IPV6, ipv6::TCLASS, 0, 255),
    (level::TCP, tcp::NODELAY, 0, ANY),
    (level::TCP, tcp::MAXSEG, 536, 32767),
    (level::TCP, tcp::CORK, 0, 1),
    (level::TCP, tcp::KEEPIDLE, 7200, 32767),
    (level::TCP, tcp::KEEPINTVL, 75, 32767),
    (level::TCP, tcp::KEEPCNT, 9, 127),
    (level::TCP, tcp::SYNCNT, 6, 127),
    (level::TCP, tcp::LINGER2, 60, ANY),
    (level::TCP, tcp::DEFER_ACCEPT, 0, ANY),
    (level::TCP, tcp::WINDOW_CLAMP, 0, ANY),
    (level::TCP, tcp::QUICKACK, 1, ANY),
    (level::TCP, tcp::USER_TIMEOUT, 0, ANY),
    (level::TCP, tcp::NOTSENT_LOWAT, -1, ANY),
];

/// The options of a socket.
#[derive(Default)]
pub(super) struct Options {
    /// Those that were set.
    set: Mutex<HashMap<(u32, u32), i32>>,
}

impl Options {
    /// The value of an option.
    ///
    /// # Errors
    /// `ENOPROTOOPT` where there is no such one.
    pub(super) fn get(&self, level: u32, number: u32) -> Result<i32> {
        let &(_, _, first, _) = find(level, number)?;
        Ok(self.set.lock().get(&(level, number)).copied().unwrap_or(first))
    }

    /// Whether an option is set to something other than 0.
    pub(super) fn is_on(&self, level: u32, number: u32) -> bool {
        self.get(level, number).is_ok_and(|value| value != 0)
    }

    /// Sets an option.
    ///
    /// # Errors
    /// `ENOPROTOOPT`; `EINVAL` for a value that it cannot have.
    pub(super) fn set(&self, level: u32, number: u32, value: i32) -> Result<()> {
        let &(_, _, first, most) = find(level, number)?;
        let value = if most == 1 { i32::from(value != 0) } else { value };
        if value < first.min(0) || value > most {
            return Err(Errno::EINVAL.because("the option cannot be that"));
        }
        self.set.lock().insert((level, number), value);
        Ok(())
    }

    /// Options as another socket has them.
    pub(super) fn inherit(&self, other: &Self) {
        let inherited = other.set.lock().clone();
        *self.set.lock() = inherited;
    }
}

fn find(level: u32, number: u32) -> Result<&'static Known> {
    let is_it = |known: &&Known| (known.0, known.1) == (level, number);
    KNOWN.iter().find(is_it).ok_or_else(|| Errno::ENOPROTOOPT.because("there is no such option"))
}

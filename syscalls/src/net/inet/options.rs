//! Options of the levels below the socket: ip(7), ipv6(7), tcp(7), udp(7).
//!
//! They are numbers that are kept; those that mean something are asked for by name.

use abi::Errno;
use abi::net::{ip_option as ip, ipv6_option as ipv6, level, tcp_option as tcp};
use hashbrown::HashMap;
use spin::Mutex;

use crate::error::{Because, Result};

use super::address::Version;

/// An option: its level, its number, what it is at first, the least and the most it can be.
type Known = (u32, u32, i32, i32, i32);

/// Anything.
const ANY: i32 = i32::MAX;

/// The options that there are.
const KNOWN: &[Known] = &[
    (level::IP, ip::TOS, 0, 0, 255),
    (level::IP, ip::TTL, 64, 1, 255),
    (level::IP, ip::PKTINFO, 0, 0, 1),
    (level::IP, ip::RECVTTL, 0, 0, 1),
    (level::IP, ip::RECVTOS, 0, 0, 1),
    (level::IP, ip::MTU_DISCOVER, 1, 0, 5),
    (level::IP, ip::RECVERR, 0, 0, 1),
    (level::IP, ip::FREEBIND, 0, 0, 1),
    (level::IP, ip::BIND_ADDRESS_NO_PORT, 0, 0, 1),
    (level::IP, ip::MULTICAST_TTL, 1, 0, 255),
    (level::IP, ip::MULTICAST_LOOP, 1, 0, 1),
    (level::IP, ip::MULTICAST_ALL, 1, 0, 1),
    (level::IPV6, ipv6::UNICAST_HOPS, -1, 0, 255),
    (level::IPV6, ipv6::MULTICAST_HOPS, 1, 0, 255),
    (level::IPV6, ipv6::MULTICAST_LOOP, 1, 0, 1),
    (level::IPV6, ipv6::MULTICAST_ALL, 1, 0, 1),
    (level::IPV6, ipv6::RECVPKTINFO, 0, 0, 1),
    (level::IPV6, ipv6::RECVHOPLIMIT, 0, 0, 1),
    (level::IPV6, ipv6::RECVTCLASS, 0, 0, 1),
    (level::IPV6, ipv6::MTU_DISCOVER, 1, 0, 5),
    (level::IPV6, ipv6::RECVERR, 0, 0, 1),
    (level::IPV6, ipv6::V6ONLY, 0, 0, 1),
    (level::IPV6, ipv6::TCLASS, 0, 0, 255),
    (level::TCP, tcp::NODELAY, 0, 0, ANY),
    (level::TCP, tcp::MAXSEG, 536, 0, 32767),
    (level::TCP, tcp::CORK, 0, 0, 1),
    (level::TCP, tcp::KEEPIDLE, 7200, 1, 32767),
    (level::TCP, tcp::KEEPINTVL, 75, 1, 32767),
    (level::TCP, tcp::KEEPCNT, 9, 1, 127),
    (level::TCP, tcp::SYNCNT, 6, 1, 127),
    (level::TCP, tcp::LINGER2, 60, 0, ANY),
    (level::TCP, tcp::DEFER_ACCEPT, 0, 0, ANY),
    (level::TCP, tcp::WINDOW_CLAMP, 0, 0, ANY),
    (level::TCP, tcp::QUICKACK, 1, 0, ANY),
    (level::TCP, tcp::USER_TIMEOUT, 0, 0, ANY),
    (level::TCP, tcp::NOTSENT_LOWAT, -1, -1, ANY),
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
        let &(_, _, first, ..) = find(level, number)?;
        Ok(self.set.lock().get(&(level, number)).copied().unwrap_or(first))
    }

    /// The value of an option of a socket of this version.
    ///
    /// # Errors
    /// `ENOPROTOOPT`; `EOPNOTSUPP` for another level, where Linux says that.
    pub(super) fn of(&self, version: Version, level: u32, number: u32) -> Result<i32> {
        let is_known = matches!(level, level::IP | level::IPV6 | level::TCP);
        if version == Version::V4 && !is_known {
            return Err(Errno::EOPNOTSUPP.because("the socket has no options of that level"));
        }
        self.get(level, number)
    }

    /// Whether an option is set to something other than 0.
    pub(super) fn is_on(&self, level: u32, number: u32) -> bool {
        self.get(level, number).is_ok_and(|value| value != 0)
    }

    /// Sets an option.
    ///
    /// # Errors
    /// `ENOPROTOOPT`; `EINVAL` for a value that it cannot have.
    pub(super) fn set(&self, at: u32, number: u32, value: i32) -> Result<()> {
        let &(_, _, _, least, most) = find(at, number)?;
        // ip(7), ipv6(7): what it was at first.
        if value == -1 && most > 1 && at != level::TCP {
            self.set.lock().remove(&(at, number));
            return Ok(());
        }
        let value = if most == 1 { i32::from(value != 0) } else { value };
        if !(least..=most).contains(&value) {
            return Err(Errno::EINVAL.because("the option cannot be that"));
        }
        self.set.lock().insert((at, number), value);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_option_cannot_be_is_refused() {
        let options = Options::default();
        let set =
            |level, number, value| options.set(level, number, value).map_err(|error| error.errno);
        assert_eq!(set(level::TCP, tcp::KEEPIDLE, 0), Err(Errno::EINVAL));
        assert_eq!(set(level::IP, ip::TTL, 0), Err(Errno::EINVAL));
        assert_eq!(set(level::IP, ip::TTL, 256), Err(Errno::EINVAL));
        assert_eq!(set(level::IP, ip::HDRINCL, 1), Err(Errno::ENOPROTOOPT));
    }

    #[test]
    fn minus_one_is_what_it_was_at_first() {
        let options = Options::default();
        options.set(level::IP, ip::TTL, 3).unwrap();
        assert_eq!(options.get(level::IP, ip::TTL).unwrap(), 3);
        options.set(level::IP, ip::TTL, -1).unwrap();
        assert_eq!(options.get(level::IP, ip::TTL).unwrap(), 64);
    }
}

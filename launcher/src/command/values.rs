//! Values of options: words to what they mean.

use super::options::{Network, Publish, Root, Volume};
use crate::Error;
use crate::escape::escaped_os;
use crate::units;
use std::ffi::{OsStr, OsString};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;
use std::time::Duration;

pub(super) fn usage(error: lexopt::Error) -> Error {
    Error::Usage(escaped_os(&error.to_string()).to_string())
}

pub(super) fn value(parser: &mut lexopt::Parser) -> Result<OsString, Error> {
    parser.value().map_err(usage)
}

pub(super) fn text(option: &str, parser: &mut lexopt::Parser) -> Result<String, Error> {
    value(parser)?
        .into_string()
        .map_err(|bad| Error::Usage(format!("{option}: {} is not UTF-8", escaped_os(&bad))))
}

pub(super) fn choice<T: Copy>(
    option: &str,
    parser: &mut lexopt::Parser,
    choices: &[(&str, T)],
) -> Result<T, Error> {
    named(option, &value(parser)?, choices)
}

pub(super) fn named<T: Copy>(what: &str, word: &OsStr, choices: &[(&str, T)]) -> Result<T, Error> {
    choices.iter().find(|(name, _)| *name == word).map(|(_, choice)| *choice).ok_or_else(|| {
        let names: Vec<_> = choices.iter().map(|(name, _)| *name).collect();
        let word = escaped_os(word);
        Error::Usage(format!("{what} is one of {}, not `{word}`", names.join(", ")))
    })
}

pub(super) fn memory(parser: &mut lexopt::Parser) -> Result<u64, Error> {
    let word = text("--memory", parser)?;
    units::parse_size(&word).filter(|&size| size > 0).ok_or_else(|| {
        let word = escaped_os(&word);
        Error::Usage(format!("--memory wants a size such as 64M or 1G, not `{word}`"))
    })
}

pub(super) fn timeout(parser: &mut lexopt::Parser) -> Result<Duration, Error> {
    let word = text("--timeout", parser)?;
    units::parse_duration(&word).ok_or_else(|| {
        let word = escaped_os(&word);
        Error::Usage(format!("--timeout wants a duration such as 10, 500ms or 2m, not `{word}`"))
    })
}

pub(super) fn working_directory(parser: &mut lexopt::Parser) -> Result<PathBuf, Error> {
    let path = PathBuf::from(value(parser)?);
    if path.is_absolute() {
        return Ok(path);
    }
    let path = escaped_os(&path).to_string();
    Err(Error::Usage(format!("--workdir wants an absolute path in the guest, not `{path}`")))
}

pub(super) fn environment(word: &OsStr) -> Result<(OsString, Option<OsString>), Error> {
    let mut parts = word.as_bytes().splitn(2, |&byte| byte == b'=');
    let name = parts.next().unwrap_or_default();
    let value = parts.next().map(|value| OsString::from_vec(value.to_vec()));
    if name.is_empty() {
        let word = escaped_os(word);
        return Err(Error::Usage(format!("--env wants NAME or NAME=VALUE, not `{word}`")));
    }
    Ok((OsString::from_vec(name.to_vec()), value))
}

pub(super) fn volume(word: &OsStr) -> Result<Volume, Error> {
    let parts: Vec<&OsStr> =
        word.as_bytes().split(|&byte| byte == b':').map(OsStr::from_bytes).collect();
    let shown = escaped_os(word);
    let (host, guest, mode) = match parts[..] {
        [host, guest] => (host, guest, OsStr::new("rw")),
        [host, guest, mode] => (host, guest, mode),
        _ => (OsStr::new(""), OsStr::new(""), OsStr::new("")),
    };
    if host.is_empty() || guest.is_empty() {
        return Err(Error::Usage(format!("--volume wants HOST:GUEST[:ro], not `{shown}`")));
    }
    if mode != "ro" && mode != "rw" {
        return Err(Error::Usage(format!("--volume: the mode of `{shown}` is not `ro` or `rw`")));
    }
    let guest = PathBuf::from(guest);
    if !guest.is_absolute() {
        return Err(Error::Usage(format!(
            "--volume: `{shown}` names no absolute path in the guest"
        )));
    }
    Ok(Volume { host: host.into(), guest, read_only: mode == "ro" })
}

pub(super) fn root(word: &OsStr) -> Result<Root, Error> {
    let (host, read_only) = match word.as_bytes().strip_suffix(b":ro") {
        Some(host) => (OsStr::from_bytes(host), true),
        None => (word, false),
    };
    if host.is_empty() {
        let shown = escaped_os(word);
        return Err(Error::Usage(format!("--rootfs wants a directory, not `{shown}`")));
    }
    Ok(Root { host: host.into(), read_only })
}

/// The longest name of a network device, in bytes (`IFNAMSIZ`, less a NUL).
const DEVICE_NAME_LEN: usize = 15;

pub(super) fn network(parser: &mut lexopt::Parser) -> Result<Network, Error> {
    let word = text("--net", parser)?;
    let is_name = |name: &&str| {
        (1..=DEVICE_NAME_LEN).contains(&name.len())
            && name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b',' && byte != b'/')
    };
    match word.as_str() {
        "user" => Ok(Network::User),
        "none" => Ok(Network::None),
        other => match other.strip_prefix("tap=").filter(is_name) {
            Some(name) => Ok(Network::Tap(name.to_owned())),
            None => {
                let word = escaped_os(&word);
                Err(Error::Usage(format!("--net is user, none or tap=NAME, not `{word}`")))
            }
        },
    }
}

pub(super) fn publish(option: &str, parser: &mut lexopt::Parser) -> Result<Publish, Error> {
    let word = text(option, parser)?;
    parse_publish(&word).ok_or_else(|| {
        let word = escaped_os(&word);
        Error::Usage(format!("--publish wants [IP:]HOST:GUEST[/udp], not `{word}`"))
    })
}

fn parse_publish(word: &str) -> Option<Publish> {
    let (ports, protocol) = word.split_once('/').unwrap_or((word, "tcp"));
    let udp = match protocol {
        "tcp" => false,
        "udp" => true,
        _ => return None,
    };
    let port = |word: &str| word.parse().ok().filter(|&port| port > 0);
    let parts: Vec<&str> = ports.split(':').collect();
    let (ip, host, guest) = match parts[..] {
        [host, guest] => (Ipv4Addr::LOCALHOST, port(host)?, port(guest)?),
        [ip, host, guest] => (ip.parse().ok()?, port(host)?, port(guest)?),
        _ => return None,
    };
    Some(Publish { host: SocketAddrV4::new(ip, host), guest, udp })
}

pub(super) fn address(parser: &mut lexopt::Parser) -> Result<(Ipv4Addr, u8), Error> {
    let word = text("--ip", parser)?;
    let parsed = word.split_once('/').and_then(|(address, len)| {
        let len = len.parse().ok().filter(|&len| len <= 32)?;
        let address: Ipv4Addr = address.parse().ok()?;
        let is_one_machine =
            !(address.is_unspecified() || address.is_multicast() || address.is_broadcast());
        is_one_machine.then_some((address, len))
    });
    parsed.ok_or_else(|| {
        let word = escaped_os(&word);
        Error::Usage(format!("--ip wants an address such as 10.0.0.2/24, not `{word}`"))
    })
}

pub(super) fn ipv4(option: &str, parser: &mut lexopt::Parser) -> Result<Ipv4Addr, Error> {
    let word = text(option, parser)?;
    word.parse().map_err(|_| {
        let word = escaped_os(&word);
        Error::Usage(format!("{option} wants an IPv4 address, not `{word}`"))
    })
}

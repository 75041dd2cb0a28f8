//! Values of options: words to what they mean.

use super::options::{Root, Volume};
use crate::Error;
use crate::escape::escaped_os;
use crate::units;
use std::ffi::{OsStr, OsString};
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
    let word = text(option, parser)?;
    choices.iter().find(|(name, _)| *name == word).map(|(_, choice)| *choice).ok_or_else(|| {
        let names: Vec<_> = choices.iter().map(|(name, _)| *name).collect();
        let word = escaped_os(&word);
        Error::Usage(format!("{option} is one of {}, not `{word}`", names.join(", ")))
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

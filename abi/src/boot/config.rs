//! The configuration of one run: a file in the boot archive.
//!
//! It is a sequence of records `KEY=VALUE\0`. Keys may repeat where stated, the order of
//! repeated keys counts, and an unknown key is an error: both sides are of one version.

use core::fmt;

/// Name of the archive entry that holds the run configuration. The kernel does not show it
/// to the application.
pub const ENTRY: &str = ".birgus/config";

/// Contract version, decimal: the first record.
pub const KEY_VERSION: &str = "version";
/// Path of the program in the guest, absolute.
pub const KEY_PROGRAM: &str = "program";
/// One argument, starting with `argv[0]`; repeats.
pub const KEY_ARGUMENT: &str = "arg";
/// One environment string `NAME=VALUE`; repeats.
pub const KEY_ENVIRONMENT: &str = "env";
/// Working directory in the guest, absolute; `/` when missing.
pub const KEY_WORKING_DIRECTORY: &str = "cwd";
/// Which of the descriptors 0, 1 and 2 are the terminal, e.g. `012`; empty when none.
pub const KEY_TERMINAL: &str = "terminal";
/// Rows and columns of the terminal, decimal: `24x80`.
pub const KEY_WINDOW: &str = "window";
/// `1`: send a trace line for each system call ([`super::channel::Kind::Trace`]).
pub const KEY_TRACE: &str = "trace";
/// Host name of the guest; `birgus` when missing.
pub const KEY_HOST_NAME: &str = "hostname";
/// The address of the machine in the network, as the kernel parameter `ip=` of Linux says it:
/// `CLIENT:SERVER:GATEWAY:NETMASK:NAME:DEVICE:AUTOCONF[:DNS]…`, or `dhcp`, or `off`.
pub const KEY_IP: &str = "ip";
/// A directory of the host (9P2000.L) in the tree: `TAG:MODE:PATH`, where the tag is the name
/// of the device that serves it, the mode `ro` or `rw`, and the path absolute; repeats, in the
/// order in which they are mounted. The path `/` replaces the root directory, before all
/// others.
pub const KEY_MOUNT: &str = "mount";
/// User and group of the host as whom directories of the host are served, decimal:
/// `1000:1000`. They are 0 in the guest, and 0 there is them here; nobody when missing.
pub const KEY_OWNER: &str = "owner";

/// One record of a run configuration.
pub type Record<'a> = (&'a [u8], &'a [u8]);

/// A run configuration that is not a sequence of `KEY=VALUE\0` records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// Byte offset of the bad record.
    pub offset: usize,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the run configuration is malformed at byte {}", self.offset)
    }
}

/// The records of `bytes` in order. Ends after the first malformed one.
pub fn records(bytes: &[u8]) -> impl Iterator<Item = Result<Record<'_>, Malformed>> {
    let mut offset = 0;
    core::iter::from_fn(move || {
        let rest = bytes.get(offset..).filter(|rest| !rest.is_empty())?;
        let malformed = Malformed { offset };
        let parsed = parse(rest);
        offset = parsed.map_or(bytes.len(), |(key, value)| offset + key.len() + value.len() + 2);
        Some(parsed.ok_or(malformed))
    })
}

fn parse(rest: &[u8]) -> Option<Record<'_>> {
    let end = rest.iter().position(|&byte| byte == 0)?;
    let equals = rest[..end].iter().position(|&byte| byte == b'=')?;
    Some((&rest[..equals], &rest[equals + 1..end]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_keep_their_order_and_equals_signs_in_values() {
        let mut found = records(b"arg=a=b\0arg=\0env=X=1\0");
        assert_eq!(found.next(), Some(Ok((&b"arg"[..], &b"a=b"[..]))));
        assert_eq!(found.next(), Some(Ok((&b"arg"[..], &b""[..]))));
        assert_eq!(found.next(), Some(Ok((&b"env"[..], &b"X=1"[..]))));
        assert_eq!(found.next(), None);
    }

    #[test]
    fn a_record_without_end_or_equals_sign_is_malformed_and_the_last() {
        let mut found = records(b"arg=a\0noend=x");
        assert!(found.next().is_some_and(|record| record.is_ok()));
        assert_eq!(found.next(), Some(Err(Malformed { offset: 6 })));
        assert_eq!(found.next(), None);
        assert_eq!(records(b"noequals\0").next(), Some(Err(Malformed { offset: 0 })));
    }
}

//! The configuration of a run, as the kernel reads it ([`abi::boot::config`]).

use super::shared::Mount;
use crate::session::Terminals;
use abi::boot::VERSION;
use abi::boot::config::{
    KEY_ARGUMENT, KEY_ENVIRONMENT, KEY_IP, KEY_MOUNT, KEY_OWNER, KEY_PROGRAM, KEY_TERMINAL,
    KEY_TRACE, KEY_VERSION, KEY_WINDOW, KEY_WORKING_DIRECTORY,
};
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// The configuration of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunConfig {
    /// Path of the program in the guest.
    pub program: PathBuf,
    /// Its arguments, with its name.
    pub arguments: Vec<OsString>,
    /// Its environment.
    pub environment: Vec<(OsString, OsString)>,
    /// Its working directory; `None`: the root.
    pub working_directory: Option<PathBuf>,
    /// Which of its descriptors 0, 1 and 2 are the terminal.
    pub terminals: Terminals,
    /// Rows and columns of the terminal.
    pub window: Option<(u16, u16)>,
    /// Send a trace.
    pub trace: bool,
    /// Its address in the network.
    pub ip: Option<String>,
    /// Directories of the host, in the order in which they are mounted.
    pub mounts: Vec<Mount>,
}

impl RunConfig {
    /// The contents of the archive's entry [`abi::boot::config::ENTRY`].
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        record(&mut out, KEY_VERSION, VERSION.to_string().as_bytes());
        record(&mut out, KEY_PROGRAM, self.program.as_os_str().as_bytes());
        for argument in &self.arguments {
            record(&mut out, KEY_ARGUMENT, argument.as_bytes());
        }
        for (name, value) in &self.environment {
            let text = [name.as_bytes(), b"=", value.as_bytes()].concat();
            record(&mut out, KEY_ENVIRONMENT, &text);
        }
        if let Some(directory) = &self.working_directory {
            record(&mut out, KEY_WORKING_DIRECTORY, directory.as_os_str().as_bytes());
        }
        let digits = (b'0'..).zip(self.terminals).filter(|(_, terminal)| *terminal);
        let digits: Vec<u8> = digits.map(|(digit, _)| digit).collect();
        record(&mut out, KEY_TERMINAL, &digits);
        if let Some((rows, columns)) = self.window {
            record(&mut out, KEY_WINDOW, format!("{rows}x{columns}").as_bytes());
        }
        if self.trace {
            record(&mut out, KEY_TRACE, b"1");
        }
        if let Some(ip) = &self.ip {
            record(&mut out, KEY_IP, ip.as_bytes());
        }
        for Mount { tag, guest, read_only, .. } in &self.mounts {
            let mode = if *read_only { "ro" } else { "rw" };
            let text = [tag.as_bytes(), mode.as_bytes(), guest.as_os_str().as_bytes()];
            record(&mut out, KEY_MOUNT, &text.join(&b':'));
        }
        if !self.mounts.is_empty() {
            let (user, group) = (rustix::process::geteuid(), rustix::process::getegid());
            let text = format!("{}:{}", user.as_raw(), group.as_raw());
            record(&mut out, KEY_OWNER, text.as_bytes());
        }
        out
    }
}

/// Appends a record. Values come from arguments, variables and paths, which have no NUL.
fn record(out: &mut Vec<u8>, key: &str, value: &[u8]) {
    debug_assert!(!value.contains(&0));
    out.extend_from_slice(key.as_bytes());
    out.push(b'=');
    out.extend_from_slice(value);
    out.push(0);
}

#[cfg(test)]
mod tests {
    use super::*;
    use abi::boot::config::records;

    #[test]
    fn the_kernel_reads_what_was_written() {
        let config = RunConfig {
            program: "/bin/prog".into(),
            arguments: vec!["prog".into(), "a=b".into(), "".into()],
            environment: vec![("X".into(), "1=2\n".into())],
            working_directory: Some("/tmp".into()),
            terminals: [true, false, true],
            window: Some((50, 132)),
            trace: true,
            ip: Some("dhcp".into()),
            mounts: vec![Mount {
                tag: "v0".into(),
                host: "/home".into(),
                guest: "/a:b".into(),
                read_only: true,
            }],
        };
        let bytes = config.to_bytes();
        let found: Vec<_> = records(&bytes)
            .map(|record| {
                let (key, value) = record.unwrap();
                format!("{} {}", key.escape_ascii(), value.escape_ascii())
            })
            .collect();
        let (user, group) = (rustix::process::geteuid(), rustix::process::getegid());
        let owner = format!("owner {}:{}", user.as_raw(), group.as_raw());
        let expected = [
            "version 1",
            "program /bin/prog",
            "arg prog",
            "arg a=b",
            "arg ",
            r"env X=1=2\n",
            "cwd /tmp",
            "terminal 02",
            "window 50x132",
            "trace 1",
            "ip dhcp",
            "mount v0:ro:/a:b",
            &owner,
        ];
        assert_eq!(found, expected);
    }
}

//! What to run, and how: from the run configuration of the archive or the command line.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use abi::boot::config::{self, Malformed};
use abi::fs::mount_flags;
use abi::process::UTSNAME_LEN;

use crate::fs::ninep::Owner;
use crate::net::ip::Addressing;
use crate::user::PATH_MAX;

use super::mounts::HostMount;

/// What to run, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Run {
    /// Path of the program, absolute.
    pub(super) program: Vec<u8>,
    /// The arguments, `argv[0]` first.
    pub(super) arguments: Vec<Vec<u8>>,
    /// The environment, as `NAME=VALUE`.
    pub(super) environment: Vec<Vec<u8>>,
    /// The working directory, absolute.
    pub(super) working_directory: Vec<u8>,
    /// Which of the descriptors 0, 1 and 2 are the terminal.
    pub(super) terminal: [bool; 3],
    /// Rows and columns of the terminal, where they are known.
    pub(super) window: Option<(u16, u16)>,
    /// Whether system calls are traced.
    pub(super) is_traced: bool,
    /// The host name, where one is given.
    pub(super) host_name: Option<Vec<u8>>,
    /// The directory of the host that is the root, where one is.
    pub(super) root: Option<HostMount>,
    /// Directories of the host, in the order in which they are mounted.
    pub(super) mounts: Vec<HostMount>,
    /// How the network interface gets its address.
    pub(super) addressing: Addressing,
    /// Who is user 0 on the host.
    pub(super) owner: Owner,
}

/// Why there is nothing to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum BadRun {
    /// The run configuration is no sequence of records.
    Malformed(Malformed),
    /// The launcher speaks another version of the contract.
    Version(String),
    /// A record with an unknown key.
    UnknownKey(String),
    /// A record whose value makes no sense.
    BadValue {
        /// Its key.
        key: &'static str,
        /// The value, escaped.
        value: String,
    },
    /// Neither the archive nor the command line names a program.
    NoProgram,
    /// The path of the program or of the working directory is too long.
    PathTooLong,
}

impl fmt::Display for BadRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(malformed) => malformed.fmt(f),
            Self::Version(version) => write!(
                f,
                "the launcher speaks version {version} of the boot contract, this kernel {}",
                abi::boot::VERSION
            ),
            Self::UnknownKey(key) => write!(f, "the run configuration has an unknown key {key}"),
            Self::BadValue { key, value } => {
                write!(f, "the run configuration says {key}={value}, which makes no sense")
            }
            Self::NoProgram => f.write_str(
                "there is nothing to run: neither a run configuration nor init= names a program",
            ),
            Self::PathTooLong => write!(f, "a path has {PATH_MAX} bytes or more"),
        }
    }
}

impl Run {
    /// A run of this program, without arguments, in `/`.
    pub(super) fn new(program: &[u8]) -> Self {
        Self {
            program: program.to_vec(),
            arguments: Vec::new(),
            environment: Vec::new(),
            working_directory: b"/".to_vec(),
            terminal: [false; 3],
            window: None,
            is_traced: false,
            host_name: None,
            root: None,
            mounts: Vec::new(),
            addressing: Addressing::default(),
            owner: Owner::default(),
        }
    }

    /// What the run configuration of the archive says.
    ///
    /// # Errors
    /// [`BadRun`] names the record that is wrong.
    pub(super) fn from_configuration(bytes: &[u8]) -> Result<Self, BadRun> {
        let mut records = config::records(bytes);
        let first = records.next().ok_or(BadRun::NoProgram)?.map_err(BadRun::Malformed)?;
        let version = abi::boot::VERSION.to_string();
        if first != (config::KEY_VERSION.as_bytes(), version.as_bytes()) {
            return Err(BadRun::Version(first.1.escape_ascii().to_string()));
        }
        let mut run = Self::new(b"");
        for record in records {
            let (key, value) = record.map_err(BadRun::Malformed)?;
            run.set(key, value)?;
        }
        if run.program.is_empty() {
            return Err(BadRun::NoProgram);
        }
        Ok(run)
    }

    fn set(&mut self, key: &[u8], value: &[u8]) -> Result<(), BadRun> {
        let key = core::str::from_utf8(key).unwrap_or("");
        match key {
            config::KEY_PROGRAM => self.program = path(config::KEY_PROGRAM, value)?,
            config::KEY_ARGUMENT => self.arguments.push(value.to_vec()),
            config::KEY_ENVIRONMENT => self.environment.push(value.to_vec()),
            config::KEY_WORKING_DIRECTORY => {
                self.working_directory = path(config::KEY_WORKING_DIRECTORY, value)?;
            }
            config::KEY_TERMINAL => self.terminal = terminal(value)?,
            config::KEY_WINDOW => self.window = Some(window(value)?),
            config::KEY_TRACE => self.is_traced = flag(value)?,
            config::KEY_HOST_NAME => {
                if value.len() >= UTSNAME_LEN {
                    return Err(bad_value(config::KEY_HOST_NAME, value));
                }
                self.host_name = Some(value.to_vec());
            }
            config::KEY_MOUNT => self.add_mount(value)?,
            config::KEY_IP => {
                let word = core::str::from_utf8(value).ok().and_then(Addressing::parse);
                self.addressing = word.ok_or_else(|| bad_value(config::KEY_IP, value))?;
            }
            config::KEY_OWNER => self.owner = owner(value)?,
            _ => return Err(BadRun::UnknownKey(key.escape_debug().to_string())),
        }
        Ok(())
    }
}

impl Run {
    fn add_mount(&mut self, value: &[u8]) -> Result<(), BadRun> {
        let bad = || bad_value(config::KEY_MOUNT, value);
        let mut parts = value.splitn(3, |&byte| byte == b':');
        let (Some(tag), Some(mode), Some(at)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(bad());
        };
        let flags = match mode {
            b"rw" => 0,
            b"ro" => mount_flags::ST_RDONLY,
            _ => return Err(bad()),
        };
        let mount = HostMount { tag: tag.to_vec(), flags, path: path(config::KEY_MOUNT, at)? };
        match at {
            b"/" if self.root.is_some() => return Err(bad()),
            b"/" => self.root = Some(mount),
            _ => self.mounts.push(mount),
        }
        Ok(())
    }
}

fn owner(value: &[u8]) -> Result<Owner, BadRun> {
    let text = core::str::from_utf8(value).unwrap_or("");
    let numbers = text.split_once(':');
    numbers
        .and_then(|(user, group)| {
            Some(Owner { user: user.parse().ok()?, group: group.parse().ok()? })
        })
        .ok_or_else(|| bad_value(config::KEY_OWNER, value))
}

fn bad_value(key: &'static str, value: &[u8]) -> BadRun {
    BadRun::BadValue { key, value: value.escape_ascii().to_string() }
}

fn path(key: &'static str, value: &[u8]) -> Result<Vec<u8>, BadRun> {
    if value.len() >= PATH_MAX {
        return Err(BadRun::PathTooLong);
    }
    if value.first() != Some(&b'/') {
        return Err(bad_value(key, value));
    }
    Ok(value.to_vec())
}

fn terminal(value: &[u8]) -> Result<[bool; 3], BadRun> {
    let mut terminal = [false; 3];
    for digit in value {
        let descriptor = usize::from(digit.wrapping_sub(b'0'));
        *terminal.get_mut(descriptor).ok_or_else(|| bad_value(config::KEY_TERMINAL, value))? = true;
    }
    Ok(terminal)
}

fn window(value: &[u8]) -> Result<(u16, u16), BadRun> {
    let text = core::str::from_utf8(value).unwrap_or("");
    let sides = text.split_once('x');
    sides
        .and_then(|(rows, columns)| Some((rows.parse().ok()?, columns.parse().ok()?)))
        .ok_or_else(|| bad_value(config::KEY_WINDOW, value))
}

fn flag(value: &[u8]) -> Result<bool, BadRun> {
    match value {
        b"0" => Ok(false),
        b"1" => Ok(true),
        _ => Err(bad_value(config::KEY_TRACE, value)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_configuration_is_read_completely() {
        let run = Run::from_configuration(
            b"version=1\0program=/bin/x\0arg=x\0arg=-a b\0env=A=1\0cwd=/tmp\0terminal=02\0\
              window=24x80\0trace=1\0hostname=crab\0\
              mount=v0:ro:/data:x\0mount=root:rw:/\0owner=1000:100\0",
        )
        .unwrap();
        assert_eq!(run.program, b"/bin/x");
        assert_eq!(run.arguments, [&b"x"[..], b"-a b"]);
        assert_eq!(run.environment, [b"A=1"]);
        assert_eq!(run.working_directory, b"/tmp");
        assert_eq!(run.terminal, [true, false, true]);
        assert_eq!(run.window, Some((24, 80)));
        assert!(run.is_traced);
        let mount = |tag: &[u8], flags, path: &[u8]| HostMount {
            tag: tag.to_vec(),
            flags,
            path: path.to_vec(),
        };
        assert_eq!(run.mounts, [mount(b"v0", mount_flags::ST_RDONLY, b"/data:x")]);
        assert_eq!(run.root, Some(mount(b"root", 0, b"/")));
        assert_eq!(run.owner, Owner { user: 1000, group: 100 });
        assert_eq!(run.host_name.as_deref(), Some(&b"crab"[..]));
    }

    #[test]
    fn a_wrong_run_configuration_is_named() {
        let error = |bytes: &[u8]| Run::from_configuration(bytes).unwrap_err();
        assert_eq!(error(b"version=99\0"), BadRun::Version("99".into()));
        assert_eq!(error(b""), BadRun::NoProgram);
        assert_eq!(error(b"version=1\0"), BadRun::NoProgram);
        assert_eq!(error(b"version=1\0color=red\0"), BadRun::UnknownKey("color".into()));
        assert!(matches!(error(b"version=1\0program=x\0"), BadRun::BadValue { .. }));
        assert!(matches!(error(b"version=1\0terminal=3\0"), BadRun::BadValue { .. }));
        assert!(matches!(error(b"version=1\0window=24\0"), BadRun::BadValue { .. }));
        assert!(matches!(error(b"version=1\0window=1x70000\0"), BadRun::BadValue { .. }));
        for bad in [&b"x"[..], b"x:/", b"x:rx:/", b"x:rw:data"] {
            let bytes = [b"version=1\0mount=", bad, b"\0"].concat();
            assert!(matches!(error(&bytes), BadRun::BadValue { .. }));
        }
        assert!(matches!(error(b"version=1\0owner=0\0"), BadRun::BadValue { .. }));
        assert!(matches!(error(b"version=1\0torn"), BadRun::Malformed(_)));
        let mut long = b"version=1\0program=/".to_vec();
        long.resize(long.len() + PATH_MAX, b'a');
        long.push(0);
        assert_eq!(error(&long), BadRun::PathTooLong);
    }
}

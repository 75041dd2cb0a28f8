//! The network of our own monitor: through passt, as the user, or a TAP device.
//!
//! passt (<https://passt.top>) does what QEMU's user network does, in a process of its own
//! over a socket pair; it is told the same addresses.

use super::Machine;
use super::process;
use crate::Error;
use crate::command::options::{Network, Publish};
use crate::image::user_network::{ADDRESS, GATEWAY, NAME_SERVER, PREFIX_LEN};
use crate::vmm::options::LinkKind;
use rustix::fs::{Mode, OFlags};
use std::ffi::c_short;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// The program that is looked for in `PATH`.
const PROGRAM: &str = "passt";

/// What to say where it is not there.
pub const MISSING: &str = "passt is not installed: on Debian and Ubuntu `apt install passt`";

/// The network of a machine.
#[derive(Default)]
pub(super) struct Prepared {
    /// What the monitor reads frames from and writes them to.
    pub(super) device: Option<(LinkKind, OwnedFd)>,
    /// The process at the other end.
    pub(super) helper: Option<Helper>,
    /// What the user may want to know.
    pub(super) note: Option<String>,
}

/// passt, to be started.
pub(super) struct Helper {
    command: Command,
    socket: OwnedFd,
}

/// Gets hold of the network; [`Error::NoKvm`] where there is none, and another engine has one.
pub(super) fn prepare(machine: &Machine) -> Result<Prepared, Error> {
    match &machine.network {
        Network::None => Ok(Prepared::default()),
        Network::Tap(name) => {
            let tap = open_tap(name)
                .map_err(|error| Error::io(format_args!("--net tap={name}"), &error))?;
            Ok(Prepared { device: Some((LinkKind::Tap, tap)), ..Prepared::default() })
        }
        Network::User => user(machine),
    }
}

fn user(machine: &Machine) -> Result<Prepared, Error> {
    let Some(program) = find() else {
        if !machine.published.is_empty() {
            return Err(Error::NoKvm(format!("it cannot pass ports on, because {MISSING}")));
        }
        let note = format!("the program has no network: {MISSING}");
        return Ok(Prepared { note: Some(note), ..Prepared::default() });
    };
    let (ours, theirs) =
        UnixStream::pair().map_err(|error| Error::io("cannot connect to passt", &error))?;
    let socket = OwnedFd::from(theirs);
    let mut command = Command::new(program);
    command
        .args(["-f", "-q", "-F", &socket.as_raw_fd().to_string()])
        .args(["-a", &ADDRESS.to_string(), "-n", &PREFIX_LEN.to_string()])
        .args(["-g", &GATEWAY.to_string(), "--dns-forward", &NAME_SERVER.to_string()])
        .args(machine.published.iter().flat_map(published))
        .stdout(Stdio::null());
    let device = Some((LinkKind::Stream, OwnedFd::from(ours)));
    Ok(Prepared { device, helper: Some(Helper { command, socket }), note: None })
}

fn published(port: &Publish) -> [String; 2] {
    let option = if port.udp { "-u" } else { "-t" };
    [option.to_owned(), format!("{}/{}:{}", port.host.ip(), port.host.port(), port.guest)]
}

/// Where passt is.
#[must_use]
pub fn find() -> Option<PathBuf> {
    super::find_program(PROGRAM)
}

impl Helper {
    /// Starts it. It ends with this process, and when the monitor closes its socket.
    pub(super) fn start(mut self) -> Result<Child, Error> {
        process::spawn(&mut self.command, &[self.socket.as_fd()])
            .map_err(|error| Error::io(format_args!("cannot start {PROGRAM}"), &error))
    }
}

/// A random address of those that QEMU uses, because several machines may be at one bridge.
pub(crate) fn hardware_address() -> [u8; 6] {
    let mut address = [0x52, 0x54, 0, 0, 0, 0];
    // Only very early after the start of a host is there none.
    let _ = rustix::rand::getrandom(&mut address[3..], rustix::rand::GetRandomFlags::empty());
    address
}

/// Takes the TAP device `name` (Linux, Documentation/networking/tuntap.rst).
fn open_tap(name: &str) -> io::Result<OwnedFd> {
    let flags = OFlags::RDWR | OFlags::CLOEXEC;
    let device = rustix::fs::open("/dev/net/tun", flags, Mode::empty())?;
    // SAFETY: of zeros, it is a valid request.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    let room = request.ifr_name.len() - 1;
    for (slot, byte) in request.ifr_name.iter_mut().zip(name.bytes().take(room)) {
        *slot = byte.cast_signed();
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_TAP | libc::IFF_NO_PI) as c_short;
    // SAFETY: the request is what this ioctl reads and writes.
    match unsafe { libc::ioctl(device.as_raw_fd(), libc::TUNSETIFF, &raw mut request) } {
        0 => Ok(device),
        _ => Err(io::Error::last_os_error()),
    }
}

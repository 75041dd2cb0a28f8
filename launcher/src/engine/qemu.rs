//! QEMU as the engine, with its own instruction emulator (TCG).
//!
//! Nothing of the run stays on the host's disks: kernel and archive are memory files that
//! QEMU inherits, the control channel is a socket pair. QEMU gets none of the environment,
//! none of the other descriptors, no terminal, and dies with the process that started it.

use super::Machine;
use super::process::{self, Care, Process};
use crate::Error;
use crate::command::options::{MachineKind, Network, Publish};
use crate::image::Mount;
use crate::units::MIB;
use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The program that is looked for in `PATH`.
pub const PROGRAM: &str = "qemu-system-x86_64";

/// What it is called in messages.
const NAME: &str = "QEMU";

/// How to get it, for messages.
pub const INSTALL_HINT: &str =
    "on Debian and Ubuntu `apt install qemu-system-x86`, on Fedora `dnf install qemu-system-x86`";

/// The `microvm` machine: what the kernel uses, and the port for its last words. It finds its
/// devices by words on its command line, so it needs no ACPI; the time of day comes over the
/// control channel.
const MICROVM: &str = "microvm,acpi=off,rtc=off,pit=on,pic=on,isa-serial=on";

/// The `q35` machine: a PC, with its devices on PCI.
const Q35: &str = "q35,smbus=off,sata=off,vmport=off";

/// The emulated processor: everything that TCG can do.
const CPU: &str = "max";

/// What QEMU may no longer do once it runs (seccomp).
const SANDBOX: &str = "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny";

/// Finds QEMU in the host's `PATH`.
#[must_use]
pub fn find() -> Option<PathBuf> {
    super::find_program(PROGRAM)
}

/// Starts the machine. To be called on the main thread, with whose end QEMU ends.
///
/// # Errors
/// QEMU is not installed or cannot be started.
pub fn start(machine: &Machine) -> Result<Process, Error> {
    let program = find()
        .ok_or_else(|| Error::Failed(format!("{PROGRAM} is not installed: {INSTALL_HINT}")))?;
    let cannot = |error| Error::io(format_args!("cannot start {}", program.display()), &error);
    let (control, theirs) = UnixStream::pair().map_err(cannot)?;
    let theirs = OwnedFd::from(theirs);
    let mut process = command(&program, machine, &theirs);
    let inherited = [machine.kernel.as_fd(), machine.archive.as_fd(), theirs.as_fd()];
    let child = process::spawn(&mut process, &inherited).map_err(cannot)?;
    let mut process = Process::new(NAME, child, control);
    let is_public = machine.published.iter().any(|port| !port.udp);
    process.care = Some(Care { channel: theirs.as_raw_fd(), is_public });
    Ok(process)
}

fn command(program: &Path, machine: &Machine, control: &OwnedFd) -> Command {
    let (name, bus) = match machine.kind {
        MachineKind::Microvm => (MICROVM, "device"),
        MachineKind::Q35 => (Q35, "pci"),
    };
    let file = |fd: &OwnedFd| format!("/proc/self/fd/{}", fd.as_raw_fd());
    let mut command = Command::new(program);
    command
        .args(["-machine", name, "-accel", "tcg", "-cpu", CPU])
        .args(["-global", "virtio-mmio.force-legacy=false"])
        .args(["-m", &format!("{}M", machine.memory.div_ceil(MIB))])
        .args(["-kernel", &file(&machine.kernel), "-initrd", &file(&machine.archive)])
        .args(["-append", &machine.command_line])
        .args(["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"])
        .args(["-sandbox", SANDBOX])
        .args(["-chardev", &format!("socket,id=control,fd={}", control.as_raw_fd())])
        .args(["-device", &format!("virtio-serial-{bus},max_ports=1")])
        .args(["-device", "virtconsole,chardev=control"])
        .args(["-device", &format!("virtio-rng-{bus}")])
        .args(network(machine, bus))
        .args(machine.mounts.iter().flat_map(|mount| serve(mount, bus)))
        .args(["-chardev", "stdio,id=serial,signal=off", "-serial", "chardev:serial"])
        .stdout(Stdio::piped());
    command
}

/// The words for a network device.
fn network(machine: &Machine, bus: &str) -> Vec<String> {
    let (netdev, address) = match &machine.network {
        Network::None => return Vec::new(),
        Network::User => {
            let rule = |Publish { host, guest, udp }: &Publish| {
                let protocol = if *udp { "udp" } else { "tcp" };
                format!(",hostfwd={protocol}:{}:{}-:{guest}", host.ip(), host.port())
            };
            let rules: String = machine.published.iter().map(rule).collect();
            (format!("user,id=net{rules}"), String::new())
        }
        Network::Tap(name) => {
            let address = super::link::hardware_address().map(|byte| format!("{byte:02x}"));
            let netdev = format!("tap,id=net,ifname={name},script=no,downscript=no");
            (netdev, format!(",mac={}", address.join(":")))
        }
    };
    let device = format!("virtio-net-{bus},netdev=net{address}");
    ["-netdev".to_owned(), netdev, "-device".to_owned(), device].into()
}

/// The words that make QEMU serve a directory of the host. It does so as the user who started
/// it; symbolic links are the guest's business: QEMU follows none.
fn serve(mount: &Mount, bus: &str) -> [OsString; 4] {
    let tag = &mount.tag;
    let mut server = OsString::from(format!(
        "local,id={tag},security_model=none,multidevs=remap,readonly={},path=",
        if mount.read_only { "on" } else { "off" }
    ));
    // A comma ends a value, and two of them are one.
    let path = mount.host.as_os_str().as_bytes();
    let parts: Vec<&[u8]> = path.split(|&byte| byte == b',').collect();
    server.push(OsStr::from_bytes(&parts.join(&b",,"[..])));
    let device = format!("virtio-9p-{bus},fsdev={tag},mount_tag={tag}");
    ["-fsdev".into(), server, "-device".into(), device.into()]
}

//! QEMU as the engine, with its own instruction emulator (TCG).
//!
//! Nothing of the run stays on the host's disks: kernel and archive are memory files that
//! QEMU inherits, the control channel is a socket pair. QEMU gets none of the environment,
//! none of the other descriptors, no terminal, and dies with the process that started it.

use super::{Machine, PostMortem, Vm, descriptors};
use crate::Error;
use crate::command::options::{MachineKind, Network, Publish};
use crate::error::reason;
use crate::image::Mount;
use crate::units::MIB;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::FdFlags;
use rustix::process::{self, Pid, Signal};
use std::ffi::{OsStr, OsString};
use std::io::{self, Read};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// The program that is looked for in `PATH`.
pub const PROGRAM: &str = "qemu-system-x86_64";

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

/// How much of QEMU's own words, and of the serial port's, is kept, in bytes: the last ones.
const WORDS_KEPT: usize = 16 * 1024;

/// How long QEMU may take to end after it has closed its channel.
const LAST_BREATH: Duration = Duration::from_secs(1);

/// A virtual machine in a QEMU process.
#[derive(Debug)]
pub struct Qemu {
    child: Child,
    control: UnixStream,
    stderr: Option<JoinHandle<Vec<u8>>>,
    serial: Option<JoinHandle<Vec<u8>>>,
    /// Connections come to it from the host.
    is_public: bool,
    /// Its end of the channel, a descriptor of its own.
    channel: RawFd,
    ended: Option<PostMortem>,
}

/// Finds QEMU in the host's `PATH`.
#[must_use]
pub fn find() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(PROGRAM)).find(|file| {
        file.is_file() && rustix::fs::access(file, rustix::fs::Access::EXEC_OK).is_ok()
    })
}

/// Starts the machine. To be called on the main thread, with whose end QEMU ends.
///
/// # Errors
/// QEMU is not installed or cannot be started.
pub fn start(machine: Machine) -> Result<Qemu, Error> {
    let program = find()
        .ok_or_else(|| Error::Failed(format!("{PROGRAM} is not installed: {INSTALL_HINT}")))?;
    let cannot = |error| Error::io(format_args!("cannot start {}", program.display()), &error);
    let (control, theirs) = UnixStream::pair().map_err(cannot)?;
    let theirs = OwnedFd::from(theirs);
    let mut command = command(&program, &machine, &theirs);
    let channel = theirs.as_raw_fd();
    let is_public = machine.published.iter().any(|port| !port.udp);
    inherit(&mut command, vec![machine.kernel, machine.archive, theirs]);
    let mut child = command.spawn().map_err(cannot)?;
    // Our copies of what QEMU inherited close here: its end of the channel above all, or we
    // would never see it close.
    drop(command);
    let stderr = child.stderr.take().map(keep_last_words);
    let serial = child.stdout.take().map(keep_last_words);
    Ok(Qemu { child, control, stderr, serial, is_public, channel, ended: None })
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
        .current_dir("/")
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// The words for a network device.
fn network(machine: &Machine, bus: &str) -> Vec<String> {
    let (netdev, address) = match &machine.network {
        Network::None => return Vec::new(),
        Network::User => {
            let rule = |port: &Publish| {
                let protocol = if port.udp { "udp" } else { "tcp" };
                format!(
                    ",hostfwd={protocol}:{}:{}-:{}",
                    port.host.ip(),
                    port.host.port(),
                    port.guest
                )
            };
            let rules: String = machine.published.iter().map(rule).collect();
            (format!("user,id=net{rules}"), String::new())
        }
        // Several machines may be at one bridge: each has an address of its own.
        Network::Tap(name) => {
            let [a, b, c] = random_bytes();
            (
                format!("tap,id=net,ifname={name},script=no,downscript=no"),
                format!(",mac=52:54:00:{a:02x}:{b:02x}:{c:02x}"),
            )
        }
    };
    let device = format!("virtio-net-{bus},netdev=net{address}");
    ["-netdev".to_owned(), netdev, "-device".to_owned(), device].into()
}

fn random_bytes() -> [u8; 3] {
    let mut bytes = [0; 3];
    // Only very early after the start of a host are there none.
    let _ = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
    bytes
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

/// Makes the child a session of its own (so that the terminal's signals do not reach it) that
/// dies with this process and inherits `descriptors` and no others.
fn inherit(command: &mut Command, descriptors: Vec<OwnedFd>) {
    let parent = process::getpid();
    let prepare = move || {
        process::setsid()?;
        process::set_parent_process_death_signal(Some(Signal::KILL))?;
        if process::getppid() != Some(parent) {
            // The parent died before it could be watched.
            return Err(io::Error::from(io::ErrorKind::NotFound));
        }
        // SAFETY: close_range(2) with this flag only marks descriptors; it touches no memory.
        let marked = unsafe {
            libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC)
        };
        // Kernels before 5.11 do not have it. All of our own descriptors are marked anyway.
        let _ = marked;
        for descriptor in &descriptors {
            rustix::io::fcntl_setfd(descriptor, FdFlags::empty())?;
        }
        Ok(())
    };
    // SAFETY: between fork and exec the closure makes system calls only: it allocates
    // nothing and takes no lock.
    unsafe { command.pre_exec(prepare) };
}

/// Reads to the end on a thread of its own, and keeps what came last.
fn keep_last_words(mut from: impl Read + Send + 'static) -> JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let (mut kept, mut buffer) = (Vec::new(), [0; 4096]);
        while let Ok(len @ 1..) = from.read(&mut buffer) {
            kept.extend_from_slice(&buffer[..len]);
            if kept.len() > 2 * WORDS_KEPT {
                kept.drain(..kept.len() - WORDS_KEPT);
            }
        }
        kept.drain(..kept.len().saturating_sub(WORDS_KEPT));
        kept
    })
}

impl Qemu {
    /// The process id of QEMU.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    fn pid(&self) -> Option<Pid> {
        i32::try_from(self.child.id()).ok().and_then(Pid::from_raw)
    }

    fn send(&self, signal: Signal) {
        if self.ended.is_none()
            && let Some(pid) = self.pid()
        {
            // It can only fail when QEMU is dead already, which its channel tells.
            let _ = process::kill_process(pid, signal);
        }
    }

    /// How QEMU ended by itself, if it did. Its channel closes a moment before it can be
    /// waited for.
    fn own_end(&mut self) -> Option<String> {
        let gone =
            poll(&mut [PollFd::new(&self.control, PollFlags::empty())], Some(&Timespec::default()))
                .is_ok_and(|hung_up| hung_up > 0);
        let until = Instant::now() + if gone { LAST_BREATH } else { Duration::ZERO };
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) => return Some(words_for(status)),
                Ok(None) if Instant::now() < until => thread::sleep(Duration::from_millis(2)),
                Ok(None) => return None,
                Err(error) => return Some(reason(&error)),
            }
        }
    }
}

fn words_for(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(signal)) => format!("killed by signal {signal}"),
        (None, None) => "ended".to_owned(),
    }
}

impl Vm for Qemu {
    fn control(&self) -> io::Result<UnixStream> {
        self.control.try_clone()
    }

    fn has_booted(&mut self) {
        let Some(pid) = self.pid() else { return };
        // Where the host does not allow these, a busy one may lose output, and bursts of
        // connections take longer.
        let _ = descriptors::let_wait(pid, self.channel);
        if self.is_public {
            let _ = descriptors::widen_backlogs(pid);
        }
    }

    fn suspend(&mut self) {
        self.send(Signal::STOP);
    }

    fn resume(&mut self) {
        self.send(Signal::CONT);
    }

    fn end(&mut self) -> PostMortem {
        if let Some(known) = &self.ended {
            return known.clone();
        }
        let status = self.own_end();
        // Killing fails only where there is nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let words = |thread: Option<JoinHandle<Vec<u8>>>| {
            thread.and_then(|thread| thread.join().ok()).unwrap_or_default()
        };
        let known = PostMortem {
            status,
            engine: words(self.stderr.take()),
            serial: words(self.serial.take()),
        };
        self.ended.insert(known).clone()
    }
}

impl Drop for Qemu {
    fn drop(&mut self) {
        self.end();
    }
}

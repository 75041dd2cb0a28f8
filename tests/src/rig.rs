//! The nested rig: a machine with a `/dev/kvm` that works, on any host.
//!
//! QEMU emulates a processor with virtualisation (`-cpu max`), which boots Debian's cloud
//! kernel with its KVM modules; in it, `birgus` runs on KVM for real, slowly. What it says comes
//! over the serial port, between two marks.

mod archive;

use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use crate::{birgus, target_directory};
use archive::Archive;

/// Debian's package that depends on the newest kernel for virtual machines.
const META_PACKAGE: &str = "linux-image-cloud-amd64";

/// Its modules, in the order of their dependencies.
const MODULES: [&str; 4] = [
    "virt/lib/irqbypass.ko",
    "arch/x86/kvm/kvm.ko",
    "arch/x86/kvm/kvm-amd.ko",
    "drivers/net/tun.ko",
];

/// Memory of the rig, in MiB: files of the archive are in it twice while it boots.
const MEMORY_MIB: u32 = 2048;

/// How fast the rig's clock goes: by 4 ns (2^2) with each instruction, and to the next event where
/// there is none. So what happens in the rig, and in machines in it, does not depend on how busy
/// the host is, and to wait takes no time.
const CLOCK: &str = "shift=2,sleep=off";

/// The kernel's command line. With such a clock the TSC counts nanoseconds; measuring it is left
/// to nobody: a kernel that comes to no result does so in silence, and KVM never enters a guest.
const COMMAND_LINE: &str = "console=ttyS0 quiet loglevel=0 mitigations=off panic=-1 \
    tsc_early_khz=1000000 tsc=reliable";

/// The processor. QEMU 7.2 does not tell a hypervisor in it that a guest sets XCR0 (it has no
/// intercept of `xsetbv`), so guests do without XSAVE.
const CPU: &str = "max,xsave=off";

/// Before and after what the script says.
const BEGIN: &[u8] = b"\x01rig begins\n";
const END: &[u8] = b"\x01rig ends ";

/// What the script's status is when the rig has no `/dev/kvm`.
const NO_KVM: i32 = 97;

const INIT: &str = r#"#!/bin/busybox sh
export PATH=/bin:/usr/bin HOME=/root
if [ ! -e /moved ]; then
    # The root of an initial RAM file system cannot be exchanged, which sandboxes do.
    /bin/busybox mkdir /new && /bin/busybox mount -t tmpfs new /new
    for entry in /*; do [ $entry = /new ] || /bin/busybox cp -a $entry /new; done
    : >/new/moved
    exec /bin/busybox switch_root -c /dev/console /new /init
fi
/bin/busybox mkdir -p /proc /sys /dev /tmp /root /etc /usr/bin
/bin/busybox --install -s /bin
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
chmod 1777 /tmp; ip link set lo up
printf '%s\n' root:x:0:0::/root:/bin/sh nobody:x:65534:65534::/:/bin/false >/etc/passwd
exec </dev/ttyS0 >/dev/ttyS0 2>&1
stty raw -echo
for module in /modules/*; do insmod $module; done
printf '\001rig begins\n'
if [ -c /dev/kvm ]; then sh /script </dev/null; else (exit 97); fi
printf '\001rig ends %d\n' $?
reboot -f
"#;

/// A file of the host, which comes with its libraries, or a directory, and where it is in the rig.
pub type Brought = (PathBuf, String);

/// How a script in the rig ended.
#[derive(Debug)]
pub struct Ended {
    /// Its exit status.
    pub status: i32,
    /// What it wrote.
    pub output: Vec<u8>,
}

/// Boots the rig with `birgus` and these files in it, and runs `script`, of busybox's shell.
/// What it writes also goes to `show`, as it comes.
///
/// # Errors
/// The kernel cannot be had; the rig does not boot, has no KVM or does not end in time.
pub fn run(
    files: &[Brought],
    script: &str,
    limit: Duration,
    show: &mut dyn Write,
) -> io::Result<Ended> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let kernel = kernel()?;
    let archive = archive(&kernel, files, script)?;
    let image = target_directory().join(format!("rig/initrd-{}", std::process::id()));
    fs::write(&image, archive)?;
    let mut child = Command::new("qemu-system-x86_64")
        .args(["-machine", "microvm,acpi=off", "-accel", "tcg", "-cpu", CPU])
        .args(["-icount", CLOCK])
        .args(["-m", &MEMORY_MIB.to_string(), "-nodefaults", "-no-user-config"])
        .args(["-display", "none", "-no-reboot", "-serial", "stdio"])
        .args(["-append", COMMAND_LINE])
        .arg("-kernel")
        .arg(&kernel.image)
        .arg("-initrd")
        .arg(&image)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let output = listen(&mut child, limit, show);
    // It may have ended by itself.
    let _ = child.kill();
    child.wait()?;
    fs::remove_file(&image)?;
    conclude(&output?)
}

/// Collects what comes over the serial port, until the end of it or of the time.
fn listen(child: &mut Child, limit: Duration, show: &mut dyn Write) -> io::Result<Vec<u8>> {
    let mut serial = child.stdout.take().expect("standard output is a pipe");
    let (sender, parts) = mpsc::channel();
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(len @ 1..) = serial.read(&mut buffer) {
            if sender.send(buffer[..len].to_vec()).is_err() {
                return;
            }
        }
    });
    let until = Instant::now() + limit;
    let (mut all, mut shown) = (Vec::new(), 0);
    loop {
        match parts.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(part) => all.extend(part),
            Err(mpsc::RecvTimeoutError::Disconnected) => return Ok(all),
            Err(mpsc::RecvTimeoutError::Timeout) => {
                let said = String::from_utf8_lossy(&all).into_owned();
                return Err(io::Error::other(format!("the rig does not end; it said:\n{said}")));
            }
        }
        if let Some((output, end)) = split(&all) {
            show.write_all(&output[shown.min(output.len())..])?;
            show.flush()?;
            shown = output.len().max(shown);
            if end.is_some_and(|status| status.contains(&b'\n')) {
                // Nobody waits for it to shut down.
                return Ok(all);
            }
        }
    }
}

/// What the script wrote so far, and what follows its end.
fn split(all: &[u8]) -> Option<(&[u8], Option<&[u8]>)> {
    let find = |bytes: &[u8], mark: &[u8]| bytes.windows(mark.len()).position(|w| w == mark);
    let output = &all[find(all, BEGIN)? + BEGIN.len()..];
    Some(match find(output, END) {
        Some(end) => (&output[..end], Some(&output[end + END.len()..])),
        None => (output, None),
    })
}

fn conclude(all: &[u8]) -> io::Result<Ended> {
    let lost = || {
        let said = String::from_utf8_lossy(all).into_owned();
        io::Error::other(format!("the rig did not run its script; it said:\n{said}"))
    };
    let Some((output, Some(rest))) = split(all) else { return Err(lost()) };
    let line = rest.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let status = str::from_utf8(line).ok().and_then(|word| word.trim().parse().ok());
    match status.ok_or_else(lost)? {
        NO_KVM => Err(io::Error::other("the rig has no /dev/kvm")),
        status => Ok(Ended { status, output: output.to_vec() }),
    }
}

/// A kernel with its modules.
struct Kernel {
    image: PathBuf,
    modules: Vec<PathBuf>,
}

/// Fetches Debian's kernel once, with apt and without installing it.
fn kernel() -> io::Result<Kernel> {
    let place = target_directory().join("rig");
    let root = place.join("root");
    if !root.join("boot").is_dir() {
        fs::create_dir_all(&place)?;
        let depends = output(Command::new("apt-cache").args(["depends", META_PACKAGE]))?;
        let package = depends
            .split_whitespace()
            .find(|word| word.starts_with("linux-image-") && *word != META_PACKAGE)
            .ok_or_else(|| io::Error::other(format!("apt knows no {META_PACKAGE}")))?;
        output(Command::new("apt-get").args(["download", package]).current_dir(&place))?;
        let archive = only(&place, |name| name.starts_with(package) && name.ends_with(".deb"))?;
        let unpacked = place.join("unpacked");
        output(Command::new("dpkg-deb").arg("-x").arg(archive).arg(&unpacked))?;
        fs::rename(unpacked, &root)?;
    }
    let modules = only(&root.join("lib/modules"), |_| true)?.join("kernel");
    Ok(Kernel {
        image: only(&root.join("boot"), |name| name.starts_with("vmlinuz-"))?,
        modules: MODULES.iter().map(|name| modules.join(name)).collect(),
    })
}

fn only(directory: &Path, fits: impl Fn(&str) -> bool) -> io::Result<PathBuf> {
    let found =
        fs::read_dir(directory)?.flatten().find(|e| e.file_name().to_str().is_some_and(&fits));
    let missing = || io::Error::other(format!("nothing fits in {}", directory.display()));
    found.map(|entry| entry.path()).ok_or_else(missing)
}

/// What a command writes; an error when it fails.
fn output(command: &mut Command) -> io::Result<String> {
    let done = command.stderr(Stdio::inherit()).output()?;
    match done.status.success() {
        true => Ok(String::from_utf8_lossy(&done.stdout).into_owned()),
        false => Err(io::Error::other(format!("{command:?} failed"))),
    }
}

/// The rig's root file system.
fn archive(kernel: &Kernel, files: &[Brought], script: &str) -> io::Result<Vec<u8>> {
    let stripped = target_directory().join(format!("rig/birgus-{}", std::process::id()));
    output(Command::new("strip").arg(birgus::path()).arg("-o").arg(&stripped))?;
    let mut archive = Archive::default();
    archive.file("init", 0o755, INIT.as_bytes());
    archive.file("script", 0o644, script.as_bytes());
    archive.node("dev/console", 0o20_600, (5, 1));
    archive.copy("bin/busybox", Path::new("/bin/busybox"))?;
    archive.bring("bin/birgus", &stripped)?;
    for (number, module) in kernel.modules.iter().enumerate() {
        archive.copy(&format!("modules/{number}"), module)?;
    }
    for (host, path) in files {
        archive.bring(path.trim_start_matches('/'), host)?;
    }
    fs::remove_file(stripped)?;
    Ok(archive.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_script_says_is_between_the_marks() {
        let all = b"noise\x01rig begins\nhello\n\x01rig ends 3\nmore";
        let ended = conclude(all).unwrap();
        assert_eq!((ended.status, &ended.output[..]), (3, &b"hello\n"[..]));
        assert!(conclude(b"\x01rig begins\nhello").is_err());
        assert!(conclude(b"\x01rig begins\n\x01rig ends 97\n").is_err());
        assert_eq!(split(b"\x01rig begins\nhe"), Some((&b"he"[..], None)));
    }
}

//! The monitor: a virtual machine on `/dev/kvm`, in a process of its own.
//!
//! `birgus run` starts it ([`crate::engine::kvm`]) with descriptors for everything that it
//! needs. It makes the machine, tries whether KVM works, gives up its rights, and runs the
//! guest until one of them ends, or its parent ends it.
//!
//! - [`options`], [`verdict`]: what it is told and what it tells
//! - [`layout`], [`memory`], [`boot`]: memory, and the kernel in it
//! - [`vcpu`], [`probe`]: the processor
//! - [`bus`], [`virtio`], [`ninep`]: what is around it
//! - [`sandbox`]: what is given up
//!
//! The guest is hostile. It has no way to the host but the devices here.

pub mod boot;
pub mod bus;
#[cfg(any(test, feature = "fuzz"))]
pub mod fuzz;
pub mod layout;
pub mod memory;
pub mod ninep;
pub mod options;
pub mod probe;
pub mod sandbox;
pub mod vcpu;
pub mod verdict;
pub mod virtio;

use crate::Error;
use crate::engine::link;
use crate::units::MIB;
use bus::Bus;
use kvm_ioctls::{IoEventAddress, Kvm, VmFd};
use layout::{DEVICE_LEN, DEVICES, FIRST_LINE, MAX_DEVICES};
use memory::Memory;
use ninep::Server;
use options::Options;
use sandbox::Filter;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Barrier};
use std::thread;
use vcpu::Vcpu;
use verdict::{Phases, Verdict, now_ns};
use virtio::mmio::place;
use virtio::{Device, Role, console, net, rng};
use virtio_bindings::virtio_mmio as register;

/// Memory for the probe alone, in bytes.
pub const PROBE_MEMORY: u64 = 2 << 20;

/// The device, for which membership in the group `kvm` is enough.
const DEVICE: &str = "/dev/kvm";

/// Does what the monitor's command line asks for; the exit status.
///
/// # Errors
/// What kept the guest from running, or how it failed.
pub fn main(options: &Options) -> Result<u8, Error> {
    // A file, because the processor's thread may write and not send.
    let mut tell = File::from(inherited(options.control)?);
    match create(options.memory, options.patient) {
        Err(why) => say(&mut tell, &Err(why)).map(|()| 1),
        Ok(_) if options.kernel == 0 => say(&mut tell, &Ok(<_>::default())).map(|()| 0),
        Ok(machine) => run(options, machine, tell),
    }
}

fn say(to: &mut File, verdict: &Verdict) -> Result<(), Error> {
    writeln!(to, "{}", verdict::line(verdict))
        .map_err(|error| Error::io("cannot tell the verdict", &error))
}

/// Takes a descriptor that was inherited.
fn inherited(number: RawFd) -> Result<OwnedFd, Error> {
    // SAFETY: the call looks at a number; it is not -1, and whether it is open is the question.
    if unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) } < 0 {
        let error = io::Error::last_os_error();
        return Err(Error::io(format_args!("descriptor {number}"), &error));
    }
    // SAFETY: it is open, and the parent left it for this alone.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Makes the machine and tries it.
fn create(len: u64, is_patient: bool) -> Result<(VmFd, Vcpu, Arc<Memory>, u64), String> {
    let kvm = Kvm::new().map_err(io::Error::from).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => format!("there is no {DEVICE}"),
        io::ErrorKind::PermissionDenied => {
            format!("{DEVICE} cannot be opened (be a member of the group kvm)")
        }
        _ => format!("{DEVICE} cannot be opened: {error}"),
    })?;
    let refused = |error: io::Error| format!("{DEVICE} refuses a machine: {error}");
    let no_room = |error| format!("there is no room for {} MiB of memory: {error}", len / MIB);
    let memory = memory::create(len).map_err(no_room)?;
    let make = || {
        let vm = kvm.create_vm()?;
        vm.set_tss_address(layout::TASK_STATE)?;
        vm.create_irq_chip()?;
        memory::register(&vm, &memory)?;
        let vcpu = Vcpu::new(&kvm, &vm)?;
        Ok((vm, vcpu))
    };
    let (vm, mut vcpu) = make().map_err(refused)?;
    let created = now_ns();
    probe::run(&mut vcpu, &memory, is_patient)?;
    Ok((vm, vcpu, Arc::new(memory), created))
}

/// Runs the guest.
fn run(
    options: &Options,
    (vm, mut vcpu, memory, created): (VmFd, Vcpu, Arc<Memory>, u64),
    mut tell: File,
) -> Result<u8, Error> {
    let failed = |error: io::Error| Error::io("the monitor failed", &error);
    let shares = shares(options)?;
    let control = tell.try_clone().map_err(failed)?;
    let devices = devices(options, UnixStream::from(OwnedFd::from(control)), &shares)?;
    let words: Vec<String> = (0..devices.len()).map(device_word).collect();
    let command_line = format!("{} {}", words.join(" "), options.command_line);
    let entry = load(options, &memory, &command_line)?;
    // The kernel is entered in 32-bit mode, with the start info's address in a register.
    vcpu.enter_at(entry, layout::START_INFO).map_err(|error| failed(error.into()))?;
    let loaded = now_ns();
    let lacking = enclose(options, &shares)?;
    let filter = |role| if options.sandbox { Filter::new(role) } else { Ok(Filter::none()) };
    let registers = start(devices, &vm, &memory, &filter).map_err(failed)?;
    let mut bus = Bus::new(Box::new(io::stdout()), registers);
    let phases = Phases { created, loaded, entered: now_ns() };
    filter(Role::Processor).and_then(|filter| filter.apply()).map_err(failed)?;
    say(&mut tell, &Ok((phases, lacking)))?;
    drop(tell);
    vcpu.run(&mut bus).map(|()| 0).map_err(Error::Failed)
}

/// Puts the kernel, the archive and the command line into memory; the kernel's entry.
fn load(options: &Options, memory: &Memory, command_line: &str) -> Result<u32, Error> {
    let mut kernel = File::from(inherited(options.kernel)?);
    let (entry, end) = boot::load_kernel(memory, &mut kernel)?;
    let archive = File::from(inherited(options.archive)?);
    let len = archive.metadata().map_err(|error| Error::io("cannot read the files", &error))?.len();
    let archive = (archive.as_fd(), len);
    boot::describe(memory, options.memory, end, archive, command_line).map(|()| entry)
}

/// The directories that are served.
fn shares(options: &Options) -> Result<Vec<OwnedFd>, Error> {
    if !options.shares.is_empty() {
        // What the guest makes has the mode that it says, and it may have many files open.
        rustix::process::umask(rustix::fs::Mode::empty());
        let files = rustix::process::Resource::Nofile;
        let limit = rustix::process::getrlimit(files);
        // With fewer, it has to do.
        let most = rustix::process::Rlimit { current: limit.maximum, ..limit };
        let _ = rustix::process::setrlimit(files, most);
    }
    options.shares.iter().map(|share| inherited(share.directory)).collect()
}

/// Gives up rights, unless the user wants to keep them; what this host does not let it.
fn enclose(options: &Options, shares: &[OwnedFd]) -> Result<String, Error> {
    if !options.sandbox {
        return Ok(String::new());
    }
    let reach: Vec<_> =
        shares.iter().zip(options.shares.iter().map(|share| share.read_only)).collect();
    let lacking = sandbox::enclose(&reach)
        .map_err(|error| Error::io("the monitor cannot give up its rights", &error.into()))?;
    Ok(lacking.join(", "))
}

/// The devices, in the order of their places.
fn devices(
    options: &Options,
    control: UnixStream,
    shares: &[OwnedFd],
) -> Result<Vec<Device>, Error> {
    let failed = |error: io::Error| Error::io("cannot make the devices", &error);
    let mut devices = vec![console::device(control).map_err(failed)?, rng::device()];
    if let Some((kind, link)) = options.link {
        let (link, address) = (File::from(inherited(link)?), link::hardware_address());
        devices.push(net::device(kind, link, address).map_err(failed)?);
    }
    for (directory, share) in shares.iter().zip(&options.shares) {
        let root = directory.try_clone().map_err(failed)?;
        let server = Server::new(root, share.read_only).map_err(|error| failed(error.into()))?;
        devices.push(virtio::ninep::device(&share.tag, server));
    }
    if devices.len() > MAX_DEVICES {
        return Err(Error::Failed(format!("there is room for {MAX_DEVICES} devices")));
    }
    Ok(devices)
}

/// Where the kernel finds a device.
fn device_word(index: usize) -> String {
    let (address, line) = device_place(index);
    let name = abi::boot::command_line::VIRTIO_MMIO_DEVICE;
    format!("{name}{DEVICE_LEN}@{address:#x}:{line}")
}

/// Where a device's registers are, and its line.
fn device_place(index: usize) -> (u64, u32) {
    // There are few.
    (DEVICES + index as u64 * DEVICE_LEN, FIRST_LINE + index as u32)
}

/// Connects the devices and starts their workers.
fn start(
    devices: Vec<Device>,
    vm: &VmFd,
    memory: &Arc<Memory>,
    filter: &dyn Fn(Role) -> io::Result<Filter>,
) -> io::Result<Vec<virtio::mmio::Registers>> {
    let number = devices.iter().map(|device| device.queues.len()).sum::<usize>() + 1;
    let ready = Arc::new(Barrier::new(number));
    let mut all = Vec::new();
    for (index, device) in devices.into_iter().enumerate() {
        let (registers, workers) = place(&device, memory)?;
        let (address, line) = device_place(index);
        vm.register_irqfd(registers.line(), line)?;
        let notify = IoEventAddress::Mmio(address + u64::from(register::VIRTIO_MMIO_QUEUE_NOTIFY));
        for (queue, kick) in (0_u32..).zip(registers.kicks()) {
            vm.register_ioevent(kick, &notify, queue)?;
        }
        for (worker, (role, work)) in workers.into_iter().zip(device.queues) {
            let (ready, filter) = (ready.clone(), filter(role)?);
            thread::Builder::new().name(format!("{role:?}")).spawn(move || {
                if let Err(error) = filter.apply() {
                    eprintln!("a thread cannot give up its rights: {error}");
                    std::process::exit(1);
                }
                ready.wait();
                // A device that cannot go on is silent.
                let _ = work(&worker);
            })?;
        }
        all.push(registers);
    }
    ready.wait();
    Ok(all)
}

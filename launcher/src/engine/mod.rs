//! Virtual machines to boot the kernel in.
//!
//! An engine takes a [`Machine`] and gives a running [`Vm`]. Everything between the program
//! and the host goes over the VM's control channel, so the rest of `birgus` does not know
//! which engine runs.
//!
//! - [`kvm`]: our own monitor ([`crate::vmm`]) on `/dev/kvm`
//! - [`qemu`]: QEMU with its emulation
//! - [`process`]: the process in which either of them runs
//! - [`link`]: the network of the first

mod descriptors;
pub mod kvm;
pub mod link;
pub mod process;
pub mod qemu;

use crate::Error;
use crate::command::options::{EngineChoice, MachineKind, Network, Publish};
use crate::image::Mount;
use crate::vmm::verdict::Phases;
use process::Process;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

/// A virtual machine to be started.
#[derive(Debug)]
pub struct Machine {
    /// Which machine to emulate.
    pub kind: MachineKind,
    /// Memory in bytes; rounded up to whole MiB.
    pub memory: u64,
    /// The kernel's ELF file.
    pub kernel: OwnedFd,
    /// The boot archive.
    pub archive: OwnedFd,
    /// The directories of the host that the guest mounts.
    pub mounts: Vec<Mount>,
    /// How the guest reaches other machines.
    pub network: Network,
    /// Ports that the host passes on.
    pub published: Vec<Publish>,
    /// The kernel's command line. Other users of this host can read it: it holds nothing of
    /// the program's.
    pub command_line: String,
    /// Whether the engine gives up its rights before the guest runs.
    pub sandbox: bool,
}

/// A running virtual machine. It does not outlive the process that started it, nor the
/// thread, which has to be the main one.
pub trait Vm {
    /// What the engine is called in messages.
    fn name(&self) -> &'static str;

    /// The host's end of the control channel.
    ///
    /// # Errors
    /// The descriptor cannot be duplicated.
    fn control(&self) -> io::Result<UnixStream>;

    /// To be called once the guest has said its first word: the engine is complete now.
    fn has_booted(&mut self) {}

    /// Stops the virtual machine's time, until [`Vm::resume`].
    fn suspend(&mut self);

    /// Lets a suspended virtual machine go on.
    fn resume(&mut self);

    /// Ends the virtual machine, if it still runs, and waits until nothing is left of it.
    fn end(&mut self) -> PostMortem;
}

/// What is known about a virtual machine that ended. None of the text is to be trusted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PostMortem {
    /// How the engine itself ended, where it did so by itself: `exit status: 1`.
    pub status: Option<String>,
    /// Last words of the engine.
    pub engine: Vec<u8>,
    /// Last words of the kernel on its serial port.
    pub serial: Vec<u8>,
    /// Words of the process that did the networking, where it had failed.
    pub companion: Option<Vec<u8>>,
}

/// A machine that was started.
#[derive(Debug)]
pub struct Started {
    /// The machine.
    pub vm: Process,
    /// What the user has to know about the choice of the engine, a line each.
    pub remarks: Vec<String>,
    /// What the user may want to know, besides.
    pub note: Option<String>,
    /// When the machine came to be, where the engine tells.
    pub phases: Option<Phases>,
}

/// Starts the machine on the engine of choice; [`EngineChoice::Auto`] is KVM where that works.
/// To be called on the main thread, with whose end the engine ends.
///
/// # Errors
/// The engine cannot be started.
pub fn start(choice: EngineChoice, machine: &Machine) -> Result<Started, Error> {
    let on_qemu =
        |remarks| Ok(Started { vm: qemu::start(machine)?, remarks, note: None, phases: None });
    match choice {
        EngineChoice::Qemu => on_qemu(Vec::new()),
        // Only QEMU has it.
        EngineChoice::Auto if machine.kind == MachineKind::Q35 => on_qemu(Vec::new()),
        EngineChoice::Kvm if machine.kind == MachineKind::Q35 => {
            Err(Error::Usage("--machine q35 is QEMU's: use --engine qemu".into()))
        }
        EngineChoice::Kvm => kvm::start(machine, kvm::LONG_PATIENCE),
        EngineChoice::Auto => match kvm::start(machine, kvm::PATIENCE) {
            Err(why @ Error::NoKvm(_)) => on_qemu(vec![format!(
                "{why}; QEMU emulates, which is slower (--engine qemu does so without these words)"
            )]),
            started => started,
        },
    }
}

/// The engine that [`EngineChoice::Auto`] is on this host, for many machines.
#[must_use]
pub fn resolve(choice: EngineChoice) -> EngineChoice {
    match choice {
        EngineChoice::Auto if kvm::examine().is_ok() => EngineChoice::Kvm,
        EngineChoice::Auto => EngineChoice::Qemu,
        chosen => chosen,
    }
}

/// Finds a program in the host's `PATH`.
fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| {
        file.is_file() && rustix::fs::access(file, rustix::fs::Access::EXEC_OK).is_ok()
    })
}

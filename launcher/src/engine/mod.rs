//! Virtual machines to boot the kernel in.
//!
//! An engine takes a [`Machine`] and gives a running [`Vm`]. Everything between the program
//! and the host goes over the VM's control channel, so the rest of `birgus` does not know
//! which engine runs.

mod descriptors;
pub mod qemu;

use crate::command::options::{MachineKind, Network, Publish};
use crate::image::Mount;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

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
}

/// A running virtual machine. It does not outlive the process that started it, nor the
/// thread, which has to be the main one.
pub trait Vm {
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
    /// How the engine itself ended, where it did so by itself: `exit status 1`.
    pub status: Option<String>,
    /// Last words of the engine.
    pub engine: Vec<u8>,
    /// Last words of the kernel on its serial port.
    pub serial: Vec<u8>,
}

//! The console: the terminal of the machine, whose user sits at the launcher.
//!
//! [`add_devices`] makes /dev/console (5, 1) and /dev/tty (5, 0); [`open`] needs no device.

use alloc::boxed::Box;
use alloc::sync::Arc;

use abi::Errno;
use abi::fs::{Device, FileType, Mode, OpenFlags};

use crate::context::Context;
use crate::error::{Because, Result};
use crate::fs::device::Driver;
use crate::fs::{File, FileSystem, Inode, Metadata, OpenFile, PseudoFileSystem, Vfs};
use crate::machine::{Machine, Stream};
use crate::system::System;

use super::settings::Settings;
use super::{Terminal, TerminalFile, Transport};

/// The number of /dev/console.
pub const DEVICE: Device = Device::new(5, 1);

/// The machine's stream for the terminal.
struct Host(Arc<dyn Machine>);

impl Transport for Host {
    fn receive(&self, to: &mut [u8]) -> usize {
        self.0.receive(Stream::Terminal, to)
    }

    fn send(&self, bytes: &[u8]) -> usize {
        self.0.send(Stream::Terminal, bytes)
    }
}

/// The terminal of `machine`.
#[must_use]
pub fn new(machine: &Arc<dyn Machine>) -> Arc<Terminal> {
    Terminal::new(Box::new(Host(machine.clone())), Settings::console(), DEVICE)
}

/// Opens the console where there is no /dev/console.
#[must_use]
pub fn open(system: &System) -> Arc<OpenFile> {
    let file = open_console(system, Arc::new(ConsoleInode));
    Arc::new(OpenFile::new(file, OpenFlags::RDWR))
}

/// Makes /dev/console and /dev/tty.
///
/// # Errors
/// `EEXIST`; `ENOSPC`.
pub fn add_devices(vfs: &Vfs) -> Result<()> {
    let (private, public) = (Mode::from_bits_retain(0o600), Mode::from_bits_retain(0o666));
    vfs.add_device("console", private, DEVICE, Arc::new(ConsoleDriver))?;
    vfs.add_device("tty", public, Device::new(5, 0), Arc::new(ControllingDriver))
}

/// What is behind /dev/console.
struct ConsoleDriver;

impl Driver for ConsoleDriver {
    fn open(
        &self,
        cx: &Context<'_>,
        inode: Arc<dyn Inode>,
        _device: Device,
        _flags: OpenFlags,
    ) -> Result<Arc<dyn File>> {
        Ok(open_console(cx.system, inode))
    }
}

/// What is behind /dev/tty.
struct ControllingDriver;

impl Driver for ControllingDriver {
    fn open(
        &self,
        cx: &Context<'_>,
        inode: Arc<dyn Inode>,
        _device: Device,
        _flags: OpenFlags,
    ) -> Result<Arc<dyn File>> {
        open_controlling(cx, inode)
    }
}

/// Opens /dev/console, whose node is `inode`. As on Linux that does not make it the
/// controlling terminal of anybody.
fn open_console(system: &System, inode: Arc<dyn Inode>) -> Arc<dyn File> {
    Arc::new(TerminalFile::new(system.terminal.clone(), inode))
}

/// Opens /dev/tty, whose node is `inode`: the controlling terminal of the caller.
///
/// # Errors
/// `ENXIO` when it has none.
fn open_controlling(cx: &Context<'_>, inode: Arc<dyn Inode>) -> Result<Arc<dyn File>> {
    let terminal = cx.system.terminal_of(cx.process.session());
    let none = || Errno::ENXIO.because("the process has no controlling terminal");
    Ok(Arc::new(TerminalFile::new(terminal.ok_or_else(none)?, inode)))
}

/// The console without a path.
struct ConsoleInode;

impl Inode for ConsoleInode {
    fn kind(&self) -> FileType {
        FileType::CharacterDevice
    }

    fn metadata(&self) -> Result<Metadata> {
        let mode = Mode::OWNER_READ | Mode::OWNER_WRITE;
        Ok(Metadata { device: DEVICE, ..Metadata::new(1, self.kind(), mode) })
    }

    fn file_system(&self) -> Arc<dyn FileSystem> {
        Arc::new(PseudoFileSystem::ANONYMOUS)
    }
}

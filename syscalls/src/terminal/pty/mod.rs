//! Pseudoterminals: pty(7), ptmx(4).
//!
//! A pair is a [`Terminal`], the slave, whose user's side is a program too: whoever has the
//! master open. Between them is a [`Wire`]. The slave is found in the file system of
//! [`devpts`], as long as the master is open.

pub(crate) mod devpts;
mod master;
#[cfg(test)]
mod tests;
mod wire;

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, Ordering};

use abi::Errno;
use abi::fs::{Device, FileType, Mode, OpenFlags};
use spin::{Mutex, Once};

use crate::context::Context;
use crate::error::{Because, Result};
use crate::fs::device::Driver;
use crate::fs::{File, Inode, Metadata, Timestamp};
use crate::system::System;

use super::settings::Settings;
use super::{Terminal, Transport};

use master::MasterFile;
use wire::Wire;

/// The number of /dev/ptmx.
const MASTER_DEVICE: Device = Device::new(5, 2);

/// The major number of slaves.
const SLAVE_MAJOR: u32 = 136;

/// Most pairs there can be (/proc/sys/kernel/pty/max).
pub(crate) const MAX: u32 = 4096;

/// The group of new slaves, `tty` of Debian, and their permission bits.
const SLAVE_GROUP: u32 = 5;
const SLAVE_MODE: u16 = 0o620;

/// All pairs by number.
#[derive(Default)]
pub(crate) struct Ptys {
    pairs: Mutex<BTreeMap<u32, Known>>,
}

struct Known {
    /// Until the master is closed.
    pair: Weak<Pair>,
    /// Until the slave is closed, too.
    slave: Weak<Terminal>,
}

/// The number of a pair, which is free again when both sides are closed.
pub(super) struct Number {
    value: u32,
    ptys: Arc<Ptys>,
}

impl Drop for Number {
    fn drop(&mut self) {
        self.ptys.pairs.lock().remove(&self.value);
    }
}

/// A pair whose master is open.
pub(super) struct Pair {
    number: u32,
    pub(super) slave: Arc<Terminal>,
    wire: Arc<Wire>,
    /// Whether the slave cannot be opened yet: `TIOCSPTLCK`.
    is_locked: AtomicBool,
    /// What stat(2) says of the slave.
    metadata: Mutex<Metadata>,
    /// The slave in the file system, once somebody has looked for it.
    inode: Once<Arc<dyn Inode>>,
}

/// The wire as the slave's [`Transport`], and what keeps the pair's number.
struct SlaveEnd {
    wire: Arc<Wire>,
    _number: Number,
}

impl Transport for SlaveEnd {
    fn receive(&self, to: &mut [u8]) -> usize {
        self.wire.take_typed(to)
    }

    fn send(&self, bytes: &[u8]) -> usize {
        self.wire.show(bytes)
    }

    fn opened(&self) {
        self.wire.slave_opened();
    }

    fn closed(&self) {
        self.wire.slave_closed();
    }

    fn tell(&self, event: u8) {
        self.wire.tell(event);
    }
}

impl Ptys {
    /// A new pair.
    ///
    /// # Errors
    /// `ENOSPC` when there are too many.
    fn create(self: &Arc<Self>, cx: &Context<'_>) -> Result<Arc<Pair>> {
        let mut pairs = self.pairs.lock();
        let free = (0..MAX).find(|number| !pairs.contains_key(number));
        let number = free.ok_or_else(|| Errno::ENOSPC.because("too many pseudoterminals"))?;
        let wire = Arc::new(Wire::default());
        let kept = Number { value: number, ptys: self.clone() };
        let end = SlaveEnd { wire: wire.clone(), _number: kept };
        let device = Device::new(SLAVE_MAJOR, number);
        let slave = Terminal::new(Box::new(end), Settings::pseudoterminal(), device);
        let metadata = Mutex::new(metadata(cx, number, device));
        let (is_locked, inode) = (AtomicBool::new(true), Once::new());
        let pair = Arc::new(Pair { number, slave, wire, is_locked, metadata, inode });
        let known = Known { pair: Arc::downgrade(&pair), slave: Arc::downgrade(&pair.slave) };
        pairs.insert(number, known);
        Ok(pair)
    }

    /// The pair with this number, while its master is open.
    fn get(&self, number: u32) -> Option<Arc<Pair>> {
        self.pairs.lock().get(&number)?.pair.upgrade()
    }

    /// The numbers of all pairs whose master is open, in ascending order.
    fn numbers(&self) -> Vec<u32> {
        let pairs = self.pairs.lock();
        let open = pairs.iter().filter(|(_, known)| known.pair.strong_count() > 0);
        open.map(|(number, _)| *number).collect()
    }

    /// How many pairs there are.
    pub(crate) fn count(&self) -> usize {
        self.pairs.lock().len()
    }

    /// The slave that is the controlling terminal of this session.
    pub(crate) fn controlling(&self, session: u32) -> Option<Arc<Terminal>> {
        let slaves: Vec<_> = {
            let pairs = self.pairs.lock();
            pairs.values().filter_map(|known| known.slave.upgrade()).collect()
        };
        slaves.into_iter().find(|slave| slave.controls(session))
    }
}

fn metadata(cx: &Context<'_>, number: u32, device: Device) -> Metadata {
    let now = Timestamp::from_ns(cx.system.machine.wall_clock_ns());
    let mode = Mode::from_bits_retain(SLAVE_MODE);
    Metadata {
        owner: cx.credentials().users.file_system,
        group: SLAVE_GROUP,
        device,
        accessed: now,
        modified: now,
        changed: now,
        created: now,
        block_size: 1024,
        ..Metadata::new(devpts::inode_number(number), FileType::CharacterDevice, mode)
    }
}

impl Pair {
    fn is_locked(&self) -> bool {
        self.is_locked.load(Ordering::SeqCst)
    }
}

/// Makes /dev/ptmx and /dev/pts.
///
/// # Errors
/// `EEXIST`; `ENOSPC`.
pub(crate) fn add_devices(system: &System) -> Result<()> {
    let public = Mode::from_bits_retain(0o666);
    system.vfs.add_device("ptmx", public, MASTER_DEVICE, Arc::new(MasterDriver))?;
    devpts::mount(system)
}

/// What is behind /dev/ptmx.
struct MasterDriver;

impl Driver for MasterDriver {
    fn open(
        &self,
        cx: &Context<'_>,
        inode: Arc<dyn Inode>,
        _device: Device,
        _flags: OpenFlags,
    ) -> Result<Arc<dyn File>> {
        open_master(cx, inode)
    }
}

/// Opens the master of a new pair, through the node `inode`.
fn open_master(cx: &Context<'_>, inode: Arc<dyn Inode>) -> Result<Arc<dyn File>> {
    let pair = cx.system.ptys.create(cx)?;
    Ok(Arc::new(MasterFile::new(pair, inode, Arc::downgrade(cx.system))))
}

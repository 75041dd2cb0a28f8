//! The memory devices: null(4), zero(4), full(4), random(4).

use alloc::sync::Arc;

use abi::Errno;
use abi::fs::{Device, FileType, OpenFlags};

use crate::context::Context;
use crate::error::{Because, Outcome, Result};
use crate::io::{Sink, Source};
use crate::user::UserPtr;

use super::device::{DeviceTable, Driver};
use super::file::{File, Mapping, Positions};
use super::inode::Inode;
use super::open_file::OpenFile;

/// Bits in the entropy pool of Linux, which is always full.
pub(super) const ENTROPY_BITS: u32 = 256;

/// Major number of the memory devices.
const MAJOR: u32 = 1;

/// Names and numbers of the memory devices.
pub(super) const NODES: [(&str, Device); 5] = [
    ("null", Device::new(MAJOR, 3)),
    ("zero", Device::new(MAJOR, 5)),
    ("full", Device::new(MAJOR, 7)),
    ("random", Device::new(MAJOR, 8)),
    ("urandom", Device::new(MAJOR, 9)),
];

/// Random bytes are made in pieces of so many bytes.
const CHUNK: usize = 256;

/// Puts the drivers into `table`.
pub(super) fn register(table: &DeviceTable) {
    for (_, device) in NODES {
        table.register(FileType::CharacterDevice, device, Arc::new(MemoryDriver));
    }
}

struct MemoryDriver;

impl Driver for MemoryDriver {
    fn open(
        &self,
        _: &Context<'_>,
        inode: Arc<dyn Inode>,
        device: Device,
        _: OpenFlags,
    ) -> Result<Arc<dyn File>> {
        Ok(match device.minor {
            3 => Arc::new(Null(inode)),
            5 => Arc::new(Zero(inode)),
            7 => Arc::new(Full(inode)),
            8 | 9 => Arc::new(Random(inode)),
            _ => return Err(Errno::ENXIO.because("no such memory device")),
        })
    }
}

/// /dev/null.
struct Null(Arc<dyn Inode>);

impl File for Null {
    fn inode(&self) -> &Arc<dyn Inode> {
        &self.0
    }

    fn positions(&self) -> Positions {
        Positions::Ignored
    }

    fn read(&self, _: &Context<'_>, _: &OpenFile, _: u64, _: &mut dyn Sink) -> Result<usize> {
        Ok(0)
    }

    fn write(&self, _: &Context<'_>, _: &OpenFile, _: u64, from: &mut dyn Source) -> Result<usize> {
        Ok(from.remaining())
    }
}

/// /dev/zero.
struct Zero(Arc<dyn Inode>);

impl File for Zero {
    fn inode(&self) -> &Arc<dyn Inode> {
        &self.0
    }

    fn positions(&self) -> Positions {
        Positions::Ignored
    }

    fn maps_as_anonymous(&self) -> bool {
        true
    }

    fn mapping(&self) -> Result<Mapping> {
        Ok(Mapping::Zeros)
    }

    fn read(&self, _: &Context<'_>, _: &OpenFile, _: u64, to: &mut dyn Sink) -> Result<usize> {
        to.put_zeros(to.remaining())
    }

    fn write(&self, _: &Context<'_>, _: &OpenFile, _: u64, from: &mut dyn Source) -> Result<usize> {
        Ok(from.remaining())
    }
}

/// /dev/full.
struct Full(Arc<dyn Inode>);

impl File for Full {
    fn inode(&self) -> &Arc<dyn Inode> {
        &self.0
    }

    fn positions(&self) -> Positions {
        Positions::Ignored
    }

    fn read(&self, _: &Context<'_>, _: &OpenFile, _: u64, to: &mut dyn Sink) -> Result<usize> {
        to.put_zeros(to.remaining())
    }

    fn write(&self, _: &Context<'_>, _: &OpenFile, _: u64, _: &mut dyn Source) -> Result<usize> {
        Err(Errno::ENOSPC.because("the device is full"))
    }
}

/// /dev/random and /dev/urandom: the same, as the machine's generator is always ready.
struct Random(Arc<dyn Inode>);

impl File for Random {
    fn inode(&self) -> &Arc<dyn Inode> {
        &self.0
    }

    fn can_be_watched(&self) -> bool {
        true
    }

    fn positions(&self) -> Positions {
        Positions::Ignored
    }

    fn read(&self, cx: &Context<'_>, _: &OpenFile, _: u64, to: &mut dyn Sink) -> Result<usize> {
        let mut bytes = [0; CHUNK];
        let mut done = 0;
        while to.remaining() > 0 {
            let len = CHUNK.min(to.remaining());
            cx.system.machine.fill_random(&mut bytes[..len]);
            match to.put(&bytes[..len]) {
                Ok(put) => {
                    done += put;
                    if put < len {
                        break;
                    }
                }
                Err(error) if done == 0 => return Err(error),
                Err(_) => break,
            }
        }
        Ok(done)
    }

    fn ioctl(&self, cx: &Context<'_>, request: u32, argument: u64) -> Result<Outcome> {
        /// How many bits of entropy there are (`RNDGETENTCNT`).
        const GET_ENTROPY_COUNT: u32 = 0x8004_5200;
        if request != GET_ENTROPY_COUNT {
            return Err(Errno::ENOTTY.because("the file does not know this request"));
        }
        UserPtr::new(argument).write(cx, &ENTROPY_BITS)?;
        Ok(().into())
    }

    // What is written is as good as any entropy the machine's generator does not need.
    fn write(&self, _: &Context<'_>, _: &OpenFile, _: u64, from: &mut dyn Source) -> Result<usize> {
        let mut bytes = [0; CHUNK];
        let mut done = 0;
        while from.remaining() > 0 {
            match from.take(&mut bytes) {
                Ok(0) => break,
                Ok(taken) => done += taken,
                Err(error) if done == 0 => return Err(error),
                Err(_) => break,
            }
        }
        Ok(done)
    }
}

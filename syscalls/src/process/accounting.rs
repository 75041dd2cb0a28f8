//! Records of processes that have ended: acct(2), acct(5).

use alloc::sync::Arc;
use core::cell::Cell;

use abi::time::{NS_PER_SECOND, TICKS_PER_SECOND};
use spin::Mutex;
use zerocopy::{Immutable, IntoBytes};

use crate::context::Context;
use crate::fs::OpenFile;
use crate::io::SliceSource;
use crate::machine::{ExitStatus, Registers};

use super::wait::Report;
use super::{Process, Thread};

const NS_PER_TICK: u64 = NS_PER_SECOND / TICKS_PER_SECOND;

/// What is special about a process (`ac_flag`).
mod flag {
    /// It has called fork(2) and not execve(2).
    pub(super) const FORKED: u8 = 0x01;
    /// It was privileged.
    pub(super) const PRIVILEGED: u8 = 0x02;
    /// It has left a core dump.
    pub(super) const DUMPED: u8 = 0x08;
    /// A signal has ended it.
    pub(super) const KILLED: u8 = 0x10;
}

/// Where records go, while that is somewhere.
#[derive(Default)]
pub(crate) struct Accounting {
    file: Mutex<Option<Arc<OpenFile>>>,
}

impl Accounting {
    /// Lets records go to `file`, or nowhere any more.
    pub(crate) fn set(&self, file: Option<Arc<OpenFile>>) {
        let old = core::mem::replace(&mut *self.file.lock(), file);
        // The last use of a file ends with no lock held.
        drop(old);
    }

    fn file(&self) -> Option<Arc<OpenFile>> {
        self.file.lock().clone()
    }
}

/// `struct acct_v3`.
#[derive(IntoBytes, Immutable)]
#[repr(C)]
struct Record {
    flag: u8,
    version: u8,
    terminal: u16,
    exit_code: u32,
    user: u32,
    group: u32,
    process: u32,
    parent: u32,
    /// When it began, in seconds since 1970.
    began: u32,
    /// How long it ran, in ticks: a number of single precision.
    elapsed: u32,
    user_time: u16,
    system_time: u16,
    memory: u16,
    characters: u16,
    blocks: u16,
    minor_faults: u16,
    major_faults: u16,
    swaps: u16,
    command: [u8; 16],
}

const _: () = assert!(size_of::<Record>() == 64);

impl Thread {
    /// Writes a record of the process, whose last thread this is, if records are wanted.
    pub(super) fn account(&self, status: ExitStatus) {
        let (system, process) = (self.system(), self.process());
        let Some(file) = system.accounting.file() else {
            return;
        };
        let registers = Cell::new(Registers::default());
        let cx = Context::new(system, process, self, &registers);
        let record = record(&cx, process, status);
        // There is nobody to be told of an error.
        let _ = file.file.append(&cx, &file, &mut SliceSource::new(record.as_bytes()));
    }
}

fn record(cx: &Context<'_>, process: &Process, status: ExitStatus) -> Record {
    const VERSION: u8 = 3;
    let who = process.credentials();
    let report = process.end_report(status);
    let mut flags = 0;
    if !process.has_executed() {
        flags |= flag::FORKED;
    }
    if who.users.effective == 0 {
        flags |= flag::PRIVILEGED;
    }
    if matches!(report, Report::Dumped(_)) {
        flags |= flag::DUMPED;
    }
    if matches!(report, Report::Dumped(_) | Report::Ended(ExitStatus::Killed(_))) {
        flags |= flag::KILLED;
    }
    let ran_ns = cx.system.machine.monotonic_ns().saturating_sub(cx.thread.start_ns());
    let began = (cx.system.machine.wall_clock_ns() - ran_ns) / NS_PER_SECOND;
    let used = process.cpu_time();
    let mut command = [0; 16];
    let name = cx.thread.name();
    let len = name.len().min(command.len() - 1);
    command[..len].copy_from_slice(&name[..len]);
    Record {
        flag: flags,
        version: VERSION,
        terminal: 0,
        exit_code: report.wait_status(),
        user: who.users.real,
        group: who.groups.real,
        process: process.id(),
        parent: process.parent(),
        began: began as u32,
        elapsed: ((ran_ns / NS_PER_TICK) as f32).to_bits(),
        user_time: compressed(used.total_ns.saturating_sub(used.system_ns) / NS_PER_TICK),
        system_time: compressed(used.system_ns / NS_PER_TICK),
        memory: 0,
        characters: 0,
        blocks: 0,
        minor_faults: 0,
        major_faults: 0,
        swaps: 0,
        command,
    }
}

/// `comp_t`: 13 bits, and an exponent of 3 bits to the base 8.
fn compressed(mut value: u64) -> u16 {
    const MANTISSA_BITS: u32 = 13;
    const MOST: u16 = u16::MAX;
    let mut exponent = 0;
    while value >> MANTISSA_BITS != 0 {
        value >>= 3;
        exponent += 1;
        if exponent > 7 {
            return MOST;
        }
    }
    exponent << MANTISSA_BITS | value as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_numbers_are_compressed() {
        assert_eq!(compressed(0), 0);
        assert_eq!(compressed(8191), 8191);
        assert_eq!(compressed(8192), 1 << 13 | 1024);
        assert_eq!(compressed(u64::MAX), u16::MAX);
    }
}

//! Signals that are read from a file: signalfd(2).

use alloc::sync::Arc;
use core::fmt;
use core::sync::atomic::{AtomicU64, Ordering};

use abi::Errno;
use abi::signal::{SigInfo, Signal, SignalRecord, si};
use zerocopy::IntoBytes;

use crate::context::Context;
use crate::error::{Because, Result};
use crate::fs::{File, Inode, OpenFile, PollEvents, Positions, anonymous};
use crate::io::Sink;
use crate::process::Thread;
use crate::signal::SignalSet;
use crate::wait::{Patience, WaitQueue};

/// A file from which those signals of a set are read that wait for the reader.
pub struct SignalFile {
    inode: Arc<dyn Inode>,
    set: Arc<AtomicU64>,
}

impl SignalFile {
    /// A file for the signals of `set`.
    pub(crate) fn new(set: SignalSet) -> Self {
        Self { inode: anonymous::inode("[signalfd]"), set: Arc::new(AtomicU64::new(set.bits())) }
    }

    /// Changes the set.
    pub(crate) fn set(&self, set: SignalSet) {
        self.set.store(set.bits(), Ordering::SeqCst);
    }
}

fn set_of(bits: &AtomicU64) -> SignalSet {
    SignalSet::blockable(bits.load(Ordering::SeqCst))
}

impl File for SignalFile {
    fn inode(&self) -> &Arc<dyn Inode> {
        &self.inode
    }

    fn positions(&self) -> Positions {
        Positions::Ignored
    }

    fn read(
        &self,
        cx: &Context<'_>,
        open: &OpenFile,
        _offset: u64,
        to: &mut dyn Sink,
    ) -> Result<usize> {
        if to.remaining() < size_of::<SignalRecord>() {
            return Err(Errno::EINVAL.because("the buffer has no room for a signal"));
        }
        let mut done = 0;
        while to.remaining() >= size_of::<SignalRecord>() {
            let look = || Ok(cx.thread.take_signal(set_of(&self.set)));
            let patience = if done > 0 { Patience::None } else { open.patience() };
            match cx.block_on(&[&cx.process.signals.changed], patience, look) {
                Ok(info) => done += to.put(record(&info).as_bytes())?,
                Err(_) if done > 0 => break,
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    fn poll(&self) -> PollEvents {
        PollEvents::empty()
    }

    fn can_be_watched(&self) -> bool {
        true
    }

    fn seen_by(&self, cx: &Context<'_>) -> Option<Arc<dyn File>> {
        let thread = cx.thread.downgrade().upgrade()?;
        let (inode, set) = (self.inode.clone(), self.set.clone());
        Some(Arc::new(View { inode, set, thread }))
    }

    fn signal_file(&self) -> Option<&SignalFile> {
        Some(self)
    }

    fn describe(&self, _: &Context<'_>, out: &mut dyn fmt::Write) -> fmt::Result {
        writeln!(out, "sigmask:\t{:016x}", self.set.load(Ordering::SeqCst))
    }
}

/// What a thread sees of a [`SignalFile`]: the signals that wait for it.
struct View {
    inode: Arc<dyn Inode>,
    set: Arc<AtomicU64>,
    thread: Arc<Thread>,
}

impl File for View {
    fn inode(&self) -> &Arc<dyn Inode> {
        &self.inode
    }

    fn poll(&self) -> PollEvents {
        let waiting = self.thread.signals.pending().or(self.thread.process().signals.pending());
        if waiting.and(set_of(&self.set)).is_empty() { PollEvents::empty() } else { PollEvents::IN }
    }

    fn wait_queue(&self) -> Option<&WaitQueue> {
        Some(&self.thread.process().signals.changed)
    }
}

/// What a read tells of a signal.
fn record(info: &SigInfo) -> SignalRecord {
    let [first, second, third, fourth] = [0, 1, 2, 3].map(|at| info.fields[at]);
    let (low, high) = (first as u32, (first >> 32) as u32);
    let mut record = SignalRecord {
        signal: info.signo.cast_unsigned(),
        error: info.errno,
        code: info.code,
        ..SignalRecord::default()
    };
    let is = |signal: Signal| info.signo == i32::from(signal.number());
    let is_fault = is(Signal::SIGSEGV)
        || is(Signal::SIGBUS)
        || is(Signal::SIGILL)
        || is(Signal::SIGFPE)
        || is(Signal::SIGTRAP);
    match info.code {
        si::TIMER => {
            (record.timer, record.overrun) = (low, high);
            (record.int, record.pointer) = (second as i32, second);
        }
        code if code <= 0 => {
            (record.process, record.user) = (low, high);
            (record.int, record.pointer) = (second as i32, second);
        }
        _ if is(Signal::SIGCHLD) => {
            (record.process, record.user) = (low, high);
            record.status = second as i32;
            (record.user_time, record.system_time) = (third, fourth);
        }
        _ if is_fault => record.address = first,
        _ => (record.process, record.user) = (low, high),
    }
    record
}

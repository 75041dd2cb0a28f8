//! The personality as a whole: what there is once per machine.

use alloc::sync::Arc;
use alloc::vec::Vec;

use abi::{Errno, number};
use spin::Mutex;

use crate::error::{Because, Error};
use crate::fs::Vfs;
use crate::fs::pipe_inode::PipeNumbers;
use crate::fs::stream::Streams;
use crate::machine::Machine;
use crate::process::ProcessTable;
use crate::terminal::{self, Terminal};

/// The personality of one machine.
pub struct System {
    /// The machine under it.
    pub machine: Arc<dyn Machine>,
    /// The program's standard streams where they are not the terminal.
    pub streams: Streams,
    /// The numbers of pipes.
    pub(crate) pipe_numbers: PipeNumbers,
    /// The terminal of the machine.
    pub terminal: Arc<Terminal>,
    /// The tree of files.
    pub vfs: Vfs,
    /// All processes.
    pub processes: ProcessTable,
    /// `nodename` of uname(2).
    host_name: Mutex<Vec<u8>>,
    /// Unknown calls that were warned about, one bit each.
    warned: Mutex<[u64; number::COUNT.div_ceil(64)]>,
}

impl System {
    /// The personality on `machine`, with these files.
    #[must_use]
    pub fn new(machine: Arc<dyn Machine>, vfs: Vfs) -> Arc<Self> {
        Arc::new(Self {
            terminal: terminal::console::new(&machine),
            machine,
            vfs,
            streams: Streams::default(),
            pipe_numbers: PipeNumbers::default(),
            processes: ProcessTable::new(),
            host_name: Mutex::new(b"birgus".to_vec()),
            warned: Mutex::new([0; number::COUNT.div_ceil(64)]),
        })
    }

    /// The host name, without a NUL.
    #[must_use]
    pub fn host_name(&self) -> Vec<u8> {
        self.host_name.lock().clone()
    }

    /// Sets the host name.
    pub fn set_host_name(&self, name: Vec<u8>) {
        *self.host_name.lock() = name;
    }

    /// The error of a call that is not implemented; warns the first time.
    pub(crate) fn unknown_call(&self, number: u64) -> Error {
        if let Some(name) = number::name(number) {
            let (word, bit) = (number as usize / 64, number % 64);
            let mut warned = self.warned.lock();
            if warned[word] & (1 << bit) == 0 {
                warned[word] |= 1 << bit;
                log::warn!("the system call {name} ({number}) is not implemented");
            }
        }
        Errno::ENOSYS.because("the system call is not implemented")
    }
}

//! What `birgus ltp` is asked to do.

use super::files::Kind;
use crate::command::options::{EngineChoice, MachineKind, Network, RunOptions};
use crate::units::MIB;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

/// Options of `birgus ltp`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LtpOptions {
    /// Where the suite is installed.
    pub suite: PathBuf,
    /// Which suite that is.
    pub kind: Kind,
    /// Where the results and the report go.
    pub output: PathBuf,
    /// Which entries; all where there is none.
    pub filters: Vec<String>,
    /// Machines at the same time, at least 1.
    pub jobs: usize,
    /// Entries in one machine, at least 1.
    pub batch: usize,
    /// Go on with the results that are there.
    pub resume: bool,
    /// Where Linux's verdicts come from.
    pub baseline: Baseline,
    /// Earlier results to compare with.
    pub compare: Option<PathBuf>,
    /// Whether an entry that passed in the earlier results and no longer does is a failure.
    pub check: bool,
    /// The limit for an entry, in place of that of LTP's library.
    pub timeout: Option<Duration>,
    /// Memory of each machine, in bytes.
    pub memory: u64,
    /// What runs the machines.
    pub engine: EngineChoice,
    /// The machine that QEMU emulates.
    pub machine: MachineKind,
    /// A kernel in place of the embedded one.
    pub kernel: Option<PathBuf>,
    /// More words for the kernel's command line.
    pub kernel_arguments: Vec<String>,
}

/// Where the verdicts of Linux come from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Baseline {
    /// From the file that comes with Birgus.
    #[default]
    Embedded,
    /// From this file.
    File(PathBuf),
    /// From running the suite on the host first.
    Run,
}

impl Default for LtpOptions {
    fn default() -> Self {
        Self {
            suite: PathBuf::new(),
            kind: Kind::Ltp,
            output: "ltp-report".into(),
            filters: Vec::new(),
            jobs: 2,
            batch: 1,
            resume: false,
            baseline: Baseline::Embedded,
            compare: None,
            check: false,
            timeout: None,
            // Half of it is what /tmp holds, and the test device in it takes 300 MiB.
            memory: 1024 * MIB,
            engine: EngineChoice::Auto,
            machine: MachineKind::default(),
            kernel: None,
            kernel_arguments: Vec::new(),
        }
    }
}

impl LtpOptions {
    /// The options of a run of a program in a machine.
    #[must_use]
    pub fn for_program(&self, program: OsString) -> RunOptions {
        RunOptions {
            program,
            memory: Some(self.memory),
            network: Network::None,
            engine: self.engine,
            machine: self.machine,
            kernel: self.kernel.clone(),
            kernel_arguments: self.kernel_arguments.clone(),
            hide_usr: true,
            ..RunOptions::default()
        }
    }
}

//! The start of the personality: from the boot archive to the running program.
//!
//! What to run is said by the run configuration in the archive or by the command line (`run`,
//! `command_line`). The program becomes process 2; process 1 is the kernel itself.

mod command_line;
mod mounts;
mod run;

use alloc::string::{String, ToString};
use alloc::sync::Arc;
use core::cell::Cell;

use abi::Errno;
use abi::fs::{AT_FDCWD, OpenFlags};
use abi::terminal::Winsize;

use crate::context::Context;
use crate::error::{Because, Error};
use crate::fs::open::{How, open};
use crate::fs::path::{Follow, resolve};
use crate::fs::{Fd, FsContext, OnExec, OpenFile, Vfs, stream};
use crate::machine::{ExitStatus, Machine, Registers, Stream};
use crate::mm::MemoryLimits;
use crate::process::exec::{ExecError, Executable, Placement, Program};
use crate::process::{Process, Thread};
use crate::system::System;

use run::{BadRun, Run};

/// Boots the personality on `machine` and starts the program.
///
/// `archive` is the boot archive; `command_line` counts where it holds no run configuration
/// ([`abi::boot`]). When the program cannot be started, one line says why and the machine is
/// powered off with [`ExitStatus::NotStarted`].
///
/// # Panics
/// When there is not even memory for an empty root directory.
pub fn boot(machine: Arc<dyn Machine>, archive: &'static [u8], command_line: &str) -> Arc<System> {
    let booted = Vfs::boot(&machine, archive).map_err(|error| NotStarted {
        errno: Errno::EINVAL,
        reason: alloc::format!("the boot archive cannot be used: {error}"),
    });
    let (vfs, run) = match booted {
        Ok(booted) => {
            let run = match booted.configuration {
                Some(configuration) => Run::from_configuration(configuration),
                None => Run::from_command_line(command_line),
            };
            match run.map_err(NotStarted::from).and_then(|run| Ok((root(&machine, &run)?, run))) {
                Ok((vfs, run)) => (vfs.unwrap_or(booted.vfs), Ok(run)),
                Err(reason) => (booted.vfs, Err(reason)),
            }
        }
        Err(reason) => {
            let empty = Vfs::boot(&machine, &[]).map(|booted| booted.vfs);
            (empty.unwrap_or_else(|error| panic!("no root directory: {error}")), Err(reason))
        }
    };
    let system = System::new(machine, vfs);
    system.set_command_line(command_line);
    system.add_reaper();
    if let Err(not_started) = run.and_then(|run| start(&system, run)) {
        log::error!("{}", not_started.reason);
        system.machine.power_off(ExitStatus::NotStarted(not_started.errno.number()));
    }
    system
}

/// Why the program could not be started.
struct NotStarted {
    errno: Errno,
    reason: String,
}

impl NotStarted {
    /// What was to be done with the file at `path` failed.
    fn at(path: &[u8], error: Error) -> Self {
        let (path, name) = (path.escape_ascii(), error.errno.name());
        let reason = match error.reason {
            "" => alloc::format!("cannot run {path}: {name}"),
            reason => alloc::format!("cannot run {path}: {reason} ({name})"),
        };
        Self { errno: error.errno, reason }
    }
}

impl From<BadRun> for NotStarted {
    fn from(error: BadRun) -> Self {
        let errno = match error {
            BadRun::NoProgram => Errno::ENOENT,
            BadRun::PathTooLong => Errno::ENAMETOOLONG,
            BadRun::Malformed(_)
            | BadRun::Version(_)
            | BadRun::UnknownKey(_)
            | BadRun::BadValue { .. } => Errno::EINVAL,
        };
        Self { errno, reason: error.to_string() }
    }
}

/// The tree of the host's directory that is the root, where `run` wants one.
fn root(machine: &Arc<dyn Machine>, run: &Run) -> Result<Option<Vfs>, NotStarted> {
    run.root.as_ref().map(|root| mounts::root(machine, root, run.owner)).transpose()
}

/// Starts the program of `run`.
fn start(system: &Arc<System>, run: Run) -> Result<(), NotStarted> {
    let failed = |error: Error| NotStarted::at(&run.program, error);
    system.equip().map_err(failed)?;
    if let Some(name) = &run.host_name {
        system.set_host_name(name.clone());
    }
    system.net.set_addressing(run.addressing.clone());
    if run.is_traced {
        system.trace();
    }
    let empty = system.empty_memory().clone();
    let paths = FsContext::new(system.vfs.root().clone());
    let process = Arc::new(Process::new(system.processes.allocate_id(), empty, paths));
    process.limits().fit(system.machine.memory().total_pages);
    let thread = Thread::new(system.clone(), process.clone());
    let registers = Cell::default();
    let cx = Context::new(system, &process, &thread, &registers);

    run.mounts.iter().try_for_each(|mount| mounts::mount(&cx, mount, run.owner))?;
    enter_directory(&cx, &run)?;
    let registers = execute(&cx, &run)?;
    open_streams(&cx, &run).map_err(failed)?;
    system.set_program(process.id());
    system.processes.insert(process.clone());
    thread.start(registers).map_err(failed)
}

fn enter_directory(cx: &Context<'_>, run: &Run) -> Result<(), NotStarted> {
    let path = &run.working_directory;
    let entered = resolve(cx, Fd(AT_FDCWD), path.clone(), Follow::Last).and_then(|location| {
        if location.is_directory() {
            cx.paths().set_working_directory(location);
            Ok(())
        } else {
            Err(Errno::ENOTDIR.because("not a directory"))
        }
    });
    entered.map_err(|error| NotStarted {
        errno: error.errno,
        reason: alloc::format!(
            "cannot enter the working directory {}: {} ({})",
            path.escape_ascii(),
            error.reason,
            error.errno.name()
        ),
    })
}

/// Loads the program into the process; returns the registers to enter it with.
fn execute(cx: &Context<'_>, run: &Run) -> Result<Registers, NotStarted> {
    let path = &run.program;
    let failed = |error: ExecError| NotStarted {
        errno: error.errno(),
        reason: alloc::format!("cannot run {}: {error}", path.escape_ascii()),
    };
    let location = resolve(cx, Fd(AT_FDCWD), path.clone(), Follow::Last)
        .map_err(|error| NotStarted::at(path, error))?;
    let executable =
        Executable::open(cx, location, path.clone(), run.arguments.clone()).map_err(failed)?;
    let program = Program {
        executable: &executable,
        environment: &run.environment,
        credentials: &cx.credentials(),
        secure: false,
        limits: MemoryLimits::of(cx.process.limits(), cx.system),
        placement: Placement::Random,
    };
    let loaded = program.load(&cx.system.machine).map_err(failed)?;
    cx.thread.set_name(executable.name());
    cx.process.set_memory(loaded.memory);
    Ok(loaded.registers)
}

/// Opens the descriptors 0, 1 and 2.
fn open_streams(cx: &Context<'_>, run: &Run) -> Result<(), Error> {
    let console = match run.terminal.contains(&true) {
        true => Some(open_console(cx)?),
        false => None,
    };
    if console.is_some() {
        let id = cx.process.id();
        if let Some((rows, columns)) = run.window {
            let window = Winsize { rows, columns, ..Winsize::default() };
            cx.system.terminal.set_window(cx.system, window);
        }
        cx.system.terminal.set_session(id, id);
    }
    for (at, stream) in [Stream::Stdin, Stream::Stdout, Stream::Stderr].into_iter().enumerate() {
        let open = match &console {
            Some(console) if run.terminal[at] => console.clone(),
            _ => stream::open(cx.system, stream),
        };
        cx.files().set(Fd(at as i32), open, OnExec::Keep, u64::MAX)?;
    }
    Ok(())
}

/// Opens the console by its path, which the program may ask for.
fn open_console(cx: &Context<'_>) -> Result<Arc<OpenFile>, Error> {
    open(cx, Fd(AT_FDCWD), b"/dev/console".to_vec(), How::existing(OpenFlags::RDWR))
}

#[cfg(test)]
mod tests;

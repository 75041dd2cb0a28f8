//! The host's terminal, while the guest's line discipline does its work.

use super::Terminals;
use rustix::fs::{Mode, OFlags};
use rustix::termios::{self, OptionalActions, OutputModes, Termios, Winsize};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::panic;
use std::sync::{Arc, Mutex, PoisonError};

/// Rows and columns to assume where a terminal does not know them.
const UNKNOWN_SIZE: (u16, u16) = (24, 80);

/// The terminal that some of the program's descriptors 0, 1 and 2 are.
///
/// It is put in raw mode only when descriptor 0 is the terminal: otherwise its keyboard
/// belongs to somebody else (`echo text | birgus run prog`).
pub struct Terminal {
    file: OwnedFd,
    /// Its keyboard is the program's.
    keyboard: bool,
    /// Its screen belongs to the program alone, so the host need not touch what is written.
    screen: bool,
    /// The mode to return to; `None` while the terminal is as the host had it.
    saved: Arc<Mutex<Option<Termios>>>,
}

impl Terminal {
    /// The terminal behind those of the descriptors 0, 1 and 2 of this process that
    /// `terminals` names; `None` when it names none.
    ///
    /// # Errors
    /// The descriptor cannot be duplicated.
    pub fn of_process(terminals: Terminals) -> io::Result<Option<Self>> {
        let [keyboard, screen, _] = terminals;
        let stdio = [
            (terminals[1], rustix::stdio::stdout()),
            (terminals[2], rustix::stdio::stderr()),
            (terminals[0], rustix::stdio::stdin()),
        ];
        let Some((_, fd)) = stdio.into_iter().find(|(is_terminal, _)| *is_terminal) else {
            return Ok(None);
        };
        let terminal = Self::new(writable(fd)?, keyboard, screen);
        terminal.restore_when_panicking();
        Ok(Some(terminal))
    }

    /// The terminal behind a descriptor. `keyboard`: what is typed is the program's;
    /// `screen`: nobody else writes to it.
    pub(super) fn new(file: OwnedFd, keyboard: bool, screen: bool) -> Self {
        Self { file, keyboard, screen, saved: Arc::default() }
    }

    /// The descriptor that writes to it.
    ///
    /// # Errors
    /// The descriptor cannot be duplicated.
    pub fn output(&self) -> io::Result<OwnedFd> {
        self.file.try_clone()
    }

    /// Rows and columns.
    #[must_use]
    pub fn size(&self) -> (u16, u16) {
        match termios::tcgetwinsize(&self.file) {
            Ok(Winsize { ws_row: rows @ 1.., ws_col: columns @ 1.., .. }) => (rows, columns),
            _ => UNKNOWN_SIZE,
        }
    }

    /// Whether this process may read from it: it has the keyboard, and its process group is
    /// in the foreground. Reading in the background would stop the process (SIGTTIN).
    #[must_use]
    pub fn may_read(&self) -> bool {
        self.keyboard && self.is_foreground()
    }

    /// Puts it in raw mode, if its keyboard is the program's and this process is in the
    /// foreground.
    pub fn enter_raw_mode(&self) {
        let mut saved = self.saved.lock().unwrap_or_else(PoisonError::into_inner);
        if saved.is_some() || !self.may_read() {
            return;
        }
        let Ok(mode) = termios::tcgetattr(&self.file) else { return };
        let mut raw = mode.clone();
        raw.make_raw();
        if !self.screen {
            // Others write to it meanwhile, with line feeds alone.
            raw.output_modes |= mode.output_modes & OutputModes::OPOST;
        }
        if termios::tcsetattr(&self.file, OptionalActions::Drain, &raw).is_ok() {
            *saved = Some(mode);
        }
    }

    /// Whether it is in raw mode now, so that a line feed does not return the carriage.
    #[must_use]
    pub fn is_raw(&self) -> bool {
        self.saved.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Puts it back in the mode it had.
    pub fn restore(&self) {
        let foreground = self.is_foreground();
        restore(&self.file, &self.saved, foreground);
    }

    fn is_foreground(&self) -> bool {
        // A terminal that is not the controlling one has no foreground to be outside of.
        termios::tcgetpgrp(&self.file).map_or(true, |group| group == rustix::process::getpgrp())
    }

    /// A panic ends the process without dropping anything: the terminal is restored first.
    fn restore_when_panicking(&self) {
        let (Ok(file), saved) = (self.file.try_clone(), Arc::clone(&self.saved)) else { return };
        let report = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            restore(&file, &saved, true);
            report(info);
        }));
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.restore();
    }
}

fn restore(file: &OwnedFd, saved: &Mutex<Option<Termios>>, foreground: bool) {
    // A panic may have interrupted the owner of the lock: then the mode is lost with it.
    let Ok(mut saved) = saved.try_lock() else { return };
    // In the background the shell has set the mode already, and setting it would stop us.
    if let Some(mode) = saved.take()
        && foreground
    {
        let _ = termios::tcsetattr(file, OptionalActions::Drain, &mode);
    }
}

/// A descriptor for the same terminal that can be written to: shells open it for both, but
/// `prog < /dev/tty` does not.
fn writable(fd: impl AsFd) -> io::Result<OwnedFd> {
    let flags = rustix::fs::fcntl_getfl(&fd)?;
    if flags.contains(OFlags::RDWR) || flags.contains(OFlags::WRONLY) {
        return fd.as_fd().try_clone_to_owned();
    }
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    match rustix::fs::open("/dev/tty", flags, Mode::empty()) {
        Ok(terminal) => Ok(terminal),
        Err(_) => fd.as_fd().try_clone_to_owned(),
    }
}

//! The line discipline: what happens to bytes between the user's keyboard and screen and the
//! program, as termios(3) says and N_TTY of Linux does.
//!
//! [`Discipline`] is only state: it knows nothing of where bytes come from or go to, so that
//! the console and pseudoterminals share it. Line editing is in `edit`.

use abi::terminal::{InputFlags, LocalFlags, Termios, control};

use super::input::{Input, LIMIT, Mark, Taken};
use super::output::{Output, is_control, lower};

/// With fewer free bytes than this, `IXOFF` asks the user's side to stop.
const THROTTLE_ROOM: usize = 128;

/// With so few bytes left to read, `IXOFF` lets the user's side go on.
const UNTHROTTLE_LEN: usize = 128;

const SIGINT: u8 = 2;
const SIGQUIT: u8 = 3;
const SIGTSTP: u8 = 20;

/// The state of a line discipline.
pub(super) struct Discipline {
    pub(super) settings: Termios,
    pub(super) input: Input,
    pub(super) output: Output,
    /// The next byte is taken literally.
    literal_next: bool,
    /// Erased characters are being shown between `\` and `/` (`ECHOPRT`).
    pub(super) is_showing_erased: bool,
    /// The user, or the program, stopped output.
    is_stopped: bool,
    /// The user's side was asked to stop (`IXOFF`).
    is_throttled: bool,
    /// Signals that the user typed, by bit.
    signals: u32,
}

impl Discipline {
    pub(super) fn new(settings: Termios) -> Self {
        Self {
            settings,
            input: Input::new(),
            output: Output::new(),
            literal_next: false,
            is_showing_erased: false,
            is_stopped: false,
            is_throttled: false,
            signals: 0,
        }
    }

    /// Takes what the user typed, until the queue is full; returns how many bytes.
    pub(super) fn receive(&mut self, bytes: &[u8]) -> usize {
        let mut done = 0;
        while done < bytes.len() && self.make_room() {
            self.receive_byte(bytes[done]);
            done += 1;
        }
        self.throttle();
        done
    }

    /// The next signal that the user typed.
    pub(super) fn take_signal(&mut self) -> Option<u8> {
        let signal = self.signals.trailing_zeros();
        self.signals &= self.signals.wrapping_sub(1);
        u8::try_from(signal).ok().filter(|&signal| signal < 32)
    }

    /// Takes what can be read now, `None` when a canonical reader has to wait, or when there
    /// is not one byte for a non-canonical one.
    pub(super) fn read(&mut self, to: &mut [u8]) -> Option<Taken> {
        let taken = if self.is_canonical() {
            self.input.take_line(to)
        } else {
            let len = self.input.take_bytes(to);
            (len > 0).then_some(Taken { len, is_partial: len == to.len() })
        };
        self.unthrottle();
        taken
    }

    /// Takes what a program writes; returns how many bytes, 0 while output is stopped or the
    /// queue is full.
    pub(super) fn write(&mut self, bytes: &[u8]) -> usize {
        if self.is_stopped { 0 } else { self.output.write(bytes, &self.settings) }
    }

    /// Whether [`Discipline::write`] would take bytes.
    pub(super) fn can_write(&self) -> bool {
        !self.is_stopped && self.output.has_room()
    }

    /// Whether a reader would not wait, as poll(2) sees it.
    pub(super) fn can_read(&self) -> bool {
        if self.is_canonical() {
            return self.input.finished() > 0;
        }
        let wanted = match self.settings.control[control::VTIME] {
            0 => self.settings.control[control::VMIN].max(1),
            _ => 1,
        };
        self.input.len() >= usize::from(wanted)
    }

    /// How many bytes can be read: `FIONREAD`.
    pub(super) fn readable_len(&self) -> usize {
        if self.is_canonical() { self.input.finished_bytes() } else { self.input.len() }
    }

    /// Gives output to `send`, which says how many bytes it took, unless output is stopped.
    pub(super) fn flush(&mut self, send: impl FnMut(&[u8]) -> usize) {
        if !self.is_stopped {
            self.output.flush(send);
        }
    }

    /// Stops output, or lets it go on.
    pub(super) fn set_stopped(&mut self, stopped: bool) {
        self.is_stopped = stopped;
    }

    /// Forgets what the user typed.
    pub(super) fn flush_input(&mut self) {
        self.input.clear();
        self.is_showing_erased = false;
        self.unthrottle();
    }

    /// Changes the settings.
    pub(super) fn set_settings(&mut self, settings: Termios) {
        let old = core::mem::replace(&mut self.settings, settings);
        let changed = LocalFlags::from_bits_truncate(old.local ^ settings.local);
        if changed.intersects(LocalFlags::ICANON.union(LocalFlags::EXTPROC)) {
            self.input.set_canonical(self.local(LocalFlags::ICANON));
            self.is_showing_erased = false;
            self.literal_next = false;
        }
        if old.input_flags().contains(InputFlags::IXON) && !self.input_mode(InputFlags::IXON) {
            self.is_stopped = false;
        }
    }

    pub(super) fn local(&self, flag: LocalFlags) -> bool {
        self.settings.local_flags().contains(flag)
    }

    fn input_mode(&self, flag: InputFlags) -> bool {
        self.settings.input_flags().contains(flag)
    }

    pub(super) fn is_canonical(&self) -> bool {
        self.local(LocalFlags::ICANON) && !self.local(LocalFlags::EXTPROC)
    }

    /// Whether one more byte can be received. A line that is too long loses its last byte, so
    /// that it can still be edited and ended.
    fn make_room(&mut self) -> bool {
        if self.input.len() < LIMIT {
            return true;
        }
        if !self.local(LocalFlags::ICANON) || self.input.finished() > 0 {
            return false;
        }
        self.input.drop_last(self.input.len() - LIMIT);
        true
    }

    fn receive_byte(&mut self, byte: u8) {
        let mut byte = byte;
        if self.input_mode(InputFlags::ISTRIP) {
            byte &= 0x7f;
        }
        if self.input_mode(InputFlags::IUCLC) && self.local(LocalFlags::IEXTEN) {
            byte = lower(byte);
        }
        if core::mem::take(&mut self.literal_next) {
            return self.receive_plain(byte);
        }
        if self.local(LocalFlags::EXTPROC) {
            return self.input.put(byte);
        }
        if self.control_flow(byte) || self.raise_signal(byte) {
            return;
        }
        match byte {
            b'\r' if self.input_mode(InputFlags::IGNCR) => self.restart_by_any(),
            b'\r' if self.input_mode(InputFlags::ICRNL) => self.receive_newline(),
            b'\n' if self.input_mode(InputFlags::INLCR) => self.receive_edited(b'\r'),
            b'\n' if self.local(LocalFlags::ICANON) => self.receive_newline(),
            _ => self.receive_edited(byte),
        }
    }

    /// A newline: the end of a line, or a byte as any other.
    fn receive_newline(&mut self) {
        self.restart_by_any();
        if self.local(LocalFlags::ICANON) {
            if self.local(LocalFlags::ECHO) || self.local(LocalFlags::ECHONL) {
                self.output.put(b'\n', &self.settings);
            }
            return self.input.put_end(b'\n', Mark::LineEnd);
        }
        if self.local(LocalFlags::ECHO) {
            self.finish_erased();
            self.output.put(b'\n', &self.settings);
        }
        self.input.put(b'\n');
    }

    fn receive_edited(&mut self, byte: u8) {
        self.restart_by_any();
        if !(self.local(LocalFlags::ICANON) && self.edit(byte)) {
            self.receive_plain(byte);
        }
    }

    /// A byte without a meaning of its own.
    fn receive_plain(&mut self, byte: u8) {
        self.restart_by_any();
        if self.local(LocalFlags::ECHO) {
            self.finish_erased();
            self.echo_in_line(byte);
        }
        self.double(byte);
        self.input.put(byte);
    }

    /// With `PARMRK`, 0xff is doubled.
    pub(super) fn double(&mut self, byte: u8) {
        if byte == 0xff && self.input_mode(InputFlags::PARMRK) {
            self.input.put(byte);
        }
    }

    /// `IXON`: START and STOP.
    fn control_flow(&mut self, byte: u8) -> bool {
        if !self.input_mode(InputFlags::IXON) {
            return false;
        }
        if self.settings.is(byte, control::VSTART) {
            self.is_stopped = false;
        } else if self.settings.is(byte, control::VSTOP) {
            self.is_stopped = true;
        } else {
            return false;
        }
        true
    }

    /// `IXANY`: whatever is typed restarts output.
    fn restart_by_any(&mut self) {
        if self.input_mode(InputFlags::IXON.union(InputFlags::IXANY)) {
            self.is_stopped = false;
        }
    }

    /// `ISIG`: INTR, QUIT and SUSP.
    fn raise_signal(&mut self, byte: u8) -> bool {
        if !self.local(LocalFlags::ISIG) {
            return false;
        }
        let keys = [(control::VINTR, SIGINT), (control::VQUIT, SIGQUIT), (control::VSUSP, SIGTSTP)];
        let Some((_, signal)) = keys.into_iter().find(|&(key, _)| self.settings.is(byte, key))
        else {
            return false;
        };
        self.signals |= 1 << signal;
        if !self.local(LocalFlags::NOFLSH) {
            self.flush_input();
            self.output.clear();
        }
        if self.input_mode(InputFlags::IXON) {
            self.is_stopped = false;
        }
        if self.local(LocalFlags::ECHO) {
            self.echo(byte);
        }
        true
    }

    /// Echoes a byte of the line that is being edited.
    pub(super) fn echo_in_line(&mut self, byte: u8) {
        if self.input.unfinished_len() == 0 {
            self.output.begin_line();
        }
        self.echo(byte);
    }

    /// Echoes a byte, control characters as `^X` with `ECHOCTL`.
    pub(super) fn echo(&mut self, byte: u8) {
        if self.local(LocalFlags::ECHOCTL) && is_control(byte) && byte != b'\t' {
            self.output.put_caret(byte);
        } else if byte == 0xff {
            self.output.put_literal(byte);
        } else {
            self.output.put(byte, &self.settings);
        }
    }

    /// Takes the next byte literally, and shows that.
    pub(super) fn quote_next(&mut self) {
        self.literal_next = true;
        if !self.local(LocalFlags::ECHO) {
            return;
        }
        self.finish_erased();
        if self.local(LocalFlags::ECHOCTL) {
            self.output.put(b'^', &self.settings);
            self.output.put(b'\x08', &self.settings);
        }
    }

    fn throttle(&mut self) {
        let is_full = LIMIT.saturating_sub(self.input.len()) < THROTTLE_ROOM
            && !(self.local(LocalFlags::ICANON) && self.input.finished() == 0);
        let stop = self.settings.control[control::VSTOP];
        if is_full && !self.is_throttled && self.input_mode(InputFlags::IXOFF) && stop != 0 {
            self.is_throttled = true;
            self.output.put_first(stop);
        }
    }

    fn unthrottle(&mut self) {
        if self.is_throttled && self.input.len() <= UNTHROTTLE_LEN {
            self.is_throttled = false;
            self.output.put_first(self.settings.control[control::VSTART]);
        }
    }
}

//! Line editing: ERASE, WERASE, KILL, REPRINT, LNEXT and the ends of a line.

use abi::terminal::{LocalFlags, control};

use super::discipline::Discipline;
use super::input::Mark;
use super::output::{is_continuation, is_control};

/// How much is erased.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Erase {
    Character,
    Word,
    Line,
}

impl Discipline {
    /// Does what `byte` means in a line that is being edited; false when it means itself.
    pub(super) fn edit(&mut self, byte: u8) -> bool {
        let is = |index| self.settings.is(byte, index);
        let is_extended = self.local(LocalFlags::IEXTEN);
        if is(control::VERASE) {
            self.erase(Erase::Character);
        } else if is(control::VKILL) {
            self.kill();
        } else if is(control::VWERASE) && is_extended {
            self.erase(Erase::Word);
        } else if is(control::VLNEXT) && is_extended {
            self.quote_next();
        } else if is(control::VREPRINT) && is_extended && self.local(LocalFlags::ECHO) {
            self.reprint(byte);
        } else if is(control::VEOF) {
            self.input.put_end(0, Mark::EndOfFile);
        } else if is(control::VEOL) || (is(control::VEOL2) && is_extended) {
            if self.local(LocalFlags::ECHO) {
                self.echo_in_line(byte);
            }
            self.double(byte);
            self.input.put_end(byte, Mark::LineEnd);
        } else {
            return false;
        }
        true
    }

    /// Ends the display of erased characters (`ECHOPRT`).
    pub(super) fn finish_erased(&mut self) {
        if core::mem::take(&mut self.is_showing_erased) {
            self.output.put(b'/', &self.settings);
        }
    }

    fn reprint(&mut self, byte: u8) {
        self.finish_erased();
        self.echo(byte);
        self.output.put(b'\n', &self.settings);
        for at in 0..self.input.unfinished_len() {
            if let Some(byte) = self.input.unfinished_byte(at) {
                self.echo(byte);
            }
        }
    }

    fn kill(&mut self) {
        let rubs_out = LocalFlags::ECHO
            .union(LocalFlags::ECHOE)
            .union(LocalFlags::ECHOK)
            .union(LocalFlags::ECHOKE);
        if self.local(rubs_out) {
            return self.erase(Erase::Line);
        }
        let len = self.input.unfinished_len();
        if len == 0 {
            return;
        }
        self.input.drop_last(len);
        if self.local(LocalFlags::ECHO) {
            self.finish_erased();
            self.echo(self.settings.control[control::VKILL]);
            if self.local(LocalFlags::ECHOK) {
                self.output.put(b'\n', &self.settings);
            }
        }
    }

    fn erase(&mut self, what: Erase) {
        if self.input.unfinished_len() == 0 {
            return;
        }
        let mut seen_word = false;
        while let Some((first, len)) = self.last_character() {
            if what == Erase::Word {
                if is_word(first) {
                    seen_word = true;
                } else if seen_word {
                    break;
                }
            }
            self.erase_last(first, len, what);
            if what == Erase::Character {
                break;
            }
        }
        if self.input.unfinished_len() == 0 && self.local(LocalFlags::ECHO) {
            self.finish_erased();
        }
    }

    /// First byte and length of the last character of the line; `None` when there is none, or
    /// when its first byte is missing.
    fn last_character(&self) -> Option<(u8, usize)> {
        let mut bytes = self.input.unfinished().rev().enumerate();
        bytes
            .find(|&(_, byte)| !is_continuation(byte, &self.settings))
            .map(|(behind, byte)| (byte, behind + 1))
    }

    fn erase_last(&mut self, first: u8, len: usize, what: Erase) {
        if !self.local(LocalFlags::ECHO) {
            return self.input.drop_last(len);
        }
        if self.local(LocalFlags::ECHOPRT) {
            return self.show_erased(first, len);
        }
        self.input.drop_last(len);
        if what == Erase::Character && !self.local(LocalFlags::ECHOE) {
            self.echo(self.settings.control[control::VERASE]);
        } else if first == b'\t' {
            let (before, after_tab) = self.columns_before();
            self.output.erase_tab(before, after_tab);
        } else {
            let columns = match (is_control(first), self.local(LocalFlags::ECHOCTL)) {
                (false, _) => 1,
                (true, true) => 2,
                (true, false) => 0,
            };
            for _ in 0..columns {
                for byte in *b"\x08 \x08" {
                    self.output.put(byte, &self.settings);
                }
            }
        }
    }

    /// Erases the last character by showing it again.
    fn show_erased(&mut self, first: u8, len: usize) {
        if !core::mem::replace(&mut self.is_showing_erased, true) {
            self.output.put(b'\\', &self.settings);
        }
        self.echo(first);
        let line = self.input.unfinished_len();
        for at in line - len + 1..line {
            if let Some(byte) = self.input.unfinished_byte(at) {
                self.output.put(byte, &self.settings);
                self.output.move_back();
            }
        }
        self.input.drop_last(len);
    }

    /// How many columns the line takes behind its last tab, and whether it has one.
    fn columns_before(&self) -> (usize, bool) {
        let mut columns = 0;
        for byte in self.input.unfinished().rev() {
            match byte {
                b'\t' => return (columns, true),
                _ if is_control(byte) => {
                    columns += if self.local(LocalFlags::ECHOCTL) { 2 } else { 0 };
                }
                _ if is_continuation(byte, &self.settings) => {}
                _ => columns += 1,
            }
        }
        (columns, false)
    }
}

/// Whether `byte` is part of a word, in Latin-1 as the kernel sees it.
fn is_word(byte: u8) -> bool {
    let is_latin_letter = matches!(byte, 0xc0..=0xd6 | 0xd8..=0xf6 | 0xf8..);
    byte == b'_' || byte.is_ascii_alphanumeric() || is_latin_letter
}

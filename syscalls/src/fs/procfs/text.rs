//! The text of a file, written piece by piece.

use alloc::vec::Vec;
use core::fmt;

use abi::Errno;

use crate::error::{Because, Result};

/// The number that somebody has written to a setting: hexadecimal after `0x`, octal after `0`.
///
/// # Errors
/// `EINVAL` for anything else.
pub(super) fn parse(value: &[u8]) -> Result<u64> {
    let text = core::str::from_utf8(value.trim_ascii()).unwrap_or_default();
    let number = match (text.strip_prefix("0x"), text.strip_prefix('0')) {
        (Some(digits), _) => u64::from_str_radix(digits, 16),
        (None, Some(digits)) if !digits.is_empty() => u64::from_str_radix(digits, 8),
        (None, _) => text.parse(),
    };
    number.map_err(|_| Errno::EINVAL.because("not a number"))
}

/// Text that grows as long as there is memory.
#[derive(Default)]
pub(super) struct Text {
    bytes: Vec<u8>,
    is_incomplete: bool,
}

impl Text {
    /// Appends bytes.
    pub(super) fn put(&mut self, bytes: &[u8]) {
        if self.bytes.try_reserve(bytes.len()).is_ok() {
            self.bytes.extend_from_slice(bytes);
        } else {
            self.is_incomplete = true;
        }
    }

    /// Appends a path in which what `is_special` says is written as `\ooo`, so that it can be
    /// told from what surrounds it.
    pub(super) fn put_path(&mut self, path: &[u8], is_special: impl Fn(u8) -> bool) {
        for &byte in path {
            if is_special(byte) {
                let digit = |shift: u8| b'0' + (byte >> shift & 7);
                self.put(&[b'\\', digit(6), digit(3), digit(0)]);
            } else {
                self.put(&[byte]);
            }
        }
    }

    /// Appends formatted text.
    pub(super) fn line(&mut self, arguments: fmt::Arguments<'_>) {
        // Writing fails only when memory is short, which `is_incomplete` notes.
        let _ = fmt::write(self, arguments);
    }

    /// Fills up with spaces so that `column` characters come after `start`.
    pub(super) fn pad(&mut self, start: usize, column: usize) {
        while self.bytes.len() < start + column && !self.is_incomplete {
            self.put(b" ");
        }
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// All of it.
    ///
    /// # Errors
    /// `ENOMEM` when there was no memory for some of it.
    pub(super) fn finish(self) -> Result<Vec<u8>> {
        if self.is_incomplete {
            return Err(Errno::ENOMEM.because("no memory for the text of the file"));
        }
        Ok(self.bytes)
    }
}

impl fmt::Write for Text {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.put(text.as_bytes());
        Ok(())
    }
}

/// Appends formatted text to a [`Text`].
macro_rules! put {
    ($text:expr, $($argument:tt)*) => {
        $text.line(format_args!($($argument)*))
    };
}

pub(super) use put;

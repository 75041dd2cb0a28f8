//! Foreign text made safe to show.
//!
//! What the guest, an ELF file or a file name says may hold terminal escape sequences. Such
//! text is shown only through [`escaped`], everywhere but in the program's own streams.

use std::ffi::OsStr;
use std::fmt::{self, Display, Write as _};
use std::os::unix::ffi::OsStrExt;

/// `text` on one line, without control characters: they appear as `\n`, `\t`, `\x1b` or
/// `\u{202e}` (as do the characters that change the direction of the text around them), and
/// bytes that are not UTF-8 as `\xNN`.
pub fn escaped<T: AsRef<[u8]> + ?Sized>(text: &T) -> impl Display + '_ {
    Escaped(text.as_ref())
}

/// A file name or an argument, as [`escaped`] shows it.
pub fn escaped_os<T: AsRef<OsStr> + ?Sized>(text: &T) -> impl Display + '_ {
    Escaped(text.as_ref().as_bytes())
}

struct Escaped<'a>(&'a [u8]);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            for character in chunk.valid().chars() {
                write_character(f, character)?;
            }
            for byte in chunk.invalid() {
                write!(f, "\\x{byte:02x}")?;
            }
        }
        Ok(())
    }
}

fn write_character(f: &mut fmt::Formatter<'_>, character: char) -> fmt::Result {
    match character {
        '\n' => f.write_str("\\n"),
        '\r' => f.write_str("\\r"),
        '\t' => f.write_str("\\t"),
        '\0'..='\x7f' if character.is_ascii_control() => write!(f, "\\x{:02x}", character as u32),
        _ if character.is_control() || changes_direction(character) => {
            write!(f, "\\u{{{:x}}}", character as u32)
        }
        _ => f.write_char(character),
    }
}

/// Line and paragraph separators, and the marks of bidirectional text (Unicode Standard Annex
/// 9, section 2), by which one text can look like another.
fn changes_direction(character: char) -> bool {
    matches!(
        character,
        '\u{200e}' | '\u{200f}' | '\u{61c}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminal_sequences_and_line_feeds_lose_their_power() {
        assert_eq!(escaped("a\x1b[2Jb\nc\r\t\0\x7f").to_string(), r"a\x1b[2Jb\nc\r\t\x00\x7f");
        assert_eq!(escaped("\u{9b}31m\u{202e}").to_string(), r"\u{9b}31m\u{202e}");
    }

    #[test]
    fn ordinary_text_of_any_language_stays() {
        assert_eq!(escaped("Grüße, 世界").to_string(), "Grüße, 世界");
    }

    #[test]
    fn bytes_that_are_not_utf8_appear_as_numbers() {
        assert_eq!(escaped(b"a\xff\xc3b").to_string(), r"a\xff\xc3b");
    }
}

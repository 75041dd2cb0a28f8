//! Text from the application, made safe to show.

use alloc::string::String;

use crate::fs::OpenFile;
use crate::mm::{Area, Backing, Object};

/// At most `max` characters of `bytes`, without control characters.
pub(super) fn shown(bytes: &[u8], max: usize) -> String {
    // No character takes more than four bytes.
    let bytes = &bytes[..bytes.len().min(4 * max + 4)];
    let text = String::from_utf8_lossy(bytes);
    let mut shown = String::new();
    for (at, character) in text.chars().enumerate() {
        if at == max {
            shown.push('…');
            break;
        }
        if character.is_control() {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown
}

/// What an area shows: the last part of a file's path, or a name like `[stack]`.
pub(super) fn file_name(area: &Area) -> String {
    const MAX: usize = 64;
    match open_file(area) {
        Some((open, _)) => shown(&open.location().dentry.name(), MAX),
        None => String::from(area.name),
    }
}

/// The file that an area shows, and from which offset in bytes on.
pub(super) fn open_file(area: &Area) -> Option<(&OpenFile, u64)> {
    match &area.backing {
        Backing::Object(Object::File { open, .. }, offset) => Some((open, *offset)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_short_and_harmless() {
        assert_eq!(shown(b"crab", 10), "crab");
        assert_eq!(shown(b"a\x1b[31m\nb", 20), "a\\u{1b}[31m\\nb");
        assert_eq!(shown(&[b'x'; 1000], 3), "xxx…");
        assert_eq!(shown(b"\xff", 3), "\u{fffd}");
        assert_eq!(shown("ééé".as_bytes(), 3), "ééé");
    }
}

//! /proc/PID/maps: the memory areas of a process.

use abi::memory::Protection;

use crate::error::Result;
use crate::mm::{Area, Backing, Object, Share};

use super::entry::Subject;
use super::text::{Text, put};

/// Column in which names start.
const NAME_COLUMN: usize = 73;

/// /proc/PID/maps.
pub(super) fn maps(subject: &Subject<'_>, text: &mut Text) -> Result<()> {
    for area in subject.process.memory().areas() {
        put_area(subject, text, &area)?;
    }
    Ok(())
}

fn put_area(subject: &Subject<'_>, text: &mut Text, area: &Area) -> Result<()> {
    let start = text.len();
    let letter = |bit, letter| if area.protection.contains(bit) { letter } else { '-' };
    let (r, w) = (letter(Protection::READ, 'r'), letter(Protection::WRITE, 'w'));
    let x = letter(Protection::EXEC, 'x');
    let share = if area.share == Share::Shared { 's' } else { 'p' };
    put!(text, "{:08x}-{:08x} {r}{w}{x}{share} ", area.range.start, area.range.end);
    match &area.backing {
        Backing::Object(Object::File { inode, open }, offset) => {
            let device = inode.file_system().device();
            let number = inode.metadata()?.number;
            put!(text, "{offset:08x} {:02x}:{:02x} {number} ", device.major, device.minor);
            text.pad(start, NAME_COLUMN);
            let path = open.location().shown_path(&subject.cx.paths().root());
            text.put_path(&path, |byte| byte == b'\n');
        }
        Backing::Object(Object::Memory(memory), offset) => {
            let number = memory.number();
            put!(text, "{offset:08x} 00:01 {} ", number.unwrap_or(0));
            text.pad(start, NAME_COLUMN);
            match number {
                Some(number) => {
                    let key = subject.cx.system.ipc.segments.key(number);
                    put!(text, "/SYSV{key:08x} (deleted)");
                }
                None => text.put(b"/dev/zero (deleted)"),
            }
        }
        _ => {
            put!(text, "00000000 00:00 0 ");
            if !area.name.is_empty() {
                text.pad(start, NAME_COLUMN);
                text.put(area.name.as_bytes());
            }
        }
    }
    text.put(b"\n");
    Ok(())
}

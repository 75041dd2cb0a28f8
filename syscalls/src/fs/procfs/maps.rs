//! /proc/PID/maps: the memory areas of a process.

use abi::PAGE_SIZE;
use abi::memory::Protection;

use crate::error::Result;
use crate::mm::{Area, AreaFlags, Share};

use super::area_query;
use super::entry::{Entry, Kind, Subject};
use super::text::{Text, put};

/// Column in which names start.
const NAME_COLUMN: usize = 73;

/// /proc/PID/maps, which also answers questions.
pub(super) const MAPS: Entry =
    Entry { name: "maps", mode: 0o444, kind: Kind::Asked(maps, area_query::ask) };

fn maps(subject: &Subject<'_>, text: &mut Text) -> Result<()> {
    for area in subject.process.memory().areas() {
        put_area(subject, text, &area)?;
    }
    Ok(())
}

/// /proc/PID/smaps: the memory areas, and what of them is in memory. What several processes
/// share counts as a whole for each.
pub(super) fn smaps(subject: &Subject<'_>, text: &mut Text) -> Result<()> {
    const KIB_PER_PAGE: u64 = PAGE_SIZE as u64 / 1024;
    let memory = subject.process.memory();
    for area in memory.areas() {
        put_area(subject, text, &area)?;
        let (resident, own) = memory.resident(&area.range);
        let locked = area.flags.contains(AreaFlags::LOCKED);
        for (name, kib) in [
            ("Size", area.pages() * KIB_PER_PAGE),
            ("KernelPageSize", KIB_PER_PAGE),
            ("MMUPageSize", KIB_PER_PAGE),
            ("Rss", resident * KIB_PER_PAGE),
            ("Pss", resident * KIB_PER_PAGE),
            ("Anonymous", own * KIB_PER_PAGE),
            ("Swap", 0),
            ("Locked", if locked { resident * KIB_PER_PAGE } else { 0 }),
        ] {
            let label = alloc::format!("{name}:");
            put!(text, "{label:16}{kib:8} kB\n");
        }
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
    let (offset, device, inode) = area_query::place(area)?;
    put!(text, "{offset:08x} {:02x}:{:02x} {inode} ", device.major, device.minor);
    let name = area_query::name(subject, area);
    if !name.is_empty() {
        text.pad(start, NAME_COLUMN);
        text.put_path(&name, |byte| byte == b'\n');
    }
    text.put(b"\n");
    Ok(())
}

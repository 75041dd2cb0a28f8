//! Questions for single memory areas: `PROCMAP_QUERY` of ioctl(2) on /proc/PID/maps, see
//! PROCMAP_QUERY(2const).

use alloc::format;
use alloc::vec::Vec;

use abi::fs::Device;
use abi::memory::{AreaQuery, AreaQueryFlags, PROCMAP_QUERY, Protection};
use abi::{Errno, PAGE_SIZE};
use zerocopy::{FromBytes, IntoBytes};

use crate::error::{Because, Outcome, Result};
use crate::mm::{AddressSpace, Area, Backing, Object, Share};
use crate::user::UserPtr;

use super::entry::Subject;

/// Length of a question: up to and with the address.
const SHORTEST: usize = 24;

/// Answers a request of the file.
///
/// # Errors
/// `ENOTTY` for unknown requests; `ENOENT` where there is no such area; `EINVAL`; `E2BIG`;
/// `EFAULT`; `ENAMETOOLONG`; `EOPNOTSUPP` for a build ID.
pub(super) fn ask(subject: &Subject<'_>, request: u32, argument: u64) -> Result<Outcome> {
    if request != PROCMAP_QUERY {
        return Err(Errno::ENOTTY.because("the file does not know this request"));
    }
    let cx = subject.cx;
    let (mut query, len) = read(subject, argument)?;
    let wanted = AreaQueryFlags::from_bits_retain(query.query_flags);
    let known = ACCESS | AreaQueryFlags::COVERING_OR_NEXT | AreaQueryFlags::FILE_BACKED;
    if !known.contains(wanted) {
        return Err(Errno::EINVAL.because("unknown flags"));
    }
    if (query.name_size == 0) != (query.name_address == 0)
        || (query.build_id_size == 0) != (query.build_id_address == 0)
    {
        return Err(Errno::EINVAL.because("room without a size, or a size without room"));
    }
    let memory = subject.process.memory();
    let area = find(&memory, query.query_address, wanted)
        .ok_or_else(|| Errno::ENOENT.because("there is no such area"))?;
    if query.build_id_size != 0 {
        return Err(Errno::EOPNOTSUPP.because("build IDs are not looked for"));
    }
    let (offset, device, inode) = place(&area)?;
    query.start = area.range.start;
    query.end = area.range.end;
    query.flags = flags(&area).bits();
    query.page_size = PAGE_SIZE as u64;
    query.offset = offset;
    (query.device_major, query.device_minor, query.inode) = (device.major, device.minor, inode);
    if query.name_size != 0 {
        let mut name = name(subject, &area);
        if !name.is_empty() {
            name.push(0);
        }
        if name.len() > query.name_size as usize {
            return Err(Errno::ENAMETOOLONG.because("there is not so much room for the name"));
        }
        cx.memory().write(query.name_address, &name)?;
        query.name_size = name.len() as u32;
    }
    cx.memory().write(argument, &query.as_bytes()[..len])?;
    Ok(().into())
}

const ACCESS: AreaQueryFlags = AreaQueryFlags::READABLE
    .union(AreaQueryFlags::WRITABLE)
    .union(AreaQueryFlags::EXECUTABLE)
    .union(AreaQueryFlags::SHARED);

/// The question at `address`, and how many bytes of it the caller knows.
fn read(subject: &Subject<'_>, address: u64) -> Result<(AreaQuery, usize)> {
    let size = UserPtr::<u64>::new(address).read(subject.cx)?;
    let size = usize::try_from(size).ok().filter(|&size| size <= PAGE_SIZE);
    let size = size.ok_or_else(|| Errno::E2BIG.because("more than a page"))?;
    if size < SHORTEST {
        return Err(Errno::EINVAL.because("the question is too short"));
    }
    let bytes = UserPtr::<u8>::new(address).read_array(subject.cx, size)?;
    let len = size.min(size_of::<AreaQuery>());
    if bytes[len..].iter().any(|&byte| byte != 0) {
        return Err(Errno::E2BIG.because("more is asked than is known"));
    }
    let mut whole = [0; size_of::<AreaQuery>()];
    whole[..len].copy_from_slice(&bytes[..len]);
    let query = AreaQuery::read_from_bytes(&whole).map_err(|_| Errno::EINVAL)?;
    Ok((query, len))
}

/// The area that is asked for.
fn find(memory: &AddressSpace, mut address: u64, wanted: AreaQueryFlags) -> Option<Area> {
    let or_next = wanted.contains(AreaQueryFlags::COVERING_OR_NEXT);
    loop {
        let area = memory.area_from(address)?;
        let of_file = matches!(area.backing, Backing::Object(Object::File { .. }, _));
        let fits = flags(&area).contains(wanted & ACCESS)
            && (of_file || !wanted.contains(AreaQueryFlags::FILE_BACKED));
        if fits && (or_next || area.range.start <= address) {
            return Some(area);
        }
        if !or_next {
            return None;
        }
        address = area.range.end;
    }
}

fn flags(area: &Area) -> AreaQueryFlags {
    let mut flags = AreaQueryFlags::empty();
    let can = |what| area.protection.contains(what);
    flags.set(AreaQueryFlags::READABLE, can(Protection::READ));
    flags.set(AreaQueryFlags::WRITABLE, can(Protection::WRITE));
    flags.set(AreaQueryFlags::EXECUTABLE, can(Protection::EXEC));
    flags.set(AreaQueryFlags::SHARED, area.share == Share::Shared);
    flags
}

/// Offset, device and inode of what an area shows.
pub(super) fn place(area: &Area) -> Result<(u64, Device, u64)> {
    Ok(match &area.backing {
        Backing::Object(Object::File { inode, .. }, offset) => {
            (*offset, inode.file_system().device(), inode.metadata()?.number)
        }
        Backing::Object(Object::Memory(memory), offset) => {
            // A segment's number may be any.
            (*offset, Device::new(0, 1), memory.number().map_or(0, |number| number as u64))
        }
        Backing::Object(Object::Pages(_), _) | Backing::Anonymous => (0, Device::default(), 0),
    })
}

/// The name of an area; empty where it has none.
pub(super) fn name(subject: &Subject<'_>, area: &Area) -> Vec<u8> {
    match &area.backing {
        Backing::Object(Object::File { open, .. }, _) => {
            open.location().shown_path(&subject.cx.paths().root())
        }
        Backing::Object(Object::Memory(memory), _) => match memory.number() {
            Some(number) => {
                let key = subject.cx.ipc().segments.key(number);
                format!("/SYSV{key:08x} (deleted)").into_bytes()
            }
            None => b"/dev/zero (deleted)".to_vec(),
        },
        _ => area.name.as_bytes().to_vec(),
    }
}

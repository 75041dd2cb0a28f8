//! Accesses of a debugger, which what the areas allow does not limit: `PTRACE_PEEKTEXT`,
//! `PTRACE_POKETEXT`, /proc/PID/mem.

use alloc::sync::Arc;

use abi::memory::Protection;
use abi::{Errno, PAGE_SIZE, TASK_SIZE};

use crate::error::{Because, Result};
use crate::machine::Page;

use super::address_space::AddressSpace;
use super::area::{Area, Backing, PAGE, Share, page_start};
use super::fault::{Accessor, Wanted};
use super::pages::Resident;

/// What a debugger's access needs first.
enum Step {
    /// Nothing: here is the page.
    Page(Arc<dyn Page>),
    /// An ordinary fault, for this access.
    Fault(Wanted),
    /// A page of the object that is shown there, which the area forbids to map.
    Hidden(Area),
}

impl AddressSpace {
    /// Copies from memory that is mapped in whatever way; how many bytes, and `EIO` when that
    /// was not all.
    pub(crate) fn peek(&self, address: u64, to: &mut [u8]) -> (usize, Result<()>) {
        let mut done = 0;
        while done < to.len() {
            let at = address.wrapping_add(done as u64);
            let (offset, len) = piece(at, to.len() - done);
            match self.page_of(at, Wanted::Read) {
                Ok(page) => page.read(offset, &mut to[done..done + len]),
                Err(error) => return (done, Err(error)),
            }
            done += len;
        }
        (done, Ok(()))
    }

    /// Copies to memory, also where it can only be read: what is private there is copied
    /// first. How many bytes, and `EIO` when that was not all.
    pub(crate) fn poke(&self, address: u64, from: &[u8]) -> (usize, Result<()>) {
        let mut done = 0;
        while done < from.len() {
            let at = address.wrapping_add(done as u64);
            let (offset, len) = piece(at, from.len() - done);
            match self.page_of(at, Wanted::Write) {
                Ok(page) => page.write(offset, &from[done..done + len]),
                Err(error) => return (done, Err(error)),
            }
            done += len;
        }
        (done, Ok(()))
    }

    /// The page at `address`, fit for such an access.
    fn page_of(&self, address: u64, wanted: Wanted) -> Result<Arc<dyn Page>> {
        if address >= TASK_SIZE {
            return Err(nothing());
        }
        loop {
            match self.next_step(address, wanted)? {
                Step::Page(page) => return Ok(page),
                Step::Fault(wanted) => {
                    self.fault(address, wanted, Accessor::Debugger).map_err(|_| nothing())?;
                }
                Step::Hidden(area) => return self.hidden_page(&area, address),
            }
        }
    }

    fn next_step(&self, address: u64, wanted: Wanted) -> Result<Step> {
        let at = page_start(address);
        let mut state = self.state.lock();
        let area = state.areas.at(address).ok_or_else(nothing)?;
        let (share, protection) = (area.share, area.protection);
        let may_write = share == Share::Private || protection.contains(Protection::WRITE);
        if wanted == Wanted::Write && !may_write {
            return Err(Errno::EIO.because("what is shared there can only be read"));
        }
        let Some(resident) = state.pages.get(at) else {
            let is_hidden = protection.is_empty();
            return match wanted {
                Wanted::Write if is_hidden => Err(nothing()),
                _ if is_hidden => Ok(Step::Hidden(area.clone())),
                // What can only be read is copied once it is there.
                _ if !protection.contains(Protection::WRITE) => Ok(Step::Fault(Wanted::Read)),
                _ => Ok(Step::Fault(wanted)),
            };
        };
        if wanted != Wanted::Write || resident.is_writable(share) {
            return Ok(Step::Page(resident.page.clone()));
        }
        if protection.contains(Protection::WRITE) {
            return Ok(Step::Fault(Wanted::Write));
        }
        if resident.guarded {
            return Err(Errno::EIO.because("whoever guards the page would have to be asked"));
        }
        let page = self.machine.copy_page(&*resident.page)?;
        let resident = Resident::new(page.clone(), true);
        match super::area::access_of(protection) {
            Some(access) => state.pages.map(&*self.space, at, resident, access)?,
            None => state.pages.replace(at, resident),
        }
        Ok(Step::Page(page))
    }

    /// A page that nothing may see there: it is not kept.
    fn hidden_page(&self, area: &Area, address: u64) -> Result<Arc<dyn Page>> {
        match &area.backing {
            Backing::Anonymous => Ok(self.machine.allocate_page()?),
            Backing::Object(object, _) => {
                let index = area.object_offset(page_start(address)) / PAGE;
                object.page(index, area.share, Wanted::Read)?.ok_or_else(nothing)
            }
        }
    }
}

fn nothing() -> crate::error::Error {
    Errno::EIO.because("no memory is mapped there")
}

/// The part of an access that lies in the page of its beginning: offset and length.
fn piece(address: u64, len: usize) -> (usize, usize) {
    let offset = (address % PAGE) as usize;
    (offset, len.min(PAGE_SIZE - offset))
}

#[cfg(test)]
mod tests {
    use abi::memory::{MapFlags, Protection};

    use super::*;
    use crate::fake::kit;
    use crate::mm::{MapRequest, MapSource};

    fn map(memory: &AddressSpace, address: u64, protection: Protection, flags: MapFlags) {
        let request = MapRequest {
            address,
            len: PAGE,
            protection,
            flags: flags | MapFlags::ANONYMOUS | MapFlags::FIXED,
            source: MapSource::Anonymous,
            lock_limit: 0,
        };
        memory.map(&request).unwrap();
    }

    #[test]
    fn a_debugger_writes_what_is_private_and_can_only_be_read() {
        const AT: u64 = 0x3000_0000;
        let kit = kit::process();
        let memory = kit.process.memory();
        map(&memory, AT, Protection::READ | Protection::EXEC, MapFlags::PRIVATE);
        assert!(memory.write(AT, b"x").is_err());
        assert_eq!(memory.poke(AT + 1, b"abc").0, 3);
        assert_eq!(kit.get(AT, 5), b"\0abc\0");
        assert!(memory.write(AT, b"x").is_err());
        let child = memory.fork().unwrap();
        assert_eq!(memory.poke(AT, b"!").0, 1);
        let mut seen = [0; 2];
        assert_eq!(child.peek(AT, &mut seen).0, 2);
        assert_eq!(&seen, b"\0a");
        assert_eq!(kit.get(AT, 2), b"!a");
    }

    #[test]
    fn a_debugger_reads_what_nothing_may_read() {
        const AT: u64 = 0x3000_0000;
        let kit = kit::process();
        let memory = kit.process.memory();
        map(&memory, AT, Protection::empty(), MapFlags::PRIVATE);
        let mut seen = [1; 4];
        assert_eq!(memory.peek(AT + PAGE - 2, &mut seen).0, 2);
        assert_eq!(seen, [0, 0, 1, 1]);
        assert!(memory.poke(AT, b"x").1.is_err());
        assert!(memory.peek(u64::MAX - 1, &mut seen).1.is_err());
        assert!(memory.peek(TASK_SIZE - 1, &mut seen).1.is_err());
    }

    #[test]
    fn a_debugger_does_not_write_what_others_share_for_reading() {
        const AT: u64 = 0x3000_0000;
        let kit = kit::process();
        let memory = kit.process.memory();
        map(&memory, AT, Protection::READ, MapFlags::SHARED);
        assert!(memory.poke(AT, b"x").1.is_err());
        map(&memory, AT, Protection::READ | Protection::WRITE, MapFlags::SHARED);
        assert_eq!(memory.poke(AT, b"x").0, 1);
        assert_eq!(kit.get(AT, 1), b"x");
    }
}

//! The vDSO in an address space, with the time page before it: vdso(7).

use alloc::sync::Arc;
use core::ops::Range;

use abi::memory::Protection;
use abi::{Errno, TASK_SIZE};

use crate::error::{Because, Result};
use crate::machine::Page;

use super::address_space::{AddressSpace, State};
use super::area::{ALL_ACCESS, Area, AreaFlags, Backing, PAGE};
use super::layout::{Layout, random_below};
use super::object::Object;

/// The name of the time page.
const TIME: &str = "[vvar]";

/// The vDSO goes at most to the next multiple of this above the stack, in bytes: a page table
/// more is rarely needed.
const REACH: u64 = 2 << 20;

impl AddressSpace {
    /// Maps the machine's vDSO somewhere at random above the stack, or where there is room;
    /// returns the address of its ELF header, `None` where the machine has none.
    ///
    /// # Errors
    /// `ENOMEM`.
    pub fn map_vdso(&self) -> Result<Option<u64>> {
        let pages = self.machine.vdso();
        let len = pages.len() as u64 * PAGE;
        if len <= PAGE {
            return Ok(None);
        }
        let wanted = above_stack(&self.layout, len).map(|room| {
            let choices = (room.end - room.start - len) / PAGE + 1;
            room.start + random_below(&*self.machine, choices) * PAGE
        });
        let mut state = self.state.lock();
        let start = state.place_vdso(&self.layout, wanted, len)?;
        let image = start + PAGE;
        for area in areas(&pages, start..image, image..start + len) {
            state.check_growth(&area, area.pages(), 0)?;
            state.insert(area);
        }
        Ok(Some(image))
    }
}

impl AddressSpace {
    /// Hides the machine's time from the functions of the vDSO, so that they ask the kernel:
    /// clocks of a time namespace are others.
    ///
    /// # Errors
    /// `ENOMEM`.
    pub(crate) fn hide_time(&self) -> Result<()> {
        // Zeros are a time page that tells no time.
        let page = self.machine.allocate_page()?;
        let mut state = self.state.lock();
        let time = state.areas.iter().find(|area| area.name == TIME).cloned();
        let Some(time) = time else {
            return Ok(());
        };
        let range = time.range.clone();
        state.areas.remove(&range);
        state.pages.release(&*self.space, &range);
        let backing = Backing::Object(Object::Pages(Arc::new([page])), 0);
        state.insert(Area { backing, ..time });
        Ok(())
    }
}

impl State {
    fn place_vdso(&self, layout: &Layout, wanted: Option<u64>, len: u64) -> Result<u64> {
        let is_free = |&start: &u64| self.areas.is_free(&(start..start + len));
        let place = wanted.filter(is_free).or_else(|| self.room(layout, len));
        place.ok_or_else(|| Errno::ENOMEM.because("no room for the vDSO"))
    }
}

/// Where `len` bytes may go above the stack; `None` where there is no room.
fn above_stack(layout: &Layout, len: u64) -> Option<Range<u64>> {
    let end = layout.stack_top.next_multiple_of(REACH).min(TASK_SIZE);
    (end - layout.stack_top >= len).then_some(layout.stack_top..end)
}

/// The areas of the time page and of the image.
fn areas(pages: &Arc<[Arc<dyn Page>]>, time: Range<u64>, image: Range<u64>) -> [Area; 2] {
    let backing = |offset| Backing::Object(Object::Pages(pages.clone()), offset);
    let time = Area {
        // Whoever could write to it would write to everybody's.
        allowed: Protection::READ,
        flags: AreaFlags::DONT_DUMP,
        backing: backing(0),
        name: TIME,
        ..Area::anonymous(time, Protection::READ)
    };
    let image = Area {
        allowed: ALL_ACCESS,
        backing: backing(PAGE),
        name: "[vdso]",
        ..Area::anonymous(image, Protection::READ | Protection::EXEC)
    };
    [time, image]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::FakeMachine;
    use crate::machine::Machine;
    use crate::mm::{Accessor, MemoryLimits, Wanted};

    fn memory() -> Arc<AddressSpace> {
        let machine: Arc<dyn Machine> = FakeMachine::new();
        AddressSpace::new(&machine, MemoryLimits::default()).unwrap()
    }

    #[test]
    fn the_image_is_an_elf_file_right_behind_the_time_page() {
        let memory = memory();
        let at = memory.map_vdso().unwrap().unwrap();
        let mut magic = [0; 4];
        memory.read(at, &mut magic).unwrap();
        assert_eq!(&magic, b"\x7fELF");
        let areas = memory.areas();
        let names: alloc::vec::Vec<_> = areas.iter().map(|area| area.name).collect();
        assert_eq!(names, ["[vvar]", "[vdso]"]);
        assert_eq!((areas[0].range.end, areas[1].range.start), (at, at));
        assert!(areas[0].range.start >= memory.layout().stack_top);
        let error = memory.protect(at - PAGE, PAGE, Protection::WRITE).unwrap_err();
        assert_eq!(error.errno, Errno::EACCES);
    }

    #[test]
    fn who_writes_to_the_image_writes_to_a_copy() {
        let memory = memory();
        let at = memory.map_vdso().unwrap().unwrap();
        memory.fault(at, Wanted::Execute, Accessor::Call).unwrap();
        memory.protect(at, PAGE, Protection::READ | Protection::WRITE).unwrap();
        memory.write(at, &[1]).unwrap();
        let mut byte = [0];
        memory.machine.vdso()[1].read(0, &mut byte);
        assert_eq!(byte, [0x7f]);
        memory.unmap(at - PAGE, 2 * PAGE).unwrap();
        assert!(memory.areas().is_empty());
    }

    #[test]
    fn without_room_above_the_stack_it_goes_to_the_mapping_area() {
        let mut layout = *memory().layout();
        layout.stack_top = TASK_SIZE - PAGE;
        assert_eq!(above_stack(&layout, 2 * PAGE), None);
        layout.stack_top = TASK_SIZE - 4 * PAGE;
        assert_eq!(above_stack(&layout, 2 * PAGE), Some(layout.stack_top..TASK_SIZE));
        let memory = memory();
        let state = memory.state.lock();
        let place = state.place_vdso(&layout, None, 2 * PAGE).unwrap();
        assert_eq!(place + 2 * PAGE, layout.map_top);
    }
}

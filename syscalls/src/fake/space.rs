//! Page tables in software, with permissions.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use core::ops::Range;
use std::sync::{Mutex, MutexGuard};

use abi::{PAGE_SIZE, TASK_SIZE};

use crate::machine::{Access, Fault, OutOfMemory, Page, Space};

use super::frames::{Frame, Frames};

/// log2 of what one page table covers: 2 MiB.
const TABLE_SHIFT: u32 = 21;
const PAGE_SHIFT: u32 = 12;

/// Page tables of one address space.
pub(super) struct FakeSpace {
    frames: Arc<Frames>,
    tables: Mutex<Tables>,
}

#[derive(Default)]
struct Tables {
    /// By page number.
    entries: BTreeMap<u64, Entry>,
    /// How many entries each table has that is allocated.
    used: BTreeMap<u64, usize>,
}

struct Entry {
    frame: Arc<Frame>,
    access: Access,
}

/// What an access wants.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Want {
    Load,
    Store,
}

impl FakeSpace {
    pub(super) fn new(frames: &Arc<Frames>) -> Result<Arc<Self>, OutOfMemory> {
        frames.take()?;
        Ok(Arc::new(Self { frames: frames.clone(), tables: Mutex::default() }))
    }

    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Calls `access` for each piece inside one page: frame, offset, offset into the whole,
    /// length.
    fn pieces(
        &self,
        address: u64,
        len: usize,
        want: Want,
        mut access: impl FnMut(&Frame, usize, usize, usize),
    ) -> Result<(), Fault> {
        let tables = self.tables();
        let mut done = 0;
        while done < len {
            let at = address.wrapping_add(done as u64);
            let fault = Fault { address: at };
            if at >= TASK_SIZE {
                return Err(fault);
            }
            let entry = tables.entries.get(&(at >> PAGE_SHIFT)).ok_or(fault)?;
            if want == Want::Store && !writable(entry.access) {
                return Err(fault);
            }
            let offset = at as usize % PAGE_SIZE;
            let part = (PAGE_SIZE - offset).min(len - done);
            access(&entry.frame, offset, done, part);
            done += part;
        }
        Ok(())
    }
}

const fn writable(access: Access) -> bool {
    matches!(access, Access::ReadWrite | Access::ReadWriteExecute)
}

fn page_numbers(range: &Range<u64>) -> Range<u64> {
    assert!(range.start.is_multiple_of(PAGE_SIZE as u64), "start of {range:x?} is aligned");
    assert!(range.end.is_multiple_of(PAGE_SIZE as u64), "end of {range:x?} is aligned");
    assert!(range.start <= range.end && range.end <= TASK_SIZE, "{range:x?} is in the space");
    range.start >> PAGE_SHIFT..range.end >> PAGE_SHIFT
}

impl Space for FakeSpace {
    fn map(&self, address: u64, page: &dyn Page, access: Access) -> Result<(), OutOfMemory> {
        let number = page_numbers(&(address..address + PAGE_SIZE as u64)).start;
        let table = address >> TABLE_SHIFT;
        let mut tables = self.tables();
        if !tables.used.contains_key(&table) {
            self.frames.take()?;
        }
        let frame = self.frames.frame(page.frame());
        frame.add_mapping();
        let old = tables.entries.insert(number, Entry { frame, access });
        let used = tables.used.entry(table).or_insert(0);
        match old {
            Some(old) => old.frame.remove_mapping(),
            None => *used += 1,
        }
        Ok(())
    }

    fn protect(&self, range: Range<u64>, access: Access) {
        for (_, entry) in self.tables().entries.range_mut(page_numbers(&range)) {
            entry.access = access;
        }
    }

    fn unmap(&self, range: Range<u64>) {
        let mut tables = self.tables();
        let gone: alloc::vec::Vec<u64> =
            tables.entries.range(page_numbers(&range)).map(|(&number, _)| number).collect();
        for number in gone {
            if let Some(entry) = tables.entries.remove(&number) {
                entry.frame.remove_mapping();
            }
            let table = number >> (TABLE_SHIFT - PAGE_SHIFT);
            if let Some(used) = tables.used.get_mut(&table) {
                *used -= 1;
                if *used == 0 {
                    tables.used.remove(&table);
                    self.frames.give_back();
                }
            }
        }
    }

    fn read(&self, address: u64, to: &mut [u8]) -> Result<(), Fault> {
        self.pieces(address, to.len(), Want::Load, |frame, offset, done, len| {
            frame.read(offset, &mut to[done..done + len]);
        })
    }

    fn write(&self, address: u64, from: &[u8]) -> Result<(), Fault> {
        self.pieces(address, from.len(), Want::Store, |frame, offset, done, len| {
            frame.write(offset, &from[done..done + len]);
        })
    }

    fn read_to_page(
        &self,
        address: u64,
        page: &dyn Page,
        to_offset: usize,
        len: usize,
    ) -> Result<(), Fault> {
        let mut bytes = [0; PAGE_SIZE];
        self.pieces(address, len, Want::Load, |frame, offset, done, len| {
            frame.read(offset, &mut bytes[..len]);
            page.write(to_offset + done, &bytes[..len]);
        })
    }

    fn write_from_page(
        &self,
        address: u64,
        page: &dyn Page,
        from_offset: usize,
        len: usize,
    ) -> Result<(), Fault> {
        let mut bytes = [0; PAGE_SIZE];
        self.pieces(address, len, Want::Store, |frame, offset, done, len| {
            page.read(from_offset + done, &mut bytes[..len]);
            frame.write(offset, &bytes[..len]);
        })
    }

    fn load_u32(&self, address: u64) -> Result<u32, Fault> {
        assert!(address.is_multiple_of(4), "{address:#x} is aligned");
        let mut bytes = [0; 4];
        self.read(address, &mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn compare_exchange_u32(&self, address: u64, current: u32, new: u32) -> Result<u32, Fault> {
        // Only one thread of the machine runs, so this is atomic.
        let was = self.load_u32(address)?;
        let stored = if was == current { new } else { was };
        self.write(address, &stored.to_le_bytes())?;
        Ok(was)
    }
}

impl Drop for FakeSpace {
    fn drop(&mut self) {
        let tables = self.tables.get_mut().unwrap_or_else(std::sync::PoisonError::into_inner);
        for entry in tables.entries.values() {
            entry.frame.remove_mapping();
        }
        for _ in 0..=tables.used.len() {
            self.frames.give_back();
        }
    }
}

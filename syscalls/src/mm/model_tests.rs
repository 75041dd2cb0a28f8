//! Random operations on an address space, and on children forked from it, compared with a
//! model that knows only bytes and permissions of single pages.

use alloc::collections::BTreeMap;
use alloc::rc::Rc;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::cell::RefCell;
use core::ops::Range;
use std::println;

use abi::memory::{Advice, MapFlags, Protection, RemapFlags};
use abi::{Errno, PAGE_SIZE};

use crate::fake::FakeMachine;
use crate::fake::kit::{self, Kit};
use crate::fs::OpenFile;
use crate::machine::Machine;

use super::model::{Kept, Model, ModelPage, Object, Shows};
use super::{Accessor, AddressSpace, MapRequest, MapSource, MemoryLimits, RemapRequest, Wanted};

const PAGE: u64 = PAGE_SIZE as u64;
/// Where the operations take place: so few pages that they often meet.
const BASE: u64 = 0x7000_0000_0000;
const PAGES: u64 = 48;
/// Length of the file, in pages, and where in its last page it ends.
const FILE_PAGES: u64 = 6;

/// One address space, its model, and the source of randomness.
struct Run {
    memory: Arc<AddressSpace>,
    machine: Arc<FakeMachine>,
    file: Arc<OpenFile>,
    model: Model,
    random: u64,
}

impl Run {
    fn new(kit: &Kit, file: &Arc<OpenFile>, seed: u64) -> Self {
        let machine: Arc<dyn Machine> = kit.machine.clone();
        let memory = AddressSpace::new(&machine, MemoryLimits::default()).unwrap();
        let bytes = (0..FILE_PAGES).map(|index| (index, file_byte(index))).collect();
        let objects = Rc::new(RefCell::new(vec![Object { pages: FILE_PAGES, bytes }]));
        let model = Model { pages: BTreeMap::new(), objects };
        let random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        Self { memory, machine: kit.machine.clone(), file: file.clone(), model, random }
    }

    /// A child, or none where there was no memory for it.
    fn fork(&mut self) -> Option<Self> {
        let starved = self.below(4) == 0;
        if starved {
            let left = self.below(2) as usize;
            self.machine.fail_allocations_after(Some(left));
        }
        let memory = self.memory.fork();
        self.machine.fail_allocations_after(None);
        let memory = match memory {
            Err(error) if starved => {
                assert_eq!(error.errno, Errno::ENOMEM);
                return None;
            }
            memory => memory.unwrap(),
        };
        let (machine, file) = (self.machine.clone(), self.file.clone());
        let random = self.below(u64::MAX) | 1;
        Some(Self { memory, machine, file, model: self.model.fork(), random })
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 11) % limit
    }

    fn range(&mut self) -> Range<u64> {
        let start = self.below(PAGES);
        start..start + 1 + self.below((PAGES - start).min(9))
    }

    fn protection(&mut self) -> Protection {
        let choices = [
            Protection::empty(),
            Protection::READ,
            Protection::READ | Protection::WRITE,
            Protection::READ | Protection::WRITE,
            Protection::READ | Protection::EXEC,
        ];
        choices[self.below(choices.len() as u64) as usize]
    }

    fn step(&mut self) {
        match self.below(18) {
            0 | 1 => self.map(),
            2 => self.unmap(),
            3 | 4 => self.protect(),
            5 | 6 => self.remap(),
            7 => self.dont_need(),
            8 => self.lose_tables(),
            9..=12 => self.write(),
            13 => self.inherit(),
            _ => self.read(),
        }
    }

    fn map(&mut self) {
        let range = self.range();
        let protection = self.protection();
        let kind = self.below(4);
        let offset = self.below(FILE_PAGES + 1);
        let mut flags = MapFlags::FIXED;
        flags |= if kind.is_multiple_of(2) { MapFlags::PRIVATE } else { MapFlags::SHARED };
        let source = if kind < 2 {
            flags |= MapFlags::ANONYMOUS;
            MapSource::Anonymous
        } else {
            MapSource::File(self.file.clone(), offset * PAGE)
        };
        // A private page of the file, filled for writing, would no longer follow the file.
        if kind != 2 && self.below(4) == 0 {
            flags |= MapFlags::POPULATE;
        }
        let len = (range.end - range.start) * PAGE - self.below(PAGE);
        let address = BASE + range.start * PAGE;
        let request = MapRequest { address, len, protection, flags, source, lock_limit: u64::MAX };
        assert_eq!(self.memory.map(&request), Ok(address));
        let object = self.model.objects.borrow().len();
        if kind == 1 {
            let new = Object { pages: range.end - range.start, bytes: BTreeMap::new() };
            self.model.objects.borrow_mut().push(new);
        }
        for page in range.clone() {
            let index = page - range.start;
            let shows = match kind {
                0 => Shows::Own(0),
                1 => Shows::Shared(object, index),
                2 => Shows::Private(0, index + offset, None),
                _ => Shows::Shared(0, index + offset),
            };
            let kept = Kept::default();
            self.model.pages.insert(page, ModelPage { protection, shows, kept });
        }
    }

    fn unmap(&mut self) {
        let range = self.range();
        let len = (range.end - range.start) * PAGE;
        assert_eq!(self.memory.unmap(BASE + range.start * PAGE, len), Ok(()));
        self.model.clear(&range);
    }

    fn protect(&mut self) {
        let range = self.range();
        let protection = self.protection();
        let len = (range.end - range.start) * PAGE;
        let result = self.memory.protect(BASE + range.start * PAGE, len, protection);
        let mut expected = Ok(());
        for page in range {
            let Some(found) = self.model.pages.get_mut(&page) else {
                expected = Err(Errno::ENOMEM);
                break;
            };
            found.protection = protection;
        }
        assert_eq!(result.map_err(|error| error.errno), expected);
    }

    fn remap(&mut self) {
        let from = self.range();
        let to = self.range();
        let (len, new_len) = (from.end - from.start, to.end - to.start);
        let stays = self.below(3) == 0;
        let mut flags = RemapFlags::MAYMOVE | RemapFlags::FIXED;
        flags.set(RemapFlags::DONTUNMAP, stays);
        let request = RemapRequest {
            address: BASE + from.start * PAGE,
            len: len * PAGE,
            new_len: new_len * PAGE,
            flags,
            new_address: BASE + to.start * PAGE,
            lock_limit: u64::MAX,
        };
        let overlap = from.start < to.end && to.start < from.end;
        let used = from.start..from.start + len.min(new_len);
        let mapped = self.model.pages.contains_key(&from.start);
        let expected = match () {
            () if stays && len != new_len => Err(Errno::EINVAL),
            () if !mapped => Err(Errno::EFAULT),
            () if overlap => Err(Errno::EINVAL),
            () if !self.model.is_one_area(&used) => Err(Errno::EFAULT),
            () => Ok(request.new_address),
        };
        let result = self.memory.remap(&request).map_err(|error| error.errno);
        assert_eq!(result, expected, "{from:?} to {to:?}, stays: {stays}");
        let changes = mapped && !overlap && !(stays && len != new_len);
        if changes {
            // As on Linux, the target is unmapped and the tail is gone even when the rest fails.
            self.model.clear(&to);
            self.model.clear(&(used.end..from.end));
        }
        if result.is_ok() {
            self.model_move(&used, &to, stays);
        }
    }

    fn model_move(&mut self, used: &Range<u64>, to: &Range<u64>, stays: bool) {
        let first = self.model.pages[&used.start];
        for index in 0..to.end - to.start {
            let old = used.start + index;
            let moved = self.model.pages.get(&old).copied().filter(|_| used.contains(&old));
            let fresh = ModelPage {
                shows: match first.shows {
                    Shows::Own(_) => Shows::Own(0),
                    Shows::Private(object, at, _) => Shows::Private(object, at + index, None),
                    Shows::Shared(object, at) => Shows::Shared(object, at + index),
                },
                ..first
            };
            self.model.pages.insert(to.start + index, moved.unwrap_or(fresh));
            if moved.is_some() {
                if stays {
                    self.model.pages.insert(old, fresh);
                } else {
                    self.model.pages.remove(&old);
                }
            }
        }
    }

    fn dont_need(&mut self) {
        let range = self.range();
        let len = (range.end - range.start) * PAGE;
        let result = self.memory.advise(BASE + range.start * PAGE, len, Advice::DontNeed);
        let mut expected = Ok(());
        for page in range {
            match self.model.pages.get_mut(&page).map(|found| &mut found.shows) {
                Some(Shows::Own(byte)) => *byte = 0,
                Some(Shows::Private(_, _, copy)) => *copy = None,
                Some(Shows::Shared(..)) => {}
                None => expected = Err(Errno::ENOMEM),
            }
        }
        assert_eq!(result.map_err(|error| error.errno), expected);
    }

    /// Says what a child shall get.
    fn inherit(&mut self) {
        let range = self.range();
        let choices = [Advice::DontFork, Advice::DoFork, Advice::WipeOnFork, Advice::KeepOnFork];
        let advice = choices[self.below(4) as usize];
        let len = (range.end - range.start) * PAGE;
        let result = self.memory.advise(BASE + range.start * PAGE, len, advice);
        let mut expected = Ok(());
        for page in range {
            let Some(found) = self.model.pages.get_mut(&page) else {
                expected = Err(Errno::ENOMEM);
                continue;
            };
            if advice == Advice::WipeOnFork && !matches!(found.shows, Shows::Own(_)) {
                expected = Err(Errno::EINVAL);
                break;
            }
            match advice {
                Advice::DontFork | Advice::DoFork => found.kept.page = advice == Advice::DontFork,
                _ => found.kept.content = advice == Advice::WipeOnFork,
            }
        }
        assert_eq!(result.map_err(|error| error.errno), expected);
    }

    /// The page tables are only a cache.
    fn lose_tables(&mut self) {
        let range = self.range();
        self.memory.space().unmap(BASE + range.start * PAGE..BASE + range.end * PAGE);
    }

    /// Writes, sometimes without memory.
    fn write(&mut self) {
        let page = self.below(PAGES);
        let byte = self.below(256) as u8;
        let starved = self.below(4) == 0;
        if starved {
            let left = self.below(3) as usize;
            self.machine.fail_allocations_after(Some(left));
        }
        let address = BASE + page * PAGE + PAGE - 1;
        let result = self.memory.write(address, &[byte]).map_err(|error| error.errno);
        self.machine.fail_allocations_after(None);
        if starved && result == Err(Errno::ENOMEM) {
            return;
        }
        let expected = self.model.write(page, byte);
        assert_eq!(result, if expected { Ok(()) } else { Err(Errno::EFAULT) }, "page {page}");
    }

    fn read(&mut self) {
        let page = self.below(PAGES);
        self.check(page);
    }

    fn check(&mut self, page: u64) {
        let mut byte = [0xff];
        let result = self.memory.read(BASE + page * PAGE + PAGE - 1, &mut byte);
        assert_eq!(result.ok().map(|()| byte[0]), self.model.read(page), "page {page}");
    }

    fn check_all(&mut self) {
        for page in 0..PAGES {
            self.check(page);
            let protection = self.model.pages.get(&page).map(|found| found.protection);
            let executes =
                self.memory.fault(BASE + page * PAGE, Wanted::Execute, Accessor::Call).is_ok();
            let may = protection.is_some_and(|found| found.contains(Protection::EXEC));
            assert_eq!(executes, may && self.model.read(page).is_some());
        }
        let areas = self.memory.areas();
        let mapped: u64 = areas.iter().map(super::Area::pages).sum();
        assert_eq!(mapped, self.model.pages.len() as u64);
        assert_eq!(self.memory.usage().mapped, mapped);
        assert!(self.memory.usage().resident <= mapped);
        assert!(areas.windows(2).all(|pair| pair[0].range.end <= pair[1].range.start));
        assert!(areas.windows(2).all(|pair| !pair[0].continues_in(&pair[1])));
    }
}

/// What the file holds at the end of each page.
fn file_byte(index: u64) -> u8 {
    0x10 + index as u8
}

/// The content of the file.
fn file_content() -> Vec<u8> {
    let mut content = vec![0; (FILE_PAGES * PAGE) as usize];
    for index in 0..FILE_PAGES {
        content[(index * PAGE + PAGE - 1) as usize] = file_byte(index);
    }
    content
}

#[test]
fn random_operations_agree_with_the_model() {
    for seed in 1..=60 {
        let kit = kit::process();
        let file = kit.file("mapped", &file_content());
        let before = kit.machine.live_pages();
        let mut run = Run::new(&kit, &file, seed);
        for step in 0..400 {
            let guard = Announce { seed, step };
            run.step();
            if step % 20 == 0 {
                run.check_all();
            }
            core::mem::forget(guard);
        }
        drop(run);
        assert_eq!(kit.machine.live_pages(), before, "seed {seed} leaks pages");
    }
}

#[test]
fn random_operations_of_forked_processes_agree_with_the_model() {
    /// Most processes at a time.
    const PROCESSES: usize = 5;
    for seed in 101..=150 {
        let kit = kit::process();
        let file = kit.file("mapped", &file_content());
        let before = kit.machine.live_pages();
        let mut runs = vec![Run::new(&kit, &file, seed)];
        for step in 0..600 {
            let guard = Announce { seed, step };
            let count = runs.len() as u64;
            let at = runs[0].below(count) as usize;
            match runs[0].below(30) {
                0 if runs.len() < PROCESSES => {
                    let child = runs[at].fork();
                    runs.extend(child);
                }
                // Whoever it is that ends, the others see the same as before.
                1 if runs.len() > 1 => drop(runs.swap_remove(at)),
                _ => runs[at].step(),
            }
            if step % 30 == 0 {
                runs.iter_mut().for_each(Run::check_all);
            }
            core::mem::forget(guard);
        }
        drop(runs);
        assert_eq!(kit.machine.live_pages(), before, "seed {seed} leaks pages");
    }
}

/// Says where a failing run was.
struct Announce {
    seed: u64,
    step: u32,
}

impl Drop for Announce {
    fn drop(&mut self) {
        println!("failed with seed {} at step {}", self.seed, self.step);
    }
}

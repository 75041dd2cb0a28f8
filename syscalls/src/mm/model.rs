//! A model of address spaces that knows only bytes and permissions of single pages.

use alloc::collections::BTreeMap;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::RefCell;
use core::ops::Range;

use abi::memory::Protection;

/// What a page shows: its own byte, or a byte of an object.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Shows {
    Own(u8),
    /// A page of an object, with a private copy's byte if there is one.
    Private(usize, u64, Option<u8>),
    Shared(usize, u64),
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct ModelPage {
    pub(super) protection: Protection,
    pub(super) shows: Shows,
    pub(super) kept: Kept,
}

/// What is kept from a child: the content of a page, or the page.
#[derive(Clone, Copy, Default, PartialEq, Debug)]
pub(super) struct Kept {
    pub(super) content: bool,
    pub(super) page: bool,
}

/// An object: how many pages it has, and the bytes that are not 0.
pub(super) struct Object {
    pub(super) pages: u64,
    pub(super) bytes: BTreeMap<u64, u8>,
}

/// All objects, which the processes share. Object 0 is the file.
pub(super) type Objects = Rc<RefCell<Vec<Object>>>;

/// The model of one address space.
#[derive(Clone)]
pub(super) struct Model {
    pub(super) pages: BTreeMap<u64, ModelPage>,
    pub(super) objects: Objects,
}

impl Model {
    /// The byte a read finds, or why it fails.
    pub(super) fn read(&self, page: u64) -> Option<u8> {
        let ModelPage { protection, shows, .. } = *self.pages.get(&page)?;
        if protection.is_empty() {
            return None;
        }
        match shows {
            Shows::Own(byte) | Shows::Private(_, _, Some(byte)) => Some(byte),
            Shows::Private(object, index, None) | Shows::Shared(object, index) => {
                self.byte(object, index)
            }
        }
    }

    fn byte(&self, object: usize, index: u64) -> Option<u8> {
        let object = &self.objects.borrow()[object];
        (index < object.pages).then(|| object.bytes.get(&index).copied().unwrap_or(0))
    }

    pub(super) fn write(&mut self, page: u64, byte: u8) -> bool {
        let Some(found @ ModelPage { protection, shows, .. }) = self.pages.get(&page).copied()
        else {
            return false;
        };
        if !protection.contains(Protection::WRITE) {
            return false;
        }
        let new = match shows {
            Shows::Own(_) => Shows::Own(byte),
            Shows::Private(object, index, copy) => {
                if copy.is_none() && self.byte(object, index).is_none() {
                    return false;
                }
                Shows::Private(object, index, Some(byte))
            }
            Shows::Shared(object, index) => {
                if self.byte(object, index).is_none() {
                    return false;
                }
                self.objects.borrow_mut()[object].bytes.insert(index, byte);
                shows
            }
        };
        self.pages.insert(page, ModelPage { shows: new, ..found });
        true
    }

    /// What a child sees.
    pub(super) fn fork(&self) -> Self {
        let mut child = self.clone();
        child.pages.retain(|_, page| !page.kept.page);
        for page in child.pages.values_mut() {
            if page.kept.content {
                page.shows = Shows::Own(0);
            }
        }
        child
    }

    pub(super) fn clear(&mut self, range: &Range<u64>) {
        self.pages.retain(|page, _| !range.contains(page));
    }

    /// Whether the pages of `range` are one area.
    pub(super) fn is_one_area(&self, range: &Range<u64>) -> bool {
        let like = |page: u64| {
            self.pages.get(&page).map(|found| {
                let object = match found.shows {
                    Shows::Own(_) => (0, 0, 0),
                    Shows::Private(object, index, _) => (1, object, index.wrapping_sub(page)),
                    Shows::Shared(object, index) => (2, object, index.wrapping_sub(page)),
                };
                (found.protection, found.kept, object)
            })
        };
        let first = like(range.start);
        first.is_some() && range.clone().all(|page| like(page) == first)
    }
}

//! The files that are mapped, the vDSO among them: what they tell about code, read a page at a
//! time.

use alloc::sync::Arc;
use alloc::vec::Vec;

use abi::PAGE_SIZE;
use loader::symbols::CodeFile;

use crate::machine::Page;
use crate::mm::{Area, Backing, Object, Share, Wanted};

/// Most pages of one file that a report reads: 32 MiB. Bounds the time that a report takes,
/// whatever the files say.
const MAX_PAGES: u32 = 8192;

/// A mapped file.
pub(super) struct ObjectFile {
    /// What it tells about its code; `None` when it is no ELF file.
    pub(super) code: Option<CodeFile>,
    object: Object,
    reader: Reader,
}

/// Reads a file while that is allowed.
struct Reader {
    page: Option<(u64, Arc<dyn Page>)>,
    pages_left: u32,
}

/// All files that a report has looked at.
#[derive(Default)]
pub(super) struct ObjectFiles(Vec<ObjectFile>);

/// The file an area shows, and the offset in it of the byte at `address` inside the area.
pub(super) fn file_of(area: &Area, address: u64) -> Option<(&Object, u64)> {
    match &area.backing {
        Backing::Object(object @ (Object::File { .. } | Object::Pages(_)), offset) => {
            let offset = offset.checked_add(address.checked_sub(area.range.start)?)?;
            Some((object, offset.checked_sub(first_page(object) * PAGE_SIZE as u64)?))
        }
        _ => None,
    }
}

/// The page of it in which the file begins.
fn first_page(object: &Object) -> u64 {
    match object {
        // The time page comes before the vDSO.
        Object::Pages(_) => 1,
        Object::File { .. } | Object::Memory(_) => 0,
    }
}

impl ObjectFiles {
    /// The index of a file.
    pub(super) fn index(&mut self, object: &Object) -> usize {
        let known = self.0.iter().position(|file| file.object.is(object));
        known.unwrap_or_else(|| {
            self.0.push(ObjectFile::new(object.clone()));
            self.0.len() - 1
        })
    }

    /// The file with this index.
    pub(super) fn get(&mut self, index: usize) -> Option<&mut ObjectFile> {
        self.0.get_mut(index)
    }
}

impl ObjectFile {
    fn new(object: Object) -> Self {
        let reader = Reader { page: None, pages_left: MAX_PAGES };
        let mut file = Self { code: None, object, reader };
        file.code = file.with(|_, read| CodeFile::read(read));
        file
    }

    /// Calls `f` with what is known about the file's code, and a way to read more.
    pub(super) fn with<T>(
        &mut self,
        f: impl FnOnce(Option<&CodeFile>, &mut loader::symbols::Read<'_>) -> Option<T>,
    ) -> Option<T> {
        let Self { code, object, reader } = self;
        f(code.as_ref(), &mut |offset, to| reader.read(object, offset, to))
    }
}

impl Reader {
    /// Bytes past the end of the file are zero up to the end of its page.
    fn read(&mut self, object: &Object, offset: u64, to: &mut [u8]) -> Option<()> {
        let mut done = 0;
        while done < to.len() {
            let at = offset.checked_add(done as u64)?;
            let in_page = (at % PAGE_SIZE as u64) as usize;
            let len = (PAGE_SIZE - in_page).min(to.len() - done);
            self.page(object, at / PAGE_SIZE as u64)?.read(in_page, &mut to[done..done + len]);
            done += len;
        }
        Some(())
    }

    fn page(&mut self, object: &Object, index: u64) -> Option<&dyn Page> {
        if self.page.as_ref().is_none_or(|(cached, _)| *cached != index) {
            self.pages_left = self.pages_left.checked_sub(1)?;
            let at = index.checked_add(first_page(object))?;
            self.page = Some((index, object.page(at, Share::Private, Wanted::Read).ok()??));
        }
        self.page.as_ref().map(|(_, page)| &**page)
    }
}

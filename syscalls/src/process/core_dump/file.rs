//! The file of a core dump: headers, notes and memory, in that order.

use alloc::vec::Vec;

use abi::core_dump::{EM_X86_64, ET_CORE, Header, IDENT, PF_R, PF_W, PF_X, ProgramHeader};
use abi::core_dump::{PT_LOAD, PT_NOTE};
use abi::memory::Protection;
use abi::process::Resource;
use abi::{Errno, PAGE_SIZE};
use zerocopy::IntoBytes;

use crate::buffer;
use crate::context::Context;
use crate::error::{Because, Result};
use crate::fs::OpenFile;
use crate::io::SliceSource;
use crate::mm::Area;
use crate::process::Attention;

use super::notes::Notes;
use super::{Death, Dump};

const PAGE: u64 = PAGE_SIZE as u64;

/// A file that is written from its start to its end, with holes.
struct Writer<'a> {
    cx: &'a Context<'a>,
    open: &'a OpenFile,
    /// Where it goes on, in bytes.
    at: u64,
    /// How many bytes may still be written: `RLIMIT_CORE`.
    left: u64,
}

impl Writer<'_> {
    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        if bytes.len() as u64 > self.left {
            return Err(Errno::EFBIG.because("RLIMIT_CORE is reached"));
        }
        let mut done = 0;
        while done < bytes.len() {
            let mut source = SliceSource::new(&bytes[done..]);
            match self.open.write_at(self.cx, self.at, &mut source)? {
                0 => return Err(Errno::EIO.because("nothing more could be written")),
                written => {
                    done += written;
                    self.at += written as u64;
                }
            }
        }
        self.left -= bytes.len() as u64;
        Ok(())
    }

    /// Goes on at the next multiple of the page size.
    fn align(&mut self) {
        self.at = self.at.next_multiple_of(PAGE);
    }

    /// What of `area` is not only zeros, up to `len` bytes from its start.
    fn put_memory(&mut self, area: &Area, len: u64, buffer: &mut [u8]) -> Result<()> {
        let start = self.at;
        for offset in (0..len).step_by(PAGE_SIZE) {
            // Somebody who cannot wait that long may end it.
            if self.cx.thread.attention.has(Attention::EXIT) {
                return Err(Errno::EINTR.because("the dump was ended"));
            }
            let page = self.cx.memory().dumped_page(area, area.range.start + offset);
            if let Some(page) = page {
                page.read(0, buffer);
                self.at = start + offset;
                self.put(buffer)?;
            }
        }
        self.at = start + len;
        Ok(())
    }
}

impl Context<'_> {
    /// Writes the core dump, as much of it as `RLIMIT_CORE` has room for.
    ///
    /// # Errors
    /// Those of write(2); `EFBIG`; `ENOMEM`.
    pub(super) fn write_core(&self, open: &OpenFile, dump: &Dump, death: &Death<'_>) -> Result<()> {
        let memory = self.memory();
        let filter = self.process.properties.lock().dump_filter;
        let areas = memory.areas();
        let lens: Vec<u64> = areas.iter().map(|area| memory.dumped_len(area, filter)).collect();
        let notes = self.notes(dump, death, &areas)?;
        let left = self.process.limits().current(Resource::Core);
        let mut writer = Writer { cx: self, open, at: 0, left };
        let count = areas.len() + 1;
        writer.put(header(count).as_bytes())?;
        let mut offset = (size_of::<Header>() + count * size_of::<ProgramHeader>()) as u64;
        writer.put(note_segment(offset, notes.len() as u64).as_bytes())?;
        offset = (offset + notes.len() as u64).next_multiple_of(PAGE);
        for (area, &len) in areas.iter().zip(&lens) {
            writer.put(segment(area, offset, len).as_bytes())?;
            offset += len;
        }
        writer.put(&notes)?;
        writer.align();
        let mut buffer = buffer::zeroed(PAGE_SIZE)?;
        for (area, &len) in areas.iter().zip(&lens) {
            writer.put_memory(area, len, &mut buffer)?;
        }
        // A hole at the end belongs to the file, too.
        open.file.inode().truncate(writer.at)
    }

    fn notes(&self, dump: &Dump, death: &Death<'_>, areas: &[Area]) -> Result<Vec<u8>> {
        let mut notes = Notes::default();
        notes.put_process(self, death, areas)?;
        for (_, state) in dump.arrived.lock().iter() {
            notes.put_thread(self, death, state)?;
        }
        Ok(notes.bytes)
    }
}

fn header(segments: usize) -> Header {
    Header {
        ident: IDENT,
        kind: ET_CORE,
        machine: EM_X86_64,
        version: 1,
        program_headers: size_of::<Header>() as u64,
        size: size_of::<Header>() as u16,
        program_header_size: size_of::<ProgramHeader>() as u16,
        // An address space has fewer areas than a count of 16 bits can say.
        program_header_count: u16::try_from(segments).unwrap_or(u16::MAX),
        ..Header::default()
    }
}

fn note_segment(offset: u64, len: u64) -> ProgramHeader {
    ProgramHeader { kind: PT_NOTE, offset, file_size: len, align: 4, ..ProgramHeader::default() }
}

fn segment(area: &Area, offset: u64, len: u64) -> ProgramHeader {
    let flags = [(Protection::READ, PF_R), (Protection::WRITE, PF_W), (Protection::EXEC, PF_X)];
    let set = flags.iter().filter(|(protection, _)| area.protection.contains(*protection));
    ProgramHeader {
        kind: PT_LOAD,
        flags: set.fold(0, |all, (_, flag)| all | flag),
        offset,
        address: area.range.start,
        physical: 0,
        file_size: len,
        memory_size: area.range.end - area.range.start,
        align: PAGE,
    }
}

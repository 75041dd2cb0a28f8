//! From bytes to an [`Image`]: reading the two tables and checking every field.

use alloc::vec::Vec;

use abi::TASK_SIZE;
use goblin::container::{Container, Ctx, Endian};
use goblin::elf::header::{
    EI_CLASS, EI_DATA, ELFCLASS32, ELFDATA2LSB, ELFDATA2MSB, ELFMAG, EM_X86_64, ET_DYN, ET_EXEC,
};
use goblin::elf::program_header::{
    PF_R, PF_W, PF_X, PT_GNU_STACK, PT_INTERP, PT_LOAD, PT_PHDR, ProgramHeader,
};
use goblin::elf64::header::{Header, SIZEOF_EHDR};

use super::{
    Access, ElfError, Image, Kind, MAX_PROGRAM_HEADERS, Machine, Mapping, PROGRAM_HEADER_SIZE,
    ProgramHeaders, ReadError, Segment,
};
use crate::{MMAP_MIN_ADDR, PAGE, PATH_MAX, page_down, page_up};

/// Fills a buffer with the bytes of a file at an offset, all of it or an error.
pub type ReadAt<'a, E> = dyn FnMut(u64, &mut [u8]) -> Result<(), E> + 'a;

/// `read_at` of [`Image::parse`] was asked for bytes that are not there.
struct OutOfRange;

impl Image {
    /// Reads an image from a file of `file_len` bytes. `read_at` fills a buffer with the
    /// bytes at an offset; it is called at most three times, within
    /// `file_len`, for at most 64 KiB.
    ///
    /// # Errors
    /// [`ReadError::Elf`] when the file is not a program that can be started,
    /// [`ReadError::Io`] when `read_at` fails.
    pub fn read<E>(file_len: u64, read_at: &mut ReadAt<'_, E>) -> Result<Self, ReadError<E>> {
        Ok(Headers::read(file_len, read_at)?.image()?)
    }

    /// [`Image::read`] for a file that is in memory.
    ///
    /// # Errors
    /// [`ElfError`] when the file is not a program that can be started.
    pub fn parse(file: &[u8]) -> Result<Self, ElfError> {
        let file_len = file.len() as u64;
        let mut read_at = |offset: u64, buffer: &mut [u8]| {
            let start = usize::try_from(offset).map_err(|_| OutOfRange)?;
            let bytes = file.get(start..).and_then(|rest| rest.get(..buffer.len()));
            buffer.copy_from_slice(bytes.ok_or(OutOfRange)?);
            Ok(())
        };
        Self::read(file_len, &mut read_at).map_err(|error| match error {
            ReadError::Elf(error) => error,
            ReadError::Io(OutOfRange) => ElfError::TooShort { file_len },
        })
    }
}

/// What a program file says of itself, before it is checked where its segments go. The
/// interpreter is named: execve(2) looks for it first.
pub struct Headers {
    header: Header,
    table: Vec<ProgramHeader>,
    interpreter: Option<Vec<u8>>,
    file_len: u64,
}

impl Headers {
    /// Reads the headers of a file of `file_len` bytes; `read_at` as for [`Image::read`].
    ///
    /// # Errors
    /// [`ReadError::Elf`] when the file is not a program or names its interpreter wrongly,
    /// [`ReadError::Io`] when `read_at` fails.
    pub fn read<E>(file_len: u64, read_at: &mut ReadAt<'_, E>) -> Result<Self, ReadError<E>> {
        let (header, table) = read_headers(file_len, read_at)?;
        let interpreter = read_interpreter(&table, file_len, read_at)?;
        Ok(Self { header, table, interpreter, file_len })
    }

    /// The path of the interpreter, if the program has one.
    #[must_use]
    pub fn interpreter(&self) -> Option<&[u8]> {
        self.interpreter.as_deref()
    }

    /// The image.
    ///
    /// # Errors
    /// [`ElfError`] when its segments cannot be loaded.
    pub fn image(self) -> Result<Image, ElfError> {
        let image = plan(&self.header, &self.table, self.file_len)?;
        Ok(Image { interpreter: self.interpreter, ..image })
    }
}

/// Reads the ELF header and the program headers.
pub(super) fn read_headers<E>(
    file_len: u64,
    read_at: &mut ReadAt<'_, E>,
) -> Result<(Header, Vec<ProgramHeader>), ReadError<E>> {
    let mut bytes = [0; SIZEOF_EHDR];
    let present = bytes.len().min(usize::try_from(file_len).unwrap_or(usize::MAX));
    read_at(0, &mut bytes[..present]).map_err(ReadError::Io)?;
    let header = parse_header(bytes, file_len)?;
    let len = usize::from(header.e_phnum) * usize::from(PROGRAM_HEADER_SIZE);
    let table = read_bytes(header.e_phoff, len, read_at)?;
    Ok((header, parse_table(&table)?))
}

/// Checks everything the ELF header says except the entry point.
fn parse_header(mut bytes: [u8; SIZEOF_EHDR], file_len: u64) -> Result<Header, ElfError> {
    let header_len = SIZEOF_EHDR as u64;
    if file_len == 0 {
        return Err(ElfError::Empty);
    }
    if !bytes.starts_with(ELFMAG) {
        return Err(ElfError::NotElf);
    }
    if file_len < header_len {
        return Err(ElfError::TooShort { file_len });
    }
    // Linux looks at neither byte, and small hand-made programs keep code there: only the
    // two values that surely mean another machine are refused.
    let data = bytes[EI_DATA];
    bytes[EI_DATA] = ELFDATA2LSB;
    let header = Header::parse(&bytes).map_err(|_| ElfError::TooShort { file_len })?;
    if data == ELFDATA2MSB {
        return Err(ElfError::BigEndian { machine: Machine(header.e_machine.swap_bytes()) });
    }
    let machine = Machine(header.e_machine);
    if bytes[EI_CLASS] == ELFCLASS32 {
        return Err(ElfError::ThirtyTwoBit { machine });
    }
    if header.e_machine != EM_X86_64 {
        return Err(ElfError::ForeignMachine { machine });
    }
    if header.e_type != ET_EXEC && header.e_type != ET_DYN {
        return Err(ElfError::NotExecutable { file_type: header.e_type });
    }
    check_table_place(&header, file_len)?;
    Ok(header)
}

fn check_table_place(header: &Header, file_len: u64) -> Result<(), ElfError> {
    let (offset, count) = (header.e_phoff, header.e_phnum);
    if count == 0 {
        return Err(ElfError::NoProgramHeaders);
    }
    if header.e_phentsize != PROGRAM_HEADER_SIZE {
        return Err(ElfError::ProgramHeaderSize { size: header.e_phentsize });
    }
    if count > MAX_PROGRAM_HEADERS {
        return Err(ElfError::TooManyProgramHeaders { count });
    }
    let len = u64::from(count) * u64::from(PROGRAM_HEADER_SIZE);
    if !is_inside(offset, len, file_len) {
        return Err(ElfError::ProgramHeadersOutsideFile { offset, count, file_len });
    }
    Ok(())
}

pub(super) fn is_inside(offset: u64, len: u64, file_len: u64) -> bool {
    offset.checked_add(len).is_some_and(|end| end <= file_len)
}

/// Reads `len` bytes at `offset`; the caller has bounded both.
pub(super) fn read_bytes<E>(
    offset: u64,
    len: usize,
    read_at: &mut ReadAt<'_, E>,
) -> Result<Vec<u8>, ReadError<E>> {
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(len).map_err(|_| ElfError::OutOfMemory)?;
    bytes.resize(len, 0);
    read_at(offset, &mut bytes).map_err(ReadError::Io)?;
    Ok(bytes)
}

fn parse_table(bytes: &[u8]) -> Result<Vec<ProgramHeader>, ElfError> {
    let size = usize::from(PROGRAM_HEADER_SIZE);
    let context = Ctx::new(Container::Big, Endian::Little);
    let mut table = Vec::new();
    table.try_reserve_exact(bytes.len() / size).map_err(|_| ElfError::OutOfMemory)?;
    for entry in bytes.chunks_exact(size) {
        let parsed = ProgramHeader::parse(entry, 0, 1, context);
        table.extend(parsed.map_err(|_| ElfError::OutOfMemory)?);
    }
    Ok(table)
}

/// Makes the image, still without the path of its interpreter.
fn plan(header: &Header, table: &[ProgramHeader], file_len: u64) -> Result<Image, ElfError> {
    let kind = if header.e_type == ET_EXEC { Kind::Fixed } else { Kind::PositionIndependent };
    check_loads(table, kind, file_len)?;
    let bounds = Bounds::of(table).ok_or(ElfError::NothingToLoad)?;

    let mut segments = Vec::new();
    segments.try_reserve_exact(table.len()).map_err(|_| ElfError::OutOfMemory)?;
    segments.extend(loads(table).filter(|(_, load)| load.p_memsz > 0).map(|(_, l)| segment(l)));

    let stack = table.iter().rfind(|entry| entry.p_type == PT_GNU_STACK);
    let image = Image {
        kind,
        entry: header.e_entry,
        segments,
        program_headers: ProgramHeaders {
            address: table_address(header.e_phoff, table),
            count: header.e_phnum,
        },
        interpreter: None,
        executable_stack: stack.is_some_and(|stack| stack.p_flags & PF_X != 0),
        alignment: alignment(table),
        low: bounds.low,
        high: bounds.high,
        end: bounds.end,
    };
    check_place(&image)?;
    if !is_executable(&image, header.e_entry) {
        return Err(ElfError::EntryNotExecutable { entry: header.e_entry });
    }
    Ok(image)
}

pub(super) fn loads(
    table: &[ProgramHeader],
) -> impl Iterator<Item = (usize, &ProgramHeader)> + Clone {
    table.iter().enumerate().filter(|(_, entry)| entry.p_type == PT_LOAD)
}

fn segment(load: &ProgramHeader) -> Segment {
    let flag = |flag| load.p_flags & flag != 0;
    Segment {
        address: load.p_vaddr,
        memory_len: load.p_memsz,
        file_offset: load.p_offset,
        file_len: load.p_filesz,
        access: Access { read: flag(PF_R), write: flag(PF_W), execute: flag(PF_X) },
    }
}

fn check_loads(table: &[ProgramHeader], kind: Kind, file_len: u64) -> Result<(), ElfError> {
    for (index, load) in loads(table) {
        check_load(index, load, file_len)?;
        let address = load.p_vaddr;
        if load.p_memsz > 0 && kind == Kind::Fixed && address < MMAP_MIN_ADDR {
            return Err(ElfError::SegmentTooLow { index, address });
        }
    }
    let mut rest = loads(table).filter(|(_, load)| load.p_memsz > 0);
    while let Some((index, load)) = rest.next() {
        let overlap = |other: &ProgramHeader| {
            load.p_vaddr < other.p_vaddr + other.p_memsz
                && other.p_vaddr < load.p_vaddr + load.p_memsz
        };
        if let Some((other, _)) = rest.clone().find(|(_, other)| overlap(other)) {
            return Err(ElfError::SegmentsOverlap { index, other });
        }
    }
    Ok(())
}

fn check_load(index: usize, load: &ProgramHeader, file_len: u64) -> Result<(), ElfError> {
    let (address, memory_len) = (load.p_vaddr, load.p_memsz);
    let (offset, len) = (load.p_offset, load.p_filesz);
    if address.checked_add(memory_len).is_none_or(|end| end > TASK_SIZE) {
        return Err(ElfError::SegmentTooHigh { index, address, memory_len });
    }
    if len > memory_len {
        return Err(ElfError::FileLongerThanMemory { index, file_len: len, memory_len });
    }
    // Packers write segments without bytes, whose offset means nothing.
    if len == 0 {
        return Ok(());
    }
    if offset % PAGE != address % PAGE {
        return Err(ElfError::SegmentMisaligned { index, offset, address });
    }
    if !is_inside(offset, len, file_len) {
        return Err(ElfError::SegmentOutsideFile { index, offset, len, file_len });
    }
    Ok(())
}

/// How far the segments reach, after [`check_loads`].
struct Bounds {
    /// Lowest page that is occupied.
    low: u64,
    /// End of the highest page that is occupied.
    high: u64,
    /// The page after the end of every segment, empty ones included.
    end: u64,
}

impl Bounds {
    /// `None` when no segment occupies memory.
    fn of(table: &[ProgramHeader]) -> Option<Self> {
        let end_of = |load: &ProgramHeader| load.p_vaddr.checked_add(load.p_memsz);
        let occupied = loads(table).filter(|(_, load)| load.p_memsz > 0);
        Some(Self {
            low: page_down(occupied.clone().map(|(_, load)| load.p_vaddr).min()?),
            high: page_up(occupied.filter_map(|(_, load)| end_of(load)).max()?)?,
            end: page_up(loads(table).filter_map(|(_, load)| end_of(load)).max()?)?,
        })
    }
}

/// The largest `p_align` that is a power of two, at least a page.
fn alignment(table: &[ProgramHeader]) -> u64 {
    let all = loads(table).map(|(_, load)| load.p_align);
    all.filter(|align| align.is_power_of_two()).fold(PAGE, u64::max)
}

/// Where the program header table is in memory: in the last segment that holds its offset,
/// as Linux finds it, else where `PT_PHDR` says.
fn table_address(e_phoff: u64, table: &[ProgramHeader]) -> Option<u64> {
    let holds =
        |load: &&ProgramHeader| load.p_offset <= e_phoff && e_phoff - load.p_offset < load.p_filesz;
    let load = loads(table).map(|(_, load)| load).filter(holds).last();
    let said = || table.iter().find(|entry| entry.p_type == PT_PHDR).map(|entry| entry.p_vaddr);
    load.map(|load| load.p_vaddr + (e_phoff - load.p_offset)).or_else(said)
}

/// Whether there is a load bias with which the image lies in the address space.
fn check_place(image: &Image) -> Result<(), ElfError> {
    let (low, len) = image.address_range();
    match image.kind {
        Kind::Fixed => Ok(()),
        Kind::PositionIndependent => {
            // The highest place there is; whoever does not fit there fits nowhere.
            let highest = TASK_SIZE.checked_sub(len);
            let no_room = ElfError::NoRoom { len, alignment: image.alignment };
            let highest = highest.filter(|start| *start >= low % image.alignment);
            image.bias_for(highest.ok_or(no_room)?).map(|_| ())
        }
    }
}

/// Whether instructions can be fetched at `address`, once all mappings are made.
fn is_executable(image: &Image, address: u64) -> bool {
    let holds =
        |mapping: &Mapping| mapping.address <= address && address - mapping.address < mapping.len;
    let mappings =
        image.segments.iter().flat_map(|segment| super::mapping::of_segment(*segment, 0));
    mappings.filter(holds).last().is_some_and(|mapping| mapping.access.execute)
}

fn read_interpreter<E>(
    table: &[ProgramHeader],
    file_len: u64,
    read_at: &mut ReadAt<'_, E>,
) -> Result<Option<Vec<u8>>, ReadError<E>> {
    let mut found = table.iter().enumerate().filter(|(_, entry)| entry.p_type == PT_INTERP);
    let Some((_, entry)) = found.next() else {
        return Ok(None);
    };
    if let Some((index, _)) = found.next() {
        return Err(ElfError::SeveralInterpreters { index }.into());
    }
    let (offset, len) = (entry.p_offset, entry.p_filesz);
    let bounded = usize::try_from(len).ok().filter(|len| (2..=PATH_MAX).contains(len));
    let bounded = bounded.ok_or(ElfError::InterpreterLength { len })?;
    if !is_inside(offset, len, file_len) {
        return Err(ElfError::InterpreterOutsideFile { offset, len, file_len }.into());
    }
    let mut path = read_bytes(offset, bounded, read_at)?;
    if path.last() != Some(&0) {
        return Err(ElfError::InterpreterNotTerminated.into());
    }
    path.truncate(path.iter().position(|&byte| byte == 0).unwrap_or(0));
    if path.is_empty() {
        return Err(ElfError::InterpreterEmpty.into());
    }
    Ok(Some(path))
}

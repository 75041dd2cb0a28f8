//! Where the images of a new program go: as `load_elf_binary` of Linux decides.

use abi::memory::{MapFlags, Protection};
use abi::{Errno, PAGE_SIZE};
use loader::elf::Image;

use crate::error::{Because, Result};
use crate::mm::{AddressSpace, MapRequest, MapSource};

use super::ExecError;

/// The load bias of the program itself. One that loads itself, a static-PIE program or an
/// interpreter, stays out of the way of programs it may load.
pub(super) fn bias_of_program(memory: &AddressSpace, image: &Image) -> Result<u64, ExecError> {
    if image.is_static_pie() {
        return bias_in_mapping_area(memory, image);
    }
    Ok(image.bias_for(memory.layout().program)?)
}

/// The load bias that puts an image where mmap(2) would, 0 for a fixed one.
pub(super) fn bias_in_mapping_area(memory: &AddressSpace, image: &Image) -> Result<u64, ExecError> {
    let (_, len) = image.address_range();
    // Room enough that some aligned place is within.
    let slack = image.alignment() - PAGE_SIZE as u64;
    let len = len
        .checked_add(slack)
        .ok_or_else(|| Errno::ENOMEM.because("no room for an image of this alignment"))?;
    let start = memory.map(&MapRequest {
        address: 0,
        len,
        protection: Protection::empty(),
        flags: MapFlags::PRIVATE | MapFlags::ANONYMOUS,
        source: MapSource::Anonymous,
        lock_limit: 0,
    })?;
    memory.unmap(start, len)?;
    Ok(image.bias_for(start + slack)?)
}

/// Lets the program break begin behind the program, or, for one in the mapping area, where a
/// program would be.
pub(super) fn set_program_break(memory: &AddressSpace, image: &Image, bias: u64) {
    let layout = memory.layout();
    let start = if image.is_static_pie() {
        layout.program
    } else {
        image.program_break(bias) + layout.break_gap
    };
    memory.set_program_break(start);
}

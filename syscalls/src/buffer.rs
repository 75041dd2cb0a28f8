//! Buffers whose length somebody else chose: without memory for one, a call fails and the
//! kernel goes on.

use alloc::vec::Vec;

use crate::machine::OutOfMemory;

/// A buffer of `len` zeros.
///
/// # Errors
/// [`OutOfMemory`].
pub(crate) fn zeroed(len: usize) -> Result<Vec<u8>, OutOfMemory> {
    let mut buffer = with_room(len)?;
    buffer.resize(len, 0);
    Ok(buffer)
}

/// A copy of `bytes`.
///
/// # Errors
/// [`OutOfMemory`].
pub(crate) fn copied(bytes: &[u8]) -> Result<Vec<u8>, OutOfMemory> {
    let mut copy = with_room(bytes.len())?;
    copy.extend_from_slice(bytes);
    Ok(copy)
}

fn with_room(len: usize) -> Result<Vec<u8>, OutOfMemory> {
    let mut buffer = Vec::new();
    buffer.try_reserve_exact(len).map_err(|_| OutOfMemory)?;
    Ok(buffer)
}

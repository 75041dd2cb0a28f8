//! Copies from file to file: sendfile(2), copy_file_range(2).

use alloc::vec::Vec;

use abi::Errno;

use crate::context::Context;
use crate::error::Result;
use crate::io::{SliceSink, SliceSource};
use crate::user::MAX_TRANSFER;

use super::open_file::OpenFile;

/// Copies go in pieces of so many bytes.
const CHUNK: usize = 64 * 1024;

/// Copies up to `count` bytes from `from` to `to`, at these offsets or, where there are none,
/// at the positions, which then move. Returns how many bytes, and the offset after the last
/// one read.
///
/// # Errors
/// Those of read(2) and write(2), where not even one byte was copied.
pub(crate) fn transfer(
    cx: &Context<'_>,
    from: &OpenFile,
    from_offset: Option<u64>,
    to: &OpenFile,
    to_offset: Option<u64>,
    count: usize,
) -> Result<(usize, Option<u64>)> {
    let count = count.min(MAX_TRANSFER);
    let mut buffer = Vec::new();
    buffer.try_reserve_exact(count.min(CHUNK)).map_err(|_| Errno::ENOMEM)?;
    buffer.resize(count.min(CHUNK), 0);
    let mut done = 0;
    while done < count {
        let len = buffer.len().min(count - done);
        let step = (done, &mut buffer[..len]);
        match transfer_chunk(cx, (from, from_offset), (to, to_offset), step) {
            Ok(0) => break,
            Ok(copied) => {
                done += copied;
                if copied < len {
                    break;
                }
            }
            Err(error) if done == 0 => return Err(error),
            Err(_) => break,
        }
    }
    Ok((done, from_offset.map(|offset| offset + done as u64)))
}

/// Copies one piece through the buffer, after so many bytes. What was read but not written is
/// read again by the next call: a position of the input moves by what was written only.
fn transfer_chunk(
    cx: &Context<'_>,
    from: (&OpenFile, Option<u64>),
    to: (&OpenFile, Option<u64>),
    (done, buffer): (usize, &mut [u8]),
) -> Result<usize> {
    let write = |bytes: &[u8]| {
        let mut source = SliceSource::new(bytes);
        match to {
            (to, Some(offset)) => to.write_at(cx, offset + done as u64, &mut source),
            (to, None) => to.write(cx, &mut source),
        }
    };
    match from {
        (from, Some(offset)) => {
            let at = offset + done as u64;
            let len = from.read_at(cx, at, &mut SliceSink::new(buffer))?;
            if len == 0 { Ok(0) } else { write(&buffer[..len]) }
        }
        (from, None) if from.check_positions().is_ok() => from.with_position(cx, |at| {
            let len = from.read_at(cx, at, &mut SliceSink::new(buffer))?;
            let copied = if len == 0 { 0 } else { write(&buffer[..len])? };
            Ok((copied, at + copied as u64))
        }),
        (from, None) => {
            let len = from.read(cx, &mut SliceSink::new(buffer))?;
            if len == 0 { Ok(0) } else { write(&buffer[..len]) }
        }
    }
}

//! Copies from file to file: sendfile(2), copy_file_range(2).

use crate::buffer;
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
    let mut buffer = buffer::zeroed(count.min(CHUNK))?;
    // As on Linux, the position of the input is not held while the output is written: both
    // may be the same.
    let moves = from_offset.is_none() && from.check_positions().is_ok();
    let start = if moves { Some(from.position()) } else { from_offset };
    let mut done = 0;
    while done < count {
        let len = buffer.len().min(count - done);
        let step = (done, &mut buffer[..len]);
        match transfer_chunk(cx, (from, start), (to, to_offset), step) {
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
    let end = start.map(|start| start + done as u64);
    if let (true, Some(end)) = (moves && done > 0, end) {
        from.set_position(end);
    }
    Ok((done, end))
}

/// Copies one piece through the buffer, after so many bytes. Of an input that has positions,
/// what was read but not written is read again by the next call.
fn transfer_chunk(
    cx: &Context<'_>,
    from: (&OpenFile, Option<u64>),
    to: (&OpenFile, Option<u64>),
    (done, buffer): (usize, &mut [u8]),
) -> Result<usize> {
    let mut sink = SliceSink::new(buffer);
    let len = match from {
        (from, Some(start)) => from.read_at(cx, start + done as u64, &mut sink)?,
        (from, None) => from.read(cx, &mut sink)?,
    };
    if len == 0 {
        return Ok(0);
    }
    let mut source = SliceSource::new(&buffer[..len]);
    match to {
        (to, Some(start)) => to.write_at(cx, start + done as u64, &mut source),
        (to, None) => to.write(cx, &mut source),
    }
}

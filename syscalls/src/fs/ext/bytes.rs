//! Numbers in structures on disk: little-endian, at fixed places. What lies outside of a
//! structure reads as 0 and is not written: no image can make this panic.

/// The 16-bit number at `at`.
pub(super) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    number_at(bytes, at).map_or(0, u16::from_le_bytes)
}

/// The 32-bit number at `at`.
pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    number_at(bytes, at).map_or(0, u32::from_le_bytes)
}

/// The number whose low half is at `low` and whose high half is at `high`.
pub(super) fn u64_at(bytes: &[u8], low: usize, high: usize) -> u64 {
    u64::from(u32_at(bytes, low)) | u64::from(u32_at(bytes, high)) << 32
}

/// The 32-bit number at `at`, the other way round: the journal's.
pub(super) fn big_u32_at(bytes: &[u8], at: usize) -> u32 {
    number_at(bytes, at).map_or(0, u32::from_be_bytes)
}

fn number_at<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

/// Puts a 16-bit number at `at`.
pub(super) fn put_u16(bytes: &mut [u8], at: usize, value: u16) {
    put(bytes, at, &value.to_le_bytes());
}

/// Puts a 32-bit number at `at`.
pub(super) fn put_u32(bytes: &mut [u8], at: usize, value: u32) {
    put(bytes, at, &value.to_le_bytes());
}

/// Puts `value` at `at`.
pub(super) fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    if let Some(to) = bytes.get_mut(at..at.saturating_add(value.len())) {
        to.copy_from_slice(value);
    }
}

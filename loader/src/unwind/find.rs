//! Finding the entry of `.eh_frame` that describes an address.

use alloc::vec;
use alloc::vec::Vec;

use crate::symbols::{CodeFile, Part, Read};

/// Longest entry that is read, in bytes.
const MAX_ENTRY: u32 = 64 * 1024;

/// Start of the index: version 1, address of `.eh_frame` relative and 4 bytes long, count of
/// 4 bytes, entries relative to the index with 4 bytes each. Linkers write no other.
const INDEX_HEADER: [u8; 4] = [1, 0x1b, 0x03, 0x3b];
const INDEX_HEADER_LEN: u64 = 12;
const INDEX_ENTRY_LEN: u64 = 8;

/// A frame description together with the common information it refers to, side by side as
/// in a section of their own.
pub(super) struct Entry {
    /// Both.
    pub(super) bytes: Vec<u8>,
    /// Where the description begins in them.
    pub(super) description: usize,
    /// The address of the first byte with which the description is at its own place.
    pub(super) base: u64,
}

/// The entry that describes `address`, or the one nearest below.
pub(super) fn entry(file: &CodeFile, address: u64, read: &mut Read<'_>) -> Option<Entry> {
    let mut reader = Reader { file, read };
    let at = match file.frame_index {
        Some(index) => reader.look_up(index, address),
        None => None,
    };
    let at = match (at, file.frames) {
        (Some(at), _) => at,
        (None, Some(frames)) => reader.look_through(frames, address)?,
        (None, None) => return None,
    };
    reader.entry(at)
}

struct Reader<'a, 'r> {
    file: &'a CodeFile,
    read: &'a mut Read<'r>,
}

impl Reader<'_, '_> {
    /// Loads the bytes of the file that have this address.
    fn load(&mut self, address: u64, to: &mut [u8]) -> Option<()> {
        let (offset, left) = self.file.offset_of(address)?;
        if (to.len() as u64) > left {
            return None;
        }
        (self.read)(offset, to)
    }

    fn load_words<const N: usize>(&mut self, address: u64) -> Option<[u32; N]> {
        let mut words = [0; N];
        let mut bytes = [0; 16];
        let bytes = bytes.get_mut(..4 * N)?;
        self.load(address, bytes)?;
        for (word, bytes) in words.iter_mut().zip(bytes.chunks_exact(4)) {
            *word = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        }
        Some(words)
    }

    /// Address of the last description in the index that begins at or below `address`.
    fn look_up(&mut self, index: Part, address: u64) -> Option<u64> {
        let [start, _, count] = self.load_words(index.address)?;
        if start.to_le_bytes() != INDEX_HEADER {
            return None;
        }
        let fits = index.len.checked_sub(INDEX_HEADER_LEN)? / INDEX_ENTRY_LEN;
        let table = index.address.checked_add(INDEX_HEADER_LEN)?;
        let (mut low, mut high) = (0, u64::from(count).min(fits));
        let mut found = None;
        while low < high {
            let middle = low + (high - low) / 2;
            let at = table.checked_add(middle * INDEX_ENTRY_LEN)?;
            let entry: [u32; 2] = self.load_words(at)?;
            let [start, description] =
                entry.map(|word| index.address.wrapping_add_signed(i64::from(word as i32)));
            if start <= address {
                found = Some(description);
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        found
    }

    /// Address of the description in the section that holds `address`, in the encoding that
    /// compilers use for the small and medium code models: relative, 4 bytes.
    fn look_through(&mut self, section: Part, address: u64) -> Option<u64> {
        let end = section.address.checked_add(section.len)?;
        let mut at = section.address;
        while at < end {
            let [len] = self.load_words(at)?;
            if len == 0 || len == u32::MAX {
                return None;
            }
            if len >= 12 {
                let [_, reference, start, range] = self.load_words(at)?;
                let field = at.wrapping_add(8);
                let start = field.wrapping_add_signed(i64::from(start as i32));
                let distance = address.checked_sub(start);
                if reference != 0 && distance.is_some_and(|at| at < u64::from(range)) {
                    return Some(at);
                }
            }
            at = at.checked_add(4 + u64::from(len))?;
        }
        None
    }

    /// The description at `at` and its common information.
    fn entry(&mut self, at: u64) -> Option<Entry> {
        let reference_at = at.checked_add(4)?;
        let [reference] = self.load_words(reference_at)?;
        let mut bytes = self.load_entry(reference_at.checked_sub(u64::from(reference))?)?;
        let description = bytes.len();
        bytes.extend(self.load_entry(at)?);
        let distance = u32::try_from(description).ok()?.checked_add(4)?;
        bytes.get_mut(description + 4..description + 8)?.copy_from_slice(&distance.to_le_bytes());
        Some(Entry { bytes, description, base: at.wrapping_sub(description as u64) })
    }

    fn load_entry(&mut self, at: u64) -> Option<Vec<u8>> {
        let [len] = self.load_words(at)?;
        if !(8..=MAX_ENTRY).contains(&len) {
            return None;
        }
        let mut bytes = vec![0; 4 + len as usize];
        self.load(at, &mut bytes)?;
        Some(bytes)
    }
}

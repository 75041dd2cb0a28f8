//! A file that is open here and has lost the name by which the server finds it.
//!
//! What reads and writes through open fids still works, but not what goes by the path: its
//! length. So a length that is set is remembered here. Bytes that the host's file has beyond
//! it must not come back when the file grows again: they are read as zeros, and written over
//! with zeros before something is written beyond them.

use core::ops::Range;

/// How the bytes of the host's file differ from those of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lost {
    /// From here on the host's bytes are not the file's, which are zeros.
    valid: u64,
    /// Up to where the host's file has bytes that may not be zeros.
    stored: u64,
}

impl Default for Lost {
    fn default() -> Self {
        Self { valid: u64::MAX, stored: 0 }
    }
}

impl Lost {
    /// Sets the length, which is now `size`, to `len`.
    pub(super) fn truncate(&mut self, size: &mut u64, len: u64) {
        if len < *size {
            if self.valid == u64::MAX {
                self.stored = *size;
            }
            self.valid = self.valid.min(len);
        }
        *size = len;
    }

    /// How many of `len` bytes from `offset` on are read from the host, and how many zeros
    /// follow them.
    pub(super) fn readable(&self, size: u64, offset: u64, len: usize) -> (usize, usize) {
        let len = size.saturating_sub(offset).min(len as u64);
        let stored = self.valid.saturating_sub(offset).min(len);
        // Both fit: they are at most `len`.
        (stored as usize, (len - stored) as usize)
    }

    /// What must be zeroed before something is written from `offset` on.
    pub(super) fn gap(&self, offset: u64) -> Range<u64> {
        self.valid..offset.min(self.stored).max(self.valid)
    }

    /// `range` has been written, and [`Lost::gap`] before it zeroed.
    pub(super) fn written(&mut self, size: &mut u64, range: &Range<u64>) {
        *size = (*size).max(range.end);
        if self.valid != u64::MAX {
            self.valid = self.valid.max(range.end);
            self.stored = self.stored.max(range.end);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_cut_off_comes_back_as_zeros() {
        let (mut lost, mut size) = (Lost::default(), 100);
        assert_eq!(lost.readable(size, 90, 50), (10, 0));
        lost.truncate(&mut size, 10);
        lost.truncate(&mut size, 50);
        assert_eq!(size, 50);
        assert_eq!(lost.readable(size, 0, 100), (10, 40));
        assert_eq!(lost.readable(size, 20, 100), (0, 30));
        assert_eq!(lost.gap(30), 10..30);
        lost.written(&mut size, &(30..60));
        assert_eq!(size, 60);
        assert_eq!(lost.readable(size, 0, 100), (60, 0));
        assert_eq!(lost.gap(500), 60..100);
        assert!(lost.gap(40).is_empty());
    }

    #[test]
    fn a_file_that_was_never_cut_has_no_gaps() {
        let (mut lost, mut size) = (Lost::default(), 5);
        assert!(lost.gap(1000).is_empty());
        lost.written(&mut size, &(1000..1001));
        lost.truncate(&mut size, 2000);
        assert_eq!(lost.readable(size, 0, 4000), (2000, 0));
    }
}

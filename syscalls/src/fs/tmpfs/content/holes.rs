//! Holes that are made in a file, and filled: fallocate(2).

use alloc::vec::Vec;
use core::ops::Range;

use crate::error::Result;
use crate::fs::tmpfs::{Tmpfs, no_space};

use super::{Own, PAGE, Piece, State, zero};

impl State {
    /// Makes a range zeros, and its whole pages holes.
    pub(super) fn punch(&mut self, fs: &Tmpfs, range: Range<u64>) {
        let (first, last) = (range.start.div_ceil(PAGE), range.end / PAGE);
        if first > last {
            return self.zero_in_page(fs, range);
        }
        self.zero_in_page(fs, range.start..first * PAGE);
        self.zero_in_page(fs, last * PAGE..range.end);
        let archived = (self.archive.len() as u64).div_ceil(PAGE);
        let own: Vec<u64> = self.own.range(first..last).map(|(&at, _)| at).collect();
        for index in own {
            if let Some(Own::Page(_)) = self.own.remove(&index) {
                fs.return_pages(1);
                if index >= archived {
                    self.stored -= 1;
                }
            } else {
                self.stored += 1;
            }
        }
        for index in first..last.min(archived) {
            self.own.insert(index, Own::Hole);
            self.stored -= 1;
        }
    }

    /// Makes a range inside one page zeros. Where that takes a page and there is none, the
    /// range stays: punching a hole never fails on Linux either.
    fn zero_in_page(&mut self, fs: &Tmpfs, range: Range<u64>) {
        let index = range.start / PAGE;
        if range.is_empty() || matches!(self.whole_page(index), Piece::Hole) {
            return;
        }
        if let Ok(page) = self.own_page(fs, index) {
            let start = (range.start % PAGE) as usize;
            zero(&*page, start, start + (range.end - range.start) as usize);
        }
    }

    /// Gives a range pages where it has holes: all of them, or none.
    pub(super) fn fill(&mut self, fs: &Tmpfs, range: Range<u64>) -> Result<()> {
        let pages = range.start / PAGE..range.end.div_ceil(PAGE);
        let in_archive = (self.archive.len() as u64).div_ceil(PAGE);
        if pages.end - pages.start > fs.page_limit().saturating_add(in_archive) {
            return Err(no_space());
        }
        let mut filled = Vec::new();
        for index in pages {
            if !matches!(self.whole_page(index), Piece::Hole) {
                continue;
            }
            if let Err(error) = self.own_page(fs, index) {
                filled.into_iter().for_each(|index| self.unfill(fs, index));
                return Err(error);
            }
            filled.push(index);
        }
        Ok(())
    }

    /// Makes a page of its own a hole.
    fn unfill(&mut self, fs: &Tmpfs, index: u64) {
        self.own.remove(&index);
        if index < (self.archive.len() as u64).div_ceil(PAGE) {
            self.own.insert(index, Own::Hole);
        }
        self.stored -= 1;
        fs.return_pages(1);
    }
}

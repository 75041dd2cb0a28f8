//! The areas of an address space, by address: lookup, splitting, merging, free room.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::cell::OnceCell;
use core::ops::Range;

use super::area::{Area, AreaFlags};
use super::gaps::Gaps;

/// Areas that do not overlap. Neighbours that differ in nothing are one.
#[derive(Default)]
pub(super) struct Areas {
    by_start: BTreeMap<u64, Area>,
    /// What lies between them, less the distance that stacks keep: once there have been more
    /// than [`FEW`] when room was wanted.
    gaps: OnceCell<Gaps>,
    totals: Totals,
}

/// How many areas may be walked over to find room.
const FEW: usize = 64;

/// Sums over all areas, in pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Totals {
    /// All pages (`VmSize`).
    pub(super) all: u64,
    /// The process's data (`VmData`).
    pub(super) data: u64,
    /// Stacks (`VmStk`).
    pub(super) stack: u64,
    /// Locked pages (`VmLck`).
    pub(super) locked: u64,
}

impl Totals {
    /// The sums with the area's part changed by `change`, an addition or a subtraction.
    fn with(self, area: &Area, change: fn(u64, u64) -> u64) -> Self {
        let part = |belongs: bool| if belongs { area.pages() } else { 0 };
        Self {
            all: change(self.all, area.pages()),
            data: change(self.data, part(area.is_data())),
            stack: change(self.stack, part(area.flags.contains(AreaFlags::GROWS_DOWN))),
            locked: change(self.locked, part(area.flags.contains(AreaFlags::LOCKED))),
        }
    }
}

impl Areas {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.by_start.len()
    }

    /// Sums over all of them.
    pub(super) fn totals(&self) -> Totals {
        self.totals
    }

    /// All of them in ascending order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Area> {
        self.by_start.values()
    }

    /// The area that `address` lies in.
    pub(super) fn at(&self, address: u64) -> Option<&Area> {
        let (_, area) = self.by_start.range(..=address).next_back()?;
        (address < area.range.end).then_some(area)
    }

    /// The first area that ends above `address`.
    pub(super) fn at_or_above(&self, address: u64) -> Option<&Area> {
        self.at(address).or_else(|| Some(self.by_start.range(address..).next()?.1))
    }

    /// The last area that begins below `address`.
    pub(super) fn below(&self, address: u64) -> Option<&Area> {
        Some(self.by_start.range(..address).next_back()?.1)
    }

    /// The areas that share a page with `range`, in ascending order.
    pub(super) fn overlapping(&self, range: Range<u64>) -> impl Iterator<Item = &Area> {
        let first = self.at(range.start).map_or(range.start, |area| area.range.start);
        self.by_start.range(first..range.end.max(first)).map(|(_, area)| area)
    }

    /// Whether all of `range` is covered.
    pub(super) fn cover(&self, range: &Range<u64>) -> bool {
        let mut covered = range.start;
        for area in self.overlapping(range.clone()) {
            if area.range.start > covered {
                return false;
            }
            covered = area.range.end;
        }
        covered >= range.end
    }

    fn put(&mut self, area: Area) {
        self.totals = self.totals.with(&area, u64::wrapping_add);
        if self.gaps.get().is_some() {
            let around = self.room_around(&area.range);
            self.set_gap(around.start..area.start_with_gap());
            self.set_gap(area.range.end..around.end);
        }
        self.by_start.insert(area.range.start, area);
    }

    fn take(&mut self, start: u64) -> Option<Area> {
        let area = self.by_start.remove(&start)?;
        self.totals = self.totals.with(&area, u64::wrapping_sub);
        if self.gaps.get().is_some() {
            self.set_gap(area.range.end..area.range.end);
            self.set_gap(self.room_around(&area.range));
        }
        Some(area)
    }

    fn set_gap(&mut self, gap: Range<u64>) {
        if let Some(gaps) = self.gaps.get_mut() {
            gaps.set(gap);
        }
    }

    /// The gaps, where they are kept: there are many areas, or were.
    fn gaps(&self) -> Option<&Gaps> {
        if self.len() <= FEW {
            return self.gaps.get();
        }
        Some(self.gaps.get_or_init(|| {
            let (mut gaps, mut start) = (Gaps::default(), 0);
            for area in self.iter() {
                gaps.set(start..area.start_with_gap());
                start = area.range.end;
            }
            gaps.set(start..u64::MAX);
            gaps
        }))
    }

    /// The room between the areas below and above `range`, in which none is.
    fn room_around(&self, range: &Range<u64>) -> Range<u64> {
        let above = self.by_start.range(range.end..).next();
        self.below(range.start).map_or(0, |area| area.range.end)
            ..above.map_or(u64::MAX, |(_, area)| area.start_with_gap())
    }

    /// Adds an area where none is, as a part of its neighbours where they are like it.
    pub(super) fn insert(&mut self, mut area: Area) {
        if let Some(next) = self.by_start.get(&area.range.end)
            && area.continues_in(next)
            && let Some(next) = self.take(area.range.end)
        {
            area.range.end = next.range.end;
        }
        if let Some(previous) = self.below(area.range.start)
            && previous.continues_in(&area)
            && let Some(mut previous) = self.take(previous.range.start)
        {
            previous.range.end = area.range.end;
            area = previous;
        }
        self.put(area);
    }

    /// Makes `address` the border of areas.
    fn split(&mut self, address: u64) {
        let inside = self.at(address).filter(|area| area.range.start < address);
        if let Some(start) = inside.map(|area| area.range.start)
            && let Some(mut lower) = self.take(start)
        {
            let upper = lower.split_off(address);
            self.put(lower);
            self.put(upper);
        }
    }

    /// How many more areas there would be if the borders of `range` were borders of areas.
    pub(super) fn splits(&self, range: &Range<u64>) -> usize {
        [range.start, range.end]
            .iter()
            .filter(|&&border| self.at(border).is_some_and(|area| area.range.start < border))
            .count()
    }

    /// Takes out what lies in `range`, and returns it in ascending order.
    pub(super) fn remove(&mut self, range: &Range<u64>) -> Vec<Area> {
        self.split(range.start);
        self.split(range.end);
        let starts: Vec<u64> =
            self.by_start.range(range.start..range.end).map(|(&start, _)| start).collect();
        starts.into_iter().filter_map(|start| self.take(start)).collect()
    }

    /// Changes what lies in `range`, which is covered or not.
    pub(super) fn change(&mut self, range: &Range<u64>, mut change: impl FnMut(&mut Area)) {
        for mut area in self.remove(range) {
            change(&mut area);
            self.insert(area);
        }
        // The areas around may have become like those at the borders inside.
        for border in [range.start, range.end] {
            if let Some(area) = self.take(border) {
                self.insert(area);
            }
        }
    }

    /// Whether a mapping can be at `range` without touching others or a stack's distance.
    pub(super) fn is_free(&self, range: &Range<u64>) -> bool {
        self.at(range.start).is_none()
            && self.at_or_above(range.start).is_none_or(|area| area.start_with_gap() >= range.end)
    }

    /// The highest free room of `len` bytes inside `within`; its address.
    pub(super) fn highest_room(&self, within: Range<u64>, len: u64) -> Option<u64> {
        let gaps = self.gaps();
        let mut below = within.end;
        // In the tree, only what the borders of `within` cut can be too short after all.
        loop {
            let gap = match gaps {
                Some(gaps) => gaps.highest(below, len)?,
                None => self.gap_below(below),
            };
            let start = gap.end.min(within.end).checked_sub(len)?;
            if start >= gap.start.max(within.start) {
                return Some(start);
            }
            below = Some(gap.start).filter(|&start| start > within.start)?;
        }
    }

    /// The room, perhaps none, above the last area that ends below `address`.
    fn gap_below(&self, address: u64) -> Range<u64> {
        let mut ends = self.by_start.range(..address).rev().map(|(_, area)| area.range.end);
        let start = ends.find(|&end| end < address).unwrap_or(0);
        let above = self.by_start.range(start..).next();
        start..above.map_or(u64::MAX, |(_, area)| area.start_with_gap()).max(start)
    }

    /// The lowest free room of `len` bytes inside `within`; its address.
    pub(super) fn lowest_room(&self, within: Range<u64>, len: u64) -> Option<u64> {
        let fits = |gap: &Range<u64>| {
            let start = gap.start.max(within.start);
            let end = start.checked_add(len)?;
            (end <= gap.end && end <= within.end).then_some(start)
        };
        let Some(gaps) = self.gaps() else {
            return self.gaps_above(within.start).find_map(|gap| fits(&gap));
        };
        let at_start = gaps.highest(within.start, 1);
        let at_start = at_start.and_then(|gap| fits(&gap));
        at_start.or_else(|| fits(&gaps.lowest(within.start, len)?))
    }

    /// The room, perhaps none, before each area that ends above `address`, and above them all.
    fn gaps_above(&self, address: u64) -> impl Iterator<Item = Range<u64>> {
        let mut start = self.below(address).map_or(0, |area| area.range.end);
        let first = self.at(address).map_or(address, |area| area.range.start);
        let areas = self.by_start.range(first..).map(|(_, area)| Some(area)).chain([None]);
        areas.map(move |area| {
            let end = area.map_or(u64::MAX, Area::start_with_gap);
            let gap = start..end.max(start);
            start = area.map_or(start, |area| area.range.end);
            gap
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mm::area::PAGE;
    use abi::memory::Protection;

    fn area(pages: Range<u64>, protection: Protection) -> Area {
        Area::anonymous(pages.start * PAGE..pages.end * PAGE, protection)
    }

    fn shape(areas: &Areas) -> Vec<(u64, u64, u32)> {
        areas
            .iter()
            .map(|area| (area.range.start / PAGE, area.range.end / PAGE, area.protection.bits()))
            .collect()
    }

    #[test]
    fn equal_neighbours_become_one() {
        let mut areas = Areas::default();
        areas.insert(area(10..12, Protection::READ));
        areas.insert(area(14..16, Protection::READ));
        areas.insert(area(12..14, Protection::READ));
        assert_eq!(shape(&areas), [(10, 16, 1)]);
        areas.change(&(12 * PAGE..14 * PAGE), |area| area.protection = Protection::WRITE);
        assert_eq!(shape(&areas), [(10, 12, 1), (12, 14, 2), (14, 16, 1)]);
        assert_eq!(areas.totals().all, 6);
        assert_eq!(areas.totals().data, 2);
        areas.change(&(12 * PAGE..14 * PAGE), |area| area.protection = Protection::READ);
        assert_eq!(shape(&areas), [(10, 16, 1)]);
        assert_eq!(areas.totals().data, 0);
    }

    #[test]
    fn removing_cuts_areas_at_the_borders() {
        let mut areas = Areas::default();
        areas.insert(area(10..20, Protection::READ));
        let removed = areas.remove(&(12 * PAGE..15 * PAGE));
        assert_eq!(removed.len(), 1);
        assert_eq!(shape(&areas), [(10, 12, 1), (15, 20, 1)]);
        assert!(areas.cover(&(10 * PAGE..12 * PAGE)));
        assert!(!areas.cover(&(11 * PAGE..16 * PAGE)));
    }

    #[test]
    fn room_is_found_between_areas_and_keeps_a_stack_its_distance() {
        let mut areas = Areas::default();
        areas.insert(area(10..20, Protection::READ));
        let mut stack = area(1000..1010, Protection::READ);
        stack.flags = AreaFlags::GROWS_DOWN;
        areas.insert(stack);
        let all = 0..2000 * PAGE;
        assert_eq!(areas.highest_room(all.clone(), 990 * PAGE), Some(1010 * PAGE));
        assert_eq!(areas.highest_room(0..1005 * PAGE, 4 * PAGE), Some(740 * PAGE));
        assert_eq!(areas.lowest_room(all.clone(), 11 * PAGE), Some(20 * PAGE));
        assert_eq!(areas.lowest_room(all, 10 * PAGE), Some(0));
        assert_eq!(areas.highest_room(0..1000 * PAGE, 725 * PAGE), None);
        assert!(!areas.is_free(&(900 * PAGE..901 * PAGE)));
        assert!(areas.is_free(&(20 * PAGE..744 * PAGE)));
        assert_eq!(areas.highest_room(15 * PAGE..745 * PAGE, 725 * PAGE), None);
        assert_eq!(areas.lowest_room(15 * PAGE..744 * PAGE, 724 * PAGE), Some(20 * PAGE));
        assert_eq!(areas.lowest_room(15 * PAGE..743 * PAGE, 724 * PAGE), None);
        assert_eq!(areas.lowest_room(30 * PAGE..2000 * PAGE, PAGE), Some(30 * PAGE));
        assert_eq!(areas.lowest_room(30 * PAGE..2000 * PAGE, 715 * PAGE), Some(1010 * PAGE));
        areas.remove(&(0..5000 * PAGE));
        assert_eq!(areas.highest_room(7 * PAGE..9 * PAGE, 2 * PAGE), Some(7 * PAGE));
    }

    #[test]
    fn room_is_what_the_areas_leave() {
        let mut areas = Areas::default();
        let mut seed = 1_u64;
        let mut random = |limit: u64| {
            seed = seed.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
            (seed >> 33) % limit
        };
        for round in 0..2000 {
            if round == 1000 {
                // As if there had been many.
                assert!(areas.gaps.get().is_none() && areas.len() <= FEW);
                let mut gaps = Gaps::default();
                gaps.set(0..u64::MAX);
                let all: Vec<Area> = areas.remove(&(0..u64::MAX / PAGE * PAGE));
                assert!(areas.gaps.set(gaps).is_ok());
                all.into_iter().for_each(|area| areas.insert(area));
            }
            let (start, len) = (random(150), 1 + random(6));
            let range = start * PAGE..(start + len) * PAGE;
            areas.remove(&range);
            if random(3) > 0 {
                areas
                    .insert(area(start..start + len, Protection::from_bits_retain(1 << random(3))));
            }
            let (low, len) = (random(120), 1 + random(8));
            let high = low + random(80);
            let free = |&start: &u64| areas.is_free(&(start * PAGE..(start + len) * PAGE));
            let mut starts = low..(high + 1).saturating_sub(len);
            let within = low * PAGE..high * PAGE;
            let highest = starts.clone().rev().find(free).map(|start| start * PAGE);
            assert_eq!(areas.highest_room(within.clone(), len * PAGE), highest);
            let lowest = starts.find(free).map(|start| start * PAGE);
            assert_eq!(areas.lowest_room(within, len * PAGE), lowest);
        }
    }
}

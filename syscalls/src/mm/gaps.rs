//! The free room of an address space, by address: a balanced tree (Adelson-Velsky and Landis)
//! in which every node knows the longest gap below it, so that the highest or lowest gap that
//! is long enough is found without looking at the others.

use alloc::boxed::Box;
use core::cmp::Ordering;
use core::mem;
use core::ops::Range;

/// Gaps that neither overlap nor touch.
#[derive(Default)]
pub(super) struct Gaps {
    root: Link,
}

type Link = Option<Box<Node>>;

struct Node {
    gap: Range<u64>,
    /// Length of the longest gap in this node and those below it.
    longest: u64,
    /// Number of nodes on the longest way down, this one included.
    height: u32,
    /// Lower addresses.
    lower: Link,
    /// Higher addresses.
    higher: Link,
}

impl Gaps {
    /// Makes `gap` the one that begins at its start; an empty one is none.
    pub(super) fn set(&mut self, gap: Range<u64>) {
        if gap.is_empty() {
            remove(&mut self.root, gap.start);
        } else {
            insert(&mut self.root, gap);
        }
    }

    /// The highest gap that begins below `below` and has `len` bytes.
    pub(super) fn highest(&self, below: u64, len: u64) -> Option<Range<u64>> {
        highest(&self.root, below, len)
    }

    /// The lowest gap that begins at `from` or above and has `len` bytes.
    pub(super) fn lowest(&self, from: u64, len: u64) -> Option<Range<u64>> {
        lowest(&self.root, from, len)
    }
}

impl Node {
    fn new(gap: Range<u64>) -> Box<Self> {
        let longest = len_of(&gap);
        Box::new(Self { gap, longest, height: 1, lower: None, higher: None })
    }

    /// Puts right what it knows of the nodes below it.
    fn update(&mut self) {
        let below = longest(&self.lower).max(longest(&self.higher));
        self.longest = len_of(&self.gap).max(below);
        self.height = 1 + height(&self.lower).max(height(&self.higher));
    }
}

fn len_of(gap: &Range<u64>) -> u64 {
    gap.end - gap.start
}

fn longest(link: &Link) -> u64 {
    link.as_ref().map_or(0, |node| node.longest)
}

fn height(link: &Link) -> u32 {
    link.as_ref().map_or(0, |node| node.height)
}

fn insert(link: &mut Link, gap: Range<u64>) {
    let Some(node) = link else {
        *link = Some(Node::new(gap));
        return;
    };
    match gap.start.cmp(&node.gap.start) {
        Ordering::Less => insert(&mut node.lower, gap),
        Ordering::Greater => insert(&mut node.higher, gap),
        Ordering::Equal => node.gap = gap,
    }
    balance(node);
}

fn remove(link: &mut Link, start: u64) {
    let Some(node) = link else { return };
    match start.cmp(&node.gap.start) {
        Ordering::Less => remove(&mut node.lower, start),
        Ordering::Greater => remove(&mut node.higher, start),
        Ordering::Equal => match (node.lower.take(), node.higher.take()) {
            (None, rest) | (rest, None) => {
                *link = rest;
                return;
            }
            (lower, mut higher) => {
                if let Some(next) = take_lowest(&mut higher) {
                    node.gap = next;
                }
                node.lower = lower;
                node.higher = higher;
            }
        },
    }
    balance(node);
}

/// Takes the lowest gap out of a tree.
fn take_lowest(link: &mut Link) -> Option<Range<u64>> {
    let node = link.as_mut()?;
    if node.lower.is_some() {
        let taken = take_lowest(&mut node.lower);
        balance(node);
        return taken;
    }
    let rest = node.higher.take();
    mem::replace(link, rest).map(|node| node.gap)
}

/// Puts a node right whose sides were right, and have changed by one node at most.
fn balance(node: &mut Box<Node>) {
    let (lower, higher) = (height(&node.lower), height(&node.higher));
    if lower > higher + 1 {
        if let Some(side) = &mut node.lower
            && height(&side.higher) > height(&side.lower)
        {
            raise_higher(side);
        }
        raise_lower(node);
    } else if higher > lower + 1 {
        if let Some(side) = &mut node.higher
            && height(&side.lower) > height(&side.higher)
        {
            raise_lower(side);
        }
        raise_higher(node);
    } else {
        node.update();
    }
}

/// Makes the node on the lower side the upper one.
fn raise_lower(node: &mut Box<Node>) {
    let Some(mut raised) = node.lower.take() else { return };
    node.lower = raised.higher.take();
    node.update();
    mem::swap(node, &mut raised);
    node.higher = Some(raised);
    node.update();
}

/// Makes the node on the higher side the upper one.
fn raise_higher(node: &mut Box<Node>) {
    let Some(mut raised) = node.higher.take() else { return };
    node.higher = raised.lower.take();
    node.update();
    mem::swap(node, &mut raised);
    node.lower = Some(raised);
    node.update();
}

fn highest(link: &Link, below: u64, len: u64) -> Option<Range<u64>> {
    let node = link.as_ref().filter(|node| node.longest >= len)?;
    if node.gap.start >= below {
        return highest(&node.lower, below, len);
    }
    highest(&node.higher, below, len)
        .or_else(|| (len_of(&node.gap) >= len).then(|| node.gap.clone()))
        .or_else(|| highest(&node.lower, below, len))
}

fn lowest(link: &Link, from: u64, len: u64) -> Option<Range<u64>> {
    let node = link.as_ref().filter(|node| node.longest >= len)?;
    if node.gap.start < from {
        return lowest(&node.higher, from, len);
    }
    lowest(&node.lower, from, len)
        .or_else(|| (len_of(&node.gap) >= len).then(|| node.gap.clone()))
        .or_else(|| lowest(&node.higher, from, len))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeMap;

    /// Number of nodes below `link`, which must be right.
    fn check(link: &Link) -> usize {
        let Some(node) = link else { return 0 };
        let count = 1 + check(&node.lower) + check(&node.higher);
        let (lower, higher) = (height(&node.lower), height(&node.higher));
        assert!(lower.abs_diff(higher) <= 1, "out of balance");
        assert_eq!(node.height, 1 + lower.max(higher));
        let below = longest(&node.lower).max(longest(&node.higher));
        assert_eq!(node.longest, len_of(&node.gap).max(below));
        count
    }

    #[test]
    fn a_tree_finds_what_a_list_would() {
        let (mut gaps, mut list) = (Gaps::default(), BTreeMap::new());
        let mut seed = 7_u64;
        let mut random = |limit: u64| {
            seed = seed.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
            (seed >> 33) % limit
        };
        for _ in 0..4000 {
            let start = random(300) * 10;
            let gap = start..start + random(10);
            gaps.set(gap.clone());
            if gap.is_empty() {
                list.remove(&start);
            } else {
                list.insert(start, gap.end);
            }
            assert_eq!(check(&gaps.root), list.len());
            let (bound, len) = (random(3000), 1 + random(9));
            let fits = |gap: &Range<u64>| gap.end - gap.start >= len;
            let below = list.range(..bound).rev().map(|(&start, &end)| start..end).find(fits);
            assert_eq!(gaps.highest(bound, len), below);
            let above = list.range(bound..).map(|(&start, &end)| start..end).find(fits);
            assert_eq!(gaps.lowest(bound, len), above);
        }
    }

    #[test]
    fn the_tree_stays_low_whatever_the_order() {
        let mut gaps = Gaps::default();
        for at in 0..65536_u64 {
            gaps.set(at * 10..at * 10 + 5);
        }
        // 1.44 times the logarithm.
        assert!(height(&gaps.root) <= 23);
        assert_eq!(gaps.highest(u64::MAX, 6), None);
        for at in 0..65536_u64 {
            gaps.set(at * 10..at * 10);
        }
        assert_eq!(height(&gaps.root), 0);
    }
}

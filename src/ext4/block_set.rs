//! Sets of blocks as sorted, disjoint ranges.

use std::collections::BTreeMap;
use std::ops::Range;

/// A set of blocks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct BlockSet {
    /// First block → one past the last; ranges never touch.
    ranges: BTreeMap<u64, u64>,
}

impl BlockSet {
    /// The range that holds `block` or ends right before it.
    fn reaching(&self, block: u64) -> Option<(u64, u64)> {
        let (&start, &end) = self.ranges.range(..=block).next_back()?;
        (end >= block).then_some((start, end))
    }

    /// Adds a range; what is in the set already stays.
    pub(crate) fn insert(&mut self, range: Range<u64>) {
        if range.is_empty() {
            return;
        }
        let (mut start, mut end) = (range.start, range.end);
        if let Some((s, e)) = self.reaching(start) {
            start = s;
            end = end.max(e);
        }
        while let Some((&s, &e)) = self.ranges.range(start..=end).next() {
            self.ranges.remove(&s);
            end = end.max(e);
        }
        self.ranges.insert(start, end);
    }

    /// Takes a range out of the set.
    pub(crate) fn remove(&mut self, range: Range<u64>) {
        if range.is_empty() {
            return;
        }
        let first = self.reaching(range.start).map_or(range.start, |(s, _)| s);
        let hit: Vec<(u64, u64)> = self
            .ranges
            .range(first..range.end)
            .map(|(&s, &e)| (s, e))
            .collect();
        for (s, e) in hit {
            self.ranges.remove(&s);
            if s < range.start {
                self.ranges.insert(s, e.min(range.start));
            }
            if e > range.end {
                self.ranges.insert(range.end, e);
            }
        }
    }

    /// The ranges in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Range<u64>> + '_ {
        self.ranges.iter().map(|(&s, &e)| s..e)
    }

    /// Blocks in the set.
    #[must_use]
    pub(crate) fn len(&self) -> u64 {
        self.iter().map(|r| r.end - r.start).sum()
    }

    /// The first run of `len` blocks outside the set that begins at `from` or later and ends by `to`.
    #[must_use]
    pub(crate) fn first_gap(&self, from: u64, to: u64, len: u64) -> Option<u64> {
        let mut at = match self.reaching(from) {
            Some((_, end)) => end.max(from),
            None => from,
        };
        for (&s, &e) in self.ranges.range(at..) {
            if at + len <= s {
                break;
            }
            at = e;
        }
        (at + len <= to).then_some(at)
    }

    /// Blocks of the set inside `range`.
    #[must_use]
    pub(crate) fn count_in(&self, range: &Range<u64>) -> u64 {
        self.parts_in(range).map(|r| r.end - r.start).sum()
    }

    /// The parts of the set inside `range`, in order.
    pub(crate) fn parts_in(&self, range: &Range<u64>) -> impl Iterator<Item = Range<u64>> + '_ {
        let (from, to) = (range.start, range.end);
        let first = self.reaching(from).map_or(from, |(s, _)| s);
        self.ranges
            .range(first..to.max(first))
            .map(move |(&s, &e)| s.max(from)..e.min(to))
            .filter(|r| !r.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn behaves_as_a_set_of_blocks(ops in prop::collection::vec((any::<bool>(), 0u64..60, 0u64..12), 0..40),
                                      from in 0u64..70, len in 1u64..9) {
            let (mut set, mut model) = (BlockSet::default(), BTreeSet::new());
            for (add, start, n) in ops {
                if add { set.insert(start..start + n); } else { set.remove(start..start + n); }
                for b in start..start + n {
                    if add { model.insert(b); } else { model.remove(&b); }
                }
            }
            prop_assert_eq!(set.iter().flatten().collect::<Vec<_>>(), model.iter().copied().collect::<Vec<_>>());
            prop_assert_eq!(set.len(), u64::try_from(model.len()).unwrap());
            let ranges: Vec<_> = set.iter().collect();
            prop_assert!(ranges.windows(2).all(|w| w[0].end < w[1].start));
            let gap = (from..200).find(|&b| (b..b + len).all(|b| !model.contains(&b)));
            prop_assert_eq!(set.first_gap(from, 300, len), gap);
            let window = from..from + 10;
            prop_assert_eq!(set.parts_in(&window).flatten().collect::<Vec<_>>(),
                            window.clone().filter(|b| model.contains(b)).collect::<Vec<_>>());
        }
    }
}

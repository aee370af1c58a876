//! Regions to the few segments that a picture has room for.

use diskwright::inspect::map::{Kind, Region};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Kinds of regions.
pub(super) const KINDS: usize = Kind::ALL.len();

/// Neighbouring regions, drawn in the colour of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    /// First byte.
    pub(super) at: u64,
    /// Bytes.
    pub(super) len: u64,
    /// The kind that it is drawn as.
    pub(super) kind: Kind,
    /// Bytes and regions of each kind in it.
    pub(super) parts: Parts,
}

/// Bytes and regions of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Parts(pub(super) [(u64, u64); KINDS]);

impl Parts {
    /// What regions have together.
    pub(super) fn of(regions: &[Region]) -> Self {
        let mut parts = Self::default();
        for r in regions {
            parts.add(r.kind, r.len, 1);
        }
        parts
    }

    fn add(&mut self, kind: Kind, bytes: u64, regions: u64) {
        let part = &mut self.0[kind.index()];
        *part = (part.0 + bytes, part.1 + regions);
    }

    /// Adds what others have.
    pub(super) fn join(&mut self, others: &Self) {
        for (kind, bytes, regions) in others.iter() {
            self.add(kind, bytes, regions);
        }
    }

    /// Kinds that are there, with bytes and regions, in the order of the legend.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Kind, u64, u64)> {
        let all = Kind::ALL.into_iter().zip(self.0);
        all.filter(|(_, part)| part.1 > 0)
            .map(|(kind, part)| (kind, part.0, part.1))
    }
}

/// At most `most` segments, which is 32 or more: neighbours of one kind are one, and then the smallest go
/// into the larger of their neighbours. The largest of each kind stays, so that no kind is lost.
pub(super) fn segments(regions: &[Region], most: usize) -> Vec<Segment> {
    let mut list: Vec<Segment> = Vec::new();
    for r in regions {
        match list.last_mut() {
            Some(last) if last.kind == r.kind => last.len += r.len,
            _ => list.push(Segment {
                at: r.at,
                len: r.len,
                kind: r.kind,
                parts: Parts::default(),
            }),
        }
        if let Some(last) = list.last_mut() {
            last.parts.add(r.kind, r.len, 1);
        }
    }
    if list.len() > most {
        Merge::new(list).down_to(most)
    } else {
        list
    }
}

/// Segments in a row, of which some are merged away.
struct Merge {
    list: Vec<Option<Segment>>,
    before: Vec<Option<usize>>,
    after: Vec<Option<usize>>,
    keeps: Vec<bool>,
    alive: usize,
    heap: BinaryHeap<Reverse<(u64, usize)>>,
}

impl Merge {
    fn new(list: Vec<Segment>) -> Self {
        let n = list.len();
        let mut keeps = vec![false; n];
        for kind in Kind::ALL {
            let own = list.iter().enumerate().filter(|(_, s)| s.kind == kind);
            // Of several of one length the first.
            if let Some((largest, _)) = own.max_by_key(|(i, s)| (s.len, Reverse(*i))) {
                keeps[largest] = true;
            }
        }
        let heap = list.iter().enumerate();
        Self {
            heap: heap.map(|(i, s)| Reverse((s.len, i))).collect(),
            before: (0..n).map(|i| i.checked_sub(1)).collect(),
            after: (0..n).map(|i| Some(i + 1).filter(|&j| j < n)).collect(),
            list: list.into_iter().map(Some).collect(),
            keeps,
            alive: n,
        }
    }

    fn len(&self, at: Option<usize>) -> u64 {
        at.and_then(|i| self.list[i].as_ref()).map_or(0, |s| s.len)
    }

    fn down_to(mut self, most: usize) -> Vec<Segment> {
        while self.alive > most {
            let Some(Reverse((len, i))) = self.heap.pop() else {
                break;
            };
            // Merged away, grown since, or the last of its kind.
            if self.len(Some(i)) != len || self.keeps[i] {
                continue;
            }
            let (before, after) = (self.before[i], self.after[i]);
            let into_before = self.len(before) >= self.len(after);
            let Some(into) = (if into_before { before } else { after }) else {
                break;
            };
            self.join(into, i);
            // What was on both sides of it may be of one kind.
            if let (Some(b), Some(a)) = (before, after)
                && self.kind(b) == self.kind(a)
            {
                self.join(b, a);
                self.heap.push(Reverse((self.len(Some(b)), b)));
            } else {
                self.heap.push(Reverse((self.len(Some(into)), into)));
            }
        }
        self.list.into_iter().flatten().collect()
    }

    fn kind(&self, i: usize) -> Option<Kind> {
        self.list[i].as_ref().map(|s| s.kind)
    }

    /// Puts segment `from` into its neighbour `into`.
    fn join(&mut self, into: usize, from: usize) {
        let Some(gone) = self.list[from].take() else {
            return;
        };
        if let Some(stays) = &mut self.list[into] {
            stays.at = stays.at.min(gone.at);
            stays.len += gone.len;
            stays.parts.join(&gone.parts);
        }
        self.keeps[into] |= self.keeps[from];
        let (before, after) = (self.before[from], self.after[from]);
        if let Some(b) = before {
            self.after[b] = after;
        }
        if let Some(a) = after {
            self.before[a] = before;
        }
        self.alive -= 1;
    }
}

/// Shares `cells` among lengths: one for each, the rest by length.
pub(super) fn share(lens: &[u64], cells: u64) -> Vec<u64> {
    let total: u128 = lens.iter().map(|&l| u128::from(l)).sum();
    let spare = cells.saturating_sub(diskwright::units::count(lens.len()));
    let (mut done, mut given) = (0_u128, 0_u64);
    let each = lens.iter().map(|&len| {
        done += u128::from(len);
        // Rounding the sum, not the parts: what is left over is spread evenly.
        let until = (done * u128::from(spare) * 2 + total) / (total.max(1) * 2);
        let until = u64::try_from(until).unwrap_or(spare).min(spare);
        let cells = 1 + until - given;
        given = until;
        cells
    });
    each.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use diskwright::inspect::map::What;

    fn regions(list: &[(u64, What)]) -> Vec<Region> {
        let mut at = 0;
        let region = |&(len, what): &(u64, What)| {
            let r = Region {
                at,
                len,
                kind: what.kind(),
                what,
                partition: 1,
            };
            at += len;
            r
        };
        list.iter().map(region).collect()
    }

    #[test]
    fn the_smallest_go_first_and_no_kind_is_lost() {
        let mut list = vec![(1, What::Superblock(0)), (3, What::Journal)];
        for n in 0..1000 {
            list.push((10 + u64::from(n) % 7, What::File(n)));
            list.push((1 + u64::from(n) % 3, What::Directory(n)));
        }
        let all = regions(&list);
        let size: u64 = all.iter().map(|r| r.len).sum();
        for most in [32, 100, 5000] {
            let few = segments(&all, most);
            assert!(few.len() <= most, "{}", few.len());
            assert_eq!(few.iter().map(|s| s.len).sum::<u64>(), size);
            assert!(few.windows(2).all(|w| w[0].at + w[0].len == w[1].at));
            let mut parts = Parts::default();
            for s in &few {
                parts.join(&s.parts);
                assert_eq!(s.parts.iter().map(|p| p.1).sum::<u64>(), s.len);
            }
            assert_eq!(parts, Parts::of(&all));
            for kind in [
                Kind::Superblock,
                Kind::Journal,
                Kind::Data,
                Kind::Directories,
            ] {
                assert!(few.iter().any(|s| s.kind == kind), "{kind:?} of {most}");
            }
        }
    }

    #[test]
    fn every_segment_has_a_cell_and_all_cells_are_given() {
        for (lens, cells, expected) in [
            (&[1, 1_000_000][..], 10, &[1, 9][..]),
            (&[5, 5], 10, &[5, 5]),
            (&[1, 1, 1], 3, &[1, 1, 1]),
            (&[1, 1, 2], 11, &[3, 3, 5]),
            (&[u64::MAX, u64::MAX], 4, &[2, 2]),
            (&[], 4, &[]),
        ] {
            assert_eq!(share(lens, cells), expected);
        }
    }
}

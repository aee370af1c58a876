//! Which chunks of a disk (clusters, grains, blocks) hold something.

use crate::extent::{Content, Extent};
use std::ops::Range;

/// Bytes that are stored: neither zero nor free; sorted, apart from one another.
pub(super) fn stored(extents: &[Extent]) -> Vec<Range<u64>> {
    touched(extents, 1, |c| {
        matches!(c, Content::Bytes { .. } | Content::File { .. })
    })
}

/// Chunks of `size` bytes that an extent of such content touches, by number; sorted, apart from one another.
pub(super) fn touched(
    extents: &[Extent],
    size: u64,
    counts: impl Fn(Content) -> bool,
) -> Vec<Range<u64>> {
    let mut list: Vec<Range<u64>> = Vec::new();
    for e in extents.iter().filter(|e| counts(e.content)) {
        let chunks = e.start / size..e.end().div_ceil(size);
        match list.last_mut() {
            Some(last) if chunks.start <= last.end => last.end = last.end.max(chunks.end),
            _ => list.push(chunks),
        }
    }
    list
}

/// `from` without what is in `taken`; both sorted.
pub(super) fn without(from: &[Range<u64>], taken: &[Range<u64>]) -> Vec<Range<u64>> {
    let mut list = Vec::new();
    for range in from {
        let mut at = range.start;
        let first = taken.partition_point(|t| t.end <= range.start);
        for t in taken[first..].iter().take_while(|t| t.start < range.end) {
            if at < t.start {
                list.push(at..t.start);
            }
            at = t.end;
        }
        if at < range.end {
            list.push(at..range.end);
        }
    }
    list
}

/// How many chunks.
pub(super) fn total(list: &[Range<u64>]) -> u64 {
    list.iter().map(|r| r.end - r.start).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extent::SourceNr;

    #[test]
    fn chunks_are_those_that_data_touches() {
        let bytes = Content::Bytes {
            source: SourceNr(0),
            offset: 0,
        };
        let file = Content::File {
            source: SourceNr(1),
            offset: 0,
        };
        let plan = [
            (0, 3, bytes),
            (3, 14, Content::Zero),
            (17, 1, file),
            (18, 12, bytes),
            (30, 50, Content::Free),
            (80, 1, file),
        ];
        let extents = plan.map(|(start, len, content)| Extent {
            start,
            len,
            content,
        });
        assert_eq!(stored(&extents), [0..3, 17..30, 80..81]);
        let files = touched(&extents, 8, |c| matches!(c, Content::File { .. }));
        assert_eq!(files, [2..3, 10..11]);
        let all = touched(&extents, 8, |c| !matches!(c, Content::Zero | Content::Free));
        assert_eq!(all, [0..1, 2..4, 10..11]);
        assert_eq!(without(&all, &files), [0..1, 3..4]);
        assert_eq!(
            without(&[0..9, 20..21], &[2..3, 5..6, 8..12]),
            [0..2, 3..5, 6..8, 20..21]
        );
        assert_eq!(total(&all), 4);
    }
}

//! Many claims to one list.

use super::{Region, What};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Claims that are kept: 128 MiB of them. An image with more files than that is shown in part.
const MAX_CLAIMS: usize = 4 << 20;

#[derive(Clone, Copy, Debug)]
struct Claim {
    at: u64,
    len: u64,
    what: What,
    partition: u32,
}

/// Claims on the bytes of a disk. Of two on one byte the first that was made holds.
#[derive(Debug)]
pub(super) struct Claims {
    list: Vec<Claim>,
    /// The partition that claims are made in.
    pub(super) partition: u32,
    /// Nothing had to be left out.
    pub(super) complete: bool,
}

impl Default for Claims {
    fn default() -> Self {
        Self {
            list: Vec::new(),
            partition: 0,
            complete: true,
        }
    }
}

impl Claims {
    /// Claims `len` bytes from `at`, joined to the last claim where it continues that.
    pub(super) fn add(&mut self, at: u64, len: u64, what: What) {
        let Some(end) = at.checked_add(len).filter(|_| len > 0) else {
            return;
        };
        let partition = self.partition;
        if let Some(last) = self.list.last_mut()
            && (last.at + last.len, last.what, last.partition) == (at, what, partition)
        {
            last.len = end - last.at;
            return;
        }
        // The two backgrounds of a partition and the disk are always kept: they fill the gaps.
        let background = matches!(what, What::Unpartitioned | What::Unknown | What::Ext4Free);
        if self.list.len() >= MAX_CLAIMS && !background {
            self.complete = false;
            return;
        }
        self.list.push(Claim {
            at,
            len,
            what,
            partition,
        });
    }

    /// The regions: sorted, disjoint, from the first byte claimed to the last of the last claim, which is
    /// the disk's.
    pub(super) fn regions(mut self) -> Vec<Region> {
        let size = self.list.last().map_or(0, |disk| disk.at + disk.len);
        // A stable sort would need as much memory again; the order of claims is in the number.
        let mut order: Vec<u32> = (0..).zip(&self.list).map(|(n, _)| n).collect();
        let claim = |n: u32| self.list[crate::units::index32(n)];
        order.sort_unstable_by_key(|&n| (claim(n).at, n));
        let mut regions: Vec<Region> = Vec::new();
        let mut active: BinaryHeap<Reverse<(u32, u64)>> = BinaryHeap::new();
        let (mut at, mut next) = (0, 0);
        while at < size {
            while let Some(&n) = order.get(next).filter(|&&n| claim(n).at <= at) {
                active.push(Reverse((n, claim(n).at + claim(n).len)));
                next += 1;
            }
            while active.peek().is_some_and(|Reverse((_, end))| *end <= at) {
                active.pop();
            }
            let Some(&Reverse((n, end))) = active.peek() else {
                break;
            };
            let until = order.get(next).map_or(size, |&n| claim(n).at).min(size);
            let end = end.min(until);
            push(&mut regions, at, end, &claim(n));
            at = end;
        }
        self.list.clear();
        regions
    }
}

fn push(regions: &mut Vec<Region>, at: u64, end: u64, claim: &Claim) {
    if let Some(last) = regions.last_mut()
        && (last.what, last.partition) == (claim.what, claim.partition)
    {
        last.len = end - last.at;
        return;
    }
    regions.push(Region {
        at,
        len: end - at,
        kind: claim.what.kind(),
        what: claim.what,
        partition: claim.partition,
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(claims: Claims) -> String {
        let line = |r: Region| format!("{}+{} {}\n", r.at, r.len, r.what);
        claims.regions().into_iter().map(line).collect()
    }

    #[test]
    fn the_first_claim_holds_and_the_last_fills_the_gaps() {
        let mut claims = Claims::default();
        claims.add(10, 10, What::Mbr);
        claims.add(0, 30, What::Journal);
        claims.add(15, 30, What::CoreImg);
        claims.add(90, 30, What::OrphanFile);
        claims.add(45, 5, What::CoreImg);
        claims.add(7, 0, What::Mbr);
        claims.add(u64::MAX, 7, What::Mbr);
        claims.add(0, 100, What::Unknown);
        expect_test::expect![[r"
            0+10 journal
            10+10 MBR partition table
            20+10 journal
            30+20 core.img of GRUB
            50+40 unknown
            90+10 orphan file
        "]]
        .assert_eq(&shown(claims));
    }

    #[test]
    fn nothing_claimed_is_nothing() {
        assert_eq!(shown(Claims::default()), "");
        let mut claims = Claims::default();
        claims.add(0, 0, What::Unknown);
        assert_eq!(shown(claims), "");
    }
}

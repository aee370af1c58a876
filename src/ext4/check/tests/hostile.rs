//! No bytes make it panic, loop or report without end.

use std::cell::RefCell;

use proptest::prelude::{ProptestConfig, any, prop_assert};
use proptest::test_runner::TestRunner;

use super::fixtures::{rich, tools};
use super::lab::Lab;
use super::{GROUP, SB, TOOLS};
use crate::ext4::check::{MAX_FINDINGS, check};
use crate::observe::Silent;
use crate::units::{count, index};

/// Where metadata lies in a sound image: first byte and length.
fn metadata(lab: &Lab) -> Vec<(usize, usize)> {
    let dind = lab.follow(lab.inode("resize") + 0x5C);
    let extents = lab.follow(lab.inode("deep/holes") + 0x38);
    let xattrs = lab.follow(lab.inode("large") + 0x68);
    vec![
        (SB, 1024),
        (4096, 128),
        (GROUP, 1024),
        (lab.follow(4096), 4096),
        (lab.follow(4100), 4096),
        (lab.inode("root"), 256),
        (lab.inode("resize"), 512),
        (lab.inode("large"), 256),
        (lab.inode("deep/holes"), 256),
        (lab.inode("one"), 256),
        (extents, 64),
        (extents, 4096),
        (xattrs, 256),
        (xattrs, 4096),
        (lab.data("one"), 256),
        (lab.data("one") + 4096, 256),
        (lab.data("root"), 256),
        (lab.data("deep"), 128),
        (lab.data("journal"), 256),
        (dind, 256),
    ]
}

#[test]
fn no_damage_makes_it_panic() {
    if !tools(&TOOLS) {
        return;
    }
    let lab = Lab::new(&rich(10));
    let places = metadata(&lab);
    let lab = RefCell::new(lab);
    let mut config = ProptestConfig::with_cases(200);
    config.failure_persistence = None;
    let flips = proptest::collection::vec((any::<u64>(), any::<u8>()), 1..12);
    let outcome = TestRunner::new(config).run(&flips, |flips| {
        let mut lab = lab.borrow_mut();
        lab.mend();
        for (n, byte) in flips {
            let (start, len) = places[index(n % count(places.len()))];
            lab.put(start + index(n / count(places.len())) % len, &[byte]);
        }
        if let Ok((summary, findings)) = check(&lab.bytes, &Silent) {
            prop_assert!(findings.len() <= MAX_FINDINGS);
            prop_assert!(summary.complete || !findings.is_empty());
        }
        Ok(())
    });
    outcome.unwrap();
}

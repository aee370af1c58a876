//! Invariants: no bytes make `map`, `explain` or `lint` panic or read without end; the regions of a map tile the
//! disk; findings are fit for a terminal. The inputs are images, whole, as those of the target inspect.

#![no_main]

#[path = "../support/counted.rs"]
mod counted;

use counted::Counted;
use diskwright::inspect::Disk;
use diskwright::inspect::explain::explain;
use diskwright::inspect::lint::{Target, lint, of_image};
use diskwright::inspect::map::map;
use diskwright::read_at::ReadAt;
use libfuzzer_sys::fuzz_target;
use std::sync::Arc;

fuzz_target!(|data: &[u8]| run(data));

/// A time before that of the images: some of their files lie in the future.
const NOW: i64 = 1_000_000_000;

/// More names than `lint` has room for.
const MOST: usize = 8 << 20;

fn run(data: &[u8]) {
    let counted = Arc::new(Counted::new(data));
    let disk: Arc<dyn ReadAt> = Arc::clone(&counted) as _;
    if let Ok(map) = map(&disk) {
        let mut at = 0;
        for region in &map.regions {
            assert!(region.at == at && region.len > 0, "{region:?} at {at}");
            at = region.end();
        }
        assert_eq!(at, disk.len());
    }
    counted.assert_linear("map");
    // Where structures begin and end, and wherever the bytes themselves say.
    let len = disk.len();
    let said = data.iter().rev().step_by(97).take(4);
    let said = said.fold(0, |n: u64, b| n << 8 | u64::from(*b));
    for offset in [0, 446, 1080, 2048, len / 3, len / 2, len - len.min(1), len, said % (len + 1)] {
        if let Ok(explained) = explain(&disk, offset) {
            assert_eq!(explained.offset, offset);
        }
        counted.assert_linear("explain");
    }
    if let Ok(facts) = of_image(&disk, NOW) {
        for finding in lint(&facts, Target::Marketplace) {
            let text = format!("{}: {}", finding.place, finding.message);
            assert!(!text.contains(char::is_control), "{text}");
        }
    }
    // It maps the disk besides, which counts for 64 readings, as above.
    counted.assert_read("lint", names(data) + 16);
}

/// How many names the root filesystem has, as far as any walk goes.
fn names(data: &[u8]) -> u64 {
    let Ok(disk) = Disk::of(Arc::new(data.to_vec())) else { return 0 };
    let Some(Ok(files)) = disk.root().map(|volume| volume.files()) else { return 0 };
    let Ok(root) = files.root() else { return 0 };
    let walked = files.walk(root).take(MOST).count();
    u64::try_from(walked).expect("64 bits")
}

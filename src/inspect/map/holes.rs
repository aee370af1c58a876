//! File data that a sparse image does not hold: zeros.

use super::{Kind, Region, What};
use crate::inspect::InspectError;
use crate::read_at::ReadAt;

/// Holes that are looked at: an image in more pieces than that shows the rest of them as data.
const MAX_HOLES: usize = 1 << 20;

/// Turns data in holes of `disk` to zeros.
pub(super) fn mark(disk: &dyn ReadAt, regions: &mut Vec<Region>) -> Result<(), InspectError> {
    let mut out: Vec<Region> = Vec::with_capacity(regions.len());
    let mut hole = 0..0;
    let mut asked = 0;
    for region in regions.drain(..) {
        let What::File(ino) = region.what else {
            out.push(region);
            continue;
        };
        let mut at = region.at;
        while at < region.end() {
            if hole.end <= at && asked < MAX_HOLES {
                let next = disk.hole(at);
                hole = next.map_err(|source| InspectError::Read { offset: at, source })?;
                asked += 1;
            }
            let zero = hole.contains(&at);
            let until = if zero { hole.end } else { hole.start };
            let end = if until > at {
                until.min(region.end())
            } else {
                region.end()
            };
            out.push(part(region, at, end, zero.then_some(What::Zero(ino))));
            at = end;
        }
    }
    *regions = out;
    Ok(())
}

fn part(region: Region, at: u64, end: u64, zero: Option<What>) -> Region {
    let what = zero.unwrap_or(region.what);
    Region {
        at,
        len: end - at,
        kind: if zero.is_some() {
            Kind::Zero
        } else {
            region.kind
        },
        what,
        ..region
    }
}

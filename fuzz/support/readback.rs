//! A filesystem in memory, read through its extents.

use diskwright::ext4::Plan;
use diskwright::extent::{Content, Extent};
use diskwright::read_at::ReadAt;

/// Metadata from the plan, zeros where zeros must be, and noise in file data and in what is free.
pub struct ReadBack<'a> {
    pub plan: &'a Plan,
    pub extents: &'a [Extent],
}

impl ReadAt for ReadBack<'_> {
    fn len(&self) -> u64 {
        self.plan.size()
    }

    fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> std::io::Result<()> {
        let (mut at, mut rest) = (offset, buf);
        let mut n = self.extents.partition_point(|e| e.end() <= offset);
        while !rest.is_empty() {
            let e = self.extents.get(n).ok_or(std::io::ErrorKind::UnexpectedEof)?;
            let len = usize::try_from(e.end() - at).expect("64 bits").min(rest.len());
            let (part, more) = rest.split_at_mut(len);
            match e.content {
                Content::Bytes { offset, .. } => {
                    self.plan.read_exact_at(offset + (at - e.start), part)?;
                }
                Content::Zero => part.fill(0),
                Content::File { .. } | Content::Free => part.fill(0xA5),
            }
            (at, rest) = (e.end(), more);
            n += 1;
        }
        Ok(())
    }
}

//! Blocks that several files claim: damage, or malice that would have the same bytes read without end.

use super::files::{Data, Files, FilesError};

/// `EXT4_FEATURE_RO_COMPAT_SHARED_BLOCKS`: files of an image of Android share blocks on purpose.
const SHARED_BLOCKS: u32 = 0x4000;
/// How much more than the volume holds such files may hold together.
const TIMES: u64 = 16;

/// What the files read so far have taken of the room of their volume. However their blocks are shared, no
/// more than the volume holds is read of all files together; a slight damage stops nothing.
#[derive(Debug)]
pub(super) struct Taken {
    room: u64,
    block: u64,
}

impl Taken {
    /// Nothing yet.
    pub(super) fn of(files: &Files) -> Self {
        let (room, block) = match files {
            Files::Ext4(reader) => {
                let blocks = reader.blocks().saturating_mul(reader.block_size());
                let shares = reader.superblock().s_feature_ro_compat.get() & SHARED_BLOCKS != 0;
                let room = if shares {
                    blocks.saturating_mul(TIMES)
                } else {
                    blocks
                };
                (room, reader.block_size())
            }
            Files::Fat(reader) => (reader.room(), reader.cluster_size()),
        };
        Self { room, block }
    }

    /// Takes the blocks of a file, once for all of its names.
    ///
    /// # Errors
    /// [`FilesError::Shared`] when there is no room left: it has those of others.
    pub(super) fn take(&mut self, data: &Data<'_>) -> Result<(), FilesError> {
        let bytes: u64 = match data {
            Data::Ext4(content) => content.runs().iter().map(|r| r.len * self.block).sum(),
            Data::Fat { runs, .. } => runs.iter().map(|r| r.len).sum(),
        };
        self.room = self.room.checked_sub(bytes).ok_or(FilesError::Shared)?;
        Ok(())
    }
}

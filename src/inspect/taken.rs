//! Blocks that several files claim: damage, or malice that would have the same bytes read without end.

use super::files::{Data, Files, FilesError};

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
            Files::Ext4(reader) => (
                reader.blocks().saturating_mul(reader.block_size()),
                reader.block_size(),
            ),
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

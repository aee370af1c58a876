//! GRUB for BIOS machines. To check its files and compress core.img takes as long as all that is planned between
//! the archive's end and the first byte of the disk: it runs beside that.

use super::mode::{BIOS_BOOT_SECTORS, BIOS_BOOT_START};
use super::places::{BiosFiles, Found};
use super::{BuildError, Scheme};
use crate::grub::{
    Area, BiosSpec, Files, GrubError, MODULES_EXT_ON_GPT, MODULES_EXT_ON_MBR, PREFIX_GPT_1,
    PREFIX_MBR_1, bios, boot_sector, check_one_build,
};
use crate::partition::FIRST_PARTITION;
use crate::units::Lba;
use std::sync::Arc;
use std::thread::JoinHandle;

/// The loader in the making.
#[derive(Debug)]
pub(super) struct Bios {
    pub(super) files: Arc<Files>,
    /// Where they come from.
    pub(super) from: String,
    /// The first sector of core.img.
    first: Lba,
    core: JoinHandle<Result<Vec<u8>, GrubError>>,
}

impl Bios {
    /// Begins to make it of the files of `i386-pc`.
    pub(super) fn start(found: Found<BiosFiles>, scheme: Scheme) -> Self {
        let spec = match scheme {
            Scheme::Gpt => BiosSpec {
                prefix: PREFIX_GPT_1,
                modules: &MODULES_EXT_ON_GPT,
                config: None,
                area: Area {
                    first: BIOS_BOOT_START,
                    sectors: BIOS_BOOT_SECTORS,
                },
                rs: true,
            },
            _ => BiosSpec {
                prefix: PREFIX_MBR_1,
                modules: &MODULES_EXT_ON_MBR,
                config: None,
                area: Area {
                    first: Lba(1),
                    // What BIOSes and later partitioners expect, wherever root begins.
                    sectors: FIRST_PARTITION.0 - 1,
                },
                rs: true,
            },
        };
        let BiosFiles { files, list } = found.made;
        let files = Arc::new(files);
        let core = {
            let files = Arc::clone(&files);
            std::thread::spawn(move || {
                check_one_build(None, &files, list.as_deref())?;
                bios(&files, &spec)
            })
        };
        Self {
            files,
            from: found.from,
            first: spec.area.first,
            core,
        }
    }

    /// Sector 0 as the partitioner made it, with boot.img; and what lies from the first sector of core.img on.
    pub(super) fn finish(self, sector0: &[u8; 512]) -> Result<([u8; 512], Vec<u8>), BuildError> {
        let core = match self.core.join() {
            Ok(core) => core?,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        Ok((boot_sector(&self.files, sector0, self.first)?, core))
    }
}

//! The disk around the root filesystem: partition table, loader, EFI system partition.

use super::bios::Bios;
use super::layout::Region;
use super::mode::{
    BIOS_BOOT_NUMBER, BIOS_BOOT_SECTORS, BIOS_BOOT_START, ESP_NUMBER, ESP_START, Mode, ROOT_NUMBER,
    esp_len,
};
use super::prepare::{Facts, Prepared};
use super::report::PartitionReport;
use super::{BuildError, Image, Scheme, Source, Spec};
use crate::ext4::Plan;
use crate::extent::{Content, Extent, SourceNr, push};
use crate::fat::{FatFile, FatSpec, PieceKind, volume};
use crate::grub::EfiArch;
use crate::partition::{
    BIOS_BOOT, EFI_SYSTEM, GPT_BACK, GptLayout, GptPartition, LINUX, LINUX_DATA, MbrLayout,
    ROOT_ARM64, ROOT_X86_64, gpt, mbr, partuuid,
};
use crate::read_at::ReadAt;
use crate::units::{Lba, SECTOR, count, count32};
use std::ops::Range;
use std::sync::Arc;

const PLAN: SourceNr = SourceNr(0);
const SPOOL: SourceNr = SourceNr(1);

/// Label of the EFI system partition, as mkosi and others have it.
const ESP_LABEL: &[u8; 11] = b"ESP        ";

/// What is needed beside the filesystem.
#[derive(Clone, Copy, Debug)]
pub(super) struct Assembly<'a> {
    pub(super) spec: &'a Spec,
    pub(super) mode: &'a Mode,
    pub(super) facts: &'a Facts,
    pub(super) prepared: &'a Prepared,
    /// Byte at which the root filesystem begins.
    pub(super) base: u64,
    /// One past the last byte of its partition.
    pub(super) end: u64,
    /// Size of the disk in bytes.
    pub(super) size: u64,
}

/// The extents in the making.
struct Builder {
    extents: Vec<Extent>,
    sources: Vec<Source>,
    regions: Vec<Region>,
    at: u64,
}

impl Builder {
    fn push(&mut self, len: u64, content: Content) {
        let start = self.at;
        let extent = Extent {
            start,
            len,
            content,
        };
        push(&mut self.extents, extent);
        self.at += len;
    }

    fn free_to(&mut self, start: u64) {
        self.push(start - self.at, Content::Free);
    }

    fn source(&mut self, bytes: Arc<dyn ReadAt>) -> SourceNr {
        self.sources.push(Source::Rendered(bytes));
        SourceNr(count32(self.sources.len() - 1))
    }

    fn region(&mut self, range: Range<u64>, name: &'static str) {
        self.regions.push(Region { range, name });
    }

    /// Bytes of our own at `start`, behind what is free.
    fn bytes(&mut self, start: u64, bytes: Vec<u8>, name: &'static str) {
        self.free_to(start);
        let len = count(bytes.len());
        self.region(start..start + len, name);
        let source = self.source(Arc::new(bytes));
        self.push(len, Content::Bytes { source, offset: 0 });
    }
}

impl Assembly<'_> {
    /// Everything as one list of extents, and the partitions.
    pub(super) fn assemble(
        &self,
        plan: Plan,
        zero_runs: &[Range<u64>],
        bios: Option<Bios>,
    ) -> Result<(Image, Vec<PartitionReport>), BuildError> {
        let plan = Arc::new(plan);
        let mut b = Builder {
            extents: Vec::new(),
            sources: vec![Source::Rendered(Arc::<Plan>::clone(&plan)), Source::Spool],
            regions: Vec::new(),
            at: 0,
        };
        let root = plan.extents(self.base, PLAN, SPOOL, zero_runs);
        let root_end = self.base + plan.size();
        let (partitions, back) = match self.mode.scheme {
            Scheme::None => (Vec::new(), None),
            Scheme::Gpt => {
                let (partitions, back) = self.gpt(&mut b, bios)?;
                (partitions, Some(back))
            }
            Scheme::Auto | Scheme::Mbr => (vec![self.mbr(&mut b, bios)?], None),
        };
        b.free_to(self.base);
        for e in root {
            push(&mut b.extents, e);
        }
        b.at = root_end;
        if let Some(back) = back {
            b.bytes(self.size - GPT_BACK * SECTOR, back, "backup GPT");
        }
        b.free_to(self.size);
        let image = Image {
            size: self.size,
            extents: b.extents,
            sources: b.sources,
            regions: b.regions,
            filesystem: plan,
            filesystem_offset: self.base,
        };
        Ok((image, partitions))
    }

    /// Sector 0, and core.img behind it where there is a loader.
    fn mbr(&self, b: &mut Builder, bios: Option<Bios>) -> Result<PartitionReport, BuildError> {
        let start = Lba(self.base / SECTOR);
        let sectors = (self.end - self.base) / SECTOR;
        let sector0 = mbr(&MbrLayout {
            disk_signature: self.facts.disk_signature,
            disk_sectors: self.size / SECTOR,
            start,
            sectors,
        })?;
        let front = match bios {
            None => sector0.to_vec(),
            Some(bios) => {
                let (sector0, core) = bios.finish(&sector0)?;
                [&sector0[..], &core].concat()
            }
        };
        b.bytes(0, front, "boot.img, MBR, core.img");
        Ok(PartitionReport {
            number: ROOT_NUMBER,
            start: start.0,
            sectors,
            kind: format!("{LINUX:02x}"),
            name: None,
            partuuid: partuuid(self.facts.disk_signature, ROOT_NUMBER),
        })
    }

    /// Both copies of the table, and the partitions in front of root; gives the backup.
    fn gpt(
        &self,
        b: &mut Builder,
        bios: Option<Bios>,
    ) -> Result<(Vec<PartitionReport>, Vec<u8>), BuildError> {
        let mut list = vec![GptPartition {
            number: ROOT_NUMBER,
            kind: match self.mode.arch {
                Some(EfiArch::X86_64) => ROOT_X86_64,
                Some(EfiArch::Arm64) => ROOT_ARM64,
                None => LINUX_DATA,
            },
            guid: self.facts.root_guid,
            start: Lba(self.base / SECTOR),
            sectors: (self.end - self.base) / SECTOR,
            name: "root",
        }];
        if self.mode.bios() {
            list.push(GptPartition {
                number: BIOS_BOOT_NUMBER,
                kind: BIOS_BOOT,
                guid: self.facts.bios_guid,
                start: BIOS_BOOT_START,
                sectors: BIOS_BOOT_SECTORS,
                name: "bios",
            });
        }
        if self.mode.uefi().is_some() {
            list.push(GptPartition {
                number: ESP_NUMBER,
                kind: EFI_SYSTEM,
                guid: self.facts.esp_guid,
                start: ESP_START,
                sectors: esp_len(self.spec) / SECTOR,
                name: "esp",
            });
        }
        let mut table = gpt(&GptLayout {
            disk_guid: self.facts.disk_guid,
            disk_sectors: self.size / SECTOR,
            partitions: &list,
        })?;
        let mut core = None;
        if let Some(bios) = bios {
            let mut sector0 = [0; 512];
            sector0.copy_from_slice(&table.front[..512]);
            let (sector0, made) = bios.finish(&sector0)?;
            table.front[..512].copy_from_slice(&sector0);
            core = Some(made);
        }
        b.bytes(0, table.front, "boot.img, protective MBR, GPT");
        if let Some(core) = core {
            b.bytes(BIOS_BOOT_START.byte_offset(), core, "core.img");
        }
        if self.mode.uefi().is_some() {
            self.esp(b)?;
        }
        let report = |p: &GptPartition<'_>| PartitionReport {
            number: p.number,
            start: p.start.0,
            sectors: p.sectors,
            kind: p.kind.to_string(),
            name: Some(p.name.to_owned()),
            partuuid: p.guid.to_string(),
        };
        Ok((list.iter().map(report).collect(), table.back))
    }

    fn esp(&self, b: &mut Builder) -> Result<(), BuildError> {
        let files = self.prepared.esp.iter();
        let files: Vec<FatFile<'_>> = files
            .map(|f| FatFile {
                path: &f.path,
                data: &f.data,
            })
            .collect();
        let made = volume(
            &FatSpec {
                size: esp_len(self.spec),
                start: ESP_START,
                id: self.facts.esp_id,
                label: ESP_LABEL,
                time: self.facts.time,
            },
            &files,
        )?;
        let start = ESP_START.byte_offset();
        b.free_to(start);
        b.region(start..start + esp_len(self.spec), "EFI system partition");
        let source = b.source(made.bytes);
        for piece in made.pieces {
            let content = match piece.kind {
                PieceKind::Bytes => Content::Bytes {
                    source,
                    offset: piece.start,
                },
                PieceKind::Zero => Content::Zero,
                PieceKind::Free => Content::Free,
            };
            b.push(piece.len, content);
        }
        Ok(())
    }
}

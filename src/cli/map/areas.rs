//! What a picture of a disk is divided into: partitions, and what lies between them.

use super::strip::Parts;
use crate::cli::sizes::human;
use diskwright::inspect::map::{Kind, Map, Region};
use diskwright::inspect::{Filesystem, Partition};

/// More areas than a line has room for: what follows is one.
const MOST: usize = 24;

/// A partition, or what lies outside of partitions.
#[derive(Debug)]
pub(super) struct Area<'a> {
    /// What lies in it.
    pub(super) regions: &'a [Region],
    /// Its name: `1 root`, `boot code`.
    pub(super) name: String,
    /// What it holds: `ext4`, `FAT16`.
    pub(super) holds: String,
    /// Bytes and regions of each kind.
    pub(super) parts: Parts,
}

impl Area<'_> {
    /// First byte.
    pub(super) fn at(&self) -> u64 {
        self.regions.first().map_or(0, |r| r.at)
    }

    /// Bytes.
    pub(super) fn len(&self) -> u64 {
        self.regions.last().map_or(0, Region::end) - self.at()
    }

    /// Whether there is more to see in it than one colour.
    pub(super) fn is_mixed(&self) -> bool {
        self.parts.iter().count() > 1
    }

    /// Name, content and size in a line.
    pub(super) fn title(&self) -> String {
        let size = human(self.len());
        if self.holds.is_empty() {
            return format!("{}, {size}", self.name);
        }
        format!("{}: {}, {size}", self.name, self.holds)
    }
}

/// What all areas have together.
pub(super) fn total(areas: &[Area<'_>]) -> Parts {
    let mut total = Parts::default();
    for area in areas {
        total.join(&area.parts);
    }
    total
}

/// The areas of a disk, in order.
pub(super) fn areas(map: &Map) -> Vec<Area<'_>> {
    let mut list: Vec<Area<'_>> = Vec::new();
    let mut rest = map.regions.as_slice();
    while let Some(first) = rest.first() {
        let last = list.len() + 1 == MOST;
        let own = rest.iter().take_while(|r| r.partition == first.partition);
        let len = if last { rest.len() } else { own.count() };
        let (regions, later) = rest.split_at(len);
        rest = later;
        list.push(area(
            map,
            regions,
            last && first.partition != regions[len - 1].partition,
        ));
    }
    list
}

fn area<'a>(map: &Map, regions: &'a [Region], several: bool) -> Area<'a> {
    let parts = Parts::of(regions);
    let number = regions.first().map_or(0, |r| r.partition);
    let partition = map.info.partitions.iter().find(|p| p.number == number);
    let (name, holds) = match (partition, &map.info.filesystem) {
        _ if several => ("the rest of the disk".to_owned(), String::new()),
        (Some(p), _) => partition_words(p),
        (None, Some(f)) => (
            "no partition table".to_owned(),
            format!("{}{}", kind_of(f), label(&f.label)),
        ),
        (None, None) => (outside(&parts), String::new()),
    };
    Area {
        regions,
        name,
        holds,
        parts,
    }
}

fn partition_words(p: &Partition) -> (String, String) {
    let name = p.label.as_deref().unwrap_or_default();
    let name = format!("partition {}{}", p.number, label(name));
    let holds = match (&p.filesystem, &p.fat) {
        (Some(f), _) => format!("{}{}", kind_of(f), label(&f.label)),
        (_, Some(f)) => format!("FAT{}{}", f.bits, label(&f.label)),
        _ => p.type_name.to_owned(),
    };
    (name, holds)
}

/// ` name`, or nothing, safe to print.
fn label(text: &str) -> String {
    let text = text.trim();
    if text.is_empty() {
        return String::new();
    }
    format!(" {}", diskwright::display::display_path(text.as_bytes()))
}

/// What mke2fs(8) would call it.
fn kind_of(f: &Filesystem) -> &'static str {
    let has = |name: &str| f.features.iter().any(|f| f == name);
    match (has("extent"), has("has_journal")) {
        (true, _) => "ext4",
        (false, true) => "ext3",
        (false, false) => "ext2",
    }
}

/// What lies outside of partitions, by its contents.
fn outside(parts: &Parts) -> String {
    let names: Vec<_> = parts
        .iter()
        .filter(|(kind, ..)| *kind != Kind::Unpartitioned)
        .map(|(kind, ..)| kind.name())
        .collect();
    if names.is_empty() {
        return Kind::Unpartitioned.name().to_owned();
    }
    names.join(", ")
}

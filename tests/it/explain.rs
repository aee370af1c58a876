//! `explain` of what counts in clusters, and of descriptors that lie apart, against debugfs and dumpe2fs.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::sync::Arc;

use diskwright::inspect::explain::{Explanation, explain};
use diskwright::inspect::map::{Region, What, map};
use diskwright::read_at::{FileAt, ReadAt};

use super::ext4_read::filesystem;
use super::tools::{have, stdout};

const SHAPES: [&str; 5] = [
    "-t ext2 -b 1024",
    "-t ext4 -b 1024 -O ^resize_inode,meta_bg -g 1024",
    "-t ext4 -b 1024 -O ^resize_inode,^64bit,meta_bg -g 512",
    "-t ext4 -b 4096 -O bigalloc -C 65536",
    "-t ext4 -b 1024 -O bigalloc -C 8192",
];

/// At most `n` of a list, evenly.
fn some<T>(list: Vec<T>, n: usize) -> Vec<T> {
    let step = list.len().div_ceil(n).max(1);
    list.into_iter().step_by(step).collect()
}

/// Kind, first and last of the numbers that a byte of a bitmap is about, and those in use.
fn bits(told: &Explanation) -> (String, u64, u64, BTreeSet<u64>) {
    let text = told.element.as_deref().unwrap();
    let pattern = r"^(block|inode)s (\d+) to (\d+)(?: in clusters of \d+)?, (.*)$";
    let found = regex::Regex::new(pattern).unwrap();
    let found = found.captures(text).unwrap_or_else(|| panic!("{text}"));
    let (from, to): (u64, u64) = (found[2].parse().unwrap(), found[3].parse().unwrap());
    let used = match &found[4] {
        "none in use" => BTreeSet::new(),
        "all in use" => (from..=to).collect(),
        list => {
            let list = list.strip_prefix("in use: ").unwrap();
            let clusters = list.contains(" to ");
            let parts = list.split(if clusters { ", " } else { " " });
            let range = |part: &str| {
                let (a, b) = part.split_once(" to ").unwrap_or((part, part));
                a.parse::<u64>().unwrap()..=b.parse().unwrap()
            };
            parts.flat_map(range).collect()
        }
    };
    (found[1].to_owned(), from, to, used)
}

#[test]
fn bits_and_descriptors_are_those_of_debugfs_and_dumpe2fs() {
    if !have("mke2fs") || !have("debugfs") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let in_use = regex::Regex::new(r"(Block|Inode) (\d+) (?:is )?marked in use").unwrap();
    let group = regex::Regex::new(r"(?s)Group (\d+):.*?Inode table at (\d+)").unwrap();
    for shape in SHAPES {
        let image = filesystem(folder.path(), shape);
        let disk: Arc<dyn ReadAt> = Arc::new(FileAt::new(File::open(&image).unwrap()).unwrap());
        let device = image.to_str().unwrap();
        let map = map(&disk).unwrap();
        let of = |sort: fn(What) -> bool| -> Vec<Region> {
            let mine = map.regions.iter().filter(|r| sort(r.what));
            mine.copied().collect()
        };
        let mut requests = String::new();
        let mut ours = Vec::new();
        let bitmaps = of(|w| matches!(w, What::BlockBitmap(_) | What::InodeBitmap(_)));
        let (mut clusters, mut padding) = (false, false);
        for at in some(bitmaps, 12)
            .iter()
            .flat_map(|r| [r.at, r.at + 1, r.at + 37, r.end() - 1])
        {
            let told = explain(&disk, at).unwrap();
            let element = told.element.as_deref().unwrap();
            clusters |= element.contains("in clusters of ");
            if element.starts_with("padding: the group has ") {
                padding = true;
                continue;
            }
            if element.contains("never written") {
                continue;
            }
            let (kind, from, to, mut used) = bits(&told);
            // debugfs answers for no block 0.
            let from = from.max(1);
            used.remove(&0);
            match &kind[..] {
                "block" => requests += &format!("testb {from} {}\n", to - from + 1),
                _ => (from..=to).for_each(|nr| requests += &format!("testi <{nr}>\n")),
            }
            ours.push((kind, from, to, used));
        }
        assert_eq!(clusters, shape.contains("bigalloc"), "{shape}");
        assert!(padding && ours.len() > 3, "{shape}: {ours:?}");
        let commands = folder.path().join("requests");
        std::fs::write(&commands, requests).unwrap();
        let said = stdout("debugfs", &["-f", commands.to_str().unwrap(), device]);
        let theirs: BTreeSet<(String, u64)> = in_use
            .captures_iter(&said)
            .map(|hit| (hit[1].to_lowercase(), hit[2].parse().unwrap()))
            .collect();
        for (kind, from, to, used) in ours {
            let range = (kind.clone(), from)..=(kind.clone(), to);
            let expected: BTreeSet<u64> = theirs.range(range).map(|(_, nr)| *nr).collect();
            assert_eq!(used, expected, "{shape}: {kind}s {from} to {to}");
        }

        // The field that tells where the inode table begins, of the first two descriptors in every block.
        let said = stdout("dumpe2fs", &[device]);
        let tables: BTreeMap<String, String> = group
            .captures_iter(&said)
            .map(|hit| (hit[1].to_owned(), hit[2].to_owned()))
            .collect();
        let len = if shape.contains("^64bit") || shape.contains("ext2") {
            32
        } else {
            64
        };
        let descriptors = of(|w| matches!(w, What::GroupDescriptors(_) | What::MetaDescriptors));
        let mut seen = BTreeSet::new();
        for r in some(descriptors, 12) {
            for at in [r.at + 8, r.at + len + 8] {
                let told = explain(&disk, at).unwrap();
                let Some(element) = &told.element else {
                    // Behind the last group's.
                    continue;
                };
                let nr = element.strip_prefix("descriptor of group ").unwrap();
                let field = told.field.unwrap();
                assert_eq!(
                    (field.name, field.at),
                    ("bg_inode_table_lo", at),
                    "{shape}: {nr}"
                );
                let value = field.value.split(' ').next().unwrap();
                assert_eq!(value, tables[nr], "{shape}: group {nr} at byte {at}");
                seen.insert(nr.to_owned());
            }
        }
        let most = if shape.contains("meta_bg") { 6 } else { 1 };
        assert!(seen.len() >= most, "{shape}: {seen:?}");
    }
}

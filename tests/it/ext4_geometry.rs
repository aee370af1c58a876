//! The shape of a filesystem is the one that mke2fs gives the same device: every line of `dumpe2fs`, with
//! all groups and their free blocks, and where root, lost+found, resize inode and journal lie.
//!
//! What may differ: UUID, hash seed, times, checksums (which depend on those), bytes ever written, and
//! `ITABLE_ZEROED`, which we set, as our inode tables are zero already.

use crate::common::image::{PARTITION, device, try_build, write_tar};
use crate::common::tarball::{Header, file};
use crate::tools;
use bytes::Bytes;
use diskwright::archive::Rootfs;
use diskwright::ext4::BlockSize;
use diskwright::extent::{Content, Extent};
use diskwright::image::{Boot, PlanSpool, Scheme, Size, Spec, Spool, build};
use diskwright::observe::Silent;
use std::io;
use std::ops::Range;
use std::path::Path;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// A device, and options as ours and as those of mke2fs.
#[derive(Clone, Debug)]
struct Case {
    size: u64,
    block: u64,
    mbr: bool,
    ours: Vec<String>,
    theirs: Vec<String>,
}

impl Case {
    fn new(size: u64, block: u64) -> Self {
        Self {
            size,
            block,
            mbr: false,
            ours: Vec::new(),
            theirs: Vec::new(),
        }
    }

    fn with(mut self, ours: &str, theirs: &str) -> Self {
        let words = |text: &str| {
            text.split_whitespace()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        self.ours.extend(words(ours));
        self.theirs.extend(words(theirs));
        self
    }

    fn inodes(self, n: u32) -> Self {
        self.with(&format!("--inodes {n}"), &format!("-N {n}"))
    }

    fn mbr(self) -> Self {
        Self { mbr: true, ..self }
    }
}

fn sizes(block: u64) -> Vec<u64> {
    let group = block * 8;
    let mut blocks = vec![
        // Below 3 MiB (`floppy`), below 8 MiB (no journal), around both. mke2fs 1.47.0 makes 8 inodes in less
        // than 100 KiB, and has no room for lost+found's.
        128, 300, 767, 768, 1000, 2047, 2048, 2049, 4096, 8192, 16_384,
    ];
    if block == 4 * KIB {
        blocks.extend([64, 100]);
    }
    for size in [128 * MIB, 256 * MIB, 512 * MIB, GIB, 2 * GIB, 10 * GIB] {
        let n = size / block;
        blocks.extend([n - 1, n, n + 1]);
    }
    // A last group that is dropped, one that is just kept, one in a flex group of its own.
    for rest in [49, 52, 600, 700, 1024, 1100, 2100, 5000] {
        blocks.extend([
            group + rest,
            4 * group + rest,
            16 * group + rest,
            33 * group + rest,
        ]);
    }
    let mut sizes: Vec<u64> = blocks.iter().map(|n| n * block).collect();
    // No whole number of blocks.
    sizes.extend([9 * MIB + 1536, 100 * MIB + 512]);
    // A journal in five extents and more; one that begins behind a backup superblock.
    if block == 4 * KIB {
        sizes.extend([40 * GIB, 130 * GIB, 40_993_000 * block]);
    } else {
        sizes.extend([20 * GIB, 65 * GIB]);
    }
    sizes
}

fn cases(block: u64) -> Vec<Case> {
    let case = |size| Case::new(size, block);
    let mut cases: Vec<Case> = sizes(block).into_iter().map(case).collect();
    for size in [129 * MIB, 513 * MIB, GIB, 2 * GIB + MIB] {
        cases.push(case(size).mbr());
    }
    let inodes = [
        (128 * MIB, 16),
        (8 * GIB, 17),
        (GIB, 1000),
        (10 * GIB, 100),
        (40 * MIB, 8192),
        // Groups smaller than a bitmap covers.
        (300 * MIB, 70_000),
        (600 * MIB, 1_234_567),
        (GIB, 2_000_000),
        (4 * GIB + 3 * MIB, 5_000_000),
        // More than fit.
        (900 * MIB, 3_000_000),
        (65 * MIB, 300_000),
    ];
    cases.extend(inodes.map(|(size, n)| case(size).inodes(n)));
    if std::env::var_os("DISKWRIGHT_TEST_FULL").is_some() {
        cases.push(case(2048 * GIB));
    }
    cases
}

/// Bytes of the orphan file of mke2fs 1.47.4.
fn orphan_file(size: u64, block: u64) -> u64 {
    match size / block {
        n if n < 128 * KIB => 32 * block,
        n if n < 2 * MIB => n / block * block,
        _ => 2 * MIB,
    }
}

/// Every option by itself and some together, at a few sizes.
fn options(block: u64) -> Vec<Case> {
    const PV: &str = "-O ^64bit,^metadata_csum,uninit_bg";
    const MODERN: &str = "-O metadata_csum_seed,orphan_file";
    let table = [
        ("--inode-ratio 4096", "-i 4096"),
        ("--inode-ratio 8K", "-i 8192"),
        ("--inode-ratio 128K", "-i 131072"),
        ("--reserved-percent 0", "-m 0"),
        ("--reserved-percent 1", "-m 1"),
        ("--reserved-percent 50", "-m 50"),
        ("--journal-size none", "-O ^has_journal"),
        ("--journal-size 4M", "-J size=4"),
        ("--journal-size 37M", "-J size=37"),
        ("--journal-size 200M", "-J size=200"),
        ("--max-grow 20G", "-E resize=20G"),
        ("--max-grow 3T", "-E resize=3T"),
        ("--features grub2.02", ""),
        ("--features modern", MODERN),
        (
            "--features modern --journal-size none",
            "-O metadata_csum_seed,^has_journal",
        ),
        ("--features pv", PV),
        (
            "--features pv --journal-size none",
            "-O ^64bit,^metadata_csum,uninit_bg,^has_journal",
        ),
        (
            "--features pv --inode-ratio 64K --reserved-percent 2 --journal-size 16M --max-grow 64G",
            "-O ^64bit,^metadata_csum,uninit_bg -i 65536 -m 2 -J size=16 -E resize=64G",
        ),
    ];
    let sizes = [3 * MIB, 70 * MIB, 300 * MIB + 5 * KIB, 3 * GIB, 9 * GIB];
    let each = |(ours, theirs): (&str, &str)| {
        sizes.map(|size| {
            let case = Case::new(size, block).with(ours, theirs);
            if theirs != MODERN {
                return case;
            }
            // mke2fs 1.47.0 makes it smaller than 1.47.4 where blocks are.
            let kib = orphan_file(size, block) / KIB;
            case.with("", &format!("-E orphan_file_size={kib}K"))
        })
    };
    // Where there is no room for the journal asked for, mke2fs makes none; we refuse.
    let no_room = |case: &Case| case.size < 4 * MIB && case.theirs.contains(&"-J".to_owned());
    // Where mke2fs makes a journal too short to grow online, ours is longer.
    let cannot_grow =
        |case: &Case| case.size / block < 32 * KIB && case.theirs.contains(&"resize=3T".to_owned());
    let all = table.into_iter().flat_map(each);
    all.filter(|case| !no_room(case) && !cannot_grow(case))
        .collect()
}

/// What `dumpe2fs` and `debugfs` say, without what may differ.
fn describe(device: &str, superblock_only: bool) -> Vec<String> {
    const MAY_DIFFER: [&str; 13] = [
        "Filesystem UUID:",
        "Directory Hash Seed:",
        "Filesystem created:",
        "Last mount time:",
        "Last write time:",
        "Last checked:",
        "Lifetime writes:",
        "Checksum:",
        "Checksum seed:",
        "Journal checksum:",
        "Inode checksum:",
        "Generation:",
        "time:",
    ];
    let mut text = if superblock_only {
        tools::stdout("dumpe2fs", &["-h", device])
    } else {
        tools::stdout("dumpe2fs", &[device])
    };
    if !superblock_only {
        for inode in ["<2>", "<7>", "<8>", "<11>"] {
            text += &tools::stdout("debugfs", &["-R", &format!("stat {inode}"), device]);
        }
    }
    text.lines()
        .filter(|line| !MAY_DIFFER.iter().any(|m| line.contains(m)))
        .map(|line| {
            let line = line
                .replace(", ITABLE_ZEROED", "")
                .replace(" [ITABLE_ZEROED]", "");
            match line.split_once(" csum 0x") {
                Some((before, after)) => format!(
                    "{before}{}",
                    &after[after.find([' ', ',']).unwrap_or(after.len())..]
                ),
                None => line.trim_end().to_owned(),
            }
        })
        .collect()
}

/// The filesystem that mke2fs makes, or `None` where it refuses.
fn mke2fs(path: &Path, size: u64, case: &Case) -> Option<()> {
    let _ = std::fs::remove_file(path);
    std::fs::File::create(path).unwrap().set_len(size).unwrap();
    let block = case.block.to_string();
    let mut args = vec!["-q", "-F", "-t", "ext4", "-b", &block, "-L", "root"];
    // What Debian 12 leaves out and later releases set.
    args.extend(["-O", "^metadata_csum_seed,^orphan_file"]);
    args.extend(case.theirs.iter().map(String::as_str));
    args.push(path.to_str().unwrap());
    tools::run("mke2fs", &args).status.success().then_some(())
}

fn flags(case: &Case) -> Vec<String> {
    let mut flags = vec![
        "--boot".to_owned(),
        "none".into(),
        "--size".into(),
        case.size.to_string(),
        "--block-size".into(),
        case.block.to_string(),
    ];
    if !case.mbr {
        flags.extend(["--scheme".into(), "none".into()]);
    }
    flags.extend(case.ours.iter().cloned());
    flags
}

/// Compares one case; what differs.
fn compare(folder: &Path, tar: &Path, case: &Case, superblock_only: bool) -> Option<String> {
    let (ours, theirs) = (folder.join("ours.img"), folder.join("theirs.img"));
    let offset = if case.mbr { PARTITION } else { 0 };
    let made = try_build(tar, &ours, &flags(case));
    let reference = mke2fs(&theirs, case.size - offset, case);
    if made.status.success() != reference.is_some() {
        let says = String::from_utf8_lossy(&made.stderr);
        return Some(format!(
            "{case:?}: mke2fs made one: {}, we: {says}",
            reference.is_some()
        ));
    }
    if reference.is_none() {
        let orderly = made.status.code() == Some(3) && !ours.exists();
        return (!orderly).then(|| format!("{case:?}: refused with {}", made.status));
    }
    let mut a = describe(&device(&ours, offset), superblock_only);
    let mut b = describe(theirs.to_str().unwrap(), superblock_only);
    std::fs::remove_file(&ours).unwrap();
    if superblock_only {
        let account =
            |line: &String| !line.starts_with("Free blocks:") && !line.starts_with("Free inodes:");
        a.retain(account);
        b.retain(account);
    }
    let at = (0..a.len().max(b.len())).find(|&n| a.get(n) != b.get(n))?;
    let near = |list: &[String]| list[at.saturating_sub(4)..list.len().min(at + 3)].join("\n  ");
    Some(format!(
        "{case:?}, line {at}:\n  {}\nmke2fs has\n  {}",
        near(&a),
        near(&b)
    ))
}

fn compare_all(tar: &Path, folder: &Path, cases: &[Case], superblock_only: bool) {
    let wrong: Vec<String> = cases
        .iter()
        .filter_map(|case| compare(folder, tar, case, superblock_only))
        .collect();
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        cases.len(),
        wrong.join("\n\n")
    );
}

fn have_all() -> bool {
    ["mke2fs", "dumpe2fs", "debugfs"]
        .iter()
        .all(|tool| tools::have(tool))
}

fn empty(cases: &[Case]) {
    if !have_all() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let root = Header::new("./", b'5', 0).with(100, b"0000755\0").block();
    let tar = write_tar(folder.path(), "empty.tar", &[root]);
    compare_all(&tar, folder.path(), cases, false);
}

#[test]
fn an_empty_filesystem_is_laid_out_as_mke2fs_lays_it_out() {
    empty(&cases(4 * KIB));
}

#[test]
fn with_blocks_of_2_kib_too() {
    empty(&cases(2 * KIB));
}

#[test]
fn with_blocks_of_1_kib_too() {
    empty(&cases(KIB));
}

#[test]
fn every_option_means_what_it_means_to_mke2fs() {
    for block in [KIB, 2 * KIB, 4 * KIB] {
        empty(&options(block));
    }
}

#[test]
fn files_change_no_more_of_the_superblock_than_what_is_free() {
    if !have_all() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let members: Vec<Vec<u8>> = (0_u8..40)
        .map(|n| file(&format!("f{n}"), &vec![n; 5000 * usize::from(n)]))
        .collect();
    let tar = write_tar(folder.path(), "files.tar", &members);
    let sizes = [12 * MIB, 128 * MIB, 512 * MIB, GIB + 77 * MIB, 10 * GIB];
    let both = |size| [Case::new(size, 4 * KIB), Case::new(size, 4 * KIB).mbr()];
    let mut cases: Vec<Case> = sizes.into_iter().flat_map(both).collect();
    for block in [KIB, 2 * KIB] {
        cases.extend(sizes.map(|size| Case::new(size, block)));
    }
    compare_all(&tar, folder.path(), &cases, true);
}

/// Keeps what is said to be vacant, and nothing else.
#[derive(Default)]
struct Vacant(PlanSpool, Vec<Range<u64>>);

impl Spool for Vacant {
    fn place(&mut self, at: u64, data: Bytes, keep: bool) -> io::Result<()> {
        self.0.place(at, data, keep)
    }

    fn punch(&mut self, at: u64, len: u64) -> io::Result<()> {
        self.0.punch(at, len)
    }

    fn read_back(&mut self, at: u64, buf: &mut [u8]) -> io::Result<()> {
        self.0.read_back(at, buf)
    }

    fn vacant(&mut self, at: u64, len: u64) {
        self.1.push(at..at + len);
    }
}

#[test]
fn what_is_vacant_before_the_first_file_is_zeros_that_matter_and_most_of_them() {
    let folder = tempfile::tempdir().unwrap();
    let tar = write_tar(folder.path(), "in.tar", &[file("a", b"a")]);
    for block_size in [BlockSize::KiB1, BlockSize::KiB2, BlockSize::KiB4] {
        for size in [8 * MIB, 300 * MIB, GIB, 17 * GIB, 64 * GIB] {
            for scheme in [Scheme::None, Scheme::Mbr] {
                let spec = Spec {
                    size: Size::Bytes(size),
                    block_size,
                    scheme,
                    boot: Boot::None,
                    ..Spec::default()
                };
                let mut spool = Vacant::default();
                let mut rootfs = Rootfs::open(&[tar.as_os_str()]).unwrap();
                let built = build(&mut rootfs, &spec, &mut spool, &Silent).unwrap();
                let zeros = built.image.extents().iter();
                let zeros: Vec<_> = zeros.filter(|e| e.content == Content::Zero).collect();
                for vacant in &spool.1 {
                    let inside = |e: &&Extent| e.start <= vacant.start && vacant.end <= e.end();
                    assert!(
                        zeros.iter().copied().any(|e| inside(&e)),
                        "{block_size:?} {size} {scheme:?}: {vacant:?} of {zeros:?}"
                    );
                }
                let vacant: u64 = spool.1.iter().map(|v| v.end - v.start).sum();
                let all: u64 = zeros.iter().map(|e| e.len).sum();
                // Of a few groups the first is more than an eighth.
                assert!(
                    vacant <= all && (size < GIB || vacant * 8 > all * 6),
                    "{vacant} of {all}"
                );
            }
        }
    }
}

#[test]
fn a_fitted_filesystem_says_of_nothing_that_it_is_vacant() {
    let folder = tempfile::tempdir().unwrap();
    let tar = write_tar(folder.path(), "in.tar", &[file("a", b"a")]);
    let spec = Spec {
        boot: Boot::None,
        ..Spec::default()
    };
    let mut spool = Vacant::default();
    let mut rootfs = Rootfs::open(&[tar.as_os_str()]).unwrap();
    build(&mut rootfs, &spec, &mut spool, &Silent).unwrap();
    assert!(spool.1.is_empty());
}

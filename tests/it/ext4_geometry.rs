//! The shape of a filesystem is the one that mke2fs gives the same device: every line of `dumpe2fs`, with
//! all groups and their free blocks, and where root, lost+found, resize inode and journal lie.
//!
//! What may differ: UUID, hash seed, times, checksums (which depend on those), bytes ever written, and
//! `ITABLE_ZEROED`, which we set, as our inode tables are zero already.

use crate::common::image::{PARTITION, device, try_build, write_tar};
use crate::common::tarball::{Header, file};
use crate::tools;
use std::path::Path;

const BLOCK: u64 = 4096;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const GROUP: u64 = 32_768;

/// A device and `-N`.
#[derive(Clone, Copy, Debug)]
struct Case {
    size: u64,
    inodes: Option<u32>,
    mbr: bool,
}

fn sizes() -> Vec<u64> {
    let mut blocks = vec![
        // Below 3 MiB (`floppy`), below 8 MiB (no journal), around both.
        64, 100, 300, 767, 768, 1000, 2047, 2048, 2049, 4096, 8192, 16_384,
    ];
    for size in [128 * MIB, 256 * MIB, 512 * MIB, GIB, 2 * GIB, 10 * GIB] {
        let n = size / BLOCK;
        blocks.extend([n - 1, n, n + 1]);
    }
    // A last group that is dropped, one that is just kept, one in a flex group of its own.
    for rest in [49, 52, 600, 700, 1024, 1100, 2100, 5000] {
        blocks.extend([
            GROUP + rest,
            4 * GROUP + rest,
            16 * GROUP + rest,
            33 * GROUP + rest,
        ]);
    }
    let mut sizes: Vec<u64> = blocks.iter().map(|n| n * BLOCK).collect();
    // No whole number of blocks.
    sizes.extend([9 * MIB + 1536, 100 * MIB + 512]);
    // A journal in five extents and more; one that begins behind a backup superblock.
    sizes.extend([40 * GIB, 130 * GIB, 40_993_000 * BLOCK]);
    sizes
}

fn cases() -> Vec<Case> {
    let case = |size, inodes, mbr| Case { size, inodes, mbr };
    let mut cases: Vec<Case> = sizes()
        .iter()
        .map(|&size| case(size, None, false))
        .collect();
    for size in [129 * MIB, 513 * MIB, GIB, 2 * GIB + MIB] {
        cases.push(case(size, None, true));
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
    cases.extend(inodes.map(|(size, n)| case(size, Some(n), false)));
    if std::env::var_os("DISKWRIGHT_TEST_FULL").is_some() {
        cases.push(case(2048 * GIB, None, false));
    }
    cases
}

/// What `dumpe2fs` and `debugfs` say, without what may differ.
fn describe(device: &str, superblock_only: bool) -> Vec<String> {
    const MAY_DIFFER: [&str; 12] = [
        "Filesystem UUID:",
        "Directory Hash Seed:",
        "Filesystem created:",
        "Last mount time:",
        "Last write time:",
        "Last checked:",
        "Lifetime writes:",
        "Checksum:",
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
fn mke2fs(path: &Path, size: u64, inodes: Option<u32>) -> Option<()> {
    let _ = std::fs::remove_file(path);
    std::fs::File::create(path).unwrap().set_len(size).unwrap();
    let number = inodes.map(|n| n.to_string());
    let mut args = vec!["-q", "-F", "-t", "ext4", "-b", "4096", "-L", "root"];
    args.extend(["-O", "^metadata_csum_seed,^orphan_file"]);
    if let Some(n) = &number {
        args.extend(["-N", n]);
    }
    args.push(path.to_str().unwrap());
    tools::run("mke2fs", &args).status.success().then_some(())
}

fn flags(case: Case) -> Vec<String> {
    let mut flags = vec![
        "--boot".to_owned(),
        "none".into(),
        "--size".into(),
        case.size.to_string(),
    ];
    if !case.mbr {
        flags.extend(["--scheme".into(), "none".into()]);
    }
    if let Some(n) = case.inodes {
        flags.extend(["--inodes".into(), n.to_string()]);
    }
    flags
}

/// Compares one case; what differs.
fn compare(folder: &Path, tar: &Path, case: Case, superblock_only: bool) -> Option<String> {
    let (ours, theirs) = (folder.join("ours.img"), folder.join("theirs.img"));
    let offset = if case.mbr { PARTITION } else { 0 };
    let made = try_build(tar, &ours, &flags(case));
    let reference = mke2fs(&theirs, case.size - offset, case.inodes);
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
        .filter_map(|&case| compare(folder, tar, case, superblock_only))
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

#[test]
fn an_empty_filesystem_is_laid_out_as_mke2fs_lays_it_out() {
    if !have_all() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let root = Header::new("./", b'5', 0).with(100, b"0000755\0").block();
    let tar = write_tar(folder.path(), "empty.tar", &[root]);
    compare_all(&tar, folder.path(), &cases(), false);
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
    let cases: Vec<Case> = sizes
        .iter()
        .flat_map(|&size| {
            [false, true].map(|mbr| Case {
                size,
                inodes: None,
                mbr,
            })
        })
        .collect();
    compare_all(&tar, folder.path(), &cases, true);
}

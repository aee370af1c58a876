//! The checker against e2fsck: whatever damage e2fsck finds, `ext4::check` finds too.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use diskwright::ext4::check::check;
use diskwright::observe::Silent;

use super::common::run;
use super::common::seal::Seals;
use super::tools::have;

/// Trials for each image, each with e2fsck's 10 ms; ten times as many with `DISKWRIGHT_TEST_FULL`.
const TRIALS: u64 = 80;

/// Arguments of mke2fs for the images that are damaged.
const IMAGES: &[&str] = &[
    "-t ext4 -b 1024 -N 256 -O ^has_journal",
    "-t ext4 -b 1024 -N 256 -O ^resize_inode,meta_bg -g 1024",
    "-t ext4 -b 1024 -N 256 -O orphan_file,metadata_csum_seed",
    "-t ext4 -b 4096 -N 256 -O ^64bit,^metadata_csum,uninit_bg",
    "-t ext3 -b 1024 -N 256",
];

/// Numbers that look random, the same in every run (splitmix64).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        let end = u64::try_from(end).unwrap();
        usize::try_from((z ^ (z >> 31)) % end).unwrap()
    }

    fn byte(&mut self) -> u8 {
        u8::try_from(self.below(256)).unwrap()
    }
}

fn image(folder: &Path, args: &str) -> Vec<u8> {
    let tree = folder.join("tree");
    if !tree.exists() {
        std::fs::create_dir_all(tree.join("many/deep/deeper")).unwrap();
        for n in 0..120 {
            std::fs::write(tree.join(format!("many/a name of some length, {n}")), "x").unwrap();
        }
        std::fs::write(tree.join("file"), vec![7; 60_000]).unwrap();
        std::fs::hard_link(tree.join("file"), tree.join("many/hard")).unwrap();
        std::os::unix::fs::symlink("short", tree.join("short")).unwrap();
        std::os::unix::fs::symlink("l".repeat(200), tree.join("long")).unwrap();
        let holes = std::fs::File::create(tree.join("holes")).unwrap();
        for n in 0..40 {
            std::os::unix::fs::FileExt::write_all_at(&holes, b"x", n * 9000).unwrap();
        }
        let value = "v".repeat(300);
        let script = format!(
            "mknod pipe p\nmknod null c 1 3\nea_set file user.a value\nea_set many user.b {value}\n\
             ea_set many security.c d\n"
        );
        std::fs::write(folder.join("script"), script).unwrap();
    }
    let args: Vec<&str> = args.split(' ').collect();
    let all = [&["-q", "-F", "-d", "tree"], &args[..], &["image", "5M"]].concat();
    run(folder, "mke2fs", &all);
    run(folder, "debugfs", &["-w", "-f", "script", "image"]);
    let optimised = Command::new("e2fsck")
        .args(["-fyD", "image"])
        .current_dir(folder)
        .output();
    assert!(optimised.unwrap().status.code().is_some_and(|c| c < 2));
    std::fs::read(folder.join("image")).unwrap()
}

/// What e2fsck finds wrong; nothing when it is content.
fn e2fsck(folder: &Path) -> Option<String> {
    let out = Command::new("e2fsck")
        .args(["-fn", "image"])
        .current_dir(folder)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    (out.status.code() != Some(0)).then_some(text)
}

#[test]
fn what_e2fsck_finds_is_found() {
    if !have("mke2fs") || !have("debugfs") || !have("e2fsck") {
        return;
    }
    let full = std::env::var_os("DISKWRIGHT_TEST_FULL").is_some();
    let trials = if full { TRIALS * 10 } else { TRIALS };
    let folder = tempfile::tempdir().unwrap();
    let (mut missed, mut only_ours, mut both) = (String::new(), 0, 0);
    for args in IMAGES {
        let sound = image(folder.path(), args);
        let seals = Seals::new(&sound);
        assert_eq!(check(&sound, &Silent).unwrap().1, [], "{args}");
        for trial in 0..trials {
            let mut numbers = Numbers(trial);
            let mut bytes = sound.clone();
            let mut what = String::new();
            for _ in 0..1 + numbers.below(3) {
                let (start, len) = seals.pieces[numbers.below(seals.pieces.len())];
                let at = start + numbers.below(len);
                let new = match numbers.below(3) {
                    0 => bytes[at] ^ (1 << numbers.below(8)),
                    1 => 0,
                    _ => numbers.byte(),
                };
                writeln!(
                    what,
                    "  piece {start:#x} + {:#x}: {:02x} to {new:02x}",
                    at - start,
                    bytes[at]
                )
                .unwrap();
                bytes[at] = new;
            }
            // Every fourth trial leaves the checksums wrong.
            if trial % 4 != 0 {
                seals.apply(&mut bytes);
            }
            std::fs::write(folder.path().join("image"), &bytes).unwrap();
            let theirs = e2fsck(folder.path());
            let ours = !check(&bytes, &Silent).is_ok_and(|(_, found)| found.is_empty());
            match theirs {
                Some(text) if !ours => {
                    writeln!(missed, "{args}, trial {trial}\n{what}{text}").unwrap();
                }
                Some(_) => both += 1,
                None => only_ours += u32::from(ours),
            }
        }
    }
    eprintln!("{both} found by both, {only_ours} by the checker alone");
    assert!(missed.is_empty(), "{missed}");
}

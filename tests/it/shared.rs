//! Files that share what no two files may: an inode under many names that counts one link, blocks, chains of
//! FAT. Nobody reads more than the volume holds.

use std::fs;

use super::common::desk::{Desk, Ran};
use super::common::run;
use super::tools::have;

const BIG: usize = 700_000;

fn size(desk: &Desk, name: &str) -> u64 {
    fs::metadata(desk.path(name)).unwrap().len()
}

fn debugfs(desk: &Desk, image: &str, requests: &str) {
    desk.write("requests", requests.as_bytes());
    run(desk.folder(), "debugfs", &["-w", "-f", "requests", image]);
}

/// A filesystem of 4 MiB with a file of 700,000 bytes, and 30 of none.
fn filesystem(desk: &Desk) {
    fs::create_dir(desk.path("tree")).unwrap();
    fs::write(desk.path("tree/big"), vec![b'x'; BIG]).unwrap();
    for n in 10..40 {
        fs::write(desk.path("tree").join(format!("file-{n}")), "").unwrap();
    }
    let args = [
        "-q",
        "-F",
        "-t",
        "ext4",
        "-O",
        "^has_journal",
        "-d",
        "tree",
        "a.img",
        "4M",
    ];
    run(desk.folder(), "mke2fs", &args);
}

fn left_out(ran: &Ran) -> usize {
    let why = "left out: its blocks belong to other files too";
    ran.stderr.lines().filter(|l| l.contains(why)).count()
}

#[test]
fn an_inode_of_many_names_that_counts_one_link_is_read_once() {
    if !have("mke2fs") || !have("debugfs") {
        return;
    }
    let desk = Desk::new();
    filesystem(&desk);
    let names: String = (0..25).map(|n| format!("ln big name-{n}\n")).collect();
    debugfs(&desk, "a.img", &names);
    let ran = desk.run(&["stat", "--json", "a.img:/name-7"]);
    assert!(ran.stdout.contains("\"links\": 1"), "{ran:?}");
    let ran = desk.run(&["extract", "a.img", "-o", "a.tar"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(size(&desk, "a.tar") < 2 * 700_000);
    let list = run(desk.folder(), "tar", &["-tvf", "a.tar"]).stdout;
    let list = String::from_utf8(list).unwrap();
    assert_eq!(list.matches("link to big\n").count(), 25, "{list}");
    let ran = desk.run(&["extract", "a.img", "-o", "out-a/"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let ran = desk.run(&["du", "-s", "a.img"]);
    let kib: u64 = ran.stdout.split('\t').next().unwrap().parse().unwrap();
    assert!(kib < 1000, "{ran:?}");
    // The tar says the same; only `lost+found` and times are its own.
    let ran = desk.run(&["diff", "a.img", "a.tar"]);
    assert_eq!(
        (ran.code, ran.stdout.lines().next()),
        (Some(0), Some("files: 0 added, 0 removed, 0 changed")),
        "{ran:?}"
    );
}

#[test]
fn files_that_share_blocks_are_read_up_to_what_the_volume_holds() {
    if !have("mke2fs") || !have("debugfs") {
        return;
    }
    let desk = Desk::new();
    filesystem(&desk);
    let copies: String = (10..40)
        .map(|n| format!("copy_inode big file-{n}\n"))
        .collect();
    debugfs(&desk, "a.img", &copies);
    // Five times 700,000 bytes are less than 4 MiB.
    let ran = desk.run(&["extract", "a.img", "-o", "a.tar"]);
    assert_eq!((ran.code, left_out(&ran)), (Some(1), 31 - 5), "{ran:?}");
    assert!(size(&desk, "a.tar") < 5 << 20);
    // Against one whose block differs, so that all of them would have to be read.
    fs::copy(desk.path("a.img"), desk.path("b.img")).unwrap();
    let bytes = fs::read(desk.path("b.img")).unwrap();
    let at = bytes
        .windows(4096)
        .position(|w| w.iter().all(|b| *b == b'x'))
        .unwrap();
    let mut changed = bytes;
    changed[at + 300_000] = b'y';
    fs::write(desk.path("b.img"), changed).unwrap();
    let ran = desk.run(&["diff", "a.img", "b.img"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let told = "files: 0 added, 0 removed, 5 changed, 26 unreadable\n";
    assert!(ran.stdout.contains(told), "{ran:?}");
}

#[test]
fn entries_of_fat_that_share_a_chain_are_read_up_to_what_the_volume_holds() {
    if !have("mformat") || !have("mcopy") {
        return;
    }
    let desk = Desk::new();
    fs::create_dir(desk.path("tree")).unwrap();
    fs::write(desk.path("tree/BIG"), vec![b'x'; BIG]).unwrap();
    let names: Vec<String> = (10..40).map(|n| format!("tree/FILE-{n}")).collect();
    names
        .iter()
        .for_each(|name| fs::write(desk.path(name), "").unwrap());
    run(
        desk.folder(),
        "mformat",
        &["-C", "-i", "fat.img", "-T", "2880", "::"],
    );
    let mut args = vec!["-i", "fat.img", "tree/BIG"];
    args.extend(names.iter().map(String::as_str));
    args.push("::");
    run(desk.folder(), "mcopy", &args);
    let mut image = fs::read(desk.path("fat.img")).unwrap();
    let find = |image: &[u8], name: &[u8]| image.windows(name.len()).position(|w| w == name);
    let big = find(&image, b"BIG        ").unwrap();
    let chain = image[big + 26..big + 32].to_vec();
    for n in 10..40 {
        let at = find(&image, format!("FILE-{n}    ").as_bytes()).unwrap();
        image[at + 26..at + 32].copy_from_slice(&chain);
    }
    desk.write("fat.img", &image);
    // Twice 700,000 bytes are less than a floppy disk has.
    let ran = desk.run(&["extract", "fat.img", "-o", "a.tar"]);
    assert_eq!((ran.code, left_out(&ran)), (Some(1), 31 - 2), "{ran:?}");
    assert!(size(&desk, "a.tar") < 2 << 20);
}

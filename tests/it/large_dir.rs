//! `--large-dir`: a directory whose index has three levels, and who refuses it.
//!
//! debugfs shows the index, and e2fsck holds every name's hash against it; the kernel alone looks a name up
//! by its hash.

use crate::common::desk::Desk;
use crate::common::guest::{self, Disk};
use crate::common::rootfs;
use crate::common::tarball::{Header, archive, file};
use expect_test::expect;

/// Names of 96 bytes, seven to a block of 1 KiB that is filled to 80 %: two levels end at
/// 123 x 126 such blocks.
const NAMES: u32 = 110_000;
const FLAGS: [&str; 6] = ["--boot", "none", "--scheme", "none", "--block-size", "1K"];

fn desk() -> Desk {
    let desk = Desk::new();
    let members = (0..NAMES).map(|n| Header::new(&name(n), b'0', 0).block());
    desk.write("a.tar", &archive(&members.collect::<Vec<_>>()));
    desk
}

fn name(n: u32) -> String {
    format!("d/{n:096}")
}

#[test]
fn a_directory_that_needs_three_levels_is_refused_unless_asked_for() {
    let desk = desk();
    let args = ["build", "a.tar", "-o", "out/disk.img", "--quiet"];
    desk.refused(&[&args[..], &FLAGS].concat(), 3, expect![[r#"
        error: d
          because: its 110000 entries fill 15715 blocks of 1024 bytes; an index of 2 levels reaches 15498 of them; say `--large-dir` for a third level (Linux 4.13, GRUB 2.12 and e2fsck 1.44 read it) or a larger `--block-size`, or spread the files over several directories
    "#]]);
    desk.builds("a.tar", &[&FLAGS[..], &["--large-dir"]].concat());
    desk.fsck();
    let verified = desk.run(&["verify", "out/disk.img"]);
    assert_eq!(verified.code, Some(0), "{verified:?}");
    let Some(stats) = desk.debugfs("stats -h") else {
        return;
    };
    assert!(stats.contains(" large_dir "), "{stats}");
    let dump = desk.debugfs("htree_dump /d").unwrap();
    let root: Vec<&str> = dump.lines().take(9).collect();
    assert!(root.contains(&"\t Indirect levels: 2"), "{root:#?}");
    for n in [0, 1, NAMES / 2, NAMES - 1] {
        let said = desk.debugfs(&format!("stat /{}", name(n))).unwrap();
        assert!(said.contains("Type: regular"), "{n}: {said}");
        assert!(dump.contains(&name(n)[2..]), "{n}");
    }
}

#[test]
fn a_profile_of_old_readers_excludes_it() {
    let desk = Desk::new();
    desk.write("a.tar", &archive(&[file("a", b"data")]));
    let args = ["build", "a.tar", "-o", "out/disk.img", "--large-dir"];
    desk.refused(
        &[&args[..], &["--features", "grub2.02"]].concat(),
        2,
        expect![[r#"
            error: --large-dir: those for whom --features grub2.02 is do not read it
            help: leave out one of them
        "#]],
    );
}

/// Every name of the archive, by its hash; a thousand more, and none that are gone.
const SCRIPT: &str = r#"
names() { seq 0 109999 | awk '{ printf "%096d\n", $1 }'; }
more() { seq 1000 | awk '{ printf "more-%090d\n", $1 }'; }
mount /disk/large /mnt
cd /mnt/d
names | xargs stat -c %n > /tmp/found
names | cmp - /tmp/found
find . -type f | wc -l > /answer/listed
more | while read -r name; do echo $name > $name; done
names | head -n 1000 | xargs rm
cd /
umount /mnt
echo 3 > /proc/sys/vm/drop_caches
mount /disk/large /mnt
cd /mnt/d
more | while read -r name; do read -r said < $name; [ $said = $name ]; done
names | tail -n +1001 | xargs stat -c %n > /tmp/found
names | tail -n +1001 | cmp - /tmp/found
if stat $(names | head -n 1); then exit 1; fi
find . -type f | wc -l >> /answer/listed
cd /
umount /mnt
"#;

#[test]
fn linux_finds_names_through_three_levels_and_adds_to_them() {
    if !rootfs::full("Linux in a directory of three levels") || !guest::can_run() {
        return;
    }
    let Some(debian) = rootfs::debian() else {
        return;
    };
    let desk = desk();
    let free = ["--large-dir", "--free", "64M"];
    desk.builds("a.tar", &[&FLAGS[..], &free].concat());
    let disk = Disk {
        name: "large",
        image: &desk.path("out/disk.img"),
        keep: true,
    };
    let answers = guest::run(desk.folder(), &debian, &[disk], SCRIPT);
    let listed = std::fs::read_to_string(answers.join("listed")).unwrap();
    assert_eq!(listed, format!("{NAMES}\n{NAMES}\n"));
    desk.fsck();
    let verified = desk.run(&["verify", "out/disk.img"]);
    assert_eq!(verified.code, Some(0), "{verified:?}");
}

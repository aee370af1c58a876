//! Filesystems of ours grow online under Linux, past what was reserved too, fill to the last block and keep what
//! is written; and one that a load went over is clean.

use std::path::Path;

use crate::common::guest::{self, Disk};
use crate::common::member::Member;
use crate::common::{features, image, rootfs};
use crate::tools::{have, run};

const GIB: u64 = 1 << 30;

/// `grow NAME SIZE...` grows in steps, online, puts 300 MiB beside what was there, fills the rest, looks at all of
/// it after a remount. Sizes in KiB.
const GROW: &str = r#"
head -c 4m /dev/urandom > /piece
old() { find . -path ./new -prune -o -type f -size -4096k -print0 | xargs -0 sha256sum -z; }
pieces() { seq 75; }
grow() {
    disk=/disk/$1; name=$1; shift
    mount $disk /mnt
    cd /mnt
    old > /old
    for size; do resize2fs $disk ${size}K; done
    mkdir new
    for n in $(pieces); do { echo $n; cat /piece; } > new/$n; done
    sync
    # fallocate takes what there is before it fails.
    while fallocate -l 16G new/fill-$(ls new | wc -l); do :; done
    if cat /piece > new/more; then exit 1; fi
    stat -f -c '%S %b %f' . > /answer/$name
    cd /
    umount /mnt
    echo 3 > /proc/sys/vm/drop_caches
    mount $disk /mnt
    cd /mnt
    old | cmp - /old
    for n in $(pieces); do { echo $n; cat /piece; } | cmp - new/$n; done
    cd /
    umount /mnt
}
"#;

/// One filesystem that grows.
struct Row {
    name: &'static str,
    flags: &'static [&'static str],
    block_size: u64,
    /// Sizes on the way: multiples of the first one, then bytes.
    times: u64,
    end: u64,
}

const ROWS: &[Row] = &[
    Row {
        name: "fitted",
        flags: &[],
        block_size: 4096,
        times: 10,
        end: 0,
    },
    // One block of descriptors holds 8 GiB: past it the kernel turns to meta_bg.
    Row {
        name: "past",
        flags: &["--max-grow", "8G"],
        block_size: 4096,
        times: 10,
        end: 20 * GIB,
    },
    Row {
        name: "small",
        flags: &["--block-size", "1024", "--max-grow", "8G"],
        block_size: 1024,
        times: 10,
        end: 20 * GIB,
    },
    Row {
        name: "middle",
        flags: &["--block-size", "2048", "--max-grow", "8G"],
        block_size: 2048,
        times: 10,
        end: 20 * GIB,
    },
];

#[track_caller]
fn assert_clean(what: &str, disk: &Path) {
    let device = image::device(disk, image::offset_of(disk));
    let out = run("e2fsck", &["-fn", &device]);
    let said = String::from_utf8_lossy(&out.stdout);
    assert!(
        out.status.success() && said.lines().count() == 6,
        "{what}: e2fsck: {said}"
    );
    let out = image::diskwright()
        .arg("verify")
        .arg(disk)
        .output()
        .unwrap();
    let said = [out.stdout, out.stderr].concat();
    assert!(
        out.status.success(),
        "{what}: {}",
        String::from_utf8_lossy(&said)
    );
}

#[test]
fn filesystems_grow_online_and_fill_to_the_last_block() {
    if !(guest::can_run() && have("e2fsck")) {
        return;
    }
    let Some(debian) = rootfs::debian() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let members = (0..3000).map(|n| {
        let content = features::content(n, n % 40 * 1000);
        Member::file(format!("srv/{}/{n}", n % 7), content).bytes()
    });
    let tar = image::write_tar(folder.path(), "tree.tar", &members.collect::<Vec<_>>());
    let mut script = GROW.to_owned();
    let mut images = Vec::new();
    for row in ROWS {
        let disk = folder.path().join(row.name);
        let flags = [&["--scheme", "none"], row.flags].concat();
        image::build(&tar, &disk, &flags);
        let fitted = std::fs::metadata(&disk).unwrap().len();
        let mut sizes = vec![fitted * row.times];
        sizes.extend((row.end > 0).then_some(row.end));
        let end = *sizes.last().unwrap();
        let file = std::fs::OpenOptions::new().write(true).open(&disk).unwrap();
        file.set_len(end).unwrap();
        let steps: Vec<String> = sizes.iter().map(|size| (size >> 10).to_string()).collect();
        script += &format!("grow {} {}\n", row.name, steps.join(" "));
        eprintln!("{}: {fitted} bytes to {sizes:?}", row.name);
        images.push((row, disk, end));
    }
    let disks = images.iter().map(|(row, image, _)| Disk {
        name: row.name,
        image,
        keep: true,
    });
    let answers = guest::run(folder.path(), &debian, &disks.collect::<Vec<_>>(), &script);
    for (row, disk, end) in &images {
        let said = std::fs::read_to_string(answers.join(row.name)).unwrap();
        let numbers: Vec<u64> = said
            .split_whitespace()
            .map(|n| n.parse().unwrap())
            .collect();
        let [block_size, blocks, free] = numbers[..] else {
            panic!("{said}")
        };
        assert_eq!(block_size, row.block_size, "{}", row.name);
        // `statfs` leaves out the metadata; whole groups too small for theirs are left off at the end.
        assert!(blocks * block_size > end / 10 * 9, "{}: {said}", row.name);
        // The kernel keeps 2 % or 4096 clusters for itself.
        assert!(free <= 4096 + 16, "{}: {said}", row.name);
        assert_clean(row.name, disk);
    }
}

/// Copies, renames, links, holes, xattrs, truncation and removal, all at once.
const LOAD: &str = r#"
mount /disk/load /mnt
cd /mnt
busy() {
    mkdir busy$1
    cp -a etc var usr/sbin usr/share/doc busy$1
    for n in $(seq 200); do
        echo $n > busy$1/$n
        ln busy$1/$n busy$1/link$n
        mv busy$1/$n busy$1/renamed$n
        ln -s $n busy$1/symlink$n
        fallocate -l ${n}k -o ${n}m busy$1/link$n
    done
    find busy$1/doc -name '*.gz' -delete
    find busy$1/sbin -type f -size +20k -exec truncate -s 5000 {} +
    rm -r busy$1/doc/[a-k]*
    for n in $(seq 1 3 200); do rm busy$1/link$n; done
    cp -a busy$1/var busy$1/again
}
library=usr/lib/python3.11
busy 1 & first=$!
busy 2 & second=$!
tar -c $library | tar -x -C tmp & third=$!
wait $first
wait $second
wait $third
find $library -type f -exec sha256sum {} + > /sums
(cd tmp && sha256sum --quiet -c /sums)
rm -r busy1 tmp/$library/[a-l]*
cd /
umount /mnt
"#;

#[test]
fn a_debian_is_clean_after_a_load_went_over_it() {
    if !(guest::can_run() && have("e2fsck")) {
        return;
    }
    let Some(debian) = rootfs::debian() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let disk = folder.path().join("debian.img");
    image::build(&debian, &disk, &["--boot", "none", "--free", "1500M"]);
    let disks = [Disk {
        name: "load",
        image: &disk,
        keep: true,
    }];
    guest::run(folder.path(), &debian, &disks, LOAD);
    assert_clean("debian", &disk);
}

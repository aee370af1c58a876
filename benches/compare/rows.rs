//! What is measured against what.

/// A line of the table.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    /// What it is measured against, a shell command with `$IN` and `$OUT`.
    pub(crate) against: &'static str,
    /// Ours; `$DW` is the program, and `exec` lets its memory be seen.
    pub(crate) ours: &'static str,
    pub(crate) input: &'static str,
    /// The ratio that must be reached; `None` where it is only shown.
    pub(crate) limit: Option<f64>,
    /// Programs that the row needs, or files among the inputs.
    pub(crate) needs: &'static [&'static str],
}

const BUILD: &str = "exec $DW build -q --force $IN -o $OUT/ours.img";
const BUILD_BARE: &str = "exec $DW build -q --force --boot none $IN -o $OUT/ours.img";
const MBR: &str = "$DW build -q --force --boot bios $IN -o $OUT/copy";

pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "debian .tar, against cp",
        against: "cp $IN $OUT/copy",
        ours: BUILD,
        input: "debian12.tar",
        limit: Some(1.5),
        needs: &[],
    },
    Row {
        name: "debian .tar.zst, against zstd -dc",
        against: "zstd -dc $IN >/dev/null",
        ours: BUILD,
        input: "debian12.tar.zst",
        limit: Some(1.4),
        needs: &["zstd"],
    },
    Row {
        name: "debian .tar.gz, against gzip -dc",
        against: "gzip -dc $IN >/dev/null",
        ours: BUILD,
        input: "debian12.tar.gz",
        limit: Some(1.0),
        needs: &["gzip"],
    },
    Row {
        name: "120,000 files in 600 folders, against cp",
        against: "cp $IN $OUT/copy",
        ours: BUILD_BARE,
        input: "many.tar",
        limit: Some(6.0),
        needs: &[],
    },
    Row {
        name: "120,000 files in one folder, against cp",
        against: "cp $IN $OUT/copy",
        ours: BUILD_BARE,
        input: "flat.tar",
        limit: Some(6.0),
        needs: &[],
    },
    Row {
        name: "container image, zstd, against its .tar.zst",
        against: "$DW build -q --force $OUT/debian12.tar.zst -o $OUT/copy",
        ours: "exec $DW build -q --force oci:$IN -o $OUT/ours.img",
        input: "oci",
        limit: Some(1.1),
        needs: &["zstd"],
    },
    Row {
        name: "GPT + BIOS, against MBR + BIOS",
        against: MBR,
        ours: "exec $DW build -q --force --scheme gpt --boot bios $IN -o $OUT/ours.img",
        input: "debian12.tar",
        limit: Some(1.1),
        needs: &[],
    },
    Row {
        name: "UEFI, against MBR + BIOS",
        against: MBR,
        ours: "exec $DW build -q --force --boot uefi --grub $OUT/grub $IN -o $OUT/ours.img",
        input: "debian12.tar",
        limit: Some(1.1),
        needs: &["grub"],
    },
    Row {
        name: "BIOS and UEFI, against MBR + BIOS",
        against: MBR,
        ours: "exec $DW build -q --force --boot hybrid --grub $OUT/grub $IN -o $OUT/ours.img",
        input: "debian12.tar",
        limit: Some(1.1),
        needs: &["grub"],
    },
    Row {
        name: "PV, against MBR + BIOS",
        against: MBR,
        ours: "exec $DW build -q --force --boot pv $IN -o $OUT/ours.img",
        input: "debian12.tar",
        limit: Some(1.1),
        needs: &[],
    },
    Row {
        name: "verify of the image, against e2fsck -fn",
        against: "e2fsck -fn $IN",
        ours: "exec $DW verify $IN",
        input: "debian.img",
        limit: Some(1.0),
        needs: &["e2fsck"],
    },
    Row {
        name: "qcow2, against raw",
        against: "$DW build -q --force $IN -o $OUT/copy --format raw",
        ours: "exec $DW build -q --force $IN -o $OUT/ours.img --format qcow2",
        input: "debian12.tar",
        limit: Some(1.3),
        needs: &[],
    },
    Row {
        name: "diff of two Debians, against reading both",
        against: "cat $IN $OUT/debian13.img >/dev/null",
        ours: "$DW diff $IN $OUT/debian13.img || test $? = 1",
        input: "debian.img",
        limit: Some(2.0),
        needs: &["debian13.img"],
    },
    Row {
        name: "ls -lR of the image, against 0.5 s",
        against: "sleep 0.5",
        ours: "exec $DW ls -lR $IN:/",
        input: "debian-4g.img",
        limit: Some(1.0),
        needs: &[],
    },
    Row {
        name: "map of the image, against 0.3 s",
        against: "sleep 0.3",
        ours: "exec $DW map $IN",
        input: "debian-4g.img",
        limit: Some(1.0),
        needs: &[],
    },
    Row {
        name: "lint of the image, against 1 s",
        against: "sleep 1",
        ours: "exec $DW lint $IN",
        input: "debian-4g.img",
        limit: Some(1.0),
        needs: &[],
    },
    Row {
        name: "bundle, against tar, pigz, openssl, split",
        against: "tar -C $OUT -cSh --owner 0 --group 0 debian-4g.img | pigz -6 | \
                  openssl enc -aes-128-cbc -K $KEY -iv $KEY | split -b 10485760 - $OUT/theirs.part.",
        ours: "exec $DW bundle -q --force $IN -d $OUT -p ours -u 123456789012 -c $OUT/cert.pem -k $OUT/pk.pem",
        input: "debian-4g.img",
        limit: Some(0.6),
        needs: &["pigz", "openssl"],
    },
    Row {
        name: "unbundle, against openssl, gunzip, tar",
        against: "mkdir -p $OUT/back; cat $OUT/theirs.part.* | openssl enc -d -aes-128-cbc -K $KEY -iv $KEY | \
                  gunzip | tar -x -C $OUT/back",
        ours: "exec $DW unbundle -q --force $OUT/ours.manifest.xml -o $OUT/ours.img -k $OUT/pk.pem",
        input: "debian-4g.img",
        limit: Some(1.2),
        needs: &["pigz", "openssl"],
    },
    Row {
        name: "peer: mke2fs -d of the unpacked rootfs",
        against: "truncate -s 2G $OUT/peer.img && mke2fs -q -F -t ext4 -d $OUT/unpacked $OUT/peer.img",
        ours: BUILD,
        input: "debian12.tar",
        limit: None,
        needs: &["mke2fs"],
    },
    Row {
        name: "peer: genext2fs of the same tar (ext2)",
        against: "rm -f $OUT/peer.img; genext2fs -q -B 4096 -b 262144 -N 65536 -a $IN $OUT/peer.img",
        ours: BUILD,
        input: "debian12.tar",
        limit: None,
        needs: &["genext2fs"],
    },
];

//! No file makes a reader of images panic, loop or hold much memory: headers and tables with something else in
//! them, files cut off, and fields at their limits.

use crate::common::vdisk_probe::probe;
use crate::vdisk::memory;
use diskwright::observe::Silent;
use diskwright::sink::format::write;
use diskwright::vdisk::{Format, open};
use proptest::prelude::*;
use std::sync::{Arc, LazyLock};

/// A small disk in every format.
static IMAGES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let disk = memory(&[
        (2, 70_000),
        (0, 200_000),
        (11, 9_000),
        (1, 100_000),
        (3, 5_632),
        (0, 512),
    ]);
    let made = Format::ALL.iter().map(|&format| {
        let mut out = Vec::new();
        write(format, &disk, &mut out, &Silent).unwrap();
        out
    });
    made.collect()
});

/// The bytes of an image that are no data, most often: its ends.
fn place() -> impl Strategy<Value = (bool, usize)> {
    (
        any::<bool>(),
        prop_oneof![3 => 0_usize..128, 2 => 0_usize..1600, 1 => 0_usize..400_000],
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn damage_is_told_and_never_a_panic(
        format in 0..Format::ALL.len(),
        changes in prop::collection::vec((place(), prop_oneof![Just(0_u8), Just(0xff), any::<u8>()]), 1..5),
        cut in prop_oneof![4 => Just(usize::MAX), 1 => 0_usize..300_000],
    ) {
        let mut bytes = IMAGES[format].clone();
        for ((end, place), byte) in changes {
            let place = place % bytes.len();
            let place = if end { bytes.len() - 1 - place } else { place };
            bytes[place] = byte;
        }
        bytes.truncate(cut);
        probe(bytes);
    }
}

/// Opens `format` with `bytes` at `at`; the message.
fn refused(format: Format, at: usize, bytes: &[u8]) -> String {
    let nr = Format::ALL.iter().position(|f| *f == format).unwrap();
    let mut image = IMAGES[nr].clone();
    image[at..at + bytes.len()].copy_from_slice(bytes);
    open(Arc::new(image)).unwrap_err().to_string()
}

#[test]
fn what_is_not_read_is_named() {
    let qcow2 = |at, bytes: &[u8]| refused(Format::Qcow2, at, bytes);
    expect_test::expect![[r#"
        this is qcow2 of version 4; versions 2 and 3 are read: qemu-img convert -O qcow2 IN OUT
        this qcow2 image has a backing file, \0\0\0\0; make one file of both: qemu-img convert -O qcow2 IN OUT
        qcow2 header at byte 0 is damaged: cluster_bits is 63, and not 9 to 21
        qcow2 header at byte 0 is damaged: size is 18446744073709551615, above 70368744177664
        this qcow2 image is encrypted (LUKS); decrypt it first: qemu-img convert
        qcow2 header at byte 0 is damaged: l1_size is 0: 1 are needed, of at most 4194304
        the L1 table of qcow2 at byte 9223372036854775808 ends past the file, which has 589824 bytes: it was cut off or is damaged
        this qcow2 image has its data in another file; make a plain one of it: qemu-img convert -O qcow2 IN OUT
        this qcow2 image has incompatible features of a later qemu; make a plain one of it: qemu-img convert -O qcow2 IN OUT"#]]
    .assert_eq(
        &[
            qcow2(7, &[4]),
            qcow2(8, &[0, 0, 0, 0, 0, 0, 0, 104, 0, 0, 0, 4]),
            qcow2(23, &[63]),
            qcow2(24, &[0xff; 8]),
            qcow2(35, &[2]),
            qcow2(36, &[0; 4]),
            qcow2(40, &[0x80, 0, 0, 0, 0, 0, 0, 0]),
            qcow2(79, &[4]),
            qcow2(79, &[0x40]),
        ]
        .join("\n"),
    );
    let vmdk = |at, bytes: &[u8]| refused(Format::Vmdk, at, bytes);
    expect_test::expect![[r#"
        this is VMDK of version 9; versions 1 to 3 are read: qemu-img convert -O raw IN OUT
        this is a sparse disk of ESX (COWD); make one file of it: qemu-img convert -O raw IN OUT
        this VMDK is a descriptor; the disk is in files beside it; make one file of it: qemu-img convert -O raw IN OUT
        this VMDK has a parent, 12345678; make one file of both: qemu-img convert -O raw IN OUT"#]].assert_eq(
        &[
            vmdk(4, &[9]),
            vmdk(0, b"COWD"),
            vmdk(0, b"# Disk DescriptorFile"),
            vmdk(512 + 45, b"parentCID=12345678\n"),
        ]
        .join("\n"),
    );
}

/// The first bytes of every format, as the specifications name them: they change on purpose alone.
#[test]
fn headers_are_those_of_the_last_commit() {
    let mut text = String::new();
    for (format, image) in Format::ALL.iter().zip(IMAGES.iter()) {
        let (head, len) = match format {
            Format::Qcow2 => (0, 104),
            Format::Vmdk => (0, 80),
            Format::Vhd => (0, 96),
            Format::VhdFixed => (image.len() - 512, 96),
            _ => continue,
        };
        text.push_str(&format!("{format}, {} bytes, from {head}\n", image.len()));
        for line in image[head..head + len].chunks(16) {
            let line: Vec<String> = line.iter().map(|b| format!("{b:02x}")).collect();
            text.push_str(&format!("  {}\n", line.join(" ")));
        }
    }
    expect_test::expect![[r#"
        qcow2, 589824 bytes, from 0
          51 46 49 fb 00 00 00 03 00 00 00 00 00 00 00 00
          00 00 00 00 00 00 00 10 00 00 00 00 00 05 e2 00
          00 00 00 00 00 00 00 01 00 00 00 00 00 06 00 00
          00 00 00 00 00 07 00 00 00 00 00 01 00 00 00 00
          00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00
          00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00
          00 00 00 04 00 00 00 68
        vmdk, 81920 bytes, from 0
          4b 44 4d 56 03 00 00 00 01 00 03 00 f1 02 00 00
          00 00 00 00 80 00 00 00 00 00 00 00 01 00 00 00
          00 00 00 00 14 00 00 00 00 00 00 00 00 02 00 00
          00 00 00 00 00 00 00 00 ff ff ff ff ff ff ff ff
          80 00 00 00 00 00 00 00 00 0a 20 0d 0a 01 00 00
        vhd, 2100224 bytes, from 0
          63 6f 6e 65 63 74 69 78 00 00 00 02 00 01 00 00
          00 00 00 00 00 00 02 00 00 00 00 00 77 69 6e 20
          00 0a 00 00 57 69 32 6b 00 00 00 00 00 05 e2 00
          00 00 00 00 00 05 e2 00 00 0b 04 11 00 00 00 03
          ff ff f0 78 17 f6 0c e8 0a 5e 8d 98 85 68 eb 7d
          f5 45 34 0e 00 00 00 00 00 00 00 00 00 00 00 00
        vhd-fixed, 386048 bytes, from 385536
          63 6f 6e 65 63 74 69 78 00 00 00 02 00 01 00 00
          ff ff ff ff ff ff ff ff 00 00 00 00 77 69 6e 20
          00 0a 00 00 57 69 32 6b 00 00 00 00 00 05 e2 00
          00 00 00 00 00 05 e2 00 00 0b 04 11 00 00 00 02
          ff ff e8 83 17 f6 0c e8 0a 5e 8d 98 85 68 eb 7d
          f5 45 34 0e 00 00 00 00 00 00 00 00 00 00 00 00
    "#]]
    .assert_eq(&text);
}

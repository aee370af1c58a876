//! The MBR as sfdisk, blkid and file see it.

use std::fs::File;
use std::io::{Read, Write};

use crate::tools::{have, run, stdout};
use diskwright::partition::{self, FIRST_PARTITION, MbrLayout};

/// A sparse disk image of `sectors` that holds `sector0`.
fn disk(sectors: u64, sector0: &[u8; 512]) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(sector0).unwrap();
    file.as_file().set_len(sectors * 512).unwrap();
    file
}

fn layout(disk_sectors: u64) -> MbrLayout {
    MbrLayout {
        disk_signature: 0x00c0_ffee,
        disk_sectors,
        start: FIRST_PARTITION,
        sectors: disk_sectors - FIRST_PARTITION.0,
    }
}

/// 10 MiB, some odd count of sectors, 20 GiB, and the last disk that an MBR can describe.
const SIZES: [u64; 4] = [20_480, 1_234_567, 41_943_040, partition::MAX_DISK_SECTORS];

#[test]
fn equals_what_sfdisk_writes_byte_for_byte() {
    if !have("sfdisk") {
        return;
    }
    for sectors in SIZES {
        let theirs = disk(sectors, &[0; 512]);
        let path = theirs.path().to_str().unwrap();
        let script = "label: dos\nlabel-id: 0x00c0ffee\nstart=2048, type=83, bootable\n";
        let script_file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(script_file.path(), script).unwrap();
        let command = format!(
            "sfdisk -q --no-tell-kernel {path} < {}",
            script_file.path().display()
        );
        let out = run("sh", &["-c", &command]);
        assert!(
            out.status.success(),
            "{}",
            String::from_utf8_lossy(&out.stderr)
        );
        let mut sector = [0; 512];
        File::open(path).unwrap().read_exact(&mut sector).unwrap();
        assert_eq!(
            partition::mbr(&layout(sectors)).unwrap(),
            sector,
            "{sectors} sectors"
        );
    }
}

#[test]
fn sfdisk_and_blkid_agree_with_us() {
    if !have("sfdisk") || !have("blkid") {
        return;
    }
    for sectors in SIZES {
        let layout = layout(sectors);
        let disk = disk(sectors, &partition::mbr(&layout).unwrap());
        let path = disk.path().to_str().unwrap();
        let dump = stdout("sfdisk", &["-d", path]);
        assert!(dump.contains("label-id: 0x00c0ffee"), "{dump}");
        let squeezed: String = dump.chars().filter(|c| *c != ' ').collect();
        let want = format!("start=2048,size={},type=83,bootable", layout.sectors);
        assert!(squeezed.contains(&want), "{dump}");
        let probe = stdout("blkid", &["-p", "-o", "export", path]);
        assert!(
            probe.contains("PTUUID=00c0ffee") && probe.contains("PTTYPE=dos"),
            "{probe}"
        );
    }
}

#[test]
fn file_sees_an_active_linux_partition() {
    if !have("file") {
        return;
    }
    let disk = disk(20_480, &partition::mbr(&layout(20_480)).unwrap());
    let text = stdout("file", &["-b", disk.path().to_str().unwrap()]);
    for part in [
        "DOS/MBR boot sector",
        "ID=0x83",
        "active",
        "startsector 2048, 18432 sectors",
    ] {
        assert!(text.contains(part), "{text}");
    }
}

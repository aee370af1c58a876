//! A disk of our MBR, boot.img and core.img reaches grub.cfg under SeaBIOS; with parity it does so
//! even when sectors of core.img are destroyed.
//!
//! The filesystem is mke2fs's: this proves the loader alone. The processor is qemu's own (TCG).

use std::io::{Seek, SeekFrom, Write};
use std::path::Path;

use crate::tools::{have, run, skip, stdout};
use diskwright::grub::{self, Area, BiosSpec, Files};
use diskwright::partition::{self, FIRST_PARTITION, MbrLayout};
use diskwright::units::Lba;

const PLATFORM: &str = "/usr/lib/grub/i386-pc";
const DISK_SECTORS: u64 = 32 << 11;
const UUID: &str = "01234567-89ab-8def-8123-456789abcdef";

/// A grub.cfg that says where it was found and switches the machine off.
const CFG: &str = "serial --unit=0 --speed=115200\n\
    terminal_output serial\n\
    echo MARK prefix=$prefix root=$root platform=$grub_platform\n\
    halt\n";

/// The disk: every file that `/boot/grub` needs, in an ext4 that mke2fs fills. Sectors of its core.img, too.
fn disk(dir: &Path, rs: bool) -> (std::fs::File, u64) {
    let tree = dir.join("tree");
    let modules = tree.join("boot/grub/i386-pc");
    std::fs::create_dir_all(&modules).unwrap();
    let mut files = Files::new();
    for entry in std::fs::read_dir(PLATFORM).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if grub::is_module_file(&name) {
            std::fs::copy(entry.path(), modules.join(&name)).unwrap();
        }
        if grub::is_core_input(&name) {
            files.insert(name, std::fs::read(entry.path()).unwrap());
        }
    }
    std::fs::write(tree.join("boot/grub/grub.cfg"), CFG).unwrap();
    std::fs::write(tree.join("boot/grub/grubenv"), grub::grubenv()).unwrap();

    let layout = MbrLayout {
        disk_signature: 0x00c0_ffee,
        disk_sectors: DISK_SECTORS,
        start: FIRST_PARTITION,
        sectors: DISK_SECTORS - FIRST_PARTITION.0,
    };
    let sector0 = partition::mbr(&layout).unwrap();
    let spec = BiosSpec {
        prefix: grub::PREFIX_MBR_1,
        modules: &grub::MODULES_EXT_ON_MBR,
        config: None,
        area: Area {
            first: Lba(1),
            sectors: FIRST_PARTITION.0 - 1,
        },
        rs,
    };
    let boot_sector = grub::boot_sector(&files, &sector0, spec.area.first).unwrap();
    let core = grub::bios(&files, &spec).unwrap();

    let path = dir.join("disk.img");
    let mut disk = std::fs::File::create(&path).unwrap();
    disk.write_all(&boot_sector).unwrap();
    disk.write_all(&core).unwrap();
    disk.set_len(DISK_SECTORS * 512).unwrap();
    let offset = format!("offset={}", FIRST_PARTITION.byte_offset());
    let size = format!("{}k", layout.sectors / 2);
    stdout(
        "mke2fs",
        &[
            "-q",
            "-F",
            "-t",
            "ext4",
            "-U",
            UUID,
            "-E",
            &offset,
            "-d",
            tree.to_str().unwrap(),
            path.to_str().unwrap(),
            &size,
        ],
    );
    let area = u64::try_from(core.len()).unwrap() / 512;
    // As many sectors again for the parity.
    (disk, if rs { area / 2 } else { area })
}

/// What the serial console said before the machine switched itself off, or the time was over.
fn boot(dir: &Path, seconds: u32) -> String {
    let drive = format!(
        "file={},format=raw,if=ide,snapshot=on",
        dir.join("disk.img").display()
    );
    let out = run(
        "timeout",
        &[
            &seconds.to_string(),
            "qemu-system-x86_64",
            "-machine",
            "pc,accel=tcg",
            "-m",
            "128",
            "-nic",
            "none",
            "-display",
            "none",
            "-monitor",
            "none",
            "-no-reboot",
            "-serial",
            "stdio",
            "-drive",
            &drive,
        ],
    );
    String::from_utf8_lossy(&out.stdout).into_owned()
}

fn tools_are_here() -> bool {
    (Path::new(PLATFORM).join("boot.img").exists()
        || skip(&format!("{PLATFORM} is not there: install grub-pc-bin")))
        && have("mke2fs")
        && have("qemu-system-x86_64")
        && have("timeout")
}

const MARK: &str = "MARK prefix=(hd0,msdos1)/boot/grub root=hd0,msdos1 platform=pc";

#[test]
fn seabios_loads_our_core_img_and_grub_runs_grub_cfg() {
    if !tools_are_here() {
        return;
    }
    for rs in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        disk(dir.path(), rs);
        let log = boot(dir.path(), 40);
        assert!(log.contains(MARK), "parity {rs}: {log}");
    }
}

/// How many sectors in the middle of core.img are destroyed.
enum Damage {
    Sectors(u64),
    /// As many as parity mends.
    Most,
    OneMore,
}

#[test]
fn parity_repairs_as_many_destroyed_sectors_as_it_has_pairs_of() {
    if !tools_are_here() {
        return;
    }
    for (rs, damage, mended) in [
        (true, Damage::Sectors(5), true),
        (true, Damage::Most, true),
        (true, Damage::OneMore, false),
        (false, Damage::Sectors(1), false),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let (mut disk, core) = disk(dir.path(), rs);
        // Reed-Solomon mends half as many symbols as it adds, and here it adds one to every code word for
        // each sector of core.img.
        let most = core / 2;
        let destroyed = match damage {
            Damage::Sectors(sectors) => sectors,
            Damage::Most => most,
            Damage::OneMore => most + 1,
        };
        // The decoder itself, which nothing protects, ends in sector 5 of the disk.
        assert!(20 + destroyed <= 1 + core, "{core}");
        disk.seek(SeekFrom::Start(20 * 512)).unwrap();
        disk.write_all(&vec![0xa5; usize::try_from(destroyed).unwrap() * 512])
            .unwrap();
        // Damage that is fatal never ends: 6 seconds are several times what a boot takes.
        let log = boot(dir.path(), if mended { 60 } else { 6 });
        let told = format!("parity {rs}, {destroyed} of {core} sectors destroyed");
        assert_eq!(log.contains(MARK), mended, "{told}: {log}");
        eprintln!("{told}: as it must be");
    }
}

//! core.img, the boot sector and grub.cfg against GRUB's own tools.
//!
//! `grub-mkimage` proves that a payload is GRUB's byte for byte; pinned digests prove the embedding,
//! taken from what a real grub-install of Debian 12 wrote to a disk. What these cannot prove, a boot
//! does.

use std::path::Path;

use crate::tools::{have, skip, stdout};
use diskwright::grub::{self, Area, BiosSpec, CoreImg, Files};
use diskwright::units::Lba;
use sha2::{Digest, Sha256};

const PLATFORM: &str = "/usr/lib/grub/i386-pc";

/// GRUB's files on this machine.
fn platform() -> Option<Files> {
    if !Path::new(PLATFORM).join("boot.img").exists() {
        skip(&format!("{PLATFORM} is not there: install grub-pc-bin"));
        return None;
    }
    let files = std::fs::read_dir(PLATFORM).unwrap().map(|entry| {
        let entry = entry.unwrap();
        (
            entry.file_name().into_string().unwrap(),
            std::fs::read(entry.path()).unwrap(),
        )
    });
    Some(
        files
            .filter(|(name, _)| grub::is_core_input(name))
            .collect(),
    )
}

/// core.img of grub-mkimage.
fn mkimage(prefix: &str, modules: &[&str], config: Option<&str>) -> CoreImg {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("core.img");
    let cfg = dir.path().join("load.cfg");
    let mut args = vec!["-O", "i386-pc", "-o", out.to_str().unwrap(), "-p", prefix];
    if let Some(config) = config {
        std::fs::write(&cfg, config).unwrap();
        args.extend(["-c", cfg.to_str().unwrap()]);
    }
    args.extend(modules);
    stdout("grub-mkimage", &args);
    CoreImg::parse(std::fs::read(out).unwrap()).unwrap()
}

fn hex(bytes: impl AsRef<[u8]>) -> String {
    bytes.as_ref().iter().map(|b| format!("{b:02x}")).collect()
}

#[test]
fn core_img_is_grub_mkimages_but_for_the_compressed_bytes() {
    let Some(files) = platform() else { return };
    if !have("grub-mkimage") {
        return;
    }
    let load = "search.fs_uuid 1234-5678 root hd0,msdos1\nset prefix=($root)'/boot/grub'\n";
    let ordinary = grub::MODULES_EXT_ON_MBR;
    let large = [
        "ext2",
        "part_msdos",
        "part_gpt",
        "biosdisk",
        "normal",
        "linux",
        "serial",
        "search",
        "btrfs",
        "lvm",
        "xfs",
        "test",
        "echo",
        "loadenv",
        "halt",
        "configfile",
        "fat",
    ];
    for (prefix, modules, config) in [
        (grub::PREFIX_MBR_1, ordinary.as_slice(), None),
        (grub::PREFIX_MBR_1, &ordinary, Some(load)),
        ("/boot/grub", &["biosdisk"], None),
        (
            "(hd0,gpt14)/grub2",
            &["part_gpt", "xfs", "biosdisk", "search_fs_uuid"],
            Some(""),
        ),
        ("", &large, Some("set x=1")),
    ] {
        let theirs = mkimage(prefix, modules, config);
        let ours = grub::core_img(&files, prefix, modules, config).unwrap();
        assert_eq!(
            hex(ours.payload().unwrap()),
            hex(theirs.payload().unwrap()),
            "{modules:?}"
        );

        // diskboot.img but for the count of sectors, the decompressor but for both sizes.
        let loader = 512 + files["lzma_decompress.img"].len();
        let masked = |core: &CoreImg| {
            let mut head = core.as_bytes()[..loader].to_vec();
            head[0x1fc..0x1fe].fill(0);
            head[0x208..0x20c].fill(0);
            head
        };
        assert_eq!(masked(&ours), masked(&theirs), "{modules:?}");
        let len = u16::from_le_bytes([ours.as_bytes()[0x1fc], ours.as_bytes()[0x1fd]]);
        assert_eq!(u64::from(len), ours.sectors() - 1);
        assert!(
            ours.as_bytes().len() <= theirs.as_bytes().len(),
            "ours is larger: {} > {}",
            ours.as_bytes().len(),
            theirs.as_bytes().len()
        );
        assert_eq!(
            grub::core_img(&files, prefix, modules, config).unwrap(),
            ours,
            "deterministic"
        );
    }
}

#[test]
fn embedding_equals_what_grub_install_wrote_to_a_disk() {
    let Some(files) = platform() else { return };
    if !have("grub-mkimage") {
        return;
    }
    let core = mkimage(grub::PREFIX_MBR_1, &grub::MODULES_EXT_ON_MBR, None);
    let gap = Area {
        first: Lba(1),
        sectors: 2047,
    };
    let with = grub::embed(&core, gap, true).unwrap();
    let without = grub::embed(&core, gap, false).unwrap();

    // Whatever the version: sizes, blocklist, parity.
    let size = core.as_bytes().len();
    let sectors = usize::try_from(core.sectors()).unwrap();
    assert_eq!(with.len(), 2 * sectors * 512);
    assert_eq!(without.len(), sectors * 512);
    assert_eq!(with[0x1f4..0x1fc], 2u64.to_le_bytes());
    let redundancy = u32::from_le_bytes(with[0x210..0x214].try_into().unwrap());
    assert_eq!(usize::try_from(redundancy).unwrap(), with.len() - size);
    let covered = 512 + usize::from(core.no_rs_length());
    assert_eq!(
        with[size..],
        grub::reed_solomon_parity(&core.as_bytes()[covered..], with.len() - size)
    );

    // Debian 12, grub-pc-bin 2.06-13+deb12u2.
    let digest = hex(Sha256::digest(core.as_bytes()));
    if digest.starts_with("5b1ce4e4e03f0146") {
        assert!(digest.ends_with("f1d079"));
        let pinned = [
            (
                &core.payload().unwrap(),
                "a9740af5cc43e2fd6d209f1f3544746c73cbbeb339030f20f626417ddfb3a15b",
            ),
            (
                &with,
                "f7ee606b9d53e4a22da36d69c717bac33542d98c0a5f8dca517b1e8706253691",
            ),
            (
                &without,
                "00b2a7975a85ddb65cdb5a2820b0701f16821a4de26e0a80bdf9ff76c2cc5de5",
            ),
        ];
        for (bytes, want) in pinned {
            assert_eq!(hex(Sha256::digest(bytes)), want);
        }
        let gpt = Area {
            first: Lba(2048),
            sectors: 2048,
        };
        let with = grub::embed(&core, gpt, true).unwrap();
        assert_eq!(hex(&with[0x1f4..0x200]), "010800000000000069002008");
    } else {
        skip("the pinned digests are of grub-pc-bin 2.06-13+deb12u2, another one is installed");
    }

    let sector0 = [0; 512];
    let spec = BiosSpec {
        prefix: grub::PREFIX_MBR_1,
        modules: &grub::MODULES_EXT_ON_MBR,
        config: None,
        area: gap,
        rs: true,
    };
    let boot_sector = grub::boot_sector(&files, &sector0, spec.area.first).unwrap();
    assert_eq!(boot_sector[0x5c..0x64], 1u64.to_le_bytes());
    assert_eq!(grub::bios(&files, &spec).unwrap().len() % 512, 0);
}

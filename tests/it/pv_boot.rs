//! Images of Debian 12 and 13 for PV-GRUB, read by the programs that start Xen's guests; and what they find
//! there boots, the image a bare disk.
//!
//! PV-GRUB itself needs a Xen of old. In its place: GRUB 0.97, of which it is made, reads the filesystem and
//! the menu; Xen's pygrub takes kernel, initrd and parameters out of the image; of the kernel the payload is
//! loaded, as a domain builder does, by qemu through the entry that it has for PVH guests.

use crate::boot_debian::PATIENCE;
use crate::common::desk::Running;
use crate::common::rootfs;
use crate::pv::{Stanza, menu};
use crate::tools::{have, skip, stdout};
use diskwright::image::{Boot, Built, Profile, Spec};
use expect_test::expect;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

const CHECKERS: [&str; 7] = [
    "debugfs",
    "dumpe2fs",
    "e2fsck",
    "grub-menulst2cfg",
    "python3",
    "lz4",
    "qemu-system-x86_64",
];

/// The folder that tests/pv-tools fills; `None`, which CI does not accept, on a machine where it cannot.
fn pv_tools() -> Option<PathBuf> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pv-tools");
    let made = Command::new(script).output().unwrap();
    if !made.status.success() {
        let why = String::from_utf8_lossy(&made.stderr);
        skip(&format!("no GRUB 0.97 and no pygrub: {}", why.trim()));
        return None;
    }
    let folder = String::from_utf8(made.stdout).unwrap();
    Some(folder.trim_end().into())
}

fn run_with_stdin(command: &mut Command, input: &[u8]) -> Output {
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let output = std::thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(input).unwrap());
        child.wait_with_output().unwrap()
    });
    assert!(output.status.success(), "{command:?}: {}", output.status);
    output
}

/// A file of a bare filesystem, as debugfs reads it.
fn cat(image: &Path, path: &str) -> Vec<u8> {
    let to = image.with_extension("cat");
    let request = format!("dump {path} {}", to.display());
    stdout("debugfs", &["-R", &request, image.to_str().unwrap()]);
    std::fs::read(&to).unwrap()
}

/// What GRUB 0.97 answers to `commands`. Its floppy is the image: GRUB for the PC, unlike PV-GRUB, wants a
/// partition table on what it calls `hd0`.
fn grub_097(tools: &Path, image: &Path, flags: &[&str], commands: &str) -> String {
    let map = image.with_extension("map");
    std::fs::write(&map, format!("(fd0) {}\n", image.display())).unwrap();
    let mut grub = Command::new(tools.join("usr/sbin/grub"));
    grub.args(flags)
        .args(["--no-config-file", "--device-map"])
        .arg(map);
    let said = run_with_stdin(&mut grub, commands.as_bytes()).stdout;
    String::from_utf8(said).unwrap().replace('\r', "")
}

/// What a guest of Xen is started with.
struct Guest {
    kernel: Vec<u8>,
    ramdisk: Vec<u8>,
    arguments: String,
}

/// Lets Xen's pygrub take the first entry's out of the image.
fn pygrub(tools: &Path, image: &Path) -> Guest {
    let xen = std::fs::read_dir(tools.join("usr/lib")).unwrap();
    let mut xen = xen.map(|entry| entry.unwrap().path());
    let xen = xen.find(|p| p.join("bin/pygrub").is_file()).unwrap();
    let libraries = xen.join("lib/x86_64-linux-gnu");
    let output = Command::new("python3")
        .arg(xen.join("bin/pygrub"))
        .args(["--quiet", "--output-format=simple", "--output-directory"])
        .arg(image.parent().unwrap())
        .arg(image)
        .env("PYTHONPATH", xen.join("lib/python"))
        .env("LD_LIBRARY_PATH", &libraries)
        .env("XEN_FSIMAGE_FSDIR", libraries.join("xenfsimage"))
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    let line = |name: &str| {
        let found = said.lines().find_map(|line| line.strip_prefix(name));
        found.unwrap_or_else(|| panic!("no {name:?} in {said}"))
    };
    Guest {
        kernel: std::fs::read(line("kernel ")).unwrap(),
        ramdisk: std::fs::read(line("ramdisk ")).unwrap(),
        arguments: line("args ").to_owned(),
    }
}

/// The ELF file in a bzImage, by the tools that scripts/extract-vmlinux of Linux tries.
fn vmlinux(bz_image: &[u8]) -> Vec<u8> {
    let script = r#"
import struct, subprocess, sys, zlib
d = sys.stdin.buffer.read()
offset, length = struct.unpack_from('<II', d, 0x248)
start = ((d[0x1f1] or 4) + 1) * 512 + offset
p = d[start:start + length]
if p[:2] == b'\x1f\x8b':
    out = zlib.decompressobj(31).decompress(p)
else:
    tool = {b'\x02\x21\x4c\x18': 'lz4', b'\x28\xb5\x2f\xfd': 'zstd'}[p[:4]]
    out = subprocess.run([tool, '-dc'], input=p[:-4], stdout=subprocess.PIPE, check=True).stdout
assert len(out) == struct.unpack('<I', p[-4:])[0]
assert len(d) == ((d[0x1f1] or 4) + 1) * 512 + struct.unpack_from('<I', d, 0x1f4)[0] * 16 or p[:2] != b'\x1f\x8b'
sys.stdout.buffer.write(out)
"#;
    let mut python = Command::new("python3");
    run_with_stdin(python.args(["-c", script]), bz_image).stdout
}

/// Starts what is in the image with the menu's parameters, the image a bare NVMe disk, and waits for the prompt.
fn comes_up(image: &Path, elf: &[u8], guest: &Guest) {
    let folder = image.parent().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let (kernel, ramdisk) = (file("vmlinux", elf), file("ramdisk", &guest.ramdisk));
    let console = file("console", b"");
    // Without Xen, hvc0 is nowhere. Where TCG shares its processor, udev may need more than 90 s for ttyS0.
    let added = "console=ttyS0,115200n8 systemd.default_timeout_start_sec=600 \
                 systemd.default_device_timeout_sec=600";
    let line = "-machine q35,accel=tcg -cpu max -smp 2 -m 1024 -nic none -display none -no-reboot \
                -monitor none -serial stdio -device nvme,drive=disk,serial=disk";
    let mut qemu = Command::new("qemu-system-x86_64");
    qemu.args(line.split_whitespace())
        .arg("-drive")
        .arg(format!(
            "if=none,id=disk,format=raw,snapshot=on,file={}",
            image.display()
        ))
        .arg("-kernel")
        .arg(kernel)
        .arg("-initrd")
        .arg(ramdisk)
        .args(["-append", &format!("{} {added}", guest.arguments)])
        .env("TMPDIR", folder)
        .stdin(Stdio::null())
        .stdout(std::fs::File::create(&console).unwrap());
    let begin = Instant::now();
    let mut qemu = Running(qemu.spawn().unwrap());
    loop {
        let said = String::from_utf8_lossy(&std::fs::read(&console).unwrap()).into_owned();
        if said.contains(" login: ") {
            let mounted = "EXT4-fs (nvme0n1): mounted filesystem";
            assert!(said.contains(mounted), "{said}");
            let after = begin.elapsed().as_secs();
            break eprintln!("the prompt came after {after} s");
        }
        let over = qemu.0.try_wait().unwrap().is_some();
        assert!(!over && begin.elapsed() < PATIENCE, "{said}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// What dumpe2fs says of the features and the label: those that PV-GRUB reads, and what its kernel is told.
fn assert_superblock(image: &Path) {
    let state = stdout("dumpe2fs", &["-h", image.to_str().unwrap()]);
    let line = |name| state.lines().find_map(|l| l.strip_prefix(name)).unwrap();
    expect!["has_journal ext_attr resize_inode dir_index filetype extent flex_bg sparse_super large_file huge_file uninit_bg dir_nlink extra_isize"]
        .assert_eq(line("Filesystem features:").trim());
    assert_eq!(line("Filesystem volume name:").trim(), "root");
}

/// menu.lst by the grammar, by GRUB 0.97, by GRUB 2's reader of such files: the same entries.
fn assert_menu(tools: &Path, image: &Path, built: &Built) -> Vec<Stanza> {
    let text = String::from_utf8(cat(image, "/boot/grub/menu.lst")).unwrap();
    let (_, stanzas) = menu(&text);
    let [first, recovery] = &stanzas[..] else {
        panic!("{stanzas:?}")
    };
    let root = format!(" root=UUID={} ro", built.report.uuid);
    for (stanza, end) in [(first, ""), (recovery, " single")] {
        let kernel = &stanza.commands["kernel"];
        assert!(
            kernel.ends_with(&format!("{root}{end} console=hvc0")),
            "{kernel}"
        );
    }

    let shown = "configfile (fd0)/boot/grub/menu.lst\n";
    let shown = grub_097(tools, image, &["--no-curses"], shown);
    for (nr, stanza) in stanzas.iter().enumerate() {
        let entry = format!("\n {nr}: {}", stanza.title);
        assert!(shown.contains(&entry), "{entry:?} is not in {shown}");
    }
    assert!(
        shown.contains("The selected entry is 0") && !shown.contains("Error"),
        "{shown}"
    );

    let (list, cfg) = (image.with_extension("lst"), image.with_extension("cfg"));
    std::fs::write(&list, &text).unwrap();
    stdout(
        "grub-menulst2cfg",
        &[list.to_str().unwrap(), cfg.to_str().unwrap()],
    );
    let cfg = std::fs::read_to_string(cfg).unwrap();
    for stanza in &stanzas {
        let (path, _) = stanza.commands["kernel"].split_once(' ').unwrap();
        for line in [
            format!("menuentry '{}' {{", stanza.title),
            "  set root='(hd0)'".to_owned(),
            format!("  legacy_kernel   '{path}' '{path}' 'root="),
            format!("  legacy_initrd '{}'", stanza.commands["initrd"]),
        ] {
            assert!(cfg.contains(&line), "{line:?} is not in {cfg}");
        }
    }
    stanzas
}

/// A Debian whose kernel, of a compression that begins with `magic`, PV-GRUB could not read.
fn a_debian_comes_up(suite: &str, magic: [u8; 4]) {
    if !CHECKERS.into_iter().all(have) {
        return;
    }
    let (Some(debian), Some(tools)) = (rootfs::debian_of(suite), pv_tools()) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("pv.img");
    let spec = Spec {
        boot: Boot::Pv,
        features: Profile::Pv,
        ..Spec::default()
    };
    let built = rootfs::image_of(&debian, &image, &spec);
    assert_eq!((built.report.scheme, built.report.boot), ("none", "pv"));
    rootfs::assert_e2fsck_clean(&image, &built);
    assert_superblock(&image);
    let stanzas = assert_menu(&tools, &image, &built);

    // GRUB 0.97 follows a long extent tree's leaves as PV-GRUB does: its driver is the same.
    let original = built.report.kernel.as_deref().unwrap();
    let config = original.replace("vmlinuz-", "config-");
    let commands = format!("root (fd0)\ncat {config}\nquit\n");
    let read = grub_097(&tools, &image, &["--batch"], &commands);
    let config = String::from_utf8(rootfs::member(&debian, &config[1..])).unwrap();
    assert!(read.contains(config.trim_end()), "{read}");

    let guest = pygrub(&tools, &image);
    let first = &stanzas[0].commands;
    let (path, arguments) = first["kernel"].split_once(' ').unwrap();
    assert_eq!(guest.arguments, arguments);
    assert!(guest.kernel == cat(&image, path));
    assert!(guest.ramdisk == cat(&image, &first["initrd"]));
    assert!(guest.ramdisk == rootfs::member(&debian, &first["initrd"][1..]));

    // The rootfs's own kernel stays; beside it lies the same ELF file, compressed by gzip.
    assert_ne!(path, original);
    let old = rootfs::member(&debian, &original[1..]);
    assert!(cat(&image, original) == old);
    assert!(old.windows(4).any(|four| four == magic));
    let elf = vmlinux(&guest.kernel);
    assert!(elf.starts_with(b"\x7fELF") && elf == vmlinux(&old));
    comes_up(&image, &elf, &guest);
}

#[test]
fn a_debian_12_for_pv_grub_is_read_as_guests_of_xen_are_and_comes_up() {
    a_debian_comes_up("bookworm", [0x02, 0x21, 0x4C, 0x18]);
}

#[test]
fn a_debian_13_for_pv_grub_is_read_as_guests_of_xen_are_and_comes_up() {
    a_debian_comes_up("trixie", [0x28, 0xB5, 0x2F, 0xFD]);
}

//! The two pictures of `map`: as text, as the SVG of the README, and what a browser makes of that.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use diskwright::ext4::{Builder, Format, Meta, Size};
use diskwright::fat::{FatFile, FatSpec, volume};
use diskwright::partition::{BIOS_BOOT, EFI_SYSTEM, GptLayout, GptPartition, ROOT_X86_64, gpt};
use diskwright::read_at::ReadAt;
use diskwright::units::{Lba, MIB, SECTOR, Timestamp};
use expect_test::expect;
use uuid::Uuid;

use super::common::desk::Desk;
use super::common::features::content;
use super::tools::{have, stdout};

/// The README's picture.
fn kept() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/map.svg")
}

/// A root filesystem with files of many sizes, one of them with a long run of zeros.
fn root() -> diskwright::ext4::Filesystem {
    let format = Format {
        size: Size::Bytes(160 * MIB),
        label: "root".into(),
        ..Format::default()
    };
    let mut fs = Builder::new(format).unwrap();
    let mut put = |path: String, data: Vec<u8>| {
        fs.file(path, Meta::new(0o644), data).unwrap();
    };
    let mut zeros = content(1, 9 << 20);
    zeros[3 << 20..7 << 20].fill(0);
    put("/boot/initrd.img".into(), content(2, 11 << 20));
    put("/usr/bin/large".into(), zeros);
    for n in 0..1500 {
        // Sizes as they are in a root filesystem: most are small, a few are large.
        let len = 800 + n * n * 7919 % 65_521 + if n % 97 == 0 { 900_000 } else { 0 };
        put(format!("/usr/lib/{}/{n}", n / 12), content(n, len));
    }
    for n in 0..60 {
        fs.symlink(format!("/etc/link-{n}"), Meta::new(0o777), "x".repeat(200))
            .unwrap();
    }
    fs.finish().unwrap()
}

/// A disk as `build` lays it out for BIOS and UEFI, whose loaders are toys: the bytes of real ones change
/// with every release of GRUB.
fn disk() -> Vec<u8> {
    let root = root();
    let (bios, esp, system) = (2048, 8192, 131_072);
    let sectors = system + root.len() / SECTOR + 2048;
    let partition = |number, kind, start, end: u64, name| GptPartition {
        number,
        kind,
        guid: Uuid::from_u128(u128::from(number)),
        start: Lba(start),
        sectors: end - start,
        name,
    };
    let table = gpt(&GptLayout {
        disk_guid: Uuid::from_u128(0xd15c),
        disk_sectors: sectors,
        partitions: &[
            partition(14, BIOS_BOOT, bios, esp, "bios"),
            partition(15, EFI_SYSTEM, esp, system, "esp"),
            partition(1, ROOT_X86_64, system, system + root.len() / SECTOR, "root"),
        ],
    });
    let table = table.unwrap();
    let mut front = table.front;
    // boot.img begins with a jump, and says where core.img is; diskboot.img, how long it is.
    front[..3].copy_from_slice(&[0xeb, 0x63, 0x90]);
    front[0x5c..0x64].copy_from_slice(&bios.to_le_bytes());
    let mut core = content(3, 512 * 220);
    core[500..508].copy_from_slice(&(bios + 1).to_le_bytes());
    core[508..512].copy_from_slice(&[219, 0, 0x20, 0x08]);
    core[488..500].fill(0);
    let loader = content(4, 2_300_000);
    let file = |path| FatFile {
        path,
        data: &loader,
    };
    let spec = FatSpec {
        size: (system - esp) * SECTOR,
        start: Lba(esp),
        id: 0x1234_abcd,
        label: b"ESP        ",
        time: Timestamp::from_secs(1 << 30),
    };
    let volume = volume(
        &spec,
        &[file("EFI/BOOT/BOOTX64.EFI"), file("EFI/debian/grubx64.efi")],
    );
    let mut bytes = vec![0; usize::try_from(sectors * SECTOR).unwrap()];
    let mut put = |at: u64, part: &[u8]| {
        let at = usize::try_from(at).unwrap();
        bytes[at..at + part.len()].copy_from_slice(part);
    };
    put(0, &front);
    put(bios * SECTOR, &core);
    let read = |part: &dyn ReadAt| {
        let mut bytes = vec![0; usize::try_from(part.len()).unwrap()];
        part.read_exact_at(0, &mut bytes).unwrap();
        bytes
    };
    put(esp * SECTOR, &read(&*volume.unwrap().bytes));
    put(system * SECTOR, &read(&root));
    put((sectors * SECTOR) - table.back.len() as u64, &table.back);
    bytes
}

/// A folder with that disk as a sparse file, `disk.img`, and its picture, `disk.svg`.
fn desk() -> &'static Desk {
    static DESK: LazyLock<Desk> = LazyLock::new(|| {
        use std::os::unix::fs::FileExt;
        let desk = Desk::new();
        let file = std::fs::File::create(desk.path("disk.img")).unwrap();
        let bytes = disk();
        file.set_len(bytes.len() as u64).unwrap();
        for (n, block) in bytes.chunks(4096).enumerate() {
            if block.iter().any(|&b| b != 0) {
                file.write_all_at(block, n as u64 * 4096).unwrap();
            }
        }
        let ran = desk.run(&["map", "disk.img", "--svg", "disk.svg"]);
        assert_eq!(
            (ran.code, ran.stdout.as_str(), ran.stderr.as_str()),
            (Some(0), "", "")
        );
        desk
    });
    &DESK
}

#[test]
fn a_picture_replaces_nothing_unasked_and_never_the_image() {
    let desk = Desk::new();
    std::fs::write(desk.path("a.img"), [0; 4096]).unwrap();
    std::fs::write(desk.path("a.svg"), "mine").unwrap();
    assert_ne!(desk.run(&["map", "a.img", "--svg", "a.svg"]).code, Some(0));
    assert_eq!(std::fs::read(desk.path("a.svg")).unwrap(), b"mine");
    let itself = desk.run(&["map", "a.img", "--svg", "a.img", "--force"]);
    assert_eq!(itself.code, Some(3), "{}", itself.stderr);
    assert_eq!(std::fs::read(desk.path("a.img")).unwrap(), [0; 4096]);
    let forced = desk.run(&["map", "a.img", "--svg", "a.svg", "--force"]);
    assert_eq!(forced.code, Some(0), "{}", forced.stderr);
    assert!(
        std::fs::read_to_string(desk.path("a.svg"))
            .unwrap()
            .contains("<svg")
    );
}

#[test]
fn the_map_in_letters_shows_every_part() {
    let mut command = desk().command(&["map", "disk.img"]);
    let text = String::from_utf8(command.env("COLUMNS", "80").output().unwrap().stdout).unwrap();
    expect![[r#"
        disk.img: 225.0 MiB, GPT

             partition 15 esp     partition 1 root
          -. .................... #################################################### -

        boot code, partition table, 1.0 MiB
          BPP---------------------------------------------------------------------------

        partition 14 bios: BIOS boot, 3.0 MiB
          BBBB..........................................................................

        partition 15 esp: FAT32 ESP, 60.0 MiB
          FFD####D###...................................................................

        partition 1 root: ext4 root, 160.0 MiB
          SGbIIIIIIIIIIIIIIIIIIIIIIIIIIIIIIIIIIIIIIIDmJJJJJJJJJJJJJJJJJJJJJJJJJJJJJJJJJJ
          JJJJJJJJJJJJJJJJJJJJJJJJJJJJ##################################################
          ####00000000000000000#########################################################
          ##############################################################################
          ##############################################################################
          #######################################DDDmm..................................
          ...............................SGG............................................
          ..............................................................................

        partition table, 1.0 MiB
          ----------------------------------------------------------------------------PP

          B boot code          110.4 KiB        2
          P partition table     33.1 KiB        5
          F FAT                950.0 KiB        3
          S superblock           8.0 KiB        2
          G group descriptors  160.0 KiB        4
          b bitmaps             16.0 KiB        4
          I inode tables        10.0 MiB        2
          J journal             16.0 MiB        1
          D directories        542.0 KiB      136
          m other metadata     244.0 KiB       61
          # data                84.6 MiB    1,505
          0 zero                 4.0 MiB        1
          . free               106.4 MiB        4
          - unpartitioned        2.0 MiB        2
    "#]]
    .assert_eq(&text);
}

#[test]
fn colours_are_those_that_the_terminal_has() {
    let shown = |args: &[&str], variables: &[(&str, &str)]| {
        let mut command = desk().command(&[&["map", "disk.img"], args].concat());
        command.env_remove("NO_COLOR").env_remove("COLORTERM");
        let out = command.envs(variables.iter().copied()).output().unwrap();
        String::from_utf8(out.stdout).unwrap()
    };
    assert!(
        !shown(&[], &[("COLORTERM", "truecolor")]).contains('\x1b'),
        "a pipe"
    );
    let always = ["--color", "always"];
    assert!(shown(&always, &[("COLORTERM", "truecolor")]).contains("\x1b[38;2;51;138;240m▇"));
    assert!(shown(&always, &[("TERM", "xterm-256color")]).contains("\x1b[38;5;69m▇"));
    assert!(shown(&always, &[("TERM", "linux")]).contains("\x1b[34m▇"));
    assert!(!shown(&["--color", "never"], &[]).contains('\x1b'));
}

#[test]
fn the_picture_of_the_readme_is_what_the_program_draws() {
    let drawn = std::fs::read_to_string(desk().path("disk.svg")).unwrap();
    assert!(drawn.len() < 100_000, "{} bytes", drawn.len());
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(kept(), &drawn).unwrap();
    }
    let kept = std::fs::read_to_string(kept()).unwrap_or_default();
    assert!(
        drawn == kept,
        "tests/golden/map.svg is out of date; look at the new one, then run\n  \
         UPDATE_GOLDEN=1 cargo test --test it map_picture"
    );
    let twice = desk().run(&["map", "disk.img", "--svg", "-"]);
    assert_eq!(twice.stdout, drawn);
}

/// What a script in a page finds: parse errors, and what of the legend cannot be seen.
const LOOK: &str = r#"<script>
const parsed = new DOMParser().parseFromString(document.getElementById('source').textContent, 'image/svg+xml');
const faults = [...parsed.querySelectorAll('parsererror')].map(e => e.textContent);
const svg = document.importNode(parsed.documentElement, true);
document.body.append(svg);
const page = svg.getBoundingClientRect(), seen = [];
for (const e of svg.querySelectorAll('text, rect, path:not(pattern path)')) {
  const b = e.getBoundingClientRect();
  if (b.width <= 0 || b.right > page.right + 1 || b.bottom > page.bottom + 1) faults.push(e.outerHTML);
  if (e.tagName == 'rect' && e.getAttribute('rx') == '3') {
    const name = e.nextElementSibling, size = name.nextElementSibling, fill = getComputedStyle(e).fill;
    if (name.getBoundingClientRect().right > size.getBoundingClientRect().left) faults.push(name.textContent);
    seen.push(name.textContent + '=' + fill);
  }
}
document.body.innerHTML = '<pre>' + JSON.stringify({faults, seen}) + '</pre>';
</script>"#;

#[test]
fn a_browser_shows_every_entry_of_the_legend_in_a_colour_of_its_own() {
    if !have("chromium") {
        return;
    }
    let svg = std::fs::read_to_string(desk().path("disk.svg")).unwrap();
    let escaped = svg.replace('&', "&amp;").replace('<', "&lt;");
    let page = format!(
        "<!doctype html><meta charset=utf-8><body><script>0</script><template></template><textarea hidden id=source>{escaped}</textarea>{LOOK}"
    );
    desk().write("page.html", page.as_bytes());
    let profile = format!("--user-data-dir={}", desk().path("profile").display());
    let url = format!("file://{}", desk().path("page.html").display());
    let flags = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--no-first-run",
        "--disable-sync",
        "--disable-background-networking",
        "--disable-component-update",
        "--window-size=1100,900",
        "--virtual-time-budget=5000",
        "--dump-dom",
    ];
    let args: Vec<&str> = flags
        .into_iter()
        .chain([profile.as_str(), url.as_str()])
        .collect();
    let dom = stdout("chromium", &args);
    let found = dom
        .split("<pre>")
        .nth(1)
        .and_then(|t| t.split("</pre>").next());
    let found: serde_json::Value =
        serde_json::from_str(found.unwrap_or_else(|| panic!("{dom}"))).unwrap();
    assert_eq!(found["faults"], serde_json::json!([]));
    let seen: Vec<&str> = found["seen"]
        .as_array()
        .unwrap()
        .iter()
        .map(|s| s.as_str().unwrap())
        .collect();
    let names: Vec<&str> = seen.iter().map(|s| s.split('=').next().unwrap()).collect();
    let expected = [
        "boot code",
        "partition table",
        "FAT",
        "superblock",
        "group descriptors",
        "bitmaps",
        "inode tables",
        "journal",
        "directories",
        "other metadata",
        "data",
        "zero",
        "free",
        "unpartitioned",
    ];
    assert_eq!(names, expected);
    let colours: std::collections::BTreeSet<_> = seen.iter().map(|s| s.split('=').nth(1)).collect();
    assert_eq!(colours.len(), seen.len(), "{seen:?}");
}

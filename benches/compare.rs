//! The program against what does the least that the work needs, and against its peers, in one run.
//!
//! ```text
//! cargo bench                      all rows, five rounds
//! cargo bench -- --rounds 9 many   only rows whose name holds `many`
//! ```
//! Every round runs both commands of a row, one after the other, so that what else the machine does hits
//! both; the ratio shown is the median of the rounds' ratios. Inputs: the Debian rootfs of `make demo` (or
//! `DISKWRIGHT_ROOTFS`), GRUB of `vendor-grub/fetch` (or `DISKWRIGHT_GRUB`), and 120,000 files of 0 to 4 KiB
//! made here, in 600 folders and in one. Peak memory is anonymous and shared, sampled every few milliseconds.

mod common;

use common::{Result, median};
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Files of the generated archives, as the issue of speed counts them.
const FILES: u32 = 120_000;

/// A line of the table.
struct Row {
    name: &'static str,
    /// What it is measured against, a shell command with `$IN` and `$OUT`.
    against: &'static str,
    /// Ours; `$DW` is the program.
    ours: &'static str,
    input: &'static str,
    /// The ratio that must be reached; `None` where it is only shown.
    limit: Option<f64>,
    /// Programs that the row needs, or files among the inputs.
    needs: &'static [&'static str],
}

const BUILD: &str = "$DW build -q --force $IN -o $OUT/ours.img";
const BUILD_BARE: &str = "$DW build -q --force --boot none $IN -o $OUT/ours.img";
const MBR: &str = "$DW build -q --force --boot bios $IN -o $OUT/copy";

const ROWS: &[Row] = &[
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
        ours: "$DW build -q --force oci:$IN -o $OUT/ours.img",
        input: "oci",
        limit: Some(1.1),
        needs: &["zstd"],
    },
    Row {
        name: "GPT + BIOS, against MBR + BIOS",
        against: MBR,
        ours: "$DW build -q --force --scheme gpt --boot bios $IN -o $OUT/ours.img",
        input: "debian12.tar",
        limit: Some(1.1),
        needs: &[],
    },
    Row {
        name: "UEFI, against MBR + BIOS",
        against: MBR,
        ours: "$DW build -q --force --boot uefi --grub $OUT/grub $IN -o $OUT/ours.img",
        input: "debian12.tar",
        limit: Some(1.1),
        needs: &["grub"],
    },
    Row {
        name: "BIOS and UEFI, against MBR + BIOS",
        against: MBR,
        ours: "$DW build -q --force --boot hybrid --grub $OUT/grub $IN -o $OUT/ours.img",
        input: "debian12.tar",
        limit: Some(1.1),
        needs: &["grub"],
    },
    Row {
        name: "PV, against MBR + BIOS",
        against: MBR,
        ours: "$DW build -q --force --boot pv $IN -o $OUT/ours.img",
        input: "debian12.tar",
        limit: Some(1.1),
        needs: &[],
    },
    Row {
        name: "verify of the image, against e2fsck -fn",
        against: "e2fsck -fn $IN",
        ours: "$DW verify $IN",
        input: "debian.img",
        limit: Some(1.0),
        needs: &["e2fsck"],
    },
    Row {
        name: "bundle, against tar, pigz, openssl, split",
        against: "tar -C $OUT -cSh --owner 0 --group 0 debian-4g.img | pigz -6 | \
                  openssl enc -aes-128-cbc -K $KEY -iv $KEY | split -b 10485760 - $OUT/theirs.part.",
        ours: "$DW bundle -q --force $IN -d $OUT -p ours -u 123456789012 -c $OUT/cert.pem -k $OUT/pk.pem",
        input: "debian-4g.img",
        limit: Some(0.6),
        needs: &["pigz", "openssl"],
    },
    Row {
        name: "unbundle, against openssl, gunzip, tar",
        against: "mkdir -p $OUT/back; cat $OUT/theirs.part.* | openssl enc -d -aes-128-cbc -K $KEY -iv $KEY | \
                  gunzip | tar -x -C $OUT/back",
        ours: "$DW unbundle -q --force $OUT/ours.manifest.xml -o $OUT/ours.img -k $OUT/pk.pem",
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

fn main() -> Result<()> {
    let (rounds, filter) = common::arguments(5);
    let work = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("bench");
    fs::create_dir_all(&work)?;
    let program = Path::new(env!("CARGO_BIN_EXE_diskwright"));
    inputs(&work, program)?;
    println!(
        "{:<45}{:>9}{:>9}{:>8}{:>8}{:>10}",
        "work", "theirs", "ours", "ratio", "limit", "memory"
    );
    let mut missed = 0;
    for row in ROWS.iter().filter(|r| r.name.contains(&filter)) {
        let input = work.join(row.input);
        if !input.exists()
            || row
                .needs
                .iter()
                .any(|n| !installed(n) && !work.join(n).exists())
        {
            println!(
                "{:<45}  left out: {} or {:?} is missing",
                row.name, row.input, row.needs
            );
            continue;
        }
        missed += u32::from(!measure(row, &input, &work, program, rounds)?);
    }
    missed += u32::from(!bundle_size(&work)?);
    if missed > 0 {
        println!("{missed} over their limit");
    }
    Ok(())
}

/// Runs the rounds of a row and prints it; whether it is within its limit.
fn measure(row: &Row, input: &Path, work: &Path, program: &Path, rounds: usize) -> Result<bool> {
    let shell = |command: &str| -> Result<(Duration, u64)> {
        let mut run = Command::new("sh");
        run.args(["-c", &format!("exec 2>&1; {command}")])
            .env("IN", input)
            .env("OUT", work)
            .env("DW", program)
            // Of AES, for the pipelines that bundles are measured against.
            .env("KEY", "00112233445566778899aabbccddeeff");
        common::run(&mut run)
    };
    // A warm page cache for both. Not by a copy: that would fill the holes of an image.
    if input.is_file() {
        std::io::copy(&mut File::open(input)?, &mut std::io::sink())?;
    }
    let (mut theirs, mut ours, mut ratios, mut peak) = (Vec::new(), Vec::new(), Vec::new(), 0);
    for _ in 0..rounds {
        // Outputs of the round before: freeing their blocks is the work of neither.
        for old in ["copy", "ours.img"] {
            let _ = fs::remove_file(work.join(old));
        }
        let (a, _) = shell(row.against)?;
        let (b, memory) = shell(&format!("exec {}", row.ours))?;
        peak = peak.max(memory);
        theirs.push(a.as_secs_f64());
        ours.push(b.as_secs_f64());
        ratios.push(b.as_secs_f64() / a.as_secs_f64());
    }
    let ratio = median(&mut ratios);
    let within = row.limit.is_none_or(|l| ratio <= l);
    println!(
        "{:<45}{:>8.2}s{:>8.2}s{ratio:>8.2}{:>8}{:>6} MiB{}",
        row.name,
        median(&mut theirs),
        median(&mut ours),
        row.limit.map_or_else(String::new, |l| l.to_string()),
        peak >> 10,
        if within { "" } else { "  OVER" }
    );
    Ok(within)
}

/// Bytes of the parts that the last round of `bundle` and its counterpart left: the speed is none if they
/// are many more.
fn bundle_size(work: &Path) -> Result<bool> {
    let mut bytes = [0_u64; 2];
    for entry in fs::read_dir(work)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        for (total, prefix) in bytes.iter_mut().zip(["theirs.part.", "ours.part."]) {
            if name.starts_with(prefix) {
                *total += entry.metadata()?.len();
            }
        }
    }
    let [theirs, ours] = bytes;
    if theirs == 0 || ours == 0 {
        return Ok(true);
    }
    // In thousandths: at most 1.03.
    let ratio = ours * 1000 / theirs;
    let over = if ratio <= 1030 { "" } else { "  OVER" };
    println!(
        "{:<45}{theirs:>9}{ours:>10}{:>5}.{:03}    1.03{over}",
        "bundle, bytes",
        ratio / 1000,
        ratio % 1000
    );
    Ok(ratio <= 1030)
}

fn installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain([PathBuf::from("/usr/sbin"), PathBuf::from("/sbin")])
        .any(|folder| folder.join(program).exists())
}

/// An OCI layout of one layer, as `oci-image-tool` and others write it.
const OCI_LAYOUT: &str = r#"
blob() { mkdir -p oci/blobs/sha256; cp "$1" "oci/blobs/sha256/$(sum "$1")"; }
sum() { sha256sum "$1" | cut -d' ' -f1; }
digest() { printf '"digest":"sha256:%s","size":%s' "$(sum "$1")" "$(stat -c %s "$1")"; }
type=application/vnd.oci.image
blob debian12.tar.zst
printf '{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}' \
    "$(sum debian12.tar)" >config.json
blob config.json
printf '{"schemaVersion":2,"config":{"mediaType":"%s.config.v1+json",%s},"layers":[{"mediaType":"%s",%s}]}' \
    $type "$(digest config.json)" $type.layer.v1.tar+zstd "$(digest debian12.tar.zst)" >manifest.json
blob manifest.json
printf '{"schemaVersion":2,"manifests":[{"mediaType":"%s.manifest.v1+json",%s}]}' \
    $type "$(digest manifest.json)" >oci/index.json
printf '{"imageLayoutVersion":"1.0.0"}' >oci/oci-layout
"#;

fn inputs(work: &Path, program: &Path) -> Result<()> {
    let debian = work.join("debian12.tar");
    if let Some(rootfs) = common::debian()
        && !debian.exists()
    {
        fs::copy(&rootfs, &debian)?;
        sh(
            work,
            "zstd -q -3 -T0 -k debian12.tar; gzip -6 -k debian12.tar",
        )?;
        // Devices need root, and are all that is left out without.
        sh(
            work,
            "mkdir -p unpacked; tar -xf debian12.tar -C unpacked 2>/dev/null; true",
        )?;
    }
    if debian.exists() && !work.join("oci").exists() {
        sh(work, OCI_LAYOUT)?;
    }
    if debian.exists() {
        // Of this program, whatever an earlier one wrote.
        let build = "build -q --force --boot none --scheme none debian12.tar -o debian.img";
        sh(work, &format!("{} {build}", program.display()))?;
        let large = "build -q --force --size 4G debian12.tar -o debian-4g.img";
        // Synced: until then a filesystem may tell other holes.
        sh(work, &format!("{} {large} --sync", program.display()))?;
        let key = "openssl req -x509 -newkey rsa:2048 -nodes -days 3650 -subj /CN=bench";
        if installed("openssl") && !work.join("pk.pem").exists() {
            sh(
                work,
                &format!("{key} -keyout pk.pem -out cert.pem 2>/dev/null"),
            )?;
        }
    }
    let grub = std::env::var_os("DISKWRIGHT_GRUB").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("demo/grub"),
        PathBuf::from,
    );
    let link = work.join("grub");
    if grub.join("bookworm").exists() && !link.exists() {
        std::os::unix::fs::symlink(grub.join("bookworm"), link)?;
    }
    for (name, folders) in [("many.tar", 600), ("flat.tar", 1)] {
        let path = work.join(name);
        if !path.exists() {
            small_files(&path, folders)?;
        }
    }
    Ok(())
}

fn sh(folder: &Path, command: &str) -> Result<()> {
    let status = Command::new("sh")
        .args(["-c", command])
        .current_dir(folder)
        .status()?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("{command}: {status}").into())
    }
}

/// A tar of [`FILES`] files of 0 to 4096 bytes that nothing compresses, spread over `folders`.
fn small_files(path: &Path, folders: u32) -> Result<()> {
    let mut out = BufWriter::new(File::create(path)?);
    let mut state = 1_u64;
    for n in 0..FILES {
        let mut data = [0; 4096];
        for word in data.chunks_exact_mut(8) {
            // SplitMix64: reproducible, and no crate for it.
            state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mut z = state;
            z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            word.copy_from_slice(&(z ^ (z >> 31)).to_le_bytes());
        }
        let len = usize::from(u16::from_le_bytes([data[0], data[1]]) % 4097);
        let mut header = [0_u8; 512];
        let name = format!("d{:03}/file-{n:06}.txt", n % folders);
        header[..name.len()].copy_from_slice(name.as_bytes());
        header[100..108].copy_from_slice(b"0000644\0");
        header[108..116].copy_from_slice(b"0000000\0");
        header[116..124].copy_from_slice(b"0000000\0");
        header[124..136].copy_from_slice(format!("{len:011o}\0").as_bytes());
        header[136..148].copy_from_slice(b"14524770400\0");
        header[148..156].fill(b' ');
        header[156] = b'0';
        header[257..265].copy_from_slice(b"ustar\x0000");
        let sum: u32 = header.iter().copied().map(u32::from).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        out.write_all(&header)?;
        out.write_all(&data[..len])?;
        out.write_all(&[0; 512][..len.next_multiple_of(512) - len])?;
    }
    out.write_all(&[0; 1024])?;
    Ok(out.flush()?)
}

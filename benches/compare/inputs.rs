//! Archives, images and keys that are measured with.

use crate::common::{self, Result};
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Files of the generated archives, as the issue of speed counts them.
const FILES: u32 = 120_000;

/// Whether a program can be run.
pub(crate) fn installed(program: &str) -> bool {
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

/// Makes in `work` what the rows read and is not there yet.
pub(crate) fn make(work: &Path, program: &Path) -> Result<()> {
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
        if let Some(trixie) = common::debian13() {
            let build = format!(
                "{} build -q --force {:?} -o debian13.img",
                program.display(),
                trixie
            );
            sh(work, &build)?;
        }
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

//! A seed for cloud-init: the files of its datasource NoCloud, and the choice of that source.

use super::CustomizeError;
use super::edit::{Edit, Given};
use crate::hex::hex;
use crate::image::BuildError;
use sha2::{Digest, Sha256};
use std::path::Path;

const SEED: &str = "var/lib/cloud/seed/nocloud";
const CHOICE: &str = "etc/cloud/cloud.cfg.d/99-diskwright.cfg";
/// ds-identify(8) looks for no other source when the list has one, and `None` behind it.
const CHOICE_TEXT: &str =
    "# Written by diskwright --cloud-init.\ndatasource_list: [ NoCloud, None ]\n";
/// What a folder may hold, cloud-init's documentation of NoCloud; the first is needed.
const FILES: [&str; 4] = ["user-data", "meta-data", "network-config", "vendor-data"];

/// Writes the seed.
pub(super) fn seed(
    edit: &mut Edit<'_, '_>,
    path: &Path,
    hostname: Option<&str>,
) -> Result<(), BuildError> {
    if !edit.has("etc/cloud") {
        return Err(CustomizeError::Missing {
            flag: edit.flag,
            path: "/etc/cloud",
            hint: "the package cloud-init brings it",
        }
        .into());
    }
    let mut files: Vec<(&str, Vec<u8>)> = Vec::new();
    if path.is_dir() {
        for name in FILES {
            let file = path.join(name);
            if name == FILES[0] || file.exists() {
                files.push((name, edit.source(&file)?));
            }
        }
    } else {
        files.push((FILES[0], edit.source(path)?));
    }
    let user_data = &files[0].1;
    if !is_user_data(user_data) {
        return Err(CustomizeError::Content {
            flag: edit.flag,
            path: path.into(),
            why: "cloud-init would not know it: its first line is `#cloud-config`, `#!…` or another of \
                  its headers"
                .into(),
        }
        .into());
    }
    if !files.iter().any(|(name, _)| *name == FILES[1]) {
        // Another instance makes cloud-init run its modules anew: one for each seed.
        let digest = hex(&Sha256::digest(user_data));
        let mut text = format!("instance-id: nocloud-{}\n", &digest[..16]);
        if let Some(name) = hostname {
            text.push_str(&format!("local-hostname: {name}\n"));
        }
        files.push((FILES[1], text.into_bytes()));
    }
    edit.directory(SEED, Given::root(0o755))?;
    for (name, bytes) in files {
        // It may hold secrets.
        edit.write(&format!("{SEED}/{name}"), bytes, Given::root(0o600))?;
    }
    edit.write(CHOICE, CHOICE_TEXT.into(), Given::root(0o644))?;
    Ok(())
}

/// Whether it has one of the headers of user-data, is compressed or MIME, or is empty.
fn is_user_data(bytes: &[u8]) -> bool {
    let mime = b"Content-Type:";
    let head = bytes.get(..mime.len()).unwrap_or_default();
    bytes.is_empty()
        || bytes.starts_with(b"#")
        || bytes.starts_with(b"\x1f\x8b")
        || head.eq_ignore_ascii_case(mime)
        || bytes.starts_with(b"MIME-Version:")
}

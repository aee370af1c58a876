//! A seed for cloud-init: the files of its datasource NoCloud, and the choice of that source.

use super::CustomizeError;
use super::edit::{Edit, Given};
use crate::display::display_path;
use crate::hex::hex;
use crate::image::BuildError;
use sha2::{Digest, Sha256};
use std::path::Path;

const SEED: &str = "var/lib/cloud/seed/nocloud";
const CHOICE: &str = "etc/cloud/cloud.cfg.d/99-diskwright.cfg";
/// ds-identify(8) looks for no other source when the list has one, and `None` behind it.
const CHOICE_TEXT: &str =
    "# Written by diskwright --cloud-init.\ndatasource_list: [ NoCloud, None ]\n";
const DISABLED: &str = "etc/cloud/cloud-init.disabled";
/// What cloud-init knows user-data by: its documentation of user-data formats.
const HEADERS: [&str; 9] = [
    "#cloud-config",
    "#include",
    "#include-once",
    "## template: jinja",
    "#cloud-boothook",
    "#part-handler",
    "#upstart-job",
    "#cloud-config-archive",
    "#cloud-config-jsonp",
];
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
                  its headers, before any comment"
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
    obstacles(edit);
    edit.directory(SEED, Given::root(0o755))?;
    for (name, bytes) in files {
        // It may hold secrets.
        edit.write(&format!("{SEED}/{name}"), bytes, Given::root(0o600))?;
    }
    edit.write(CHOICE, CHOICE_TEXT.into(), Given::root(0o644))?;
    Ok(())
}

/// Whether it has one of the headers of user-data, is a script, compressed or MIME, or is empty. Cloud-init asks for no
/// end of a header: it would take `#cloud-configx` for one, with a word less or more than was meant.
fn is_user_data(bytes: &[u8]) -> bool {
    let mime = b"Content-Type:";
    let head = bytes.get(..mime.len()).unwrap_or_default();
    bytes.is_empty()
        || bytes.starts_with(b"#!")
        || HEADERS.iter().any(|header| {
            let rest = bytes.strip_prefix(header.as_bytes());
            rest.is_some_and(|rest| rest.first().is_none_or(u8::is_ascii_whitespace))
        })
        || bytes.starts_with(b"\x1f\x8b")
        || head.eq_ignore_ascii_case(mime)
        || bytes.starts_with(b"MIME-Version:")
}

/// Tells what of the image keeps cloud-init from the seed.
fn obstacles(edit: &mut Edit<'_, '_>) {
    if edit.has(DISABLED) {
        edit.ingest.warn(&format!(
            "--cloud-init: /{DISABLED} is in the image, and with it cloud-init never runs; --remove it"
        ));
    }
    let (folder, ours) = CHOICE.rsplit_once('/').unwrap_or_default();
    let tree = &edit.ingest.tree;
    let children = tree
        .resolve(folder.as_bytes())
        .filter(|&n| tree.node(n).is_directory());
    let children = children.map(|n| tree.list(n)).unwrap_or_default();
    let later = children
        .iter()
        .filter(|c| c.name.ends_with(b".cfg") && c.name > ours.as_bytes())
        .map(|c| display_path(c.name).to_string());
    for name in later.collect::<Vec<_>>() {
        edit.ingest.warn(&format!(
            "--cloud-init: /{folder}/{name} is read behind the choice of the seed; should it set \
             datasource_list, that counts"
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_data_begins_with_a_header_of_cloud_init() {
        for good in [
            &b"#cloud-config\na: b\n"[..],
            b"#!/bin/sh\n",
            b"## template: jinja\n#cloud-config\n",
            b"#include\nhttps://x\n",
            b"#include-once\nhttps://x\n",
            b"#cloud-config\r\n",
            b"#cloud-config",
            b"#cloud-config-archive\n",
            b"content-type: text/x\n",
            b"\x1f\x8b\x08",
            b"",
        ] {
            assert!(is_user_data(good), "{good:?}");
        }
        for bad in [
            &b"# my comment\n#cloud-config\n"[..],
            b"packages: [a]\n",
            b" #!/bin/sh\n",
            b"#cloud-configx\n",
            b"#cloud-configs: []\n",
        ] {
            assert!(!is_user_data(bad), "{bad:?}");
        }
    }
}

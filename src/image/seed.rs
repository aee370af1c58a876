//! The seed of an image: a digest of the tree as it was read, and of what was asked for.

use super::Spec;
use crate::seed::Seed;
use crate::tree::{Node, NodeId, NodeKind, Sorted, Tree};
use crate::units::{Timestamp, count};
use sha2::{Digest, Sha256};
use std::fmt;

/// What [`super::prepare`] writes, or may have written into the rootfs by an earlier build: none of it
/// is part of the seed, so that an image made from an image is the same image.
const OURS: [&[u8]; 6] = [
    b"boot/grub",
    b"etc/default/grub.d",
    b"etc/default/grub.d/50-diskwright.cfg",
    b"etc/fstab",
    b"etc/hostname",
    b"lost+found",
];

/// The seed of `tree`, before any edit, built as `spec` says.
pub(super) fn seed(tree: &Tree, sorted: &Sorted, spec: &Spec) -> Seed {
    if let Some(text) = &spec.seed {
        return Seed::from_text(text);
    }
    let mut h = Sha256::new();
    h.update(b"diskwright seed 1\0");
    h.update(format!("{:?}\0", Asked(spec)).as_bytes());
    let mut record = Vec::new();
    tree.walk(sorted, |path, id| {
        if path.starts_with(b"boot/grub/") || OURS.contains(&path) {
            return;
        }
        record.clear();
        describe(&mut record, tree, path, id);
        h.update(&record);
    });
    Seed::new(h.finalize().into())
}

/// What was asked for, as text. Fields that came after the first version are named where they differ
/// from their default, so that no image gets new UUIDs because the program learned a flag.
struct Asked<'a>(&'a Spec);

impl fmt::Debug for Asked<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Every field by name: a new one cannot be forgotten here.
        let Spec {
            size,
            free,
            label,
            uuid,
            seed,
            hostname,
            cmdline,
            root_by,
            scheme,
            boot,
            esp_size,
            max_grow,
            inodes,
            // Where on this host GRUB is looked for is nothing that was asked of the image.
            grub: _,
            source_date_epoch,
        } = self.0;
        let default = Spec::default();
        let mut d = f.debug_struct("Spec");
        d.field("size", size)
            .field("free", free)
            .field("label", label)
            .field("uuid", uuid)
            .field("seed", seed)
            .field("hostname", hostname)
            .field("cmdline", cmdline)
            .field("root_by", root_by)
            .field("scheme", scheme)
            .field("boot", boot)
            .field("max_grow", max_grow)
            .field("inodes", inodes);
        let mut later = |name, value: &dyn fmt::Debug, is_default: bool| {
            if !is_default {
                d.field(name, value);
            }
        };
        later("esp_size", esp_size, *esp_size == default.esp_size);
        d.field("source_date_epoch", source_date_epoch).finish()
    }
}

fn describe(out: &mut Vec<u8>, tree: &Tree, path: &[u8], id: NodeId) {
    let node = tree.node(id);
    let bytes = |out: &mut Vec<u8>, b: &[u8]| {
        out.extend_from_slice(&count(b.len()).to_le_bytes());
        out.extend_from_slice(b);
    };
    // The walk is depth first: the length of what precedes the name says which of the directories under
    // way is the parent. The whole path would make deep trees take the square of their depth.
    let name = path.iter().rposition(|&b| b == b'/').map_or(0, |at| at + 1);
    out.extend_from_slice(&count(name).to_le_bytes());
    bytes(out, &path[name..]);
    // Directories that no entry describes, and the times of directories that gained our files, are
    // not the rootfs's own.
    let parent_of_ours = matches!(path, b"boot" | b"etc" | b"etc/default");
    kind(out, tree, node);
    out.extend_from_slice(&node.meta.mode.to_le_bytes());
    out.extend_from_slice(&node.meta.uid.to_le_bytes());
    out.extend_from_slice(&node.meta.gid.to_le_bytes());
    if !parent_of_ours {
        time(out, node.meta.mtime);
    }
    out.extend_from_slice(&node.links.to_le_bytes());
    for (name, value) in tree.xattrs(id) {
        bytes(out, name);
        bytes(out, value);
    }
}

fn kind(out: &mut Vec<u8>, tree: &Tree, node: &Node) {
    match node.kind {
        NodeKind::File { size, .. } => {
            out.push(b'f');
            out.extend_from_slice(&size.to_le_bytes());
        }
        NodeKind::Directory { .. } => out.push(b'd'),
        NodeKind::Symlink { target } => {
            out.push(b'l');
            out.extend_from_slice(tree.target(target));
            out.push(0);
        }
        NodeKind::CharDevice { major, minor } => {
            out.push(b'c');
            out.extend_from_slice(&major.to_le_bytes());
            out.extend_from_slice(&minor.to_le_bytes());
        }
        NodeKind::BlockDevice { major, minor } => {
            out.push(b'b');
            out.extend_from_slice(&major.to_le_bytes());
            out.extend_from_slice(&minor.to_le_bytes());
        }
        NodeKind::Fifo => out.push(b'p'),
    }
}

fn time(out: &mut Vec<u8>, t: Timestamp) {
    out.extend_from_slice(&t.sec.to_le_bytes());
    out.extend_from_slice(&t.nsec.to_le_bytes());
}

//! The seed of an image: a digest of the tree as it was read and customised, and of what was asked for.

use super::grow::REPART_CONF;
use super::{Customize, Spec};
use crate::seed::Seed;
use crate::tree::{Node, NodeId, NodeKind, Sorted, Tree};
use crate::units::{Timestamp, count};
use sha2::{Digest, Sha256};

/// What [`super::prepare`] writes, or may have written into the rootfs by an earlier build: none of it
/// is part of the seed, so that an image made from an image is the same image.
const OURS: [&[u8]; 10] = [
    b"boot/efi",
    b"boot/grub",
    b"etc/default/grub.d",
    b"etc/default/grub.d/50-diskwright.cfg",
    b"etc/fstab",
    b"etc/hostname",
    b"etc/hosts",
    b"etc/repart.d",
    REPART_CONF.as_bytes(),
    b"lost+found",
];

/// The seed of `tree`, before any edit of ours, built as `spec` says. How the tree came does not matter: a tar, a
/// folder and an image of several layers that come to the same files give the same seed.
///
/// `newest` is the latest time that the image shows: later ones, and those of directories that no entry
/// describes, count as that, as they will be read from the image.
pub(super) fn seed(tree: &Tree, sorted: &Sorted, spec: &Spec, newest: Timestamp) -> Seed {
    if let Some(text) = &spec.seed {
        return Seed::from_text(text);
    }
    let mut h = Sha256::new();
    h.update(b"diskwright seed 1\0");
    // The tree shows what became of it.
    let spec = &Spec {
        customize: Customize::default(),
        ..spec.clone()
    };
    for field in asked_for(spec) {
        h.update(field.as_bytes());
        h.update(b"\0");
    }
    let mut record = Vec::new();
    tree.walk(sorted, |path, id| {
        if path.starts_with(b"boot/grub/") || OURS.contains(&path) {
            return;
        }
        record.clear();
        describe(&mut record, tree, path, id, newest);
        h.update(&record);
    });
    Seed::new(h.finalize().into())
}

/// The fields of `spec` that are not the default, as Debug shows them: it names every field, so that a
/// new one cannot be forgotten here, and one that nobody sets changes no image.
fn asked_for(spec: &Spec) -> Vec<String> {
    fields(spec)
        .into_iter()
        .zip(fields(&Spec::default()))
        .filter(|(asked, default)| asked != default)
        .map(|(asked, _)| asked)
        .collect()
}

/// A string for each field: Debug of a struct indents them by four spaces, what is in them by more.
fn fields(spec: &Spec) -> Vec<String> {
    let text = format!("{spec:#?}");
    let mut fields: Vec<String> = Vec::new();
    for line in text.lines().filter(|l| l.starts_with("    ")) {
        let inside =
            line.starts_with("     ") || line.starts_with("    }") || line.starts_with("    )");
        match fields.last_mut() {
            Some(field) if inside => field.push_str(line.trim_start()),
            _ => fields.push(line.trim_start().to_owned()),
        }
    }
    fields
}

fn describe(out: &mut Vec<u8>, tree: &Tree, path: &[u8], id: NodeId, newest: Timestamp) {
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
    // The times of directories that gained our files are not the rootfs's own.
    let parent_of_ours = matches!(path, b"boot" | b"etc" | b"etc/default");
    kind(out, tree, node);
    out.extend_from_slice(&node.meta.mode.to_le_bytes());
    out.extend_from_slice(&node.meta.uid.to_le_bytes());
    out.extend_from_slice(&node.meta.gid.to_le_bytes());
    if !parent_of_ours {
        let shown = if node.implied {
            newest
        } else {
            node.meta.mtime.min(newest)
        };
        time(out, shown);
    }
    out.extend_from_slice(&node.links.to_le_bytes());
    // Sorted: a tar lists them as its maker did, a folder as its filesystem does.
    let mut xattrs: Vec<_> = tree.xattrs(id).iter().collect();
    xattrs.sort_unstable();
    for (name, value) in xattrs {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{Free, Size};

    #[test]
    fn only_what_was_asked_for_is_in_the_seed() {
        assert!(asked_for(&Spec::default()).is_empty());
        let spec = Spec {
            size: Size::Bytes(7),
            free: Free::Percent(11),
            label: "a\n    b: c".into(),
            ..Spec::default()
        };
        assert_eq!(
            asked_for(&spec),
            [
                "size: Bytes(7,),",
                "free: Percent(11,),",
                "label: \"a\\n    b: c\","
            ]
        );
    }
}

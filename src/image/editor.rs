//! Our own files in the tree: each is an entry like the archive's, put in behind it and remembered.

use super::grow::{FSTAB_OPTION, Grower, REPART_CONF, REPART_TEXT};
use super::hosts;
use super::ingest::Ingest;
use super::mode::Mode;
use super::wanted::{FSTAB, GRUB_CFG, HOSTNAME, HOSTS, READ_MAX};
use super::{BuildError, Spec};
use crate::entry::{Entry, EntryKind};
use crate::grub::{
    Config, Files, MARKER, RootNamed, bears_marker, grub_cfg, is_module_file, root_named,
};
use crate::tree::{Meta, NodeId, NodeKind, Sorted, Tree};
use crate::units::{Timestamp, count, hi16, lo16};
use bytes::Bytes;

/// Where the EFI system partition is mounted.
pub(super) const BOOT_EFI: &str = "boot/efi";
/// GRUB loads the modules of a platform from its folder below.
const BOOT_GRUB: &str = "boot/grub";
const GRUB_CFG_ORIG: &str = "boot/grub/grub.cfg.orig";

/// Puts files of ours into the tree and remembers which.
pub(super) struct Editor<'a, 'b> {
    pub(super) ingest: &'a mut Ingest<'b>,
    time: Timestamp,
    edits: Vec<String>,
}

impl<'a, 'b> Editor<'a, 'b> {
    pub(super) fn new(ingest: &'a mut Ingest<'b>, time: Timestamp) -> Self {
        Self {
            ingest,
            time,
            edits: Vec::new(),
        }
    }

    /// The paths that were written.
    pub(super) fn edits(self) -> Vec<String> {
        self.edits
    }

    fn entry(&self, path: &str, kind: EntryKind) -> Entry {
        Entry {
            mode: 0o644,
            mtime: self.time,
            ..Entry::new(path, kind)
        }
    }

    pub(super) fn write(&mut self, path: &str, bytes: Vec<u8>) -> Result<(), BuildError> {
        self.write_pieces(path, vec![bytes.into()])
    }

    pub(super) fn write_pieces(
        &mut self,
        path: &str,
        pieces: Vec<Bytes>,
    ) -> Result<(), BuildError> {
        let size = count(pieces.iter().map(Bytes::len).sum());
        if self.stands(path, size, &pieces)? {
            self.edits.push(format!("/{path}"));
            return Ok(());
        }
        let entry = self.entry(path, EntryKind::File { size, data: None });
        self.ingest.edit(&entry, pieces)?;
        self.edits.push(format!("/{path}"));
        Ok(())
    }

    /// Whether the archive has the very file, as that of an image does which was built alike: it keeps its
    /// place, and the image is the same once more.
    fn stands(&mut self, path: &str, size: u64, pieces: &[Bytes]) -> Result<bool, BuildError> {
        let tree = &self.ingest.tree;
        let Some(id) = tree.find(path.as_bytes()) else {
            return Ok(false);
        };
        let node = tree.node(id);
        let meta = Meta::new(0o644).at(self.time);
        let same = matches!(node.kind, NodeKind::File { size: is, .. } if is == size);
        let plain = node.links == 1 && node.xattrs.is_none() && node.meta == meta;
        if !same || !plain || size > READ_MAX {
            return Ok(false);
        }
        let bytes = self.ingest.read(path.as_bytes())?;
        Ok(bytes.is_some_and(|bytes| bytes == pieces.concat()))
    }

    /// A directory, where there is none.
    pub(super) fn directory(&mut self, path: &str) -> Result<(), BuildError> {
        if self.ingest.tree.resolve(path.as_bytes()).is_some() {
            return Ok(());
        }
        let entry = Entry {
            mode: 0o755,
            ..self.entry(path, EntryKind::Directory)
        };
        self.ingest.edit(&entry, Vec::new())?;
        self.edits.push(format!("/{path}"));
        Ok(())
    }

    /// The name of the system, and how it resolves it.
    pub(super) fn hostname(&mut self, name: &str) -> Result<(), BuildError> {
        self.write(HOSTNAME, format!("{name}\n").into_bytes())?;
        self.hosts(name)
    }

    /// The line by which the system resolves its own name, as Debian's installer writes it: in the place of
    /// one that is there, else behind those of the loopback. A file that names the host already stays.
    fn hosts(&mut self, name: &str) -> Result<(), BuildError> {
        let own = self.ingest.read(HOSTS.as_bytes())?;
        if own.is_none() && self.ingest.tree.find(HOSTS.as_bytes()).is_some() {
            return Ok(());
        }
        match hosts::with_name(own.as_deref(), name) {
            Some(text) => self.write(HOSTS, text),
            None => Ok(()),
        }
    }

    /// Copies of a platform's modules, where GRUB finds them: on the root filesystem, of its core's build.
    pub(super) fn modules(
        &mut self,
        sorted: &Sorted,
        platform: &str,
        files: &Files,
    ) -> Result<(), BuildError> {
        let folder = format!("{BOOT_GRUB}/{platform}");
        // Modules of another build that an earlier grub-install left behind.
        let stale = self.ingest.tree.resolve(folder.as_bytes());
        let stale = stale.map_or_else(Vec::new, |n| files_in(&self.ingest.tree, sorted, n));
        for name in stale.iter().filter(|n| !files.contains_key(*n)) {
            self.ingest.forget(format!("{folder}/{name}").as_bytes())?;
        }
        for (name, bytes) in files.iter().filter(|(name, _)| is_module_file(name)) {
            self.write(&format!("{folder}/{name}"), bytes.clone())?;
        }
        Ok(())
    }

    /// grub.cfg, unless the rootfs's own one boots this image.
    pub(super) fn grub_cfg(&mut self, config: &Config) -> Result<(), BuildError> {
        if let Some(own) = self.ingest.read(GRUB_CFG.as_bytes())?
            && !bears_marker(&own)
        {
            let text = String::from_utf8_lossy(&own);
            let why = match root_named(&text, &config.root) {
                RootNamed::Ours => return Ok(()),
                RootNamed::Other(name) => format!("names the root {name}"),
                RootNamed::Nothing => "names no root".into(),
            };
            self.ingest.warn(&format!(
                "/{GRUB_CFG} of the rootfs {why}, which is not in this image: it is replaced, \
                     and kept as /{GRUB_CFG_ORIG}"
            ));
            self.write(GRUB_CFG_ORIG, own)?;
        }
        self.write(GRUB_CFG, grub_cfg(config)?.into_bytes())
    }

    /// Chooses who grows the root, and tells them.
    pub(super) fn grower(&mut self, spec: &Spec, mode: &Mode) -> Result<Grower, BuildError> {
        let mut warning = None;
        let tree = &self.ingest.tree;
        let grower = Grower::choose(spec.grow_at_boot, tree, mode.scheme, |w| {
            warning = Some(w.to_owned());
        })?;
        if let Some(w) = warning {
            self.ingest.warn(&w);
        }
        if grower == Grower::Repart {
            self.write(REPART_CONF, format!("{MARKER}\n{REPART_TEXT}").into_bytes())?;
        }
        Ok(grower)
    }

    /// An fstab that mounts the root and the EFI system partition `esp`, unless the rootfs has one with an
    /// entry of its own.
    pub(super) fn fstab(
        &mut self,
        root: &str,
        grower: Grower,
        esp: Option<u32>,
    ) -> Result<(), BuildError> {
        let own = self.ingest.read(FSTAB.as_bytes())?;
        let has_entry = |text: &[u8]| {
            let text = String::from_utf8_lossy(text);
            text.lines()
                .any(|l| !l.trim().is_empty() && !l.trim_start().starts_with('#'))
        };
        if let Some(text) = own.filter(|text| !bears_marker(text) && has_entry(text)) {
            if grower == Grower::Repart && !String::from_utf8_lossy(&text).contains(FSTAB_OPTION) {
                self.ingest.warn(&format!(
                    "/{FSTAB} of the rootfs is kept, and lacks {FSTAB_OPTION}: the partition of the root \
                     will grow at first boot, its filesystem only with that option"
                ));
            }
            return Ok(());
        }
        // Blanks in a label are octal in fstab(5); "pass" 1: the root is checked first.
        let root = root.replace(' ', "\\040");
        let grow = if grower == Grower::Repart {
            format!(",{FSTAB_OPTION}")
        } else {
            String::new()
        };
        let mut text = format!("{MARKER}\n{root} / ext4 rw,discard,errors=remount-ro{grow} 0 1\n");
        if let Some(id) = esp {
            // The running system needs it for updates of the loader alone: a kernel without FAT boots too.
            let (high, low) = (hi16(id), lo16(id));
            text.push_str(&format!(
                "UUID={high:04X}-{low:04X} /{BOOT_EFI} vfat umask=0077,nofail 0 2\n"
            ));
        }
        self.write(FSTAB, text.into_bytes())
    }
}

/// Names of the regular files in a directory.
pub(super) fn files_in(tree: &Tree, sorted: &Sorted, directory: NodeId) -> Vec<String> {
    let children = tree.children(sorted, directory);
    let regular = children.filter(|c| matches!(tree.node(c.node).kind, NodeKind::File { .. }));
    regular
        .filter_map(|c| String::from_utf8(c.name.to_vec()).ok())
        .collect()
}

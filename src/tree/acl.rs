//! ACLs as the kernel would have them, had they been set with setfacl(1).
//!
//! - The text of an archive becomes `system.posix_acl_*`. Where an archive has both, the attribute holds:
//!   its numbers are exact, as the owner's are.
//! - The permission bits follow the access ACL, the group's show its mask; an access ACL that says no
//!   more than those bits is gone with that (`posix_acl_update_mode`).
//! - An access ACL on a symbolic link and a default ACL on anything but a directory are left out: Linux
//!   refuses them.
//! - An entry whose name has no number is left out, the rest of its ACL stays. That opens nothing to
//!   anybody: no account of the image bears the name, and the mask stays as it was. Without the whole
//!   ACL, which GNU tar leaves out then, the owning group would be given what the mask allows.

use super::{NodeId, NodeKind, Notes, Sorted, Tree, TreeError, XattrSetId};
use crate::acl::text::{self, Names};
use crate::acl::{Acl, AclError};
use crate::display::display_path;
use crate::units::index32;
use std::collections::HashMap;

/// The attribute of an access ACL.
pub const ACCESS: &[u8] = b"system.posix_acl_access";
/// The attribute of a default ACL.
pub const DEFAULT: &[u8] = b"system.posix_acl_default";

/// What an entry said besides its fields; many entries say the same.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Attributes {
    pub(super) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// As text, until [`Tree::settle_acls`].
    pub(super) acl_access: Option<Vec<u8>>,
    pub(super) acl_default: Option<Vec<u8>>,
}

impl Attributes {
    pub(super) fn is_empty(&self) -> bool {
        self.xattrs.is_empty() && !self.has_text()
    }

    fn has_text(&self) -> bool {
        self.acl_access.is_some() || self.acl_default.is_some()
    }

    fn has_acl(&self) -> bool {
        self.has_text() || self.xattrs.iter().any(|(n, _)| n == ACCESS || n == DEFAULT)
    }

    fn get(&self, name: &[u8]) -> Option<&[u8]> {
        let found = self.xattrs.iter().find(|(n, _)| n == name);
        found.map(|(_, value)| &value[..])
    }

    /// Sets or removes an attribute, in its place.
    pub(super) fn put(&mut self, name: &[u8], value: Option<Vec<u8>>) {
        let at = self.xattrs.iter().position(|(n, _)| n == name);
        match (at, value) {
            (Some(at), Some(value)) => self.xattrs[at].1 = value,
            (Some(at), None) => {
                self.xattrs.remove(at);
            }
            (None, Some(value)) => self.xattrs.push((name.to_vec(), value)),
            (None, None) => {}
        }
    }
}

/// What a kind of file can bear.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Bears {
    Both,
    Access,
    Neither,
}

/// A set of attributes, settled.
#[derive(Clone, Debug)]
struct Settled {
    set: Option<XattrSetId>,
    permissions: Option<u16>,
    notes: Vec<String>,
}

impl Tree {
    /// Whether an ACL is there as text, so that [`Tree::settle_acls`] will ask for names.
    #[must_use]
    pub fn has_acl_text(&self) -> bool {
        let mut sets = self.nodes().filter_map(|(_, n)| n.xattrs);
        sets.any(|set| self.xattrs[index32(set.0)].has_text())
    }

    /// Makes all ACLs what the kernel would have made of them; see the head of this file. A second time
    /// changes nothing. `warn` hears of what is left out.
    ///
    /// # Errors
    /// An ACL that is none.
    pub fn settle_acls(
        &mut self,
        sorted: &Sorted,
        names: &dyn Names,
        warn: &mut dyn FnMut(String),
    ) -> Result<(), TreeError> {
        if !self.xattrs.iter().any(Attributes::has_acl) {
            return Ok(());
        }
        let mut known: HashMap<(XattrSetId, Bears), Settled> = HashMap::new();
        let mut notes = Notes::default();
        for node in self.in_order(sorted) {
            let Some(set) = self.node(node).xattrs else {
                continue;
            };
            let bears = match self.node(node).kind {
                NodeKind::Directory { .. } => Bears::Both,
                NodeKind::Symlink { .. } => Bears::Neither,
                _ => Bears::Access,
            };
            let settled = match known.get(&(set, bears)) {
                Some(settled) => settled,
                None => {
                    let settled = self.settle(set, bears, names);
                    let settled = settled.map_err(|(name, source)| TreeError::Acl {
                        path: self.shown_path(sorted, node),
                        name,
                        source,
                    })?;
                    known.entry((set, bears)).or_insert(settled)
                }
            };
            settled.notes.iter().for_each(|n| notes.add(node, n));
            let node = self.node_mut(node);
            node.xattrs = settled.set;
            if let Some(bits) = settled.permissions {
                node.meta.mode = node.meta.mode & !0o777 | bits;
            }
        }
        notes.tell(self, sorted, warn);
        Ok(())
    }

    /// Every live node, once, the root first.
    fn in_order(&self, sorted: &Sorted) -> Vec<NodeId> {
        let mut seen = vec![false; self.capacity()];
        let mut list = Vec::new();
        let mut add = |node: NodeId| {
            if !std::mem::replace(&mut seen[index32(node.0)], true) {
                list.push(node);
            }
        };
        add(super::ROOT);
        self.walk(sorted, |_, node| add(node));
        list
    }

    fn settle(
        &mut self,
        set: XattrSetId,
        bears: Bears,
        names: &dyn Names,
    ) -> Result<Settled, (&'static str, AclError)> {
        let mut new = self.xattrs[index32(set.0)].clone();
        let mut done = Settled {
            set: Some(set),
            permissions: None,
            notes: Vec::new(),
        };
        let Read { access, default } = read(&new, names, &mut done.notes)?;
        (new.acl_access, new.acl_default) = (None, None);
        let access = match access {
            Some(_) if bears == Bears::Neither => {
                let why = "has an access ACL, which Linux keeps on no symbolic link; left out";
                done.notes.push(why.into());
                None
            }
            other => other,
        };
        let default = match default {
            Some(_) if bears != Bears::Both => {
                let why = "has a default ACL, which Linux keeps on directories only; left out";
                done.notes.push(why.into());
                None
            }
            other => other,
        };
        done.permissions = access.as_ref().map(Acl::permissions);
        let access = access.filter(|acl| !acl.is_minimal());
        new.put(ACCESS, access.map(|acl| acl.to_xattr()));
        new.put(DEFAULT, default.map(|acl| acl.to_xattr()));
        done.set = (!new.is_empty()).then(|| self.attribute_set(new));
        Ok(done)
    }
}

/// The ACLs of a set.
struct Read {
    access: Option<Acl>,
    default: Option<Acl>,
}

fn read(
    set: &Attributes,
    names: &dyn Names,
    notes: &mut Vec<String>,
) -> Result<Read, (&'static str, AclError)> {
    let binary = |name: &[u8], shown| match set.get(name) {
        Some(value) => Acl::from_xattr(value).map_err(|e| (shown, e)),
        None => Ok(None),
    };
    let mut read = Read {
        access: binary(ACCESS, "system.posix_acl_access")?,
        default: binary(DEFAULT, "system.posix_acl_default")?,
    };
    let mut parse = |text: &Option<Vec<u8>>, shown: &'static str| {
        let text = text.as_deref().unwrap_or_default();
        let parsed = text::parse(text, names).map_err(|e| (shown, e))?;
        for unknown in &parsed.unknown {
            notes.push(format!(
                "its ACL names the {} '{}', which the image's /etc/{} does not know and which has no \
                 number with it; that entry is left out",
                unknown.what,
                display_path(&unknown.name),
                if unknown.what == "user" { "passwd" } else { "group" },
            ));
        }
        Ok(parsed)
    };
    let mut marked = Vec::new();
    if read.access.is_none() {
        let shown = "SCHILY.acl.access";
        let parsed = parse(&set.acl_access, shown)?;
        marked = parsed.default;
        read.access = text::acl(parsed.access).map_err(|e| (shown, e))?;
    }
    if read.default.is_none() {
        let shown = "SCHILY.acl.default";
        let mut parsed = parse(&set.acl_default, shown)?;
        parsed.access.extend(parsed.default);
        parsed.access.extend(marked);
        read.default = text::acl(parsed.access).map_err(|e| (shown, e))?;
    }
    Ok(read)
}

#[cfg(test)]
mod tests {
    use super::super::{Tree, TreeError};
    use super::*;
    use crate::acl::AclError;
    use crate::acl::text::NoNames;
    use crate::entry::{Entry, EntryKind};

    const NAMED: &str = "user::rw-,user:1000:rwx,group::---,mask::r-x,other::r--";
    const MINIMAL: &str = "user::rwx,group::r-x,other::--x";

    fn file(path: &str) -> Entry {
        Entry {
            mode: 0o4600,
            ..Entry::new(
                path,
                EntryKind::File {
                    size: 0,
                    data: None,
                },
            )
        }
    }

    fn text(entry: Entry, access: &str, default: &str) -> Entry {
        let some = |text: &str| (!text.is_empty()).then(|| text.as_bytes().to_vec());
        Entry {
            acl_access: some(access),
            acl_default: some(default),
            ..entry
        }
    }

    fn binary(text: &str) -> Vec<u8> {
        let parsed = text::parse(text.as_bytes(), &NoNames).unwrap();
        text::acl(parsed.access).unwrap().unwrap().to_xattr()
    }

    fn xattr(mut entry: Entry, name: &[u8], value: Vec<u8>) -> Entry {
        entry.xattrs.push((name.to_vec(), value));
        entry
    }

    /// The tree after settling, and what was told.
    fn settled(entries: &[Entry]) -> Result<(Tree, Vec<String>), TreeError> {
        let mut tree = Tree::new();
        for e in entries {
            tree.insert(e).unwrap();
        }
        let (sorted, mut told) = (tree.sorted(), Vec::new());
        tree.settle_acls(&sorted, &NoNames, &mut |w| told.push(w))?;
        let again = format!("{:?}", tree.nodes().collect::<Vec<_>>());
        tree.settle_acls(&sorted, &NoNames, &mut |w| panic!("{w}"))?;
        assert_eq!(format!("{:?}", tree.nodes().collect::<Vec<_>>()), again);
        Ok((tree, told))
    }

    type Xattr = (Vec<u8>, Vec<u8>);

    fn of<'a>(tree: &'a Tree, path: &str) -> (u16, &'a [Xattr]) {
        let node = tree.find(path.as_bytes()).unwrap();
        (tree.node(node).meta.mode, tree.xattrs(node))
    }

    #[test]
    fn text_becomes_the_attribute_and_the_mode_shows_the_mask() {
        let other = xattr(file("b"), b"user.x", vec![1]);
        let (tree, told) = settled(&[text(file("a"), NAMED, ""), text(other, NAMED, "")]).unwrap();
        let acl = (ACCESS.to_vec(), binary(NAMED));
        assert_eq!(of(&tree, "a"), (0o4654, &[acl.clone()][..]));
        assert_eq!(of(&tree, "b").1, [(b"user.x".to_vec(), vec![1]), acl]);
        assert_eq!(told, Vec::<String>::new());
    }

    #[test]
    fn a_minimal_access_acl_is_the_mode_and_a_minimal_default_acl_stays() {
        let folder = |path| Entry::new(path, EntryKind::Directory);
        let (tree, _) = settled(&[
            text(file("a"), MINIMAL, ""),
            xattr(file("b"), ACCESS, binary(MINIMAL)),
            text(folder("d"), MINIMAL, MINIMAL),
            xattr(file("none"), ACCESS, vec![2, 0, 0, 0]),
        ])
        .unwrap();
        assert_eq!(of(&tree, "a"), (0o4751, &[][..]));
        assert_eq!(of(&tree, "b"), (0o4751, &[][..]));
        let default = (DEFAULT.to_vec(), binary(MINIMAL));
        assert_eq!(of(&tree, "d"), (0o751, &[default][..]));
        assert_eq!(of(&tree, "none"), (0o4600, &[][..]));
    }

    #[test]
    fn the_attribute_stands_above_the_text() {
        let both = xattr(text(file("a"), MINIMAL, ""), ACCESS, binary(NAMED));
        let (tree, _) = settled(&[both]).unwrap();
        assert_eq!(of(&tree, "a").1, [(ACCESS.to_vec(), binary(NAMED))]);
    }

    #[test]
    fn linux_keeps_some_acls_nowhere_and_each_is_told_once() {
        let target = b"x".to_vec();
        let link = Entry::new("link", EntryKind::Symlink { target });
        let (tree, told) = settled(&[
            text(link, NAMED, ""),
            text(file("a"), "", NAMED),
            text(file("b"), "", NAMED),
        ])
        .unwrap();
        assert_eq!(of(&tree, "a"), (0o4600, &[][..]));
        assert_eq!(of(&tree, "link").1, []);
        assert_eq!(
            told,
            [
                "a and 1 more file: has a default ACL, which Linux keeps on directories only; left out",
                "link: has an access ACL, which Linux keeps on no symbolic link; left out",
            ]
        );
    }

    #[test]
    fn a_stranger_loses_his_entry_and_nobody_gains() {
        let with_stranger = NAMED.replace("user:1000", "user:nemo:rwx,user:1000");
        let (tree, told) = settled(&[text(file("etc/a"), &with_stranger, "")]).unwrap();
        assert_eq!(
            of(&tree, "etc/a"),
            (0o4654, &[(ACCESS.to_vec(), binary(NAMED))][..])
        );
        assert_eq!(
            told,
            [
                "etc/a: its ACL names the user 'nemo', which the image's /etc/passwd does not know and \
                 which has no number with it; that entry is left out"
            ]
        );
    }

    #[test]
    fn an_acl_that_is_none_names_file_and_record() {
        let error = settled(&[text(file("a"), "user::rwx", "")]).unwrap_err();
        let source = AclError::Lacks {
            tag: crate::acl::Tag::GroupObj,
        };
        let name = "SCHILY.acl.access";
        assert_eq!(
            error,
            TreeError::Acl {
                path: "a".into(),
                name,
                source
            }
        );
        assert!(settled(&[xattr(file("a"), ACCESS, vec![9])]).is_err());
    }
}

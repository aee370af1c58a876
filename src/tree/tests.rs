//! The rules of putting entries into a tree, one test each.

use super::*;
use crate::entry::{Entry, EntryKind};

pub(super) fn entry(path: &str, kind: EntryKind) -> Entry {
    Entry {
        mode: 0o644,
        uid: 1,
        gid: 2,
        mtime: Timestamp::from_secs(7),
        ..Entry::new(path, kind)
    }
}

pub(super) fn file(path: &str) -> Entry {
    entry(
        path,
        EntryKind::File {
            size: 1,
            data: None,
        },
    )
}

pub(super) fn dir(path: &str) -> Entry {
    entry(path, EntryKind::Directory)
}

pub(super) fn symlink(path: &str, target: &str) -> Entry {
    entry(
        path,
        EntryKind::Symlink {
            target: target.into(),
        },
    )
}

pub(super) fn link(path: &str, target: &str) -> Entry {
    entry(
        path,
        EntryKind::HardLink {
            target: target.into(),
        },
    )
}

fn tree(entries: &[Entry]) -> Tree {
    let mut tree = Tree::new();
    for e in entries {
        tree.insert(e).unwrap();
    }
    tree
}

pub(super) fn paths(tree: &Tree) -> Vec<String> {
    let mut list = Vec::new();
    tree.walk(&tree.sorted(), |p, _| {
        list.push(String::from_utf8_lossy(p).into_owned());
    });
    list
}

#[test]
fn walks_depth_first_in_bytewise_order() {
    let t = tree(&[file("b/y"), file("b/x"), file("a"), file("b.d"), dir("c")]);
    assert_eq!(paths(&t), ["a", "b", "b/x", "b/y", "b.d", "c"]);
}

#[test]
fn makes_missing_parents_and_lets_their_entry_describe_them_later() {
    let mut t = tree(&[file("./usr/lib/x")]);
    let usr = t.find(b"usr").unwrap();
    assert!(t.node(usr).implied);
    assert_eq!(t.node(usr).meta.mode, 0o755);
    t.insert(&dir("usr/")).unwrap();
    assert!(!t.node(usr).implied);
    assert_eq!(t.node(usr).meta.mode, 0o644);
}

#[test]
fn follows_symbolic_links_among_parents_inside_the_tree() {
    let t = tree(&[
        dir("usr/lib"),
        symlink("lib", "usr/lib"),
        file("lib/a"),
        symlink("usr/up", "../../../usr/lib"),
        file("usr/up/b"),
        symlink("abs", "/usr"),
        file("abs/lib/c"),
    ]);
    assert_eq!(
        paths(&t),
        [
            "abs",
            "lib",
            "usr",
            "usr/lib",
            "usr/lib/a",
            "usr/lib/b",
            "usr/lib/c",
            "usr/up"
        ]
    );
    assert_eq!(t.find(b"lib/a"), t.find(b"usr/lib/a"));
    assert_eq!(t.resolve(b"lib"), t.find(b"usr/lib"));
}

#[test]
fn refuses_loops_among_parents() {
    let mut t = tree(&[symlink("a", "b"), symlink("b", "a")]);
    let error = t.insert(&file("a/x")).unwrap_err();
    assert!(matches!(error, TreeError::SymlinkLoop { .. }), "{error}");
}

#[test]
fn the_last_entry_of_a_name_wins_and_drops_the_data_before_it() {
    let mut t = Tree::new();
    let first = t.insert(&file("x")).unwrap().node.unwrap();
    t.set_data(first, DataId(5));
    let again = t.insert(&file("x")).unwrap();
    assert_eq!(again.dropped, [DataId(5)]);
    assert_ne!(again.node, Some(first));
    assert_eq!(paths(&t), ["x"]);
}

#[test]
fn data_lives_as_long_as_one_name_leads_to_it() {
    let mut t = Tree::new();
    let x = t.insert(&file("x")).unwrap().node.unwrap();
    t.set_data(x, DataId(5));
    assert_eq!(t.insert(&link("y", "./x")).unwrap().node, Some(x));
    assert_eq!(t.node(x).links, 2);
    assert_eq!(t.insert(&file("x")).unwrap().dropped, []);
    assert_eq!(t.node(x).links, 1);
    assert_eq!(t.insert(&file("y")).unwrap().dropped, [DataId(5)]);
}

#[test]
fn hard_links_need_a_target_that_is_no_directory() {
    let mut t = tree(&[dir("d"), symlink("s", "nowhere")]);
    assert!(matches!(
        t.insert(&link("y", "x")),
        Err(TreeError::LinkToNothing { .. })
    ));
    assert!(matches!(
        t.insert(&link("y", "d")),
        Err(TreeError::LinkToDirectory { .. })
    ));
    t.insert(&link("y", "s")).unwrap();
    assert_eq!(t.find(b"y"), t.find(b"s"));
}

#[test]
fn counts_hard_links_up_to_what_ext4_can_count() {
    let mut t = tree(&[file("f")]);
    let f = t.find(b"f").unwrap();
    t.node_mut(f).links = LINK_MAX;
    assert!(matches!(
        t.insert(&link("g", "f")),
        Err(TreeError::TooManyLinks { .. })
    ));
}

#[test]
fn a_path_never_leaves_the_root() {
    for path in ["../x", "a/../../x", ".."] {
        assert!(
            matches!(
                Tree::new().insert(&file(path)),
                Err(TreeError::DotDot { .. })
            ),
            "{path}"
        );
    }
    assert_eq!(
        paths(&tree(&[file("//a///b/"), file("./c")])),
        ["a", "a/b", "c"]
    );
}

#[test]
fn names_of_255_bytes_fit_and_longer_ones_are_refused() {
    tree(&[file(&"x".repeat(255))]);
    let error = Tree::new().insert(&file(&"x".repeat(256))).unwrap_err();
    assert!(matches!(error, TreeError::NameTooLong { len: 256, .. }));
}

#[test]
fn a_full_directory_stays_and_an_empty_one_gives_way() {
    let mut t = tree(&[dir("full"), file("full/x"), dir("empty")]);
    assert!(t.insert(&file("full")).unwrap().warning.is_some());
    assert!(t.insert(&file("empty")).unwrap().warning.is_some());
    assert!(t.insert(&file("full/x/below")).unwrap().node.is_none());
    assert_eq!(paths(&t), ["empty", "full", "full/x"]);
    assert!(!t.node(t.find(b"empty").unwrap()).is_directory());
}

#[test]
fn removing_forgets_the_name() {
    let mut t = tree(&[file("a/x"), file("a/y")]);
    assert!(t.remove(b"a/x").node.is_some());
    assert!(t.remove(b"a").node.is_none());
    assert_eq!(paths(&t), ["a", "a/y"]);
    t.insert(&file("a/x")).unwrap();
    assert_eq!(paths(&t), ["a", "a/x", "a/y"]);
}

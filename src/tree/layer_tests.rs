//! What layers do to one another, one test each.

use super::tests::{dir, file, link, paths, symlink};
use super::*;
use crate::entry::Entry;

/// What a layer does, in its order.
enum Step {
    Put(Entry),
    White(&'static str),
    Opaque(&'static str),
}
use Step::{Opaque, Put, White};

/// A tree of layers, each file's data numbered in order; and what was dropped.
fn layers(layers: Vec<Vec<Step>>) -> (Tree, Vec<u32>) {
    let (mut t, mut dropped, mut nr) = (Tree::new(), Vec::new(), 0);
    for layer in layers {
        t.begin_layer().unwrap();
        for step in layer {
            let done = match &step {
                Put(entry) => t.insert(entry).unwrap(),
                White(path) => t.whiteout(path.as_bytes()).unwrap(),
                Opaque(path) => t.opaque(path.as_bytes()).unwrap(),
            };
            dropped.extend(done.dropped.iter().map(|d| d.0));
            if let (Put(entry), Some(id)) = (&step, done.node)
                && matches!(entry.kind, crate::entry::EntryKind::File { .. })
            {
                t.set_data(id, DataId(nr));
                nr += 1;
            }
        }
    }
    dropped.sort_unstable();
    (t, dropped)
}

fn put(paths: &[&str]) -> Vec<Step> {
    let entry = |p: &&str| p.strip_suffix('/').map_or_else(|| file(p), dir);
    paths.iter().map(|p| Put(entry(p))).collect()
}

#[test]
fn a_whiteout_removes_what_lies_below_recursively() {
    let (t, dropped) = layers(vec![
        put(&["a/", "a/x", "a/b/", "a/b/y", "c"]),
        vec![White("a"), White("c"), White("nothing"), White("no/parent")],
    ]);
    assert_eq!(paths(&t), Vec::<String>::new());
    assert_eq!(dropped, [0, 1, 2]);
    assert!(t.nodes().all(|(id, n)| id == ROOT || n.links == 0));
}

#[test]
fn a_whiteout_leaves_its_own_layer_alone_whatever_the_order() {
    for first in [true, false] {
        let mut upper = put(&["a/", "a/new", "c"]);
        let at = if first { 0 } else { upper.len() };
        upper.splice(at..at, [White("a"), White("c")]);
        let (t, dropped) = layers(vec![put(&["a/old", "a/sub/", "a/sub/z", "c"]), upper]);
        assert_eq!(paths(&t), ["a", "a/new", "c"]);
        assert_eq!(dropped, [0, 1, 2]);
    }
}

#[test]
fn an_opaque_marker_acts_first_whatever_its_place() {
    for at in 0..4 {
        let mut upper = put(&["a/", "a/new", "a/sub/deep/own"]);
        upper.insert(at, Opaque("a"));
        let (t, dropped) = layers(vec![
            put(&["a/old", "a/sub/z", "a/sub/deep/low", "a/gone/y", "b"]),
            upper,
        ]);
        assert_eq!(
            paths(&t),
            ["a", "a/new", "a/sub", "a/sub/deep", "a/sub/deep/own", "b"],
            "marker at {at}"
        );
        assert_eq!(dropped, [0, 1, 2, 3]);
    }
}

#[test]
fn an_opaque_root_hides_everything_below() {
    let (t, _) = layers(vec![put(&["a/x", "b"]), {
        let mut upper = put(&["a/y"]);
        upper.push(Opaque("."));
        upper
    }]);
    assert_eq!(paths(&t), ["a", "a/y"]);
}

#[test]
fn every_layer_hides_anew() {
    let (t, dropped) = layers(vec![
        put(&["d/1"]),
        vec![Opaque("d"), Put(file("d/2"))],
        vec![Put(file("d/3")), Opaque("d")],
        vec![Opaque("d"), Put(file("d/4")), Opaque("d")],
    ]);
    assert_eq!(paths(&t), ["d", "d/4"]);
    assert_eq!(dropped, [0, 1, 2]);
}

#[test]
fn a_name_can_come_back_in_a_later_layer() {
    let (t, dropped) = layers(vec![
        put(&["d/x"]),
        vec![White("d")],
        put(&["d/x", "d/y"]),
        vec![White("d/y")],
    ]);
    assert_eq!(paths(&t), ["d", "d/x"]);
    assert_eq!(dropped, [0, 2]);
}

#[test]
fn hard_links_lead_to_files_of_lower_layers_and_outlive_their_names() {
    let (t, dropped) = layers(vec![
        put(&["a"]),
        vec![Put(link("b", "a"))],
        vec![White("a")],
        vec![Put(link("c", "b")), White("b")],
    ]);
    assert_eq!(paths(&t), ["c"]);
    assert!(dropped.is_empty());
    assert_eq!(t.node(t.find(b"c").unwrap()).links, 1);
}

#[test]
fn a_hard_link_of_the_same_layer_stays_when_its_target_is_whited_out() {
    let (t, dropped) = layers(vec![put(&["a"]), vec![Put(link("b", "a")), White("a")]]);
    assert_eq!((paths(&t), dropped.len()), (vec![String::from("b")], 0));
}

#[test]
fn a_file_over_a_directory_of_a_lower_layer_removes_it() {
    for upper in [file("d"), symlink("d", "e"), link("d", "e")] {
        let (t, dropped) = layers(vec![put(&["e", "d/x", "d/s/y"]), vec![Put(upper)]]);
        assert_eq!(paths(&t), ["d", "e"]);
        assert_eq!(dropped, [1, 2]);
    }
    // Within a layer GNU tar's rule holds: the directory stays.
    let mut t = Tree::new();
    t.begin_layer().unwrap();
    t.insert(&file("d/x")).unwrap();
    assert!(t.insert(&file("d")).unwrap().warning.is_some());
    assert_eq!(paths(&t), ["d", "d/x"]);
}

#[test]
fn a_directory_over_a_directory_keeps_the_files_and_replaces_what_it_says_of_itself() {
    let mut lower = dir("d");
    lower.xattrs = vec![(b"user.a".to_vec(), b"1".to_vec())];
    let mut upper = dir("d");
    upper.mode = 0o700;
    let (t, _) = layers(vec![
        vec![Put(lower), Put(file("d/x"))],
        vec![Put(upper), Put(file("d/y"))],
    ]);
    let d = t.find(b"d").unwrap();
    assert_eq!((t.node(d).meta.mode, t.xattrs(d).len()), (0o700, 0));
    assert_eq!(paths(&t), ["d", "d/x", "d/y"]);
}

#[test]
fn whiteouts_follow_links_among_parents_and_remove_links_themselves() {
    let (t, _) = layers(vec![
        vec![
            Put(file("usr/lib/x")),
            Put(file("usr/lib/y")),
            Put(symlink("lib", "usr/lib")),
            Put(symlink("lib64", "usr/lib")),
        ],
        vec![White("lib/x"), White("lib64")],
    ]);
    assert_eq!(paths(&t), ["lib", "usr", "usr/lib", "usr/lib/y"]);
}

#[test]
fn the_newest_time_is_that_of_a_file_which_is_there() {
    let mut late = file("late");
    late.mtime = Timestamp::from_secs(1000);
    let (t, _) = layers(vec![vec![Put(file("a")), Put(late)], vec![White("late")]]);
    assert_eq!(t.newest(), Some(Timestamp::from_secs(7)));
}

#[test]
fn an_opaque_marker_below_a_link_to_a_directory_hides_what_is_there() {
    let mut lower = put(&["real/", "real/y"]);
    lower.push(Put(symlink("lnk", "real")));
    let mut upper = vec![Opaque("lnk")];
    upper.extend(put(&["lnk/n"]));
    let (t, dropped) = layers(vec![lower, upper]);
    assert_eq!(paths(&t), ["lnk", "real", "real/n"]);
    assert_eq!(dropped, [0]);
}

//! What is to be told about files, each thing once.

use super::{NodeId, Sorted, Tree};
use crate::display::display_path;
use std::collections::HashMap;

/// Different things that are told; of more only the number is.
const TOLD: usize = 16;

/// Things to tell, each with the first file that it is true of and the number of all.
#[derive(Debug, Default)]
pub struct Notes {
    list: Vec<(String, NodeId, u64)>,
    places: HashMap<String, usize>,
}

impl Notes {
    /// Something that is true of `node`; call it in canonical order.
    pub fn add(&mut self, node: NodeId, text: &str) {
        if let Some(&at) = self.places.get(text) {
            self.list[at].2 += 1;
            return;
        }
        self.places.insert(text.into(), self.list.len());
        self.list.push((text.into(), node, 1));
    }

    /// Tells them: `etc/shadow and 3 more files: …`.
    pub fn tell(self, tree: &Tree, sorted: &Sorted, warn: &mut dyn FnMut(String)) {
        let told = &self.list[..self.list.len().min(TOLD)];
        let mut paths = HashMap::new();
        if !told.is_empty() {
            // Finding a path takes a walk through the tree: one for all of them.
            tree.walk(sorted, |path, node| {
                if told.iter().any(|t| t.1 == node) {
                    paths
                        .entry(node)
                        .or_insert_with(|| display_path(path).to_string());
                }
            });
        }
        for (text, node, files) in told {
            let path = paths.get(node).map_or("/", String::as_str);
            warn(match files {
                1 => format!("{path}: {text}"),
                2 => format!("{path} and 1 more file: {text}"),
                n => format!("{path} and {} more files: {text}", n - 1),
            });
        }
        if let Some(more @ 1..) = self.list.len().checked_sub(TOLD) {
            warn(format!(
                "and {more} more ACLs and attributes that are left out"
            ));
        }
    }
}

impl Tree {
    /// A path of `node`, for messages.
    #[must_use]
    pub fn shown_path(&self, sorted: &Sorted, node: NodeId) -> String {
        let mut found = None;
        self.walk(sorted, |path, n| {
            if n == node && found.is_none() {
                found = Some(display_path(path).to_string());
            }
        });
        found.unwrap_or_else(|| "/".into())
    }
}

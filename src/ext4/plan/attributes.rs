//! The extended attributes of the whole tree: each set encoded once, its block shared.

use super::xattr::Holder;
use super::{PlanError, Steps, xattr};
use crate::ext4::disk::xattr::EXT4_XATTR_REFCOUNT_MAX as REFCOUNT_MAX;
use crate::tree::{NodeId, XattrSetId};
use crate::units::{count32, index, index32};
use std::collections::HashMap;

/// A block of attributes, shared by `refcount` inodes.
#[derive(Debug)]
pub(crate) struct XattrBlock {
    pub(crate) bytes: Vec<u8>,
    pub(crate) refcount: u32,
    pub(crate) nr: u64,
}

/// Sets of attributes with names that are left out of which a file is named.
const UNKNOWN_SETS_NAMED: u64 = 16;

/// A set of attributes, and what kind of file bears it.
pub(crate) type Bearer = (XattrSetId, Holder);

/// Attributes, encoded.
pub(super) struct Xattrs {
    pub(super) bodies: HashMap<Bearer, Box<[u8; xattr::BODY]>>,
    pub(super) blocks: Vec<XattrBlock>,
    pub(super) block_of: HashMap<NodeId, u32>,
}

impl Xattrs {
    fn add_block(&mut self, bytes: Vec<u8>) -> u32 {
        self.blocks.push(XattrBlock {
            bytes,
            refcount: 0,
            nr: 0,
        });
        count32(self.blocks.len() - 1)
    }
}

impl Steps<'_> {
    /// Encodes what the tree has.
    pub(super) fn encode_xattrs(&self, warn: &mut dyn FnMut(String)) -> Result<Xattrs, PlanError> {
        let mut x = Xattrs {
            bodies: HashMap::new(),
            blocks: Vec::new(),
            block_of: HashMap::new(),
        };
        // By set: its block, once it was encoded. A set is encoded once, however many bear it.
        let mut known: HashMap<Bearer, Option<u32>> = HashMap::new();
        let mut unknown_sets = 0_u64;
        let block = index(self.options.block_size.bytes());
        for node in self.nodes() {
            let Some(set) = self.tree.node(node).xattrs else {
                continue;
            };
            let holder = Holder::of(&self.tree.node(node).kind);
            let bearer = (set, holder);
            let mut nr = match known.get(&bearer) {
                Some(&nr) => nr,
                None => {
                    let mut unknown = Vec::new();
                    let encoded = xattr::encode(self.tree.xattrs(node), holder, block, |e| {
                        unknown.push(e.to_string());
                    });
                    let encoded = encoded.map_err(|source| PlanError::Xattr {
                        path: self.path(node),
                        source,
                    })?;
                    unknown_sets += u64::from(!unknown.is_empty());
                    // Finding a path takes a walk through the tree.
                    if unknown_sets <= UNKNOWN_SETS_NAMED {
                        for e in unknown {
                            warn(format!("{}: {e}; left out", self.path(node)));
                        }
                    }
                    x.bodies.extend(encoded.body.map(|body| (bearer, body)));
                    encoded.block.map(|bytes| x.add_block(bytes))
                }
            };
            if let Some(full) = nr.filter(|&n| x.blocks[index32(n)].refcount >= REFCOUNT_MAX) {
                let bytes = x.blocks[index32(full)].bytes.clone();
                nr = Some(x.add_block(bytes));
            }
            known.insert(bearer, nr);
            if let Some(nr) = nr {
                x.blocks[index32(nr)].refcount += 1;
                x.block_of.insert(node, nr);
            }
        }
        if let Some(more @ 1..) = unknown_sets.checked_sub(UNKNOWN_SETS_NAMED) {
            warn(format!(
                "{more} more sets of extended attributes have attributes that Linux \
                 would refuse; those are left out"
            ));
        }
        Ok(x)
    }
}

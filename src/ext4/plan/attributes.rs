//! The extended attributes of the whole tree: each set encoded once, its block shared.

use super::xattr::Holder;
use super::{PlanError, Steps, xattr};
use crate::ext4::disk::xattr::EXT4_XATTR_REFCOUNT_MAX as REFCOUNT_MAX;
use crate::tree::{NodeId, Notes, XattrSetId};
use crate::units::{count32, index, index32};
use std::collections::HashMap;
use std::collections::hash_map::Entry;

/// A block of attributes, shared by `refcount` inodes.
#[derive(Debug)]
pub(crate) struct XattrBlock {
    pub(crate) bytes: Vec<u8>,
    pub(crate) refcount: u32,
    pub(crate) nr: u64,
}

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

/// What became of a set.
#[derive(Default)]
struct Known {
    block: Option<u32>,
    notes: Vec<String>,
}

impl Steps<'_> {
    /// Encodes what the tree has.
    pub(super) fn encode_xattrs(&self, warn: &mut dyn FnMut(String)) -> Result<Xattrs, PlanError> {
        let mut x = Xattrs {
            bodies: HashMap::new(),
            blocks: Vec::new(),
            block_of: HashMap::new(),
        };
        // A set is encoded once, however many bear it.
        let mut known: HashMap<Bearer, Known> = HashMap::new();
        // Blocks of the same bytes are one, whatever else their sets hold.
        let mut by_bytes: HashMap<Vec<u8>, u32> = HashMap::new();
        let mut notes = Notes::default();
        for node in self.nodes() {
            let Some(set) = self.tree.node(node).xattrs else {
                continue;
            };
            let bearer = (set, Holder::of(&self.tree.node(node).kind));
            let known = match known.entry(bearer) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(slot) => {
                    let (encoded, notes) = self.encode(node, bearer.1)?;
                    x.bodies.extend(encoded.body.map(|body| (bearer, body)));
                    let block = encoded.block.map(|bytes| match by_bytes.get(&bytes) {
                        Some(&nr) => nr,
                        None => {
                            let nr = x.add_block(bytes.clone());
                            by_bytes.insert(bytes, nr);
                            nr
                        }
                    });
                    slot.insert(Known { block, notes })
                }
            };
            known.notes.iter().for_each(|n| notes.add(node, n));
            let Some(mut nr) = known.block else { continue };
            if x.blocks[index32(nr)].refcount >= REFCOUNT_MAX {
                let bytes = x.blocks[index32(nr)].bytes.clone();
                // Another set of the same bytes may have begun the next one already.
                let open = by_bytes.get(&bytes).copied();
                let open = open.filter(|&n| x.blocks[index32(n)].refcount < REFCOUNT_MAX);
                nr = open.unwrap_or_else(|| x.add_block(bytes.clone()));
                by_bytes.insert(bytes, nr);
                known.block = Some(nr);
            }
            x.blocks[index32(nr)].refcount += 1;
            x.block_of.insert(node, nr);
        }
        notes.tell(&self.tree, &self.sorted, warn);
        Ok(x)
    }

    /// The attributes of one node, and what is to be told of them.
    fn encode(
        &self,
        node: NodeId,
        holder: Holder,
    ) -> Result<(xattr::Encoded, Vec<String>), PlanError> {
        let mut notes = Vec::new();
        let set = self.tree.xattrs(node);
        let block = index(self.options.block_size.bytes());
        let encoded = xattr::encode(set, holder, block, |e| notes.push(e.to_string()));
        let encoded = encoded.map_err(|source| PlanError::Xattr {
            path: self.path(node),
            source,
        })?;
        if let Some(root) = xattr::capability_root(set) {
            notes.push(format!(
                "its capabilities belong to a user namespace whose root is uid {root}; they are kept, and \
                 give it nothing outside"
            ));
        }
        Ok((encoded, notes))
    }
}

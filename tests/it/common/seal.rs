//! Makes the checksums of a damaged ext4 image right again, so that the damage itself must be found.
//!
//! Where checksums lie is read from the sound image, once; after damage they are computed anew there.
//! The fuzz target `verify` uses this file too.

use diskwright::ext4::checksum;

/// A structure with a checksum. Positions are bytes of the image.
enum Seal {
    Superblock(usize),
    Descriptor {
        at: usize,
        group: u32,
    },
    /// The descriptor holds the checksum in halves.
    Bitmap {
        at: usize,
        len: usize,
        lo: usize,
        hi: usize,
    },
    Inode {
        at: usize,
        ino: u32,
    },
    Leaf {
        at: usize,
        owner: (usize, u32),
    },
    Node {
        at: usize,
        slots: usize,
        owner: (usize, u32),
    },
    Extents {
        at: usize,
        owner: (usize, u32),
    },
    Xattr(usize),
    Orphans {
        at: usize,
        owner: (usize, u32),
    },
}

/// Where an image has metadata, and how its checksums are made.
pub struct Seals {
    block: usize,
    inode: usize,
    desc: usize,
    crc16: bool,
    sealed: bool,
    seals: Vec<Seal>,
    /// Pieces of metadata: first byte and length.
    pub pieces: Vec<(usize, usize)>,
}

fn half(image: &[u8], at: usize) -> usize {
    usize::from(u16::from_le_bytes([image[at], image[at + 1]]))
}

fn word(image: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([image[at], image[at + 1], image[at + 2], image[at + 3]])
}

fn size(n: u32) -> usize {
    usize::try_from(n).unwrap()
}

const SB: usize = 1024;

impl Seals {
    /// Reads a sound image.
    pub fn new(image: &[u8]) -> Self {
        let block = 1024 << word(image, SB + 0x18);
        let ro_compat = word(image, SB + 0x64);
        let wide = word(image, SB + 0x60) & 0x80 != 0;
        let mut all = Self {
            block,
            inode: half(image, SB + 0x58),
            desc: if wide { half(image, SB + 0xFE) } else { 32 },
            crc16: ro_compat & 0x410 == 0x10,
            sealed: ro_compat & 0x400 != 0,
            seals: vec![Seal::Superblock(SB)],
            pieces: vec![(SB, 0x180), (SB + 0x240, 0x48)],
        };
        let first = size(word(image, SB + 0x14));
        let (blocks, per_group) = (size(word(image, SB + 4)), size(word(image, SB + 0x20)));
        let groups = (blocks - first).div_ceil(per_group);
        let meta = word(image, SB + 0x60) & 0x10 != 0;
        for g in 0..groups {
            let start = (first + g * per_group) * block;
            if g > 0 && image[start + 0x38..start + 0x3A] == [0x53, 0xEF] {
                all.seals.push(Seal::Superblock(start));
                all.pieces.push((start, 0x180));
                if !meta {
                    all.pieces.push((start + block, groups * all.desc));
                }
            }
            let per_block = block / all.desc;
            let table = if meta && g / per_block >= size(word(image, SB + 0x104)) {
                let home = first + g / per_block * per_block * per_group;
                // A superblock comes first where there is one.
                home + usize::from(
                    image[home * block + 0x38..home * block + 0x3A] == [0x53, 0xEF]
                        || g < per_block,
                )
            } else {
                first + 1 + g / per_block
            };
            all.group(
                image,
                u32::try_from(g).unwrap(),
                table * block + g % per_block * all.desc,
            );
        }
        all
    }

    fn group(&mut self, image: &[u8], group: u32, at: usize) {
        let (block, inodes) = (self.block, size(word(image, SB + 0x28)));
        let cover = size(word(image, SB + 0x20)) / 8;
        self.pieces.push((at, self.desc));
        let maps = [(0, 0x18, 0x38, cover), (4, 0x1A, 0x3A, inodes / 8)];
        for (field, lo, hi, len) in maps {
            let map = size(word(image, at + field)) * block;
            let hi = if self.desc >= 64 { at + hi } else { 0 };
            self.seals.push(Seal::Bitmap {
                at: map,
                len,
                lo: at + lo,
                hi,
            });
            self.pieces.push((map, len.min(64)));
            self.pieces.push((map, block));
        }
        self.seals.push(Seal::Descriptor { at, group });
        let uninit = half(image, at + 0x12) & 1 != 0;
        let unused = if self.sealed || self.crc16 {
            half(image, at + 0x1C)
        } else {
            0
        };
        let table = size(word(image, at + 8)) * block;
        let used = if uninit { 0 } else { inodes - unused };
        for n in 0..used {
            let at = table + n * self.inode;
            let ino = group * word(image, SB + 0x28) + u32::try_from(n).unwrap() + 1;
            if image[at..at + self.inode].iter().any(|b| *b != 0) {
                self.pieces.push((at, self.inode));
                self.inode(image, at, ino);
            }
        }
    }

    fn inode(&mut self, image: &[u8], at: usize, ino: u32) {
        self.seals.push(Seal::Inode { at, ino });
        let xattr = size(word(image, at + 0x68)) * self.block;
        if xattr != 0 {
            self.seals.push(Seal::Xattr(xattr));
            self.pieces.push((xattr, self.block));
        }
        let (kind, flags) = (half(image, at) >> 12, word(image, at + 0x20));
        let orphans = word(image, SB + 0x5C) & 0x1000 != 0 && ino == word(image, SB + 0x280);
        let mut blocks = Vec::new();
        if flags & 0x8_0000 != 0 {
            self.extents(image, at + 0x28, (at, ino), &mut blocks);
        } else if ino == 7 || kind == 4 || kind == 8 {
            for n in 0..15 {
                let next = size(word(image, at + 0x28 + n * 4)) * self.block;
                if next != 0 && (n >= 12 || kind == 4) {
                    self.pieces.push((next, self.block));
                }
            }
        }
        if ino == 8 {
            self.pieces.extend(blocks.first().map(|b| (*b, 0x100)));
        }
        for (n, b) in blocks.into_iter().enumerate() {
            if orphans {
                self.seals.push(Seal::Orphans {
                    at: b,
                    owner: (at, ino),
                });
                self.pieces.push((b, self.block));
            } else if kind == 4 {
                self.pieces.push((b, self.block));
                let node = flags & 0x1000 != 0 && (n == 0 || half(image, b + 4) == self.block);
                let slots = if n == 0 { 32 } else { 8 };
                self.seals.push(if node {
                    Seal::Node {
                        at: b,
                        slots,
                        owner: (at, ino),
                    }
                } else {
                    Seal::Leaf {
                        at: b,
                        owner: (at, ino),
                    }
                });
            }
        }
    }

    fn extents(&mut self, image: &[u8], node: usize, owner: (usize, u32), out: &mut Vec<usize>) {
        let depth = half(image, node + 6);
        for n in 0..half(image, node + 2) {
            let entry = node + 12 + n * 12;
            if depth > 0 {
                let child = size(word(image, entry + 4)) * self.block;
                self.seals.push(Seal::Extents { at: child, owner });
                self.pieces.push((child, self.block));
                self.extents(image, child, owner, out);
            } else {
                let (len, start) = (half(image, entry + 4), size(word(image, entry + 8)));
                out.extend((start..start + len.min(64)).map(|b| b * self.block));
            }
        }
    }

    /// Computes every checksum anew. Damage may have led fields out of their bounds: those stay wrong.
    pub fn apply(&self, image: &mut [u8]) {
        let uuid: [u8; 16] = image[SB + 0x68..SB + 0x78].try_into().unwrap();
        let seed = if word(image, SB + 0x60) & 0x2000 != 0 {
            word(image, SB + 0x270)
        } else {
            checksum::fs_seed(&uuid)
        };
        let owner = |image: &[u8], (at, ino): (usize, u32)| {
            checksum::inode_seed(seed, ino, word(image, at + 0x64))
        };
        // Descriptors come after the bitmaps whose checksums they hold.
        for seal in &self.seals {
            match *seal {
                Seal::Descriptor { at, group } if self.crc16 => {
                    let crc = checksum::group_desc_crc16(&uuid, group, &image[at..at + self.desc]);
                    image[at + 0x1E..at + 0x20].copy_from_slice(&crc.to_le_bytes());
                }
                _ if !self.sealed => {}
                Seal::Superblock(at) => {
                    let crc = checksum::superblock(image[at..at + 1024].try_into().unwrap());
                    put(image, at + 0x3FC, crc);
                }
                Seal::Descriptor { at, group } => {
                    let crc = checksum::group_desc(seed, group, &image[at..at + self.desc]);
                    image[at + 0x1E..at + 0x20].copy_from_slice(&crc.to_le_bytes());
                }
                Seal::Bitmap { at, len, lo, hi } => {
                    let crc = checksum::bitmap(seed, &image[at..at + len]).to_le_bytes();
                    image[lo..lo + 2].copy_from_slice(&crc[..2]);
                    if hi != 0 {
                        image[hi..hi + 2].copy_from_slice(&crc[2..]);
                    }
                }
                Seal::Inode { at, ino } => {
                    let seed = owner(image, (at, ino));
                    let crc = checksum::inode(seed, &image[at..at + self.inode]).to_le_bytes();
                    image[at + 0x7C..at + 0x7E].copy_from_slice(&crc[..2]);
                    if self.inode > 128 && half(image, at + 0x80) >= 4 {
                        image[at + 0x82..at + 0x84].copy_from_slice(&crc[2..]);
                    }
                }
                Seal::Leaf { at, owner: o } => {
                    let end = at + self.block;
                    let crc = checksum::dirent_block(owner(image, o), &image[at..end]);
                    put(image, end - 4, crc);
                }
                Seal::Node {
                    at,
                    slots,
                    owner: o,
                } => {
                    let bytes = &image[at..at + self.block];
                    let (limit, count) = (half(bytes, slots), half(bytes, slots + 2));
                    let counts = [count, limit].map(|n| u16::try_from(n).unwrap());
                    let crc =
                        checksum::dx_node(owner(image, o), bytes, slots, counts[0], counts[1]);
                    if let Some(crc) = crc.filter(|_| slots + limit * 8 + 8 <= self.block) {
                        put(image, at + slots + limit * 8 + 4, crc);
                    }
                }
                Seal::Extents { at, owner: o } => {
                    let tail = 12 + 12 * half(image, at + 4);
                    if tail + 4 <= self.block {
                        let bytes = &image[at..at + self.block];
                        let crc = checksum::extent_block(owner(image, o), bytes, tail);
                        put(image, at + tail, crc);
                    }
                }
                Seal::Xattr(at) => {
                    let nr = u64::try_from(at / self.block).unwrap();
                    let crc = checksum::xattr_block(seed, nr, &image[at..at + self.block]);
                    put(image, at + 16, crc);
                }
                Seal::Orphans { at, owner: o } => {
                    let nr = u64::try_from(at / self.block).unwrap();
                    let end = at + self.block - 8;
                    let crc = checksum::orphan_block(owner(image, o), nr, &image[at..end]);
                    put(image, end + 4, crc);
                }
            }
        }
    }
}

fn put(image: &mut [u8], at: usize, value: u32) {
    image[at..at + 4].copy_from_slice(&value.to_le_bytes());
}

//! POSIX ACLs as acl(5) has them, apart from any encoding on a disk.
//!
//! Archives carry them as text ([`text`]) or as the value of `system.posix_acl_*`
//! (`linux/posix_acl_xattr.h`):
//!
//! ```text
//! 0            4             12
//! │ a_version 2 │ tag perm id │ tag perm id │ …    2 + 2 + 4 bytes, little-endian
//! ```
//! [`Acl`] is what both come down to: sorted, each entry once, one that the kernel's `posix_acl_valid`
//! takes.

mod error;
pub mod text;

pub use error::AclError;

/// `POSIX_ACL_XATTR_VERSION`.
const XATTR_VERSION: u32 = 2;
/// `EXT4_ACL_VERSION`: in archives by tools that copied the disk's bytes.
const DISK_VERSION: u32 = 1;
/// `ACL_UNDEFINED_ID`: the id of entries that name nobody.
const NOBODY: u32 = u32::MAX;

/// Whom an entry is about, in the order that the kernel wants; ids ascending.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tag {
    /// The owner.
    UserObj,
    /// A user, by number.
    User(u32),
    /// The owning group.
    GroupObj,
    /// A group, by number.
    Group(u32),
    /// The most that named users, the owning group and named groups may do.
    Mask,
    /// All others.
    Other,
}

impl Tag {
    /// `e_tag`, in the attribute and on ext4's disk (`linux/posix_acl.h`).
    #[must_use]
    pub fn number(self) -> u16 {
        match self {
            Self::UserObj => 0x01,
            Self::User(_) => 0x02,
            Self::GroupObj => 0x04,
            Self::Group(_) => 0x08,
            Self::Mask => 0x10,
            Self::Other => 0x20,
        }
    }

    /// The user or group it names.
    #[must_use]
    pub fn id(self) -> Option<u32> {
        match self {
            Self::User(id) | Self::Group(id) => Some(id),
            _ => None,
        }
    }

    fn new(number: u16, id: u32) -> Result<Self, AclError> {
        Ok(match number {
            0x01 => Self::UserObj,
            0x02 => Self::User(id),
            0x04 => Self::GroupObj,
            0x08 => Self::Group(id),
            0x10 => Self::Mask,
            0x20 => Self::Other,
            tag => return Err(AclError::Tag { tag }),
        })
    }
}

/// What somebody may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AclEntry {
    /// Who.
    pub tag: Tag,
    /// Read 4, write 2, execute 1.
    pub perm: u8,
}

/// An access or default ACL.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Acl {
    entries: Vec<AclEntry>,
}

impl Acl {
    /// Entries in any order: who may do what does not depend on it, and libacl sorts as well.
    ///
    /// # Errors
    /// What the kernel's `posix_acl_valid` refuses, and two entries about the same (as libacl's
    /// `acl_check` does).
    pub fn new(mut entries: Vec<AclEntry>) -> Result<Self, AclError> {
        entries.sort_unstable_by_key(|e| e.tag);
        if let Some(pair) = entries.windows(2).find(|w| w[0].tag == w[1].tag) {
            return Err(AclError::Twice { tag: pair[0].tag });
        }
        for entry in &entries {
            if entry.perm > 7 {
                return Err(AclError::Perm {
                    perm: entry.perm.into(),
                });
            }
            if entry.tag.id() == Some(NOBODY) {
                return Err(AclError::Nobody);
            }
        }
        let has = |tag| entries.iter().any(|e| e.tag == tag);
        for tag in [Tag::UserObj, Tag::GroupObj, Tag::Other] {
            if !has(tag) {
                return Err(AclError::Lacks { tag });
            }
        }
        if !has(Tag::Mask) && entries.iter().any(|e| e.tag.id().is_some()) {
            return Err(AclError::Lacks { tag: Tag::Mask });
        }
        Ok(Self { entries })
    }

    /// Reads the value of `system.posix_acl_*`; a header alone means that there is no ACL.
    ///
    /// # Errors
    /// As [`Acl::new`], and when the bytes are cut off or of another version.
    pub fn from_xattr(value: &[u8]) -> Result<Option<Self>, AclError> {
        let (version, mut rest) = value.split_first_chunk::<4>().ok_or(AclError::CutOff)?;
        let version = u32::from_le_bytes(*version);
        if !matches!(version, XATTR_VERSION | DISK_VERSION) {
            return Err(AclError::Version { version });
        }
        let mut entries = Vec::with_capacity(rest.len() / 8);
        while let Some((&[t0, t1, p0, p1], mut tail)) = rest.split_first_chunk::<4>() {
            let (tag, perm) = (u16::from_le_bytes([t0, t1]), u16::from_le_bytes([p0, p1]));
            let mut id = NOBODY;
            if version == XATTR_VERSION || matches!(tag, 0x02 | 0x08) {
                let (bytes, behind) = tail.split_first_chunk().ok_or(AclError::CutOff)?;
                (id, tail) = (u32::from_le_bytes(*bytes), behind);
            }
            entries.push(AclEntry {
                tag: Tag::new(tag, id)?,
                perm: u8::try_from(perm).map_err(|_| AclError::Perm { perm })?,
            });
            rest = tail;
        }
        if !rest.is_empty() {
            return Err(AclError::CutOff);
        }
        if entries.is_empty() {
            return Ok(None);
        }
        Self::new(entries).map(Some)
    }

    /// The value of `system.posix_acl_*`.
    #[must_use]
    pub fn to_xattr(&self) -> Vec<u8> {
        let mut value = XATTR_VERSION.to_le_bytes().to_vec();
        for e in &self.entries {
            value.extend_from_slice(&e.tag.number().to_le_bytes());
            value.extend_from_slice(&u16::from(e.perm).to_le_bytes());
            value.extend_from_slice(&e.tag.id().unwrap_or(NOBODY).to_le_bytes());
        }
        value
    }

    /// Its entries, in the kernel's order.
    #[must_use]
    pub fn entries(&self) -> &[AclEntry] {
        &self.entries
    }

    /// Whether permission bits say as much (`posix_acl_equiv_mode`): owner, group and others only.
    #[must_use]
    pub fn is_minimal(&self) -> bool {
        self.entries.len() == 3
    }

    /// The nine permission bits of a file that bears it: those of the group show the mask, if any.
    #[must_use]
    pub fn permissions(&self) -> u16 {
        let perm = |tag| self.entries.iter().find(|e| e.tag == tag).map(|e| e.perm);
        let group = perm(Tag::Mask).or_else(|| perm(Tag::GroupObj));
        [perm(Tag::UserObj), group, perm(Tag::Other)]
            .into_iter()
            .fold(0, |bits, p| (bits << 3) | u16::from(p.unwrap_or(0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn xattr(entries: &[(u16, u16, u32)]) -> Vec<u8> {
        let mut value = vec![2, 0, 0, 0];
        for (tag, perm, id) in entries {
            value.extend_from_slice(&tag.to_le_bytes());
            value.extend_from_slice(&perm.to_le_bytes());
            value.extend_from_slice(&id.to_le_bytes());
        }
        value
    }

    const NONE: u32 = u32::MAX;
    const NAMED: [(u16, u16, u32); 5] = [
        (1, 6, NONE),
        (2, 4, 1000),
        (4, 0, NONE),
        (16, 5, NONE),
        (32, 4, NONE),
    ];

    #[test]
    fn reads_what_the_kernel_gives_and_writes_it_again() {
        let acl = Acl::from_xattr(&xattr(&NAMED)).unwrap().unwrap();
        assert_eq!(acl.to_xattr(), xattr(&NAMED));
        assert_eq!((acl.permissions(), acl.is_minimal()), (0o654, false));
        // Short entries, as on ext4's disk.
        let disk = [
            1, 0, 0, 0, 1, 0, 6, 0, 4, 0, 5, 0, 2, 0, 4, 0, 0xE8, 3, 0, 0, 16, 0, 7, 0, 32, 0, 0, 0,
        ];
        let acl = Acl::from_xattr(&disk).unwrap().unwrap();
        assert_eq!(acl.entries()[1].tag, Tag::User(1000));
        assert_eq!(acl.permissions(), 0o670);
        assert_eq!(Acl::from_xattr(&[2, 0, 0, 0]), Ok(None));
    }

    #[test]
    fn sorts_entries_and_ids() {
        let mut shuffled = [&NAMED[..], &[(8, 1, 7), (2, 7, 5), (8, 2, 3)]].concat();
        shuffled.reverse();
        let acl = Acl::from_xattr(&xattr(&shuffled)).unwrap().unwrap();
        let tags: Vec<Tag> = acl.entries().iter().map(|e| e.tag).collect();
        let (user, group) = (Tag::User, Tag::Group);
        assert_eq!(
            tags,
            [
                Tag::UserObj,
                user(5),
                user(1000),
                Tag::GroupObj,
                group(3),
                group(7),
                Tag::Mask,
                Tag::Other
            ]
        );
    }

    #[test]
    fn refuses_what_the_kernel_refuses() {
        let minimal = [(1, 7, NONE), (4, 5, NONE), (32, 0, NONE)];
        let whole = xattr(&minimal);
        assert!(Acl::from_xattr(&whole).unwrap().unwrap().is_minimal());
        let refused = |entries: &[(u16, u16, u32)]| {
            let all = [&minimal[..], entries].concat();
            Acl::from_xattr(&xattr(&all)).unwrap_err()
        };
        assert_eq!(refused(&[(64, 0, 0)]), AclError::Tag { tag: 64 });
        assert_eq!(refused(&[(16, 8, 0)]), AclError::Perm { perm: 8 });
        assert_eq!(refused(&[(16, 256, 0)]), AclError::Perm { perm: 256 });
        assert_eq!(refused(&[(2, 4, 9)]), AclError::Lacks { tag: Tag::Mask });
        assert_eq!(refused(&[(16, 4, NONE), (2, 4, NONE)]), AclError::Nobody);
        assert_eq!(
            refused(&[(4, 4, 0)]),
            AclError::Twice { tag: Tag::GroupObj }
        );
        for cut in [0, 3, 5, 8, whole.len() - 1] {
            assert_eq!(
                Acl::from_xattr(&whole[..cut]),
                Err(AclError::CutOff),
                "{cut}"
            );
        }
        let lacks = Err(AclError::Lacks { tag: Tag::Other });
        assert_eq!(Acl::from_xattr(&whole[..20]), lacks);
        let version = Err(AclError::Version { version: 3 });
        assert_eq!(Acl::from_xattr(&[3, 0, 0, 0]), version);
    }
}

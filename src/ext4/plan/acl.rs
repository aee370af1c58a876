//! POSIX ACLs, from the form that crosses system calls to the form on disk.
//!
//! | | version | entry of `USER`, `GROUP` | other entries |
//! |---|---|---|---|
//! | xattr (`linux/posix_acl_xattr.h`) | 2 | tag, perm, id: 8 bytes | tag, perm, id: 8 bytes |
//! | disk (`fs/ext4/acl.h`) | 1 | tag, perm, id: 8 bytes | tag, perm: 4 bytes |

use crate::acl::{Acl, AclError};
use crate::ext4::disk::xattr::EXT4_ACL_VERSION;

/// Turns the value of `system.posix_acl_*` into ext4's; `None` when it says that there is no ACL.
pub(super) fn to_disk(value: &[u8]) -> Result<Option<Vec<u8>>, AclError> {
    let Some(acl) = Acl::from_xattr(value)? else {
        return Ok(None);
    };
    let mut out = EXT4_ACL_VERSION.to_le_bytes().to_vec();
    for e in acl.entries() {
        out.extend_from_slice(&e.tag.number().to_le_bytes());
        out.extend_from_slice(&u16::from(e.perm).to_le_bytes());
        if let Some(id) = e.tag.id() {
            out.extend_from_slice(&id.to_le_bytes());
        }
    }
    Ok(Some(out))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::acl::{AclEntry, Tag};

    #[test]
    fn drops_the_ids_that_mean_nothing_and_the_version() {
        let entry = |tag, perm| AclEntry { tag, perm };
        let acl = Acl::new(vec![
            entry(Tag::UserObj, 6),
            entry(Tag::User(1000), 4),
            entry(Tag::GroupObj, 4),
            entry(Tag::Mask, 5),
            entry(Tag::Other, 0),
        ]);
        let v1 = [
            1, 0, 0, 0, 1, 0, 6, 0, 2, 0, 4, 0, 0xE8, 3, 0, 0, 4, 0, 4, 0, 16, 0, 5, 0, 32, 0, 0, 0,
        ];
        assert_eq!(to_disk(&acl.unwrap().to_xattr()).unwrap().unwrap(), v1);
        assert_eq!(to_disk(&[2, 0, 0, 0]), Ok(None));
        assert!(to_disk(&[3, 0, 0, 0]).is_err());
    }
}

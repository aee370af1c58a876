//! POSIX ACLs: from the form that crosses system calls to the form on disk.
//!
//! | | version | entry of `USER`, `GROUP` | other entries |
//! |---|---|---|---|
//! | xattr (`linux/posix_acl_xattr.h`) | 2 | tag, perm, id: 8 bytes | tag, perm, id: 8 bytes |
//! | disk (`fs/ext4/acl.h`) | 1 | tag, perm, id: 8 bytes | tag, perm: 4 bytes |

use crate::ext4::disk::xattr::{
    ACL_GROUP, ACL_GROUP_OBJ, ACL_MASK, ACL_OTHER, ACL_USER, ACL_USER_OBJ, EXT4_ACL_VERSION,
};

/// `POSIX_ACL_XATTR_VERSION`.
const XATTR_VERSION: u32 = 2;

/// Turns the value of `system.posix_acl_*` into ext4's.
pub(super) fn to_disk(value: &[u8]) -> Result<Vec<u8>, &'static str> {
    let (version, entries) = value
        .split_first_chunk::<4>()
        .ok_or("it is shorter than its header")?;
    match u32::from_le_bytes(*version) {
        XATTR_VERSION => {}
        // Written by a tool that copied the disk's bytes.
        EXT4_ACL_VERSION => return Ok(value.to_vec()),
        _ => return Err("its version is not 2"),
    }
    if entries.len() % 8 != 0 {
        return Err("its last entry is cut off");
    }
    let mut out = EXT4_ACL_VERSION.to_le_bytes().to_vec();
    for e in entries.chunks_exact(8) {
        let tag = u16::from_le_bytes([e[0], e[1]]);
        match tag {
            ACL_USER | ACL_GROUP => out.extend_from_slice(e),
            ACL_USER_OBJ | ACL_GROUP_OBJ | ACL_MASK | ACL_OTHER => out.extend_from_slice(&e[..4]),
            _ => return Err("an entry has an unknown tag"),
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drops_the_ids_that_mean_nothing_and_the_version() {
        let mut v2 = vec![2, 0, 0, 0];
        for (tag, perm, id) in [(1_u16, 6_u16, u32::MAX), (2, 4, 1000), (4, 4, u32::MAX)] {
            v2.extend_from_slice(&tag.to_le_bytes());
            v2.extend_from_slice(&perm.to_le_bytes());
            v2.extend_from_slice(&id.to_le_bytes());
        }
        let v1 = [
            1, 0, 0, 0, 1, 0, 6, 0, 2, 0, 4, 0, 0xE8, 3, 0, 0, 4, 0, 4, 0,
        ];
        assert_eq!(to_disk(&v2).unwrap(), v1);
        assert!(to_disk(&v2[..v2.len() - 1]).is_err());
        assert!(to_disk(&[3, 0, 0, 0]).is_err());
    }
}

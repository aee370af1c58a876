//! The value of a POSIX ACL as ext4 stores it.
//!
//! ```text
//! │ a_version = 1 │ tag perm │ tag perm id │ …     short entries: 4 bytes, USER and GROUP: 8
//! ```
//! The kernel's `ext4_acl_from_disk` answers `EINVAL` to any other version, and then every access
//! by someone other than the owner fails. e2fsck checks none of this for ext4's own form.

use crate::ext4::disk::xattr as disk;

/// Whether the value is one that the kernel takes.
pub(super) fn check(value: &[u8]) -> Result<(), String> {
    let word = |b: &[u8]| <[u8; 4]>::try_from(b).map_or(0, u32::from_le_bytes);
    let half = |b: &[u8]| <[u8; 2]>::try_from(b).map_or(0, u16::from_le_bytes);
    let version = value.get(..4).map_or(0, word);
    if version != disk::EXT4_ACL_VERSION {
        return Err(format!(
            "ACL a_version is {version}, the kernel takes only 1"
        ));
    }
    let mut rest = &value[4..];
    // Entries come in the order of their tags, named ones by ascending id.
    let mut last: Option<(u16, u32)> = None;
    let mut seen = 0u16;
    while !rest.is_empty() {
        let head = rest.get(..4).ok_or("an ACL entry is cut short")?;
        let (tag, perm) = (half(&head[..2]), half(&head[2..]));
        let named = matches!(tag, disk::ACL_USER | disk::ACL_GROUP);
        let known = disk::ACL_USER_OBJ
            | disk::ACL_USER
            | disk::ACL_GROUP_OBJ
            | disk::ACL_GROUP
            | disk::ACL_MASK
            | disk::ACL_OTHER;
        if !tag.is_power_of_two() || tag & known == 0 || perm > 7 {
            return Err(format!("an ACL entry has e_tag {tag} and e_perm {perm}"));
        }
        let len = if named { 8 } else { 4 };
        let entry = rest.get(..len).ok_or("an ACL entry is cut short")?;
        let key = (tag, entry.get(4..8).map_or(0, word));
        if last.is_some_and(|l| l >= key) {
            return Err(format!(
                "ACL entry e_tag {tag} is out of order or there twice"
            ));
        }
        last = Some(key);
        seen |= tag;
        rest = &rest[len..];
    }
    let base = disk::ACL_USER_OBJ | disk::ACL_GROUP_OBJ | disk::ACL_OTHER;
    if seen & base != base {
        return Err("the ACL lacks owner, group or others".into());
    }
    if seen & (disk::ACL_USER | disk::ACL_GROUP) != 0 && seen & disk::ACL_MASK == 0 {
        return Err("the ACL names users or groups but has no mask".into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::check;

    /// user::rwx, group::r-x, other::---
    const BASE: [u8; 16] = [1, 0, 0, 0, 1, 0, 7, 0, 4, 0, 5, 0, 0x20, 0, 0, 0];

    #[test]
    fn takes_version_1_only() {
        assert_eq!(check(&BASE), Ok(()));
        let mut v2 = BASE;
        v2[0] = 2;
        assert!(check(&v2).unwrap_err().contains("a_version is 2"));
    }

    #[test]
    fn wants_a_mask_with_named_entries() {
        let mut named = BASE.to_vec();
        named.splice(8..8, [2, 0, 7, 0, 0xE8, 3, 0, 0]);
        assert!(check(&named).unwrap_err().contains("no mask"));
        named.splice(20..20, [0x10, 0, 7, 0]);
        assert_eq!(check(&named), Ok(()));
    }

    #[test]
    fn refuses_what_is_cut_or_unordered() {
        assert!(check(&BASE[..14]).is_err());
        assert!(check(&[]).is_err());
        assert!(check(&[1, 0, 0, 0, 4, 0, 5, 0, 1, 0, 7, 0, 0x20, 0, 0, 0]).is_err());
        assert!(check(&BASE[..12]).unwrap_err().contains("lacks"));
    }
}

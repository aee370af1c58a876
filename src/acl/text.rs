//! ACLs as text: what GNU tar, star and libarchive write into `SCHILY.acl.access` and
//! `SCHILY.acl.default`.
//!
//! | writer | an entry | separator |
//! |---|---|---|
//! | GNU tar (`acl_to_text(3)`) | `user:lisa:rwx`, perhaps with `#effective:r-x` behind it | newline |
//! | star | `user:lisa:rwx:502` | comma |
//! | libarchive | `user:lisa:rwx:502`, `mask::rwx`; on Solaris `mask:rwx` | comma |
//!
//! All are read in either record, with the short forms of setfacl(1) (`u:`, `d:`) and with its mask
//! where there is none: everything that the named entries and the group allow.

use super::{Acl, AclEntry, AclError, Tag};
use crate::display::display_path;

/// The numbers of names: `/etc/passwd` and `/etc/group` of the image.
pub trait Names {
    /// The number of a user.
    fn user(&self, name: &[u8]) -> Option<u32>;
    /// The number of a group.
    fn group(&self, name: &[u8]) -> Option<u32>;
}

/// Knows no name: numbers only.
#[derive(Clone, Copy, Debug)]
pub struct NoNames;

impl Names for NoNames {
    fn user(&self, _: &[u8]) -> Option<u32> {
        None
    }

    fn group(&self, _: &[u8]) -> Option<u32> {
        None
    }
}

/// Somebody whose number cannot be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unknown {
    /// `user` or `group`.
    pub what: &'static str,
    /// The name.
    pub name: Vec<u8>,
}

/// What a text says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parsed {
    /// Entries of the access ACL.
    pub access: Vec<AclEntry>,
    /// Entries marked `default:`.
    pub default: Vec<AclEntry>,
    /// Names without a number; their entries are left out.
    pub unknown: Vec<Unknown>,
}

/// An ACL as text that names nobody: numbers alone, entries apart by commas, as every writer's reader takes it.
#[must_use]
pub fn format(acl: &Acl) -> String {
    let entries = acl.entries().iter().map(|e| {
        let (word, id) = match e.tag {
            Tag::UserObj => ("user", None),
            Tag::User(id) => ("user", Some(id)),
            Tag::GroupObj => ("group", None),
            Tag::Group(id) => ("group", Some(id)),
            Tag::Mask => ("mask", None),
            Tag::Other => ("other", None),
        };
        let id = id.map_or_else(String::new, |id| id.to_string());
        let bit = |bit, letter| if e.perm & bit != 0 { letter } else { '-' };
        format!("{word}:{id}:{}{}{}", bit(4, 'r'), bit(2, 'w'), bit(1, 'x'))
    });
    entries.collect::<Vec<_>>().join(",")
}

/// Reads a text. A name counts before the number behind it, as the image's own accounts are those
/// that will be asked; a name of digits is a number when no account bears it.
///
/// # Errors
/// [`AclError::Text`].
pub fn parse(text: &[u8], names: &dyn Names) -> Result<Parsed, AclError> {
    let mut parsed = Parsed::default();
    for part in text.split(|b| matches!(b, b',' | b'\n')) {
        let comment = part.iter().position(|&b| b == b'#');
        let part = part[..comment.unwrap_or(part.len())].trim_ascii();
        if part.is_empty() {
            continue;
        }
        let bad = || AclError::Text {
            entry: display_path(part).to_string(),
        };
        let mut fields: Vec<&[u8]> = part.split(|&b| b == b':').map(<[u8]>::trim_ascii).collect();
        let is_default = matches!(fields[0], b"default" | b"d");
        if is_default {
            fields.remove(0);
        }
        let whose = |fields: &[&[u8]]| match fields {
            [_, name, perm] => Some((unquote(name), permissions(perm)?, None)),
            [_, name, perm, id] => Some((unquote(name), permissions(perm)?, Some(number(id)?))),
            _ => None,
        };
        let (tag, perm) = match fields.first() {
            Some(&(b"user" | b"u")) => {
                let (name, perm, id) = whose(&fields).ok_or_else(bad)?;
                let known = || names.user(&name).or(id).or_else(|| number(&name));
                let tag = match name.is_empty() {
                    true => Some(Tag::UserObj),
                    false => known().map(Tag::User),
                };
                (tag.ok_or(("user", name)), perm)
            }
            Some(&(b"group" | b"g")) => {
                let (name, perm, id) = whose(&fields).ok_or_else(bad)?;
                let known = || names.group(&name).or(id).or_else(|| number(&name));
                let tag = match name.is_empty() {
                    true => Some(Tag::GroupObj),
                    false => known().map(Tag::Group),
                };
                (tag.ok_or(("group", name)), perm)
            }
            Some(&kind @ (b"mask" | b"m" | b"other" | b"o")) => {
                let perm = match fields[1..] {
                    [b"", perm] | [perm] => permissions(perm),
                    _ => None,
                };
                let tag = match kind[0] {
                    b'm' => Tag::Mask,
                    _ => Tag::Other,
                };
                (Ok(tag), perm.ok_or_else(bad)?)
            }
            _ => return Err(bad()),
        };
        match tag {
            Ok(tag) if is_default => parsed.default.push(AclEntry { tag, perm }),
            Ok(tag) => parsed.access.push(AclEntry { tag, perm }),
            Err((what, name)) => parsed.unknown.push(Unknown { what, name }),
        }
    }
    Ok(parsed)
}

/// An ACL of entries that were read from text; `None` of none.
///
/// # Errors
/// As [`Acl::new`]; a missing mask is none.
pub fn acl(mut entries: Vec<AclEntry>) -> Result<Option<Acl>, AclError> {
    if entries.is_empty() {
        return Ok(None);
    }
    let named = entries.iter().any(|e| e.tag.id().is_some());
    if named && !entries.iter().any(|e| e.tag == Tag::Mask) {
        let class = entries
            .iter()
            .filter(|e| e.tag == Tag::GroupObj || e.tag.id().is_some());
        let perm = class.fold(0, |all, e| all | e.perm);
        entries.push(AclEntry {
            tag: Tag::Mask,
            perm,
        });
    }
    Acl::new(entries).map(Some)
}

/// `rwx` with `-` for what is not allowed, in any order; or one octal digit.
fn permissions(text: &[u8]) -> Option<u8> {
    if let [digit @ b'0'..=b'7'] = text {
        return Some(digit & 7);
    }
    if text.is_empty() || text.len() > 3 {
        return None;
    }
    text.iter().try_fold(0, |all, b| match b {
        b'r' => Some(all | 4),
        b'w' => Some(all | 2),
        b'x' => Some(all | 1),
        b'-' => Some(all),
        _ => None,
    })
}

fn number(text: &[u8]) -> Option<u32> {
    let digits = std::str::from_utf8(text).ok()?;
    let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| digits.parse().ok())?
}

/// libacl writes what would part the text (`:`, `,`, blanks, `\`) as `\` and three octal digits.
fn unquote(name: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(name.len());
    let mut rest = name;
    loop {
        rest = match rest {
            [] => return out,
            [
                b'\\',
                a @ b'0'..=b'3',
                b @ b'0'..=b'7',
                c @ b'0'..=b'7',
                tail @ ..,
            ] => {
                out.push(((a & 7) << 6) | ((b & 7) << 3) | (c & 7));
                tail
            }
            [byte, tail @ ..] => {
                out.push(*byte);
                tail
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Image;

    impl Names for Image {
        fn user(&self, name: &[u8]) -> Option<u32> {
            match name {
                b"lisa" => Some(1000),
                b"a b" => Some(7),
                b"33" => Some(3333),
                _ => None,
            }
        }

        fn group(&self, name: &[u8]) -> Option<u32> {
            (name == b"adm").then_some(4)
        }
    }

    fn access(text: &str) -> Acl {
        let parsed = parse(text.as_bytes(), &Image).unwrap();
        assert_eq!((&parsed.default, &parsed.unknown), (&vec![], &vec![]));
        acl(parsed.access).unwrap().unwrap()
    }

    #[test]
    fn every_writers_form_says_the_same() {
        let gnu = access(
            "user::rwx\nuser:lisa:rwx\t#effective:r-x\ngroup::r-x\ngroup:adm:--x\nmask::r-x\nother::---\n",
        );
        assert_eq!(gnu.permissions(), 0o750);
        let perms: Vec<_> = gnu.entries().iter().map(|e| (e.tag, e.perm)).collect();
        assert_eq!(
            perms,
            [
                (Tag::UserObj, 7),
                (Tag::User(1000), 7),
                (Tag::GroupObj, 5),
                (Tag::Group(4), 1),
                (Tag::Mask, 5),
                (Tag::Other, 0)
            ]
        );
        for other in [
            // star, libarchive: its own number stands back behind the image's.
            "user::rwx,user:lisa:rwx:502,group::r-x,group:adm:--x:77,mask::r-x,other::---",
            // libarchive on Solaris.
            "user::rwx,group::r-x,mask:r-x,other:---,user:lisa:rwx:502,group:adm:--x:4",
            // Numbers, known by their own or by the one behind them.
            "user::rwx,user:1000:rwx,group::r-x,group:staff:--x:4,mask::r-x,other::---",
            // setfacl's short forms, blanks.
            " u::rwx, u : lisa : rwx , g::rx , g:adm:1, m::5, o::0 ",
        ] {
            assert_eq!(access(other), gnu, "{other}");
        }
    }

    #[test]
    fn a_mask_that_is_not_there_is_what_the_group_class_may_do() {
        let acl = access("user::rw-,group::r--,user:lisa:-w-,other::---");
        assert_eq!(acl.permissions(), 0o660);
        assert!(access("user::rw-,group::r--,other::---").is_minimal());
    }

    #[test]
    fn names_may_be_quoted_or_look_like_numbers() {
        let acl = access("user::r,group::r,other::r,user:a\\040b:r,user:33:w,user:34:x");
        let ids: Vec<u32> = acl.entries().iter().filter_map(|e| e.tag.id()).collect();
        assert_eq!(ids, [7, 34, 3333]);
    }

    #[test]
    fn default_entries_go_to_their_own_and_strangers_are_told() {
        let text = b"user::rwx\ndefault:user:lisa:r--\nd:g:ghost:rwx\nuser:nemo:---\n";
        let parsed = parse(text, &Image).unwrap();
        assert_eq!((parsed.access.len(), parsed.default.len()), (1, 1));
        let names: Vec<_> = parsed
            .unknown
            .iter()
            .map(|u| (u.what, &u.name[..]))
            .collect();
        assert_eq!(names, [("group", &b"ghost"[..]), ("user", b"nemo")]);
        assert_eq!(parse(b" \n# nothing\n,", &Image), Ok(Parsed::default()));
        assert_eq!(acl(Vec::new()), Ok(None));
    }

    #[test]
    fn what_is_no_entry_is_shown() {
        for bad in [
            "user",
            "user:",
            "user::",
            "user::rwxr",
            "user::rwz",
            "user::8",
            "user:lisa",
            "user:lisa:rwx:x",
            "user:lisa:rwx:1:2",
            "mask:x:rwx",
            "other",
            "everyone@:rwx",
            "default:",
            "\u{1b}[0m",
        ] {
            let text = format!("user::rwx,{bad}");
            let error = parse(text.as_bytes(), &Image).unwrap_err();
            assert!(matches!(error, AclError::Text { .. }), "{bad}: {error:?}");
            assert!(!error.to_string().contains('\u{1b}'));
        }
    }
}

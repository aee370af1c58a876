//! pax extended headers: records `length SP keyword=value LF`, for the next entry (`x`) or for all
//! that follow (`g`).
//!
//! A value of the next entry's stands above one of all, that above the header's. An empty value deletes
//! what stood there before; an attribute may be empty, though, and GNU tar and libarchive write it so:
//! `SCHILY.xattr.user.a=` is an attribute without content.

use std::collections::HashMap;

use super::pax_value::{base64, number, time, unescape_gnu, unescape_url};
use super::sparse::{PaxSparse, parse_map};
use crate::display::display_path;
use crate::units::{Timestamp, count};

/// A value that a record may set or delete.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Setting<T> {
    /// No record speaks of it.
    #[default]
    Unsaid,
    /// An empty record took it back.
    Deleted,
    /// The last record's value.
    Said(T),
}

impl<T> Setting<T> {
    /// Local above global.
    pub(super) fn over<'a>(&'a self, global: &'a Self) -> Option<&'a T> {
        match (self, global) {
            (Self::Said(value), _) | (Self::Unsaid, Self::Said(value)) => Some(value),
            _ => None,
        }
    }

    /// The value, where no global one can stand behind it.
    pub(super) fn get(&self) -> Option<&T> {
        self.over(&Self::Unsaid)
    }

    fn set(
        &mut self,
        value: &[u8],
        parse: impl FnOnce(&[u8]) -> Result<T, String>,
    ) -> Result<(), String> {
        *self = if value.is_empty() {
            Self::Deleted
        } else {
            Self::Said(parse(value)?)
        };
        Ok(())
    }
}

/// Who spoke of an extended attribute; a later one stands above an earlier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Origin {
    RedHat,
    Libarchive,
    Schily,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Xattr {
    name: Vec<u8>,
    value: Vec<u8>,
    origin: Origin,
}

/// The records of one or more headers, those we know.
#[derive(Clone, Debug, Default)]
pub(super) struct Records {
    pub(super) path: Setting<Vec<u8>>,
    pub(super) linkpath: Setting<Vec<u8>>,
    pub(super) size: Setting<u64>,
    pub(super) uid: Setting<u32>,
    pub(super) gid: Setting<u32>,
    pub(super) mtime: Setting<Timestamp>,
    pub(super) atime: Setting<Timestamp>,
    pub(super) ctime: Setting<Timestamp>,
    pub(super) devmajor: Setting<u32>,
    pub(super) devminor: Setting<u32>,
    pub(super) acl_access: Setting<Vec<u8>>,
    pub(super) acl_default: Setting<Vec<u8>>,
    pub(super) sparse: PaxSparse,
    xattrs: Vec<Xattr>,
}

/// A record that cannot be understood.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// The keyword, or where the record stands.
    pub(super) field: String,
    pub(super) why: String,
}

impl Records {
    /// Adds the records of a header's body; later ones override.
    pub(super) fn add(&mut self, body: &[u8]) -> Result<(), Fault> {
        let mut rest = body;
        // A NUL where a length should stand is padding, as GNU tar takes it.
        while rest.first().is_some_and(|&b| b != 0) {
            let at = count(body.len().saturating_sub(rest.len()));
            let (record, tail) = split_record(rest).ok_or_else(|| Fault {
                field: format!("pax record at byte {at} of its header"),
                why: String::from("it is not of the form 'length keyword=value' with its newline"),
            })?;
            let (key, value) = record;
            self.record(key, value).map_err(|why| Fault {
                field: format!("pax record '{}'", display_path(key)),
                why,
            })?;
            rest = tail;
        }
        Ok(())
    }

    fn record(&mut self, key: &[u8], value: &[u8]) -> Result<(), String> {
        let bytes = |v: &[u8]| Ok(v.to_vec());
        match key {
            b"path" => self.path.set(value, bytes),
            b"linkpath" => self.linkpath.set(value, bytes),
            b"size" => self.size.set(value, number),
            b"uid" => self.uid.set(value, number),
            b"gid" => self.gid.set(value, number),
            b"mtime" => self.mtime.set(value, time),
            b"atime" => self.atime.set(value, time),
            b"ctime" => self.ctime.set(value, time),
            b"SCHILY.devmajor" => self.devmajor.set(value, number),
            b"SCHILY.devminor" => self.devminor.set(value, number),
            b"SCHILY.acl.access" => self.acl_access.set(value, bytes),
            b"SCHILY.acl.default" => self.acl_default.set(value, bytes),
            // NFSv4 ACLs: nobody has an attribute of that name, so that it is told as one that is left out.
            b"SCHILY.acl.ace" => self.xattr(key.to_vec(), value.to_vec(), Origin::Schily),
            b"GNU.sparse.major" => self.sparse.major.set(value, number),
            b"GNU.sparse.minor" => self.sparse.minor.set(value, number),
            b"GNU.sparse.name" => self.sparse.name.set(value, bytes),
            b"GNU.sparse.size" | b"GNU.sparse.realsize" => self.sparse.size.set(value, number),
            b"GNU.sparse.numblocks" => self.sparse.numblocks.set(value, number),
            b"GNU.sparse.map" => self.sparse.map.set(value, parse_map),
            b"GNU.sparse.offset" => self.sparse.push_offset(number(value)?),
            b"GNU.sparse.numbytes" => self.sparse.push_numbytes(number(value)?),
            b"RHT.security.selinux" => {
                // The kernel keeps the label with its NUL, the record is without.
                let label = value.strip_suffix(b"\0").unwrap_or(value);
                let stored = [label, b"\0"].concat();
                self.xattr(b"security.selinux".to_vec(), stored, Origin::RedHat)
            }
            _ => self.prefixed(key, value),
        }
    }

    fn prefixed(&mut self, key: &[u8], value: &[u8]) -> Result<(), String> {
        if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
            self.xattr(unescape_gnu(name), value.to_vec(), Origin::Schily)
        } else if let Some(name) = key.strip_prefix(b"LIBARCHIVE.xattr.") {
            self.xattr(unescape_url(name), base64(value)?, Origin::Libarchive)
        } else {
            // POSIX: keywords that are not understood are ignored.
            Ok(())
        }
    }

    fn xattr(&mut self, name: Vec<u8>, value: Vec<u8>, origin: Origin) -> Result<(), String> {
        if name.is_empty() || name.contains(&0) {
            return Err(String::from(
                "the attribute's name is empty or has a NUL inside",
            ));
        }
        self.xattrs.push(Xattr {
            name,
            value,
            origin,
        });
        Ok(())
    }

    /// Makes the records fit to stand for all entries: each attribute once, nothing of sparse files.
    /// Gives the bytes that every entry would bear.
    pub(super) fn settle_global(&mut self) -> usize {
        self.sparse = PaxSparse::default();
        let mut last: HashMap<Vec<u8>, Xattr> = HashMap::new();
        let mut order = Vec::new();
        for x in std::mem::take(&mut self.xattrs) {
            match last.get_mut(&x.name) {
                Some(slot) if x.origin >= slot.origin => *slot = x,
                Some(_) => {}
                None => {
                    order.push(x.name.clone());
                    last.insert(x.name.clone(), x);
                }
            }
        }
        self.xattrs = order.iter().filter_map(|name| last.remove(name)).collect();
        let texts = [
            &self.path,
            &self.linkpath,
            &self.acl_access,
            &self.acl_default,
        ];
        let texts = texts.into_iter().map(|s| s.get().map_or(0, Vec::len));
        let xattrs = self
            .xattrs
            .iter()
            .map(|x| x.name.len().saturating_add(x.value.len()));
        texts.chain(xattrs).fold(0, usize::saturating_add)
    }

    /// The attributes of an entry, names unique, in order of first mention; `self` is local.
    pub(super) fn xattrs_over(&self, global: &Self) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut slots: HashMap<&[u8], (usize, bool, Origin)> = HashMap::new();
        let mut out: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
        let all = global
            .xattrs
            .iter()
            .map(|x| (false, x))
            .chain(self.xattrs.iter().map(|x| (true, x)));
        for (local, x) in all {
            match slots.get_mut(&x.name[..]) {
                Some((slot, by_local, origin)) => {
                    if (local, x.origin) >= (*by_local, *origin) {
                        (*by_local, *origin) = (local, x.origin);
                        if let Some(pair) = out.get_mut(*slot) {
                            pair.1.clone_from(&x.value);
                        }
                    }
                }
                None => {
                    slots.insert(&x.name, (out.len(), local, x.origin));
                    out.push((x.name.clone(), x.value.clone()));
                }
            }
        }
        out
    }
}

/// Keyword, value; and what follows.
type Split<'a> = ((&'a [u8], &'a [u8]), &'a [u8]);

fn split_record(bytes: &[u8]) -> Option<Split<'_>> {
    // The length is of the whole record; 20 digits hold any u64.
    let digits = bytes.iter().take(21).position(|&b| b == b' ')?;
    let len: usize = number(bytes.get(..digits)?).ok()?;
    let record = bytes.get(..len)?;
    let text = record.get(digits.checked_add(1)?..)?.strip_suffix(b"\n")?;
    let equals = text.iter().position(|&b| b == b'=')?;
    let (key, value) = text.split_at_checked(equals)?;
    if key.is_empty() {
        return None;
    }
    Some(((key, value.get(1..)?), bytes.get(len..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(key: &str, value: &[u8]) -> Vec<u8> {
        let body = key.len() + value.len() + 3;
        let mut len = body + 1;
        while body + len.to_string().len() != len {
            len = body + len.to_string().len();
        }
        [
            len.to_string().as_bytes(),
            b" ",
            key.as_bytes(),
            b"=",
            value,
            b"\n",
        ]
        .concat()
    }

    fn records(pairs: &[(&str, &[u8])]) -> Records {
        let mut all = Records::default();
        for (key, value) in pairs {
            all.add(&record(key, value)).unwrap();
        }
        all
    }

    #[test]
    fn local_stands_above_global_and_empty_deletes() {
        let global = records(&[("uid", b"1"), ("gid", b"2"), ("path", b"global")]);
        let local = records(&[("uid", b"7"), ("uid", b"8"), ("gid", b"")]);
        assert_eq!(local.uid.over(&global.uid), Some(&8));
        assert_eq!(local.gid.over(&global.gid), None);
        assert_eq!(local.path.over(&global.path), Some(&b"global".to_vec()));
        assert_eq!(local.mtime.over(&global.mtime), None);
    }

    #[test]
    fn values_may_hold_newlines_nuls_and_equal_signs() {
        let all = records(&[
            ("SCHILY.xattr.user.x", b"a\nb\0c=d"),
            ("path", b"new\nline=x"),
        ]);
        assert_eq!(
            all.xattrs_over(&Records::default()),
            [(b"user.x".to_vec(), b"a\nb\0c=d".to_vec())]
        );
        assert_eq!(all.path, Setting::Said(b"new\nline=x".to_vec()));
    }

    #[test]
    fn of_two_origins_schily_wins_in_either_order() {
        let schily = ("SCHILY.xattr.user.a", &b"raw"[..]);
        let libarchive = ("LIBARCHIVE.xattr.user.a", &b"YmFzZTY0"[..]);
        let none = Records::default();
        for pair in [[schily, libarchive], [libarchive, schily]] {
            let all = records(&pair);
            assert_eq!(
                all.xattrs_over(&none),
                [(b"user.a".to_vec(), b"raw".to_vec())]
            );
        }
        let alone = records(&[libarchive]);
        assert_eq!(
            alone.xattrs_over(&none),
            [(b"user.a".to_vec(), b"base64".to_vec())]
        );
        // The next entry's own record stands above any of all entries.
        assert_eq!(
            alone.xattrs_over(&records(&[schily])),
            [(b"user.a".to_vec(), b"base64".to_vec())]
        );
    }

    #[test]
    fn selinux_label_gets_the_nul_that_the_kernel_stores() {
        for value in [
            &b"system_u:object_r:etc_t:s0"[..],
            b"system_u:object_r:etc_t:s0\0",
        ] {
            let all = records(&[("RHT.security.selinux", value)]);
            let stored = b"system_u:object_r:etc_t:s0\0".to_vec();
            let name = b"security.selinux".to_vec();
            assert_eq!(all.xattrs_over(&Records::default()), [(name, stored)]);
        }
    }

    #[test]
    fn an_attribute_may_be_empty_and_unknown_keywords_pass() {
        let all = records(&[
            ("SCHILY.xattr.user.e", b""),
            ("comment", b"x"),
            ("hdrcharset", b"B"),
        ]);
        assert_eq!(
            all.xattrs_over(&Records::default()),
            [(b"user.e".to_vec(), Vec::new())]
        );
    }

    #[test]
    fn malformed_records_say_where() {
        for bad in [
            &b"x"[..],
            b"5 a=b\n",
            b"99 path=x\n",
            b"6 path=x",
            b" path=x\n",
            b"0 \n",
            b"18446744073709551615 path=x\n",
            b"4 =\n",
            b"5 ab\n",
        ] {
            let fault = Records::default().add(bad).unwrap_err();
            assert!(
                fault.field.starts_with("pax record at byte 0"),
                "{bad:?}: {fault:?}"
            );
        }
        let fault = Records::default().add(&record("uid", b"-1")).unwrap_err();
        assert_eq!(
            (&fault.field[..], &fault.why[..]),
            ("pax record 'uid'", "'-1' is no number in range")
        );
        let padded = [record("uid", b"5"), vec![0; 20]].concat();
        let mut all = Records::default();
        all.add(&padded).unwrap();
        assert_eq!(all.uid, Setting::Said(5));
    }
}

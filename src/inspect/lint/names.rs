//! What fstab may call the filesystems of a disk, and whether it means one of them.

use crate::inspect::{Info, InspectError};
use crate::read_at::ReadAt;
use std::io;

/// What a filesystem or partition is called: `UUID`, `LABEL`, `PARTUUID` or `PARTLABEL`, and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Name {
    kind: &'static str,
    value: String,
}

/// The kinds, as fstab(5) and the folders of `/dev/disk` have them.
const KINDS: [(&str, &str); 4] = [
    ("UUID", "uuid"),
    ("LABEL", "label"),
    ("PARTUUID", "partuuid"),
    ("PARTLABEL", "partlabel"),
];

impl Name {
    /// What the first field of fstab names, unless it is a device or something that is no disk's.
    pub(super) fn parse(field: &str) -> Option<Self> {
        let by = field
            .strip_prefix("/dev/disk/by-")
            .and_then(|f| f.split_once('/'));
        let tag = field.split_once('=');
        let (kind, value) = match (by, tag) {
            (Some((folder, value)), _) => {
                let (kind, _) = KINDS.iter().find(|(_, f)| *f == folder)?;
                (kind, unescaped(value, "\\x", 16))
            }
            (_, Some((tag, value))) => {
                let (kind, _) = KINDS.iter().find(|(k, _)| *k == tag)?;
                (kind, unescaped(value.trim_matches('"'), "\\", 8))
            }
            _ => return None,
        };
        Some(Self { kind, value })
    }

    /// Whether two mean the same. Hexadecimal digits are the same in either case, the letters of labels are not.
    pub(super) fn is(&self, other: &Self) -> bool {
        let same = match self.kind {
            "UUID" | "PARTUUID" => self.value.eq_ignore_ascii_case(&other.value),
            _ => self.value == other.value,
        };
        self.kind == other.kind && same
    }
}

/// `\040` of fstab or `\x20` of udev made the bytes that they stand for.
fn unescaped(value: &str, mark: &str, radix: u32) -> String {
    let len = if radix == 16 { 2 } else { 3 };
    let mut bytes = Vec::new();
    let mut rest = value;
    while let Some((before, after)) = rest.split_once(mark) {
        bytes.extend(before.as_bytes());
        let code = after.get(..len);
        if let Some(byte) = code.and_then(|c| u8::from_str_radix(c, radix).ok()) {
            bytes.push(byte);
            rest = &after[len..];
        } else {
            bytes.extend(mark.as_bytes());
            rest = after;
        }
    }
    bytes.extend(rest.as_bytes());
    String::from_utf8_lossy(&bytes).into_owned()
}

/// All names on a disk, and whether it has partitions of which nobody here can tell what they hold.
pub(super) fn names(disk: &dyn ReadAt, info: &Info) -> Result<(Vec<Name>, bool), InspectError> {
    let mut names = Vec::new();
    let mut unknown = false;
    let mut add = |kind, value: &str| {
        if !value.is_empty() {
            let value = value.to_owned();
            names.push(Name { kind, value });
        }
    };
    if let Some(f) = &info.filesystem {
        add("UUID", &f.uuid.to_string());
        add("LABEL", &f.label);
    }
    for p in &info.partitions {
        add("PARTUUID", &p.partuuid);
        p.label.iter().for_each(|l| add("PARTLABEL", l));
        if let Some(f) = &p.filesystem {
            add("UUID", &f.uuid.to_string());
            add("LABEL", &f.label);
        } else if let Some(f) = &p.fat {
            add("UUID", &f.uuid);
            add("LABEL", &f.label);
        } else if let Some(other) = other(disk, p.bytes(info.size).0)? {
            add("UUID", &other.uuid);
            add("LABEL", &other.label);
        } else if p.type_name != "BIOS boot" {
            unknown = true;
        }
    }
    Ok((names, unknown))
}

/// A volume that is only called by its name here.
#[derive(Debug, PartialEq, Eq)]
struct Other {
    uuid: String,
    label: String,
}

/// Where a volume says what it is: offset and bytes of the magic number, offsets of UUID and label, length of
/// the label.
struct Signature {
    magic: (usize, &'static [u8]),
    uuid: usize,
    label: usize,
    label_len: usize,
}

/// XFS (`xfs_dsb`), swap (`union swap_header`, on pages of 4 KiB and 64 KiB), btrfs (`btrfs_super_block`, at
/// 64 KiB).
const SIGNATURES: [Signature; 4] = [
    Signature {
        magic: (0, b"XFSB"),
        uuid: 32,
        label: 108,
        label_len: 12,
    },
    Signature {
        magic: (4086, b"SWAPSPACE2"),
        uuid: 1036,
        label: 1052,
        label_len: 16,
    },
    Signature {
        magic: (65526, b"SWAPSPACE2"),
        uuid: 1036,
        label: 1052,
        label_len: 16,
    },
    Signature {
        magic: (65536 + 0x40, b"_BHRfS_M"),
        uuid: 65536 + 0x20,
        label: 65536 + 0x12b,
        label_len: 256,
    },
];

fn other(disk: &dyn ReadAt, at: u64) -> Result<Option<Other>, InspectError> {
    let field = |offset: usize, len: usize| {
        let offset = at.saturating_add(crate::units::count(offset));
        let mut bytes = vec![0; len];
        match disk.read_exact_at(offset, &mut bytes) {
            Err(e) if e.kind() != io::ErrorKind::UnexpectedEof => {
                Err(InspectError::Read { offset, source: e })
            }
            _ => Ok(bytes),
        }
    };
    for s in SIGNATURES {
        let (offset, magic) = s.magic;
        if field(offset, magic.len())? != magic {
            continue;
        }
        let uuid = uuid::Uuid::from_slice(&field(s.uuid, 16)?).unwrap_or_default();
        let label = field(s.label, s.label_len)?;
        let label = label.split(|&b| b == 0).next().unwrap_or_default();
        return Ok(Some(Other {
            uuid: uuid.to_string(),
            label: String::from_utf8_lossy(label).into_owned(),
        }));
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn names_are_compared_as_the_kernel_and_udev_do() {
        let same = |a: &str, b: &str| Name::parse(a).unwrap().is(&Name::parse(b).unwrap());
        assert!(same("UUID=ABCD-12EF", "/dev/disk/by-uuid/abcd-12ef"));
        assert!(same("LABEL=\"a\\040b\"", "/dev/disk/by-label/a\\x20b"));
        assert!(!same("LABEL=Root", "LABEL=root"));
        assert!(!same("LABEL=EFI", "PARTLABEL=EFI"));
        assert!(same("LABEL=a\\zb", "LABEL=a\\zb") && same("LABEL=ä\\0ü", "LABEL=ä\\0ü"));
        for none in [
            "/dev/sda1",
            "tmpfs",
            "//host/share",
            "ZFS=tank",
            "# UUID=x",
            "/dev/disk/by-id/x",
        ] {
            assert_eq!(Name::parse(none), None);
        }
    }

    #[test]
    fn swap_has_the_names_that_mkswap_gave_it() {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(1 << 20).unwrap();
        let uuid = "0d0f8e6a-2b7c-4f52-9d9b-7d3a3b1d5e11";
        let made = Command::new("/sbin/mkswap")
            .args(["-q", "-L", "Swap one", "-U", uuid])
            .arg(file.path())
            .status();
        assert!(made.unwrap().success());
        let disk = [vec![0; 4096], std::fs::read(file.path()).unwrap()].concat();
        let expected = Other {
            uuid: uuid.into(),
            label: "Swap one".into(),
        };
        assert_eq!(other(&disk, 4096).unwrap(), Some(expected));
        assert_eq!(other(&disk, 0).unwrap(), None);
        assert_eq!(other(&disk, 1 << 40).unwrap(), None);
    }
}

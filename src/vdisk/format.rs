//! The formats by name.

use super::{MAX_DISK, VdiskError, vhd, vmdk};
use crate::units::MIB;
use std::fmt;
use std::path::Path;

/// What a file is that holds a disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub enum Format {
    /// The disk's bytes and nothing else.
    #[default]
    #[serde(rename = "raw")]
    Raw,
    /// Those bytes through zstd.
    #[serde(rename = "raw.zst")]
    RawZst,
    /// Those bytes through gzip.
    #[serde(rename = "raw.gz")]
    RawGz,
    /// qcow2, version 3.
    #[serde(rename = "qcow2")]
    Qcow2,
    /// VMDK, streamOptimized.
    #[serde(rename = "vmdk")]
    Vmdk,
    /// VHD, dynamic.
    #[serde(rename = "vhd")]
    Vhd,
    /// VHD, fixed: the raw disk and a footer.
    #[serde(rename = "vhd-fixed")]
    VhdFixed,
}

impl Format {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Raw,
        Self::RawZst,
        Self::RawGz,
        Self::Qcow2,
        Self::Vmdk,
        Self::Vhd,
        Self::VhdFixed,
    ];

    /// The word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::RawZst => "raw.zst",
            Self::RawGz => "raw.gz",
            Self::Qcow2 => "qcow2",
            Self::Vmdk => "vmdk",
            Self::Vhd => "vhd",
            Self::VhdFixed => "vhd-fixed",
        }
    }

    /// The format of that word.
    #[must_use]
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|f| f.word() == word)
    }

    /// What the name of a file to be written asks for, by its last suffix; raw when it says nothing.
    #[must_use]
    pub fn of_name(path: &Path) -> Self {
        let suffix = path.extension().and_then(|s| s.to_str());
        match suffix.map(str::to_ascii_lowercase).as_deref() {
            Some("zst") => Self::RawZst,
            Some("gz") => Self::RawGz,
            Some("qcow2") => Self::Qcow2,
            Some("vmdk") => Self::Vmdk,
            Some("vhd") => Self::Vhd,
            _ => Self::Raw,
        }
    }

    /// Whether it holds a disk of `size` bytes.
    ///
    /// # Errors
    /// When the disk is too large.
    pub const fn check_size(self, size: u64) -> Result<(), VdiskError> {
        let max = match self {
            Self::Raw | Self::RawZst | Self::RawGz | Self::Qcow2 => MAX_DISK,
            Self::Vmdk => vmdk::MAX_SIZE,
            Self::Vhd | Self::VhdFixed => vhd::MAX_SIZE,
        };
        if size > max {
            return Err(VdiskError::TooLarge {
                size,
                format: self,
                max,
            });
        }
        Ok(())
    }

    /// Disks that everyone takes in it are a multiple of so many bytes: Azure takes VHDs of whole MiB alone, and the
    /// capacity of a VMDK "should be a multiple of the grain size" (*Virtual Disk Format 5.0*).
    #[must_use]
    pub const fn unit(self) -> u64 {
        match self {
            Self::Raw | Self::RawZst | Self::RawGz | Self::Qcow2 => 1,
            Self::Vmdk | Self::Vhd | Self::VhdFixed => MIB,
        }
    }

    /// qemu's name of the driver that reads it; `None` where qemu has none.
    #[must_use]
    pub const fn qemu_driver(self) -> Option<&'static str> {
        match self {
            Self::Raw => Some("raw"),
            Self::RawZst | Self::RawGz => None,
            Self::Qcow2 => Some("qcow2"),
            Self::Vmdk => Some("vmdk"),
            Self::Vhd | Self::VhdFixed => Some("vpc"),
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_ask_for_formats() {
        let of = |name: &str| Format::of_name(Path::new(name)).word();
        assert_eq!(of("a/disk.QCOW2"), "qcow2");
        assert_eq!(of("disk.img.zst"), "raw.zst");
        assert_eq!(of("disk.gz"), "raw.gz");
        assert_eq!(of("disk.vhd"), "vhd");
        assert_eq!((of("disk.img"), of("disk"), of("-")), ("raw", "raw", "raw"));
        for format in Format::ALL {
            assert_eq!(Format::of_word(format.word()), Some(format));
        }
    }

    #[test]
    fn every_format_ends_somewhere() {
        for format in Format::ALL {
            assert!(format.check_size(2040 << 30 >> 1).is_ok());
            assert!(format.check_size(MAX_DISK + 1).is_err());
        }
        let told = Format::Vhd.check_size(3 << 40).unwrap_err().to_string();
        let want = "a disk of 3298534883328 bytes does not fit vhd, which ends at 2190433320960; \
                    choose another format";
        assert_eq!(told, want);
        assert!(Format::Qcow2.check_size(3 << 40).is_ok());
    }
}

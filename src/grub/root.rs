//! The names of the root filesystem, and which of them the kernel is given.

use super::GrubError;
use super::words::forbid;

/// Everything by which the root filesystem of the image is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RootIds {
    /// The filesystem's UUID.
    pub fs_uuid: String,
    /// Its label; empty when it has none.
    pub label: String,
    /// Its partition's PARTUUID; `None` on a disk without a partition table.
    pub partuuid: Option<String>,
}

/// What `root=` names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RootBy {
    /// The filesystem's UUID: needs an initrd.
    #[default]
    Uuid,
    /// The filesystem's label: needs an initrd.
    Label,
    /// The partition: the kernel finds it by itself.
    PartUuid,
}

impl RootIds {
    /// The value of `root=`.
    ///
    /// Without an initrd the kernel understands neither UUID nor LABEL, so that PARTUUID takes their
    /// place where there is one.
    pub(crate) fn parameter(&self, by: RootBy, initrd: bool) -> Result<String, GrubError> {
        let partuuid = self.partuuid.as_deref();
        match (by, partuuid) {
            (RootBy::Uuid | RootBy::Label, Some(partuuid)) if !initrd => partuuid_value(partuuid),
            (RootBy::Uuid, _) => Ok(format!("UUID={}", self.checked_fs_uuid()?)),
            (RootBy::Label, _) => self.label_value(),
            (RootBy::PartUuid, Some(partuuid)) => partuuid_value(partuuid),
            (RootBy::PartUuid, None) => Err(GrubError::Text {
                what: "root by",
                value: "partuuid".to_owned(),
                why: "needs a partition table",
            }),
        }
    }

    /// The filesystem's UUID, fit to stand unquoted.
    pub(crate) fn checked_fs_uuid(&self) -> Result<&str, GrubError> {
        uuid("filesystem UUID", &self.fs_uuid)
    }

    fn label_value(&self) -> Result<String, GrubError> {
        let what = "filesystem label";
        if self.label.is_empty() {
            let value = String::new();
            return Err(GrubError::Text {
                what,
                value,
                why: "is empty: nothing for root=LABEL",
            });
        }
        // initramfs-tools splits the command line as a shell does, without quotes.
        forbid(
            what,
            &self.label,
            |c| c.is_whitespace(),
            "has a blank: root=LABEL cannot name it",
        )?;
        Ok(format!("LABEL={}", self.label))
    }
}

fn partuuid_value(partuuid: &str) -> Result<String, GrubError> {
    Ok(format!("PARTUUID={}", uuid("PARTUUID", partuuid)?))
}

/// `value`, when it is hexadecimal digits and hyphens alone.
pub(crate) fn uuid<'a>(what: &'static str, value: &'a str) -> Result<&'a str, GrubError> {
    if value.is_empty() {
        return Err(GrubError::Text {
            what,
            value: String::new(),
            why: "is empty",
        });
    }
    let foreign = |c: char| !c.is_ascii_hexdigit() && c != '-';
    forbid(
        what,
        value,
        foreign,
        "has a character that is neither hexadecimal nor `-`",
    )?;
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids() -> RootIds {
        RootIds {
            fs_uuid: "0a1b-2c3d".to_owned(),
            label: "root".to_owned(),
            partuuid: Some("00c0ffee-01".to_owned()),
        }
    }

    #[test]
    fn the_kernel_alone_is_given_a_partuuid() {
        let by = |by, initrd| ids().parameter(by, initrd).unwrap();
        assert_eq!(by(RootBy::Uuid, true), "UUID=0a1b-2c3d");
        assert_eq!(by(RootBy::Label, true), "LABEL=root");
        assert_eq!(by(RootBy::Uuid, false), "PARTUUID=00c0ffee-01");
        assert_eq!(by(RootBy::PartUuid, true), "PARTUUID=00c0ffee-01");
    }

    #[test]
    fn names_that_cannot_be_written_are_refused() {
        let blank = RootIds {
            label: "my root".to_owned(),
            ..ids()
        };
        assert!(blank.parameter(RootBy::Label, true).is_err());
        let none = RootIds {
            partuuid: None,
            label: String::new(),
            fs_uuid: "x'y".to_owned(),
        };
        for by in [RootBy::Uuid, RootBy::Label, RootBy::PartUuid] {
            assert!(none.parameter(by, true).is_err(), "{by:?}");
        }
    }
}

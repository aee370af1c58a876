//! The kernel images (AKIs) that are PV-GRUB, of each region of EC2.
//!
//! All are of the kind `hd0`, for a disk without partitions. No region opened after 2016 has any. Sources:
//! AWS's documentation of user-provided kernels (1.05); bootstrap-vz's table (1.04). An AKI of either still
//! answers to `aws ec2 describe-images --owners amazon --filters Name=name,Values=pv-grub-hd0_*`.

use serde::Serialize;

/// What machines an AKI starts kernels of: PV-GRUB starts none but its own kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AkiArch {
    /// 32 bits.
    I386,
    /// 64 bits.
    #[serde(rename = "x86_64")]
    X86_64,
}

/// PV-GRUB in a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Aki {
    /// The region.
    pub region: &'static str,
    /// The architecture.
    pub arch: AkiArch,
    /// Its id: `aki-…`.
    pub aki: &'static str,
    /// The version of PV-GRUB.
    pub version: &'static str,
}

/// Region, version, i386, x86-64.
type Row = (
    &'static str,
    &'static str,
    Option<&'static str>,
    &'static str,
);

const TABLE: [Row; 12] = [
    (
        "ap-northeast-1",
        "1.05",
        Some("aki-f975a998"),
        "aki-7077ab11",
    ),
    (
        "ap-southeast-1",
        "1.05",
        Some("aki-17a40074"),
        "aki-73a50110",
    ),
    (
        "ap-southeast-2",
        "1.05",
        Some("aki-ba5665d9"),
        "aki-66506305",
    ),
    ("ca-central-1", "1.04", None, "aki-320ebd56"),
    ("cn-north-1", "1.04", Some("aki-908f1da9"), "aki-9e8f1da7"),
    ("eu-central-1", "1.05", Some("aki-1419e57b"), "aki-931fe3fc"),
    ("eu-west-1", "1.05", Some("aki-1c9fd86f"), "aki-dc9ed9af"),
    ("sa-east-1", "1.05", Some("aki-7cd34110"), "aki-912fbcfd"),
    ("us-east-1", "1.05", Some("aki-04206613"), "aki-5c21674b"),
    (
        "us-gov-west-1",
        "1.05",
        Some("aki-5ee9573f"),
        "aki-9ee55bff",
    ),
    ("us-west-1", "1.05", Some("aki-43cf8123"), "aki-59cc8239"),
    ("us-west-2", "1.05", Some("aki-7a69931a"), "aki-70cb0e10"),
];

/// PV-GRUB of `region` for `arch`; `None` where AWS has none.
#[must_use]
pub fn aki(region: &str, arch: AkiArch) -> Option<Aki> {
    akis(arch).find(|a| a.region == region)
}

/// PV-GRUB of every region that has one for `arch`, by region.
pub fn akis(arch: AkiArch) -> impl Iterator<Item = Aki> {
    TABLE
        .iter()
        .filter_map(move |&(region, version, i386, x86_64)| {
            let aki = match arch {
                AkiArch::I386 => i386?,
                AkiArch::X86_64 => x86_64,
            };
            Some(Aki {
                region,
                arch,
                aki,
                version,
            })
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_table_is_sorted_and_no_id_comes_twice() {
        assert!(TABLE.is_sorted_by(|a, b| a.0 < b.0));
        let all = akis(AkiArch::I386).chain(akis(AkiArch::X86_64));
        let ids: Vec<_> = all.map(|a| a.aki).collect();
        let hex = |id: &&str| {
            let digits = id.strip_prefix("aki-").unwrap_or_default();
            digits.len() == 8 && digits.chars().all(|c| c.is_ascii_hexdigit())
        };
        assert!(ids.iter().all(hex));
        assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len());
    }

    #[test]
    fn a_region_has_one_for_each_architecture_or_none() {
        let id = |region, arch| aki(region, arch).map(|a| a.aki);
        assert_eq!(id("us-east-1", AkiArch::X86_64), Some("aki-5c21674b"));
        assert_eq!(id("us-east-1", AkiArch::I386), Some("aki-04206613"));
        assert_eq!(id("ca-central-1", AkiArch::I386), None);
        assert_eq!(id("us-east-2", AkiArch::X86_64), None);
    }
}

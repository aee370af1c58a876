//! Who makes the root fill a larger disk at first boot.
//!
//! | by | needs in the rootfs | table | what it does |
//! |---|---|---|---|
//! | systemd-repart | `systemd-repart`, `systemd-growfs` | GPT | grows the partition by its type, before the root is remounted; `x-systemd.growfs` of fstab grows the filesystem |
//! | cloud-init | `cloud-init`, `growpart` | any | its modules `growpart` and `resizefs`, once a data source was found |
//! | cloud-init | `cloud-init` | none | `resizefs` alone: there is no partition to grow |
//!
//! Sources: systemd-repart(8), repart.d(5), systemd.mount(5) on `x-systemd.growfs`; cloud-init's module
//! reference. cloud-init without `growpart` (Debian: cloud-guest-utils) fails without a word.

use super::{BuildError, GrowAtBoot, Scheme};
use crate::ext4::Geometry;
use crate::tree::Tree;

/// The option of fstab by which systemd grows a mounted filesystem to its partition.
pub(super) const FSTAB_OPTION: &str = "x-systemd.growfs";

/// Where systemd-repart is told about the root partition.
pub(super) const REPART_CONF: &str = "etc/repart.d/50-root.conf";

/// Finds the partition of the running root by its type; a partition that exists is only ever grown.
pub(super) const REPART_TEXT: &str = "[Partition]\nType=root\n";

/// Names by which a rootfs brings a program: merged `/usr` or not.
const REPART: &[&str] = &["usr/bin/systemd-repart", "bin/systemd-repart"];
const GROWFS: &[&str] = &[
    "usr/lib/systemd/systemd-growfs",
    "lib/systemd/systemd-growfs",
];
const CLOUD_INIT: &[&str] = &["usr/bin/cloud-init"];
const GROWPART: &[&str] = &["usr/bin/growpart", "usr/sbin/growpart"];

/// What grows the root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Grower {
    Repart,
    CloudInit,
    Nobody,
}

impl Grower {
    /// The word of the report.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Repart => "repart",
            Self::CloudInit => "cloud-init",
            Self::Nobody => "none",
        }
    }

    /// What `asked` comes to for this rootfs; the warning that nobody grows it.
    ///
    /// # Errors
    /// When the one that was asked for cannot do it.
    pub(super) fn choose(
        asked: GrowAtBoot,
        tree: &Tree,
        scheme: Scheme,
        warn: impl FnOnce(&str),
    ) -> Result<Self, BuildError> {
        match asked {
            GrowAtBoot::None => Ok(Self::Nobody),
            GrowAtBoot::Repart => match repart(tree, scheme) {
                None => Ok(Self::Repart),
                Some(why) => Err(BuildError::CannotGrow { by: "repart", why }),
            },
            GrowAtBoot::CloudInit => match cloud_init(tree, scheme) {
                None => Ok(Self::CloudInit),
                Some(why) => Err(BuildError::CannotGrow {
                    by: "cloud-init",
                    why,
                }),
            },
            GrowAtBoot::Auto => match (repart(tree, scheme), cloud_init(tree, scheme)) {
                (None, _) => Ok(Self::Repart),
                (_, None) => Ok(Self::CloudInit),
                (Some(first), Some(second)) => {
                    // Nobody expects systemd-repart to grow what is no partition.
                    let why = match scheme {
                        Scheme::None => format!("{second}, which would run resize2fs"),
                        _ => format!("{first}, and {second}"),
                    };
                    warn(&format!(
                        "on a larger disk the root stays as it is: {why}; `--grow-at-boot none` if that is meant"
                    ));
                    Ok(Self::Nobody)
                }
            },
        }
    }
}

/// What to say when the filesystem reserves fewer descriptors than `asked` bytes need.
pub(super) fn short_of(asked: Option<u64>, g: &Geometry) -> Option<String> {
    let (asked, reach) = (asked?, g.reach());
    (reach < asked).then(|| {
        format!(
            "`--max-grow {asked}`: the descriptors that can be reserved reach {reach} bytes; past them Linux \
             grows the filesystem too, online, by meta_bg"
        )
    })
}

fn has(tree: &Tree, names: &[&str]) -> bool {
    names.iter().any(|n| tree.resolve(n.as_bytes()).is_some())
}

/// Why systemd-repart cannot do it.
fn repart(tree: &Tree, scheme: Scheme) -> Option<&'static str> {
    match scheme {
        Scheme::Gpt => {}
        Scheme::None => return Some("systemd-repart grows partitions, and the disk has none"),
        _ => return Some("systemd-repart needs a GPT"),
    }
    (!has(tree, REPART) || !has(tree, GROWFS))
        .then_some("the rootfs has no systemd-repart with systemd-growfs")
}

/// Why cloud-init cannot do it.
fn cloud_init(tree: &Tree, scheme: Scheme) -> Option<&'static str> {
    if !has(tree, CLOUD_INIT) {
        return Some("the rootfs has no cloud-init");
    }
    (scheme != Scheme::None && !has(tree, GROWPART)).then_some(
        "the cloud-init of the rootfs lacks growpart, without which it grows nothing and says nothing (Debian: \
         cloud-guest-utils)",
    )
}

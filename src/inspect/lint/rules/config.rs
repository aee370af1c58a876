//! Whether it gets along in EC2.

use crate::grub::compare_versions;
use crate::inspect::lint::Hit;
use crate::inspect::lint::facts::{DATABASES, Facts, shown};
use crate::inspect::lint::names::Name;
use crate::packages::{Databases, Inventory};
use std::cmp::Ordering;

/// The first cloud-init that asks the metadata service for a token.
const IMDSV2_SINCE: &str = "20.1";

/// Where cloud-init lies.
const CLOUD_INIT: [&str; 2] = ["usr/bin/cloud-init", "bin/cloud-init"];

/// Filesystems whose names are found in an image, and those of which fstab says nothing.
const NAMED: [&str; 11] = [
    "ext2", "ext3", "ext4", "vfat", "msdos", "fat", "xfs", "btrfs", "swap", "auto", "none",
];

/// A010.
pub(super) fn fstab(facts: &Facts) -> Vec<Hit> {
    let Some(disk) = &facts.disk else {
        return Vec::new();
    };
    let mut hits = Vec::new();
    for (n, line) in (1..).zip(facts.text("etc/fstab").unwrap_or_default().lines()) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [device, place, kind, ..] = words[..] else {
            continue;
        };
        let options = words.get(3).copied().unwrap_or("defaults");
        let waits_for_none = ["nofail", "noauto", "x-systemd.automount"];
        let optional = options.split(',').any(|o| waits_for_none.contains(&o));
        let Some(name) = Name::parse(device).filter(|_| !optional) else {
            continue;
        };
        if disk.names.iter().any(|own| own.is(&name)) {
            continue;
        }
        let at = format!("/etc/fstab:{n}");
        let what = format!("{place}: nothing in the image is {device}");
        hits.push(if disk.unknown || !NAMED.contains(&kind) {
            let what = format!("{what}, and what cannot be read of it may be");
            Hit::open(at, what)
        } else {
            Hit::new(at, format!("{what}, and nofail is not among its options"))
        });
    }
    hits
}

/// Services that ask for an address by themselves: units of systemd, then scripts of OpenRC.
const NETWORK: &[&str] = &[
    "NetworkManager.service",
    "connman.service",
    "dhcpcd.service",
    "dhcpcd",
    "connman",
    "networkmanager",
];

/// Whether one of some services is started at boot, by systemd or by OpenRC.
fn enabled(facts: &Facts, services: &[&str]) -> bool {
    let folders = [
        "etc/systemd/system/",
        "usr/lib/systemd/system/",
        "etc/runlevels/",
    ];
    let mut all = folders.iter().flat_map(|folder| facts.below(folder));
    all.any(|(path, _)| {
        let mut parts = path.rsplit(|&b| b == b'/');
        let (name, folder) = (parts.next().unwrap_or_default(), parts.next());
        let pulls = folder.is_some_and(|f| {
            f.ends_with(b".wants")
                || f.ends_with(b".requires")
                || path.starts_with(b"etc/runlevels/")
        });
        pulls && services.iter().any(|s| s.as_bytes() == name)
    })
}

/// Whether a file whose path begins so says a word, in either case.
fn says(facts: &Facts, prefix: &str, word: &str) -> bool {
    let mut all = facts.texts(prefix);
    all.any(|(_, text)| text.to_lowercase().contains(word))
}

/// A011.
pub(super) fn network_and_growth(facts: &Facts) -> Vec<Hit> {
    let mut hits = Vec::new();
    let network = facts.any(&CLOUD_INIT)
        || facts.any(&["usr/sbin/tiny-cloud", "sbin/tiny-cloud"])
        || enabled(facts, NETWORK)
        || enabled(facts, &["systemd-networkd.service"])
            && says(facts, "etc/systemd/network/", "dhcp")
        || says(facts, "etc/network/interfaces", "dhcp")
        || says(facts, "etc/netplan/", "dhcp4: true")
        || says(facts, "etc/sysconfig/network", "dhcp");
    if !network {
        hits.push(Hit::new(
            "/etc",
            "nothing asks for an address: no cloud-init, no DHCP",
        ));
    }
    let growth = facts.any(&[
        "usr/bin/growpart",
        "usr/bin/systemd-repart",
        "usr/sbin/growpart",
    ]);
    if !growth {
        hits.push(Hit::new(
            "/usr/bin",
            "nothing grows the root: no growpart, no systemd-repart",
        ));
    }
    hits
}

/// A019.
pub(super) fn imds(facts: &Facts) -> Vec<Hit> {
    let Some((place, version)) = cloud_init(facts) else {
        let there = facts.any(&CLOUD_INIT);
        let what = "no database of packages that is read says its version: whether it knows IMDSv2 cannot be judged";
        return Vec::from_iter(there.then(|| Hit::open("cloud-init", what)));
    };
    if compare_versions(&version, IMDSV2_SINCE) == Ordering::Less {
        let what = format!("cloud-init {version} does not know IMDSv2; {IMDSV2_SINCE} does");
        return vec![Hit::new(place, what)];
    }
    Vec::new()
}

/// The version of cloud-init and what says so: the databases of dpkg and apk, that of pacman by the names of its
/// folders, else what Python knows of it.
fn cloud_init(facts: &Facts) -> Option<(String, String)> {
    for path in DATABASES {
        let content = facts.file(path).and_then(|e| e.content.as_deref());
        let Some(content) = content else { continue };
        let database = Databases::from([(path.as_bytes().to_vec(), content.to_vec())]);
        let all = Inventory::read(&database).map(|i| i.packages);
        let found = all.into_iter().flatten().find(|p| p.name == "cloud-init");
        if let Some(package) = found {
            return Some((format!("/{path}"), package.version));
        }
    }
    let pacman = "var/lib/pacman/local/cloud-init-";
    let named = |(path, _): (&[u8], _), mark: &str| {
        let text = String::from_utf8_lossy(path).into_owned();
        let (_, rest) = text.split_once(mark)?;
        let version = rest.split(['/', '-']).next()?.to_owned();
        let numbered = version.starts_with(|c: char| c.is_ascii_digit());
        numbered.then(|| (shown(path), version))
    };
    let by_pacman = facts.below(pacman).find_map(|e| named(e, "/cloud-init-"));
    let by_python = || {
        let mut all = facts.below("usr/lib/python3");
        all.find_map(|e| named(e, "-packages/cloud_init-"))
    };
    by_pacman.or_else(by_python)
}

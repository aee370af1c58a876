//! Whether it gets along in EC2.

use crate::grub::compare_versions;
use crate::inspect::lint::Hit;
use crate::inspect::lint::facts::Facts;
use std::cmp::Ordering;

/// The first cloud-init that asks the metadata service for a token.
const IMDSV2_SINCE: &str = "20.1";

/// A010.
pub(super) fn fstab(facts: &Facts) -> Vec<Hit> {
    let Some(disk) = &facts.disk else {
        return Vec::new();
    };
    let mut hits = Vec::new();
    for (n, line) in (1..).zip(facts.text("etc/fstab").unwrap_or_default().lines()) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [device, place, _, options, ..] = words[..] else {
            continue;
        };
        let optional = options.split(',').any(|o| matches!(o, "nofail" | "noauto"));
        let name = device.replace('"', "").to_lowercase();
        let named = [
            "uuid=",
            "label=",
            "partuuid=",
            "partlabel=",
            "/dev/disk/by-",
        ];
        if device.starts_with('#') || optional || !named.iter().any(|n| name.starts_with(n)) {
            continue;
        }
        // `/dev/disk/by-uuid/X` is UUID=X.
        let name = match name
            .strip_prefix("/dev/disk/by-")
            .and_then(|n| n.split_once('/'))
        {
            Some((kind, value)) => format!("{kind}={value}"),
            None => name,
        };
        if !disk.names.contains(&name) {
            let what = format!(
                "{place}: nothing in the image is {device}, and nofail is not among its options"
            );
            hits.push(Hit::new(format!("/etc/fstab:{n}"), what));
        }
    }
    hits
}

/// A011.
pub(super) fn network_and_growth(facts: &Facts) -> Vec<Hit> {
    let mut hits = Vec::new();
    let cloud_init = facts.any(&["usr/bin/cloud-init", "bin/cloud-init"]);
    let enabled = |unit: &str| {
        let wants = [
            "multi-user",
            "network-online",
            "sysinit",
            "dbus-org.freedesktop",
        ];
        wants.iter().any(|t| {
            let path = format!("etc/systemd/system/{t}.target.wants/{unit}");
            facts.entries.contains_key(path.as_bytes())
        })
    };
    let text_with = |prefix: &str, word: &str| {
        let all: Vec<String> = facts
            .below(prefix)
            .map(|(p, _)| String::from_utf8_lossy(p).into_owned())
            .collect();
        all.iter().any(|path| {
            facts
                .text(path)
                .is_some_and(|t| t.to_lowercase().contains(word))
        })
    };
    let network = cloud_init
        || (enabled("systemd-networkd.service") && text_with("etc/systemd/network/", "dhcp"))
        || enabled("NetworkManager.service")
        || text_with("etc/network/interfaces", "dhcp")
        || text_with("etc/netplan/", "dhcp4: true")
        || facts.any(&["etc/sysconfig/network-scripts/ifcfg-eth0"]);
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
    let status = facts.text("var/lib/dpkg/status").unwrap_or_default();
    let package = status
        .split("\n\n")
        .find(|p| p.lines().any(|l| l == "Package: cloud-init"));
    let version = package.and_then(|p| p.lines().find_map(|l| l.strip_prefix("Version: ")));
    let Some(version) = version else {
        return Vec::new();
    };
    if compare_versions(version, IMDSV2_SINCE) == Ordering::Less {
        let what = format!("cloud-init {version} does not know IMDSv2; {IMDSV2_SINCE} does");
        return vec![Hit::new("/var/lib/dpkg/status", what)];
    }
    Vec::new()
}

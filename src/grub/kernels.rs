//! Kernels and their initrds in the rootfs, found and sorted as Debian's `/etc/grub.d/10_linux` does.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use super::dpkg_version;

/// A kernel to offer in the menu.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelEntry {
    /// Its release, as in `/lib/modules`: `6.1.0-18-cloud-amd64`.
    pub version: String,
    /// Its path on the root filesystem: `/boot/vmlinuz-…`.
    pub kernel_path: String,
    /// What `initrd` loads, in order: early microcode, then the initrd. Empty when there is none.
    pub initrd_paths: Vec<String>,
    /// Whether a real initrd is among them: without one the kernel mounts the root by itself.
    pub has_initrd: bool,
}

/// Archives of microcode that are loaded before the initrd (`GRUB_EARLY_INITRD_LINUX_STOCK`).
const EARLY: [&str; 6] = [
    "intel-uc.img",
    "intel-ucode.img",
    "amd-uc.img",
    "amd-ucode.img",
    "early_ucode.cpio",
    "microcode.cpio",
];

/// The words that mark a kernel older than the one without them.
const EARLIER: [&str; 6] = ["pre", "rc", "test", "git", "old", "trunk"];

/// The kernels among the names of regular files in `/boot` and in `/`, newest first.
#[must_use]
pub fn find<'a>(
    boot: impl IntoIterator<Item = &'a str>,
    root: impl IntoIterator<Item = &'a str>,
) -> Vec<KernelEntry> {
    let boot: BTreeSet<&str> = boot.into_iter().collect();
    let root: BTreeSet<&str> = root.into_iter().collect();
    let is_kernel = |name: &str, prefixes: &[&str]| {
        !is_garbage(name) && prefixes.iter().any(|prefix| name.starts_with(prefix))
    };
    let mut found: Vec<(String, KernelEntry)> = Vec::new();
    for (dir, names, prefixes) in [
        ("/boot/", &boot, ["vmlinuz-", "kernel-"].as_slice()),
        ("/", &root, &["vmlinuz-"]),
    ] {
        for name in names.iter().filter(|name| is_kernel(name, prefixes)) {
            found.push((sort_key(name), entry(dir, name, names)));
        }
    }
    found.sort_by(|(a_key, a), (b_key, b)| {
        newest_first(a_key, b_key).then_with(|| {
            // Equal versions (`vmlinuz-1.0`, `kernel-1.0`): any order will do, as long as it is one.
            a.kernel_path.cmp(&b.kernel_path)
        })
    });
    found.into_iter().map(|(_, entry)| entry).collect()
}

fn newest_first(a: &str, b: &str) -> Ordering {
    dpkg_version::compare(b, a)
}

/// Left-overs of packagers, documentation, signatures, and signed twins that only EFI boots.
fn is_garbage(name: &str) -> bool {
    name.contains(".dpkg-")
        || name.starts_with("README")
        || [".rpmsave", ".rpmnew", ".sig", ".efi.signed"]
            .iter()
            .any(|end| name.ends_with(end))
}

/// The version as grub-mkconfig compares it: behind the first hyphen, `.rc1` and the like made `~rc1`.
fn sort_key(name: &str) -> String {
    let mut rest = name.split_once('-').map_or(name, |(_, version)| version);
    let mut key = String::with_capacity(rest.len());
    while let Some(c) = rest.chars().next() {
        let after = &rest[c.len_utf8()..];
        let word = EARLIER.iter().find(|word| after.starts_with(**word));
        match word {
            Some(word) if "._-".contains(c) => {
                key.push('~');
                key.push_str(word);
                rest = &after[word.len()..];
            }
            _ => {
                key.push(c);
                rest = after;
            }
        }
    }
    key
}

fn entry(dir: &str, name: &str, names: &BTreeSet<&str>) -> KernelEntry {
    let version = version_of(name);
    let unaged = version.strip_suffix(".old").unwrap_or(version);
    let named = name.strip_prefix("vmlinuz-").unwrap_or(name);
    let candidates = [
        format!("initrd.img-{version}"),
        format!("initrd-{version}.img"),
        format!("initrd-{version}.gz"),
        format!("initrd-{version}"),
        format!("initramfs-{version}.img"),
        // Alpine's name for it.
        format!("initramfs-{version}"),
        // Arch's, where a digit is in the name of the package.
        format!("initramfs-{named}.img"),
        format!("initrd.img-{unaged}"),
        format!("initrd-{unaged}.img"),
        format!("initrd-{unaged}"),
        format!("initramfs-{unaged}.img"),
    ];
    let initrd = candidates
        .iter()
        .map(String::as_str)
        .find(|name| names.contains(name));
    let early = EARLY.into_iter().filter(|name| names.contains(name));
    KernelEntry {
        version: version.to_owned(),
        kernel_path: format!("{dir}{name}"),
        initrd_paths: early
            .chain(initrd)
            .map(|name| format!("{dir}{name}"))
            .collect(),
        has_initrd: initrd.is_some(),
    }
}

/// What follows the hyphens before the first digit: `s,^[^0-9]*-,,`. Where there is none it is a name as Arch
/// has it, `linux-lts`, whose initrd is called by all of it.
fn version_of(name: &str) -> &str {
    let Some(digit) = name.find(|c: char| c.is_ascii_digit()) else {
        return name.split_once('-').map_or(name, |(_, version)| version);
    };
    name[..digit]
        .rfind('-')
        .map_or(name, |hyphen| &name[hyphen + 1..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn versions(boot: &[&str]) -> Vec<String> {
        find(boot.iter().copied(), [])
            .into_iter()
            .map(|k| k.version)
            .collect()
    }

    #[test]
    fn newest_comes_first_and_old_follows_its_own_version() {
        assert_eq!(
            versions(&[
                "vmlinuz-6.1.0-9-amd64",
                "vmlinuz-6.1.0-56-cloud-amd64",
                "vmlinuz-6.1.0-56-cloud-amd64.old",
                "vmlinuz-6.1.0-10-amd64",
                "vmlinuz-6.2.0-rc3-amd64",
                "vmlinuz-6.2.0",
            ]),
            [
                "6.2.0",
                "6.2.0-rc3-amd64",
                "6.1.0-56-cloud-amd64",
                "6.1.0-56-cloud-amd64.old",
                "6.1.0-10-amd64",
                "6.1.0-9-amd64",
            ]
        );
    }

    #[test]
    fn left_overs_are_no_kernels() {
        assert_eq!(
            versions(&[
                "vmlinuz-1.0.dpkg-tmp",
                "vmlinuz-1.0.rpmsave",
                "vmlinuz-1.0.sig",
                "vmlinuz",
                "vmlinuz-1.0.efi.signed",
                "README-vmlinuz-1",
                "config-1.0",
                "vmlinux-1.0",
                "kernel-1.0",
            ]),
            ["1.0"]
        );
    }

    #[test]
    fn initrd_is_looked_for_in_the_kernels_folder_and_order() {
        let found = find(
            [
                "vmlinuz-1.0",
                "initrd-1.0.img",
                "initrd.img-1.0",
                "amd-ucode.img",
                "vmlinuz-0.9.old",
                "initrd.img-0.9",
            ],
            ["vmlinuz-2.0", "vmlinuz"],
        );
        let paths = |n: usize| {
            (
                found[n].kernel_path.as_str(),
                found[n].initrd_paths.join(" "),
            )
        };
        assert_eq!(paths(0), ("/vmlinuz-2.0", String::new()));
        assert!(!found[0].has_initrd);
        assert_eq!(
            paths(1),
            (
                "/boot/vmlinuz-1.0",
                "/boot/amd-ucode.img /boot/initrd.img-1.0".into()
            )
        );
        assert_eq!(
            paths(2),
            (
                "/boot/vmlinuz-0.9.old",
                "/boot/amd-ucode.img /boot/initrd.img-0.9".into()
            )
        );
    }

    #[test]
    fn arch_and_alpine_call_initrds_by_the_kernels_name() {
        for (kernel, initrd) in [
            ("vmlinuz-linux", "initramfs-linux.img"),
            ("vmlinuz-linux-lts", "initramfs-linux-lts.img"),
            ("vmlinuz-linux-lts66", "initramfs-linux-lts66.img"),
            ("vmlinuz-virt", "initramfs-virt"),
        ] {
            let found = find([kernel, initrd, "initramfs-linux-fallback.img"], []);
            assert_eq!(found.len(), 1);
            assert_eq!(found[0].initrd_paths, [format!("/boot/{initrd}")]);
        }
    }

    #[test]
    fn versions_begin_behind_the_name() {
        assert_eq!(version_of("vmlinuz-6.1.0-amd64"), "6.1.0-amd64");
        assert_eq!(version_of("kernel-genkernel-x86_64-5.4"), "x86_64-5.4");
        assert_eq!(version_of("vmlinuz-lts"), "lts");
        assert_eq!(version_of("vmlinuz-linux-lts"), "linux-lts");
    }
}

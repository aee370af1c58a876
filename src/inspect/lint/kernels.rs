//! Kernels, the modules and the initrd of each, whoever packaged them.
//!
//! | system | kernel | release |
//! |---|---|---|
//! | Debian, Fedora, openSUSE | `/boot/vmlinuz-RELEASE`, on openSUSE a link to `/usr/lib/modules/RELEASE/vmlinuz` | in its name |
//! | Arch | `/boot/vmlinuz-linux-lts` | the folder of modules whose `pkgbase` says `linux-lts` |
//! | Alpine | `/boot/vmlinuz-virt` | the folder of modules that ends in `-virt` |
//!
//! What a bzImage says of itself goes before all names.

use super::facts::{Facts, Sort};
use super::initrd::{NVME, is_module};
use crate::grub::{KernelEntry, find_kernels};
use std::collections::BTreeMap;

/// So many kernels are judged: a hostile image may have one in every name.
const MOST: usize = 64;
/// So many names of a folder, and folders of modules, are looked at.
const NAMES: usize = 1000;
/// Longest name of a package that a folder of modules may give.
const PKGBASE: usize = 256;

/// A kernel that a loader may start.
#[derive(Debug)]
pub(super) struct Kernel {
    /// Its path from `/`, and those of its initrd.
    pub(super) entry: KernelEntry,
    /// Its release, as far as it can be told.
    pub(super) release: String,
    /// Its modules.
    pub(super) modules: Option<Modules>,
}

/// The modules of a kernel.
#[derive(Clone, Debug, Default)]
pub(super) struct Modules {
    /// Path of their folder, without its first `/`.
    folder: String,
    /// The driver of the network is among them.
    ena: bool,
    /// The package they are of, on Arch.
    pkgbase: Option<String>,
}

impl Kernel {
    /// The initrd itself, behind microcode.
    pub(super) fn initrd(&self) -> Option<&str> {
        let last = self.entry.initrd_paths.last();
        last.filter(|_| self.entry.has_initrd).map(String::as_str)
    }

    /// Whether a driver is built into the kernel.
    pub(super) fn has_builtin(&self, facts: &Facts, module: &[u8]) -> bool {
        let Some(modules) = &self.modules else {
            return false;
        };
        let list = facts.text(&format!("{}/modules.builtin", modules.folder));
        let named = |line: &str| line.rsplit('/').next().map(str::as_bytes) == Some(module);
        list.unwrap_or_default().lines().any(named)
    }

    /// Whether it has the driver of the network.
    pub(super) fn has_ena(&self, facts: &Facts) -> bool {
        self.modules.as_ref().is_some_and(|m| m.ena) || self.has_builtin(facts, ENA)
    }

    /// Whether the disks of Nitro need the initrd.
    pub(super) fn needs_nvme(&self, facts: &Facts) -> bool {
        self.modules.is_some() && !self.has_builtin(facts, NVME)
    }

    /// Whether it is what Fedora keeps for emergencies, with an initrd that needs no modules besides.
    pub(super) fn is_rescue(&self) -> bool {
        self.entry.kernel_path.contains("-0-rescue-")
    }
}

const ENA: &[u8] = b"ena.ko";

/// The kernels of `/boot` and `/`, newest first.
pub(super) fn kernels(facts: &Facts) -> Vec<Kernel> {
    let names = |prefix: &'static str, folder: &str| -> Vec<String> {
        let skip = folder.len();
        let own = facts.below(prefix).filter_map(move |(path, _)| {
            let name = std::str::from_utf8(path.get(skip..)?).ok()?;
            (!name.contains('/')).then(|| name.to_owned())
        });
        own.take(NAMES).collect()
    };
    let is_file = |path: &str| facts.file(path).is_some_and(|e| e.sort == Sort::File);
    let boot = names("boot/", "boot/");
    let root = [names("vmlinuz-", ""), names("init", "")].concat();
    let boot = boot.iter().map(String::as_str);
    let mut found = find_kernels(boot, root.iter().map(String::as_str));
    found.retain(|k| is_file(k.kernel_path.trim_start_matches('/')));
    found.truncate(MOST);
    if found.is_empty() {
        return Vec::new();
    }
    let folders = folders(facts);
    let own = found.into_iter().map(|entry| {
        let head = facts.file(entry.kernel_path.trim_start_matches('/'));
        let said = head.and_then(|e| release(e.content.as_deref()?));
        let modules = match &said {
            Some(release) => folders.get(release).cloned(),
            None => by_name(&folders, &entry),
        };
        let known = modules.as_ref().and_then(|m| m.folder.rsplit('/').next());
        let release = said.or(known.map(str::to_owned));
        Kernel {
            release: release.unwrap_or_else(|| entry.version.clone()),
            modules,
            entry,
        }
    });
    own.collect()
}

/// Folders of modules by release, in one pass. An empty one counts for none.
fn folders(facts: &Facts) -> BTreeMap<String, Modules> {
    let mut all: BTreeMap<String, Modules> = BTreeMap::new();
    for parent in ["usr/lib/modules/", "lib/modules/"] {
        for (path, entry) in facts.below(parent) {
            let mut parts = path[parent.len()..].split(|&b| b == b'/');
            let (first, file) = (parts.next().unwrap_or_default(), parts.next_back());
            let (Ok(release), Some(file)) = (std::str::from_utf8(first), file) else {
                continue;
            };
            if !all.contains_key(release) {
                if all.len() == NAMES {
                    return all;
                }
                let folder = format!("{parent}{release}");
                let modules = Modules {
                    folder,
                    ..Modules::default()
                };
                all.insert(release.to_owned(), modules);
            }
            let Some(modules) = all.get_mut(release) else {
                continue;
            };
            modules.ena |= is_module(file, ENA);
            if file == b"pkgbase" && parts.next().is_none() {
                let content = entry.content.as_deref().filter(|c| c.len() <= PKGBASE);
                let text = content.and_then(|c| std::str::from_utf8(c).ok());
                modules.pkgbase = text.map(|text| text.trim().to_owned());
            }
        }
    }
    all
}

/// The modules of a kernel that does not say its release, by what its file is called.
fn by_name(folders: &BTreeMap<String, Modules>, kernel: &KernelEntry) -> Option<Modules> {
    let version = kernel.version.as_str();
    let unaged = version.strip_suffix(".old").unwrap_or(version);
    let same = folders.get(version).or_else(|| folders.get(unaged));
    // All of it, as what counts for its version begins behind `linux-` in `vmlinuz-linux-lts66`.
    let name = kernel.kernel_path.rsplit('/').next().unwrap_or_default();
    let name = name.strip_suffix(".old").unwrap_or(name);
    let name = name.split_once('-').map(|(_, package)| package);
    let of_package = |m: &&Modules| m.pkgbase.is_some() && m.pkgbase.as_deref() == name;
    let flavour = format!("-{unaged}");
    let of_flavour = || {
        let mut own = folders.iter().filter(|(name, _)| name.ends_with(&flavour));
        own.next_back().map(|(_, modules)| modules)
    };
    let found = same.or_else(|| folders.values().find(of_package));
    found.or_else(of_flavour).cloned()
}

/// The release that a bzImage bears (Linux `Documentation/arch/x86/boot.rst`, `kernel_version`).
fn release(head: &[u8]) -> Option<String> {
    if head.get(0x202..0x206)? != b"HdrS" {
        return None;
    }
    let place = u16::from_le_bytes([*head.get(0x20e)?, *head.get(0x20f)?]);
    if place == 0 {
        return None;
    }
    let text = head.get(usize::from(place) + 0x200..)?;
    let end = text.iter().take(128).position(|b| b" \0".contains(b))?;
    let release = std::str::from_utf8(&text[..end]).ok()?;
    let fine = |c: char| c.is_ascii_alphanumeric() || "._+~-".contains(c);
    (end > 0 && release.chars().all(fine)).then(|| release.to_owned())
}

//! What loaders give to kernels: GRUB's menus, GRUB Legacy's, extlinux's, and the Boot Loader Specification's.

use super::facts::{Facts, shown};

/// Menus, in the order in which they are looked at, from the root of the filesystem.
const MENUS: [&str; 7] = [
    "boot/grub/grub.cfg",
    "boot/grub2/grub.cfg",
    PV,
    "boot/extlinux/extlinux.conf",
    "boot/extlinux.conf",
    "boot/syslinux/syslinux.cfg",
    "etc/kernel/cmdline",
];
const PV: &str = "boot/grub/menu.lst";
/// Entries of the Boot Loader Specification, which Fedora's grub.cfg reads too.
const ENTRIES: &str = "boot/loader/entries/";

/// The command line of a kernel.
#[derive(Debug)]
pub(super) struct CommandLine {
    file: String,
    line: usize,
    /// Its words, the verb among them.
    pub(super) words: Vec<String>,
}

impl CommandLine {
    /// Where it stands.
    pub(super) fn place(&self) -> String {
        format!("{}:{}", self.file, self.line)
    }

    /// Whether it is in the menu of PV-GRUB.
    pub(super) fn is_pv(&self) -> bool {
        self.file.strip_prefix('/') == Some(PV)
    }
}

/// All command lines.
pub(super) fn command_lines(facts: &Facts) -> Vec<CommandLine> {
    let kernelopts = kernelopts(facts);
    let menus = MENUS
        .iter()
        .filter_map(|menu| Some((menu.as_bytes(), facts.text(menu)?)));
    let mut lines = Vec::new();
    for (menu, text) in menus.chain(facts.texts(ENTRIES)) {
        for (line, words) in (1..).zip(text.lines()) {
            let mut words: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
            let verb = words.first().map_or("", String::as_str).to_lowercase();
            let gives = match menu {
                b"etc/kernel/cmdline" => !words.is_empty() && !verb.starts_with('#'),
                _ => VERBS.contains(&verb.as_str()) && words.len() > 1,
            };
            if !gives {
                continue;
            }
            if words.iter().any(|w| w == "$kernelopts") {
                words.extend(kernelopts.split_whitespace().map(str::to_owned));
            }
            let file = shown(menu);
            lines.push(CommandLine { file, line, words });
        }
    }
    lines
}

const VERBS: [&str; 6] = [
    "linux16", "linux", "linuxefi", "kernel", "append", "options",
];

/// What RHEL 8 and its kin have in grubenv in place of each entry's options.
fn kernelopts(facts: &Facts) -> String {
    let text = facts.text("boot/grub2/grubenv").unwrap_or_default();
    let value = text.lines().find_map(|l| l.strip_prefix("kernelopts="));
    value.unwrap_or_default().to_owned()
}

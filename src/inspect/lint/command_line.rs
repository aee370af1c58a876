//! What loaders give to kernels: GRUB's menus, GRUB Legacy's, extlinux's, and the Boot Loader Specification's.

use super::facts::{Facts, shown};
use crate::grub::{GRUBENV_LEN, compare_versions};
use std::cmp::Ordering;

/// Menus, in the order in which they are looked at, from the root of the filesystem.
const MENUS: [&str; 6] = [
    "boot/grub/grub.cfg",
    "boot/grub2/grub.cfg",
    PV,
    "boot/extlinux/extlinux.conf",
    "boot/extlinux.conf",
    "boot/syslinux/syslinux.cfg",
];
const PV: &str = "boot/grub/menu.lst";
/// Entries of the Boot Loader Specification, which Fedora's grub.cfg reads too.
const ENTRIES: &str = "boot/loader/entries/";
/// Of what new entries are made: it boots nothing itself.
const OF_NEW_ENTRIES: &str = "etc/kernel/cmdline";
/// So many lines are judged, and so many entries are looked at.
const MOST: usize = 1000;

/// The command line of a kernel: what rules ask of it, as a hostile menu may have any number of words.
#[derive(Debug)]
pub(super) struct CommandLine {
    file: String,
    line: usize,
    /// The console that EC2 shows is one of the kernel's.
    pub(super) speaks: bool,
    /// `root=`.
    pub(super) root: Option<String>,
}

impl CommandLine {
    fn of<'a>(menu: &[u8], line: usize, words: impl Iterator<Item = &'a str>) -> Self {
        let mut own = Self {
            file: shown(menu),
            line,
            speaks: false,
            root: None,
        };
        // Under Xen's PV, which menu.lst is for, EC2 shows hvc0.
        let pv = menu == PV.as_bytes();
        for word in words {
            own.speaks |=
                word.starts_with("console=ttyS0") || pv && word.starts_with("console=hvc0");
            if own.root.is_none() {
                own.root = word.strip_prefix("root=").map(str::to_owned);
            }
        }
        own
    }

    /// Where it stands.
    pub(super) fn place(&self) -> String {
        format!("{}:{}", self.file, self.line)
    }
}

/// The command lines, that of the kernel which boots first.
pub(super) fn command_lines(facts: &Facts) -> Vec<CommandLine> {
    let kernelopts = kernelopts(facts);
    let mut lines = Vec::new();
    for menu in MENUS {
        if let Some(text) = facts.text(menu) {
            lines.extend(of_menu(menu.as_bytes(), &text, &kernelopts).take(MOST));
        }
    }
    let mut entries: Vec<(&[u8], Vec<CommandLine>)> = Vec::new();
    let mut left = MOST;
    for (path, text) in facts.texts(ENTRIES) {
        let own: Vec<_> = of_menu(path, &text, &kernelopts).take(left).collect();
        left -= own.len();
        entries.push((path, own));
    }
    entries.sort_by(|(a, _), (b, _)| newest_first(a, b));
    lines.extend(entries.into_iter().flat_map(|(_, own)| own));
    if lines.is_empty()
        && let Some(text) = facts.text(OF_NEW_ENTRIES)
    {
        let own = (1..).zip(text.lines());
        let own = own.filter(|(_, l)| !l.trim().is_empty() && !l.trim_start().starts_with('#'));
        let path = OF_NEW_ENTRIES.as_bytes();
        let own = own.map(|(n, l)| CommandLine::of(path, n, l.split_whitespace()));
        lines.extend(own.take(MOST));
    }
    lines.truncate(MOST);
    lines
}

/// The command lines of a menu.
fn of_menu<'a>(
    menu: &'a [u8],
    text: &'a str,
    kernelopts: &'a str,
) -> impl Iterator<Item = CommandLine> {
    (1..).zip(text.lines()).filter_map(move |(n, line)| {
        let mut words = line.split_whitespace();
        let verb = words.next()?.to_lowercase();
        if !VERBS.contains(&verb.as_str()) || words.clone().next().is_none() {
            return None;
        }
        let more = match words.clone().any(|w| w == "$kernelopts") {
            true => kernelopts,
            false => "",
        };
        let all = words.chain(more.split_whitespace());
        Some(CommandLine::of(menu, n, all))
    })
}

const VERBS: [&str; 6] = [
    "linux16", "linux", "linuxefi", "kernel", "append", "options",
];

/// What RHEL 8 and its kin have in grubenv in place of each entry's options.
fn kernelopts(facts: &Facts) -> String {
    let own = facts.file("boot/grub2/grubenv");
    let content = own.and_then(|e| e.content.as_deref()).unwrap_or_default();
    if content.len() > GRUBENV_LEN {
        return String::new();
    }
    let text = String::from_utf8_lossy(content);
    let value = text.lines().find_map(|l| l.strip_prefix("kernelopts="));
    value.unwrap_or_default().to_owned()
}

/// The order in which GRUB and systemd-boot show entries: by versions; what is kept for emergencies comes last.
fn newest_first(a: &[u8], b: &[u8]) -> Ordering {
    let (a, b) = (String::from_utf8_lossy(a), String::from_utf8_lossy(b));
    let rescue = |path: &str| path.contains("-0-rescue");
    let order = rescue(&a).cmp(&rescue(&b));
    order.then_with(|| compare_versions(version(&b), version(&a)))
}

/// The version in the path of an entry: `ID-VERSION.conf`, where the ID is that of the machine.
fn version(path: &str) -> &str {
    let name = path.rsplit('/').next().unwrap_or(path);
    let name = name.strip_suffix(".conf").unwrap_or(name);
    name.split_once('-').map_or(name, |(_, version)| version)
}

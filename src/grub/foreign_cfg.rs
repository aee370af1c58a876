//! Which root a grub.cfg that came with the rootfs names: one of another machine's does not boot here.
//!
//! No parser of GRUB's language: it looks for `root=` parameters of kernels and for `search` commands,
//! which is where `grub-mkconfig` and people write them.

use super::RootIds;

/// What a grub.cfg says about its root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RootNamed {
    /// It names this image's root and no other.
    Ours,
    /// It names this one, as written there, which is not in the image.
    Other(String),
    /// It names none.
    Nothing,
}

/// The root that `cfg` names.
///
/// Device names such as `/dev/sda1` count as another root: which disk they mean is up to the machine.
#[must_use]
pub fn root_named(cfg: &str, ids: &RootIds) -> RootNamed {
    let mut ours = false;
    for line in cfg.lines() {
        for command in line.split('#').next().unwrap_or_default().split(';') {
            for name in searched(command).into_iter().chain(parameters(command)) {
                if !is_ours(&name, ids) {
                    return RootNamed::Other(name);
                }
                ours = true;
            }
        }
    }
    if ours {
        RootNamed::Ours
    } else {
        RootNamed::Nothing
    }
}

/// `UUID=…` or `LABEL=…` for the filesystem that a `search` command looks for.
fn searched(command: &str) -> Option<String> {
    let mut words = command
        .split_whitespace()
        .map(|word| word.trim_matches(['\'', '"']));
    // Behind `if`, `then` or `else` as well.
    let verb = words.find(|word| *word == "search" || word.starts_with("search."))?;
    let (mut key, mut name) = match verb {
        "search.fs_uuid" => (Some("UUID"), None),
        "search.fs_label" => (Some("LABEL"), None),
        _ => (None, None),
    };
    for word in words {
        match word {
            "--fs-uuid" | "-u" => key = Some("UUID"),
            "--label" | "--fs-label" | "-l" => key = Some("LABEL"),
            option if option.starts_with('-') => {}
            positional => name = name.or(Some(positional)),
        }
    }
    let name = name.filter(|name| !name.contains('$'))?;
    Some(format!("{}={name}", key?))
}

/// The values of `root=` that a kernel would read; GRUB's own `set root=hd0,msdos1` is none.
fn parameters(command: &str) -> impl Iterator<Item = String> {
    command.match_indices("root=").filter_map(|(at, found)| {
        let before = command[..at].chars().next_back();
        if before.is_some_and(|c| c.is_alphanumeric() || "_-.".contains(c)) {
            return None;
        }
        let value = command[at + found.len()..].trim_start_matches(['\'', '"']);
        let value = value
            .split([' ', '\t', '\'', '"'])
            .next()
            .unwrap_or_default();
        let names = [
            "UUID=",
            "LABEL=",
            "PARTUUID=",
            "PARTLABEL=",
            "ZFS=",
            "/dev/",
        ];
        let names_one = names.iter().any(|name| value.starts_with(name)) && !value.contains('$');
        names_one.then(|| value.to_owned())
    })
}

fn is_ours(name: &str, ids: &RootIds) -> bool {
    let fields = [
        ("UUID=", "/dev/disk/by-uuid/", Some(&ids.fs_uuid)),
        ("PARTUUID=", "/dev/disk/by-partuuid/", ids.partuuid.as_ref()),
    ];
    let by_id = fields.into_iter().any(|(tag, dev, id)| {
        let value = name.strip_prefix(tag).or_else(|| name.strip_prefix(dev));
        value
            .zip(id)
            .is_some_and(|(value, id)| value.eq_ignore_ascii_case(id))
    });
    let label = name
        .strip_prefix("LABEL=")
        .or_else(|| name.strip_prefix("/dev/disk/by-label/"));
    by_id || label.is_some_and(|label| !label.is_empty() && label == ids.label)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::config::{grub_cfg, tests::debian};
    use super::*;

    fn named(cfg: &str) -> RootNamed {
        root_named(cfg, &debian().root)
    }

    #[test]
    fn a_grub_cfg_of_ours_names_our_root() {
        assert_eq!(named(&grub_cfg(&debian()).unwrap()), RootNamed::Ours);
    }

    #[test]
    fn every_way_to_name_our_root_is_ours() {
        for cfg in [
            "linux /vmlinuz root=UUID=01234567-89AB-8DEF-8123-456789ABCDEF ro",
            "\tlinux\t/vmlinuz root=LABEL=root ro",
            "linux /vmlinuz root=PARTUUID=00c0ffee-01",
            "linux /vmlinuz root=/dev/disk/by-label/root",
            "set root='hd0,msdos1'\nlinux /vmlinuz 'root=LABEL=root'",
            "search --no-floppy --label --set=root --hint-bios=hd0,msdos1 root",
            "search.fs_uuid 01234567-89ab-8def-8123-456789abcdef root hd0,gpt1",
            "set kernelopts=\"root=LABEL=root ro \"",
        ] {
            assert_eq!(named(cfg), RootNamed::Ours, "{cfg}");
        }
    }

    #[test]
    fn another_root_anywhere_is_told_by_name() {
        for (cfg, name) in [
            (
                "linux /vmlinuz root=LABEL=root\nlinux /old root=UUID=dead-beef",
                "UUID=dead-beef",
            ),
            ("linux /vmlinuz root=/dev/sda1 ro", "/dev/sda1"),
            (
                "if true; then search --fs-uuid --set=root dead-beef; fi",
                "UUID=dead-beef",
            ),
            ("linux /vmlinuz root=PARTLABEL=root", "PARTLABEL=root"),
        ] {
            assert_eq!(named(cfg), RootNamed::Other(name.to_owned()), "{cfg}");
        }
    }

    #[test]
    fn variables_comments_and_grubs_own_root_name_nothing() {
        for cfg in [
            "",
            "set root=(hd0,msdos1)",
            "# linux /vmlinuz root=/dev/sda1",
            "linux /vmlinuz root=$rootdev nfsroot=/dev/x",
            "search --file /boot/vmlinuz --set=root",
            "search --no-floppy --fs-uuid --set=root ${uuid}",
        ] {
            assert_eq!(named(cfg), RootNamed::Nothing, "{cfg}");
        }
        // An empty label matches nothing.
        let unlabelled = RootIds {
            label: String::new(),
            ..debian().root
        };
        assert_ne!(
            root_named("linux /v root=LABEL= ro", &unlabelled),
            RootNamed::Ours
        );
    }

    proptest! {
        #[test]
        fn no_text_panics(cfg in "(root=|search|--label| |'|\"|;|#|é|\n|UUID=|x){0,30}") {
            let _ = named(&cfg);
        }
    }
}

//! grub.cfg: one entry for the newest kernel, and a submenu of all with their recovery entries.
//!
//! One file serves every firmware. What it does, in order: picks the entry that `grub-reboot` or
//! `grub-set-default` chose (grubenv), opens VGA and serial consoles on a BIOS machine and the screen's
//! driver on a UEFI one, finds the root filesystem, shows the menu. Names,
//! titles and ids are those of `grub-mkconfig`, so that choices outlive a later `update-grub`.

use std::fmt::Write;

use super::words::{forbid, script_arguments, script_word, single_quoted};
use super::{GrubError, KernelEntry, RootBy, RootIds};

/// The first line of every text file that we write into an image, so that a rebuild replaces it.
pub const MARKER: &str = "# Made by diskwright, and made anew when the image is rebuilt: remove this line to keep edits.";

/// The kernel's parameters unless told otherwise: both consoles, the serial one (EC2's console output)
/// last and so `/dev/console`; and NVMe requests that never time out, as AWS advises for EBS.
pub const DEFAULT_CMDLINE: &str =
    "console=tty0 console=ttyS0,115200n8 nvme_core.io_timeout=4294967295";

/// The same on arm64, where the serial console of EC2 is ttyS0 too and that of qemu is ttyAMA0: the kernel
/// passes over the one that is not there.
pub const DEFAULT_CMDLINE_ARM64: &str = "console=tty0 console=ttyAMA0,115200n8 \
     console=ttyS0,115200n8 nvme_core.io_timeout=4294967295";

/// GRUB's side of the serial console: the same speed as the kernel's.
pub(crate) const SERIAL_COMMAND: &str =
    "serial --unit=0 --speed=115200 --word=8 --parity=no --stop=1";

/// What grub.cfg and the drop-in for `update-grub` say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The system's name in the menu: `Debian GNU/Linux`.
    pub title: String,
    /// Newest first.
    pub kernels: Vec<KernelEntry>,
    /// How the root filesystem is known.
    pub root: RootIds,
    /// Which of its names the kernel is given.
    pub root_by: RootBy,
    /// Where GRUB looks for it first: `hd0,msdos1`; `hd0` without a partition table. It decides
    /// when a second disk with the same UUID is attached, as happens on EC2.
    pub hint: String,
    /// Kernel parameters behind `root=… ro`.
    pub cmdline: String,
    /// Seconds that the menu waits; 0 boots at once.
    pub timeout: u32,
}

/// Whether a file of ours, by its first line.
#[must_use]
pub fn bears_marker(text: &[u8]) -> bool {
    text.strip_prefix(MARKER.as_bytes())
        .is_some_and(|rest| rest.first().is_none_or(|&c| c == b'\n'))
}

/// The text of `/boot/grub/grub.cfg`.
///
/// # Errors
///
/// No kernel, or a text that cannot be written without changing what the script means.
pub fn grub_cfg(config: &Config) -> Result<String, GrubError> {
    let newest = config.kernels.first().ok_or(GrubError::NoKernel)?;
    let id = config.root.checked_fs_uuid()?;
    forbid("menu title", &config.title, |_| false, "")?;

    let mut out = format!("{MARKER}\n");
    header(&mut out, config)?;
    let simple = Entry {
        title: &config.title,
        id: &format!("gnulinux-simple-{id}"),
        recovery: false,
    };
    entry(&mut out, config, newest, &simple, "")?;
    let title = single_quoted(&format!("Advanced options for {}", config.title));
    line(
        &mut out,
        &format!("submenu {title} $menuentry_id_option 'gnulinux-advanced-{id}' {{"),
    );
    for kernel in &config.kernels {
        let version = &kernel.version;
        forbid("kernel version", version, |_| false, "")?;
        for (kind, suffix, recovery) in [
            ("advanced", "", false),
            ("recovery", " (recovery mode)", true),
        ] {
            let title = format!("{}, with Linux {version}{suffix}", config.title);
            let id = format!("gnulinux-{version}-{kind}-{id}");
            entry(
                &mut out,
                config,
                kernel,
                &Entry {
                    title: &title,
                    id: &id,
                    recovery,
                },
                "\t",
            )?;
        }
    }
    line(&mut out, "}");
    Ok(out)
}

fn header(out: &mut String, config: &Config) -> Result<(), GrubError> {
    let hint = &config.hint;
    let foreign = |c: char| !c.is_ascii_alphanumeric() && c != ',';
    forbid(
        "GRUB device",
        hint,
        foreign,
        "is not of the form hd0,msdos1",
    )?;
    let partition_map = match hint.split_once(',') {
        Some((_, part)) if part.starts_with("gpt") => "insmod part_gpt\n",
        Some(_) => "insmod part_msdos\n",
        None => "",
    };
    let id = config.root.checked_fs_uuid()?;
    let timeout = config.timeout;
    let text = format!(
        r#"
if [ -s $prefix/grubenv ]; then
	load_env
fi
if [ "${{next_entry}}" ]; then
	set default="${{next_entry}}"
	set next_entry=
	save_env next_entry
	set boot_once=true
else
	set default="${{saved_entry}}"
fi
if [ -z "${{default}}" ]; then
	set default=0
fi

function savedefault {{
	if [ -z "${{boot_once}}" ]; then
		saved_entry="${{chosen}}"
		save_env saved_entry
	fi
}}

if [ x"${{feature_menuentry_id}}" = xy ]; then
	menuentry_id_option="--id"
else
	menuentry_id_option=""
fi
export menuentry_id_option

# EFI firmware mirrors its console to the serial line by itself.
if [ "${{grub_platform}}" = pc ]; then
	if {SERIAL_COMMAND}; then
		terminal_input console serial
		terminal_output console serial
	fi
fi

# Without a driver for the screen the kernel of an EFI machine would be handed none.
if [ "${{grub_platform}}" = efi ]; then
	insmod all_video
fi

set timeout_style=menu
set timeout={timeout}

insmod gzio
{partition_map}insmod ext2
search --no-floppy --fs-uuid --set=root --hint={hint} {id}

"#
    );
    out.push_str(&text);
    Ok(())
}

struct Entry<'a> {
    title: &'a str,
    id: &'a str,
    recovery: bool,
}

fn entry(
    out: &mut String,
    config: &Config,
    kernel: &KernelEntry,
    entry: &Entry<'_>,
    indent: &str,
) -> Result<(), GrubError> {
    let root = config.root.parameter(config.root_by, kernel.has_initrd)?;
    let single = if entry.recovery { "single " } else { "" };
    let parameters = format!("ro {single}{}", script_arguments(&config.cmdline)?);
    let (title, id) = (single_quoted(entry.title), single_quoted(entry.id));
    let classes = classes(&config.title);
    let root = script_word(&format!("root={root}"));
    line(
        out,
        &format!("{indent}menuentry {title} {classes} $menuentry_id_option {id} {{"),
    );
    let linux = path(&kernel.kernel_path)?;
    line(
        out,
        format!("{indent}\tlinux {linux} {root} {parameters}").trim_end(),
    );
    if !kernel.initrd_paths.is_empty() {
        let paths = kernel
            .initrd_paths
            .iter()
            .map(|p| path(p))
            .collect::<Result<Vec<_>, _>>()?;
        line(out, &format!("{indent}\tinitrd {}", paths.join(" ")));
    }
    line(out, &format!("{indent}}}"));
    Ok(())
}

/// Icons that a theme would show, as `grub-mkconfig` names them.
fn classes(title: &str) -> String {
    let first = title
        .split_whitespace()
        .next()
        .unwrap_or_default()
        .to_lowercase();
    let class: String = first
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
        .collect();
    let own = if class.is_empty() {
        String::new()
    } else {
        format!("--class {class} ")
    };
    own + "--class gnu-linux --class gnu --class os"
}

fn path(path: &str) -> Result<String, GrubError> {
    forbid("path of a kernel or initrd", path, |_| false, "")?;
    Ok(script_word(path))
}

fn line(out: &mut String, text: &str) {
    writeln!(out, "{text}").expect("a String takes any text");
}

#[cfg(test)]
pub(crate) mod tests {
    use expect_test::expect;

    use super::*;

    pub(crate) fn debian() -> Config {
        let kernel = |version: &str| KernelEntry {
            version: version.to_owned(),
            kernel_path: format!("/boot/vmlinuz-{version}"),
            initrd_paths: vec![format!("/boot/initrd.img-{version}")],
            has_initrd: true,
        };
        Config {
            title: "Debian GNU/Linux".to_owned(),
            kernels: vec![kernel("6.1.0-56-cloud-amd64")],
            root: RootIds {
                fs_uuid: "01234567-89ab-8def-8123-456789abcdef".to_owned(),
                label: "root".to_owned(),
                partuuid: Some("00c0ffee-01".to_owned()),
            },
            root_by: RootBy::Uuid,
            hint: "hd0,msdos1".to_owned(),
            cmdline: DEFAULT_CMDLINE.to_owned(),
            timeout: 1,
        }
    }

    #[test]
    fn entries_of_a_debian() {
        let text = grub_cfg(&debian()).unwrap();
        assert!(bears_marker(text.as_bytes()));
        let tail = &text[text.find("set timeout_style").unwrap()..];
        expect![[r#"
            set timeout_style=menu
            set timeout=1

            insmod gzio
            insmod part_msdos
            insmod ext2
            search --no-floppy --fs-uuid --set=root --hint=hd0,msdos1 01234567-89ab-8def-8123-456789abcdef

            menuentry 'Debian GNU/Linux' --class debian --class gnu-linux --class gnu --class os $menuentry_id_option 'gnulinux-simple-01234567-89ab-8def-8123-456789abcdef' {
            	linux /boot/vmlinuz-6.1.0-56-cloud-amd64 root=UUID=01234567-89ab-8def-8123-456789abcdef ro console=tty0 console=ttyS0,115200n8 nvme_core.io_timeout=4294967295
            	initrd /boot/initrd.img-6.1.0-56-cloud-amd64
            }
            submenu 'Advanced options for Debian GNU/Linux' $menuentry_id_option 'gnulinux-advanced-01234567-89ab-8def-8123-456789abcdef' {
            	menuentry 'Debian GNU/Linux, with Linux 6.1.0-56-cloud-amd64' --class debian --class gnu-linux --class gnu --class os $menuentry_id_option 'gnulinux-6.1.0-56-cloud-amd64-advanced-01234567-89ab-8def-8123-456789abcdef' {
            		linux /boot/vmlinuz-6.1.0-56-cloud-amd64 root=UUID=01234567-89ab-8def-8123-456789abcdef ro console=tty0 console=ttyS0,115200n8 nvme_core.io_timeout=4294967295
            		initrd /boot/initrd.img-6.1.0-56-cloud-amd64
            	}
            	menuentry 'Debian GNU/Linux, with Linux 6.1.0-56-cloud-amd64 (recovery mode)' --class debian --class gnu-linux --class gnu --class os $menuentry_id_option 'gnulinux-6.1.0-56-cloud-amd64-recovery-01234567-89ab-8def-8123-456789abcdef' {
            		linux /boot/vmlinuz-6.1.0-56-cloud-amd64 root=UUID=01234567-89ab-8def-8123-456789abcdef ro single console=tty0 console=ttyS0,115200n8 nvme_core.io_timeout=4294967295
            		initrd /boot/initrd.img-6.1.0-56-cloud-amd64
            	}
            }
        "#]]
        .assert_eq(tail);
    }

    #[test]
    fn a_kernel_without_initrd_is_given_the_partition() {
        let mut config = debian();
        config.kernels[0].has_initrd = false;
        config.kernels[0].initrd_paths.clear();
        let text = grub_cfg(&config).unwrap();
        assert!(text.contains("root=PARTUUID=00c0ffee-01 ro"), "{text}");
        assert!(!text.contains("initrd "), "{text}");
    }

    #[test]
    fn a_disk_without_partitions_loads_no_partition_map() {
        let text = grub_cfg(&Config {
            hint: "hd0".to_owned(),
            ..debian()
        })
        .unwrap();
        assert!(
            !text.contains("insmod part_") && text.contains("--hint=hd0 "),
            "{text}"
        );
    }

    #[test]
    fn no_text_escapes_its_place() {
        let text = grub_cfg(&Config {
            title: "it's; halt".to_owned(),
            ..debian()
        })
        .unwrap();
        assert!(text.contains(r"menuentry 'it'\''s; halt' "), "{text}");
        assert!(matches!(
            grub_cfg(&Config {
                kernels: Vec::new(),
                ..debian()
            }),
            Err(GrubError::NoKernel)
        ));
        for bad in [
            Config {
                title: "a\nhalt".to_owned(),
                ..debian()
            },
            Config {
                hint: "hd0;halt".to_owned(),
                ..debian()
            },
            Config {
                cmdline: "a\nhalt".to_owned(),
                ..debian()
            },
            Config {
                root: RootIds {
                    fs_uuid: "x; halt".to_owned(),
                    ..debian().root
                },
                ..debian()
            },
        ] {
            assert!(
                matches!(grub_cfg(&bad), Err(GrubError::Text { .. })),
                "{bad:?}"
            );
        }
    }

    #[test]
    fn the_marker_is_a_whole_first_line() {
        assert!(bears_marker(MARKER.as_bytes()));
        assert!(!bears_marker(format!("{MARKER} not").as_bytes()));
        assert!(!bears_marker(format!("\n{MARKER}").as_bytes()));
        assert!(!bears_marker(b""));
    }
}

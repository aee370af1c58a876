//! menu.lst: the menu of PV-GRUB, which is GRUB 0.97 under Xen.
//!
//! A line is a command and the rest of the line: nothing is quoted, a title ends with its line, a backslash
//! joins lines. GRUB hands a kernel's parameters on as they stand. Grammar: GRUB 0.97 manual, ch. 13;
//! `stage2/stage2.c` `get_line_from_config`.

use super::words::forbid;
use super::{Config, GrubError, KernelEntry, MARKER};
use std::fmt::Write;

/// Where PV-GRUB looks for it first on a disk without partitions.
pub const MENU_LST_PATH: &str = "boot/grub/menu.lst";

/// The kernel's parameters unless told otherwise: Xen's console, which is EC2's console output.
pub const DEFAULT_CMDLINE_PV: &str = "console=hvc0";

/// Without an initrd neither UUID nor LABEL can be told: where EC2 attaches the root of a PV instance
/// (`/dev/sda1` of its block device mapping is `xvda1`).
pub const PV_ROOT_DEVICE: &str = "/dev/xvda1";

/// `MAX_GUEST_CMDLINE` of Xen's `public/xen.h`, a terminating NUL among it.
const CMDLINE_MAX: usize = 1024;

/// The text of `/boot/grub/menu.lst` for a disk without partitions. Every kernel has an entry and one for
/// recovery, newest first; when the first does not load, GRUB goes on with the second kernel.
///
/// # Errors
/// No kernel, or a text that a line cannot hold.
pub fn menu_lst(config: &Config) -> Result<String, GrubError> {
    if config.kernels.is_empty() {
        return Err(GrubError::NoKernel);
    }
    forbid("menu title", &config.title, |c| c == '\\', BACKSLASH)?;
    let mut out = format!("{MARKER}\ndefault 0\n");
    if config.kernels.len() > 1 {
        out.push_str("fallback 2\n");
    }
    push(&mut out, format_args!("timeout {}\n", config.timeout));
    for kernel in &config.kernels {
        entry(&mut out, config, kernel, false)?;
        entry(&mut out, config, kernel, true)?;
    }
    Ok(out)
}

/// Characters that an error shows of a line that is too long.
const SHOWN: usize = 60;

const BACKSLASH: &str = r"has a `\`, by which GRUB 0.97 joins lines";

fn entry(
    out: &mut String,
    config: &Config,
    kernel: &KernelEntry,
    recovery: bool,
) -> Result<(), GrubError> {
    let root = match kernel.has_initrd {
        true => config.root.parameter(config.root_by, true)?,
        false => PV_ROOT_DEVICE.to_owned(),
    };
    forbid("kernel version", &kernel.version, |c| c == '\\', BACKSLASH)?;
    forbid(
        "kernel command line",
        &config.cmdline,
        |c| c == '\\',
        BACKSLASH,
    )?;
    let (title, single) = match recovery {
        true => (" (recovery mode)", "single "),
        false => ("", ""),
    };
    let arguments = format!("root={root} ro {single}{}", config.cmdline);
    let line = format!("{} {}", path(&kernel.kernel_path)?, arguments.trim_end());
    if line.len() >= CMDLINE_MAX {
        return Err(GrubError::Text {
            what: "kernel command line",
            value: line.chars().take(SHOWN).chain(['…']).collect(),
            why: "has 1024 bytes or more: Xen hands on no more",
        });
    }
    push(
        out,
        format_args!(
            "\ntitle {}, with Linux {}{title}\nroot (hd0)\nkernel {line}\n",
            config.title, kernel.version
        ),
    );
    // One file: microcode, which may come before, is the hypervisor's to load.
    if let Some(initrd) = kernel.initrd_paths.last().filter(|_| kernel.has_initrd) {
        push(out, format_args!("initrd {}\n", path(initrd)?));
    }
    Ok(())
}

fn path(path: &str) -> Result<&str, GrubError> {
    let bad = |c: char| c == '\\' || c == ' ';
    forbid(
        "path of a kernel or initrd",
        path,
        bad,
        "has a blank or a `\\`",
    )?;
    Ok(path)
}

fn push(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("a String takes every write");
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::super::config::tests::debian;
    use super::*;

    fn pv() -> Config {
        Config {
            cmdline: DEFAULT_CMDLINE_PV.to_owned(),
            hint: "hd0".to_owned(),
            ..debian()
        }
    }

    #[test]
    fn the_menu_of_a_debian() {
        expect![[r#"
            # Made by diskwright, and made anew when the image is rebuilt: remove this line to keep edits.
            default 0
            timeout 1

            title Debian GNU/Linux, with Linux 6.1.0-56-cloud-amd64
            root (hd0)
            kernel /boot/vmlinuz-6.1.0-56-cloud-amd64 root=UUID=01234567-89ab-8def-8123-456789abcdef ro console=hvc0
            initrd /boot/initrd.img-6.1.0-56-cloud-amd64

            title Debian GNU/Linux, with Linux 6.1.0-56-cloud-amd64 (recovery mode)
            root (hd0)
            kernel /boot/vmlinuz-6.1.0-56-cloud-amd64 root=UUID=01234567-89ab-8def-8123-456789abcdef ro single console=hvc0
            initrd /boot/initrd.img-6.1.0-56-cloud-amd64
        "#]].assert_eq(&menu_lst(&pv()).unwrap());
    }

    #[test]
    fn a_second_kernel_is_the_fallback() {
        let mut config = pv();
        config.kernels.push(config.kernels[0].clone());
        assert!(
            menu_lst(&config)
                .unwrap()
                .contains("default 0\nfallback 2\n")
        );
    }

    #[test]
    fn a_kernel_without_initrd_is_given_the_device() {
        let mut config = pv();
        config.kernels[0].has_initrd = false;
        config.kernels[0].initrd_paths.clear();
        let text = menu_lst(&config).unwrap();
        assert!(
            text.contains(" root=/dev/xvda1 ro ") && !text.contains("initrd "),
            "{text}"
        );
    }

    #[test]
    fn no_text_escapes_its_line() {
        let mut blank = pv();
        blank.kernels[0].kernel_path = "/boot/vmlinuz-1 x".to_owned();
        let long = "a".repeat(1024);
        for bad in [
            Config {
                title: "a\nroot (hd1)".into(),
                ..pv()
            },
            Config {
                title: "a\\".into(),
                ..pv()
            },
            Config {
                cmdline: "a\nb".into(),
                ..pv()
            },
            Config {
                cmdline: "a\\b".into(),
                ..pv()
            },
            Config {
                cmdline: long,
                ..pv()
            },
            blank,
        ] {
            assert!(
                matches!(menu_lst(&bad), Err(GrubError::Text { .. })),
                "{bad:?}"
            );
        }
        let none = Config {
            kernels: Vec::new(),
            ..pv()
        };
        assert!(matches!(menu_lst(&none), Err(GrubError::NoKernel)));
    }
}

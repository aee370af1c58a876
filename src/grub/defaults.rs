//! The drop-in for `/etc/default/grub.d`, so that a later `update-grub` says what our grub.cfg says.

use super::config::SERIAL_COMMAND;
use super::words::{forbid, script_arguments, single_quoted};
use super::{Config, GrubError, MARKER, RootBy};

/// Where it goes. Debian and Ubuntu source that folder after `/etc/default/grub`; others do not.
pub const DROP_IN_PATH: &str = "/etc/default/grub.d/50-diskwright.cfg";

/// The text of the drop-in.
///
/// `root=LABEL` has no equivalent in grub-mkconfig: regenerated entries name the UUID.
///
/// # Errors
///
/// A text that cannot be written into a shell script on one line.
pub fn drop_in(config: &Config) -> Result<String, GrubError> {
    forbid("menu title", &config.title, |_| false, "")?;
    // grub-mkconfig appends it.
    let distributor = config
        .title
        .strip_suffix(" GNU/Linux")
        .unwrap_or(&config.title);
    let root = match config.root_by {
        RootBy::Uuid | RootBy::Label => "",
        RootBy::PartUuid => "GRUB_DISABLE_LINUX_UUID=true\nGRUB_DISABLE_LINUX_PARTUUID=false\n",
    };
    // A GRUB script takes the value verbatim: quoted for it first, for the shell second.
    let cmdline = single_quoted(&script_arguments(&config.cmdline)?);
    Ok(format!(
        "{MARKER}\n\
         # Read by update-grub: what it generates agrees with the grub.cfg of the image.\n\
         GRUB_DEFAULT=saved\n\
         GRUB_TIMEOUT={timeout}\n\
         GRUB_TIMEOUT_STYLE=menu\n\
         GRUB_DISTRIBUTOR={distributor}\n\
         # EFI firmware mirrors its console to the serial line by itself.\n\
         if [ -d /sys/firmware/efi ]; then\n\
         \tGRUB_TERMINAL=console\n\
         else\n\
         \tGRUB_TERMINAL='console serial'\n\
         \tGRUB_SERIAL_COMMAND='{SERIAL_COMMAND}'\n\
         fi\n\
         GRUB_CMDLINE_LINUX={cmdline}\n\
         GRUB_CMDLINE_LINUX_DEFAULT=''\n\
         {root}\
         GRUB_DISABLE_OS_PROBER=true\n",
        timeout = config.timeout,
        distributor = single_quoted(distributor),
    ))
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::super::config::tests::debian;
    use super::*;

    #[test]
    fn drop_in_of_a_debian() {
        expect![[r#"
            # Made by diskwright, and made anew when the image is rebuilt: remove this line to keep edits.
            # Read by update-grub: what it generates agrees with the grub.cfg of the image.
            GRUB_DEFAULT=saved
            GRUB_TIMEOUT=1
            GRUB_TIMEOUT_STYLE=menu
            GRUB_DISTRIBUTOR='Debian'
            # EFI firmware mirrors its console to the serial line by itself.
            if [ -d /sys/firmware/efi ]; then
            	GRUB_TERMINAL=console
            else
            	GRUB_TERMINAL='console serial'
            	GRUB_SERIAL_COMMAND='serial --unit=0 --speed=115200 --word=8 --parity=no --stop=1'
            fi
            GRUB_CMDLINE_LINUX='console=tty0 console=ttyS0,115200n8 nvme_core.io_timeout=4294967295'
            GRUB_CMDLINE_LINUX_DEFAULT=''
            GRUB_DISABLE_OS_PROBER=true
        "#]]
        .assert_eq(&drop_in(&debian()).unwrap());
    }

    #[test]
    fn a_parameter_with_a_blank_is_quoted_twice() {
        let config = Config {
            cmdline: "a=\"b c\"".to_owned(),
            ..debian()
        };
        let text = drop_in(&config).unwrap();
        assert!(
            text.contains(r"GRUB_CMDLINE_LINUX=''\''a=b c'\'''"),
            "{text}"
        );
    }

    #[test]
    fn root_by_partuuid_is_asked_of_grub_mkconfig_too() {
        let text = drop_in(&Config {
            root_by: RootBy::PartUuid,
            ..debian()
        })
        .unwrap();
        assert!(text.contains("GRUB_DISABLE_LINUX_PARTUUID=false"), "{text}");
    }
}

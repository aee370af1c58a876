//! The flags that edit the tree of an image.

use diskwright::image::customize::{CustomFile, Customize, MachineId, Overlay, SshKey, User};
use std::path::PathBuf;

/// Heading of these flags.
pub(super) const HEADING: &str = "Customize (in this order, whatever that of the flags)";

#[derive(Clone, Debug, clap::Args)]
pub(super) struct CustomizeShape {
    /// Leave out what matches, as in '/usr/share/doc/**'; may be given several times
    #[arg(long, value_name = "GLOB", help_heading = HEADING)]
    remove: Vec<String>,

    /// Lay a folder over the tree; root:root owns its files unless told, and of modes group's and others' write
    /// permission is left out. Several times: in this order
    #[arg(long, value_name = "DIR[:OWNER[:GROUP]]", help_heading = HEADING)]
    #[arg(value_hint = clap::ValueHint::AnyPath)]
    overlay: Vec<Overlay>,

    /// Put a file into the image, as in motd:/etc/motd:0644; without MODE 0644, 0755 if it is executable, 0600
    /// or 0700 if nobody else may read it. Several times
    #[arg(long, value_name = "SRC:DEST[:MODE[:OWNER[:GROUP]]]", help_heading = HEADING)]
    #[arg(value_hint = clap::ValueHint::AnyPath)]
    file: Vec<CustomFile>,

    /// Add a user without a password, its home from /etc/skel, to these groups; several times
    #[arg(long, value_name = "NAME[:UID][:GROUP,…]", help_heading = HEADING)]
    user: Vec<User>,

    /// Let a user log in over ssh with the public keys of a file; several times
    #[arg(long, value_name = "USER:FILE", help_heading = HEADING)]
    #[arg(value_hint = clap::ValueHint::AnyPath)]
    ssh_key: Vec<SshKey>,

    /// Time zone, as in Europe/Berlin
    #[arg(long, value_name = "ZONE", help_heading = HEADING)]
    timezone: Option<String>,

    /// LANG of the system, as in C.UTF-8
    #[arg(long, value_name = "NAME", help_heading = HEADING)]
    locale: Option<String>,

    /// Start a unit at boot, as `systemctl --root enable`; several times
    #[arg(long, value_name = "UNIT", help_heading = HEADING)]
    enable: Vec<String>,

    /// Start it no longer, as `systemctl --root disable`; several times
    #[arg(long, value_name = "UNIT", help_heading = HEADING)]
    disable: Vec<String>,

    /// Let nobody start it, as `systemctl --root mask`; several times
    #[arg(long, value_name = "UNIT", help_heading = HEADING)]
    mask: Vec<String>,

    /// User-data for cloud-init, or a folder with user-data, meta-data …: its source NoCloud
    #[arg(long, value_name = "FILE|DIR", help_heading = HEADING)]
    #[arg(value_hint = clap::ValueHint::AnyPath)]
    cloud_init: Option<PathBuf>,

    /// What becomes of /etc/machine-id
    #[arg(long, value_enum, default_value = "keep", help_heading = HEADING)]
    machine_id: MachineIdArg,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum MachineIdArg {
    /// What the archive has
    Keep,
    /// Made at first boot
    Empty,
    /// The same, and systemd takes it for the first boot
    Uninitialized,
}

impl CustomizeShape {
    /// The library's own.
    pub(super) fn into_customize(self) -> Customize {
        Customize {
            remove: self.remove,
            overlays: self.overlay,
            files: self.file,
            users: self.user,
            ssh_keys: self.ssh_key,
            timezone: self.timezone,
            locale: self.locale,
            enable: self.enable,
            disable: self.disable,
            mask: self.mask,
            cloud_init: self.cloud_init,
            machine_id: match self.machine_id {
                MachineIdArg::Keep => MachineId::Keep,
                MachineIdArg::Empty => MachineId::Empty,
                MachineIdArg::Uninitialized => MachineId::Uninitialized,
            },
        }
    }
}

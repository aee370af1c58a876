//! The rules as data.

use serde::Serialize;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Good to know.
    Info,
    /// It may not work, or not everywhere.
    Warning,
    /// It does not boot, cannot be reached, or gives secrets away.
    Error,
}

impl Severity {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// A rule.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Rule {
    /// Its id, which never changes its meaning.
    pub id: &'static str,
    /// How bad it is for an AMI of one's own.
    pub severity: Severity,
    /// How bad it is on the marketplace.
    pub marketplace: Severity,
    /// What is asked for, in a line.
    pub title: &'static str,
    /// Why.
    pub why: &'static str,
    /// How to mend it.
    pub mend: &'static str,
}

macro_rules! rules {
    ($($id:literal $severity:ident $marketplace:ident $title:literal $why:literal $mend:literal;)*) => {
        /// All rules, by id.
        pub const CATALOGUE: &[Rule] = &[$(Rule {
            id: $id,
            severity: Severity::$severity,
            marketplace: Severity::$marketplace,
            title: $title,
            why: $why,
            mend: $mend,
        }),*];
    };
}

rules! {
    "A001" Warning Warning "the kernel speaks to the serial console"
        "EC2 shows what a machine prints on ttyS0 and nothing else: without console=ttyS0 a boot that fails is silent."
        "Add console=ttyS0,115200n8 to the kernel's command line (`build` does so), or in GRUB_CMDLINE_LINUX of /etc/default/grub.";
    "A002" Error Error "the root is named by what does not change"
        "Disks are xvda on Xen and nvme0n1 on Nitro, whatever they were called where the image was made."
        "Name filesystems by UUID=, LABEL= or PARTUUID= in root= and /etc/fstab.";
    "A003" Error Error "the drivers of EC2 are there"
        "On Nitro the root is an NVMe disk and the network an ENA card: nvme has to be in the initrd or the kernel, ena in the modules."
        "Set MODULES=most in /etc/initramfs-tools/initramfs.conf (dracut: add_drivers+=\" nvme \") and make the initrd anew; install a kernel with ena.";
    "A004" Error Error "GRUB reads the root filesystem"
        "A GRUB that meets a feature of ext4 younger than itself refuses the filesystem, and the machine ends in its rescue shell."
        "Make the filesystem with --features default, or install a newer GRUB.";
    "A005" Error Error "UEFI finds a loader"
        "The variables of a new instance are empty: firmware starts EFI/BOOT/BOOTX64.EFI or BOOTAA64.EFI and knows of nothing else."
        "Put the loader there too (`grub-install --removable`); `build --boot uefi` does so.";
    "A006" Error Error "something boots it"
        "arm64 boots by UEFI alone; x86-64 by UEFI, by GRUB's core.img or extlinux for BIOS (or by PV-GRUB's menu.lst)."
        "Build it with --boot auto, uefi or hybrid.";
    "A007" Warning Error "the machine id is not set"
        "All instances of an AMI with a machine id share it: DHCP leases, journals and host names collide."
        "Empty /etc/machine-id and remove /var/lib/dbus/machine-id.";
    "A008" Error Error "there are no SSH host keys"
        "Whoever has the AMI has the private keys of every machine started from it."
        "Remove /etc/ssh/ssh_host_*: cloud-init or ssh.service makes new ones at first boot.";
    "A009" Warning Error "there are no keys, passwords and histories of people"
        "Credentials in an image work on every machine that is started from it, and for everybody who can read it."
        "Remove them; give keys at launch, which cloud-init installs.";
    "A010" Warning Warning "what fstab mounts is there, or may be missing"
        "systemd waits 90 seconds for a filesystem that is missing, then stops in emergency mode, where nobody can log in."
        "Correct the UUID, or add nofail to its options.";
    "A011" Warning Warning "it gets an address, and fills its volume"
        "Without DHCP an instance cannot be reached; without growpart or systemd-repart its root stays as large as the image."
        "Install cloud-init and cloud-guest-utils, or enable systemd-networkd and systemd-repart.";
    "A012" Warning Error "nothing of the machine that built it is left"
        "Name servers, host names and package proxies of a build machine are wrong, or out of reach, in EC2."
        "Remove /etc/resolv.conf, /etc/hostname and the Acquire::http::Proxy of /etc/apt/apt.conf.d.";
    "A013" Warning Warning "programs have the capabilities that their packages set"
        "Archives lose security.capability when they are made without --xattrs: programs fail for plain users then."
        "Make the archive with `tar --xattrs --xattrs-include=*`, or run setcap again as the package's postinst does.";
    "A014" Warning Error "setuid programs are those of the parent"
        "A program that became setuid, or no longer is, is rarely meant so. Looked at where --parent names an image to compare with."
        "chmod u-s it, or say --allow A014 when it is meant.";
    "A015" Warning Warning "no time lies in the future"
        "Clocks were wrong where it was built: make, certificates and tar complain, and fsck may check at every boot."
        "Set the clock, or clamp times with SOURCE_DATE_EPOCH.";
    "A016" Info Info "the size is whole GiB"
        "Volumes of EBS have whole GiB: what is missing is filled up, and the root grows into it."
        "Say --round 1GiB to have it so.";
    "A017" Info Warning "holes are only where nothing is"
        "Bytes that the filesystem uses and the image file leaves out read as noise on an encrypted volume, if the upload leaves them out too."
        "Send it with `push`, or `snapshot` with --map-file or without --holes skip.";
    "A018" Error Error "every kernel has its modules"
        "A kernel without its modules has no network, and often no disk."
        "Install the kernel's package as a whole, or remove /boot/vmlinuz-VERSION.";
    "A019" Warning Warning "cloud-init speaks to IMDSv2"
        "AMIs are registered so that the metadata service wants a token; cloud-init before 20.1 has none, and gets neither keys nor user data."
        "Install cloud-init 20.1 or newer.";
    "A020" Warning Warning "it is no longer a container"
        "Programs that find /.dockerenv behave as in a container: units are skipped, and an empty /etc/hosts has no localhost."
        "Remove /.dockerenv and /run/.containerenv; write 127.0.0.1 localhost into /etc/hosts.";
}

/// The rule of an id, in either case.
#[must_use]
pub fn rule(id: &str) -> Option<&'static Rule> {
    CATALOGUE.iter().find(|r| r.id.eq_ignore_ascii_case(id))
}

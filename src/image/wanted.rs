//! The few files of the rootfs that are read again when the archive has ended: a spool keeps them.

use super::arch::SHELLS;
use super::grow::REPART_CONF;
use super::places;
use crate::grub::DROP_IN_PATH;
use crate::units::MIB;

/// No file that is read here is larger.
pub(super) const READ_MAX: u64 = 16 * MIB;
/// But for kernels: a vmlinux of today has 50 to 80 MB.
pub(super) const KERNEL_MAX: u64 = 256 * MIB;

/// Where GRUB and shim lie in the rootfs.
pub(super) const LIB: &str = "usr/lib";
/// Where dpkg keeps its lists of files.
pub(super) const DPKG_INFO: &str = "var/lib/dpkg/info";
/// GRUB's menu.
pub(super) const GRUB_CFG: &str = "boot/grub/grub.cfg";
/// The menu of PV-GRUB.
pub(super) const MENU_LST: &str = crate::grub::MENU_LST_PATH;
/// What is mounted where.
pub(super) const FSTAB: &str = "etc/fstab";
/// Addresses of names.
pub(super) const HOSTS: &str = "etc/hosts";
/// The system's own name.
pub(super) const HOSTNAME: &str = "etc/hostname";
/// Numbers of users' names.
pub(super) const PASSWD: &str = "etc/passwd";
/// Numbers of groups' names.
pub(super) const GROUP: &str = "etc/group";
/// The packages of a Debian system; a large one has some 3 MB of it.
pub(super) const DPKG_STATUS: &str = "var/lib/dpkg/status";
/// The system's name, the first that is there.
pub(super) const OS_RELEASE: [&str; 2] = ["etc/os-release", "usr/lib/os-release"];

/// A name as the tree has it, without what says nothing.
pub(super) fn trimmed(mut path: &[u8]) -> &[u8] {
    loop {
        path = match path {
            [b'/', rest @ ..] | [b'.', b'/', rest @ ..] => rest,
            _ => return path,
        };
    }
}

/// Whether [`super::prepare`], [`super::accounts`] or [`super::fsck`] may read the file at `path`, so that a
/// spool keeps it.
pub(super) fn wants(path: &[u8]) -> bool {
    let path = trimmed(path);
    let in_lib = path.strip_prefix(LIB.as_bytes());
    let in_lib = in_lib.and_then(|rest| rest.strip_prefix(b"/"));
    let in_dpkg = path.strip_prefix(DPKG_INFO.as_bytes());
    let in_dpkg = in_dpkg.and_then(|rest| rest.strip_prefix(b"/"));
    let in_dpkg = in_dpkg.unwrap_or_default();
    // What an earlier build put there, to be compared with what this one would.
    let ours = path.starts_with(b"boot/grub/")
        || [HOSTNAME, REPART_CONF, DROP_IN_PATH.trim_start_matches('/')]
            .iter()
            .any(|p| p.as_bytes() == path);
    ours || in_lib
        .and_then(|rest| std::str::from_utf8(rest).ok())
        .is_some_and(places::is_input)
        || places::LISTS.iter().any(|l| l.as_bytes() == in_dpkg)
        || [
            GRUB_CFG,
            MENU_LST,
            FSTAB,
            HOSTS,
            PASSWD,
            GROUP,
            DPKG_STATUS,
            OS_RELEASE[0],
            OS_RELEASE[1],
        ]
        .iter()
        .chain(&SHELLS)
        .any(|p| p.as_bytes() == path)
}

/// Whether the file at `path` may be a kernel of the menu: `pv` looks into them.
pub(super) fn is_kernel(path: &[u8]) -> bool {
    let name = trimmed(path);
    let name = name.strip_prefix(b"boot/").unwrap_or(name);
    name.starts_with(b"vmlinuz-") || name.starts_with(b"kernel-")
}

//! core.img at its place on a disk, in one call.

use super::{Area, Files, GrubError, core_img, embed};

/// What grub-install builds into core.img for ext2, ext3 or ext4 on a disk with an MBR, in its order.
pub const MODULES_EXT_ON_MBR: [&str; 3] = ["ext2", "part_msdos", "biosdisk"];

/// The same on a disk with a GPT.
pub const MODULES_EXT_ON_GPT: [&str; 3] = ["ext2", "part_gpt", "biosdisk"];

/// Where a core.img looks for grub.cfg: on the first partition of the disk it was booted from.
pub const PREFIX_MBR_1: &str = "(,msdos1)/boot/grub";

/// The same on a disk with a GPT.
pub const PREFIX_GPT_1: &str = "(,gpt1)/boot/grub";

/// How to make the loader.
#[derive(Clone, Copy, Debug)]
pub struct BiosSpec<'a> {
    /// The prefix object of core.img.
    pub prefix: &'a str,
    /// Modules of core.img, without what they depend on.
    pub modules: &'a [&'a str],
    /// Commands for core.img's rescue parser; `None` on a single disk.
    pub config: Option<&'a str>,
    /// Where core.img goes.
    pub area: Area,
    /// Fill the area behind core.img with Reed-Solomon parity, as grub-install does by default.
    pub rs: bool,
}

/// core.img for a disk, from the files of `/usr/lib/grub/i386-pc`: what lies from the first sector of the area
/// on, a whole number of sectors. [`boot_sector`](super::boot_sector) makes what loads it.
///
/// # Errors
///
/// See [`core_img`] and [`embed`].
pub fn bios(files: &Files, spec: &BiosSpec<'_>) -> Result<Vec<u8>, GrubError> {
    let core = core_img(files, spec.prefix, spec.modules, spec.config)?;
    embed(&core, spec.area, spec.rs)
}

//! How the image boots, and with that which partitions it has.
//!
//! ```text
//!         0        1 MiB        4 MiB                4 MiB + ESP
//! none    | root …                                                                  --boot pv
//! mbr     | MBR    | root …
//! gpt     | GPT    | root …                                            | GPT |   --boot none
//!         | GPT    | BIOS boot  | root …                               | GPT |   --boot bios
//!         | GPT    | BIOS boot, | ESP                | root …          | GPT |   uefi, hybrid
//!         |        | or free    |                    |                 |     |
//! ```
//!
//! **Where root begins is settled before the archive is read**, because file data goes to its place on the
//! disk as it comes; what the rootfs carries is known when it has ended. So as long as `auto` may still end
//! in an EFI system partition, root begins behind the room for one, whatever is found. Where only a BIOS
//! loader is found, that room stays in front of the first partition of an MBR: 127 MiB of address space
//! that no file and no snapshot stores, in exchange for one pass over the archive, no copying, and a layout
//! that depends on no feature of the output's filesystem. `--boot bios` says so beforehand, and has none.
//!
//! Root lies last, so that growpart(1) can enlarge it; the numbers are those of Debian's cloud images.

use super::{Boot, BuildError, Scheme, Size, Spec, arch};
use crate::grub::{EfiArch, LoaderKind};
use crate::partition::{FIRST_PARTITION, GPT_BACK};
use crate::units::{Lba, MIB, SECTOR};

/// The BIOS boot partition: 3 MiB, of which core.img can use 444 KiB.
pub(super) const BIOS_BOOT_START: Lba = FIRST_PARTITION;
/// Its length in sectors.
pub(super) const BIOS_BOOT_SECTORS: u64 = 3 * MIB / SECTOR;
/// The EFI system partition lies behind it, be it there or not.
pub(super) const ESP_START: Lba = BIOS_BOOT_START.plus(BIOS_BOOT_SECTORS);

/// Numbers of the partitions.
pub(super) const ROOT_NUMBER: u32 = 1;
pub(super) const BIOS_BOOT_NUMBER: u32 = 14;
pub(super) const ESP_NUMBER: u32 = 15;

/// What is known of the disk before the archive is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Room {
    /// Byte at which the root filesystem begins.
    pub(super) base: u64,
    /// Whether there may be a GPT, whose backup takes the end of the disk.
    gpt: bool,
}

impl Room {
    /// Whether there may be a GPT.
    pub(super) fn gpt(self) -> bool {
        self.gpt
    }

    /// Bytes behind root on a fitted disk: a whole MiB for the backup of a GPT.
    pub(super) fn tail(self) -> u64 {
        if self.gpt { MIB } else { 0 }
    }

    /// Bytes of a disk with `root` bytes of root filesystem.
    pub(super) fn disk(self, root: u64) -> u64 {
        let end = self.base + root;
        if self.gpt {
            end.next_multiple_of(MIB) + GPT_BACK * SECTOR
        } else {
            end
        }
    }

    /// Where the root partition may end on a disk of `size` bytes: with a GPT at a whole MiB.
    pub(super) fn end(self, size: u64) -> u64 {
        if self.gpt {
            size.saturating_sub(GPT_BACK * SECTOR) / MIB * MIB
        } else {
            size
        }
    }
}

/// Length of the EFI system partition in bytes: whole MiB, so that root begins at one.
pub(super) fn esp_len(spec: &Spec) -> u64 {
    spec.esp_size.max(1).next_multiple_of(MIB)
}

/// The room for what `spec` may come to.
pub(super) fn room(spec: &Spec) -> Room {
    let (base, gpt) = match (spec.scheme, spec.boot) {
        (Scheme::None, _) | (Scheme::Auto, Boot::Pv) => (0, false),
        (Scheme::Mbr, _) | (Scheme::Auto, Boot::None | Boot::Bios) => {
            (FIRST_PARTITION.byte_offset(), false)
        }
        (Scheme::Gpt, Boot::None | Boot::Pv) => (FIRST_PARTITION.byte_offset(), true),
        (Scheme::Gpt, Boot::Bios) => (ESP_START.byte_offset(), true),
        (Scheme::Auto | Scheme::Gpt, Boot::Auto | Boot::Uefi | Boot::Hybrid) => {
            (ESP_START.byte_offset() + esp_len(spec), true)
        }
    };
    Room { base, gpt }
}

/// Why a scheme and a way to boot exclude each other.
#[must_use]
pub fn contradiction(scheme: Scheme, boot: Boot) -> Option<&'static str> {
    match (scheme, boot) {
        (Scheme::None, Boot::Bios) => {
            Some("`--boot bios` needs a partition table: GRUB lies in front of the first partition")
        }
        (Scheme::None | Scheme::Mbr, Boot::Uefi | Boot::Hybrid) => Some(
            "`--boot uefi` and `--boot hybrid` need `--scheme gpt`: loaders for UEFI lie in a partition \
             of a GPT",
        ),
        (Scheme::Mbr | Scheme::Gpt, Boot::Pv) => Some(
            "`--boot pv` needs a disk without a partition table: PV-GRUB of the kind `hd0` reads the \
             filesystem at its first byte",
        ),
        _ => None,
    }
}

/// What was found to boot with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Carried {
    /// Whether there is a kernel.
    pub(super) kernel: bool,
    /// Whether there is a GRUB for BIOS machines.
    pub(super) bios: bool,
    /// What a loader for UEFI can be made of.
    pub(super) uefi: Option<LoaderKind>,
    /// The architecture of the rootfs, where it is one that has UEFI.
    pub(super) arch: Option<EfiArch>,
}

/// How the image boots: nothing is [`Scheme::Auto`] or [`Boot::Auto`] any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mode {
    pub(super) scheme: Scheme,
    pub(super) boot: Boot,
    pub(super) arch: Option<EfiArch>,
    /// What made the choice, where there was one.
    pub(super) why: Option<String>,
}

impl Mode {
    /// Whether GRUB for BIOS machines goes to the disk.
    pub(super) fn bios(&self) -> bool {
        matches!(self.boot, Boot::Bios | Boot::Hybrid)
    }

    /// Whether there is an EFI system partition, and for which machines.
    pub(super) fn uefi(&self) -> Option<EfiArch> {
        let uefi = matches!(self.boot, Boot::Uefi | Boot::Hybrid);
        self.arch.filter(|_| uefi)
    }

    /// What `spec` would say to get this mode, in the fewest words: the same image then has the same seed.
    /// Where on this host GRUB is looked for is nothing that was asked of the image.
    pub(super) fn asked(&self, spec: &Spec) -> Spec {
        let scheme = match (self.boot, self.scheme) {
            (Boot::Uefi | Boot::Hybrid, Scheme::Gpt) | (Boot::Pv, Scheme::None) => Scheme::Auto,
            (Boot::Bios | Boot::None, Scheme::Mbr) => Scheme::Auto,
            (_, told) => told,
        };
        Spec {
            scheme,
            boot: self.boot,
            grub: Vec::new(),
            ..spec.clone()
        }
    }

    /// Size of the disk for a root filesystem that ends at byte `end`.
    pub(super) fn disk_size(&self, spec: &Spec, end: u64) -> u64 {
        let least = match (spec.size, self.scheme) {
            (Size::Bytes(n), _) => return n,
            // A whole MiB behind root, for the backup.
            (Size::Fit, Scheme::Gpt) => end.next_multiple_of(MIB) + MIB,
            (Size::Fit, _) => end,
        };
        least.next_multiple_of(spec.round.unwrap_or(SECTOR))
    }
}

/// Decides what `spec` leaves open.
///
/// # Errors
/// What is asked for cannot be made of what is there; or it is left open, and there is nothing.
pub(super) fn choose(spec: &Spec, carried: &Carried) -> Result<Mode, BuildError> {
    let asked = match (spec.boot, spec.scheme) {
        (Boot::Auto, Scheme::None) => Boot::None,
        (boot, _) => boot,
    };
    if asked != Boot::None && !carried.kernel {
        return Err(BuildError::NoKernel);
    }
    let arm = carried.arch == Some(EfiArch::Arm64);
    let bios = carried.bios && !arm;
    let no_uefi = || match carried.arch {
        Some(arch) => BuildError::NoUefi {
            arch: arch::name(arch),
        },
        None => BuildError::UnknownArch,
    };
    let boot = match asked {
        Boot::None => Boot::None,
        Boot::Pv if arm => return Err(BuildError::ArmPv),
        Boot::Bios | Boot::Hybrid if arm => return Err(BuildError::ArmBios),
        Boot::Bios | Boot::Hybrid if !bios => return Err(BuildError::NoGrub),
        Boot::Uefi | Boot::Hybrid if carried.uefi.is_none() => return Err(no_uefi()),
        Boot::Auto => match (bios, carried.uefi, spec.scheme) {
            (true, _, Scheme::Mbr) | (true, None, _) => Boot::Bios,
            (false, Some(_), Scheme::Mbr) => return Err(BuildError::UefiOnMbr),
            (true, Some(_), _) => Boot::Hybrid,
            (false, Some(_), _) => Boot::Uefi,
            (false, None, _) if arm => return Err(no_uefi()),
            (false, None, _) => return Err(BuildError::NoGrub),
        },
        told => told,
    };
    let scheme = match (spec.scheme, boot) {
        (Scheme::Auto, Boot::Uefi | Boot::Hybrid) => Scheme::Gpt,
        (Scheme::Auto, Boot::Pv) => Scheme::None,
        (Scheme::Auto, _) => Scheme::Mbr,
        (told, _) => told,
    };
    Ok(Mode {
        scheme,
        boot,
        arch: carried.arch,
        why: (spec.boot == Boot::Auto && boot != Boot::None).then(|| why(carried, bios)),
    })
}

fn why(carried: &Carried, bios: bool) -> String {
    let arch = carried.arch.map_or("", arch::name);
    match (bios, carried.uefi) {
        (true, Some(kind)) => {
            format!(
                "GRUB for BIOS and a {} loader for UEFI on {arch} are there",
                kind.word()
            )
        }
        (true, None) => "GRUB for BIOS is there, a loader for UEFI is not".into(),
        (false, Some(kind)) => format!(
            "a {} loader for UEFI on {arch} is there{}",
            kind.word(),
            if carried.bios {
                ""
            } else {
                ", GRUB for BIOS is not"
            }
        ),
        (false, None) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PC: Carried = Carried {
        kernel: true,
        bios: true,
        uefi: Some(LoaderKind::Signed),
        arch: Some(EfiArch::X86_64),
    };

    fn spec(scheme: Scheme, boot: Boot) -> Spec {
        Spec {
            scheme,
            boot,
            ..Spec::default()
        }
    }

    fn chosen(scheme: Scheme, boot: Boot, carried: Carried) -> Option<(Scheme, Boot)> {
        let mode = choose(&spec(scheme, boot), &carried).ok()?;
        Some((mode.scheme, mode.boot))
    }

    #[test]
    fn auto_takes_the_most_that_is_there() {
        let bios = Carried { uefi: None, ..PC };
        let uefi = Carried { bios: false, ..PC };
        let arm = Carried {
            arch: Some(EfiArch::Arm64),
            ..PC
        };
        let nothing = Carried {
            bios: false,
            uefi: None,
            ..PC
        };
        for (scheme, carried, want) in [
            (Scheme::Auto, PC, Some((Scheme::Gpt, Boot::Hybrid))),
            (Scheme::Auto, bios, Some((Scheme::Mbr, Boot::Bios))),
            (Scheme::Auto, uefi, Some((Scheme::Gpt, Boot::Uefi))),
            (Scheme::Auto, arm, Some((Scheme::Gpt, Boot::Uefi))),
            (Scheme::Auto, nothing, None),
            (Scheme::Gpt, bios, Some((Scheme::Gpt, Boot::Bios))),
            (Scheme::Mbr, PC, Some((Scheme::Mbr, Boot::Bios))),
            (Scheme::Mbr, uefi, None),
            (Scheme::None, PC, Some((Scheme::None, Boot::None))),
        ] {
            assert_eq!(
                chosen(scheme, Boot::Auto, carried),
                want,
                "{scheme:?} {carried:?}"
            );
        }
    }

    #[test]
    fn what_was_asked_for_is_made_or_refused() {
        let arm = Carried {
            arch: Some(EfiArch::Arm64),
            ..PC
        };
        for boot in [Boot::Bios, Boot::Hybrid] {
            assert_eq!(chosen(Scheme::Auto, boot, arm), None);
            assert_eq!(
                chosen(Scheme::Auto, boot, Carried { bios: false, ..PC }),
                None
            );
        }
        for boot in [Boot::Uefi, Boot::Hybrid] {
            assert_eq!(
                chosen(Scheme::Auto, boot, Carried { uefi: None, ..PC }),
                None
            );
            assert_eq!(chosen(Scheme::Auto, boot, PC), Some((Scheme::Gpt, boot)));
        }
        let none = chosen(
            Scheme::Auto,
            Boot::None,
            Carried {
                kernel: false,
                ..PC
            },
        );
        assert_eq!(none, Some((Scheme::Mbr, Boot::None)));
        let nothing = Carried {
            bios: false,
            uefi: None,
            arch: None,
            ..PC
        };
        let pv = Some((Scheme::None, Boot::Pv));
        assert_eq!(chosen(Scheme::Auto, Boot::Pv, nothing), pv);
        assert_eq!(chosen(Scheme::None, Boot::Pv, PC), pv);
        assert_eq!(chosen(Scheme::Auto, Boot::Pv, arm), None);
    }

    #[test]
    fn root_begins_where_debians_cloud_images_have_it() {
        let base = |scheme, boot| room(&spec(scheme, boot)).base;
        for boot in [Boot::Auto, Boot::Uefi, Boot::Hybrid] {
            assert_eq!(base(Scheme::Auto, boot), 262_144 * SECTOR);
            assert_eq!(base(Scheme::Gpt, boot), 262_144 * SECTOR);
        }
        for boot in [Boot::Bios, Boot::None] {
            assert_eq!(base(Scheme::Auto, boot), MIB);
        }
        assert_eq!(base(Scheme::Gpt, Boot::Bios), 4 * MIB);
        assert_eq!(base(Scheme::None, Boot::None), 0);
        assert_eq!(base(Scheme::Auto, Boot::Pv), 0);
    }

    #[test]
    fn the_room_holds_for_whatever_is_chosen() {
        let schemes = [Scheme::Auto, Scheme::Mbr, Scheme::Gpt, Scheme::None];
        let boots = [
            Boot::Auto,
            Boot::Bios,
            Boot::Uefi,
            Boot::Hybrid,
            Boot::Pv,
            Boot::None,
        ];
        for (scheme, boot) in schemes.iter().flat_map(|s| boots.map(|b| (*s, b))) {
            for (bios, uefi) in [(true, None), (true, PC.uefi), (false, PC.uefi)] {
                let spec = spec(scheme, boot);
                let carried = Carried { bios, uefi, ..PC };
                let Ok(mode) = choose(&spec, &carried) else {
                    continue;
                };
                if contradiction(scheme, boot).is_some() {
                    continue;
                }
                let (room, exact) = (room(&spec), super::room(&mode.asked(&spec)));
                assert!(room.base >= exact.base, "{scheme:?} {boot:?} {mode:?}");
                assert!(room.gpt || !exact.gpt, "{scheme:?} {boot:?} {mode:?}");
            }
        }
    }
}

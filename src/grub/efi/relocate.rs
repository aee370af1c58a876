//! Relocations of kernel.img, as the psABIs of AMD64 (§4.4.1) and AArch64 (§5.7) define them.
//!
//! S is the symbol, A the addend, P the address that is changed. Where the image is loaded is not known,
//! only that pages stay pages: differences and page offsets are final, a 64-bit S + A is not.

use super::EfiArch;
use crate::units::lo32;

/// What became of a relocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Applied {
    /// Final wherever the image is loaded.
    Relative,
    /// A 64-bit address, to which the base has to be added.
    Absolute,
}

const PAGE: u64 = 0xfff;

/// Applies the relocation `kind` with S + A = `value` to `place`, the bytes from P = `address` on to the
/// end of the section.
pub(super) fn apply(
    arch: EfiArch,
    kind: u32,
    place: &mut [u8],
    value: u64,
    address: u64,
) -> Result<Applied, &'static str> {
    let relative = value.wrapping_sub(address);
    match (arch, kind) {
        // R_X86_64_64, R_AARCH64_ABS64.
        (EfiArch::X86_64, 1) | (EfiArch::Arm64, 257) => {
            add_64(place, value)?;
            return Ok(Applied::Absolute);
        }
        // R_X86_64_PC64.
        (EfiArch::X86_64, 24) => add_64(place, relative)?,
        // R_X86_64_PC32, R_X86_64_PLT32; R_AARCH64_PREL32.
        (EfiArch::X86_64, 2 | 4) | (EfiArch::Arm64, 261) => {
            in_range(relative, 31)?;
            let word = word(place)?;
            *word = u32::from_le_bytes(*word)
                .wrapping_add(lo32(relative))
                .to_le_bytes();
        }
        // R_AARCH64_ADR_PREL_PG_HI21: 21 bits of pages, the low two at bit 29, the others at bit 5.
        (EfiArch::Arm64, 275) => {
            let pages = (value & !PAGE).wrapping_sub(address & !PAGE);
            in_range(pages, 32)?;
            let pages = lo32(pages >> 12);
            set(
                place,
                0x60ff_ffe0,
                (pages & 3) << 29 | (pages >> 2 & 0x7_ffff) << 5,
            )?;
        }
        // R_AARCH64_ADD_ABS_LO12_NC: 12 bits at bit 10.
        (EfiArch::Arm64, 277) => set(place, 0x003f_fc00, lo32(value & PAGE) << 10)?,
        // R_AARCH64_LDST64_ABS_LO12_NC: the same, in units of 8.
        (EfiArch::Arm64, 286) => {
            if !value.is_multiple_of(8) {
                return Err("is not aligned to 8");
            }
            set(place, 0x003f_fc00, lo32((value & PAGE) >> 3) << 10)?;
        }
        // R_AARCH64_JUMP26, R_AARCH64_CALL26: 26 bits in units of 4.
        (EfiArch::Arm64, 282 | 283) => {
            in_range(relative, 27)?;
            if !relative.is_multiple_of(4) {
                return Err("is not aligned to 4");
            }
            set(place, 0x03ff_ffff, lo32(relative >> 2) & 0x03ff_ffff)?;
        }
        _ => return Err("is not known"),
    }
    Ok(Applied::Relative)
}

/// Whether `value`, as a signed number, needs no more than `bits` bits beside its sign.
fn in_range(value: u64, bits: u32) -> Result<(), &'static str> {
    // Half the range added: what fits is then below the whole.
    if value.wrapping_add(1 << bits) >> (bits + 1) == 0 {
        Ok(())
    } else {
        Err("is out of range")
    }
}

fn word(place: &mut [u8]) -> Result<&mut [u8; 4], &'static str> {
    place.first_chunk_mut().ok_or("lies outside of its section")
}

/// Replaces the bits `mask` of an instruction.
fn set(place: &mut [u8], mask: u32, bits: u32) -> Result<(), &'static str> {
    let word = word(place)?;
    *word = (u32::from_le_bytes(*word) & !mask | bits & mask).to_le_bytes();
    Ok(())
}

fn add_64(place: &mut [u8], value: u64) -> Result<(), &'static str> {
    let long: &mut [u8; 8] = place
        .first_chunk_mut()
        .ok_or("lies outside of its section")?;
    *long = u64::from_le_bytes(*long).wrapping_add(value).to_le_bytes();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arm(kind: u32, instruction: u32, value: u64, address: u64) -> Result<u32, &'static str> {
        let mut place = instruction.to_le_bytes();
        apply(EfiArch::Arm64, kind, &mut place, value, address)?;
        Ok(u32::from_le_bytes(place))
    }

    #[test]
    fn instructions_of_arm_as_an_assembler_encodes_them() {
        // bl .+8, b .-4; adrp x0, .+0x5000; add x0, x0, #0x123; ldr x0, [x0, #0x128].
        assert_eq!(arm(283, 0x9400_0000, 0x1008, 0x1000), Ok(0x9400_0002));
        assert_eq!(arm(282, 0x1400_0000, 0x0ffc, 0x1000), Ok(0x17ff_ffff));
        assert_eq!(arm(275, 0x9000_0000, 0x6123, 0x1004), Ok(0xb000_0020));
        assert_eq!(arm(277, 0x9100_0000, 0x6123, 0x1004), Ok(0x9104_8c00));
        assert_eq!(arm(286, 0xf940_0000, 0x6128, 0x1004), Ok(0xf940_9400));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        assert!(arm(283, 0, 0x1000 + (1 << 27), 0x1000).is_err());
        assert!(arm(283, 0, 0x1002, 0x1000).is_err());
        assert!(arm(286, 0, 0x1004, 0x1000).is_err());
        assert!(arm(999, 0, 0, 0).is_err());
        assert!(apply(EfiArch::X86_64, 1, &mut [0; 7], 0, 0).is_err());
        assert!(apply(EfiArch::X86_64, 2, &mut [0; 4], 1 << 40, 0).is_err());
        assert!(
            apply(EfiArch::X86_64, 10, &mut [0; 4], 0, 0).is_err(),
            "R_X86_64_32"
        );
    }
}

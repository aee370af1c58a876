//! Which machines a rootfs is for.

use super::BuildError;
use super::ingest::Ingest;
use crate::grub::EfiArch;

/// The dynamic linkers that programs name as their interpreter (glibc's and musl's).
const LINKERS: [(&str, EfiArch); 4] = [
    ("lib64/ld-linux-x86-64.so.2", EfiArch::X86_64),
    ("lib/ld-musl-x86_64.so.1", EfiArch::X86_64),
    ("lib/ld-linux-aarch64.so.1", EfiArch::Arm64),
    ("lib/ld-musl-aarch64.so.1", EfiArch::Arm64),
];

/// The shell, which every rootfs has, and what it may be a link to: read where the linkers disagree.
const SHELL: &str = "bin/sh";
pub(super) const SHELLS: [&str; 8] = [
    "bin/sh",
    "bin/dash",
    "bin/bash",
    "bin/busybox",
    "usr/bin/sh",
    "usr/bin/dash",
    "usr/bin/bash",
    "usr/bin/busybox",
];

/// `e_machine` of ELF.
const EM_X86_64: u16 = 62;
const EM_AARCH64: u16 = 183;

/// The architecture of the rootfs, `None` where it is neither of those that have UEFI.
pub(super) fn arch(ingest: &mut Ingest<'_>) -> Result<Option<EfiArch>, BuildError> {
    let there = LINKERS
        .iter()
        .filter(|(path, _)| ingest.tree.resolve(path.as_bytes()).is_some());
    let mut found: Vec<EfiArch> = there.map(|&(_, arch)| arch).collect();
    found.dedup();
    if let [one] = found[..] {
        return Ok(Some(one));
    }
    // Of several architectures, or linked statically.
    let shell = ingest.read(SHELL.as_bytes())?.unwrap_or_default();
    Ok(machine(&shell))
}

/// Its name in messages and reports.
pub(super) fn name(arch: EfiArch) -> &'static str {
    match arch {
        EfiArch::X86_64 => "x86-64",
        EfiArch::Arm64 => "arm64",
    }
}

fn machine(elf: &[u8]) -> Option<EfiArch> {
    if !elf.starts_with(b"\x7fELF") {
        return None;
    }
    match u16::from_le_bytes([*elf.get(18)?, *elf.get(19)?]) {
        EM_X86_64 => Some(EfiArch::X86_64),
        EM_AARCH64 => Some(EfiArch::Arm64),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machines_are_told_by_their_number() {
        let elf = |n: u8| [b"\x7fELF\x02\x01\x01".as_slice(), &[0; 9], &[3, 0, n, 0]].concat();
        assert_eq!(machine(&elf(62)), Some(EfiArch::X86_64));
        assert_eq!(machine(&elf(183)), Some(EfiArch::Arm64));
        assert_eq!(machine(&elf(3)), None);
        assert_eq!(machine(b"\x7fELF"), None);
        assert_eq!(machine(b"#!/bin/sh"), None);
    }
}

//! Whether the files of a platform's folder are of one build of GRUB.
//!
//! A module is linked against structures of the kernel at fixed offsets, and nothing in GRUB checks at boot
//! that both are of one build. kernel.img bears no version. What tells is, from the files alone:
//!
//! - `.moddeps` of a module is its line of moddep.lst word for word, from which `genmod.sh` writes it: between
//!   Debian's 2.06 and 2.12 a quarter of all lines differ, those of `normal` and `linux` among them;
//! - a symbol that a module needs is exported by kernel.img or by one of the modules that it names:
//!   `genmoddep.awk` refuses to build anything else.
//!
//! And from the list of digests that whoever installed them left beside them. Two builds without such a list,
//! whose modules need the same of kernel.img and of each other, are not told apart.

use std::collections::{BTreeMap, HashSet};

use md5::Md5;
use sha2::{Digest, Sha256};

use super::module_elf::Module;
use super::platform::{Files, KERNEL_IMG, MODDEP_LST, Target};
use super::{EfiArch, GrubError, elf, modules};
use crate::hex::hex;

/// Files that no two builds have in common, as long as their versions differ: GRUB itself, and the module that
/// prints the version.
const ANCHORS: [&str; 2] = [KERNEL_IMG, "normal.mod"];

/// Checks that the files of `/usr/lib/grub/i386-pc`, or of the folder for UEFI on `arch`, are of one build.
///
/// `list` is the text that whoever installed them left: dpkg's `md5sums` of the package, or the `MANIFEST` of
/// `vendor-grub/fetch`. Lines of a digest in hexadecimal, blanks, a path that ends in `i386-pc/boot.img`.
///
/// # Errors
///
/// The file that shows that they are not; or one that is none of GRUB's.
pub fn check_one_build(
    arch: Option<EfiArch>,
    files: &Files,
    list: Option<&[u8]>,
) -> Result<(), GrubError> {
    let target = arch.map_or(&Target::I386_PC, EfiArch::target);
    // A list names the very file that is wrong.
    if let Some(list) = list {
        listed(target, files, &String::from_utf8_lossy(list))?;
    }
    linked(target, files)
}

fn mixed(target: &Target, name: &str, sign: String) -> GrubError {
    GrubError::MixedBuilds {
        file: target.path(name),
        sign,
        package: target.package,
    }
}

/// Modules fit kernel.img and each other.
fn linked(target: &Target, files: &Files) -> Result<(), GrubError> {
    let kernel = target.file(files, KERNEL_IMG)?;
    let image = match target.voidp {
        4 => Some(elf::kernel_image(kernel)?),
        _ => None,
    };
    let exported = names(image.as_deref().unwrap_or(kernel));
    let moddep = String::from_utf8_lossy(target.file(files, MODDEP_LST)?);
    let lines = modules::parse(&moddep)?;
    let mut all = BTreeMap::new();
    for (name, bytes) in files {
        if let Some(module) = name.strip_suffix(".mod") {
            all.insert(
                module.as_bytes(),
                (name, Module::parse(target, name, bytes)?),
            );
        }
    }
    for (&module, (name, it)) in &all {
        let line = std::str::from_utf8(module).ok().and_then(|m| lines.get(m));
        if let Some(line) = line
            && !line
                .iter()
                .map(|d| d.as_bytes())
                .eq(it.depends.iter().copied())
        {
            let own: Vec<_> = it.depends.iter().map(|d| text(d)).collect();
            let sign = format!(
                "it depends on `{}`, by moddep.lst on `{}`",
                own.join(" "),
                line.join(" ")
            );
            return Err(mixed(target, name, sign));
        }
        // A folder may lack modules that nobody loads: what they would export is not known.
        let depends = it.depends.iter().map(|d| all.get(d));
        let Some(depends) = depends.collect::<Option<Vec<_>>>() else {
            continue;
        };
        let there = |symbol: &&[u8]| {
            exported.contains(symbol) || depends.iter().any(|(_, d)| d.exports.contains(symbol))
        };
        if let Some(symbol) = it.needs.iter().find(|s| !there(s)) {
            let sign = format!(
                "it needs `{}`, which neither kernel.img nor the modules that it names have",
                text(symbol)
            );
            return Err(mixed(target, name, sign));
        }
    }
    Ok(())
}

/// Where GRUB or its `normal` is the listed one, everything is. Where neither is, somebody put a GRUB of their
/// own in the place of what the list is about.
fn listed(target: &Target, files: &Files, list: &str) -> Result<(), GrubError> {
    let folder = format!("{}/", target.name);
    let entry = |line: &'_ str| -> Option<(String, String)> {
        let (digest, path) = line.split_once(char::is_whitespace)?;
        let (_, name) = path.rsplit_once(&folder)?;
        Some((name.to_owned(), digest.to_ascii_lowercase()))
    };
    let digests: BTreeMap<String, String> = list.lines().filter_map(entry).collect();
    let agrees = |name: &str| {
        let (digest, bytes) = (digests.get(name)?, files.get(name)?);
        match digest.len() {
            32 => Some(*digest == hex(&Md5::digest(bytes))),
            64 => Some(*digest == hex(&Sha256::digest(bytes))),
            _ => None,
        }
    };
    if !ANCHORS.iter().any(|name| agrees(name) == Some(true)) {
        return Ok(());
    }
    let judged = |name: &str| name.ends_with(".mod") || [KERNEL_IMG, MODDEP_LST].contains(&name);
    let mut other = files
        .keys()
        .filter(|name| judged(name) && agrees(name) == Some(false));
    match other.next() {
        Some(name) => {
            let sign = "it is not the file that was installed with them";
            Err(mixed(target, name, sign.to_owned()))
        }
        None => Ok(()),
    }
}

/// Every text that ends with a NUL: the names of the symbols that GRUB exports are among them.
fn names(image: &[u8]) -> HashSet<&[u8]> {
    let texts = image.split(|&b| b == 0);
    let printable = |text: &[u8]| {
        text.iter()
            .rev()
            .take_while(|b| b.is_ascii_graphic())
            .count()
    };
    texts.map(|t| &t[t.len() - printable(t)..]).collect()
}

fn text(name: &[u8]) -> String {
    name.escape_ascii().to_string()
}

#[cfg(test)]
mod tests {
    use super::super::core_img::tests::toy_platform;
    use super::*;

    /// In hexadecimal.
    type Hash = fn(&[u8]) -> String;

    /// What the list says of kernel.img, normal.mod, ext2.mod: `true` is the digest of the file that is there.
    fn judged(says: [Option<bool>; 3], digest: Hash, path: &str) -> Option<String> {
        let mut files = toy_platform();
        files.insert("normal.mod".to_owned(), b"\x7fELF normal".to_vec());
        let names = ["kernel.img", "normal.mod", "ext2.mod"];
        let lines = names.iter().zip(says).filter_map(|(name, says)| {
            let bytes: &[u8] = if says? {
                &files[*name]
            } else {
                b"another build"
            };
            Some(format!("{}  {path}{name}\n", digest(bytes)))
        });
        let list: String = lines.collect();
        let told = listed(&Target::I386_PC, &files, &list);
        told.err().map(|e| e.to_string())
    }

    #[test]
    fn what_the_list_is_about_must_be_whole() {
        let md5 = |b: &[u8]| hex(&Md5::digest(b));
        let sha256 = |b: &[u8]| hex(&Sha256::digest(b));
        let digests: [(Hash, &str); 2] = [(md5, "usr/lib/grub/i386-pc/"), (sha256, "i386-pc/")];
        let (yes, no) = (Some(true), Some(false));
        for (says, told) in [
            ([yes, yes, yes], None),
            ([yes, yes, None], None),
            ([None, None, None], None),
            ([yes, yes, no], Some("i386-pc/ext2.mod is of another build")),
            (
                [no, yes, yes],
                Some("i386-pc/kernel.img is of another build"),
            ),
            (
                [yes, no, yes],
                Some("i386-pc/normal.mod is of another build"),
            ),
            // A GRUB of one's own, some of whose modules happen to be the same.
            ([no, no, yes], None),
        ] {
            for (digest, path) in digests {
                let said = judged(says, digest, path);
                let right = match (&said, told) {
                    (Some(said), Some(told)) => said.starts_with(told),
                    (said, told) => said.is_none() && told.is_none(),
                };
                assert!(right, "{says:?} {path}: {said:?}");
            }
        }
        let other_platform = judged([Some(false); 3], md5, "usr/lib/grub/x86_64-efi/");
        assert_eq!(other_platform, None);
    }
}

//! The arguments that say what to read: what `build` and `plan` share.

use super::exit::Usage;
use super::signals;
use clap::builder::TypedValueParser;
use diskwright::archive::{Filter, Options, Origin, Platform};
use std::ffi::{OsStr, OsString};
use std::path::Path;

#[derive(Clone, Debug, clap::Args)]
pub(super) struct Reading {
    /// Tar archive (plain, gzip, zstd, xz, bzip2), `-` for standard input, folder, oci:DIR[:TAG],
    /// oci-archive:FILE[:TAG] or docker-archive:FILE[:NAME]; several are layers, lowest first
    #[arg(value_name = "ROOTFS", required_unless_present = "spec")]
    #[arg(value_hint = clap::ValueHint::AnyPath)]
    #[arg(value_parser = clap::builder::OsStringValueParser::new().try_map(no_spec))]
    pub(super) rootfs: Vec<OsString>,

    /// Which image of several [default: the host's, or the only one]
    #[arg(long, value_name = "OS/ARCH[/VARIANT]", help_heading = "Input")]
    platform: Option<Platform>,

    /// Owner of everything that comes from a folder [default: as the filesystem shows it]
    #[arg(long, value_name = "UID:GID", value_parser = owner, help_heading = "Input")]
    owner: Option<(u32, u32)>,

    /// Shell command that takes the archive as a plain tar from standard input and gives a tar to standard
    /// output: for what must run code, in a sandbox of yours; manifest and statement hold the command
    #[arg(long, value_name = "CMD", help_heading = "Input")]
    filter: Option<String>,
}

impl Reading {
    /// What to open, and how. `spool` is a folder with room for an image archive.
    pub(super) fn into_origins(
        self,
        spool: Option<&Path>,
    ) -> Result<(Vec<Origin>, Options), Usage> {
        if self.rootfs.is_empty() {
            return Err(Usage::new(
                "neither the flags nor the spec file name a root filesystem (`rootfs`)",
            ));
        }
        let origins: Vec<_> = self.rootfs.iter().map(|a| Origin::parse(a)).collect();
        let named = |o: &Origin| !o.path().as_os_str().is_empty();
        if let Some((nameless, _)) = self.rootfs.iter().zip(&origins).find(|(_, o)| !named(o)) {
            return Err(Usage::with_help(
                format!("a ROOTFS names no file: '{}'", nameless.display()),
                "an unset variable? `.` is the folder that you are in",
            ));
        }
        if origins
            .iter()
            .filter(|o| o.path() == Path::new("-"))
            .count()
            > 1
        {
            return Err(Usage::new("standard input (`-`) can be read only once"));
        }
        let folder = |o: &Origin| matches!(o, Origin::Path(path) if path.is_dir());
        if self.owner.is_some() && !origins.iter().any(folder) {
            return Err(Usage::with_help(
                "--owner is for folders, and no ROOTFS is one",
                "leave it out: archives and images say who owns their files",
            ));
        }
        let one_tar = matches!(&origins[..], [Origin::Path(path)] if !path.is_dir());
        if self.filter.is_some() && !one_tar {
            return Err(Usage::with_help(
                "--filter is for one tar archive, not for a folder, a container image or several layers",
                "make one tar of them first",
            ));
        }
        let options = Options {
            filter: self.filter.map(|command| Filter { command }),
            owner: self.owner,
            platform: self.platform,
            spool: spool.map(Into::into),
            cancelled: Some(|| signals::caught().is_some()),
            ..Options::default()
        };
        Ok((origins, options))
    }
}

/// Refuses a spec file in a root filesystem's place.
fn no_spec(rootfs: OsString) -> Result<OsString, String> {
    match Origin::parse(&rootfs) {
        Origin::Path(path) if path.extension() == Some(OsStr::new("toml")) && !path.is_dir() => {
            Err(format!("is it a spec file? say --spec {}", path.display()))
        }
        _ => Ok(rootfs),
    }
}

fn owner(text: &str) -> Result<(u32, u32), String> {
    let parsed = text
        .split_once(':')
        .and_then(|(uid, gid)| Some((uid.parse().ok()?, gid.parse().ok()?)));
    match parsed {
        // `(uid_t) -1` of chown(2).
        Some((u32::MAX, _) | (_, u32::MAX)) => Err(String::from(
            "4294967295 is nobody's number: to Linux it means none",
        )),
        Some(owner) => Ok(owner),
        None => Err(String::from("two numbers are needed, as in 0:0")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_is_two_numbers() {
        assert_eq!(owner("0:1000"), Ok((0, 1000)));
        for text in [
            "root:root",
            "0",
            "0:",
            "-1:0",
            "0:4294967296",
            "0:4294967295",
            "4294967295:0",
        ] {
            assert!(owner(text).is_err(), "{text}");
        }
    }
}

//! The spec file: TOML whose keys are the verb's flags.
//!
//! Its lines become flags before the user's own, so that there is one list of names, one parser per value,
//! and a flag on the command line wins. Paths in it are relative to the file.

use super::exit::Usage;
use anyhow::Context;
use clap::{Arg, ArgAction, Command, ValueHint};
use diskwright::display::nearest;
use std::any::TypeId;
use std::error::Error;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The key of the positional arguments.
const ROOTFS: &str = "rootfs";

/// The keys of the file at `path` as flags of `verb`. With `rootfs_given` the file's own is left out: a
/// second positional would not replace the first.
pub(super) fn flags(
    path: &Path,
    verb: &Command,
    rootfs_given: bool,
) -> anyhow::Result<Vec<OsString>> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("cannot read the spec file {}", path.display()))?;
    Ok(File {
        path,
        text: &text,
        verb,
    }
    .flags(rootfs_given)?)
}

struct File<'a> {
    path: &'a Path,
    text: &'a str,
    verb: &'a Command,
}

impl File<'_> {
    fn flags(&self, rootfs_given: bool) -> Result<Vec<OsString>, Usage> {
        let table = DeTable::parse(self.text)
            .map_err(|e| self.no_toml(e.span().map_or(0, |span| span.start), e.message()))?;
        let mut flags = Vec::new();
        for (key, value) in table.get_ref() {
            let (name, at) = (key.get_ref().as_ref(), key.span().start);
            let arg = self.arg(name).ok_or_else(|| self.unknown(name, at))?;
            // Only what the command line takes several times over is a list.
            let several = matches!(arg.get_action(), ArgAction::Append);
            let values = match value.get_ref() {
                DeValue::Array(list) if several => list.iter().collect(),
                _ => vec![value],
            };
            for value in values {
                let flag = self.flag(name, arg, value)?;
                flags.extend(flag.filter(|_| !(arg.is_positional() && rootfs_given)));
            }
        }
        Ok(flags)
    }

    /// The flag that a value comes to; `None` for a switch that is off.
    fn flag(
        &self,
        name: &str,
        arg: &Arg,
        value: &Spanned<DeValue<'_>>,
    ) -> Result<Option<OsString>, Usage> {
        let text = self
            .text_of(arg, value.get_ref())
            .map_err(|e| self.wrong(value.span().start, &format!("`{name}` {e}")))?;
        let Some(text) = text else {
            return Ok(None);
        };
        let flag = if arg.is_positional() {
            text
        } else if takes_value(arg) {
            let mut flag = OsString::from(format!("--{name}="));
            flag.push(text);
            flag
        } else {
            format!("--{name}").into()
        };
        self.check(&flag)
            .map_err(|e| self.wrong(value.span().start, &format!("`{name}`: {e}")))?;
        Ok(Some(flag))
    }

    fn arg(&self, key: &str) -> Option<&Arg> {
        keys(self.verb)
            .find(|(name, _)| *name == key)
            .map(|(_, arg)| arg)
    }

    /// What to hand to the flag; `None` for a switch that is off.
    fn text_of(&self, arg: &Arg, value: &DeValue<'_>) -> Result<Option<OsString>, &'static str> {
        let text = match value {
            DeValue::String(text) => text.as_ref(),
            DeValue::Integer(number)
                if takes_value(arg) && !is_no_number(arg) && number.radix() == 10 =>
            {
                number.as_str()
            }
            DeValue::Boolean(on) if !takes_value(arg) => {
                return Ok(on.then(OsString::new));
            }
            _ if is_no_number(arg) => return Err("takes a string"),
            _ if takes_value(arg) => return Err("takes a string or a whole number"),
            _ => return Err("is true or false"),
        };
        if !takes_value(arg) {
            return Err("is true or false");
        }
        let is_path = matches!(
            arg.get_value_hint(),
            ValueHint::FilePath | ValueHint::AnyPath
        );
        match self.path.parent() {
            // USER:FILE
            Some(folder) if arg.get_long() == Some("ssh-key") => {
                Ok(Some(match text.split_once(':') {
                    Some((user, file)) => {
                        let mut value = OsString::from(format!("{user}:"));
                        value.push(folder.join(file));
                        value
                    }
                    None => text.into(),
                }))
            }
            Some(folder) if is_path => Ok(Some(rebased(folder, text))),
            _ => Ok(Some(text.into())),
        }
    }

    /// Tries the flag alone, so that a bad value is told with the line of this file.
    fn check(&self, flag: &OsString) -> Result<(), String> {
        let alone = self.verb.clone().mut_args(|arg| arg.required(false));
        // Values are what is tried: what the flags require of one another comes with the whole line.
        let line = [OsString::from("x"), flag.clone()];
        let Err(error) = alone.ignore_errors(false).try_get_matches_from(line) else {
            return Ok(());
        };
        match error.kind() {
            clap::error::ErrorKind::MissingRequiredArgument => Ok(()),
            clap::error::ErrorKind::InvalidValue => {
                let values = self.possible_values(flag);
                Err(format!("must be one of {values}"))
            }
            _ => Err(error
                .source()
                .map_or_else(|| error.to_string(), ToString::to_string)),
        }
    }

    fn possible_values(&self, flag: &OsString) -> String {
        let flag = flag.to_string_lossy();
        let name = flag
            .trim_start_matches("--")
            .split('=')
            .next()
            .unwrap_or_default();
        let values = self
            .arg(name)
            .map(Arg::get_possible_values)
            .unwrap_or_default();
        values
            .iter()
            .map(|value| value.get_name())
            .collect::<Vec<_>>()
            .join(", ")
    }

    fn unknown(&self, key: &str, at: usize) -> Usage {
        let message = self.place(at, &format!("unknown key `{key}`"));
        let word = key.replace('_', "-");
        match nearest(&word, keys(self.verb).map(|(name, _)| name)) {
            Some(name) => Usage::with_help(message, format!("did you mean `{name}`?")),
            None => {
                let names: Vec<_> = keys(self.verb).map(|(name, _)| name).collect();
                Usage::with_help(message, format!("known keys: {}", names.join(", ")))
            }
        }
    }

    /// A file that is no TOML; where a value lacks its quotes, with them.
    fn no_toml(&self, at: usize, message: &str) -> Usage {
        let told = self.place(at, message);
        let line = self.text.lines().nth(self.line(at) - 1);
        let pair = line.and_then(|line| line.split_once('='));
        let Some((key, value)) = pair.map(|(key, value)| (key.trim(), value.trim())) else {
            return Usage::new(told);
        };
        let Some(arg) = self.arg(key) else {
            return Usage::new(told);
        };
        if value.is_empty() || value.contains(['"', '\'', '[', '#']) {
            return Usage::new(told);
        }
        let help = match takes_value(arg) {
            true => format!("quote the value: {key} = \"{value}\""),
            false => format!("say {key} = true, or false"),
        };
        Usage::with_help(told, help)
    }

    /// The number of the line with byte `at`, from 1.
    fn line(&self, at: usize) -> usize {
        self.text.bytes().take(at).filter(|&b| b == b'\n').count() + 1
    }

    fn wrong(&self, at: usize, message: &str) -> Usage {
        Usage::new(self.place(at, message))
    }

    fn place(&self, at: usize, message: &str) -> String {
        format!("{}:{}: {message}", self.path.display(), self.line(at))
    }
}

/// A path of the file, seen from where the program runs. A scheme stays in front, and `-` is standard
/// input, wherever the file lies.
fn rebased(folder: &Path, text: &str) -> OsString {
    let schemes = ["oci:", "oci-archive:", "docker-archive:"];
    let scheme = schemes.iter().find(|s| text.starts_with(**s));
    let (scheme, path) = text.split_at(scheme.map_or(0, |s| s.len()));
    if path == "-" || path.starts_with("-:") {
        return text.into();
    }
    let mut whole = OsString::from(scheme);
    whole.push(folder.join(path));
    whole
}

/// The keys of a spec file of `verb`: every flag but the one that names the file, and those that clap adds.
pub(super) fn keys(verb: &Command) -> impl Iterator<Item = (&str, &Arg)> {
    let named = |arg: &&Arg| !matches!(arg.get_long(), Some("spec" | "help" | "version"));
    verb.get_arguments().filter(named).filter_map(|arg| {
        if arg.is_positional() {
            Some((ROOTFS, arg))
        } else {
            Some((arg.get_long()?, arg))
        }
    })
}

/// Whether the command line takes it several times over.
pub(super) fn is_list(arg: &Arg) -> bool {
    matches!(arg.get_action(), ArgAction::Append)
}

/// Whether it is parsed as a path, which is no number even where it looks like one.
pub(super) fn is_no_number(arg: &Arg) -> bool {
    let parsed = arg.get_value_parser().type_id();
    [TypeId::of::<OsString>(), TypeId::of::<PathBuf>()]
        .iter()
        .any(|path| parsed == *path)
}

/// Whether it is no switch.
pub(super) fn takes_value(arg: &Arg) -> bool {
    !matches!(
        arg.get_action(),
        ArgAction::SetTrue | ArgAction::SetFalse | ArgAction::Count
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn read(text: &str) -> Result<Vec<String>, String> {
        let mut command = super::super::Cli::command();
        let verb = command.find_subcommand_mut("build").unwrap();
        let file = File {
            path: Path::new("specs/image.toml"),
            text,
            verb,
        };
        let flags = file.flags(false).map_err(|usage| {
            let usage = anyhow::Error::new(usage);
            usage.to_string()
        })?;
        Ok(flags
            .into_iter()
            .map(|flag| flag.into_string().unwrap())
            .collect())
    }

    #[test]
    fn keys_become_flags_and_paths_are_relative_to_the_file() {
        let text = "rootfs = \"root.tar\"\noutput = \"/w/disk.img\"\nsize = \"4G\"\ninodes = 70_000\n\
                    force = true\nsync = false\nroot-by = \"label\"\n";
        let mut flags = read(text).unwrap();
        flags.sort();
        assert_eq!(
            flags,
            [
                "--force",
                "--inodes=70000",
                "--output=/w/disk.img",
                "--root-by=label",
                "--size=4G",
                "specs/root.tar"
            ]
        );
    }

    #[test]
    fn several_root_filesystems_are_a_list_in_order() {
        let text = "rootfs = ['base.tar', 'oci:img:t', '-', 'oci-archive:-:t', '/w/top']\n";
        let flags = [
            "specs/base.tar",
            "oci:specs/img:t",
            "-",
            "oci-archive:-:t",
            "/w/top",
        ];
        assert_eq!(read(text).unwrap(), flags);
        assert_eq!(
            read("label = ['a']").unwrap_err(),
            "specs/image.toml:1: `label` takes a string or a whole number"
        );
    }

    #[test]
    fn unknown_keys_are_refused_with_the_nearest_known_one() {
        let help = |text| {
            let mut command = super::super::Cli::command();
            let verb = command.find_subcommand_mut("build").unwrap();
            let file = File {
                path: Path::new("i.toml"),
                text,
                verb,
            };
            format!("{:?}", file.flags(false).unwrap_err())
        };
        assert!(help("sise = '4G'").contains("did you mean `size`?"));
        assert!(help("root_by = 'uuid'").contains("did you mean `root-by`?"));
        assert!(help("label='x'\nhost-name = 'x'").contains("i.toml:2: unknown key `host-name`"));
        assert!(help("spec = 'other.toml'").contains("unknown key `spec`"));
        assert!(help("zzz = 1").contains("known keys: "));
    }

    #[test]
    fn bad_values_are_told_with_their_line() {
        assert_eq!(
            read("label = 'x'\nsize = '4 parsecs'").unwrap_err(),
            "specs/image.toml:2: `size`: unknown unit \"parsecs\": K, M, G, T (or KiB …) and kB, MB, \
             GB, TB"
        );
        assert_eq!(
            read("scheme = 'apm'").unwrap_err(),
            "specs/image.toml:1: `scheme`: must be one of auto, mbr, gpt, none"
        );
        assert_eq!(
            read("force = 1").unwrap_err(),
            "specs/image.toml:1: `force` is true or false"
        );
        assert_eq!(
            read("size = true").unwrap_err(),
            "specs/image.toml:1: `size` takes a string or a whole number"
        );
        assert!(
            read("size = ")
                .unwrap_err()
                .starts_with("specs/image.toml:1: ")
        );
    }
}

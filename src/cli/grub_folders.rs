//! Folders like `/usr/lib/grub`, for a rootfs that brings no GRUB.

use std::env;
use std::path::{Path, PathBuf};

/// The host's own.
const HOST: &str = "/usr/lib/grub";

/// The folders in the order in which they are looked into. One that is `given` by `--grub` is the only one:
/// what an image is made of then depends on the command line alone.
pub(super) fn list(given: Option<PathBuf>) -> Vec<PathBuf> {
    let fetched = fetched(
        env::var_os("XDG_DATA_HOME").map(Into::into),
        env::home_dir(),
    );
    let others = fetched.into_iter().chain([HOST.into()]);
    match given {
        Some(folder) => vec![folder],
        None => others.filter(|f| f.is_dir()).collect(),
    }
}

/// Where `vendor-grub/fetch` puts GRUB: in the user's data folder, as the XDG Base Directory
/// Specification has it. An empty or relative variable counts as unset there.
fn fetched(data_home: Option<PathBuf>, home: Option<PathBuf>) -> Option<PathBuf> {
    let data_home = data_home.filter(|p| p.is_absolute());
    let base = data_home.or_else(|| home.map(|h| h.join(".local/share")))?;
    Some(base.join(Path::new("diskwright/grub")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fetched_files_lie_in_the_data_folder() {
        let home = || Some(PathBuf::from("/home/u"));
        let want = Some(PathBuf::from("/home/u/.local/share/diskwright/grub"));
        assert_eq!(fetched(None, home()), want);
        assert_eq!(fetched(Some("".into()), home()), want);
        let want = Some(PathBuf::from("/d/diskwright/grub"));
        assert_eq!(fetched(Some("/d".into()), home()), want);
        assert_eq!(fetched(None, None), None);
    }

    #[test]
    fn a_folder_that_was_named_is_the_only_one() {
        let given = PathBuf::from("/nonexistent");
        assert_eq!(list(Some(given.clone())), [given]);
    }
}

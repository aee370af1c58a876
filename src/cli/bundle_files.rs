//! The files of a bundle that is read, as `unbundle` and `verify-bundle` are told of them.

use diskwright::bundle::FolderParts;
use std::path::{Path, PathBuf};

/// Where they are.
#[derive(Debug, clap::Args)]
pub(super) struct BundleFiles {
    /// Manifest of the bundle
    #[arg(value_hint = clap::ValueHint::FilePath)]
    pub(super) manifest: PathBuf,

    /// Folder of the parts [default: the manifest's]
    #[arg(short, long, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    source: Option<PathBuf>,
}

impl BundleFiles {
    pub(super) fn parts(&self) -> FolderParts {
        let beside = || self.manifest.parent().unwrap_or(Path::new(""));
        FolderParts::new(self.source.as_deref().unwrap_or_else(beside))
    }
}

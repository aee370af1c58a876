//! Where a root filesystem comes from: an argument, read.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::display::display_path;

/// Where a root filesystem comes from, as the command line writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A tar archive, `-` for standard input, or a folder.
    Path(PathBuf),
    /// `oci:DIR[:TAG]`: an image of an OCI layout.
    OciLayout {
        /// The layout's folder.
        dir: PathBuf,
        /// Its `org.opencontainers.image.ref.name`.
        tag: Option<String>,
    },
    /// `oci-archive:FILE[:TAG]`: the same as a tar.
    OciArchive {
        /// The tar, plain or compressed; `-` for standard input.
        file: PathBuf,
        /// As for a layout.
        tag: Option<String>,
    },
    /// `docker-archive:FILE[:NAME]`: what `docker save` writes.
    DockerArchive {
        /// The tar, plain or compressed; `-` for standard input.
        file: PathBuf,
        /// One of its `RepoTags`.
        name: Option<String>,
    },
}

impl Origin {
    /// Reads an argument. As for skopeo, the first colon behind the scheme ends the path. What bears no
    /// scheme is a path; `./oci:x` is one too.
    #[must_use]
    pub fn parse(text: &OsStr) -> Self {
        let bytes = text.as_bytes();
        let split = |rest: &[u8]| {
            let end = rest.iter().position(|&b| b == b':');
            let path = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
            let name = end.and_then(|at| rest.get(at.saturating_add(1)..));
            let name = name.filter(|n| !n.is_empty());
            (
                PathBuf::from(OsString::from_vec(path.to_vec())),
                name.map(|n| String::from_utf8_lossy(n).into_owned()),
            )
        };
        if let Some(rest) = bytes.strip_prefix(b"oci:") {
            let (dir, tag) = split(rest);
            Self::OciLayout { dir, tag }
        } else if let Some(rest) = bytes.strip_prefix(b"oci-archive:") {
            let (file, tag) = split(rest);
            Self::OciArchive { file, tag }
        } else if let Some(rest) = bytes.strip_prefix(b"docker-archive:") {
            let (file, name) = split(rest);
            Self::DockerArchive { file, name }
        } else {
            Self::Path(text.into())
        }
    }

    /// What messages call the image: its argument without the name in it.
    pub(super) fn image(&self) -> Arc<str> {
        let path = display_path(self.path().as_os_str().as_bytes());
        let scheme = match self {
            Self::Path(_) => "",
            Self::OciLayout { .. } => "oci:",
            Self::OciArchive { .. } => "oci-archive:",
            Self::DockerArchive { .. } => "docker-archive:",
        };
        format!("{scheme}{path}").into()
    }

    /// As the command line writes it: what [`Origin::parse`] reads.
    pub(super) fn argument(&self) -> String {
        let name = match self {
            Self::Path(_) => None,
            Self::OciLayout { tag, .. } | Self::OciArchive { tag, .. } => tag.as_ref(),
            Self::DockerArchive { name, .. } => name.as_ref(),
        };
        let image = self.image();
        name.map_or_else(|| image.to_string(), |name| format!("{image}:{name}"))
    }

    /// What it is, in a record of inputs.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Path(path) if path.is_dir() => "folder",
            Self::Path(_) => "tar",
            Self::OciLayout { .. } => "oci",
            Self::OciArchive { .. } => "oci-archive",
            Self::DockerArchive { .. } => "docker-archive",
        }
    }

    /// The file or folder that is read; `-` for standard input.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            Self::Path(path) => path,
            Self::OciLayout { dir, .. } => dir,
            Self::OciArchive { file, .. } | Self::DockerArchive { file, .. } => file,
        }
    }
}

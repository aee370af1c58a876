//! OCI layouts made byte by byte: what no tool would write.

use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
pub const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .fold(String::from("sha256:"), |mut text, b| {
            write!(text, "{b:02x}").unwrap();
            text
        })
}

/// A layout under construction.
pub struct Layout(pub PathBuf);

impl Layout {
    pub fn new(folder: &Path) -> Self {
        std::fs::create_dir_all(folder.join("blobs/sha256")).unwrap();
        std::fs::write(
            folder.join("oci-layout"),
            r#"{"imageLayoutVersion":"1.0.0"}"#,
        )
        .unwrap();
        Self(folder.into())
    }

    pub fn path_of(&self, digest: &str) -> PathBuf {
        self.0.join("blobs").join(digest.replace(':', "/"))
    }

    /// Stores a blob; its descriptor, with `more` fields.
    pub fn blob(&self, media_type: &str, bytes: &[u8], more: &str) -> String {
        let digest = sha256(bytes);
        std::fs::write(self.path_of(&digest), bytes).unwrap();
        format!(
            r#"{{"mediaType":"{media_type}","digest":"{digest}","size":{}{more}}}"#,
            bytes.len()
        )
    }

    /// Stores an image of layers, each a descriptor; the manifest's descriptor, with `more` fields.
    pub fn image(&self, platform: &str, layers: &[String], more: &str) -> String {
        let (os, rest) = platform.split_once('/').unwrap();
        let (arch, variant) = rest.split_once('/').unwrap_or((rest, ""));
        let ids = vec![format!(r#""{}""#, sha256(b"")); layers.len()].join(",");
        let config = self.blob(
            CONFIG,
            format!(
                r#"{{"os":"{os}","architecture":"{arch}","variant":"{variant}","history":null,"rootfs":{{"type":"layers","diff_ids":[{ids}]}}}}"#
            )
            .as_bytes(),
            "",
        );
        self.manifest(&config, layers, more)
    }

    pub fn manifest(&self, config: &str, layers: &[String], more: &str) -> String {
        let text = format!(
            r#"{{"schemaVersion":2,"config":{config},"layers":[{}]}}"#,
            layers.join(",")
        );
        self.blob(MANIFEST, text.as_bytes(), more)
    }

    /// An index as a blob; its descriptor.
    pub fn nested(&self, manifests: &[String], more: &str) -> String {
        let text = format!(
            r#"{{"schemaVersion":2,"manifests":[{}]}}"#,
            manifests.join(",")
        );
        self.blob(INDEX, text.as_bytes(), more)
    }

    /// `index.json`.
    pub fn index(&self, manifests: &[String]) {
        let text = format!(
            r#"{{"schemaVersion":2,"manifests":[{}]}}"#,
            manifests.join(",")
        );
        std::fs::write(self.0.join("index.json"), text).unwrap();
    }
}

pub fn tag(name: &str) -> String {
    format!(r#","annotations":{{"org.opencontainers.image.ref.name":"{name}"}}"#)
}

pub fn platform(text: &str) -> String {
    let (os, rest) = text.split_once('/').unwrap();
    let (arch, variant) = rest.split_once('/').unwrap_or((rest, ""));
    format!(r#","platform":{{"os":"{os}","architecture":"{arch}","variant":"{variant}"}}"#)
}

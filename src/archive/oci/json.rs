//! The JSON of images: the few fields that matter here, of all that OCI and Docker define.
//!
//! Go, which writes nearly all of it, encodes an empty list as `null`; unknown fields are ignored, as the
//! image-spec asks for.

use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;

fn or_empty<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(d: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(d)?.unwrap_or_default())
}

/// image-spec, descriptor.md.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Descriptor {
    #[serde(default, deserialize_with = "or_empty")]
    pub(super) media_type: String,
    pub(super) digest: String,
    pub(super) size: u64,
    #[serde(default)]
    pub(super) platform: Option<RawPlatform>,
    #[serde(default, deserialize_with = "or_empty")]
    pub(super) annotations: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) artifact_type: Option<String>,
    #[serde(default, deserialize_with = "or_empty")]
    pub(super) urls: Vec<String>,
}

/// image-spec, image-index.md, `platform`; the same names stand in a configuration.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct RawPlatform {
    #[serde(default, deserialize_with = "or_empty")]
    pub(super) architecture: String,
    #[serde(default, deserialize_with = "or_empty")]
    pub(super) os: String,
    #[serde(default, deserialize_with = "or_empty")]
    pub(super) variant: String,
}

/// An index or a manifest: which one is told by the descriptor, or by its fields.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Document {
    #[serde(default, deserialize_with = "or_empty")]
    pub(super) schema_version: u32,
    #[serde(default, deserialize_with = "or_empty")]
    pub(super) media_type: String,
    #[serde(default)]
    pub(super) artifact_type: Option<String>,
    #[serde(default)]
    pub(super) manifests: Option<Vec<Descriptor>>,
    #[serde(default)]
    pub(super) config: Option<Descriptor>,
    #[serde(default)]
    pub(super) layers: Option<Vec<Descriptor>>,
}

/// image-spec, config.md.
#[derive(Debug, Deserialize)]
pub(in crate::archive) struct Config {
    #[serde(flatten)]
    pub(super) platform: RawPlatform,
    #[serde(default, deserialize_with = "or_empty")]
    pub(in crate::archive) rootfs: ConfigRootfs,
}

#[derive(Debug, Default, Deserialize)]
pub(in crate::archive) struct ConfigRootfs {
    #[serde(default, deserialize_with = "or_empty")]
    pub(in crate::archive) diff_ids: Vec<String>,
}

/// An image in the manifest.json of `docker save` (moby's image/spec/v1.2.md, "Combined Image JSON").
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::archive) struct Saved {
    #[serde(default, deserialize_with = "or_empty")]
    pub(in crate::archive) config: String,
    #[serde(default, deserialize_with = "or_empty")]
    pub(in crate::archive) repo_tags: Vec<String>,
    #[serde(default, deserialize_with = "or_empty")]
    pub(in crate::archive) layers: Vec<String>,
}

/// image-spec, image-layout.md, `oci-layout`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct LayoutFile {
    pub(super) image_layout_version: String,
}

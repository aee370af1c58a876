//! From `index.json` to the manifests that bear a name, nested indexes opened.

use std::collections::BTreeSet;

use super::error::ImageError;
use super::json::{Descriptor, Document, LayoutFile};
use super::platform::Platform;
use super::store::Named;
use super::{Digest, parse};
use crate::display::display_path;

/// Where a tag stands (image-spec, annotations.md).
const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// The whole name, beside it, in what Docker 25 and containerd write.
const IMAGE_NAME: &str = "io.containerd.image.name";
/// BuildKit's mark on what is no image (its docs/attestations/attestation-storage.md).
const REFERENCE_TYPE: &str = "vnd.docker.reference.type";

const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
pub(super) const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(super) const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";

/// Indexes inside indexes; tools make two.
const DEPTH_MAX: u32 = 8;
/// Manifests of one name; the largest multi-platform images have some dozens.
const MANIFESTS_MAX: usize = 1000;

/// A manifest that may be the one.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    pub(super) digest: Digest,
    pub(super) size: u64,
    pub(super) platform: Option<Platform>,
    /// What it is where it cannot be an image.
    pub(super) artifact: Option<String>,
}

/// The manifests that `tag` names, or the only name there is.
pub(super) fn tagged(store: &Named, tag: Option<&str>) -> Result<Vec<Candidate>, ImageError> {
    const INDEX: &str = "index.json";
    let Some(bytes) = store.read(INDEX)? else {
        let docker = store.find("manifest.json")?.is_some();
        return Err(ImageError::NotImageStore {
            image: store.image.clone(),
            kind: "OCI layout",
            file: INDEX,
            hint: if docker {
                "; its manifest.json is that of `docker save`: say docker-archive:FILE"
            } else {
                ""
            },
        });
    };
    const LAYOUT: &str = "oci-layout";
    if let Some(bytes) = store.read(LAYOUT)? {
        let layout: LayoutFile = parse(store, LAYOUT, "OCI layout file", &bytes)?;
        if !layout.image_layout_version.starts_with("1.") {
            return Err(ImageError::Json {
                image: store.image.clone(),
                blob: LAYOUT.into(),
                what: "layout of version 1",
                why: format!(
                    "its version is '{}'",
                    display_path(layout.image_layout_version.as_bytes())
                ),
            });
        }
    }
    let index: Document = parse(store, INDEX, "image index", &bytes)?;
    let all = index.manifests.unwrap_or_default();
    let chosen = named(store, all, tag)?;
    let mut open = Opening {
        store,
        found: Vec::new(),
        indexes: 0,
    };
    for descriptor in &chosen {
        open.descriptor(descriptor, INDEX, 0)?;
    }
    if open.found.is_empty() {
        return Err(ImageError::Nothing {
            image: store.image.clone(),
            file: INDEX,
        });
    }
    Ok(open.found)
}

fn name(d: &Descriptor) -> Option<&str> {
    let full = d.annotations.get(IMAGE_NAME);
    full.or_else(|| d.annotations.get(REF_NAME))
        .map(String::as_str)
}

/// The descriptors of one name.
fn named(
    store: &Named,
    all: Vec<Descriptor>,
    tag: Option<&str>,
) -> Result<Vec<Descriptor>, ImageError> {
    let names: BTreeSet<Option<&str>> = all.iter().map(name).collect();
    let image = store.image.clone();
    let have = list(names.iter().map(|n| n.unwrap_or("one without a name")));
    let chosen: BTreeSet<Option<&str>> = match tag {
        None => names.clone(),
        // A short tag names what bears it, be its whole name what it may.
        Some(tag) => {
            let exact = names.contains(&Some(tag));
            let short = all.iter().filter(|d| {
                name(d) == Some(tag)
                    || (!exact && d.annotations.get(REF_NAME).is_some_and(|n| n == tag))
            });
            short.map(name).collect()
        }
    };
    match (tag, chosen.len()) {
        (Some(wanted), 0) => Err(ImageError::NoSuchName {
            image,
            wanted: display_path(wanted.as_bytes()).to_string(),
            have,
        }),
        (_, 0 | 1) => {
            let only = chosen.into_iter().next().flatten().map(String::from);
            Ok(all
                .into_iter()
                .filter(|d| name(d) == only.as_deref())
                .collect())
        }
        _ => {
            let example = chosen.iter().find_map(|n| *n).unwrap_or_default();
            let example = format!("{image}:{}", display_path(example.as_bytes()));
            Err(ImageError::SeveralNames {
                image,
                example,
                have: list(chosen.iter().map(|n| n.unwrap_or("one without a name"))),
            })
        }
    }
}

/// Names for a message, the first twenty of them.
pub(in crate::archive) fn list<'a>(names: impl ExactSizeIterator<Item = &'a str>) -> String {
    let more = names.len().saturating_sub(20);
    let mut shown: Vec<_> = names
        .take(20)
        .map(|n| display_path(n.as_bytes()).to_string())
        .collect();
    if shown.is_empty() {
        return String::from("none");
    }
    if more > 0 {
        shown.push(format!("{more} more"));
    }
    shown.join(", ")
}

struct Opening<'a> {
    store: &'a Named,
    found: Vec<Candidate>,
    indexes: usize,
}

impl Opening<'_> {
    /// Takes a manifest, opens an index.
    fn descriptor(&mut self, d: &Descriptor, inside: &str, depth: u32) -> Result<(), ImageError> {
        let platform = d.platform.as_ref();
        let unknown =
            |p: &&super::json::RawPlatform| p.os == "unknown" || p.architecture == "unknown";
        if platform.filter(unknown).is_some() || d.annotations.contains_key(REFERENCE_TYPE) {
            return Ok(());
        }
        let digest = digest(self.store, inside, &d.digest)?;
        let platform = platform
            .filter(|p| !p.os.is_empty() && !p.architecture.is_empty())
            .map(|p| Platform::new(&p.os, &p.architecture, &p.variant));
        let mut candidate = Candidate {
            digest,
            size: d.size,
            platform,
            artifact: None,
        };
        let is_index = match d.media_type.as_str() {
            OCI_INDEX | DOCKER_LIST => true,
            OCI_MANIFEST | DOCKER_MANIFEST => false,
            "" => self.document(&candidate)?.manifests.is_some(),
            other => {
                candidate.artifact = Some(other.into());
                false
            }
        };
        if !is_index {
            let artifact = d.artifact_type.as_ref().filter(|t| !t.is_empty());
            candidate.artifact = candidate.artifact.or_else(|| artifact.cloned());
            self.found.push(candidate);
            return self.limit(depth);
        }
        self.indexes = self.indexes.saturating_add(1);
        self.limit(depth)?;
        let path = candidate.digest.path();
        let document = self.document(&candidate)?;
        if document.layers.is_some() {
            return Err(both(self.store, path));
        }
        for inner in document.manifests.unwrap_or_default() {
            self.descriptor(&inner, &path, depth.saturating_add(1))?;
        }
        Ok(())
    }

    fn document(&self, candidate: &Candidate) -> Result<Document, ImageError> {
        let bytes = self
            .store
            .read_verified(&candidate.digest, Some(candidate.size))?;
        parse(self.store, &candidate.digest.path(), "image index", &bytes)
    }

    fn limit(&self, depth: u32) -> Result<(), ImageError> {
        if self.found.len().saturating_add(self.indexes) <= MANIFESTS_MAX && depth <= DEPTH_MAX {
            return Ok(());
        }
        Err(ImageError::TooMany {
            image: self.store.image.clone(),
            limit: MANIFESTS_MAX,
        })
    }
}

/// Two readers could see two images in it (CVE-2021-41190).
pub(super) fn both(store: &Named, path: String) -> ImageError {
    ImageError::NotImage {
        image: store.image.clone(),
        blob: path,
        why: String::from("it is an index and a manifest at once"),
    }
}

/// A digest from the blob at `inside`.
pub(super) fn digest(store: &Named, inside: &str, text: &str) -> Result<Digest, ImageError> {
    Digest::parse(text).ok_or_else(|| ImageError::BadDigest {
        image: store.image.clone(),
        blob: inside.into(),
        digest: display_path(text.as_bytes()).to_string(),
    })
}

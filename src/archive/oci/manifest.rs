//! From manifests to the one for a platform, and to its layers.

use super::error::ImageError;
use super::index::{Candidate, DOCKER_MANIFEST, OCI_MANIFEST, both, digest, list};
use super::json::{Config, Descriptor, Document};
use super::platform::Platform;
use super::store::Named;
use super::{Digest, check_os, parse};
use crate::archive::detect::Compression;
use crate::display::display_path;

const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";

/// A layer that was found, whole, and not read.
pub(in crate::archive) struct LayerBlob {
    pub(in crate::archive) store: Named,
    /// Where the store has it.
    pub(in crate::archive) path: String,
    pub(in crate::archive) size: u64,
    /// What its bytes must add up to.
    pub(in crate::archive) digest: Option<Digest>,
    /// What they must once they are decompressed.
    pub(in crate::archive) diff_id: Option<Digest>,
    /// What its media type says.
    pub(in crate::archive) compression: Option<Compression>,
}

/// An image that was found, and not read.
pub(in crate::archive) struct ImageLayers {
    /// Of its manifest; with `docker-archive` of its configuration.
    pub(in crate::archive) digest: Digest,
    /// Lowest first.
    pub(in crate::archive) layers: Vec<LayerBlob>,
}

/// A manifest and its configuration.
pub(super) struct Manifest {
    digest: Digest,
    path: String,
    layers: Vec<Descriptor>,
    config_path: String,
    config: Config,
}

/// The manifest for the platform: the one asked for, or the host's where there is a choice.
pub(super) fn choose(
    store: &Named,
    mut candidates: Vec<Candidate>,
    platform: Option<&Platform>,
    warnings: &mut Vec<String>,
) -> Result<Manifest, ImageError> {
    // Signatures and the like lie beside the image they are of.
    if candidates.iter().any(|c| c.artifact.is_none()) {
        candidates.retain(|c| c.artifact.is_none());
    }
    if let ([only], None) = (&candidates[..], platform) {
        return open(store, only);
    }
    let host = Platform::host();
    let wanted = platform.unwrap_or(&host);
    let mut have = Vec::new();
    let mut best: Option<(u32, &Candidate, Platform)> = None;
    let mut twins = Vec::new();
    for candidate in &candidates {
        let offered = match &candidate.platform {
            Some(p) => p.clone(),
            None => {
                let raw = open(store, candidate)?.config.platform;
                Platform::new(&raw.os, &raw.architecture, &raw.variant)
            }
        };
        have.push(offered.to_string());
        let Some(distance) = wanted.distance(&offered) else {
            continue;
        };
        match &best {
            Some((least, _, _)) if distance > *least => {}
            Some((least, first, _)) if distance == *least => {
                twins.extend(Some(&candidate.digest).filter(|d| **d != first.digest));
            }
            _ => {
                best = Some((distance, candidate, offered));
                twins.clear();
            }
        }
    }
    match best {
        Some((_, candidate, offered)) => {
            if let Some(twin) = twins.first() {
                // image-index.md: "the first matching entry SHOULD be used".
                warnings.push(format!(
                    "{}: several images of that name are for {offered}, of which the first, {}, is taken, and not {twin}: \
                     give each a tag of its own",
                    store.image, candidate.digest
                ));
            }
            open(store, candidate)
        }
        None => Err(ImageError::NoPlatform {
            image: store.image.clone(),
            wanted: wanted.to_string(),
            have: list(have.iter().map(String::as_str)),
        }),
    }
}

/// Reads a manifest and its configuration.
fn open(store: &Named, candidate: &Candidate) -> Result<Manifest, ImageError> {
    let path = candidate.digest.path();
    let not_image = |why: String| ImageError::NotImage {
        image: store.image.clone(),
        blob: path.clone(),
        why,
    };
    if let Some(artifact) = &candidate.artifact {
        let shown = display_path(artifact.as_bytes()).to_string();
        return Err(not_image(match artifact.as_str() {
            a if a.starts_with("application/vnd.docker.distribution.manifest.v1+") => String::from(
                "Docker's manifests of schema 1 are not read; convert it: skopeo copy --format oci",
            ),
            _ => format!("its type is '{shown}'"),
        }));
    }
    let bytes = store.read_verified(&candidate.digest, Some(candidate.size))?;
    let document: Document = parse(store, &path, "image manifest", &bytes)?;
    if document.manifests.is_some() {
        return Err(both(store, path));
    }
    let kind = document.media_type.as_str();
    if !matches!(kind, "" | OCI_MANIFEST | DOCKER_MANIFEST) {
        return Err(not_image(format!(
            "its type is '{}'",
            display_path(kind.as_bytes())
        )));
    }
    if document.schema_version != 2 {
        return Err(not_image(format!(
            "its schemaVersion is {}; 2 is read",
            document.schema_version
        )));
    }
    if let Some(kind) = document.artifact_type.filter(|t| !t.is_empty()) {
        let shown = display_path(kind.as_bytes()).to_string();
        return Err(not_image(format!("it is an artifact of type '{shown}'")));
    }
    let Some(config) = document.config else {
        return Err(not_image(String::from("it has no configuration")));
    };
    if !matches!(config.media_type.as_str(), OCI_CONFIG | DOCKER_CONFIG) {
        let shown = display_path(config.media_type.as_bytes()).to_string();
        return Err(not_image(format!(
            "its configuration is of type '{shown}', as an artifact's"
        )));
    }
    let config_digest = digest(store, &path, &config.digest)?;
    let bytes = store.read_verified(&config_digest, Some(config.size))?;
    let config_path = config_digest.path();
    let config = parse(store, &config_path, "image configuration", &bytes)?;
    Ok(Manifest {
        digest: candidate.digest.clone(),
        path,
        layers: document.layers.unwrap_or_default(),
        config_path,
        config,
    })
}

/// The layers of a manifest, each of which is there and has its size.
pub(super) fn layers(store: &Named, manifest: &Manifest) -> Result<ImageLayers, ImageError> {
    check_os(store, &manifest.config_path, &manifest.config)?;
    let diff_ids = &manifest.config.rootfs.diff_ids;
    if diff_ids.len() != manifest.layers.len() {
        return Err(ImageError::LayerCount {
            image: store.image.clone(),
            blob: manifest.config_path.clone(),
            layers: manifest.layers.len(),
            diff_ids: diff_ids.len(),
        });
    }
    let mut layers = Vec::new();
    for descriptor in &manifest.layers {
        let digest = digest(store, &manifest.path, &descriptor.digest)?;
        let path = digest.path();
        let compression = compression(store, &path, descriptor)?;
        store.check_size(&path, descriptor.size)?;
        layers.push(LayerBlob {
            store: store.clone(),
            path,
            size: descriptor.size,
            digest: Some(digest),
            // `diff_ids` are the same content's digests once more: the manifest names layer and configuration by
            // digests that are held against every byte, so that one of them cannot be changed without the other.
            // To check it would cost a second SHA-256 of all that was decompressed.
            diff_id: None,
            compression: Some(compression),
        });
    }
    Ok(ImageLayers {
        digest: manifest.digest.clone(),
        layers,
    })
}

/// How a layer is compressed, by its media type.
fn compression(
    store: &Named,
    path: &str,
    descriptor: &Descriptor,
) -> Result<Compression, ImageError> {
    let refused = |why| ImageError::MediaType {
        image: store.image.clone(),
        blob: path.into(),
        media_type: display_path(descriptor.media_type.as_bytes()).to_string(),
        why,
    };
    let foreign = "which is for layers that lie elsewhere: its bytes are not part of the image; pull \
                   it with a tool that fetches them, and commit it anew";
    match descriptor.media_type.as_str() {
        "application/vnd.oci.image.layer.v1.tar"
        | "application/vnd.docker.image.rootfs.diff.tar" => Ok(Compression::None),
        "application/vnd.oci.image.layer.v1.tar+gzip"
        | "application/vnd.docker.image.rootfs.diff.tar.gzip" => Ok(Compression::Gzip),
        "application/vnd.oci.image.layer.v1.tar+zstd"
        | "application/vnd.docker.image.rootfs.diff.tar.zstd" => Ok(Compression::Zstd),
        m if m.contains(".nondistributable.") || m.contains(".foreign.") => Err(refused(foreign)),
        _ if !descriptor.urls.is_empty() => Err(refused(foreign)),
        m if m.ends_with("+encrypted") => Err(refused(
            "which is encrypted; decrypt it first: skopeo copy --decryption-key",
        )),
        _ => Err(refused(
            "which is no layer of a filesystem that is known here",
        )),
    }
}

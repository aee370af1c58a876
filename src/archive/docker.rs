//! What `docker save` writes: a tar with a `manifest.json` that names configurations and layers by path.
//!
//! From Docker 25 on the same tar is an OCI layout too; `manifest.json` goes first here, because the names
//! that a user knows stand in it. Layers are plain tars, now and then gzip (kaniko), and are held against
//! the configuration's `diff_ids`, which are digests of the decompressed tar.

use super::oci::{
    Config, Digest, ImageError, ImageLayers, LayerBlob, Named, Saved, check_os, parse,
};
use crate::display::display_path;

const MANIFEST: &str = "manifest.json";

/// The layers of the image called `name`, lowest first.
pub(super) fn layers(store: &Named, name: Option<&str>) -> Result<ImageLayers, ImageError> {
    let Some(bytes) = store.read(MANIFEST)? else {
        let layout = store.find("index.json")?.is_some();
        let old = store.find("repositories")?.is_some();
        return Err(ImageError::NotImageStore {
            image: store.image.clone(),
            kind: "archive of `docker save`",
            file: MANIFEST,
            hint: match (layout, old) {
                (true, _) => "; its index.json is that of an OCI layout: say oci-archive:FILE",
                (_, true) => "; it is of Docker before 1.10: load and save it with a current one",
                _ => "",
            },
        });
    };
    let all: Vec<Saved> = parse(store, MANIFEST, "manifest of `docker save`", &bytes)?;
    let saved = choose(store, &all, name)?;
    let (digest, config) = config(store, &saved.config)?;
    check_os(
        store,
        &display_path(saved.config.as_bytes()).to_string(),
        &config,
    )?;
    let diff_ids = config.rootfs.diff_ids;
    if diff_ids.len() != saved.layers.len() {
        return Err(ImageError::LayerCount {
            image: store.image.clone(),
            blob: display_path(saved.config.as_bytes()).to_string(),
            layers: saved.layers.len(),
            diff_ids: diff_ids.len(),
        });
    }
    let mut layers = Vec::new();
    for (path, diff_id) in saved.layers.iter().zip(&diff_ids) {
        let diff_id = Digest::parse(diff_id).ok_or_else(|| ImageError::BadDigest {
            image: store.image.clone(),
            blob: display_path(saved.config.as_bytes()).to_string(),
            digest: display_path(diff_id.as_bytes()).to_string(),
        })?;
        let size = store.open(path)?.len;
        layers.push(LayerBlob {
            store: store.clone(),
            path: path.clone(),
            size,
            digest: None,
            diff_id: Some(diff_id),
            compression: None,
        });
    }
    Ok(ImageLayers { digest, layers })
}

/// A name as Docker means it: without the registry and folder that it adds, with the tag that it adds.
fn full(name: &str) -> String {
    let name = name.strip_prefix("docker.io/").unwrap_or(name);
    let name = name.strip_prefix("library/").unwrap_or(name);
    let last = name.rsplit('/').next().unwrap_or(name);
    let tag = if last.contains(':') { "" } else { ":latest" };
    format!("{name}{tag}")
}

/// The image called `name`; without a name, the only one.
fn choose<'a>(
    store: &Named,
    all: &'a [Saved],
    name: Option<&str>,
) -> Result<&'a Saved, ImageError> {
    let image = store.image.clone();
    if all.is_empty() {
        let file = MANIFEST;
        return Err(ImageError::Nothing { image, file });
    }
    let names: Vec<&str> = all
        .iter()
        .flat_map(|s| &s.repo_tags)
        .map(String::as_str)
        .collect();
    let have = super::oci::list(names.iter().copied());
    match name {
        Some(name) => {
            let wanted = full(name);
            let bears = |s: &&Saved| s.repo_tags.iter().any(|t| full(t) == wanted);
            all.iter()
                .find(bears)
                .ok_or_else(|| ImageError::NoSuchName {
                    image,
                    wanted: display_path(name.as_bytes()).to_string(),
                    have,
                })
        }
        None => match all {
            [only] => Ok(only),
            _ => {
                let example = display_path(names.first().copied().unwrap_or("NAME").as_bytes());
                Err(ImageError::SeveralNames {
                    example: format!("{image}:{example}"),
                    image,
                    have,
                })
            }
        },
    }
}

/// Reads a configuration; one that bears its digest as its name is held against it.
fn config(store: &Named, path: &str) -> Result<(Digest, Config), ImageError> {
    let shown = display_path(path.as_bytes()).to_string();
    let bytes = store.read(path)?.ok_or_else(|| ImageError::Missing {
        image: store.image.clone(),
        blob: shown.clone(),
    })?;
    // `HEX.json`, or `blobs/sha256/HEX` from Docker 25 on.
    let base = path.rsplit('/').next().unwrap_or(path);
    let hex = base.strip_suffix(".json").unwrap_or(base);
    if let Some(digest) = Digest::parse(&format!("sha256:{hex}")) {
        store.check_bytes(&shown, &bytes, &digest)?;
    }
    let config = parse(store, &shown, "image configuration", &bytes)?;
    Ok((Digest::sha256(&bytes), config))
}

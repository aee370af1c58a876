//! Container images: from a name and a platform to the layers, lowest first.
//!
//! ```text
//!  index.json ──tag──► [index ──platform──►]* manifest ──► config (diff_ids)
//!                                                └───────► layer, layer, layer …
//! ```
//!
//! Every arrow is a digest, and every blob is held against its digest and size while it is read. Paths
//! are made of digests that were checked, never of text from a blob. Sources: OCI image-spec 1.1;
//! Docker's image manifest version 2, schema 2. What registries and tools disagree on:
//!
//! | case | here |
//! |---|---|
//! | several tags, none asked for | an error that lists them |
//! | one image, of another platform, none asked for | taken: there is no choice |
//! | attestations (`unknown/unknown`), artifacts beside images | passed over |
//! | compression other than the media type says | by its magic, with a warning |
//! | foreign (non-distributable) layers | refused: their bytes lie elsewhere |
//! | several manifests of one name and platform | the first, as image-spec says, with a warning |
//! | a configuration for another system than Linux | refused; for none, taken |

mod digest;
mod error;
mod hashing;
mod index;
mod json;
mod manifest;
mod platform;
mod store;

pub(super) use digest::{Digest, Hasher};
pub use error::ImageError;
pub(super) use hashing::{Hashing, Taken};
pub(super) use index::list;
pub(super) use json::{Config, Saved};
pub(super) use manifest::{ImageLayers, LayerBlob};
pub use platform::Platform;
pub use store::{Blob, Store};
pub(super) use store::{Check, Folder, Named};

/// The layers of the image that `tag` and `platform` choose, lowest first.
pub(super) fn layers(
    store: &Named,
    tag: Option<&str>,
    platform: Option<&Platform>,
    warnings: &mut Vec<String>,
) -> Result<ImageLayers, ImageError> {
    let candidates = index::tagged(store, tag)?;
    let chosen = manifest::choose(store, candidates, platform, warnings)?;
    manifest::layers(store, &chosen)
}

/// Refuses what was not made for Linux; configurations made by hand may say nothing.
pub(super) fn check_os(store: &Named, path: &str, config: &Config) -> Result<(), ImageError> {
    let os = config.platform.os.as_str();
    if os.is_empty() || os.eq_ignore_ascii_case("linux") {
        return Ok(());
    }
    Err(ImageError::NotLinux {
        image: store.image.clone(),
        blob: path.into(),
        os: crate::display::display_path(os.as_bytes()).to_string(),
    })
}

/// Parses JSON, which must be `what`.
pub(super) fn parse<'a, T: serde::Deserialize<'a>>(
    store: &Named,
    path: &str,
    what: &'static str,
    bytes: &'a [u8],
) -> Result<T, ImageError> {
    serde_json::from_slice(bytes).map_err(|e| ImageError::Json {
        image: store.image.clone(),
        blob: path.into(),
        what,
        why: crate::display::display_path(e.to_string().as_bytes()).to_string(),
    })
}

//! Why an image cannot be read: which blob, what is wrong with it, what to do.

use std::io;
use std::sync::Arc;

/// Why there is no root filesystem in a container image. `image` is its name as the user gave it, `blob`
/// the file in question: `blobs/sha256/…`, `index.json`.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The folder or archive holds something else.
    #[error("{image} is no {kind}: it has no {file}{hint}")]
    NotImageStore {
        /// The image.
        image: Arc<str>,
        /// What was expected.
        kind: &'static str,
        /// The file that makes it one.
        file: &'static str,
        /// What it looks like instead.
        hint: &'static str,
    },
    /// A blob that something refers to and that is not there.
    #[error("{image}: {blob} is missing; copy the image again, whole")]
    Missing {
        /// The image.
        image: Arc<str>,
        /// The blob.
        blob: String,
    },
    /// A blob that the system does not give.
    #[error("{image}: cannot read {blob}")]
    Read {
        /// The image.
        image: Arc<str>,
        /// The blob.
        blob: String,
        /// What the system said.
        source: io::Error,
    },
    /// A blob of another length than its descriptor says.
    #[error(
        "{image}: {blob} has {found} bytes, its descriptor says {expected}: it is cut short or was \
         replaced; copy the image again"
    )]
    Size {
        /// The image.
        image: Arc<str>,
        /// The blob.
        blob: String,
        /// Bytes by the descriptor.
        expected: u64,
        /// Bytes that are there.
        found: u64,
    },
    /// A blob whose content is not what its digest says.
    #[error(
        "{image}: {blob} is damaged: its digest is {found}, not {expected}; copy the image again"
    )]
    Digest {
        /// The image.
        image: Arc<str>,
        /// The blob.
        blob: String,
        /// The digest by the descriptor.
        expected: String,
        /// That of the content.
        found: String,
    },
    /// A digest that cannot be one, and so names no file.
    #[error(
        "{image}: {blob}: '{digest}' is no digest: sha256 with 64 or sha512 with 128 digits of 0-9a-f"
    )]
    BadDigest {
        /// The image.
        image: Arc<str>,
        /// The blob that has it.
        blob: String,
        /// The text, printable.
        digest: String,
    },
    /// JSON that is not what it should be.
    #[error("{image}: {blob} is no {what}: {why}")]
    Json {
        /// The image.
        image: Arc<str>,
        /// The blob.
        blob: String,
        /// What it should be.
        what: &'static str,
        /// What the parser said.
        why: String,
    },
    /// Metadata larger than any.
    #[error("{image}: {blob} has {size} bytes; metadata of an image has at most {limit}")]
    TooLarge {
        /// The image.
        image: Arc<str>,
        /// The blob.
        blob: String,
        /// Its length.
        size: u64,
        /// The limit.
        limit: u64,
    },
    /// More indexes, or deeper ones, than anybody makes.
    #[error("{image}: its indexes name more than {limit} manifests, or lie more than 8 deep")]
    TooMany {
        /// The image.
        image: Arc<str>,
        /// The limit.
        limit: usize,
    },
    /// A name that is not there.
    #[error("{image} has no image '{wanted}'; it has {have}")]
    NoSuchName {
        /// The image.
        image: Arc<str>,
        /// What was asked for.
        wanted: String,
        /// What there is.
        have: String,
    },
    /// Several images, and nobody said which.
    #[error("{image} holds several images; say which, as in `{example}`: it has {have}")]
    SeveralNames {
        /// The image.
        image: Arc<str>,
        /// An argument that would do.
        example: String,
        /// What there is.
        have: String,
    },
    /// No image for the platform.
    #[error("{image} has nothing for {wanted}; it has {have}: choose with `--platform`")]
    NoPlatform {
        /// The image.
        image: Arc<str>,
        /// The platform.
        wanted: String,
        /// What there is.
        have: String,
    },
    /// An index of nothing.
    #[error("{image} holds no image: its {file} lists none; copy the image again")]
    Nothing {
        /// The image.
        image: Arc<str>,
        /// The file that lists images.
        file: &'static str,
    },
    /// An image for another system.
    #[error(
        "{image}: {blob} is for the operating system '{os}', and only those for linux become disks here"
    )]
    NotLinux {
        /// The image.
        image: Arc<str>,
        /// The configuration.
        blob: String,
        /// What it says, printable.
        os: String,
    },
    /// An artifact: a signature, a chart, an attestation.
    #[error("{image}: {blob} is not an image: {why}")]
    NotImage {
        /// The image.
        image: Arc<str>,
        /// The manifest.
        blob: String,
        /// What it is.
        why: String,
    },
    /// A kind of blob that nobody knows how to read.
    #[error("{image}: {blob} has the media type '{media_type}', {why}")]
    MediaType {
        /// The image.
        image: Arc<str>,
        /// The blob.
        blob: String,
        /// Its media type, printable.
        media_type: String,
        /// Why that does not do, and what would.
        why: &'static str,
    },
    /// Configuration and manifest that speak of different layers.
    #[error(
        "{image}: the manifest lists {layers} layers, the configuration {blob} {diff_ids}; \
         copy the image again"
    )]
    LayerCount {
        /// The image.
        image: Arc<str>,
        /// The configuration.
        blob: String,
        /// Layers of the manifest.
        layers: usize,
        /// `rootfs.diff_ids` of the configuration.
        diff_ids: usize,
    },
    /// A whiteout that names nothing that could be removed.
    #[error("{image}: the whiteout '{path}' names no file")]
    Whiteout {
        /// The layer.
        image: Arc<str>,
        /// Its path, printable.
        path: String,
    },
}

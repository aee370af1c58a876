//! A manifest from its bytes. They are anybody's: nothing is taken on trust.

use super::xml::{self, Element, XmlError};
use super::{CIPHER, DIGEST, Manifest, PartInfo, Sealed, VERSION};
use crate::bundle::options::{Bundler, Mapping};
use crate::bundle::parts::Sha1Digest;
use crate::display::display_path;
use crate::hex::unhex;
use crate::units::MIB;
use std::collections::BTreeSet;

/// A manifest of ten thousand parts has two.
pub(in crate::bundle) const MAX_SIZE: u64 = 8 * MIB;

/// Why a manifest cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// It is no XML.
    #[error("it is no XML document")]
    Xml(#[from] XmlError),
    /// It is no text.
    #[error("it is no text in UTF-8")]
    NotText,
    /// It is no manifest, or one of another version.
    #[error("{found}; the manifest of a bundle has a root element `manifest` of version {VERSION}")]
    Version {
        /// What it is instead.
        found: String,
    },
    /// An element is not there.
    #[error("the element `{path}` is missing")]
    Missing {
        /// Names from the root, with slashes.
        path: String,
    },
    /// An element is there more than once.
    #[error("the element `{path}` is there {times} times")]
    Repeated {
        /// Names from the root, with slashes.
        path: String,
        /// How often.
        times: usize,
    },
    /// An element says what cannot be.
    #[error("byte {at}, `{path}`: {why}")]
    Value {
        /// Names from the root, with slashes.
        path: String,
        /// Byte where the element begins.
        at: usize,
        /// What is wrong.
        why: String,
    },
}

/// A manifest, and what its signature is of.
#[derive(Clone, Debug)]
pub struct Signed {
    /// What it says.
    pub manifest: Manifest,
    /// The signature; `None` where there is none.
    pub(super) signature: Option<Vec<u8>>,
    /// The signed bytes as they stand there.
    pub(super) literal: String,
    /// The same, written as REXML would.
    pub(super) canonical: String,
}

impl Signed {
    /// Reads a manifest.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub fn parse(bytes: &[u8]) -> Result<Self, ManifestError> {
        let text = std::str::from_utf8(bytes).map_err(|_| ManifestError::NotText)?;
        let root = xml::parse(text)?;
        let root = At {
            path: String::new(),
            element: &root,
        };
        if root.element.name != "manifest" {
            let name = shown(&root.element.name);
            let found = format!("its root element is `{name}`");
            return Err(ManifestError::Version { found });
        }
        let version = root.one("version")?.text();
        if version != VERSION {
            let found = format!("its version is `{}`", shown(version));
            return Err(ManifestError::Version { found });
        }
        let (configuration, image) = (root.one("machine_configuration")?, root.one("image")?);
        let mut canonical = String::new();
        configuration.element.canonical(&mut canonical);
        image.element.canonical(&mut canonical);
        let spans = [&configuration, &image].map(|e| &text[e.element.span.clone()]);
        let signature = root.one("signature")?;
        Ok(Self {
            manifest: manifest(&root, &configuration, &image)?,
            signature: match signature.text() {
                "" | "UNSIGNED" => None,
                _ => Some(signature.bytes()?),
            },
            literal: spans.concat(),
            canonical,
        })
    }
}

fn manifest(
    root: &At<'_>,
    configuration: &At<'_>,
    image: &At<'_>,
) -> Result<Manifest, ManifestError> {
    let text = |at: &At<'_>, name: &str| {
        Ok::<_, ManifestError>(at.optional(name)?.map(|e| e.text().to_owned()))
    };
    let bundler = match root.optional("bundler")? {
        Some(b) => Bundler {
            name: text(&b, "name")?.unwrap_or_default(),
            version: text(&b, "version")?.unwrap_or_default(),
            release: text(&b, "release")?.unwrap_or_default(),
        },
        None => Bundler {
            name: String::new(),
            version: String::new(),
            release: String::new(),
        },
    };
    let mut mappings = Vec::new();
    if let Some(list) = configuration.optional("block_device_mapping")? {
        for mapping in list.all("mapping") {
            mappings.push(Mapping {
                virtual_name: mapping.one("virtual")?.text().into(),
                device: mapping.one("device")?.text().into(),
            });
        }
    }
    let codes = configuration.optional("product_codes")?;
    let codes = codes.iter().flat_map(|c| c.all("product_code"));
    let sealed = |who: &str| {
        let (key, iv) = (
            format!("{who}_encrypted_key"),
            format!("{who}_encrypted_iv"),
        );
        let (key, iv) = (image.one(&key)?, image.one(&iv)?);
        key.algorithm(CIPHER)?;
        Ok::<_, ManifestError>(Sealed {
            key: key.bytes()?,
            iv: iv.bytes()?,
        })
    };
    Ok(Manifest {
        bundler,
        architecture: configuration.one("architecture")?.text().into(),
        mappings,
        kernel: text(configuration, "kernel_id")?,
        ramdisk: text(configuration, "ramdisk_id")?,
        product_codes: codes.map(|c| c.text().to_owned()).collect(),
        name: image.one("name")?.text().into(),
        user: image.one("user")?.text().into(),
        kind: image.one("type")?.text().into(),
        digest: image.one("digest")?.sha1()?,
        size: image.one("size")?.number()?,
        bundled_size: image.one("bundled_size")?.number()?,
        ec2: sealed("ec2")?,
        user_sealed: sealed("user")?,
        parts: parts(&image.one("parts")?)?,
    })
}

fn parts(list: &At<'_>) -> Result<Vec<PartInfo>, ManifestError> {
    let mut parts: Vec<PartInfo> = Vec::new();
    let mut names = BTreeSet::new();
    for (nr, part) in list.all("part").enumerate() {
        let index = part.element.attribute("index").unwrap_or_default();
        if index.trim() != nr.to_string() {
            let why = format!("index `{}` stands where {nr} should", shown(index));
            return Err(part.wrong(why));
        }
        let file = part.one("filename")?;
        let name = file.text();
        // A name is joined to a folder and read; it may not lead out of it.
        if name.is_empty() || name == "." || name == ".." || name.contains(['/', '\0']) {
            let why = format!("`{}` is no plain file name", shown(name));
            return Err(file.wrong(why));
        }
        if !names.insert(name) {
            return Err(file.wrong(format!("`{}` is the name of two parts", shown(name))));
        }
        parts.push(PartInfo {
            filename: name.into(),
            sha1: part.one("digest")?.sha1()?,
        });
    }
    let count = list.element.attribute("count").unwrap_or_default();
    if count.trim() != parts.len().to_string() {
        let why = format!(
            "count is `{}`, parts there are {}",
            shown(count),
            parts.len()
        );
        return Err(list.wrong(why));
    }
    if parts.is_empty() {
        return Err(list.wrong("there is no part".into()));
    }
    Ok(parts)
}

/// Text of the document, safe to print.
fn shown(text: &str) -> String {
    display_path(text.as_bytes()).to_string()
}

/// An element and the way to it.
struct At<'a> {
    path: String,
    element: &'a Element,
}

impl<'a> At<'a> {
    fn path_of(&self, name: &str) -> String {
        if self.path.is_empty() {
            name.into()
        } else {
            format!("{}/{name}", self.path)
        }
    }

    fn all(&self, name: &'a str) -> impl Iterator<Item = At<'a>> {
        let path = self.path_of(name);
        let found = self.element.named(name);
        found.map(move |element| At {
            path: path.clone(),
            element,
        })
    }

    fn optional(&self, name: &str) -> Result<Option<Self>, ManifestError> {
        let path = self.path_of(name);
        let mut found = self.element.children.iter().filter(|c| c.name == name);
        let first = found.next();
        match found.count() {
            0 => Ok(first.map(|element| At { path, element })),
            more => Err(ManifestError::Repeated {
                path,
                times: more + 1,
            }),
        }
    }

    fn one(&self, name: &str) -> Result<Self, ManifestError> {
        let found = self.optional(name)?;
        found.ok_or_else(|| ManifestError::Missing {
            path: self.path_of(name),
        })
    }

    fn text(&self) -> &'a str {
        self.element.text.trim()
    }

    fn wrong(&self, why: String) -> ManifestError {
        ManifestError::Value {
            path: self.path.clone(),
            at: self.element.span.start,
            why,
        }
    }

    fn number(&self) -> Result<u64, ManifestError> {
        let text = self.text();
        let digits = text.bytes().all(|b| b.is_ascii_digit());
        let number = text.parse().ok().filter(|_| digits);
        number.ok_or_else(|| self.wrong(format!("`{}` is no number of bytes", shown(text))))
    }

    fn bytes(&self) -> Result<Vec<u8>, ManifestError> {
        let bytes = unhex(self.text().as_bytes());
        bytes.ok_or_else(|| self.wrong("hexadecimal digits are needed".into()))
    }

    fn algorithm(&self, known: &str) -> Result<(), ManifestError> {
        match self.element.attribute("algorithm") {
            Some(found) if found == known => Ok(()),
            found => {
                let found = shown(found.unwrap_or_default());
                Err(self.wrong(format!("the algorithm is `{found}`; only {known} is known")))
            }
        }
    }

    fn sha1(&self) -> Result<Sha1Digest, ManifestError> {
        self.algorithm(DIGEST)?;
        let digest = self.bytes()?.try_into().ok();
        digest.ok_or_else(|| self.wrong("a SHA-1 has 40 hexadecimal digits".into()))
    }
}

//! The manifest's bytes.

use super::xml::escaped;
use super::{CIPHER, DIGEST, Manifest, VERSION};
use crate::hex::hex;
use std::fmt::Write as _;

/// An element with text in it.
fn leaf(out: &mut String, name: &str, text: &str) {
    leaf_with(out, name, "", text);
}

/// The same with attributes, ` name='value'`.
fn leaf_with(out: &mut String, name: &str, attributes: &str, text: &str) {
    let text = escaped(text);
    write!(out, "<{name}{attributes}>{text}</{name}>").expect("a String takes every write");
}

fn within(out: &mut String, name: &str, inside: impl FnOnce(&mut String)) {
    out.extend(["<", name, ">"]);
    inside(out);
    out.extend(["</", name, ">"]);
}

impl Manifest {
    /// `<machine_configuration>`, the first half of what is signed.
    pub(super) fn configuration(&self) -> String {
        let mut out = String::new();
        within(&mut out, "machine_configuration", |out| {
            leaf(out, "architecture", &self.architecture);
            if !self.mappings.is_empty() {
                let mut mappings = self.mappings.clone();
                mappings.sort();
                within(out, "block_device_mapping", |out| {
                    for mapping in &mappings {
                        within(out, "mapping", |out| {
                            leaf(out, "virtual", &mapping.virtual_name);
                            leaf(out, "device", &mapping.device);
                        });
                    }
                });
            }
            for (name, id) in [("kernel_id", &self.kernel), ("ramdisk_id", &self.ramdisk)] {
                if let Some(id) = id {
                    leaf(out, name, id);
                }
            }
            if !self.product_codes.is_empty() {
                within(out, "product_codes", |out| {
                    for code in &self.product_codes {
                        leaf(out, "product_code", code);
                    }
                });
            }
        });
        out
    }

    /// `<image>`, the second half.
    pub(super) fn image(&self) -> String {
        let digest = format!(" algorithm='{DIGEST}'");
        let cipher = format!(" algorithm='{CIPHER}'");
        let mut out = String::new();
        within(&mut out, "image", |out| {
            leaf(out, "name", &self.name);
            leaf(out, "user", &self.user);
            leaf(out, "type", &self.kind);
            leaf_with(out, "digest", &digest, &hex(&self.digest));
            leaf(out, "size", &self.size.to_string());
            leaf(out, "bundled_size", &self.bundled_size.to_string());
            leaf_with(out, "ec2_encrypted_key", &cipher, &hex(&self.ec2.key));
            leaf_with(
                out,
                "user_encrypted_key",
                &cipher,
                &hex(&self.user_sealed.key),
            );
            leaf(out, "ec2_encrypted_iv", &hex(&self.ec2.iv));
            leaf(out, "user_encrypted_iv", &hex(&self.user_sealed.iv));
            let count = self.parts.len();
            write!(out, "<parts count='{count}'>").expect("a String takes every write");
            for (nr, part) in self.parts.iter().enumerate() {
                write!(out, "<part index='{nr}'>").expect("a String takes every write");
                leaf(out, "filename", &part.filename);
                leaf_with(out, "digest", &digest, &hex(&part.sha1));
                out.push_str("</part>");
            }
            out.push_str("</parts>");
        });
        out
    }

    /// The document, `signature` included.
    pub(super) fn document(&self, signature: &[u8]) -> String {
        let mut out = String::from("<?xml version='1.0'?>");
        within(&mut out, "manifest", |out| {
            leaf(out, "version", VERSION);
            within(out, "bundler", |out| {
                leaf(out, "name", &self.bundler.name);
                leaf(out, "version", &self.bundler.version);
                leaf(out, "release", &self.bundler.release);
            });
            out.push_str(&self.configuration());
            out.push_str(&self.image());
            leaf(out, "signature", &hex(signature));
        });
        out
    }
}

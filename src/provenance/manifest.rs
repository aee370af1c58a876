//! The manifest of an image: what it was made of, how, and what is in it.

use super::files::Files;
use super::{TOOL, VERSION};
use crate::archive::Input;
use crate::hex::hex;
use crate::image::{EspEntry, Report};
use serde::Serialize;
use serde_json::Value;
use std::io::{self, Write};

/// The form of the manifest: grows when a reader of the last one would misread it.
const FORM: u32 = 1;

/// What was made of what.
#[derive(Clone, Copy, Debug)]
pub struct Manifest<'a> {
    /// What was read: the root filesystem, lowest layer first, then what else went into the image.
    pub inputs: &'a [Input],
    /// What was asked for: the keys of a spec file, those that nobody named with their defaults.
    pub spec: &'a Value,
    /// `SOURCE_DATE_EPOCH`, the one variable that reaches an image.
    pub source_date_epoch: Option<i64>,
    /// The image.
    pub image: ImageRecord<'a>,
    /// Files of the EFI system partition.
    pub esp: &'a [EspEntry],
    /// Files of the root filesystem.
    pub files: Files<'a>,
}

/// The image as it was written.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct ImageRecord<'a> {
    /// The name of its file, without the folder.
    pub name: &'a str,
    /// Its figures; among them its size, its SHA-256 and its UUIDs.
    #[serde(flatten)]
    pub report: &'a Report,
}

/// A file of the EFI system partition.
#[derive(Serialize)]
struct EspRecord {
    /// From `/`.
    path: String,
    size: u64,
    sha256: String,
}

/// All but the files of the root filesystem.
#[derive(Serialize)]
struct Head<'a> {
    form: u32,
    made_by: String,
    inputs: &'a [Input],
    spec: &'a Value,
    source_date_epoch: Option<i64>,
    image: ImageRecord<'a>,
    esp: Vec<EspRecord>,
}

impl Manifest<'_> {
    /// Writes it as JSON, a file of the image in each line.
    ///
    /// # Errors
    /// Whatever `out` says.
    pub fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let esp = self.esp.iter().map(|f| EspRecord {
            path: format!("/{}", f.path.trim_start_matches('/')),
            size: f.size,
            sha256: hex(&f.sha256),
        });
        let head = serde_json::to_string_pretty(&Head {
            form: FORM,
            made_by: format!("{TOOL} {VERSION}"),
            inputs: self.inputs,
            spec: self.spec,
            source_date_epoch: self.source_date_epoch,
            image: self.image,
            esp: esp.collect(),
        })?;
        let open = head.strip_suffix("\n}").unwrap_or(&head);
        write!(out, "{open},\n  \"files\": [")?;
        let (mut result, mut comma) = (Ok(()), "\n    ");
        self.files.each(|record| {
            if result.is_ok() {
                result = out
                    .write_all(comma.as_bytes())
                    .and_then(|()| Ok(serde_json::to_writer(&mut *out, &record)?));
                comma = ",\n    ";
            }
        });
        result?;
        out.write_all(b"\n  ]\n}\n")
    }
}

//! An in-toto statement with SLSA's provenance (in-toto.io/Statement/v1, slsa.dev/spec/v1.0/provenance). It is
//! not signed: that is for whoever holds a key (`cosign attest-blob`, `gh attestation`).

use super::VERSION;
use crate::archive::Input;
use crate::packages::encoded;
use serde_json::{Value, json};

/// How the parameters are to be read: those of the spec file, and the sources of the root filesystem.
pub const BUILD_TYPE: &str = concat!(env!("CARGO_PKG_REPOSITORY"), "/build@v1");

/// Who ran the build, in the words of whoever asks for the statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Builder {
    /// URI of the platform that is trusted to tell the truth here.
    pub id: String,
    /// URI of this run.
    pub invocation: Option<String>,
}

/// What is stated.
#[derive(Clone, Copy, Debug)]
pub struct Statement<'a> {
    /// The name of the image's file, without the folder.
    pub name: &'a str,
    /// SHA-256 of the image, in hex.
    pub sha256: &'a str,
    /// The root filesystem that was read, lowest layer first.
    pub rootfs: &'a [Input],
    /// What else was read.
    pub others: &'a [Input],
    /// What was asked for, as in [`super::Manifest::spec`].
    pub spec: &'a Value,
    /// `SOURCE_DATE_EPOCH`.
    pub source_date_epoch: Option<i64>,
    /// Who ran it.
    pub builder: &'a Builder,
}

impl Statement<'_> {
    /// The statement.
    #[must_use]
    pub fn document(&self) -> Value {
        let names: Vec<&str> = self.rootfs.iter().map(|i| i.name.as_str()).collect();
        let mut external = json!({ "rootfs": names, "spec": self.spec });
        if let Some(epoch) = self.source_date_epoch {
            external["source_date_epoch"] = epoch.into();
        }
        let mut details = json!({
            "builder": { "id": self.builder.id, "version": { "diskwright": VERSION } },
        });
        if let Some(invocation) = &self.builder.invocation {
            details["metadata"] = json!({ "invocationId": invocation });
        }
        json!({
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [{ "name": self.name, "digest": { "sha256": self.sha256 } }],
            "predicateType": "https://slsa.dev/provenance/v1",
            "predicate": {
                "buildDefinition": {
                    "buildType": BUILD_TYPE,
                    "externalParameters": external,
                    "resolvedDependencies": self.dependencies(),
                },
                "runDetails": details,
            },
        })
    }

    /// What was read, and the layers of images.
    fn dependencies(&self) -> Vec<Value> {
        let mut list = Vec::new();
        for input in self.rootfs.iter().chain(self.others) {
            list.push(resource(&input.name, input.digest.as_deref(), input.kind));
            for layer in &input.layers {
                list.push(resource(&input.name, Some(&layer.digest), "layer"));
            }
        }
        list
    }
}

/// in-toto's ResourceDescriptor.
fn resource(name: &str, digest: Option<&str>, kind: &str) -> Value {
    let mut value = json!({ "name": name, "annotations": { "kind": kind } });
    match digest.and_then(|d| d.split_once(':')) {
        Some((algorithm, hex)) => value["digest"] = json!({ algorithm: hex }),
        // One of the two must be there.
        None => {
            let names: Vec<String> = name.split('/').map(encoded).collect();
            value["uri"] = format!("file:{}", names.join("/")).into();
        }
    }
    value
}

//! Records beside an image: manifest, bill of materials, provenance.

use super::exit::Usage;
use super::output::is_stdout;
use anyhow::Context;
use clap::ValueHint;
use diskwright::archive::Input;
use diskwright::image::{Asked, Built, Digests, Told};
use diskwright::packages::{self, Databases, Inventory};
use diskwright::provenance::{Builder, Files, ImageRecord, Manifest, Sbom, SbomFormat, Statement};
use diskwright::sink::beside::Beside;
use diskwright::sink::raw::SinkError;
use serde_json::Value;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The builder that the variables of a CI name.
const CI: &str = "ci";

#[derive(Clone, Debug, clap::Args)]
pub(super) struct Flags {
    /// Write what the image was made of and every file in it with its SHA-256, as JSON
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = "Records")]
    manifest: Option<PathBuf>,

    /// Write the packages in the image, as SPDX 2.3 or CycloneDX 1.6 [default FILE: the image's, with
    /// .spdx.json or .cdx.json]
    #[arg(long, value_name = "spdx|cyclonedx[:FILE]", value_parser = sbom, help_heading = "Records")]
    sbom: Option<(SbomFormat, Option<PathBuf>)>,

    /// Write how the image was made as an in-toto statement, SLSA provenance v1; it is yours to sign
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = "Records")]
    provenance: Option<PathBuf>,

    /// Who runs the build, for --provenance; `ci` takes it from the variables of GitHub or GitLab
    #[arg(long, value_name = "URI|ci", help_heading = "Records")]
    builder_id: Option<String>,

    /// What was asked for: see [`super::resolved`].
    #[arg(skip)]
    pub(super) resolved: Value,
}

/// What to record, and where.
#[derive(Debug, Default)]
pub(super) struct Records {
    manifest: Option<PathBuf>,
    sbom: Option<(SbomFormat, PathBuf)>,
    provenance: Option<(PathBuf, Builder)>,
    resolved: Value,
    source_date_epoch: Option<i64>,
}

impl Flags {
    /// Flags that, behind these, send all records but the manifest into `folder`.
    pub(super) fn redirected(&self, folder: &Path) -> Vec<OsString> {
        let mut flags = Vec::new();
        let mut send = |flag: &str, name: &str| {
            let mut flag = OsString::from(flag);
            flag.push(folder.join(name));
            flags.push(flag);
        };
        match self.sbom {
            Some((SbomFormat::Spdx, _)) => send("--sbom=spdx:", "disk.spdx.json"),
            Some((SbomFormat::CycloneDx, _)) => send("--sbom=cyclonedx:", "disk.cdx.json"),
            None => {}
        }
        if self.provenance.is_some() {
            send("--provenance=", "disk.provenance.json");
        }
        flags
    }

    /// Of an image at `output`.
    pub(super) fn into_records(
        self,
        output: &Path,
        source_date_epoch: Option<i64>,
    ) -> Result<Records, Usage> {
        if matches!(self.sbom, Some((_, None))) && is_stdout(output) {
            let help = "say where it goes: --sbom spdx:FILE";
            return Err(Usage::with_help(
                "standard output has no name for --sbom to follow",
                help,
            ));
        }
        let sbom = self.sbom.map(|(format, path)| {
            let path = path.unwrap_or_else(|| {
                let mut name = OsString::from(output);
                name.push(match format {
                    SbomFormat::Spdx => ".spdx.json",
                    SbomFormat::CycloneDx => ".cdx.json",
                });
                name.into()
            });
            (format, path)
        });
        let provenance = match (self.provenance, self.builder_id) {
            (Some(path), Some(id)) => Some((path, builder(&id, &|name| std::env::var(name).ok())?)),
            (None, Some(_)) => {
                let help = "leave it out, or say --provenance FILE";
                return Err(Usage::with_help("--builder-id is for --provenance", help));
            }
            // Not clap's `requires`: it would not see the keys of the spec file.
            (Some(_), None) => {
                let help = "say who runs the build: --builder-id URI, or ci";
                return Err(Usage::with_help("--provenance needs --builder-id", help));
            }
            (None, None) => None,
        };
        Ok(Records {
            manifest: self.manifest,
            sbom,
            provenance,
            resolved: self.resolved,
            source_date_epoch,
        })
    }
}

/// `FORMAT`, or `FORMAT:FILE`.
pub(super) fn sbom(text: &str) -> Result<(SbomFormat, Option<PathBuf>), String> {
    let (format, path) = match text.split_once(':') {
        Some((_, "")) => return Err("names no file behind the colon".into()),
        Some((format, path)) => (format, Some(path.into())),
        None => (text, None),
    };
    let format = match format {
        "spdx" => SbomFormat::Spdx,
        "cyclonedx" => SbomFormat::CycloneDx,
        _ => return Err("must be spdx or cyclonedx, and may go on with a colon and a file".into()),
    };
    Ok((format, path))
}

/// The builder that `id` names.
fn builder(id: &str, variable: &dyn Fn(&str) -> Option<String>) -> Result<Builder, Usage> {
    if id != CI {
        let scheme = id.split_once(':').map_or("", |(scheme, _)| scheme);
        if scheme.is_empty() || !scheme.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return Err(Usage::with_help(
                format!("--builder-id {id} is no URI"),
                "for example https://ci.example.org/builders/images",
            ));
        }
        return Ok(Builder {
            id: id.into(),
            invocation: None,
        });
    }
    let all = |names: &[&str]| {
        names
            .iter()
            .map(|n| variable(n))
            .collect::<Option<Vec<_>>>()
    };
    let github = [
        "GITHUB_SERVER_URL",
        "GITHUB_WORKFLOW_REF",
        "GITHUB_REPOSITORY",
        "GITHUB_RUN_ID",
        "GITHUB_RUN_ATTEMPT",
    ];
    if let Some([server, workflow, repository, run, attempt]) = all(&github).as_deref() {
        let run = format!("{server}/{repository}/actions/runs/{run}/attempts/{attempt}");
        return Ok(Builder {
            id: format!("{server}/{workflow}"),
            invocation: Some(run),
        });
    }
    if let Some([project, runner, job]) =
        all(&["CI_PROJECT_URL", "CI_RUNNER_ID", "CI_JOB_URL"]).as_deref()
    {
        return Ok(Builder {
            id: format!("{project}/-/runners/{runner}"),
            invocation: Some(job.clone()),
        });
    }
    Err(Usage::with_help(
        "--builder-id ci: this is neither a job of GitHub Actions nor of GitLab CI",
        "say which URI stands for the machine that builds",
    ))
}

impl Records {
    /// What the build is to tell.
    pub(super) fn asked(&self) -> Asked {
        Asked {
            digests: self.manifest.is_some(),
            inputs: self.digests_inputs(),
            files: self.sbom.is_some().then_some(packages::is_input),
        }
    }

    /// Whether the archive's bytes are to be digested.
    pub(super) fn digests_inputs(&self) -> bool {
        self.manifest.is_some() || self.provenance.is_some()
    }

    /// Whether the image is to be.
    pub(super) fn digests_image(&self) -> bool {
        self.digests_inputs()
    }

    /// The flags that ask for them, and where they go.
    pub(super) fn places(&self) -> Vec<(&'static str, &Path)> {
        let sbom = self.sbom.as_ref().map(|(_, path)| path);
        let provenance = self.provenance.as_ref().map(|(path, _)| path);
        let all = [
            ("--manifest", self.manifest.as_ref()),
            ("--sbom", sbom),
            ("--provenance", provenance),
        ];
        let asked = all.into_iter();
        asked
            .filter_map(|(flag, path)| Some((flag, path?.as_path())))
            .collect()
    }

    /// Makes room for all of them, before an archive is read in vain.
    pub(super) fn create(
        &self,
        mut create: impl FnMut(&Path) -> Result<Beside, SinkError>,
    ) -> Result<Writing<'_>, SinkError> {
        Ok(Writing {
            manifest: self.manifest.as_deref().map(&mut create).transpose()?,
            sbom: match &self.sbom {
                Some((format, path)) => Some((*format, create(path)?)),
                None => None,
            },
            packages: None,
            provenance: match &self.provenance {
                Some((path, builder)) => Some((builder, create(path)?)),
                None => None,
            },
            records: self,
        })
    }
}

/// Records on their way.
#[derive(Debug)]
pub(super) struct Writing<'a> {
    records: &'a Records,
    manifest: Option<Beside>,
    sbom: Option<(SbomFormat, Beside)>,
    /// What goes into it.
    packages: Option<Value>,
    provenance: Option<(&'a Builder, Beside)>,
}

impl Writing<'_> {
    /// Lists the packages, where that is asked for: an image whose packages nobody can tell is not written first.
    pub(super) fn list(&mut self, told: &Told) -> anyhow::Result<()> {
        if let Some((format, _)) = &self.sbom {
            self.packages = Some(document(&told.files, told.time, *format)?);
        }
        Ok(())
    }

    /// Writes what was `built` at `output` of `rootfs`; gives the files, to be put under their names.
    pub(super) fn write(
        self,
        output: &Path,
        rootfs: &[Input],
        built: &Built,
    ) -> anyhow::Result<Vec<Beside>> {
        let name = output.file_name().unwrap_or_default().to_string_lossy();
        let Records {
            resolved,
            source_date_epoch,
            ..
        } = self.records;
        let mut files = Vec::new();
        if let Some(mut file) = self.manifest {
            let none = Digests::default();
            let manifest = Manifest {
                inputs: &[rootfs, &built.told.inputs].concat(),
                spec: resolved,
                source_date_epoch: *source_date_epoch,
                image: ImageRecord {
                    name: &name,
                    report: &built.report,
                },
                esp: &built.told.esp,
                files: Files {
                    tree: built.image.filesystem().tree(),
                    digests: built.told.digests.as_ref().unwrap_or(&none),
                },
            };
            file.write(|out| manifest.write(out))?;
            files.push(file);
        }
        if let (Some((_, mut file)), Some(document)) = (self.sbom, self.packages) {
            file.write(|out| json(out, &document))?;
            files.push(file);
        }
        if let Some((builder, mut file)) = self.provenance {
            let statement = Statement {
                name: &name,
                sha256: built.report.sha256.as_deref().unwrap_or_default(),
                rootfs,
                others: &built.told.inputs,
                spec: resolved,
                source_date_epoch: *source_date_epoch,
                builder,
            };
            file.write(|out| json(out, &statement.document()))?;
            files.push(file);
        }
        Ok(files)
    }
}

/// A bill of materials of the databases among `files`.
pub(super) fn document(files: &Databases, time: i64, format: SbomFormat) -> anyhow::Result<Value> {
    let inventory = Inventory::read(files).context("cannot list the packages of the image")?;
    let inventory = &inventory;
    Ok(Sbom { inventory, time }.document(format))
}

fn json(out: &mut dyn std::io::Write, document: &Value) -> std::io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, document)?;
    out.write_all(b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn builders_are_named_by_uri_or_by_the_ci_that_runs() {
        let none = |_: &str| None;
        let id = "https://ci.example.org/b";
        assert_eq!(builder(id, &none).unwrap().id, id);
        assert!(builder("me", &none).is_err());
        assert!(builder(CI, &none).is_err());
        let github = |name: &str| {
            let value = match name {
                "GITHUB_SERVER_URL" => "https://github.com",
                "GITHUB_WORKFLOW_REF" => "o/r/.github/workflows/image.yml@refs/heads/main",
                "GITHUB_REPOSITORY" => "o/r",
                "GITHUB_RUN_ID" => "12",
                "GITHUB_RUN_ATTEMPT" => "2",
                _ => return None,
            };
            Some(value.to_owned())
        };
        assert_eq!(
            builder(CI, &github).unwrap(),
            Builder {
                id: "https://github.com/o/r/.github/workflows/image.yml@refs/heads/main".into(),
                invocation: Some("https://github.com/o/r/actions/runs/12/attempts/2".into()),
            }
        );
        let gitlab = |name: &str| {
            let value = match name {
                "CI_PROJECT_URL" => "https://gitlab.com/o/r",
                "CI_RUNNER_ID" => "7",
                "CI_JOB_URL" => "https://gitlab.com/o/r/-/jobs/9",
                _ => return None,
            };
            Some(value.to_owned())
        };
        assert_eq!(
            builder(CI, &gitlab).unwrap().id,
            "https://gitlab.com/o/r/-/runners/7"
        );
    }

    #[test]
    fn a_bill_has_a_format_and_may_have_a_file() {
        assert_eq!(sbom("spdx").unwrap(), (SbomFormat::Spdx, None));
        let file = Some("a:b.json".into());
        assert_eq!(
            sbom("cyclonedx:a:b.json").unwrap(),
            (SbomFormat::CycloneDx, file)
        );
        assert!(sbom("spdx:").is_err() && sbom("swid").is_err());
    }
}

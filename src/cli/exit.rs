//! Exit codes and how an error is told.

use super::signals;
use diskwright::boot::BootError;
use std::error::Error;
use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;

/// How a verb ended that did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Code {
    /// 0.
    Done,
    /// 1: the image was looked at and is not as it should be.
    Findings,
    /// 3: doctor found the environment wanting.
    Environment,
}

const FINDINGS: u8 = 1;
const USAGE: u8 = 2;
const ENVIRONMENT: u8 = 3;
const REMOTE: u8 = 4;

/// A mistake on the command line or in the spec file: exit code 2.
#[derive(Debug)]
pub(super) struct Usage {
    message: String,
    help: Option<String>,
}

impl Usage {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            help: None,
        }
    }

    pub(super) fn with_help(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            help: Some(help.into()),
        }
    }
}

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for Usage {}

/// Nobody reads our standard output any more, as in `diskwright info disk.img | head -1`: success.
#[derive(Debug, thiserror::Error)]
#[error("standard output is closed")]
struct StdoutClosed;

/// Writes a result to standard output.
pub(super) fn print(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    stdout(out.write_all(text.as_bytes()).and_then(|()| out.flush()))
}

/// What became of a write to standard output.
pub(super) fn stdout(result: io::Result<()>) -> anyhow::Result<()> {
    match result {
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Err(StdoutClosed.into()),
        Err(e) => Err(anyhow::Error::new(e).context("cannot write to standard output")),
        Ok(()) => Ok(()),
    }
}

/// Writes a result to standard output as indented JSON.
pub(super) fn print_json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    print(&format!("{}\n", serde_json::to_string_pretty(value)?))
}

/// Tells the error, if any, and gives the process's exit code.
pub(super) fn finish(result: anyhow::Result<Code>) -> ExitCode {
    let error = match result {
        Ok(Code::Done) => return ExitCode::SUCCESS,
        Ok(Code::Findings) => return ExitCode::from(FINDINGS),
        Ok(Code::Environment) => return ExitCode::from(ENVIRONMENT),
        Err(error) => error,
    };
    if error.is::<StdoutClosed>() {
        return ExitCode::SUCCESS;
    }
    if let Some(signal) = signals::caught() {
        complain("error: interrupted\n");
        return ExitCode::from(signal.exit_code());
    }
    if let Some(clap) = error.downcast_ref::<clap::Error>() {
        // --help and --version come as errors too, for stdout and with code 0. A closed stdout is fine.
        let _ = clap.print();
        return ExitCode::from(if clap.use_stderr() { USAGE } else { 0 });
    }
    complain(&tell(&error));
    ExitCode::from(if error.is::<Usage>() {
        USAGE
    } else if error.chain().any(is_remote) {
        REMOTE
    } else {
        ENVIRONMENT
    })
}

/// Whether somebody else's machine is where it failed.
#[cfg(feature = "aws")]
fn is_remote(error: &(dyn Error + 'static)) -> bool {
    use diskwright::aws::AwsError;
    use diskwright::aws::image::ImageError;
    use diskwright::aws::snapshot::SnapshotError;
    let snapshot = error.downcast_ref::<SnapshotError>();
    let image = error.downcast_ref::<ImageError>();
    snapshot.is_some_and(SnapshotError::is_remote)
        || image.is_some_and(ImageError::is_remote)
        || AwsError::of(error).is_some_and(AwsError::is_remote)
}

#[cfg(not(feature = "aws"))]
fn is_remote(_: &(dyn Error + 'static)) -> bool {
    false
}

/// Writes to standard error. `eprint!` would panic where that is a closed pipe.
pub(super) fn complain(text: &str) {
    // With standard error closed there is nobody left to tell.
    let _ = io::stderr().write_all(text.as_bytes());
}

/// `error: what`, a line per cause, and `help: what next` where somebody knows.
fn tell(error: &anyhow::Error) -> String {
    let mut text = format!("error: {error}\n");
    for cause in error.chain().skip(1) {
        text.push_str(&format!("  because: {cause}\n"));
    }
    if let Some(help) = error.chain().find_map(help) {
        text.push_str(&format!("help: {help}\n"));
    }
    text
}

/// What to do about an error, where its message alone does not say it.
fn help(error: &(dyn Error + 'static)) -> Option<String> {
    if let Some(usage) = error.downcast_ref::<Usage>() {
        return usage.help.clone();
    }
    if let Some(io) = error.downcast_ref::<io::Error>() {
        return match io.kind() {
            io::ErrorKind::StorageFull => {
                Some("free some space, or choose a folder on another disk".into())
            }
            io::ErrorKind::QuotaExceeded => {
                Some("your quota is used up: choose a folder elsewhere".into())
            }
            io::ErrorKind::FileTooLarge => Some(
                "the filesystem of the output, or `ulimit -f`, allows no file of that size".into(),
            ),
            _ => None,
        };
    }
    #[cfg(feature = "aws")]
    if let Some(image) = error.downcast_ref::<diskwright::aws::image::ImageError>() {
        return image.help();
    }
    #[cfg(feature = "aws")]
    if let Some(aws) = diskwright::aws::AwsError::of(error) {
        return aws.help();
    }
    #[cfg(feature = "aws")]
    if let Some(s3) = error.downcast_ref::<diskwright::aws::s3::S3Error>() {
        return s3.help();
    }
    #[cfg(feature = "aws")]
    if let Some(snapshot) = error.downcast_ref::<diskwright::aws::snapshot::SnapshotError>() {
        return snapshot.help();
    }
    match error.downcast_ref::<BootError>()? {
        BootError::NoQemu { .. } => Some("apt-get install qemu-system-x86".into()),
        BootError::NoKvm => Some("leave out --kvm on: TCG is slower and works everywhere".into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    #[test]
    fn an_error_is_told_with_its_causes_and_its_help() {
        let error = Err::<(), _>(BootError::NoQemu {
            program: "qemu-system-x86_64".into(),
            package: "qemu-system-x86",
        })
        .context("cannot boot disk.img")
        .unwrap_err();
        expect_test::expect![[r"
            error: cannot boot disk.img
              because: qemu-system-x86_64 is not in PATH; Debian and Ubuntu have it in the package qemu-system-x86
            help: apt-get install qemu-system-x86
        "]]
        .assert_eq(&tell(&error));
    }

    #[test]
    fn a_closed_standard_output_is_success() {
        let error = stdout(Err(io::ErrorKind::BrokenPipe.into())).unwrap_err();
        assert_eq!(finish(Err(error)), ExitCode::SUCCESS);
        assert!(
            stdout(Err(io::ErrorKind::StorageFull.into()))
                .unwrap_err()
                .chain()
                .count()
                == 2
        );
    }
}

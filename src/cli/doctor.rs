//! `diskwright doctor`: what this machine has, and what is missing for which verb.

#[cfg(feature = "aws")]
use super::aws::Access;
use super::exit::{self, Code};
use diskwright::boot::{Arch, Kvm, find_firmware, find_qemu, probe_kvm, qemu_version};
use diskwright::units::MIB;
use serde::Serialize;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::Command;

#[cfg(feature = "aws")]
const EXAMPLES: &str = "\
Examples:
  diskwright doctor
  diskwright doctor /var/lib/images        is this folder fit for images?
  diskwright doctor --aws --region eu-west-1";

#[cfg(not(feature = "aws"))]
const EXAMPLES: &str = "\
Examples:
  diskwright doctor
  diskwright doctor /var/lib/images        is this folder fit for images?";

/// Say what this machine has, and which package brings what is missing
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Folder that images will be written to
    #[arg(default_value = ".")]
    folder: PathBuf,

    /// Look at AWS instead: region, keys, clock, permissions, settings of the account
    #[cfg(feature = "aws")]
    #[arg(long)]
    aws: bool,

    #[cfg(feature = "aws")]
    #[command(flatten)]
    access: Access,

    /// Print as JSON
    #[arg(long)]
    json: bool,
}

/// How one thing stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum State {
    NotNeeded,
    Present,
    /// Something works without it, or a verb other than build needs it.
    Absent,
    /// build cannot work.
    Missing,
    /// AWS: as it should be.
    #[cfg(feature = "aws")]
    Ok,
    /// AWS: worth knowing.
    #[cfg(feature = "aws")]
    Warning,
    /// AWS: neither a snapshot nor an AMI can be made.
    #[cfg(feature = "aws")]
    Failed,
}

impl State {
    /// Whether nothing works without it.
    fn is_fatal(self) -> bool {
        match self {
            Self::Missing => true,
            #[cfg(feature = "aws")]
            Self::Failed => true,
            _ => false,
        }
    }
}

#[derive(Debug, Serialize)]
struct Check {
    name: &'static str,
    state: State,
    detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    help: Option<String>,
}

impl Check {
    fn new(name: &'static str, state: State, detail: impl Into<String>) -> Self {
        Self {
            name,
            state,
            detail: detail.into(),
            help: None,
        }
    }

    fn help(mut self, help: &str) -> Self {
        self.help = Some(help.into());
        self
    }
}

pub(super) fn run(args: Args) -> anyhow::Result<Code> {
    #[cfg(feature = "aws")]
    if args.aws {
        let checks = aws(args.access)?;
        return report(&checks, args.json);
    }
    let mut checks = vec![
        Check::new("root", State::NotNeeded, "build writes a file of yours"),
        Check::new(
            "loop device",
            State::NotNeeded,
            "filesystems are written, not mounted",
        ),
        Check::new(
            "user namespace",
            State::NotNeeded,
            "owners come from the archive",
        ),
    ];
    checks.extend(output(&args.folder));
    checks.extend(qemu());
    checks.extend(firmware());
    checks.push(mmdebstrap());
    report(&checks, args.json)
}

fn report(checks: &[Check], json: bool) -> anyhow::Result<Code> {
    if json {
        exit::print_json(&checks)?;
    } else {
        exit::print(&checks.iter().map(tell).collect::<String>())?;
    }
    let fit = checks.iter().all(|check| !check.state.is_fatal());
    Ok(if fit { Code::Done } else { Code::Environment })
}

/// What `diskwright::aws` finds.
#[cfg(feature = "aws")]
fn aws(access: Access) -> anyhow::Result<Vec<Check>> {
    use diskwright::aws::doctor::{Finding, Health, examine};
    let findings = access.with_options(async |options| examine(&options).await)?;
    let check = |finding: Finding| Check {
        name: finding.name,
        state: match finding.health {
            Health::Ok => State::Ok,
            Health::Warning => State::Warning,
            Health::Failed => State::Failed,
        },
        detail: finding.detail,
        help: finding.help,
    };
    Ok(findings.into_iter().map(check).collect())
}

fn tell(check: &Check) -> String {
    let state = match check.state {
        State::NotNeeded => "not needed",
        State::Present => "present",
        State::Absent => "absent",
        State::Missing => "MISSING",
        #[cfg(feature = "aws")]
        State::Ok => "ok",
        #[cfg(feature = "aws")]
        State::Warning => "warning",
        #[cfg(feature = "aws")]
        State::Failed => "FAILED",
    };
    let help = check
        .help
        .as_ref()
        .map(|h| format!("; {h}"))
        .unwrap_or_default();
    format!("{:<22} {state:<11} {}{help}\n", check.name, check.detail)
}

/// What the folder's filesystem can do.
fn output(folder: &Path) -> Vec<Check> {
    let place = folder.display();
    let file = match tempfile::tempfile_in(folder) {
        Ok(file) => file,
        Err(e) => {
            let detail = format!("cannot write to {place}: {e}");
            let check = Check::new("output folder", State::Missing, detail);
            return vec![check.help("name another folder")];
        }
    };
    let mut checks = vec![Check::new(
        "output folder",
        State::Present,
        format!("{place}, writable"),
    )];
    checks.push(match is_sparse(&file) {
        Ok(true) => Check::new(
            "sparse files",
            State::Present,
            "images take no more than their data",
        ),
        Ok(false) | Err(_) => Check::new(
            "sparse files",
            State::Absent,
            "images take their full size here",
        ),
    });
    #[cfg(target_os = "linux")]
    checks.push(nameless(folder));
    checks
}

/// Whether the folder gives files without a name.
#[cfg(target_os = "linux")]
fn nameless(folder: &Path) -> Check {
    use rustix::fs::{CWD, Mode, OFlags};
    let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
    match rustix::fs::openat(CWD, folder, flags, Mode::RUSR | Mode::WUSR) {
        Ok(_) => Check::new(
            "O_TMPFILE",
            State::Present,
            "an interrupted build leaves nothing",
        ),
        Err(e) => Check::new(
            "O_TMPFILE",
            State::Absent,
            format!("{e}: a named temporary is used"),
        ),
    }
}

/// Whether a file of 1 MiB with one block at its end takes less than 1 MiB.
fn is_sparse(file: &std::fs::File) -> io::Result<bool> {
    file.set_len(MIB)?;
    file.write_all_at(&[1; 4096], MIB - 4096)?;
    // Delayed allocation counts blocks only once they are on the disk.
    file.sync_data()?;
    Ok(file.metadata()?.blocks() * 512 < MIB)
}

fn qemu() -> Vec<Check> {
    let Ok(program) = find_qemu(Arch::X86_64) else {
        let check = Check::new("qemu", State::Absent, "boot needs it");
        return vec![check.help("apt-get install qemu-system-x86")];
    };
    let version = qemu_version(&program).unwrap_or_else(|e| e.to_string());
    let kvm = match probe_kvm(&program) {
        Kvm::Fast => Check::new("kvm", State::Present, "ran a guest"),
        Kvm::Slow => Check::new(
            "kvm",
            State::Absent,
            "it emulates its guests: boot uses TCG",
        ),
        Kvm::Absent => Check::new("kvm", State::Absent, "boot uses TCG, several times slower"),
    };
    vec![Check::new("qemu", State::Present, version), kvm]
}

/// What `boot` needs beyond BIOS machines.
fn firmware() -> Vec<Check> {
    let all = [
        ("uefi", Arch::X86_64, false),
        ("secure boot", Arch::X86_64, true),
        ("uefi arm64", Arch::Arm64, false),
    ];
    all.into_iter()
        .map(|(name, arch, secure)| {
            let found = find_qemu(arch).and_then(|qemu| find_firmware(arch, secure, &qemu));
            match found {
                Ok(path) => Check::new(name, State::Present, path.display().to_string()),
                Err(e) => Check::new(name, State::Absent, "boot needs it for such images")
                    .help(&e.to_string()),
            }
        })
        .collect()
}

fn mmdebstrap() -> Check {
    let found = Command::new("mmdebstrap").arg("--version").output();
    match found {
        Ok(output) if output.status.success() => {
            let version = String::from_utf8_lossy(&output.stdout);
            Check::new("mmdebstrap", State::Present, version.trim())
        }
        _ => Check::new(
            "mmdebstrap",
            State::Absent,
            "one way to make a Debian rootfs",
        )
        .help("apt-get install mmdebstrap"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_is_not_there_is_what_build_lacks() {
        let checks = output(Path::new("/nonexistent"));
        assert_eq!(checks.len(), 1);
        assert_eq!(checks[0].state, State::Missing);
        assert!(tell(&checks[0]).contains("MISSING"));
    }
}

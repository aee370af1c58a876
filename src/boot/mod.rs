//! Boots an image in qemu and says whether it came up.
//!
//! ```text
//!  image ──► [loaders.rs] boot code? BOOTX64.EFI? ──► [qemu.rs] BIOS or UEFI ([firmware.rs]), the disk on
//!                │                                   NVMe as on a Nitro instance, a throw-away overlay
//!                │ serial port
//!                ▼
//!            [serial.rs] raw bytes ──► console and log; plain text ──► the last lines
//!                │
//!                ▼
//!            [verdict.rs] --expect in order, --fail at any time, --timeout ──► Outcome
//!            [screen.rs]  the guest's screen, before qemu ends
//! ```
//!
//! Needs neither root nor KVM: [`Accel::Auto`] runs a guest of a few bytes under KVM and takes TCG,
//! qemu's translator, where that fails or is slow. The image is never changed unless [`Machine::persist`] says so.

mod firmware;
mod guest;
mod loaders;
mod probe;
mod qemu;
mod run;
mod screen;
mod serial;
mod verdict;

pub use firmware::find_firmware;
pub use loaders::{Loaders, find_loaders};
pub use probe::{Kvm, find_qemu, probe_kvm, qemu_version};
pub use qemu::{Accel, Arch, Disk, Firmware, Machine, Network};
pub use run::run;
pub use serial::PlainText;
pub use verdict::{DEFAULT_FAIL, Outcome, Script, Step, Verdict};

use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;

/// Why an image could not be tried. An image that was tried and did not come up is an [`Outcome`].
#[derive(Debug, thiserror::Error)]
pub enum BootError {
    /// No qemu on this machine.
    #[error("{program} is not in PATH; Debian and Ubuntu have it in the package {package}")]
    NoQemu {
        /// The program that was looked for.
        program: PathBuf,
        /// Debian's package with it.
        package: &'static str,
    },
    /// No UEFI firmware on this machine.
    #[error("there is no {what} for {}: {packages}", .arch.word())]
    NoFirmware {
        /// Which kind.
        what: &'static str,
        /// For which machine.
        arch: Arch,
        /// Who has it.
        packages: &'static str,
    },
    /// Nothing on the image that the firmware could start: it would only wait.
    #[error("{} cannot boot {how}: {why}", path.display())]
    NoLoader {
        /// The image.
        path: PathBuf,
        /// By which firmware, on which machine.
        how: String,
        /// What was looked for.
        why: &'static str,
    },
    /// [`Accel::Kvm`] was asked for.
    #[error(
        "KVM was asked for and does not work here: a guest of a few bytes did not run under it"
    )]
    NoKvm,
    /// The image cannot be opened, or is no regular file or block device.
    #[error("cannot open the image {}", path.display())]
    Image {
        /// The image.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// No folder for a picture of the screen.
    #[error("cannot make a temporary folder")]
    Folder(#[source] io::Error),
    /// qemu did not start.
    #[error("cannot start {}", program.display())]
    Start {
        /// The program.
        program: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// qemu ended with an error of its own.
    #[error("qemu ended with {status}: {stderr}")]
    Qemu {
        /// How it ended.
        status: ExitStatus,
        /// What it said.
        stderr: String,
    },
    /// The serial port broke.
    #[error("cannot {doing} the guest's serial port")]
    Serial {
        /// `read` or `write to`.
        doing: &'static str,
        /// Why.
        source: io::Error,
    },
    /// Whoever shows the console could not.
    #[error("cannot show the guest's console")]
    Console(#[source] io::Error),
}

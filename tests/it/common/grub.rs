//! GRUB of a Debian release, for both processors, as `vendor-grub/fetch` brings it.

use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::{FlockOperation, flock};

use crate::tools::skip;

/// A folder like `/usr/lib/grub` with the GRUB of `suite`: in the folder that `DISKWRIGHT_GRUB` names, else
/// in `demo/grub` of the checkout, fetched now if it is missing. `None`, which CI does not accept, where
/// it cannot be.
pub fn grub_folder(suite: &str) -> Option<PathBuf> {
    let checkout = Path::new(env!("CARGO_MANIFEST_DIR"));
    let given = std::env::var_os("DISKWRIGHT_GRUB").map(PathBuf::from);
    let all = given.unwrap_or_else(|| checkout.join("demo/grub"));
    std::fs::create_dir_all(&all).unwrap();
    // Tests run side by side, and each may come here first.
    let lock = std::fs::File::open(&all).unwrap();
    flock(&lock, FlockOperation::LockExclusive).unwrap();
    let folder = all.join(suite);
    if !folder.join("MANIFEST").is_file() {
        let mut fetch = Command::new(checkout.join("vendor-grub/fetch"));
        let fetched = fetch.args(["-s", suite]).arg(&folder).output().unwrap();
        if !fetched.status.success() {
            let why = String::from_utf8_lossy(&fetched.stderr);
            skip(&format!("no GRUB of {suite}: {}", why.trim()));
            return None;
        }
    }
    Some(folder)
}

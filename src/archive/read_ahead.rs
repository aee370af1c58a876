//! Advice to the kernel.

use std::fs::File;

/// Says that `file` is read from byte `start` to its end.
#[cfg_attr(
    not(target_os = "linux"),
    expect(unused_variables, reason = "macOS has no posix_fadvise(2)")
)]
pub(super) fn read_ahead(file: &File, start: u64) {
    // A filesystem without read-ahead may refuse it.
    #[cfg(target_os = "linux")]
    let _ = rustix::fs::fadvise(file, start, None, rustix::fs::Advice::Sequential);
}

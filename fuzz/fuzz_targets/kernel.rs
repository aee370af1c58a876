//! Invariants: no input makes the reader of kernels panic; what it makes of one for PV-GRUB is a kernel that it
//! then leaves as it is.

#![no_main]

use diskwright::grub::pv_kernel;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    match pv_kernel("fuzz", data) {
        Ok(Some(made)) => assert!(matches!(pv_kernel("made", &made.concat()), Ok(None))),
        Ok(None) => {}
        Err(e) => assert!(!e.to_string().contains(char::is_control), "{e}"),
    }
});

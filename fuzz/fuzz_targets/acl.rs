//! Invariants: no text and no attribute makes the readers of ACLs panic; an error is printable; what was
//! read survives being written and read again; permission bits are nine.
//!
//! The first byte of the input chooses: even for the value of an attribute, odd for text.

#![no_main]

use diskwright::acl::text::{Names, acl, parse};
use diskwright::acl::{Acl, AclError};
use libfuzzer_sys::fuzz_target;

/// Knows short names.
struct Short;

impl Names for Short {
    fn user(&self, name: &[u8]) -> Option<u32> {
        (name.len() < 3).then(|| name.iter().fold(0, |id, &b| id * 256 + u32::from(b)))
    }

    fn group(&self, name: &[u8]) -> Option<u32> {
        self.user(name).filter(|id| id % 2 == 0)
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((kind, data)) = data.split_first() else {
        return;
    };
    if kind % 2 == 0 {
        sound(Acl::from_xattr(data));
        return;
    }
    match parse(data, &Short) {
        Ok(parsed) => {
            sound(acl(parsed.access));
            sound(acl(parsed.default));
        }
        Err(e) => says(&e),
    }
});

fn sound(read: Result<Option<Acl>, AclError>) {
    match read {
        Ok(Some(acl)) => {
            assert!(acl.permissions() <= 0o777, "{acl:?}");
            assert_eq!(Acl::from_xattr(&acl.to_xattr()).as_ref(), Ok(&Some(acl)));
        }
        Ok(None) => {}
        Err(e) => says(&e),
    }
}

fn says(error: &AclError) {
    let message = error.to_string();
    assert!(!message.is_empty() && !message.contains(char::is_control), "{message:?}");
}

//! Archives in, entries out. Untrusted input ends here.

mod entry;

pub use entry::{DataRun, Entry, EntryKind};

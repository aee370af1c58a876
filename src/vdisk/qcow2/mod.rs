//! qcow2, qemu's own format: `docs/interop/qcow2.txt` of qemu.
//!
//! ```text
//!  ┌────────┬──────────────┬──────────────────┬───────────┬──────────┬───────────┬───────────┐
//!  │ Header │ clusters with│ clusters with    │ L2 tables │ L1 table │ refcount  │ refcount  │
//!  │        │ file data    │ metadata alone   │           │          │ table     │ blocks    │
//!  └────────┴──────────────┴──────────────────┴───────────┴──────────┴───────────┴───────────┘
//!  0        64 KiB          both in the order of the disk
//! ```
//! The tables stand behind the data, so that file data has its place before the size of the disk is known: a
//! build writes it there at once, and the image costs what a raw one costs.

pub mod disk;
mod inflate;
mod plan;
mod read;
mod write;

pub use plan::{CLUSTER, Plan};
pub use read::Reader;
pub use write::{write, write_tables};

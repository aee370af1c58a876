//! ext4: what lies on disk, how it is made, how it is checked.
//!
//! | module | what |
//! |---|---|
//! | [`disk`] | on-disk structs and constants, nothing else |
//! | [`checksum`] | every checksum of `metadata_csum` |
//! | [`dirhash`] | the hash that orders an htree directory |
//! | [`check`] | an independent reading of a written filesystem; never uses the planner |

pub mod check;
pub mod checksum;
pub mod dirhash;
pub mod disk;

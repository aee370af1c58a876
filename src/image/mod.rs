//! Plans in, an image out: what was asked for, what was made.

mod report;
mod spec;

pub use report::Report;
pub use spec::{Boot, Free, RootBy, Scheme, Size, Spec};

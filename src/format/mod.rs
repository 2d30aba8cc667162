//! From a record to the bytes of a line.

pub(crate) mod escape;
mod timestamp;

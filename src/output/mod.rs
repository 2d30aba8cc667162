//! Where bytes go: files and descriptors, and the buffer that keeps lines whole on the way.

pub(crate) mod file;
mod lines;

#[cfg(test)]
pub(crate) use lines::WRITE_BYTES;
pub(crate) use lines::{Failed, Lines};

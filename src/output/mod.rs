//! Where bytes go: files and descriptors, and the buffer that keeps lines whole on the way.

pub(crate) mod file;
mod lines;

pub(crate) use lines::Lines;

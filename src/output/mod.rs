//! Where bytes go: the file system behind a seam, files to append to, and the buffer that keeps lines whole on the
//! way.

pub(crate) mod file;
pub(crate) mod files;
mod lines;
#[cfg(test)]
pub(crate) mod testing;

pub(crate) use file::{Appended, Fate, How, directory_of};
pub(crate) use files::{Facts, Files, Lock, System};
#[cfg(test)]
pub(crate) use lines::WRITE_BYTES;
pub(crate) use lines::{Failed, Last, Lines, Load};

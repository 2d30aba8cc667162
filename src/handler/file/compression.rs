//! How rolled files are compressed.

use std::io::{self, Read, Write};

/// How [`Rotation::compress`](super::Rotation::compress) makes files shorter. Each way needs a feature; there is none
/// without.
///
/// ```
/// # #[cfg(feature = "zstd")] {
/// use treering::handler::{Compression, Rotation};
/// let rotation = Rotation::new().at_bytes(1 << 30).compress(Compression::Zstd);
/// # }
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Compression {
    /// For `zcat`, `zgrep` and `zless`: `app.log.1.gz`. With the feature `gzip`.
    #[cfg(feature = "gzip")]
    Gzip,
    /// Shorter than gzip, and in a fraction of the time: `app.log.1.zst`. With the feature `zstd`.
    #[cfg(feature = "zstd")]
    Zstd,
}

impl Compression {
    pub(super) fn ending(self) -> &'static str {
        match self {
            #[cfg(feature = "gzip")]
            Compression::Gzip => ".gz",
            #[cfg(feature = "zstd")]
            Compression::Zstd => ".zst",
        }
    }

    /// Reads all, at the level that the tool of its name has if it is not asked for another.
    #[cfg_attr(
        not(any(feature = "gzip", feature = "zstd")),
        expect(unused_variables, reason = "there is none")
    )]
    pub(super) fn run(self, from: &mut impl Read, to: &mut impl Write) -> io::Result<()> {
        match self {
            #[cfg(feature = "gzip")]
            Compression::Gzip => {
                let mut encoder = flate2::write::GzEncoder::new(to, flate2::Compression::default());
                io::copy(from, &mut encoder)?;
                encoder.finish()?;
                Ok(())
            }
            #[cfg(feature = "zstd")]
            Compression::Zstd => {
                let mut encoder = zstd::Encoder::new(to, zstd::DEFAULT_COMPRESSION_LEVEL)?;
                encoder.include_checksum(true)?;
                io::copy(from, &mut encoder)?;
                encoder.finish()?;
                Ok(())
            }
        }
    }
}

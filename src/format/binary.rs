//! Records as they are, packed: [`Binary`].

use super::Format;
use crate::binary::Packer;
use crate::callsite::{Entry, EntryOf, Piece, Spec, Type, own_metadata};
use crate::output::Load;
use crate::record::Record;

/// A record was too large; the argument says how large.
const TOO_LARGE: &Entry<'static> = &Entry {
    metadata: &own_metadata!(
        Warn,
        "treering::loss",
        &[
            Piece::Literal("1 record lost here, its arguments of "),
            Piece::Argument(0, Spec::DISPLAY),
            Piece::Literal(" bytes were too large")
        ],
        &[]
    ),
    types: &[&Type::U64],
};

/// Records as they lay in their rings, packed, with all that is needed to make text of them later, exactly as it would have
/// been at once.
///
/// ```text
/// cargo run --example decode app.trr
/// cargo run --example decode app.trr --format json --filter my_server::db=debug --since 2026-11-22T13:37
/// ```
/// Nothing is formatted or escaped when the program runs: where numbers are logged it costs the listener less than half
/// of what a line does, and a quarter of its bytes. [`binary::Reader`](crate::binary::Reader) reads the records back, for any format and for programs.
///
/// In a [`File`](crate::handler::File) records share frames of about 4 KiB, each with a checksum, and what they refer to is
/// written once: callsites, types, names of threads. Every file stands alone, also after it rolled or was moved away, and
/// several processes may write to one. A `header` is for lines; a file of frames has none. Other handlers have no place for
/// frames that are still open, so there every record is a frame of its own, with its definitions; and so it is in a file
/// that got this format in a box and does not see which one it is.
///
/// Records with more than 16 MiB of arguments are too large, and count as failed. The [spans](Record::spans) that a record was
/// logged in are not kept.
///
/// ```
/// use treering::format::Binary;
/// use treering::handler::{File, Rotation};
///
/// # let directory = tempfile::tempdir().unwrap();
/// # let path = directory.path().join("app.trr");
/// let rotation = Rotation::new().at_bytes(100 << 20).keep_files(10);
/// let handler = File::options().rotate(rotation).open(&path)?.format(Binary::new());
/// # Ok::<(), treering::Error>(())
/// ```
#[derive(Debug)]
pub struct Binary {
    packer: Packer,
}

impl Binary {
    /// It has no settings: who reads says what it shall look like.
    pub fn new() -> Self {
        Binary { packer: Packer::new() }
    }
}

impl Default for Binary {
    fn default() -> Self {
        Binary::new()
    }
}

impl Format for Binary {
    fn format(&mut self, record: &Record<'_>, out: &mut Vec<u8>) {
        self.packer.forget();
        if self.packer.push(record, Load::RECORD).is_err() {
            let bytes = size_of_val(record.arguments) as u64;
            let instead = Record { entry: EntryOf::Process(TOO_LARGE), arguments: &[bytes], ..*record };
            let pushed = self.packer.push(&instead, Load::RECORD);
            debug_assert!(pushed.is_ok(), "ours is short");
        }
        self.packer.seal(|frame, _| out.extend_from_slice(frame));
    }
}

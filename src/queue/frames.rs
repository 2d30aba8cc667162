//! Frames that came out of a queue, one behind the other in one run of bytes.

/// As many frames as a round of a listener takes.
const FRAMES_MAX: usize = 1024;
/// Bytes after which a round is large enough; one frame may go beyond it.
const BYTES_MAX: usize = 1024 * 1024;

/// Frames, in order, as [`Dequeue::dequeue`](super::Dequeue::dequeue) appends them. Keeps its memory when it is cleared.
///
/// ```
/// use treering::queue::Frames;
/// let mut frames = Frames::new();
/// frames.push(b"one");
/// frames.push(b"");
/// assert_eq!(frames.iter().collect::<Vec<_>>(), [&b"one"[..], b""]);
/// ```
#[derive(Clone, Default, Debug)]
pub struct Frames {
    bytes: Vec<u8>,
    /// Where each one ends.
    ends: Vec<usize>,
}

impl Frames {
    /// None.
    pub fn new() -> Self {
        Frames::default()
    }

    /// Appends a copy of a frame.
    pub fn push(&mut self, frame: &[u8]) {
        self.bytes.extend_from_slice(frame);
        self.ends.push(self.bytes.len());
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Whether they are enough for one round: 1,024 frames, or a megabyte. A queue need not look at it, but one that has
    /// more should leave it for the next call, as all that is given must be held at once.
    pub fn is_full(&self) -> bool {
        self.len() >= FRAMES_MAX || self.bytes.len() >= BYTES_MAX
    }

    /// The frames, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        let mut start = 0;
        self.ends.iter().map(move |end| &self.bytes[std::mem::replace(&mut start, *end)..*end])
    }

    /// Forgets them.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }
}

//! How a handler's lane is set up. What a lane is and does is the listener's: `listener::lane`.

use std::time::Duration;

/// Some 40,000 records of three numbers: at a million a second a hiccup of 40 ms.
const CAPACITY: usize = 4 * 1024 * 1024;
/// Longer the listener waits for no lane: every other handler waits with it.
const WAIT_FOR_ROOM_MAX: Duration = Duration::from_secs(1);

/// How large a [lane](super::Handler::lane) is, and what happens when it is full; for
/// [`Handler::lane_with`](super::Handler::lane_with).
///
/// ```
/// use std::time::Duration;
/// use treering::handler::{Console, Handler, LaneOptions};
///
/// let options = LaneOptions::new().capacity(64 << 20).wait_for_room(Duration::from_millis(2));
/// let console = Console::stderr().lane_with(options);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub struct LaneOptions {
    pub(crate) capacity: usize,
    pub(crate) wait_for_room: Duration,
}

impl LaneOptions {
    /// 4 MiB, and nobody waits.
    ///
    /// ```
    /// use treering::handler::LaneOptions;
    /// assert_eq!(LaneOptions::new(), LaneOptions::default());
    /// ```
    pub fn new() -> Self {
        LaneOptions { capacity: CAPACITY, wait_for_room: Duration::ZERO }
    }

    /// So many bytes of records wait in it at most, those that the handler is called with included; a record takes
    /// about 100 and its arguments. The last eighth is for WARN and above. An empty lane takes any record. Default: 4 MiB,
    /// of which memory is used when it is needed.
    ///
    /// ```
    /// let options = treering::handler::LaneOptions::new().capacity(64 << 20);
    /// ```
    pub fn capacity(mut self, bytes: usize) -> Self {
        self.capacity = bytes;
        self
    }

    /// How long the listener waits until a full lane is half empty, before records are lost to the handler: for handlers
    /// that have a lane to work beside the others, not because they hang. One that goes on, however slowly, then loses
    /// nothing; meanwhile every other handler waits too, and rings fill up, where the engine's
    /// [`Overflow`](crate::Overflow) decides. At most a second. Default: not at all.
    ///
    /// ```
    /// # use std::time::Duration;
    /// let options = treering::handler::LaneOptions::new().wait_for_room(Duration::from_millis(2));
    /// ```
    pub fn wait_for_room(mut self, at_most: Duration) -> Self {
        self.wait_for_room = at_most.min(WAIT_FOR_ROOM_MAX);
        self
    }
}

impl Default for LaneOptions {
    fn default() -> Self {
        LaneOptions::new()
    }
}

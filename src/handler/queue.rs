//! A handler that puts records into a queue, for a listener elsewhere.

use std::fmt;

use super::{Batch, Handler, HandlerError};
use crate::callsite::{Entry, EntryOf, Piece, Spec, Type, own_metadata};
use crate::format::Format;
use crate::os;
use crate::queue::{Enqueue, EnqueueError};
use crate::record::{Record, Thread, Timestamp};

/// Records were not taken by the queue; the argument says how many.
const GAP: &Entry<'static> = &Entry {
    metadata: &own_metadata!(
        Warn,
        "treering::loss",
        &[
            Piece::Argument(0, Spec::DISPLAY),
            Piece::Literal(" records lost here, the queue did not take them")
        ],
        &[]
    ),
    types: &[&Type::U64],
};

/// Puts each record, as a portable one or in a [`format`](QueueHandler::format), into a queue: on the engine's listener, so no
/// log call waits for the queue.
///
/// A record that the queue does not take, because it is full, is closed or has failed, is counted as failed; the next one
/// that it takes is preceded by a record of `treering::loss` that says how many are missing, and the last ones are told of
/// at the end, if there is room by then. A queue that is closed or fails is left alone for longer and longer, as every
/// handler that fails again and again; one that is full is tried with each record. Neither the handler nor its engine closes
/// the queue: others may use it.
///
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
/// use treering::handler::{Capture, QueueHandler};
/// use treering::{Listener, queue::Locked};
///
/// # fn main() -> Result<(), treering::Error> {
/// let queue = Arc::new(Locked::bounded(1 << 20));
/// let (logger, guard) = treering::builder().handler(QueueHandler::new(queue.clone())).start()?;
/// treering::info!(logger: logger, qty = 100, "order {} filled", 7);
/// guard.stop(Duration::from_secs(5))?;
///
/// let capture = Capture::new();
/// Listener::new(queue).handler(capture.clone()).start()?.stop(Duration::from_secs(5))?;
/// assert_eq!(capture.records()[0].message(), "order 7 filled");
/// # Ok(())
/// # }
/// ```
pub struct QueueHandler<Q> {
    queue: Q,
    /// What makes the frames, if not portable records.
    format: Option<Box<dyn Format>>,
    frame: Vec<u8>,
    /// Records that were not taken and that nobody downstream was told of.
    untold: u64,
    /// The time of the last record.
    last: Option<Timestamp>,
}

impl<Q: Enqueue> QueueHandler<Q> {
    /// A handler that puts records into this queue. Share it by an `Arc` to use it elsewhere too.
    pub fn new(queue: Q) -> Self {
        QueueHandler { queue, format: None, frame: Vec::new(), untold: 0, last: None }
    }

    /// What travels are not portable records but what this format makes of them, without the newline at its end: for
    /// readers that are no [`Listener`](crate::Listener).
    ///
    /// ```
    /// use std::net::UdpSocket;
    /// use treering::{format::Json, handler::QueueHandler};
    /// # use treering::queue::{Enqueue, EnqueueError};
    /// # struct Datagrams(UdpSocket);
    /// # impl Enqueue for Datagrams {
    /// #     fn enqueue(&self, frame: &[u8]) -> Result<(), EnqueueError> {
    /// #         self.0.send(frame).map(drop).map_err(EnqueueError::failed)
    /// #     }
    /// # }
    /// # let receiver = UdpSocket::bind("127.0.0.1:0")?;
    /// # let socket = UdpSocket::bind("127.0.0.1:0")?;
    /// # socket.connect(receiver.local_addr()?)?;
    /// let handler = QueueHandler::new(Datagrams(socket)).format(Json::new()); // the queue of `Enqueue`'s example
    /// # let (logger, guard) = treering::builder().handler(handler).start().unwrap();
    /// # treering::info!(logger: logger, "one");
    /// # guard.stop(std::time::Duration::from_secs(5)).unwrap();
    /// # let mut frame = [0; 1000];
    /// # let len = receiver.recv(&mut frame)?;
    /// # assert!(frame[..len].starts_with(b"{") && frame[..len].ends_with(b"\"one\"}"));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    pub fn format(mut self, format: impl Format + 'static) -> Self {
        self.format = Some(Box::new(format));
        self
    }

    /// The queue.
    pub fn queue(&self) -> &Q {
        &self.queue
    }

    /// The queue, back.
    ///
    /// ```
    /// use treering::{handler::QueueHandler, queue::Locked};
    /// let queue: Locked = QueueHandler::new(Locked::bounded(1 << 20)).into_queue();
    /// ```
    pub fn into_queue(self) -> Q {
        self.queue
    }

    /// Puts a record, and before it, where others are missing, how many.
    fn put(&mut self, record: &Record<'_>) -> Result<(), HandlerError> {
        let missing = self.untold;
        // This one, too, until it is taken: a queue may panic.
        self.untold += 1;
        self.last = Some(record.time());
        self.tell(missing, record.time())?;
        self.untold = 1;
        self.send(record)?;
        self.untold = 0;
        Ok(())
    }

    /// Says that so many are missing.
    fn tell(&mut self, missing: u64, time: Timestamp) -> Result<(), HandlerError> {
        if missing == 0 {
            return Ok(());
        }
        let thread = Thread::new(os::thread_id(), None);
        let (entry, arguments) = (EntryOf::Process(GAP), &[missing]);
        let (truncated, scope) = (false, None);
        self.send(&Record { entry, arguments, time, stamp: 0, thread: &thread, truncated, scope })
    }

    fn send(&mut self, record: &Record<'_>) -> Result<(), HandlerError> {
        self.frame.clear();
        match &mut self.format {
            None => record.write_portable(&mut self.frame).map_err(HandlerError::new)?,
            Some(format) => {
                format.format(record, &mut self.frame);
                self.frame.pop_if(|last| *last == b'\n'); // a frame needs no sign where it ends
            }
        }
        self.queue.enqueue(&self.frame).map_err(|error| match error {
            EnqueueError::Full => HandlerError::new(error).passing(),
            EnqueueError::Closed | EnqueueError::Failed(_) => HandlerError::new(error),
        })
    }
}

impl<Q: Enqueue> Handler for QueueHandler<Q> {
    fn handle(&mut self, batch: &Batch<'_>) -> Result<(), HandlerError> {
        batch.iter().try_for_each(|record| self.put(&record))
    }

    fn close(&mut self) -> Result<(), HandlerError> {
        // The last chance. Where there is no room now, the books of this engine alone have them.
        if let (missing @ 1.., Some(time)) = (self.untold, self.last)
            && self.tell(missing, time).is_ok()
        {
            self.untold = 0;
        }
        Ok(())
    }

    fn skipped(&mut self, records: u64) {
        self.untold += records;
    }
}

impl<Q> fmt::Debug for QueueHandler<Q> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueueHandler").field("untold", &self.untold).finish_non_exhaustive()
    }
}

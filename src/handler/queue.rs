//! A handler that puts records into a queue, for a listener elsewhere.

use std::fmt;

use super::{Batch, Handler, HandlerError};
use crate::clock::Timestamp;
use crate::fault::guarded;
use crate::format::Format;
use crate::overflow::{Loss, Reason};
use crate::queue::{Enqueue, EnqueueError};
use crate::record::Record;
use crate::untold::{self, Untold};

/// Puts each record, as a portable one or in a [`format`](QueueHandler::format), into a queue: on the engine's listener, so no
/// log call waits for the queue.
///
/// A record that the queue does not take, because it is full, is closed or has failed, is counted as failed. Before the next one
/// that it takes there stands a record of `treering::loss` that says how many are missing, of which level and since when. After
/// that at least eight records are between two of these, so that a queue which stays full does not carry losses instead of
/// records; what is left to be told is told at a flush, about twice a second, and at the end, if there is room by then. A queue that is closed or fails is left alone for longer and longer, as every
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
    /// Records that the queue has taken.
    taken: u64,
    /// Records that it has not, and that nobody downstream was told of.
    untold: Untold,
}

impl<Q: Enqueue> QueueHandler<Q> {
    /// A handler that puts records into this queue. Share it by an `Arc` to use it elsewhere too.
    pub fn new(queue: Q) -> Self {
        QueueHandler { queue, format: None, frame: Vec::new(), taken: 0, untold: Untold::default() }
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

    /// Puts a record, and before it what is missing, if that is to be told now.
    fn put(&mut self, record: &Record<'_>) -> Result<(), HandlerError> {
        let due = self.untold.take_due(self.taken, record.time());
        let told = due.map_or(Ok(()), |loss| self.tell(loss));
        let Err(error) = told.and_then(|()| self.send(record)) else {
            self.taken += 1;
            return Ok(());
        };
        let is_full = matches!(error, EnqueueError::Full);
        let reason = if is_full { Reason::Full } else { Reason::Failed };
        self.untold.add(record.level(), reason, record.time());
        let error = HandlerError::new(error);
        Err(if is_full { error.passing() } else { error })
    }

    /// Tells of a loss; if the queue does not take that, it waits on.
    fn tell(&mut self, loss: Loss) -> Result<(), EnqueueError> {
        untold::with_record(&loss, |record| self.send(record)).inspect_err(|_| self.untold.put_back(loss))
    }

    /// Tells of all that is missing, if there is room. Where there is none, the books of this engine alone have it.
    fn tell_all(&mut self) {
        while let Some(loss) = self.untold.take(Timestamp::now())
            && self.tell(loss).is_ok()
        {}
    }

    fn send(&mut self, record: &Record<'_>) -> Result<(), EnqueueError> {
        let QueueHandler { queue, format, frame, .. } = self;
        frame.clear();
        let sent = guarded(|| {
            match format {
                None => record.write_portable(frame).map_err(EnqueueError::failed)?,
                Some(format) => {
                    format.format(record, frame);
                    frame.pop_if(|last| *last == b'\n'); // a frame needs no sign where it ends
                }
            }
            queue.enqueue(frame)
        });
        sent.unwrap_or_else(|panic| Err(EnqueueError::panicked(&panic)))
    }
}

impl<Q: Enqueue> Handler for QueueHandler<Q> {
    fn handle(&mut self, batch: &Batch<'_>) -> Result<(), HandlerError> {
        batch.iter().try_for_each(|record| self.put(&record))
    }

    fn flush(&mut self) -> Result<(), HandlerError> {
        self.tell_all();
        Ok(())
    }

    fn tend(&mut self) -> Result<(), HandlerError> {
        self.tell_all();
        Ok(())
    }

    fn skipped(&mut self, records: u64) {
        self.untold.add_unseen(records, Reason::Failed, Timestamp::now());
    }
}

impl<Q> fmt::Debug for QueueHandler<Q> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueueHandler").field("untold", &self.untold).finish_non_exhaustive()
    }
}

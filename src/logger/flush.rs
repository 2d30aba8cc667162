//! A flush to be awaited.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use super::Logger;
use crate::error::Error;

/// A flush that was asked for: a future that ends when everything that was logged before it was asked for has left the
/// handlers. Got from [`Logger::flush_async`], [`Guard::flush_async`](crate::Guard::flush_async) and, for the
/// process-wide engine, [`treering::flush_async`](crate::flush_async).
///
/// It runs on any executor, and needs none but somebody who polls. The flush itself does not wait for that: it is under
/// way from the call on. So the future may be dropped at any moment; that ends the waiting, and nothing else.
///
/// It has no deadline: as long as a handler hangs, it is pending. A stop ends that; whoever wants it to end earlier lets
/// the executor drop it after some time.
///
/// Under [`Wait::Manual`](crate::Wait::Manual), where no thread takes turns, a poll takes one, and so runs the handlers. If
/// another thread takes one just then, the poll does not wait for it: the task is woken when that one is over, to try
/// again.
///
/// # Errors
/// - [`is_timeout`](Error::is_timeout) if the engine was stopped, and the deadline of that passed first; what was
///   abandoned is in its report. So it is when the listener has died of a bug.
/// - [`is_on_listener_thread`](Error::is_on_listener_thread) when it is polled in a handler, and not done: who waits for it
///   there would wait for ever.
/// - [`is_forked`](Error::is_forked) in a child of `fork`.
/// - [`is_not_running`](Error::is_not_running) from [`treering::flush_async`](crate::flush_async) before `init()`.
///
/// # Panics
/// If it is polled after its end.
///
/// ```
/// async fn checkout(order_id: u64) -> Result<(), treering::Error> {
///     treering::info!(order_id, "paid");
///     treering::flush_async().await // the line is in the file before the customer is told
/// }
/// ```
#[must_use = "the flush is under way, but whether it is done only `await` tells"]
pub struct Flush(State);

enum State {
    Asked(Asked),
    Failed(Error),
    Over,
}

struct Asked {
    logger: Logger,
    ticket: u64,
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.logger.engine.forget_flush(self.ticket);
    }
}

impl Flush {
    pub(crate) fn failed(error: Error) -> Self {
        Flush(State::Failed(error))
    }
}

impl Future for Flush {
    type Output = Result<(), Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if let State::Asked(Asked { logger, ticket }) = &self.0 {
            let outcome = ready!(logger.with_turns(|engine| engine.poll_flush(*ticket, context.waker())));
            self.0 = State::Over;
            return Poll::Ready(outcome);
        }
        match std::mem::replace(&mut self.0, State::Over) {
            State::Failed(error) => Poll::Ready(Err(error)),
            State::Asked(_) | State::Over => panic!("`Flush` was polled after its end"),
        }
    }
}

impl fmt::Debug for Flush {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state: &dyn fmt::Debug = match &self.0 {
            State::Asked(Asked { logger, .. }) => logger,
            State::Failed(error) => error,
            State::Over => &"over",
        };
        f.debug_tuple("Flush").field(state).finish()
    }
}

impl Logger {
    /// Asks for a flush that is awaited: the future ends when everything that was logged before this call, by any thread,
    /// has left the handlers. See [`Flush`].
    ///
    /// ```
    /// # use std::pin::pin;
    /// # use std::task::{Context, Waker};
    /// # let (logger, guard) = treering::builder().handler(treering::handler::Capture::new()).start()?;
    /// # async fn serve(logger: treering::Logger) -> Result<(), treering::Error> {
    /// treering::info!(logger: logger, "on its way");
    /// logger.flush_async().await?;
    /// # Ok(())
    /// # }
    /// # let mut served = pin!(serve(logger));
    /// # while served.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending() {}
    /// # assert_eq!(guard.stats().dispatched, 1);
    /// # Ok::<(), treering::Error>(())
    /// ```
    pub fn flush_async(&self) -> Flush {
        match self.engine.ask_for_flush() {
            Ok(ticket) => Flush(State::Asked(Asked { logger: self.clone(), ticket })),
            Err(error) => Flush::failed(error),
        }
    }
}

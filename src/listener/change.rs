//! What is to become of a running engine's handlers, and how who asked learns of it.

use std::fmt;

use crate::error::Error;
use crate::handler::{Filter, Routed};
use crate::level::LevelFilter;
use crate::sync::{Arc, Mutex};

/// What is to become of the handler of this name.
pub(crate) struct Change {
    pub(crate) name: String,
    pub(crate) what: What,
}

pub(crate) enum What {
    /// There is none yet.
    Add(Routed),
    Remove,
    Replace(Routed),
    Level(LevelFilter),
    Filter(Filter),
}

/// A change that somebody asked for. The listener takes it, and leaves behind what came of it.
#[derive(Debug)]
pub(crate) struct Request(Mutex<Progress>);

enum Progress {
    Asked(Change),
    /// Taken by the listener, or its outcome by who asked.
    Taken,
    Done(Result<(), Error>),
}

impl Request {
    pub(crate) fn new(change: Change) -> Arc<Self> {
        Arc::new(Request(Mutex::new(Progress::Asked(change))))
    }

    /// What is asked, unless it was taken before.
    pub(crate) fn take(&self) -> Option<Change> {
        match std::mem::replace(&mut *self.0.lock(), Progress::Taken) {
            Progress::Asked(change) => Some(change),
            Progress::Taken | Progress::Done(_) => None,
        }
    }

    pub(crate) fn finish(&self, outcome: Result<(), Error>) {
        *self.0.lock() = Progress::Done(outcome);
    }

    /// What came of it, if anything has yet.
    pub(crate) fn outcome(&self) -> Option<Result<(), Error>> {
        let mut progress = self.0.lock();
        match std::mem::replace(&mut *progress, Progress::Taken) {
            Progress::Done(outcome) => Some(outcome),
            unfinished => {
                *progress = unfinished;
                None
            }
        }
    }
}

impl fmt::Debug for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Progress::Asked(change) => write!(f, "Asked({:?})", change.name),
            Progress::Taken => f.write_str("Taken"),
            Progress::Done(outcome) => write!(f, "Done({outcome:?})"),
        }
    }
}

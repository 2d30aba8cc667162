//! What a queue's listener keeps of its promises while it has a bug itself.

use super::*;
use crate::handler::{Batch, HandlerError};
use crate::level::Level;
use crate::listener::testing::{Bug, plant};
use crate::queue::{Enqueue, Locked};
use crate::record::{Draft, Timestamp};
use crate::sync::Mutex;

/// Far longer than anything takes that does not hang.
const LONG: Duration = Duration::from_secs(60);

/// Plants a bug on its thread in each call.
struct Plants;

impl Handler for Plants {
    fn handle(&mut self, _: &Batch<'_>) -> Result<(), HandlerError> {
        plant([Bug::Called]);
        Ok(())
    }

    fn name(&self) -> String {
        "plants".to_owned()
    }
}

#[test]
fn a_bug_in_a_queues_listener_ends_it_and_releases_who_waits() {
    let (faults, queue) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Locked::bounded(1 << 20)));
    for text in ["0", "1", "2"] {
        let mut frame = Vec::new();
        Draft::new(Level::Info, Timestamp::from_nanos(1), "test", text).write_portable(&mut frame).unwrap();
        queue.enqueue(&frame).unwrap();
    }
    let told = faults.clone();
    let listener = Listener::new(queue).handler(Plants);
    let listening = listener.error_hook(move |fault| told.lock().push(fault.to_owned())).start().unwrap();
    listening.flush(LONG).unwrap_err();
    let report = listening.stop(LONG).unwrap();
    report.assert_balanced();
    let plants = &report.handlers["plants"];
    assert_eq!((plants.delivered, report.is_lossless()), (0, false), "{report:#?}");
    let told = "a bug in treering: a queue's listener panicked and ends here: a bug at Called";
    assert_eq!(faults.lock()[0], told);
}

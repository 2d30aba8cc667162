//! The trials: what a queue is asked to do, and what it must answer.

use std::time::Duration;

use super::crowd::Crowd;
use super::judge::{judge, number_of};
use super::probe::{
    Fault, TO_BEGIN_WAITING, asking, dequeue, drain, ended, enqueue, hold, sleep, started, take, waiting,
};
use super::*;
use crate::queue::{Dequeued, EnqueueError, Frames};
use crate::{clock, os};

/// A wait that ends by its deadline.
const SHORT: Duration = Duration::from_millis(20);
/// How long an idle wait is, whose use of the processor is measured, and how much it may use: who spins uses more even where
/// sixty threads want the processor, who looks once in a millisecond less.
const IDLE: Duration = Duration::from_millis(300);
const IDLE_CPU_MAX: Duration = Duration::from_millis(5);
/// A queue that takes more than this without a word is taken to be unbounded.
const FILL_FRAMES_MAX: u32 = 200_000;
const FILL_FRAME_BYTES: usize = 64;
/// So often a full queue is asked how long that takes.
const REFUSALS: usize = 8;
/// How long frames race before the close.
const RACE: Duration = Duration::from_millis(2);

/// Tries a clause on a new queue.
pub(super) type Trial<Q> = fn(&Arc<Q>) -> Result<(), Fault>;

/// All of them, in the order in which what one relies on was tried before; with the clause, and how many times.
pub(super) fn all<Q: Queue + 'static>() -> [(Clause, u32, Trial<Q>); 19] {
    [
        (ENOUGH, 1, what_is_there_is_given_at_once),
        (WHOLE, 1, frames_come_out_whole),
        (CLOSED, 1, after_the_close_nothing_is_taken),
        (DRAINED, 1, what_was_taken_before_the_close_comes_out),
        (ORDER, 1, one_thread_s_frames_keep_their_order),
        (TIMEOUT, 1, a_timeout_is_no_end),
        (REST, 1, waiting_uses_no_processor),
        (ARRIVAL, 1, a_frame_ends_the_wait),
        (WAKE, 1, a_wake_ends_the_wait),
        (ENOUGH, 1, what_is_there_comes_before_a_wake),
        (RELEASE, 1, a_close_ends_every_wait_to_dequeue),
        (TIMEOUT, 1, a_deadline_holds_beside_another_that_waits),
        (FULL, 1, a_full_queue_says_so),
        (FULL, 1, a_full_queue_says_so_at_once),
        (RELEASE, 1, a_close_ends_every_wait_to_enqueue),
        (BACKLOG, 1, a_backlog_covers_what_is_there),
        (LOST, 1, many_threads_lose_and_double_nothing),
        (LOST, 1, threads_that_dequeue_share_the_frames),
        (LOST, RACES, what_races_with_the_close_is_refused_or_comes_out),
    ]
}

fn frames_come_out_whole<Q: Queue>(queue: &Arc<Q>) -> Result<(), Fault> {
    for len in [1, 0, 7, 8, 255, 256, 65_536, 1_000_000] {
        let frame: Vec<u8> = (0..len).map(|at| (at * 31 + at / 256) as u8).collect();
        enqueue(queue, &frame)?;
        let came = take(queue, None)?;
        hold!(came.len() == len, "one of {len} bytes came out with {}", came.len());
        hold!(came == frame, "one of {len} bytes came out with others");
    }
    Ok(())
}

fn what_is_there_is_given_at_once<Q: Queue>(queue: &Arc<Q>) -> Result<(), Fault> {
    let mut frames = Frames::new();
    let nothing = dequeue(queue, &mut frames, Duration::ZERO)?;
    hold!(nothing == Dequeued::Empty, "a new queue, asked without a wait, said {nothing:?}");
    enqueue(queue, b"frame")?;
    let since = clock::now();
    // Not with a deadline that has passed: what crosses threads or a network may be on its way still.
    let dequeued = dequeue(queue, &mut frames, SETTLE * 2)?;
    hold!(dequeued == Dequeued::Some(1), "one frame was there, and dequeue said {dequeued:?}");
    hold!(clock::now() - since < SETTLE, "it came after {:?} only", clock::now() - since);
    Ok(())
}

fn one_thread_s_frames_keep_their_order<Q: Queue>(queue: &Arc<Q>) -> Result<(), Fault> {
    for number in 0..20_u32 {
        enqueue(queue, &number.to_le_bytes())?;
    }
    queue.close();
    let came = drain(queue, SETTLE)?.0;
    judge(&[came.iter().map(|frame| (0, number_of(frame))).collect()], &[20], ORDER)
}

fn after_the_close_nothing_is_taken<Q: Queue>(queue: &Arc<Q>) -> Result<(), Fault> {
    queue.close();
    queue.close();
    for _ in 0..2 {
        let answer = queue.enqueue(b"late");
        hold!(matches!(answer, Err(EnqueueError::Closed)), "enqueue after close said {answer:?}");
    }
    Ok(())
}

fn what_was_taken_before_the_close_comes_out<Q: Queue>(queue: &Arc<Q>) -> Result<(), Fault> {
    for frame in [b"one", b"two"] {
        enqueue(queue, frame)?;
    }
    queue.close();
    let (came, end) = drain(queue, SETTLE)?;
    hold!(came.len() == 2, "of two frames {} came out after the close", came.len());
    hold!(end == Dequeued::Closed, "after them dequeue said {end:?}, after {SETTLE:?}");
    let again = dequeue(queue, &mut Frames::new(), SETTLE)?;
    hold!(again == Dequeued::Closed, "asked once more it said {again:?}");
    Ok(())
}

fn a_timeout_is_no_end<Q: Queue>(queue: &Arc<Q>) -> Result<(), Fault> {
    for round in 0..3_u32 {
        let since = clock::now();
        let dequeued = dequeue(queue, &mut Frames::new(), SHORT)?;
        let took = clock::now() - since;
        hold!(dequeued == Dequeued::Empty, "with nothing there, after {SHORT:?}, it said {dequeued:?}");
        hold!(took >= SHORT / 2, "asked to wait for {SHORT:?} it came back after {took:?}");
        hold!(took < SETTLE, "asked to wait for {SHORT:?} it came back after {took:?} only");
        let since = clock::now();
        let dequeued = dequeue(queue, &mut Frames::new(), Duration::ZERO)?;
        hold!(dequeued == Dequeued::Empty, "with a deadline that has passed it said {dequeued:?}");
        hold!(clock::now() - since < SETTLE, "a deadline that had passed waited {:?}", clock::now() - since);
        let answer = queue.enqueue(&round.to_le_bytes());
        hold!(answer.is_ok(), "after a timeout enqueue said {answer:?}");
        hold!(number_of(&take(queue, None)?) == round, "after a timeout another frame came out");
    }
    Ok(())
}

fn a_deadline_holds_beside_another_that_waits<Q: Queue + 'static>(queue: &Arc<Q>) -> Result<(), Fault> {
    let other = waiting(queue);
    for timeout in [Duration::ZERO, SHORT] {
        let dequeued = ended(&asking(queue, timeout), "its deadline, beside another that waits")?;
        hold!(
            dequeued == Dequeued::Empty,
            "with nothing there, beside another that waits, it said {dequeued:?}"
        );
    }
    queue.close();
    ended(&other, "the close").map(drop)
}

fn waiting_uses_no_processor<Q: Queue>(queue: &Arc<Q>) -> Result<(), Fault> {
    let before = os::thread_cpu_nanos();
    let since = clock::now();
    while clock::now() - since < IDLE {
        let _ = dequeue(queue, &mut Frames::new(), IDLE)?;
    }
    let spent = Duration::from_nanos(os::thread_cpu_nanos() - before);
    hold!(spent < IDLE_CPU_MAX, "a wait of {IDLE:?} used the processor for {spent:?}");
    Ok(())
}

fn a_frame_ends_the_wait<Q: Queue + 'static>(queue: &Arc<Q>) -> Result<(), Fault> {
    for _ in 0..3 {
        let outcome = waiting(queue);
        enqueue(queue, b"frame")?;
        let dequeued = ended(&outcome, "a frame was enqueued")?;
        hold!(dequeued == Dequeued::Some(1), "it ended with {dequeued:?}");
    }
    Ok(())
}

fn a_wake_ends_the_wait<Q: Queue + 'static>(queue: &Arc<Q>) -> Result<(), Fault> {
    let outcome = waiting(queue);
    queue.wake();
    let dequeued = ended(&outcome, "it was woken")?;
    hold!(dequeued == Dequeued::Empty, "woken with nothing there it said {dequeued:?}");
    queue.wake();
    queue.wake();
    let outcome = waiting(queue);
    let dequeued = ended(&outcome, "a wake that came before it")?;
    hold!(dequeued == Dequeued::Empty, "woken before, with nothing there, it said {dequeued:?}");
    for _ in 0..2 {
        let answer = queue.enqueue(b"frame");
        hold!(answer.is_ok(), "after a wake enqueue said {answer:?}");
        queue.wake();
    }
    queue.close();
    // Wakes that are left may end a wait each.
    let mut came = 0;
    for _ in 0..8 {
        let (frames, end) = drain(queue, SETTLE)?;
        came += frames.len();
        if end == Dequeued::Closed {
            break;
        }
    }
    hold!(came == 2, "of two frames that a wake came behind {came} came out");
    Ok(())
}

fn what_is_there_comes_before_a_wake<Q: Queue>(queue: &Arc<Q>) -> Result<(), Fault> {
    // A frame may be on its way still, so this is tried more than once; who looks at the wake first does so each time.
    for settled in [50, 250, 1000].map(Duration::from_millis) {
        enqueue(queue, b"frame")?;
        sleep(settled);
        queue.wake();
        match dequeue(queue, &mut Frames::new(), SETTLE)? {
            Dequeued::Some(1) => return Ok(()),
            Dequeued::Empty => drop(take(queue, None)?),
            other => return Err(format!("woken with one frame there it said {other:?}").into()),
        }
    }
    Err("woken with a frame there it said Empty".to_owned().into())
}

fn a_close_ends_every_wait_to_dequeue<Q: Queue + 'static>(queue: &Arc<Q>) -> Result<(), Fault> {
    let outcomes = [waiting(queue), waiting(queue), waiting(queue)];
    queue.close();
    for outcome in &outcomes {
        let dequeued = ended(outcome, "the close")?;
        hold!(dequeued == Dequeued::Closed, "it ended with {dequeued:?}");
    }
    Ok(())
}

/// Enqueues until there is no room, or for long enough. How many were taken, and whether it is full.
fn fill(queue: &impl Queue) -> Result<(u32, bool), Fault> {
    let mut frame = [0; FILL_FRAME_BYTES];
    for number in 0..FILL_FRAMES_MAX {
        frame[..4].copy_from_slice(&number.to_le_bytes());
        match queue.enqueue(&frame) {
            Ok(()) => {}
            Err(EnqueueError::Full) => return Ok((number, true)),
            Err(error) => return Err(format!("after {number} frames enqueue said {error:?}").into()),
        }
    }
    Ok((FILL_FRAMES_MAX, false))
}

fn a_full_queue_says_so<Q: Queue>(queue: &Arc<Q>) -> Result<(), Fault> {
    for round in 0..2 {
        let (taken, is_full) = fill(queue)?;
        hold!(taken > 0, "in round {round} an empty queue was full");
        let mut came = Vec::new();
        while came.len() < taken as usize {
            let mut frames = Frames::new();
            match dequeue(queue, &mut frames, SETTLE)? {
                Dequeued::Some(_) => came.extend(frames.iter().map(|frame| (0, number_of(frame)))),
                Dequeued::Empty => break,
                Dequeued::Closed => return Err("a queue that was full was closed".to_owned().into()),
            }
        }
        judge(&[came], &[taken], LOST)?;
        if !is_full {
            break;
        }
    }
    Ok(())
}

fn a_full_queue_says_so_at_once<Q: Queue>(queue: &Arc<Q>) -> Result<(), Fault> {
    if !fill(queue)?.1 {
        return Ok(());
    }
    // The quickest of several: who waits does so each time, and others may want the processor.
    let refusal = |_| {
        let since = clock::now();
        let answer = queue.enqueue(&[0; FILL_FRAME_BYTES]);
        // What crosses threads or a network may have made room meanwhile.
        matches!(answer, Err(EnqueueError::Full)).then(|| clock::now() - since)
    };
    let quickest = (0..REFUSALS).filter_map(refusal).min().unwrap_or_default();
    hold!(quickest < REFUSAL_MAX, "each time a full queue was asked it took {quickest:?} or more to say so");
    Ok(())
}

fn a_close_ends_every_wait_to_enqueue<Q: Queue + 'static>(queue: &Arc<Q>) -> Result<(), Fault> {
    let outcomes: Vec<_> = (0..3)
        .map(|_| {
            let queue = queue.clone();
            started(move || {
                loop {
                    match queue.enqueue(&[0; FILL_FRAME_BYTES]) {
                        Ok(()) => {}
                        Err(EnqueueError::Full) => sleep(Duration::from_millis(1)),
                        Err(EnqueueError::Closed) => return Ok(Dequeued::Closed),
                        Err(error) => return Err(Fault::from(format!("enqueue failed: {error}"))),
                    }
                }
            })
        })
        .collect();
    sleep(TO_BEGIN_WAITING);
    queue.close();
    outcomes.iter().try_for_each(|outcome| {
        ended(outcome, "the close").map(drop).map_err(|Fault { saw, .. }| format!("to enqueue: {saw}").into())
    })
}

fn a_backlog_covers_what_is_there<Q: Queue>(queue: &Arc<Q>) -> Result<(), Fault> {
    let covers = |there: usize| match queue.backlog() {
        Some(said) if said < there => {
            Err(Fault::from(format!("{there} frames were there, and it said {said}")))
        }
        _ => Ok(()),
    };
    let mut left = 0;
    for size in [0, 1, 1000, 1, 0] {
        enqueue(queue, &vec![0; size])?;
        left += 1;
        covers(left)?;
    }
    // What was not taken out is there still, also after a wake and behind the close.
    queue.wake();
    for is_closed in [false, true] {
        covers(left)?;
        let mut frames = Frames::new();
        while left > 0 && frames.is_empty() {
            if dequeue(queue, &mut frames, SETTLE)? == Dequeued::Closed {
                return Err(format!("{left} frames were there, and dequeue said Closed").into());
            }
        }
        left -= frames.len().min(left);
        covers(left)?;
        if !is_closed {
            enqueue(queue, b"one more")?;
            left += 1;
            queue.close();
        }
    }
    Ok(())
}

fn many_threads_lose_and_double_nothing<Q: Queue + 'static>(queue: &Arc<Q>) -> Result<(), Fault> {
    let crowd = Crowd::begin(queue, 4, 2000, 1);
    let sent = crowd.sent()?;
    queue.close();
    crowd.judge(&sent)
}

fn threads_that_dequeue_share_the_frames<Q: Queue + 'static>(queue: &Arc<Q>) -> Result<(), Fault> {
    let crowd = Crowd::begin(queue, 2, 2000, 3);
    let sent = crowd.sent()?;
    queue.close();
    crowd.judge(&sent)
}

fn what_races_with_the_close_is_refused_or_comes_out<Q: Queue + 'static>(
    queue: &Arc<Q>,
) -> Result<(), Fault> {
    let crowd = Crowd::begin(queue, 3, u32::MAX, 1);
    sleep(RACE);
    queue.close();
    crowd.judge(&crowd.sent()?)
}

//! Whether the frames that came out are those that were taken.

use std::collections::BTreeMap;

use super::probe::Fault;
use super::{Clause, DOUBLED, LOST, ORDER, WHOLE};

/// The number that a frame begins with.
pub(super) fn number_of(frame: &[u8]) -> u32 {
    frame.first_chunk().map_or(u32::MAX, |bytes| u32::from_le_bytes(*bytes))
}

/// The thread of a frame and its number.
pub(super) fn origin_of(frame: &[u8]) -> (u32, u32) {
    (number_of(frame), frame.get(4..).map_or(u32::MAX, number_of))
}

/// One that many threads send: whose it is, and its number.
pub(super) fn frame_of(thread: u32, number: u32) -> Vec<u8> {
    [thread.to_le_bytes(), number.to_le_bytes()].concat()
}

/// Whether these are the frames 0 to n of each thread, each once. Those that came out to one consumer are in order.
pub(super) fn judge(came: &[Vec<(u32, u32)>], sent: &[u32], tried: Clause) -> Result<(), Fault> {
    let fault = |clause, saw| Err(Fault { clause: Some(clause), saw });
    let mut by_thread: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for (thread, number) in came.iter().flatten() {
        by_thread.entry(*thread).or_default().push(*number);
    }
    by_thread.values_mut().for_each(|numbers| numbers.sort_unstable());
    // Of two consumers that share badly, one has a frame twice that is another's loss.
    let mut pairs = by_thread.values().flat_map(|numbers| numbers.windows(2));
    if let Some(twice) = pairs.find(|pair| pair[0] == pair[1]) {
        return fault(DOUBLED, format!("frame {} came out twice", twice[0]));
    }
    for (thread, sent) in (0..).zip(sent) {
        let numbers = by_thread.remove(&thread).unwrap_or_default();
        if numbers.len() < *sent as usize {
            let first = (0..*sent).find(|number| numbers.binary_search(number).is_err());
            let missing = *sent as usize - numbers.len();
            return fault(
                LOST,
                format!("{missing} of {sent} frames did not come out, the first is {first:?}"),
            );
        }
        if numbers.last().is_some_and(|last| last >= sent) {
            return fault(WHOLE, "a frame came out that nobody enqueued".to_owned());
        }
    }
    if !by_thread.is_empty() {
        return fault(tried, "a frame came out that nobody enqueued".to_owned());
    }
    for came in came {
        let mut last = BTreeMap::new();
        for (thread, number) in came {
            match last.insert(*thread, *number) {
                Some(before) if before > *number => {
                    return fault(ORDER, format!("frame {before} came out before frame {number}"));
                }
                _ => {}
            }
        }
    }
    Ok(())
}

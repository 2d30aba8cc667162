//! Who wakes a sleeper in a channel is seen by it, though the wake was left to another one (I16).

#![cfg(treering_loom)]

use loom::sync::Arc;
use loom::sync::atomic::{AtomicU32, Ordering};
use loom::thread;
use treering::internals::WakeChannel;
use treering_loom_tests::model;

#[test]
fn a_sleeper_in_a_channel_sees_what_each_wake_was_for() {
    model("a_sleeper_in_a_channel_sees_what_each_wake_was_for", [2, 5], || {
        let channel = Arc::new(WakeChannel::new());
        let asked = Arc::new([AtomicU32::new(0), AtomicU32::new(0)]);
        let wakers = [0, 1].map(|waker| {
            let (channel, asked) = (channel.clone(), asked.clone());
            thread::spawn(move || {
                asked[waker].store(1, Ordering::Relaxed);
                channel.wake();
            })
        });
        // One that misses a wake sleeps for ever.
        while asked.iter().any(|asked| asked.load(Ordering::Relaxed) == 0) {
            channel.sleep();
        }
        wakers.into_iter().for_each(|waker| waker.join().unwrap());
    });
}

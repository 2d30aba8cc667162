use std::time::Duration;

fn main() {
    let n = 100;
    treering::info!(every: 0, "none of none");
    treering::info!(every: n, "not a constant");
    treering::info!(every: "100", "not a number");
    treering::info!(at_most: 10, "in what time?");
    treering::info!(at_most: (10, Duration::ZERO), "no window");
    treering::info!(sample: 1.5, "more than all");
    treering::info!(once: , "no value");
    treering::info!(every: 10, every: 20, "twice");
    treering::info!(every: 10, once: true, "two limits");
    treering::info!(n, every: 10, "late");
    treering::info!(every: 10);
}

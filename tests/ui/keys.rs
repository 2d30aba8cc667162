fn main() {
    let a = 1;
    treering::info!(each: 100, "sampled");
    treering::info!(name: "event", "named");
    treering::info!(parent: None, "in a span");
    treering::info!(target: "a", target: "b", "twice");
    treering::info!(a, target: "late", "after a field");
    treering::info!(target: "nothing else");
    treering::info!(target: , "no value");
    treering::info!(target: a, "not a constant");
}

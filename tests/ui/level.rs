fn main() {
    let level = treering::Level::Info;
    treering::log!(level, "a level that is not a constant");
    treering::log!("no level");
}

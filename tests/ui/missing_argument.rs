fn main() {
    let price = 12.5;
    treering::info!("sold {} at {}", price);
}

fn main() {
    let (qty, price) = (1, 12.5);
    treering::info!("sold at {}", price, qty);
}

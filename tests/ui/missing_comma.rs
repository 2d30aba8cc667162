fn main() {
    let (qty, price) = (1, 12.5);
    treering::info!(qty "filled");
    treering::info!(qty = 1 "filled");
    treering::info!(qty = price "filled");
    treering::info!("filled {}" qty);
    treering::info!("filled {} {}", qty price);
    treering::info!(target: "x" "filled");
}

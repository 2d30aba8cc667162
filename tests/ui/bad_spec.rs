fn main() {
    let price = 12.5;
    treering::info!("sold at {price:.2y}");
    treering::info!("sold at {price");
    treering::info!("sold at {price:w$}", w = "wide");
}

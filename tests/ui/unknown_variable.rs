fn main() {
    treering::info!("order {order_id} filled");
}

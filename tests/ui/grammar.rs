struct Order {
    id: u64,
}

impl Order {
    fn total(&self) -> u64 {
        self.id
    }
}

fn main() {
    let order = Order { id: 7 };
    let text = "text";
    treering::info!();
    treering::info!(order.total(), "a call is no name");
    treering::info!(1 + 2);
    treering::info!(17);
    treering::info!(b"bytes");
    treering::info!(, "comma");
    treering::info!(a = , "no value");
    treering::info!(&text);
}

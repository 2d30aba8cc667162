struct Order {
    id: u64,
}

struct Book {
    order: Order,
}

fn main() {
    let book = Book { order: Order { id: 7 } };
    treering::info!("got {} of {book:?}", book.order);
    treering::info!(book.order, "a field");
    treering::info!(%book.order, a = ?book.order, "fields with sigils");
    treering::info!("stored, but without Display: {}", vec![1]);
    treering::info!("with a spec: {:>8}", book.order);
    let _ = book.order.id;
}

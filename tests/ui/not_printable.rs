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
    let _ = book.order.id;
}

fn main() {
    let id = 7;
    treering::context!();
    treering::context!(id);
    treering::context!("request {id}");
    treering::context!("");
    treering::context!(once: true, "limited");
    treering::context!(parent: None, "request");
    treering::context!("request" id);
    treering::context!("request", id, "and a message");
    treering::context!(format!("request"));
}

struct Opaque;

#[derive(treering::Encode)]
struct Holds {
    id: u64,
    opaque: Opaque,
}

#[derive(treering::Encode)]
struct Unknown {
    #[encode(hide)]
    id: u64,
}

#[derive(treering::Encode)]
#[encode(skip)]
struct Whole {
    id: u64,
}

#[derive(treering::Encode)]
union Bits {
    id: u64,
}

fn main() {}

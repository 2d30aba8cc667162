//! What the compiler says of mistakes: `tests/ui/*.stderr`, written anew with `TRYBUILD=overwrite`.

#[test]
fn mistakes_are_explained_where_they_stand() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}

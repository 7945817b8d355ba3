//! What must not compile, and what the compiler says.
#![cfg(feature = "fibers")]

#[test]
fn diagnostics() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/ui/*.rs");
}

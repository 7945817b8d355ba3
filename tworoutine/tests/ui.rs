//! Test of programs that must not compile, with the messages of the compiler.
#![cfg(feature = "fibers")]

#[test]
fn diagnostics() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/ui/*.rs");
}

//! Time of one acquisition.
fn main() {}

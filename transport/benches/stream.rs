//! Placeholder until the receiver stands.
fn main() {}

//! The `twotone` program.

fn main() {}

//! Developer and deployment commands of twotone.

fn main() {}

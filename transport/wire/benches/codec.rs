//! Time and allocations of the Tuber codecs.

fn main() {}

//! Exchange of results with other programs.

pub mod bias;

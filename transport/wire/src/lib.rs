#![doc = include_str!("../README.md")]

pub mod crs;
pub mod tuber;

#![doc = include_str!("../README.md")]

pub mod crs;
pub mod mdns;
pub mod tuber;

//! Tests of the programs of this project together with unmodified programs of others: the Python
//! client rfmux of CRS boards and its simulator, the Tuber server and its public client, and the
//! client library of Prometheus. Tuber is the protocol of the boards.
//!
//! The environment variable `TWOTONE_PYTHON` names a Python interpreter that has the packages of
//! these programs. `cargo xtask test interoperability` installs one. If the variable is not set,
//! each test says so and passes.

mod bias;
mod exchange;
mod firmware;
mod maps;
mod metrics;
mod mock;
mod older;
mod program;
mod python;
mod streams;
mod suites;
mod tuber_client;
mod tuberd;
mod tuning;

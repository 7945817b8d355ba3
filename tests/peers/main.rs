//! Tests of our programs with unmodified programs of others: the Python client of CRS boards
//! (rfmux) and its simulator, the Tuber server and its public client (Tuber is the protocol of the
//! boards), and the client library of Prometheus.
//!
//! The environment variable `TWOTONE_PYTHON` names a Python that has their packages. `cargo xtask
//! test interoperability` installs one. If the variable is not set, each test says so and passes.

mod firmware;
mod metrics;
mod mock;
mod python;
mod streams;
mod tuber_client;
mod tuberd;
mod tuning;

//! Tests of our programs with unmodified programs of others: the Python client of CRS boards and
//! its simulator, the Tuber server and its public client, and the client of Prometheus.
//!
//! The environment variable `TWOTONE_PYTHON` names a Python that has their packages
//! (`cargo xtask test interoperability` makes one); without it each test says so and passes.

mod firmware;
mod metrics;
mod mock;
mod python;
mod streams;
mod tuber_client;
mod tuberd;
mod tuning;

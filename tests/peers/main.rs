//! Programs that others wrote, unmodified, against ours: the Python client of CRS boards and its
//! simulator, the Tuber server and the public client of it.
//!
//! The environment variable `TWOTONE_PYTHON` names a Python that has their packages
//! (`cargo xtask test interoperability` makes one); without it each test says so and passes.

mod mock;
mod python;
mod streams;
mod tuber_client;
mod tuberd;
mod tuning;

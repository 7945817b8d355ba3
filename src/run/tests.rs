//! Tests of the runner and its wrappers on boards with chosen faults, in virtual time.

mod board;
mod cleanup;
mod journal;
mod limits;
mod mocked;
mod off;
mod property;
mod restore;
mod runner;
mod wrappers;

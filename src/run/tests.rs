//! Tests of the runner and its wrappers on boards that fail as asked, in virtual time.

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

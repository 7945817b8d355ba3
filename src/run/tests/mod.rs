//! The runner and its wrappers against boards that fail as told, under virtual time.

mod board;
mod cleanup;
mod journal;
mod limits;
mod off;
mod property;
mod restore;
mod runner;
mod wrappers;

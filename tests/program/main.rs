//! Tests of the program as an operator runs it: commands, exit status, files, and interrupts.

mod ask;
mod bands;
mod bias;
mod capture;
mod check;
mod connections;
mod dry_run;
mod endings;
mod faults;
mod find;
mod firmware;
mod fit;
mod identity;
mod import;
mod inputs;
mod interrupt;
mod limits;
mod lock;
mod process;
mod record;
mod serve;
mod setup;
mod site;
mod tune;
mod unread;

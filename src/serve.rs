//! The daemon of a control host, which is a computer that controls boards. It keeps the boards of a
//! hardware map connected, and executes commands (such as `tune`) as *jobs*.
//!
//! Jobs on different modules run at the same time. Jobs on the same module run one after the other,
//! unless [`Claim`] lets them run together. A job continues after the client that submitted it has
//! disconnected, and any number of clients can follow it. This module also has the clients: of one
//! daemon, and of the daemons of all control hosts of a site. The daemon does not depend on the
//! command line of the program: the program gives [`Jobs`] a function that turns a command into the
//! work of a job.

mod admission;
mod api;
mod boards;
mod claim;
mod client;
mod http;
mod job;
mod jobs;
mod life_signs;
mod metrics;
mod notify;
mod records;
mod routes;
mod site;
mod stall_timeout;
mod tunnel;

pub(crate) use api::{Cancel, Disk, Event, JobReport, State, Submission};
pub(crate) use boards::{BoardReport, Boards, ModuleTones};
pub(crate) use claim::{Claim, Use};
pub(crate) use client::{Failure, Host};
pub(crate) use http::{ControlSocket, Server};
pub(crate) use job::Job;
pub(crate) use jobs::{Jobs, Work};
pub(crate) use life_signs::{LONGEST_SILENCE, LifeSigns};
pub(crate) use notify::Notify;
pub(crate) use records::{JobRecords, STATE_FORMAT};
pub(crate) use routes::{ROOM_KIB, Routes};
pub(crate) use site::{SOCKET, Site, SiteHost};
pub(crate) use tunnel::Link;

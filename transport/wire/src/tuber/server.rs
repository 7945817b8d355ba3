//! Server half: reads requests, calls the methods of a served object, and writes the answers.

mod args;
mod fault;
mod interface;
mod negotiate;
mod python;
mod request;
mod serve;
mod service;

pub use args::Args;
pub use fault::Fault;
pub use interface::{Constant, DescribeForm, Interface, Method, Param, Property, PropertyValue};
pub use negotiate::{Negotiated, NotNegotiable, negotiate};
pub use serve::{Exchange, Head, Server};
pub use service::{Dispatch, Invocation, Reply, Service};

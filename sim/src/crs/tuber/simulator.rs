//! The object `Sim`, which a real board does not have. It returns counters of the simulator, for
//! benchmarks that compare clients over the same protocol.

use twotone_wire::tuber::{Args, Fault, Interface, Method, Reply, Service};

use crate::crs::Crs;

static SIMULATOR: Interface = Interface {
    name: super::SIMULATOR_NAME,
    doc: "The simulator behind this board.",
    methods: &[
        Method {
            name: "counters",
            doc: "Requests, calls and bytes since the start or the last reset. Calls of this \
                  object are not counted.",
            params: &[],
        },
        Method {
            name: "reset_counters",
            doc: "Count from zero.",
            params: &[],
        },
    ],
    properties: &[],
};

/// The object `Sim` of a board.
pub(crate) struct Simulator<'b>(pub(crate) &'b Crs);

impl Service for Simulator<'_> {
    fn interface(&self) -> &'static Interface {
        &SIMULATOR
    }

    fn call(
        &mut self,
        method: &'static Method,
        _args: &Args<'_>,
        reply: Reply<'_>,
    ) -> Result<(), Fault> {
        match method.name {
            "counters" => {
                let counters = self.0.board.counters();
                let mut map = reply.slot().map();
                map.key("requests").u64(counters.requests);
                map.key("calls").u64(counters.calls);
                map.key("bytes_in").u64(counters.bytes_in);
                map.key("bytes_out").u64(counters.bytes_out);
                let mut by_method = map.key("by_method").map();
                for (name, count) in &counters.by_method {
                    by_method.key(name).u64(*count);
                }
            }
            _ => self.0.board.tally().reset(),
        }
        Ok(())
    }
}
